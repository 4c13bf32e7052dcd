// SPDX-License-Identifier: MIT
//
// This module provides: the kernel's calls about processes: their images' names, routines that are told of them, handles of them.

#pragma once

#include "wdm_system.h"

EXTERN_C_START

#define PROCESS_DUP_HANDLE 0x0040
#define PROCESS_ALL_ACCESS ((LONG)0x1FFFFF)

/// ProcessInformationClass; the model answers ProcessImageFileName.
typedef enum _PROCESSINFOCLASS {
    ProcessBasicInformation = 0,
    ProcessDebugPort = 7,
    ProcessWow64Information = 26,
    ProcessImageFileName = 27,
    ProcessBreakOnTermination = 29,
    ProcessImageFileNameWin32 = 43,
    ProcessCommandLineInformation = 60,
    ProcessProtectionInformation = 61,
    ProcessSubsystemInformation = 75,
} PROCESSINFOCLASS;

typedef struct _PS_CREATE_NOTIFY_INFO {
    SIZE_T Size;
    union {
        ULONG Flags;
        struct {
            ULONG FileOpenNameAvailable : 1;
            ULONG IsSubsystemProcess : 1;
            ULONG Reserved : 30;
        };
    };
    HANDLE ParentProcessId;
    CLIENT_ID CreatingThreadId;
    struct _FILE_OBJECT *FileObject;
    PCUNICODE_STRING ImageFileName;
    PCUNICODE_STRING CommandLine;
    NTSTATUS CreationStatus;
} PS_CREATE_NOTIFY_INFO, *PPS_CREATE_NOTIFY_INFO;

typedef enum _PSCREATEPROCESSNOTIFYTYPE {
    PsCreateProcessNotifySubsystems = 0,
} PSCREATEPROCESSNOTIFYTYPE;

/// CreateInfo is null when the process ends.
typedef void(NTAPI *PCREATE_PROCESS_NOTIFY_ROUTINE_EX)(_Inout_ PEPROCESS Process, _In_ HANDLE ProcessId,
                                                       _Inout_opt_ PPS_CREATE_NOTIFY_INFO CreateInfo);

/// IRQL <= PASSIVE_LEVEL. STATUS_ACCESS_DENIED: the routine's image was linked without /INTEGRITYCHECK.
NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx(_In_ PCREATE_PROCESS_NOTIFY_ROUTINE_EX NotifyRoutine,
                                                 _In_ BOOLEAN Remove);

/// IRQL <= PASSIVE_LEVEL. NotifyInformation is a PCREATE_PROCESS_NOTIFY_ROUTINE_EX.
NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx2(_In_ PSCREATEPROCESSNOTIFYTYPE NotifyType,
                                                  _In_ PVOID NotifyInformation, _In_ BOOLEAN Remove);

/// IRQL <= PASSIVE_LEVEL. The caller frees the string with ExFreePool.
NTSTATUS NTAPI SeLocateProcessImageName(_Inout_ PEPROCESS Process, _Out_ PUNICODE_STRING *pImageFileName);

/// Any IRQL. No public header has it. Up to 14 characters of the image's name without its path.
PUCHAR NTAPI PsGetProcessImageFileName(_In_ PEPROCESS Process);

/// IRQL <= PASSIVE_LEVEL. No header of the kit has it.
NTSTATUS NTAPI ZwQueryInformationProcess(_In_ HANDLE ProcessHandle, _In_ PROCESSINFOCLASS ProcessInformationClass,
                                         _Out_writes_bytes_opt_(ProcessInformationLength) PVOID ProcessInformation,
                                         _In_ ULONG ProcessInformationLength, _Out_opt_ PULONG ReturnLength);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS NTAPI ZwOpenProcess(_Out_ PHANDLE ProcessHandle, _In_ ACCESS_MASK DesiredAccess,
                             _In_ POBJECT_ATTRIBUTES ObjectAttributes, _In_opt_ PCLIENT_ID ClientId);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI ObOpenObjectByPointer(_In_ PVOID Object, _In_ ULONG HandleAttributes,
                                     _In_opt_ struct _ACCESS_STATE *PassedAccessState, _In_ ACCESS_MASK DesiredAccess,
                                     _In_opt_ POBJECT_TYPE ObjectType, _In_ KPROCESSOR_MODE AccessMode,
                                     _Out_ PHANDLE Handle);

NTKERNEL_DATA POBJECT_TYPE *PsProcessType;

EXTERN_C_END
