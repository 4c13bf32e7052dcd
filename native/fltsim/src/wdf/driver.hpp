// SPDX-License-Identifier: MIT
//
// This module provides: the driver object, its registry key, generic objects, and the calls that every object has.
#pragma once

#include "wdf/object.hpp"

namespace fltsim::wdf {

class Key final : public Object {
  public:
    using Object::Object;
    const char *type_name() const override { return "WDFKEY"; }
    std::u16string path;
};

NTSTATUS NTAPI driver_create(PWDF_DRIVER_GLOBALS globals, PDRIVER_OBJECT driver_object, PCUNICODE_STRING registry_path,
                             PWDF_OBJECT_ATTRIBUTES attributes, PWDF_DRIVER_CONFIG config, WDFDRIVER *driver);
void NTAPI driver_miniport_unload(PWDF_DRIVER_GLOBALS globals, WDFDRIVER driver);
NTSTATUS NTAPI driver_open_parameters_registry_key(PWDF_DRIVER_GLOBALS globals, WDFDRIVER driver, ACCESS_MASK access,
                                                   PWDF_OBJECT_ATTRIBUTES attributes, WDFKEY *key);
NTSTATUS NTAPI registry_query_ulong(PWDF_DRIVER_GLOBALS globals, WDFKEY key, PCUNICODE_STRING name, PULONG value);
void NTAPI registry_close(PWDF_DRIVER_GLOBALS globals, WDFKEY key);

NTSTATUS NTAPI object_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, WDFOBJECT *object);
void NTAPI object_delete(PWDF_DRIVER_GLOBALS globals, WDFOBJECT object);
void NTAPI object_reference(PWDF_DRIVER_GLOBALS globals, WDFOBJECT object, PVOID tag, LONG line, PCHAR file);
void NTAPI object_dereference(PWDF_DRIVER_GLOBALS globals, WDFOBJECT object, PVOID tag, LONG line, PCHAR file);
PVOID NTAPI object_get_typed_context(PWDF_DRIVER_GLOBALS globals, WDFOBJECT object,
                                     PCWDF_OBJECT_CONTEXT_TYPE_INFO type);
NTSTATUS NTAPI object_allocate_context(PWDF_DRIVER_GLOBALS globals, WDFOBJECT object, PWDF_OBJECT_ATTRIBUTES attributes,
                                       PVOID *context);
WDFOBJECT NTAPI object_of_context(PWDF_DRIVER_GLOBALS globals, PVOID context);
/// WdfWorkItemCreate, WdfTimerCreate, WdfDpcCreate: they need a device above them, which a minifilter has not.
NTSTATUS NTAPI work_item_create(PWDF_DRIVER_GLOBALS globals, PVOID config, PWDF_OBJECT_ATTRIBUTES attributes,
                                WDFOBJECT *object);
NTSTATUS NTAPI timer_create(PWDF_DRIVER_GLOBALS globals, PVOID config, PWDF_OBJECT_ATTRIBUTES attributes,
                            WDFOBJECT *object);
NTSTATUS NTAPI dpc_create(PWDF_DRIVER_GLOBALS globals, PVOID config, PWDF_OBJECT_ATTRIBUTES attributes,
                          WDFOBJECT *object);

} // namespace fltsim::wdf
