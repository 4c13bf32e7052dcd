// SPDX-License-Identifier: MIT
//
// This module provides: memory descriptor lists (V26).
//
//      IoAllocateMdl, MmInitializeMdl --> described --MmBuildMdlForNonPagedPool--> nonpaged --------------------------> IoFreeMdl
//                                            |  `--MmProbeAndLockPages--> locked <--map, unmap--> mapped      \ as it is
//                                            |                              `----MmUnlockPages----' --> described
//                                            `--IoBuildPartialMdl--> partial, of one that is locked, mapped or nonpaged
//
// The state is MdlFlags alone, as on Windows. Mapping gives the address that the memory has already; page frame numbers stay as they were allocated.

#include "ke/mdl.hpp"

#include <cstdio>
#include <string>

#include "core/faults.hpp"
#include "ke/pool.hpp"
#include "ke/seh.hpp"
#include "ke/state.hpp"

using namespace fltsim;

namespace {

constexpr ULONG MDL_TAG = 0x206C644D; // "Mdl "
constexpr CSHORT HAS_PAGES = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;

bool has_flag(const MDL &mdl, int flags) {
    return (mdl.MdlFlags & flags) != 0;
}

void set_flags(MDL &mdl, int flags) {
    mdl.MdlFlags = static_cast<CSHORT>(mdl.MdlFlags | flags);
}

void clear_flags(MDL &mdl, int flags) {
    mdl.MdlFlags = static_cast<CSHORT>(mdl.MdlFlags & ~flags);
}

std::string address_text(const void *address) {
    char text[20];
    std::snprintf(text, sizeof text, "%p", address);
    return text;
}

std::string mdl_text(const MDL &mdl) {
    return "MDL of " + std::to_string(mdl.ByteCount) + " bytes at " + address_text(MmGetMdlVirtualAddress(&mdl));
}

size_t bytes_of_mdl(const void *buffer, size_t bytes) {
    return sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(buffer, bytes);
}

[[noreturn]] void bad_mdl(const char *api, const MDL &mdl, const std::string &text) {
    bugcheck("V26 MDL", api, mdl_text(mdl) + ": " + text);
}

void check_no_pages(const char *api, const MDL &mdl) {
    if (has_flag(mdl, MDL_PAGES_LOCKED)) {
        bad_mdl(api, mdl, "its pages are locked already; MmUnlockPages comes first");
    }
    if (has_flag(mdl, MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)) {
        bad_mdl(api, mdl, "it was built by MmBuildMdlForNonPagedPool or IoBuildPartialMdl: there is nothing to lock");
    }
}

void unlock(MDL &mdl) {
    clear_flags(mdl, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION | MDL_MAPPED_TO_SYSTEM_VA);
    mdl.MappedSystemVa = nullptr;
    mdl.Process = nullptr;
}

void free_mdl(const char *api, PMDL mdl) {
    if (!pool::is_freed(mdl) && has_flag(*mdl, MDL_PAGES_LOCKED)) {
        bad_mdl(api, *mdl, "freed while its pages are locked: call MmUnlockPages first");
    }
    pool::release(api, mdl, 0, pool::Origin::IoManager);
}

} // namespace

namespace fltsim::ke {

std::unique_ptr<MDL> describe_locked(void *buffer, uint32_t bytes, bool written) {
    auto mdl = std::make_unique<MDL>();
    MmInitializeMdl(mdl.get(), buffer, bytes);
    mdl->Size = sizeof(MDL);
    set_flags(*mdl, MDL_PAGES_LOCKED | (written ? MDL_WRITE_OPERATION : 0));
    return mdl;
}

void *data_memory(const char *what, PMDL mdl, void *buffer, size_t bytes) {
    if (mdl == nullptr) {
        return buffer;
    }
    if (pool::is_freed(mdl)) {
        bugcheck("V26 MDL", what, "MDL at " + address_text(mdl) + ": it was freed, and the operation still has it");
    }
    if (mdl->Next != nullptr) {
        unmodelled(what, "data behind more than one MDL");
    }
    if (!has_flag(*mdl, HAS_PAGES)) {
        bad_mdl(what, *mdl,
                "its pages are not locked: call MmBuildMdlForNonPagedPool or MmProbeAndLockPages before passing it on");
    }
    if (mdl->ByteCount < bytes) {
        bad_mdl(what, *mdl, "the operation is about " + std::to_string(bytes) + " bytes");
    }
    return MmGetMdlVirtualAddress(mdl);
}

bool can_touch(const void *buffer, size_t bytes, bool write) {
    const auto first = reinterpret_cast<uintptr_t>(buffer);
    const uintptr_t last = first + bytes - 1;
    for (uintptr_t at = first; bytes != 0 && at <= last; at = (at / PAGE_SIZE + 1) * PAGE_SIZE) {
        if (!seh::try_touch(reinterpret_cast<void *>(at), write)) {
            return false;
        }
    }
    return true;
}

void free_swapped(PMDL mdl) {
    constexpr const char *kWho = "Filter Manager, which frees an MDL that was swapped in";
    if (pool::is_freed(mdl)) {
        bugcheck("V26 MDL", kWho,
                 "MDL at " + address_text(mdl) +
                     ": the driver has freed it: call FltRetainSwappedBufferMdlAddress, or leave it");
    }
    if (has_flag(*mdl, MDL_PAGES_LOCKED)) {
        unlock(*mdl);
    }
    free_mdl(kWho, mdl);
}

} // namespace fltsim::ke

