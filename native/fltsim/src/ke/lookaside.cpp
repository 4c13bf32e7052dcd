// SPDX-License-Identifier: MIT
//
// This module provides: interlocked singly linked lists (SLIST_HEADER) and the lookaside lists of the executive. Taking from a lookaside list and
// putting back is inline code of the driver, on these lists and on the two routines in the structure.
//
// A lookaside list keeps nothing here: its Depth is 0, as Driver Verifier has it, so that each entry comes from its allocation routine and goes back
// to its free routine, and the pool's checks see every one.
#include <cstring>
#include <string>

#include "ke/pool.hpp"
#include "ke/state.hpp"

using namespace fltsim;

namespace {

// The header's words: depth and sequence; the first entry's address, whose low four bits are reserved.
constexpr uint64_t DEPTH = 0xFFFF;
constexpr uint64_t ONE_SEQUENCE = 0x10000;
constexpr uint64_t RESERVED = 0xF;

PSLIST_ENTRY first(const SLIST_HEADER &head) {
    return reinterpret_cast<PSLIST_ENTRY>(head.Region & ~RESERVED);
}

/// `change` is 1 or -1.
void set_first(SLIST_HEADER &head, PSLIST_ENTRY entry, int change) {
    const uint64_t depth = (head.Alignment + static_cast<uint64_t>(static_cast<int64_t>(change))) & DEPTH;
    head.Alignment = ((head.Alignment & ~DEPTH) + ONE_SEQUENCE) | depth;
    head.Region = (head.Region & RESERVED) | reinterpret_cast<uint64_t>(entry);
}

void check_aligned(const char *api, const void *storage) {
    if (storage == nullptr || reinterpret_cast<uintptr_t>(storage) % alignof(SLIST_ENTRY) != 0) {
        bugcheck("SLIST storage", api, "list heads and entries are aligned to 16 bytes");
    }
}

std::string list_text(const void *list) {
    char text[48];
    std::snprintf(text, sizeof text, "lookaside list %p", list);
    return text;
}

void initialise(const char *api, GENERAL_LOOKASIDE &list, POOL_TYPE type, PALLOCATE_FUNCTION allocate,
                PFREE_FUNCTION free, ULONG flags, SIZE_T size, ULONG tag) {
    check_aligned(api, &list);
    constexpr ULONG kNx = POOL_NX_ALLOCATION;
    if ((flags & ~kNx) != 0) {
        unmodelled(api, "Flags " + std::to_string(flags));
    }
    if (size < sizeof(PVOID) || size > MAXLONG) {
        bugcheck("LOOKASIDE entry size", api, std::to_string(size) + " bytes: an entry on the list holds a pointer");
    }
    if (!ke::world_state().lookasides.insert(&list).second) {
        bugcheck("LOOKASIDE initialised again", api, list_text(&list) + ": delete it first");
    }
    list = GENERAL_LOOKASIDE{};
    list.Type = type == PagedPool ? PagedPool : static_cast<POOL_TYPE>(type | flags);
    list.Tag = tag;
    list.Size = static_cast<ULONG>(size);
    list.Allocate = allocate != nullptr ? allocate : &ExAllocatePoolWithTag;
    list.Free = free != nullptr ? free : &ExFreePool;
    list.ListEntry.Flink = &list.ListEntry;
    list.ListEntry.Blink = &list.ListEntry;
}

void remove(const char *api, GENERAL_LOOKASIDE &list) {
    if (ke::world_state().lookasides.erase(&list) == 0) {
        bugcheck("LOOKASIDE not initialised", api,
                 list_text(&list) + ": it was never initialised, was moved, or was deleted");
    }
    while (PSLIST_ENTRY entry = first(list.ListHead)) { // put there by the driver itself
        set_first(list.ListHead, entry->Next, -1);
        DriverCall driver("free routine of a lookaside list");
        list.Free(entry);
    }
}

} // namespace

void ke::check_no_lookaside(const char *api, const void *memory, size_t bytes) {
    const auto &all = world_state().lookasides;
    const auto found = all.lower_bound(memory);
    if (found != all.end() && *found < static_cast<const char *>(memory) + bytes) {
        bugcheck("LOOKASIDE in memory that is freed", api, list_text(*found) + ": delete it first");
    }
}

void ke::report_lookaside_leaks() {
    for (const void *list : world_state().lookasides) {
        world().leak(list_text(list) + " was never deleted");
    }
    world_state().lookasides.clear();
}

/// IRQL <= DISPATCH_LEVEL. Depth is reserved.
FLTSIM_KERNEL void NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                                         PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag,
                                                         USHORT Depth) {
    constexpr const char *kApi = "ExInitializeNPagedLookasideList";
    KernelCall call(kApi, DISPATCH_LEVEL);
    initialise(kApi, Lookaside->L, NonPagedPool, Allocate, Free, Flags, Size, Tag);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside) {
    constexpr const char *kApi = "ExDeleteNPagedLookasideList";
    KernelCall call(kApi, DISPATCH_LEVEL);
    remove(kApi, Lookaside->L);
}

/// IRQL <= APC_LEVEL. Depth is reserved.
FLTSIM_KERNEL void NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                                        PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag,
                                                        USHORT Depth) {
    constexpr const char *kApi = "ExInitializePagedLookasideList";
    KernelCall call(kApi, APC_LEVEL);
    initialise(kApi, Lookaside->L, PagedPool, Allocate, Free, Flags, Size, Tag);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL void NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside) {
    constexpr const char *kApi = "ExDeletePagedLookasideList";
    KernelCall call(kApi, APC_LEVEL);
    remove(kApi, Lookaside->L);
}

/// Any IRQL. Null when the list is empty.
FLTSIM_KERNEL_OF_HEADERS PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead) {
    constexpr const char *kApi = "ExpInterlockedPopEntrySList";
    KernelCall call(kApi, HIGH_LEVEL);
    check_aligned(kApi, ListHead);
    const PSLIST_ENTRY entry = first(*ListHead);
    if (entry != nullptr) {
        set_first(*ListHead, entry->Next, -1);
    }
    return entry;
}

/// Any IRQL. Returns what was first before.
FLTSIM_KERNEL_OF_HEADERS PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead,
                                                                         PSLIST_ENTRY ListEntry) {
    constexpr const char *kApi = "ExpInterlockedPushEntrySList";
    KernelCall call(kApi, HIGH_LEVEL);
    check_aligned(kApi, ListHead);
    check_aligned(kApi, ListEntry);
    const PSLIST_ENTRY before = first(*ListHead);
    ListEntry->Next = before;
    set_first(*ListHead, ListEntry, 1);
    return before;
}

/// Any IRQL.
FLTSIM_KERNEL_OF_HEADERS USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER SListHead) {
    constexpr const char *kApi = "ExQueryDepthSList";
    KernelCall call(kApi, HIGH_LEVEL);
    check_aligned(kApi, SListHead);
    return static_cast<USHORT>(SListHead->Alignment & DEPTH);
}
