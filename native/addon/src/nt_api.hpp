// SPDX-License-Identifier: MIT
//
// This module provides: the functions that a backend may lack: the ntdll file services and I/O completion ports, resolved when the
// backend is loaded, each null when its library does not export it.
// Invariant: nobody calls one without having looked: a call that needs a missing one answers kStatusProcedureNotFound or
// kErrorProcNotFound, so that its caller can name it.
#pragma once

#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#include <winternl.h>
#define MINIPEND_SERVICE NTAPI
#else
#include <fltsim_user.h>
#include <fltsim_nt.h>
#define MINIPEND_SERVICE
#endif

#include <cstdint>
#include <type_traits>

namespace minipend {

inline constexpr uint32_t kStatusProcedureNotFound = 0xC000007A;
inline constexpr uint32_t kErrorProcNotFound = 127;

/// OVERLAPPED_ENTRY of minwinbase.h.
struct CompletionEntry {
    ULONG_PTR key;
    OVERLAPPED *overlapped;
    ULONG_PTR status; ///< NTSTATUS
    DWORD bytes;
};
static_assert(sizeof(CompletionEntry) == 32);

/// X(name, result, parameters) of ntdll. The class numbers are the kernel's.
#define MINIPEND_NT_FUNCTIONS(X)                                                                                       \
    X(NtCreateFile, NTSTATUS,                                                                                          \
      (PHANDLE, ULONG, POBJECT_ATTRIBUTES, PIO_STATUS_BLOCK, PLARGE_INTEGER, ULONG, ULONG, ULONG, ULONG, PVOID,        \
       ULONG))                                                                                                         \
    X(NtQueryAttributesFile, NTSTATUS, (POBJECT_ATTRIBUTES, PVOID))                                                    \
    X(NtQueryFullAttributesFile, NTSTATUS, (POBJECT_ATTRIBUTES, PVOID))                                                \
    X(NtQueryInformationByName, NTSTATUS, (POBJECT_ATTRIBUTES, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG))                 \
    X(NtQueryInformationFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG))                               \
    X(NtSetInformationFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG))                                 \
    X(NtQueryVolumeInformationFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG))                         \
    X(NtSetVolumeInformationFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG))                           \
    X(NtQueryEaFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, BOOLEAN, PVOID, ULONG, PULONG, BOOLEAN))       \
    X(NtSetEaFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG))                                                 \
    X(NtQueryQuotaInformationFile, NTSTATUS,                                                                           \
      (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, BOOLEAN, PVOID, ULONG, PVOID, BOOLEAN))                                 \
    X(NtSetQuotaInformationFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG))                                   \
    X(NtQuerySecurityObject, NTSTATUS, (HANDLE, ULONG, PVOID, ULONG, PULONG))                                          \
    X(NtSetSecurityObject, NTSTATUS, (HANDLE, ULONG, PVOID))                                                           \
    X(NtQueryDirectoryFileEx, NTSTATUS,                                                                                \
      (HANDLE, HANDLE, PVOID, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG, ULONG, PUNICODE_STRING))                   \
    X(NtNotifyChangeDirectoryFile, NTSTATUS,                                                                           \
      (HANDLE, HANDLE, PVOID, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG, BOOLEAN))                                  \
    X(NtFsControlFile, NTSTATUS, (HANDLE, HANDLE, PVOID, PVOID, PIO_STATUS_BLOCK, ULONG, PVOID, ULONG, PVOID, ULONG))  \
    X(NtDeviceIoControlFile, NTSTATUS,                                                                                 \
      (HANDLE, HANDLE, PVOID, PVOID, PIO_STATUS_BLOCK, ULONG, PVOID, ULONG, PVOID, ULONG))                             \
    X(NtLockFile, NTSTATUS,                                                                                            \
      (HANDLE, HANDLE, PVOID, PVOID, PIO_STATUS_BLOCK, PLARGE_INTEGER, PLARGE_INTEGER, ULONG, BOOLEAN, BOOLEAN))       \
    X(NtUnlockFile, NTSTATUS, (HANDLE, PIO_STATUS_BLOCK, PLARGE_INTEGER, PLARGE_INTEGER, ULONG))                       \
    X(NtFlushBuffersFileEx, NTSTATUS, (HANDLE, ULONG, PVOID, ULONG, PIO_STATUS_BLOCK))

/// The same for kernel32.
#define MINIPEND_COMPLETION_PORT_FUNCTIONS(X)                                                                          \
    X(CreateIoCompletionPort, HANDLE, (HANDLE, HANDLE, ULONG_PTR, DWORD))                                              \
    X(GetQueuedCompletionStatusEx, BOOL, (HANDLE, CompletionEntry *, ULONG, PULONG, DWORD, BOOL))                      \
    X(PostQueuedCompletionStatus, BOOL, (HANDLE, DWORD, ULONG_PTR, OVERLAPPED *))                                      \
    X(SetFileCompletionNotificationModes, BOOL, (HANDLE, uint8_t))

struct NtApi {
#define MINIPEND_POINTER(Name, Result, Parameters) Result(MINIPEND_SERVICE *Name) Parameters = nullptr;
    MINIPEND_NT_FUNCTIONS(MINIPEND_POINTER)
    MINIPEND_COMPLETION_PORT_FUNCTIONS(MINIPEND_POINTER)
#undef MINIPEND_POINTER
};

#if !defined(_WIN32)
#define MINIPEND_SAME(Name, Result, Parameters)                                                                        \
    static_assert(std::is_same_v<decltype(&::Name), decltype(NtApi::Name)>, #Name " differs from fltsim_nt.h");
MINIPEND_NT_FUNCTIONS(MINIPEND_SAME)
#undef MINIPEND_SAME
#endif

} // namespace minipend
