// SPDX-License-Identifier: MIT
//
// This module provides: the helpers that the kernel headers define inline: lists, flags, memory, and names that are macros
// over another call.
//
// The list helpers check the links as the real ones do: a corrupt list stops at once.

#pragma once

#include "wdm_functions.h"

EXTERN_C_START

// ---- doubly linked lists ---------------------------------------------------------------------------------------------------
/// A link does not lead back to where it came from: fast fail 3 (corrupt list entry) on Windows, a trap elsewhere.
DECLSPEC_NORETURN FORCEINLINE VOID FatalListEntryError(_In_ PVOID P1, _In_ PVOID P2, _In_ PVOID P3) {
    (void)P1;
    (void)P2;
    (void)P3;
#if defined(_WIN32) && defined(__x86_64__) && !defined(FLTSIM_HOST)
    __asm__ __volatile__("int $0x29" ::"c"(3));
#elif defined(_WIN32) && !defined(FLTSIM_HOST)
    register ULONG Code __asm__("w0") = 3;
    __asm__ __volatile__("brk #0xf003" ::"r"(Code));
#endif
    __builtin_trap();
}

FORCEINLINE VOID InitializeListHead(_Out_ PLIST_ENTRY ListHead) {
    ListHead->Flink = ListHead->Blink = ListHead;
}

FORCEINLINE BOOLEAN IsListEmpty(_In_ const LIST_ENTRY *ListHead) {
    return ListHead->Flink == ListHead;
}

FORCEINLINE VOID RtlpCheckListEntry(_In_ PLIST_ENTRY Entry) {
    if (Entry->Flink->Blink != Entry || Entry->Blink->Flink != Entry) {
        FatalListEntryError(Entry->Blink, Entry, Entry->Flink);
    }
}

/// True when the list is empty afterwards.
FORCEINLINE BOOLEAN RemoveEntryList(_In_ PLIST_ENTRY Entry) {
    PLIST_ENTRY Next = Entry->Flink;
    PLIST_ENTRY Previous = Entry->Blink;

    RtlpCheckListEntry(Entry);
    Previous->Flink = Next;
    Next->Blink = Previous;
    return Next == Previous;
}

FORCEINLINE PLIST_ENTRY RemoveHeadList(_Inout_ PLIST_ENTRY ListHead) {
    PLIST_ENTRY Entry = ListHead->Flink;

    (void)RemoveEntryList(Entry);
    return Entry;
}

FORCEINLINE PLIST_ENTRY RemoveTailList(_Inout_ PLIST_ENTRY ListHead) {
    PLIST_ENTRY Entry = ListHead->Blink;

    (void)RemoveEntryList(Entry);
    return Entry;
}

FORCEINLINE VOID InsertTailList(_Inout_ PLIST_ENTRY ListHead, _Out_ PLIST_ENTRY Entry) {
    PLIST_ENTRY Previous = ListHead->Blink;

    RtlpCheckListEntry(ListHead);
    Entry->Flink = ListHead;
    Entry->Blink = Previous;
    Previous->Flink = Entry;
    ListHead->Blink = Entry;
}

FORCEINLINE VOID InsertHeadList(_Inout_ PLIST_ENTRY ListHead, _Out_ PLIST_ENTRY Entry) {
    PLIST_ENTRY Next = ListHead->Flink;

    RtlpCheckListEntry(ListHead);
    Entry->Flink = Next;
    Entry->Blink = ListHead;
    Next->Blink = Entry;
    ListHead->Flink = Entry;
}

EXTERN_C_END

// ---- memory ----------------------------------------------------------------------------------------------------------------
#define RtlCopyMemory(Destination, Source, Length) ((void)__builtin_memcpy((Destination), (Source), (Length)))
#define RtlMoveMemory(Destination, Source, Length) ((void)__builtin_memmove((Destination), (Source), (Length)))
#define RtlFillMemory(Destination, Length, Fill) ((void)__builtin_memset((Destination), (Fill), (Length)))
#define RtlZeroMemory(Destination, Length) ((void)__builtin_memset((Destination), 0, (Length)))
#define RtlEqualMemory(Destination, Source, Length) (!__builtin_memcmp((Destination), (Source), (Length)))

