// SPDX-License-Identifier: MIT
#include "wdf/memory.hpp"

#include "core/faults.hpp"
#include "ke/pool.hpp"

namespace fltsim::wdf {
namespace {

/// A memory object with its buffer; null when there is no memory.
Memory *make_memory(const char *api, Client &client, Object *parent, PWDF_OBJECT_ATTRIBUTES attributes,
                    POOL_TYPE pool_type, uint32_t tag, size_t bytes, bool from_lookaside) {
    auto memory = std::make_unique<Memory>(client);
    memory->bytes = bytes;
    memory->tag = tag;
    memory->from_lookaside = from_lookaside;
    memory->buffer = pool::allocate(api, pool_type, bytes, tag);
    if (memory->buffer == nullptr) {
        return nullptr;
    }
    return client.adopt(std::move(memory), parent, attributes);
}

} // namespace

void Memory::destroy() {
    if (buffer != nullptr) {
        pool::release("WDFMEMORY", buffer, tag);
        buffer = nullptr;
    }
}

/// IRQL <= DISPATCH_LEVEL, paged <= APC_LEVEL. The buffer is not zeroed. STATUS_INVALID_PARAMETER for 0 bytes, STATUS_INSUFFICIENT_RESOURCES.
NTSTATUS NTAPI memory_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, POOL_TYPE pool_type,
                             ULONG pool_tag, size_t bytes, WDFMEMORY *memory, PVOID *buffer) {
    KernelCall call("WdfMemoryCreate", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfMemoryCreate", globals);
    if (memory == nullptr) {
        violation("WdfMemoryCreate", "Memory is null");
    }
    *memory = nullptr;
    if (buffer != nullptr) {
        *buffer = nullptr;
    }
    if (bytes == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    Object *parent = nullptr;
    const NTSTATUS status = client.check_attributes("WdfMemoryCreate", attributes, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    Memory *made = nullptr;
    if (!fault("WdfMemoryCreate")) {
        made = make_memory("WdfMemoryCreate", client, parent, attributes, pool_type,
                           pool_tag != 0 ? pool_tag : client.tag(), bytes, false);
    }
    if (made == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *memory = static_cast<WDFMEMORY>(made->handle());
    if (buffer != nullptr) {
        *buffer = made->buffer;
    }
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL.
PVOID NTAPI memory_get_buffer(PWDF_DRIVER_GLOBALS globals, WDFMEMORY handle, size_t *bytes) {
    KernelCall call("WdfMemoryGetBuffer", DISPATCH_LEVEL);
    Memory &memory =
        world().wdf->client("WdfMemoryGetBuffer", globals).object<Memory>("WdfMemoryGetBuffer", handle, "WDFMEMORY");
    if (bytes != nullptr) {
        *bytes = memory.bytes;
    }
    return memory.buffer;
}

/// IRQL <= DISPATCH_LEVEL. STATUS_INVALID_PARAMETER for 0 bytes, STATUS_INSUFFICIENT_RESOURCES.
NTSTATUS NTAPI lookaside_list_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, size_t bytes,
                                     POOL_TYPE pool_type, PWDF_OBJECT_ATTRIBUTES memory_attributes, ULONG pool_tag,
                                     WDFLOOKASIDE *lookaside) {
    KernelCall call("WdfLookasideListCreate", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfLookasideListCreate", globals);
    if (lookaside == nullptr) {
        violation("WdfLookasideListCreate", "Lookaside is null");
    }
    *lookaside = nullptr;
    if (bytes == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    Object *parent = nullptr;
    NTSTATUS status = client.check_attributes("WdfLookasideListCreate", attributes, &parent);
    if (NT_SUCCESS(status) && memory_attributes != nullptr) {
        Object *memory_parent = nullptr;
        status = client.check_attributes("WdfLookasideListCreate", memory_attributes, &memory_parent);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (const auto failure = failing("WdfLookasideListCreate")) {
        return *failure;
    }
    auto made = std::make_unique<Lookaside>(client);
    made->bytes = bytes;
    made->tag = pool_tag != 0 ? pool_tag : client.tag();
    made->pool_type = pool_type;
    if (memory_attributes != nullptr) {
        made->has_memory_attributes = true;
        made->memory_attributes = *memory_attributes;
    }
    Lookaside *list = client.adopt(std::move(made), parent, attributes);
    if (list == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *lookaside = static_cast<WDFLOOKASIDE>(list->handle());
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL, a paged list <= APC_LEVEL. STATUS_INSUFFICIENT_RESOURCES.
NTSTATUS NTAPI memory_create_from_lookaside(PWDF_DRIVER_GLOBALS globals, WDFLOOKASIDE lookaside, WDFMEMORY *memory) {
    KernelCall call("WdfMemoryCreateFromLookaside", DISPATCH_LEVEL);
    Client &client = world().wdf->client("WdfMemoryCreateFromLookaside", globals);
    Lookaside &list = client.object<Lookaside>("WdfMemoryCreateFromLookaside", lookaside, "WDFLOOKASIDE");
    if (list.deleted) {
        violation("WdfMemoryCreateFromLookaside", "the lookaside list was deleted");
    }
    *memory = nullptr;
    PWDF_OBJECT_ATTRIBUTES attributes = list.has_memory_attributes ? &list.memory_attributes : nullptr;
    Object *parent = nullptr;
    const NTSTATUS status = client.check_attributes("WdfMemoryCreateFromLookaside", attributes, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    Memory *made = nullptr;
    if (!fault("WdfMemoryCreateFromLookaside")) {
        made = make_memory("WdfMemoryCreateFromLookaside", client, parent, attributes, list.pool_type, list.tag,
                           list.bytes, true);
    }
    if (made == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *memory = static_cast<WDFMEMORY>(made->handle());
    return STATUS_SUCCESS;
}

} // namespace fltsim::wdf
