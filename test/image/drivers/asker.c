// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that asks for routines by their names before it does anything, as many do that run on several versions of Windows,
// and that describes each create in a text of its own making. It fails its DriverEntry with a status of its own when an answer is not what it has to
// be. With MISCALLS it calls what it has looked up from too high an IRQL. For `minipend host`.

#include <fltkernel.h>
#include <stdarg.h>

DRIVER_INITIALIZE FxDriverEntry;

#define COMPONENT 77 ///< DPFLTR_IHVDRIVER_ID
#define TEXT_CHARACTERS 64

/// Of ntoskrnl.exe, as other functions of C.
int _vsnwprintf(_Out_ WCHAR *Buffer, _In_ SIZE_T Count, _In_ const WCHAR *Format, _In_ va_list Arguments);
int swprintf_s(_Out_ WCHAR *Buffer, _In_ SIZE_T Size, _In_ const WCHAR *Format, ...);
int wcscat_s(_Inout_ WCHAR *Buffer, _In_ SIZE_T Size, _In_ const WCHAR *Text);
ULONG NTAPI vDbgPrintEx(_In_ ULONG ComponentId, _In_ ULONG Level, _In_ PCCH Format, _In_ va_list Arguments);

typedef BOOLEAN(NTAPI *PAPCS_DISABLED)(VOID);
typedef NTSTATUS(NTAPI *PCREATE_THREAD)(PHANDLE, ULONG, POBJECT_ATTRIBUTES, HANDLE, PCLIENT_ID, PKSTART_ROUTINE, PVOID);
typedef PCHAR(FLTAPI *PIRP_NAME)(UCHAR);

/// Where the loader puts the addresses of what is imported.
extern const PVOID __imp_PsCreateSystemThread;
extern const PVOID __imp_FltRegisterFilter;

static PFLT_FILTER Filter;
static PIRP_NAME IrpName;
static volatile LONG Creates;

static PVOID Find(_In_ PCWSTR Name) {
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Name);
    return MmGetSystemRoutineAddress(&String);
}

static void Say(_In_ PCSTR Format, ...) {
    va_list Arguments;

    va_start(Arguments, Format);
    (VOID) vDbgPrintEx(COMPONENT, 0, Format, Arguments);
    va_end(Arguments);
}

static int Print(_Out_ WCHAR *Buffer, _In_ SIZE_T Count, _In_ PCWSTR Format, ...) {
    va_list Arguments;
    int Length;

    va_start(Arguments, Format);
    Length = _vsnwprintf(Buffer, Count, Format, Arguments);
    va_end(Arguments);
    return Length;
}

/// FALSE: an answer is wrong.
static BOOLEAN Ask(VOID) {
    const PAPCS_DISABLED ApcsDisabled = (PAPCS_DISABLED)Find(L"KeAreApcsDisabled");
    RTL_OSVERSIONINFOW Version = {sizeof(Version), 0, 0, 0, 0, {0}};
    BOOLEAN Inside;

    IrpName = (PIRP_NAME)FltGetRoutineAddress("FltGetIrpName");
    if (IrpName == NULL || ApcsDisabled == NULL) {
        return FALSE;
    }
    // What is imported as well is the same.
    if (Find(L"PsCreateSystemThread") != __imp_PsCreateSystemThread ||
        FltGetRoutineAddress("FltRegisterFilter") != __imp_FltRegisterFilter) {
        return FALSE;
    }
    KeEnterGuardedRegion();
    Inside = ApcsDisabled();
    KeLeaveGuardedRegion();
    if (!Inside || ApcsDisabled()) {
        return FALSE;
    }
    if (!NT_SUCCESS(RtlGetVersion(&Version)) || Find(L"KeOfTomorrow") != NULL ||
        FltGetRoutineAddress("FltOfTomorrow") != NULL) {
        return FALSE;
    }
    Say("asker on %u.%u, %s is known\n", Version.dwMajorVersion, Version.dwMinorVersion, IrpName(IRP_MJ_CREATE));
    return TRUE;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _Outptr_result_maybenull_ PVOID *Context) {
    WCHAR Text[TEXT_CHARACTERS];

    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (swprintf_s(Text, TEXT_CHARACTERS, L"%hs by a %s of %u bits", IrpName(Data->Iopb->MajorFunction),
                   ExGetPreviousMode() == UserMode ? L"program" : L"driver", FltIs32bitProcess(Data) ? 32u : 64u) > 0 &&
        wcscat_s(Text, TEXT_CHARACTERS, L"!") == 0 && InterlockedIncrement(&Creates) == 1) {
        Say("%ws", Text);
    }
    return FLT_PREOP_SUCCESS_NO_CALLBACK;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    WCHAR Text[TEXT_CHARACTERS];

    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    if (Print(Text, TEXT_CHARACTERS, L"%d creates in %s", Creates, L"all") > 0) {
        Say("%ws", Text);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS FLTAPI InstanceSetup(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                     _In_ DEVICE_TYPE DeviceType, _In_ FLT_FILESYSTEM_TYPE FileSystem) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(DeviceType);
    UNREFERENCED_PARAMETER(FileSystem);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_CREATE, 0, PreCreate, NULL, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .OperationRegistration = Operations,
    .FilterUnloadCallback = Unload,
    .InstanceSetupCallback = InstanceSetup,
};

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(RegistryPath);
#if defined(MISCALLS)
    {
        const PCREATE_THREAD CreateThread = (PCREATE_THREAD)Find(L"PsCreateSystemThread");
        KSPIN_LOCK Lock;
        HANDLE Thread;
        KIRQL Before;
        KeInitializeSpinLock(&Lock);
        KeAcquireSpinLock(&Lock, &Before);
        (VOID) CreateThread(&Thread, 0, NULL, NULL, NULL, NULL, NULL);
        KeReleaseSpinLock(&Lock, Before);
    }
#endif
    if (!Ask()) {
        return STATUS_NOT_SUPPORTED;
    }
    Status = FltRegisterFilter(DriverObject, &Registration, &Filter);
    if (NT_SUCCESS(Status)) {
        Status = FltStartFiltering(Filter);
        if (!NT_SUCCESS(Status)) {
            FltUnregisterFilter(Filter);
        }
    }
    return Status;
}