/// ChargeQuota has no effect. Null when the fault switch fires, or for more than 4 GB less a page.
FLTSIM_KERNEL PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN, PIRP Irp) {
    constexpr const char *kApi = "IoAllocateMdl";
    const KernelCall call(kApi);
    if (Irp != nullptr) {
        unmodelled(kApi, "an MDL for an IRP");
    }
    if (SecondaryBuffer) {
        bugcheck("VER-02 parameter", kApi, "SecondaryBuffer without an IRP");
    }
    if (fault(kApi) || Length > ULONG{0} - PAGE_SIZE) {
        return nullptr;
    }
    const size_t bytes = bytes_of_mdl(VirtualAddress, Length);
    const auto mdl = static_cast<PMDL>(pool::allocate(kApi, NonPagedPoolNx, bytes, MDL_TAG, pool::Origin::IoManager));
    if (mdl != nullptr) {
        MmInitializeMdl(mdl, VirtualAddress, Length);
        mdl->MdlFlags = MDL_ALLOCATED_FIXED_SIZE;
        mdl->MappedSystemVa = nullptr;
        mdl->Process = nullptr;
    }
    return mdl;
}

FLTSIM_KERNEL void NTAPI IoFreeMdl(PMDL Mdl) {
    constexpr const char *kApi = "IoFreeMdl";
    const KernelCall call(kApi);
    if (Mdl == nullptr) {
        bugcheck("V26 MDL", kApi, "the MDL is null");
    }
    free_mdl(kApi, Mdl);
}

FLTSIM_KERNEL void NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length) {
    constexpr const char *kApi = "IoBuildPartialMdl";
    const KernelCall call(kApi);
    if (!has_flag(*SourceMdl, HAS_PAGES)) {
        bad_mdl(kApi, *SourceMdl, "the source's pages are not locked");
    }
    if (has_flag(*TargetMdl, MDL_PAGES_LOCKED | MDL_PARTIAL_HAS_BEEN_MAPPED)) {
        bad_mdl(kApi, *TargetMdl, "the target is in use: call MmPrepareMdlForReuse first");
    }
    const auto source = reinterpret_cast<uintptr_t>(MmGetMdlVirtualAddress(SourceMdl));
    const auto first = reinterpret_cast<uintptr_t>(VirtualAddress);
    if (first < source || first - source > SourceMdl->ByteCount || Length > SourceMdl->ByteCount - (first - source)) {
        bad_mdl(kApi, *SourceMdl,
                std::to_string(Length) + " bytes at " + address_text(VirtualAddress) +
                    " are not all in what it describes");
    }
    const ULONG bytes = Length != 0 ? Length : SourceMdl->ByteCount - static_cast<ULONG>(first - source);
    if (static_cast<size_t>(TargetMdl->Size) < bytes_of_mdl(VirtualAddress, bytes)) {
        bad_mdl(kApi, *TargetMdl, "the target has room for fewer pages");
    }
    const int allocated = TargetMdl->MdlFlags & MDL_ALLOCATED_FIXED_SIZE;
    const CSHORT size = TargetMdl->Size;
    MmInitializeMdl(TargetMdl, VirtualAddress, bytes);
    TargetMdl->Size = size;
    TargetMdl->Process = SourceMdl->Process;
    const int inherited =
        SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA | MDL_IO_PAGE_READ);
    TargetMdl->MdlFlags = static_cast<CSHORT>(allocated | MDL_PARTIAL | inherited);
    TargetMdl->MappedSystemVa =
        has_flag(*TargetMdl, MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA) ? VirtualAddress : nullptr;
}

