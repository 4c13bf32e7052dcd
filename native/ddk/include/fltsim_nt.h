// SPDX-License-Identifier: MIT
//
// This module provides: the ntdll file services for C and C++ users of fltsim on hosts that have no winternl.h. Names, parameters, layouts and
// values are the Windows ones (ntifs.h, winternl.h); the calling convention is the host's own.
//
// What holds for all of them: a call on a handle finds its world by the handle; one that takes a name acts in the calling thread's current
// world (FltSimSelectWorld). On a synchronous handle a call returns when its operation has completed. On an asynchronous one it may return
// STATUS_PENDING: then IoStatusBlock is written, and Event (or, without one, the file) signalled, at completion. ApcRoutine must be null: the model
// has no user APCs and says so. ApcContext names the operation in a completion port's packets, null for no packet. A call whose world
// stops or ends meanwhile returns STATUS_SYSTEM_SHUTDOWN; a call of a terminated thread STATUS_THREAD_IS_TERMINATING.
// FileInformationClass and FsInformationClass are the kernel's numbers.

#pragma once

#if defined(_WIN32) && !defined(FLTSIM_HOST)
#error "fltsim_nt.h is for hosts without windows.h"
#endif

#include "ntdef.h"

EXTERN_C_START

// ---- opening ------------------------------------------------------------------------------------------------------------------

NTSTATUS NtCreateFile(PHANDLE FileHandle, ULONG DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                      PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes,
                      ULONG ShareAccess, ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength);
/// FileInformation: FILE_BASIC_INFORMATION. What GetFileAttributesW asks.
NTSTATUS NtQueryAttributesFile(POBJECT_ATTRIBUTES ObjectAttributes, PVOID FileInformation);
/// FileInformation: FILE_NETWORK_OPEN_INFORMATION. What GetFileAttributesExW asks.
NTSTATUS NtQueryFullAttributesFile(POBJECT_ATTRIBUTES ObjectAttributes, PVOID FileInformation);
/// What GetFileInformationByName asks: FileStatInformation and its like, which travel as IRP_MJ_QUERY_OPEN.
NTSTATUS NtQueryInformationByName(POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                  PVOID FileInformation, ULONG Length, ULONG FileInformationClass);

// ---- information --------------------------------------------------------------------------------------------------------------

NTSTATUS NtQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length,
                                ULONG FileInformationClass);
NTSTATUS NtSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length,
                              ULONG FileInformationClass);
NTSTATUS NtQueryVolumeInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FsInformation,
                                      ULONG Length, ULONG FsInformationClass);
NTSTATUS NtSetVolumeInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FsInformation,
                                    ULONG Length, ULONG FsInformationClass);
NTSTATUS NtQueryEaFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length,
                       BOOLEAN ReturnSingleEntry, PVOID EaList, ULONG EaListLength, PULONG EaIndex,
                       BOOLEAN RestartScan);
NTSTATUS NtSetEaFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length);
NTSTATUS NtQueryQuotaInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length,
                                     BOOLEAN ReturnSingleEntry, PVOID SidList, ULONG SidListLength, PVOID StartSid,
                                     BOOLEAN RestartScan);
NTSTATUS NtSetQuotaInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length);
/// SecurityInformation: OWNER_SECURITY_INFORMATION and its like. Self-relative descriptors.
NTSTATUS NtQuerySecurityObject(HANDLE Handle, ULONG SecurityInformation, PVOID SecurityDescriptor, ULONG Length,
                               PULONG LengthNeeded);
NTSTATUS NtSetSecurityObject(HANDLE Handle, ULONG SecurityInformation, PVOID SecurityDescriptor);

// ---- directories --------------------------------------------------------------------------------------------------------------

/// QueryFlags: SL_RESTART_SCAN 1, SL_RETURN_SINGLE_ENTRY 2, SL_INDEX_SPECIFIED 4.
NTSTATUS NtQueryDirectoryFileEx(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length,
                                ULONG FileInformationClass, ULONG QueryFlags, PUNICODE_STRING FileName);
NTSTATUS NtNotifyChangeDirectoryFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                     PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, ULONG CompletionFilter,
                                     BOOLEAN WatchTree);

// ---- control, locks, flush ----------------------------------------------------------------------------------------------------

NTSTATUS NtFsControlFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                         PIO_STATUS_BLOCK IoStatusBlock, ULONG FsControlCode, PVOID InputBuffer,
                         ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength);
NTSTATUS NtDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                               PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer,
                               ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength);
NTSTATUS NtLockFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock,
                    PLARGE_INTEGER ByteOffset, PLARGE_INTEGER Length, ULONG Key, BOOLEAN FailImmediately,
                    BOOLEAN ExclusiveLock);
NTSTATUS NtUnlockFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER ByteOffset,
                      PLARGE_INTEGER Length, ULONG Key);
/// Flags: FLUSH_FLAGS_*; Parameters must be null.
NTSTATUS NtFlushBuffersFileEx(HANDLE FileHandle, ULONG Flags, PVOID Parameters, ULONG ParametersSize,
                              PIO_STATUS_BLOCK IoStatusBlock);

EXTERN_C_END
