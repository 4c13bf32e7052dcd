// SPDX-License-Identifier: MIT
#include "wdf/object.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "ke/pool.hpp"
#include "wdf/memory.hpp"

namespace fltsim::wdf {
namespace {

constexpr const char *CONTEXT_API = "WDF object context";

std::string text_of(const void *handle) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", handle);
    return text;
}

} // namespace

void violation(const char *api, std::string_view text) {
    bugcheck("WDF_VIOLATION", api, text);
}

Client::Client(World &world, PDRIVER_OBJECT driver) : driver_object(driver), world_(world) {}

Client::~Client() = default;

Object *Client::find(const void *handle) {
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second.get();
}

Object *Client::object_of_context(const void *memory) {
    const auto found = by_context_.find(memory);
    return found == by_context_.end() ? nullptr : found->second;
}

void Client::bad_handle(const char *api, const void *handle, const char *wanted, Object *found) {
    violation(api, text_of(handle) +
                       (found == nullptr ? " is no handle, or its object is gone"
                                         : std::string(" is a ") + found->type_name()) +
                       "; a " + wanted + " is needed");
}

NTSTATUS Client::check_attributes(const char *api, PWDF_OBJECT_ATTRIBUTES attributes, Object **parent) {
    if (driver == nullptr) {
        violation(api, "no driver object yet: call WdfDriverCreate first");
    }
    *parent = driver;
    if (attributes == nullptr) {
        return STATUS_SUCCESS;
    }
    if (attributes->Size != sizeof(WDF_OBJECT_ATTRIBUTES)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if (attributes->ExecutionLevel != WdfExecutionLevelInheritFromParent) {
        return STATUS_WDF_EXECUTION_LEVEL_INVALID; // KMDF-11
    }
    if (attributes->SynchronizationScope != WdfSynchronizationScopeInheritFromParent) {
        return STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID;
    }
    const PCWDF_OBJECT_CONTEXT_TYPE_INFO type = attributes->ContextTypeInfo;
    if (type != nullptr) {
        if (type->Size != sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO)) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        if (type->UniqueType == nullptr) {
            unmodelled(api, "a shared context type");
        }
        if (attributes->ContextSizeOverride != 0 && attributes->ContextSizeOverride < type->ContextSize) {
            return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID;
        }
    } else if (attributes->ContextSizeOverride != 0) {
        return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID;
    }
    if (attributes->ParentObject != nullptr) {
        *parent = &object<Object>(api, attributes->ParentObject, "parent object");
        if ((*parent)->deleted) {
            return STATUS_DELETE_PENDING;
        }
    }
    return STATUS_SUCCESS;
}

NTSTATUS Client::add_context(Object &object, PWDF_OBJECT_ATTRIBUTES attributes, void **memory) {
    Context context;
    context.type = attributes->ContextTypeInfo;
    context.cleanup = attributes->EvtCleanupCallback;
    context.destroy = attributes->EvtDestroyCallback;
    if (context.type != nullptr) {
        const size_t bytes = std::max(context.type->ContextSize, attributes->ContextSizeOverride);
        if (bytes != 0) {
            context.memory = pool::allocate(CONTEXT_API, NonPagedPoolNx, bytes, tag());
            if (context.memory == nullptr) {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            std::memset(context.memory, 0, bytes);
            by_context_[context.memory] = &object;
        }
    }
    if (context.type != nullptr || context.cleanup != nullptr || context.destroy != nullptr) {
        object.contexts.push_back(context);
    }
    if (memory != nullptr) {
        *memory = context.memory;
    }
    return STATUS_SUCCESS;
}

bool Client::adopt_any(std::unique_ptr<Object> owned, Object *parent, PWDF_OBJECT_ATTRIBUTES attributes) {
    Object &object = *owned;
    if (attributes != nullptr && !NT_SUCCESS(add_context(object, attributes, nullptr))) {
        object.destroy();
        return false;
    }
    object.parent = parent;
    if (parent != nullptr) {
        parent->children.push_back(&object);
    }
    objects_[object.handle()] = std::move(owned);
    return true;
}

void Client::delete_object(const char *api, Object &object) {
    if (object.deleted) {
        violation(api, std::string(object.type_name()) + " " + text_of(object.handle()) + " was deleted before");
    }
    object.check_deletable(api);
    object.deleted = true;
    // A cleanup callback may delete other objects, so the list is read anew each time.
    while (!object.children.empty()) {
        Object &child = *object.children.back();
        if (child.deleted) {
            object.children.pop_back();
            continue;
        }
        delete_object(api, child);
    }
    for (size_t i = 0; i < object.contexts.size(); ++i) {
        if (const auto cleanup = object.contexts[i].cleanup) {
            DriverCall callback("EvtCleanupCallback");
            cleanup(object.handle());
        }
    }
    if (object.parent != nullptr) {
        std::erase(object.parent->children, &object);
        object.parent = nullptr;
    }
    dereference(api, object);
}

void Client::dereference(const char *api, Object &object) {
    if (object.references == 0 || (object.references == 1 && !object.deleted)) {
        violation(api, std::string(object.type_name()) + " " + text_of(object.handle()) +
                           " was dereferenced more often than referenced");
    }
    if (--object.references != 0) {
        return;
    }
    for (size_t i = 0; i < object.contexts.size(); ++i) {
        if (const auto destroy = object.contexts[i].destroy) {
            DriverCall callback("EvtDestroyCallback");
            destroy(object.handle());
        }
    }
    free_object(object);
}

void Client::free_object(Object &object) {
    object.destroy();
    for (const Context &context : object.contexts) {
        if (context.memory != nullptr) {
            by_context_.erase(context.memory);
            pool::release(CONTEXT_API, context.memory, 0);
        }
    }
    if (&object == driver) {
        driver = nullptr;
    }
    objects_.erase(object.handle());
}

void Client::report_leaks() {
    // Objects without a reference of the driver's own are deleted with their parent, which is how the framework is meant to be used. A
    // block of a lookaside list is different: it stands for something the driver took and never gave back.
    std::map<std::string, size_t> leaks;
    for (const auto &[handle, object] : objects_) {
        if (object->references > 1) {
            ++leaks[std::string(object->type_name()) + " with references that were not given back"];
        } else if (const auto *memory = dynamic_cast<const Memory *>(object.get());
                   memory != nullptr && memory->from_lookaside) {
            ++leaks["WDFMEMORY of a lookaside list, tag '" + pool::tag_text(memory->tag) + "'"];
        }
    }
    for (const auto &[what, count] : leaks) {
        world_.leak("framework driver " + std::string(globals.DriverName) + ": " + std::to_string(count) + " " + what +
                    " [KMDF-06]");
    }
}

void Client::delete_driver(const char *api) {
    if (driver == nullptr) {
        return;
    }
    report_leaks();
    delete_object(api, *driver);
    abandon(); // what is still referenced
}

void Client::abandon() {
    while (!objects_.empty()) {
        free_object(*objects_.begin()->second);
    }
    driver = nullptr;
    globals.Driver = nullptr;
}

std::vector<std::string> Client::describe() const {
    std::vector<std::string> lines;
    for (const auto &[handle, object] : objects_) {
        lines.push_back(std::string(globals.DriverName) + ": " + object->type_name() + ", " +
                        std::to_string(object->references) + " references" + (object->deleted ? ", deleted" : ""));
    }
    std::ranges::sort(lines);
    return lines;
}

} // namespace fltsim::wdf
