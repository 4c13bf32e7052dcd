// SPDX-License-Identifier: MIT
//
// This module provides: the kernel's exported calls, with their IRQL limits: Ke, Ex, Ps, Ob, Io, Zw, Rtl, Dbg.
//
// Every prototype carries NTAPI. The inline helpers over them are in wdm_inline.h.

#pragma once

#include "wdm_io.h"

EXTERN_C_START

// ---- events, semaphores, waiting

/// Any IRQL.
void NTAPI KeInitializeEvent(_Out_ PRKEVENT Event, _In_ EVENT_TYPE Type, _In_ BOOLEAN State);

/// IRQL <= APC_LEVEL.
LONG NTAPI KeSetEvent(_Inout_ PRKEVENT Event, _In_ KPRIORITY Increment, _In_ BOOLEAN Wait);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI KeClearEvent(_Inout_ PRKEVENT Event);

/// IRQL <= DISPATCH_LEVEL.
LONG NTAPI KeResetEvent(_Inout_ PRKEVENT Event);

/// IRQL <= DISPATCH_LEVEL.
LONG NTAPI KeReadStateEvent(_In_ PRKEVENT Event);

typedef struct _KSEMAPHORE *PRKSEMAPHORE;
/// IRQL <= DISPATCH_LEVEL.
void NTAPI KeInitializeSemaphore(_Out_ PRKSEMAPHORE Semaphore, _In_ LONG Count, _In_ LONG Limit);

/// IRQL <= APC_LEVEL.
LONG NTAPI KeReleaseSemaphore(_Inout_ PRKSEMAPHORE Semaphore, _In_ KPRIORITY Increment, _In_ LONG Adjustment,
                              _In_ BOOLEAN Wait);

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI KeWaitForSingleObject(_In_ PVOID Object, _In_ KWAIT_REASON WaitReason, _In_ KPROCESSOR_MODE WaitMode,
                                     _In_ BOOLEAN Alertable, _In_opt_ PLARGE_INTEGER Timeout);

/// IRQL <= APC_LEVEL.
NTSTATUS NTAPI KeDelayExecutionThread(_In_ KPROCESSOR_MODE WaitMode, _In_ BOOLEAN Alertable,
                                      _In_ PLARGE_INTEGER Interval);

// ---- time and processors

/// Any IRQL.
ULONG64 NTAPI KeQueryInterruptTimePrecise(_Out_ PULONG64 QpcTimeStamp);

/// Any IRQL.
void NTAPI KeQuerySystemTimePrecise(_Out_ PLARGE_INTEGER CurrentTime);

/// Any IRQL.
LARGE_INTEGER NTAPI KeQueryPerformanceCounter(_Out_opt_ PLARGE_INTEGER PerformanceFrequency);

/// Any IRQL.
ULONG NTAPI KeGetCurrentProcessorNumberEx(_Out_opt_ PPROCESSOR_NUMBER ProcNumber);

/// Any IRQL.
ULONG NTAPI KeQueryMaximumProcessorCountEx(_In_ USHORT GroupNumber);

/// Any IRQL.
ULONG NTAPI KeQueryActiveProcessorCountEx(_In_ USHORT GroupNumber);

// ---- IRQL, regions, locks

/// IRQL <= APC_LEVEL.
void NTAPI KeEnterCriticalRegion(VOID);

/// IRQL <= APC_LEVEL.
void NTAPI KeLeaveCriticalRegion(VOID);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI KeAreAllApcsDisabled(VOID);

/// Any IRQL.
void NTAPI KeInitializeSpinLock(_Out_ PKSPIN_LOCK SpinLock);

/// IRQL <= DISPATCH_LEVEL.
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(_Inout_ PKSPIN_LOCK SpinLock);

/// IRQL == DISPATCH_LEVEL.
void NTAPI KeReleaseSpinLock(_Inout_ PKSPIN_LOCK SpinLock, _In_ KIRQL NewIrql);

/// IRQL >= DISPATCH_LEVEL.
void NTAPI KeAcquireSpinLockAtDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);