// ---- flags and alignment ---------------------------------------------------------------------------------------------------
#define FlagOn(Flags, Bits) ((Flags) & (Bits))
#define BooleanFlagOn(Flags, Bits) ((BOOLEAN)(((Flags) & (Bits)) != 0))
#define SetFlag(Flags, Bits) ((Flags) |= (Bits))
#define ClearFlag(Flags, Bits) ((Flags) &= ~(Bits))
#define ALIGN_DOWN_BY(Length, Alignment) ((ULONG_PTR)(Length) & ~((ULONG_PTR)(Alignment) - 1))
#define ALIGN_UP_BY(Length, Alignment) (ALIGN_DOWN_BY(((ULONG_PTR)(Length) + (Alignment) - 1), Alignment))
#define ROUND_TO_SIZE(Length, Alignment) ALIGN_UP_BY(Length, Alignment)

// ---- lookaside lists
#define InterlockedPopEntrySList(Head) ExpInterlockedPopEntrySList(Head)
#define InterlockedPushEntrySList(Head, Entry) ExpInterlockedPushEntrySList((Head), (Entry))

FORCEINLINE PVOID ExAllocateFromNPagedLookasideList(_Inout_ PNPAGED_LOOKASIDE_LIST Lookaside) {
    PVOID Entry;

    Lookaside->L.TotalAllocates += 1;
    Entry = InterlockedPopEntrySList(&Lookaside->L.ListHead);
    if (Entry == NULL) {
        Lookaside->L.AllocateMisses += 1;
        Entry = Lookaside->L.Allocate(Lookaside->L.Type, Lookaside->L.Size, Lookaside->L.Tag);
    }
    return Entry;
}

FORCEINLINE VOID ExFreeToNPagedLookasideList(_Inout_ PNPAGED_LOOKASIDE_LIST Lookaside, _In_ PVOID Entry) {
    Lookaside->L.TotalFrees += 1;
    if (ExQueryDepthSList(&Lookaside->L.ListHead) >= Lookaside->L.Depth) {
        Lookaside->L.FreeMisses += 1;
        Lookaside->L.Free(Entry);
    } else {
        InterlockedPushEntrySList(&Lookaside->L.ListHead, (PSLIST_ENTRY)Entry);
    }
}

// ---- names over other calls ------------------------------------------------------------------------------------------------
#define ObReferenceObject(Object) ObfReferenceObject(Object)
#define ObDereferenceObject(Object) ObfDereferenceObject(Object)
#define PsGetCurrentProcess() IoGetCurrentProcess()
#define KeAcquireSpinLock(SpinLock, OldIrql) (*(OldIrql) = KeAcquireSpinLockRaiseToDpc(SpinLock))
#define FsRtlEnterFileSystem() KeEnterCriticalRegion()
#define FsRtlExitFileSystem() KeLeaveCriticalRegion()
#define ZwCurrentProcess() ((HANDLE)(LONG_PTR)(-1))
#define ZwCurrentThread() ((HANDLE)(LONG_PTR)(-2))
#define NtCurrentProcess() ZwCurrentProcess()
#define NtCurrentThread() ZwCurrentThread()
/// Pageable code is not modelled: the IRQL limits of the calls themselves are checked.
#define PAGED_CODE() ((void)0)
#define PAGED_CODE_LOCKED() ((void)0)
#if DBG
#define NT_ASSERT(Condition) ((Condition) ? (void)0 : RtlAssert((PVOID) #Condition, (PVOID)__FILE__, __LINE__, NULL))
#define NT_VERIFY(Condition) NT_ASSERT(Condition)
#else
#define NT_ASSERT(Condition) ((void)0)
#define NT_VERIFY(Condition) ((void)(Condition))
#endif
#define FLT_ASSERT(Condition) ((void)0)
#if !defined(ASSERT)
#define ASSERT(Condition) ((void)0)
#endif
