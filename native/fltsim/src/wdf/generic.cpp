// SPDX-License-Identifier: MIT
//
// This module provides: the calls that every framework object has (wdf/driver.hpp).
#include "wdf/driver.hpp"

#include "core/faults.hpp"

namespace fltsim::wdf {
namespace {

NTSTATUS needs_device(const char *api, PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes,
                      WDFOBJECT *object) {
    Client &client = world().wdf->client(api, globals);
    if (object == nullptr) {
        violation(api, "the place for the handle is null");
    }
    *object = nullptr;
    if (attributes == nullptr || attributes->ParentObject == nullptr) {
        return STATUS_WDF_PARENT_NOT_SPECIFIED;
    }
    client.object<Object>(api, attributes->ParentObject, "parent object");
    return STATUS_INVALID_DEVICE_REQUEST;
}

} // namespace

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI object_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, WDFOBJECT *object) {
    KernelCall call("WdfObjectCreate", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfObjectCreate", globals);
    if (object == nullptr) {
        violation("WdfObjectCreate", "Object is null");
    }
    *object = nullptr;
    Object *parent = nullptr;
    const NTSTATUS status = client.check_attributes("WdfObjectCreate", attributes, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (const auto failure = failing("WdfObjectCreate")) {
        return *failure;
    }
    Object *made = client.adopt(std::make_unique<Object>(client), parent, attributes);
    if (made == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *object = made->handle();
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL. Not for the driver object.
void NTAPI object_delete(PWDF_DRIVER_GLOBALS globals, WDFOBJECT handle) {
    KernelCall call("WdfObjectDelete", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfObjectDelete", globals);
    Object &object = client.object<Object>("WdfObjectDelete", handle, "WDFOBJECT");
    if (&object == client.driver) {
        violation("WdfObjectDelete", "a driver does not delete its WDFDRIVER: WdfDriverMiniportUnload does");
    }
    client.delete_object("WdfObjectDelete", object);
}

/// IRQL <= DISPATCH_LEVEL.
void NTAPI object_reference(PWDF_DRIVER_GLOBALS globals, WDFOBJECT handle, PVOID, LONG, PCHAR) {
    KernelCall call("WdfObjectReferenceActual", DISPATCH_LEVEL);
    ++world()
          .wdf->client("WdfObjectReferenceActual", globals)
          .object<Object>("WdfObjectReferenceActual", handle, "WDFOBJECT")
          .references;
}

/// IRQL <= DISPATCH_LEVEL.
void NTAPI object_dereference(PWDF_DRIVER_GLOBALS globals, WDFOBJECT handle, PVOID, LONG, PCHAR) {
    KernelCall call("WdfObjectDereferenceActual", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfObjectDereferenceActual", globals);
    client.dereference("WdfObjectDereferenceActual",
                       client.object<Object>("WdfObjectDereferenceActual", handle, "WDFOBJECT"));
}

/// IRQL <= DISPATCH_LEVEL. Null when the object has no context of this type.
PVOID NTAPI object_get_typed_context(PWDF_DRIVER_GLOBALS globals, WDFOBJECT handle,
                                     PCWDF_OBJECT_CONTEXT_TYPE_INFO type) {
    KernelCall call("WdfObjectGetTypedContextWorker", DISPATCH_LEVEL);
    const Object &object = world()
                               .wdf->client("WdfObjectGetTypedContextWorker", globals)
                               .object<Object>("WdfObjectGetTypedContextWorker", handle, "WDFOBJECT");
    for (const Context &context : object.contexts) {
        if (context.type != nullptr && context.type->UniqueType == type->UniqueType) {
            return context.memory;
        }
    }
    return nullptr;
}

/// IRQL <= DISPATCH_LEVEL. STATUS_OBJECT_NAME_EXISTS when the object has a context of this type; *context is that one then.
NTSTATUS NTAPI object_allocate_context(PWDF_DRIVER_GLOBALS globals, WDFOBJECT handle, PWDF_OBJECT_ATTRIBUTES attributes,
                                       PVOID *context) {
    KernelCall call("WdfObjectAllocateContext", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfObjectAllocateContext", globals);
    Object &object = client.object<Object>("WdfObjectAllocateContext", handle, "WDFOBJECT");
    if (attributes == nullptr) {
        violation("WdfObjectAllocateContext", "ContextAttributes is null");
    }
    if (attributes->ParentObject != nullptr) {
        return STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
    }
    Object *parent = nullptr;
    const NTSTATUS status = client.check_attributes("WdfObjectAllocateContext", attributes, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (attributes->ContextTypeInfo == nullptr) {
        return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID;
    }
    if (object.deleted) {
        return STATUS_DELETE_PENDING;
    }
    for (const Context &existing : object.contexts) {
        if (existing.type != nullptr && existing.type->UniqueType == attributes->ContextTypeInfo->UniqueType) {
            if (context != nullptr) {
                *context = existing.memory;
            }
            return STATUS_OBJECT_NAME_EXISTS;
        }
    }
    return client.add_context(object, attributes, context);
}

/// IRQL <= DISPATCH_LEVEL.
WDFOBJECT NTAPI object_of_context(PWDF_DRIVER_GLOBALS globals, PVOID context) {
    KernelCall call("WdfObjectContextGetObject", DISPATCH_LEVEL);
    Object *object = world().wdf->client("WdfObjectContextGetObject", globals).object_of_context(context);
    if (object == nullptr) {
        violation("WdfObjectContextGetObject", "the pointer is not the start of an object's context");
    }
    return object->handle();
}

NTSTATUS NTAPI work_item_create(PWDF_DRIVER_GLOBALS globals, PVOID, PWDF_OBJECT_ATTRIBUTES attributes,
                                WDFOBJECT *object) {
    KernelCall call("WdfWorkItemCreate", DISPATCH_LEVEL);
    return needs_device("WdfWorkItemCreate", globals, attributes, object);
}

NTSTATUS NTAPI timer_create(PWDF_DRIVER_GLOBALS globals, PVOID, PWDF_OBJECT_ATTRIBUTES attributes, WDFOBJECT *object) {
    KernelCall call("WdfTimerCreate", DISPATCH_LEVEL);
    return needs_device("WdfTimerCreate", globals, attributes, object);
}

NTSTATUS NTAPI dpc_create(PWDF_DRIVER_GLOBALS globals, PVOID, PWDF_OBJECT_ATTRIBUTES attributes, WDFOBJECT *object) {
    KernelCall call("WdfDpcCreate", DISPATCH_LEVEL);
    return needs_device("WdfDpcCreate", globals, attributes, object);
}

} // namespace fltsim::wdf