FLTSIM_KERNEL void NTAPI MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList) {
    constexpr const char *kApi = "MmBuildMdlForNonPagedPool";
    const KernelCall call(kApi);
    MDL &mdl = *MemoryDescriptorList;
    check_no_pages(kApi, mdl);
    void *const memory = MmGetMdlVirtualAddress(&mdl);
    if (memory == nullptr || pool::is_freed(memory)) {
        bad_mdl(kApi, mdl, "there is no memory");
    }
    if (pool::is_paged(memory)) {
        bad_mdl(kApi, mdl, "that is paged pool: lock it with MmProbeAndLockPages");
    }
    mdl.Process = nullptr;
    mdl.MappedSystemVa = memory;
    set_flags(mdl, MDL_SOURCE_IS_NONPAGED_POOL);
}

/// UserMode: the range is looked at as by ProbeForRead. Pages that cannot be touched raise STATUS_ACCESS_VIOLATION.
FLTSIM_KERNEL void NTAPI MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                             LOCK_OPERATION Operation) {
    constexpr const char *kApi = "MmProbeAndLockPages";
    MDL &mdl = *MemoryDescriptorList;
    bool good = false;
    {
        const KernelCall call(kApi);
        check_no_pages(kApi, mdl);
        void *const memory = MmGetMdlVirtualAddress(&mdl);
        if (executing().irql > APC_LEVEL && (AccessMode == UserMode || pool::is_paged(memory))) {
            bugcheck("V5 IRQL too high", kApi, mdl_text(mdl) + ": pageable memory, at DISPATCH_LEVEL");
        }
        const bool write = Operation != IoReadAccess;
        good = (AccessMode == KernelMode || seh::is_user_range(memory, mdl.ByteCount)) &&
               ke::can_touch(memory, mdl.ByteCount, write);
        if (good) {
            set_flags(mdl, MDL_PAGES_LOCKED | (write ? MDL_WRITE_OPERATION : 0));
        }
    }
    if (!good) {
        seh::raise(STATUS_ACCESS_VIOLATION, kApi);
    }
}

FLTSIM_KERNEL void NTAPI MmUnlockPages(PMDL MemoryDescriptorList) {
    constexpr const char *kApi = "MmUnlockPages";
    const KernelCall call(kApi);
    if (!has_flag(*MemoryDescriptorList, MDL_PAGES_LOCKED)) {
        bad_mdl(kApi, *MemoryDescriptorList, "MmProbeAndLockPages has not locked its pages");
    }
    unlock(*MemoryDescriptorList);
}

FLTSIM_KERNEL_OF_HEADERS PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                                                  MEMORY_CACHING_TYPE, PVOID, ULONG BugCheckOnFailure,
                                                                  ULONG Priority) {
    constexpr const char *kApi = "MmMapLockedPagesSpecifyCache";
    const KernelCall call(kApi);
    MDL &mdl = *MemoryDescriptorList;
    if (AccessMode != KernelMode) {
        unmodelled(kApi, "a mapping for a process");
    }
    if (BugCheckOnFailure) {
        bugcheck("VER-02 parameter", kApi, "BugCheckOnFailure: drivers must say FALSE, and look at the result");
    }
    if ((Priority & MdlMappingNoExecute) == 0) {
        bad_mdl(kApi, mdl, "an executable mapping: or MdlMappingNoExecute to the priority [HVCI-01]");
    }
    if (!has_flag(mdl, HAS_PAGES)) {
        bad_mdl(kApi, mdl, "its pages are not locked");
    }
    if (has_flag(mdl, MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) {
        bad_mdl(kApi, mdl, "it is mapped already: MmGetSystemAddressForMdlSafe gives that address");
    }
    if (fault(kApi)) {
        return nullptr;
    }
    mdl.MappedSystemVa = MmGetMdlVirtualAddress(&mdl);
    set_flags(mdl, MDL_MAPPED_TO_SYSTEM_VA | (has_flag(mdl, MDL_PARTIAL) ? MDL_PARTIAL_HAS_BEEN_MAPPED : 0));
    return mdl.MappedSystemVa;
}

FLTSIM_KERNEL_OF_HEADERS void NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList) {
    constexpr const char *kApi = "MmUnmapLockedPages";
    const KernelCall call(kApi);
    MDL &mdl = *MemoryDescriptorList;
    if (!has_flag(mdl, MDL_MAPPED_TO_SYSTEM_VA) || BaseAddress != mdl.MappedSystemVa) {
        bad_mdl(kApi, mdl, address_text(BaseAddress) + " is not its mapping");
    }
    clear_flags(mdl, MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
    mdl.MappedSystemVa = nullptr;
}

FLTSIM_KERNEL SIZE_T NTAPI MmSizeOfMdl(PVOID Base, SIZE_T Length) {
    const KernelCall call("MmSizeOfMdl", HIGH_LEVEL);
    return bytes_of_mdl(Base, Length);
}