/// IRQL >= DISPATCH_LEVEL.
void NTAPI KeReleaseSpinLockFromDpcLevel(_Inout_ PKSPIN_LOCK SpinLock);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI KeAcquireInStackQueuedSpinLock(_Inout_ PKSPIN_LOCK SpinLock, _Out_ PKLOCK_QUEUE_HANDLE LockHandle);

/// IRQL == DISPATCH_LEVEL.
void NTAPI KeReleaseInStackQueuedSpinLock(_In_ PKLOCK_QUEUE_HANDLE LockHandle);

/// IRQL <= DISPATCH_LEVEL.
KIRQL NTAPI ExAcquireSpinLockShared(_Inout_ PEX_SPIN_LOCK SpinLock);

/// IRQL == DISPATCH_LEVEL.
void NTAPI ExReleaseSpinLockShared(_Inout_ PEX_SPIN_LOCK SpinLock, _In_ KIRQL OldIrql);

/// IRQL <= DISPATCH_LEVEL.
KIRQL NTAPI ExAcquireSpinLockExclusive(_Inout_ PEX_SPIN_LOCK SpinLock);

/// IRQL == DISPATCH_LEVEL.
void NTAPI ExReleaseSpinLockExclusive(_Inout_ PEX_SPIN_LOCK SpinLock, _In_ KIRQL OldIrql);

/// IRQL <= APC_LEVEL.
void NTAPI ExInitializeRundownProtection(_Out_ PEX_RUNDOWN_REF RunRef);

/// IRQL <= APC_LEVEL.
void NTAPI ExReInitializeRundownProtection(_Inout_ PEX_RUNDOWN_REF RunRef);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI ExAcquireRundownProtection(_Inout_ PEX_RUNDOWN_REF RunRef);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI ExReleaseRundownProtection(_Inout_ PEX_RUNDOWN_REF RunRef);

/// IRQL <= APC_LEVEL.
void NTAPI ExWaitForRundownProtectionRelease(_Inout_ PEX_RUNDOWN_REF RunRef);

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI ExInitializeResourceLite(_Out_ PERESOURCE Resource);

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI ExDeleteResourceLite(_Inout_ PERESOURCE Resource);

/// IRQL <= APC_LEVEL, normal kernel APCs disabled. The result must be looked at.
BOOLEAN NTAPI ExAcquireResourceExclusiveLite(_Inout_ PERESOURCE Resource, _In_ BOOLEAN Wait);

/// IRQL <= APC_LEVEL, normal kernel APCs disabled. The result must be looked at.
BOOLEAN NTAPI ExAcquireResourceSharedLite(_Inout_ PERESOURCE Resource, _In_ BOOLEAN Wait);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI ExReleaseResourceLite(_Inout_ PERESOURCE Resource);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(_In_ PERESOURCE Resource);

/// IRQL <= DISPATCH_LEVEL.
ULONG NTAPI ExIsResourceAcquiredSharedLite(_In_ PERESOURCE Resource);

// ---- pool

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
PVOID NTAPI ExAllocatePoolWithTag(_In_ POOL_TYPE PoolType, _In_ SIZE_T NumberOfBytes, _In_ ULONG Tag);

/// IRQL <= DISPATCH_LEVEL. The result must be looked at.
PVOID NTAPI ExAllocatePool2(_In_ POOL_FLAGS Flags, _In_ SIZE_T NumberOfBytes, _In_ ULONG Tag);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI ExFreePool(_In_ PVOID P);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI ExInitializeNPagedLookasideList(_Out_ PNPAGED_LOOKASIDE_LIST Lookaside, _In_opt_ PALLOCATE_FUNCTION Allocate,
                                           _In_opt_ PFREE_FUNCTION Free, _In_ ULONG Flags, _In_ SIZE_T Size,
                                           _In_ ULONG Tag, _In_ USHORT Depth);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI ExDeleteNPagedLookasideList(_Inout_ PNPAGED_LOOKASIDE_LIST Lookaside);

/// IRQL <= APC_LEVEL.
void NTAPI ExInitializePagedLookasideList(_Out_ PPAGED_LOOKASIDE_LIST Lookaside, _In_opt_ PALLOCATE_FUNCTION Allocate,
                                          _In_opt_ PFREE_FUNCTION Free, _In_ ULONG Flags, _In_ SIZE_T Size,
                                          _In_ ULONG Tag, _In_ USHORT Depth);

