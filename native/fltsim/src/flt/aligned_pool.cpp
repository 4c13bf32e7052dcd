// SPDX-License-Identifier: MIT
//
// This module provides: pool that is aligned as the device under an instance's volume wants it, for non-cached I/O.

#include "flt/internal.hpp"
#include "ke/pool.hpp"

using namespace fltsim;
using namespace fltsim::flt;

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL. Aligned to 64 bytes, which is more than a device here asks for, and for 0 bytes that many. Null when
/// the fault switch fires.
FLTSIM_KERNEL PVOID FLTAPI FltAllocatePoolAlignedWithTag(PFLT_INSTANCE Instance, POOL_TYPE PoolType,
                                                         SIZE_T NumberOfBytes, ULONG Tag) {
    constexpr const char *kApi = "FltAllocatePoolAlignedWithTag";
    KernelCall call(kApi, DISPATCH_LEVEL);
    instance_of(Instance, kApi);
    if (fault(kApi)) {
        return nullptr;
    }
    constexpr SIZE_T kAlignment = 64;
    return pool::allocate(kApi, static_cast<POOL_TYPE>(PoolType | NonPagedPoolCacheAligned),
                          NumberOfBytes != 0 ? NumberOfBytes : kAlignment, Tag, pool::Origin::FilterManager);
}

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreePoolAlignedWithTag(PFLT_INSTANCE Instance, PVOID Buffer, ULONG Tag) {
    constexpr const char *kApi = "FltFreePoolAlignedWithTag";
    KernelCall call(kApi, DISPATCH_LEVEL);
    instance_of(Instance, kApi);
    pool::release(kApi, Buffer, Tag, pool::Origin::FilterManager);
}
