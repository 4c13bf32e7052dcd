// SPDX-License-Identifier: MIT
//
// This module provides: the kernel's calls about the system and the caller: exported routines by name, the version, the previous mode, processes by
// their ids, guarded regions, random numbers.

#pragma once

#include "wdm_functions.h"

EXTERN_C_START

typedef struct _OSVERSIONINFOW {
    ULONG dwOSVersionInfoSize;
    ULONG dwMajorVersion;
    ULONG dwMinorVersion;
    ULONG dwBuildNumber;
    ULONG dwPlatformId;
    WCHAR szCSDVersion[128];
} OSVERSIONINFOW, RTL_OSVERSIONINFOW, *PRTL_OSVERSIONINFOW;

typedef struct _OSVERSIONINFOEXW {
    ULONG dwOSVersionInfoSize;
    ULONG dwMajorVersion;
    ULONG dwMinorVersion;
    ULONG dwBuildNumber;
    ULONG dwPlatformId;
    WCHAR szCSDVersion[128];
    USHORT wServicePackMajor;
    USHORT wServicePackMinor;
    USHORT wSuiteMask;
    UCHAR wProductType;
    UCHAR wReserved;
} OSVERSIONINFOEXW, RTL_OSVERSIONINFOEXW, *PRTL_OSVERSIONINFOEXW;

#define VER_NT_WORKSTATION 0x1
#define VER_PLATFORM_WIN32_NT 2
#define VER_SUITE_SINGLEUSERTS 0x100

/// IRQL <= PASSIVE_LEVEL. Of ntoskrnl.exe and hal.dll; null when there is none of that name.
PVOID NTAPI MmGetSystemRoutineAddress(_In_ PUNICODE_STRING SystemRoutineName);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlGetVersion(_Out_ PRTL_OSVERSIONINFOW lpVersionInformation);

/// IRQL <= PASSIVE_LEVEL. TRUE on a checked build.
BOOLEAN NTAPI PsGetVersion(_Out_opt_ PULONG MajorVersion, _Out_opt_ PULONG MinorVersion, _Out_opt_ PULONG BuildNumber,
                           _Out_opt_ PUNICODE_STRING CSDVersion);

/// IRQL <= APC_LEVEL. The process is referenced. The result must be looked at.
NTSTATUS NTAPI PsLookupProcessByProcessId(_In_ HANDLE ProcessId, _Out_ PEPROCESS *Process);

typedef void(NTAPI *PCREATE_PROCESS_NOTIFY_ROUTINE)(_In_ HANDLE ParentId, _In_ HANDLE ProcessId, _In_ BOOLEAN Create);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI PsSetCreateProcessNotifyRoutine(_In_ PCREATE_PROCESS_NOTIFY_ROUTINE NotifyRoutine, _In_ BOOLEAN Remove);

/// IRQL <= DISPATCH_LEVEL.
KPROCESSOR_MODE NTAPI ExGetPreviousMode(VOID);

/// IRQL <= APC_LEVEL.
void NTAPI KeEnterGuardedRegion(VOID);

/// IRQL <= APC_LEVEL.
void NTAPI KeLeaveGuardedRegion(VOID);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI KeAreApcsDisabled(VOID);

/// Any IRQL. 100 ns.
ULONG NTAPI KeQueryTimeIncrement(VOID);

/// IRQL <= APC_LEVEL.
ULONG NTAPI RtlRandomEx(_Inout_ PULONG Seed);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS NTAPI RtlStringFromGUID(_In_ const GUID *const Guid, _Out_ PUNICODE_STRING GuidString);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS NTAPI RtlGUIDFromString(_In_ PCUNICODE_STRING GuidString, _Out_ GUID *Guid);

/// IRQL <= PASSIVE_LEVEL. The caller frees DosName's buffer.
NTSTATUS NTAPI IoVolumeDeviceToDosName(_In_ PVOID VolumeDeviceObject, _Out_ PUNICODE_STRING DosName);

/// As IoVolumeDeviceToDosName.
NTSTATUS NTAPI RtlVolumeDeviceToDosName(_In_ PVOID VolumeDeviceObject, _Out_ PUNICODE_STRING DosName);

/// Any IRQL. The result must be looked at.
BOOLEAN NTAPI FsRtlIsNtstatusExpected(_In_ NTSTATUS Exception);

EXTERN_C_END