/// IRQL <= APC_LEVEL.
void NTAPI ExDeletePagedLookasideList(_Inout_ PPAGED_LOOKASIDE_LIST Lookaside);

/// Any IRQL.
PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(_Inout_ PSLIST_HEADER ListHead);

/// Any IRQL.
PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(_Inout_ PSLIST_HEADER ListHead, _Inout_ PSLIST_ENTRY ListEntry);

/// Any IRQL.
USHORT NTAPI ExQueryDepthSList(_In_ PSLIST_HEADER SListHead);

// ---- registry

/// IRQL == PASSIVE_LEVEL.
NTSTATUS NTAPI ZwOpenKey(_Out_ PHANDLE KeyHandle, _In_ ACCESS_MASK DesiredAccess,
                         _In_ POBJECT_ATTRIBUTES ObjectAttributes);

/// IRQL == PASSIVE_LEVEL.
NTSTATUS NTAPI ZwQueryValueKey(_In_ HANDLE KeyHandle, _In_ PUNICODE_STRING ValueName,
                               _In_ KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                               _Out_opt_ PVOID KeyValueInformation, _In_ ULONG Length, _Out_ PULONG ResultLength);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI ExFreePoolWithTag(PVOID P, _In_ ULONG Tag);

// ---- threads, processes, objects

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS NTAPI PsCreateSystemThread(_Out_ PHANDLE ThreadHandle, _In_ ULONG DesiredAccess,
                                    _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes, _In_opt_ HANDLE ProcessHandle,
                                    _Out_opt_ PCLIENT_ID ClientId, _In_ PKSTART_ROUTINE StartRoutine,
                                    _In_opt_ PVOID StartContext);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI PsTerminateSystemThread(_In_ NTSTATUS ExitStatus);

/// IRQL <= DISPATCH_LEVEL.
HANDLE NTAPI PsGetCurrentThreadId(VOID);

/// Any IRQL.
HANDLE NTAPI PsGetCurrentProcessId(VOID);

/// IRQL <= DISPATCH_LEVEL.
HANDLE NTAPI PsGetThreadId(_In_ PETHREAD Thread);

/// Any IRQL.
HANDLE NTAPI PsGetThreadProcessId(_In_ PETHREAD Thread);

/// IRQL <= DISPATCH_LEVEL.
HANDLE NTAPI PsGetProcessId(_In_ PEPROCESS Process);

/// IRQL <= APC_LEVEL. The thread is referenced. The result must be looked at.
NTSTATUS NTAPI PsLookupThreadByThreadId(_In_ HANDLE ThreadId, _Out_ PETHREAD *Thread);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI PsIsThreadTerminating(_In_ PETHREAD Thread);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI PsIsSystemThread(_In_ PETHREAD Thread);

/// IRQL <= DISPATCH_LEVEL.
PEPROCESS NTAPI IoThreadToProcess(_In_ PETHREAD Thread);

/// IRQL <= DISPATCH_LEVEL.
PEPROCESS NTAPI IoGetCurrentProcess(VOID);

/// IRQL <= DISPATCH_LEVEL.
PIRP NTAPI IoGetTopLevelIrp(VOID);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI IoSetTopLevelIrp(_In_opt_ PIRP Irp);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI ObReferenceObjectByHandle(_In_ HANDLE Handle, _In_ ACCESS_MASK DesiredAccess,
                                         _In_opt_ POBJECT_TYPE ObjectType, _In_ KPROCESSOR_MODE AccessMode,
                                         _Out_ PVOID *Object, _Out_opt_ POBJECT_HANDLE_INFORMATION HandleInformation);

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI ObReferenceObjectByPointer(_In_ PVOID Object, _In_ ACCESS_MASK DesiredAccess,
                                          _In_opt_ POBJECT_TYPE ObjectType, _In_ KPROCESSOR_MODE AccessMode);

/// IRQL <= DISPATCH_LEVEL.
LONG_PTR NTAPI ObfReferenceObject(_In_ PVOID Object);

/// IRQL <= DISPATCH_LEVEL.
LONG_PTR NTAPI ObfDereferenceObject(_In_ PVOID Object);

