// SPDX-License-Identifier: MIT
//
// This module provides: memory objects and lookaside lists. A lookaside list keeps nothing: every block is fresh pool memory, so that the
// pool's checks see each use of a block.
#pragma once

#include "wdf/object.hpp"

namespace fltsim::wdf {

class Memory final : public Object {
  public:
    using Object::Object;
    const char *type_name() const override { return "WDFMEMORY"; }
    void destroy() override;
    void *buffer = nullptr;
    size_t bytes = 0;
    uint32_t tag = 0;
    bool from_lookaside = false;
};

class Lookaside final : public Object {
  public:
    using Object::Object;
    const char *type_name() const override { return "WDFLOOKASIDE"; }
    size_t bytes = 0;
    uint32_t tag = 0;
    POOL_TYPE pool_type = NonPagedPoolNx;
    bool has_memory_attributes = false;
    WDF_OBJECT_ATTRIBUTES memory_attributes{};
};

NTSTATUS NTAPI memory_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, POOL_TYPE pool_type,
                             ULONG pool_tag, size_t bytes, WDFMEMORY *memory, PVOID *buffer);
PVOID NTAPI memory_get_buffer(PWDF_DRIVER_GLOBALS globals, WDFMEMORY memory, size_t *bytes);
NTSTATUS NTAPI lookaside_list_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, size_t bytes,
                                     POOL_TYPE pool_type, PWDF_OBJECT_ATTRIBUTES memory_attributes, ULONG pool_tag,
                                     WDFLOOKASIDE *lookaside);
NTSTATUS NTAPI memory_create_from_lookaside(PWDF_DRIVER_GLOBALS globals, WDFLOOKASIDE lookaside, WDFMEMORY *memory);

} // namespace fltsim::wdf
