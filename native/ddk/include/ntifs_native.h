// SPDX-License-Identifier: MIT
//
// This module provides: the native file services that drivers call (Zw...). Unlike those of fltkernel.h they go through the whole filter stack of the
// volume, the caller's own instance too.

#pragma once

#include "wdm_io.h"

EXTERN_C_START

// ---- LowPart of a ByteOffset whose HighPart is -1
#define FILE_WRITE_TO_END_OF_FILE 0xFFFFFFFFU
#define FILE_USE_FILE_POINTER_POSITION 0xFFFFFFFEU

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwCreateFile(_Out_ PHANDLE FileHandle, _In_ ACCESS_MASK DesiredAccess,
                            _In_ POBJECT_ATTRIBUTES ObjectAttributes, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                            _In_opt_ PLARGE_INTEGER AllocationSize, _In_ ULONG FileAttributes, _In_ ULONG ShareAccess,
                            _In_ ULONG CreateDisposition, _In_ ULONG CreateOptions,
                            _In_reads_bytes_opt_(EaLength) PVOID EaBuffer, _In_ ULONG EaLength);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwReadFile(_In_ HANDLE FileHandle, _In_opt_ HANDLE Event, _In_opt_ PIO_APC_ROUTINE ApcRoutine,
                          _In_opt_ PVOID ApcContext, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                          _Out_writes_bytes_(Length) PVOID Buffer, _In_ ULONG Length,
                          _In_opt_ PLARGE_INTEGER ByteOffset, _In_opt_ PULONG Key);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwWriteFile(_In_ HANDLE FileHandle, _In_opt_ HANDLE Event, _In_opt_ PIO_APC_ROUTINE ApcRoutine,
                           _In_opt_ PVOID ApcContext, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                           _In_reads_bytes_(Length) PVOID Buffer, _In_ ULONG Length, _In_opt_ PLARGE_INTEGER ByteOffset,
                           _In_opt_ PULONG Key);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwQueryInformationFile(_In_ HANDLE FileHandle, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                      _Out_writes_bytes_(Length) PVOID FileInformation, _In_ ULONG Length,
                                      _In_ FILE_INFORMATION_CLASS FileInformationClass);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwSetInformationFile(_In_ HANDLE FileHandle, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                    _In_reads_bytes_(Length) PVOID FileInformation, _In_ ULONG Length,
                                    _In_ FILE_INFORMATION_CLASS FileInformationClass);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwQueryDirectoryFile(_In_ HANDLE FileHandle, _In_opt_ HANDLE Event, _In_opt_ PIO_APC_ROUTINE ApcRoutine,
                                    _In_opt_ PVOID ApcContext, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                    _Out_writes_bytes_(Length) PVOID FileInformation, _In_ ULONG Length,
                                    _In_ FILE_INFORMATION_CLASS FileInformationClass, _In_ BOOLEAN ReturnSingleEntry,
                                    _In_opt_ PUNICODE_STRING FileName, _In_ BOOLEAN RestartScan);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled. Windows 10, version 1709.
NTSTATUS NTAPI ZwQueryDirectoryFileEx(_In_ HANDLE FileHandle, _In_opt_ HANDLE Event,
                                      _In_opt_ PIO_APC_ROUTINE ApcRoutine, _In_opt_ PVOID ApcContext,
                                      _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                      _Out_writes_bytes_(Length) PVOID FileInformation, _In_ ULONG Length,
                                      _In_ FILE_INFORMATION_CLASS FileInformationClass, _In_ ULONG QueryFlags,
                                      _In_opt_ PUNICODE_STRING FileName);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwQueryVolumeInformationFile(_In_ HANDLE FileHandle, _Out_ PIO_STATUS_BLOCK IoStatusBlock,
                                            _Out_writes_bytes_(Length) PVOID FsInformation, _In_ ULONG Length,
                                            _In_ FS_INFORMATION_CLASS FsInformationClass);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwFlushBuffersFile(_In_ HANDLE FileHandle, _Out_ PIO_STATUS_BLOCK IoStatusBlock);

/// IRQL <= PASSIVE_LEVEL, special kernel APCs enabled.
NTSTATUS NTAPI ZwDeleteFile(_In_ POBJECT_ATTRIBUTES ObjectAttributes);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI ZwCreateEvent(_Out_ PHANDLE EventHandle, _In_ ACCESS_MASK DesiredAccess,
                             _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes, _In_ EVENT_TYPE EventType,
                             _In_ BOOLEAN InitialState);

EXTERN_C_END