// ---- files and handles

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI ZwOpenFile(_Out_ PHANDLE FileHandle, _In_ ACCESS_MASK DesiredAccess,
                          _In_ POBJECT_ATTRIBUTES ObjectAttributes, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                          _In_ ULONG ShareAccess, _In_ ULONG OpenOptions);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI ZwClose(_In_ HANDLE Handle);

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI ZwWaitForSingleObject(_In_ HANDLE Handle, _In_ BOOLEAN Alertable, _In_opt_ PLARGE_INTEGER Timeout);

/// What a failed assertion of a checked build calls. Any IRQL.
void NTAPI RtlAssert(_In_ PVOID VoidFailedAssertion, _In_ PVOID VoidFileName, _In_ ULONG LineNumber,
                     _In_opt_ PSTR MutableMessage);

// ---- strings

/// IRQL <= DISPATCH_LEVEL.
void NTAPI RtlInitUnicodeString(_Out_ PUNICODE_STRING DestinationString, _In_opt_ PCWSTR SourceString);

/// Any IRQL.
void NTAPI RtlCopyUnicodeString(_Inout_ PUNICODE_STRING DestinationString, _In_opt_ PCUNICODE_STRING SourceString);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
BOOLEAN NTAPI RtlEqualUnicodeString(_In_ PCUNICODE_STRING String1, _In_ PCUNICODE_STRING String2,
                                    _In_ BOOLEAN CaseInSensitive);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
LONG NTAPI RtlCompareUnicodeString(_In_ PCUNICODE_STRING String1, _In_ PCUNICODE_STRING String2,
                                   _In_ BOOLEAN CaseInSensitive);

/// IRQL <= PASSIVE_LEVEL.
WCHAR NTAPI RtlUpcaseUnicodeChar(_In_ WCHAR SourceCharacter);

// ---- probing, debugging, stopping

/// IRQL <= APC_LEVEL.
void NTAPI ProbeForRead(_In_ volatile void *Address, _In_ SIZE_T Length, _In_ ULONG Alignment);

/// IRQL <= APC_LEVEL.
void NTAPI ProbeForWrite(_In_ volatile void *Address, _In_ SIZE_T Length, _In_ ULONG Alignment);

/// IRQL <= APC_LEVEL. Raises an exception with this status.
DECLSPEC_NORETURN VOID NTAPI ExRaiseStatus(_In_ NTSTATUS Status);

/// Any IRQL.
ULONG NTAPI DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);

/// Any IRQL.
DECLSPEC_NORETURN void NTAPI KeBugCheckEx(_In_ ULONG BugCheckCode, _In_ ULONG_PTR BugCheckParameter1,
                                          _In_ ULONG_PTR BugCheckParameter2, _In_ ULONG_PTR BugCheckParameter3,
                                          _In_ ULONG_PTR BugCheckParameter4);

// ---- the current thread and IRQL
#if defined(_WIN32) && defined(__x86_64__) && !defined(FLTSIM_HOST)
/// The x64 kernel has no calls for these: the IRQL is CR8, the thread a field of the processor block.
FORCEINLINE KIRQL KeGetCurrentIrql(VOID) {
    ULONG64 Cr8;
    __asm__ __volatile__("mov %%cr8, %0" : "=r"(Cr8));
    return (KIRQL)Cr8;
}
FORCEINLINE PKTHREAD KeGetCurrentThread(VOID) {
    PKTHREAD Thread;
    __asm__ __volatile__("movq %%gs:0x188, %0" : "=r"(Thread));
    return Thread;
}
#else
_IRQL_requires_max_(HIGH_LEVEL) KIRQL NTAPI KeGetCurrentIrql(VOID);
PKTHREAD NTAPI KeGetCurrentThread(VOID);
#endif
FORCEINLINE PETHREAD PsGetCurrentThread(VOID) {
    return (PETHREAD)KeGetCurrentThread();
}

// ---- data exports
#if defined(_WIN32) && !defined(fltsim_EXPORTS)
#define NTKERNEL_DATA extern __attribute__((dllimport))
#else
#define NTKERNEL_DATA extern
#endif
NTKERNEL_DATA POBJECT_TYPE *PsThreadType;
NTKERNEL_DATA POBJECT_TYPE *IoFileObjectType;

EXTERN_C_END
