// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that goes by processes. It is told of each that is made and turns down those of untrusted.exe; a program of that name
// that runs all the same opens no .obj file to read it. Whose a create is it finds out in three ways, which have to agree. It fails DriverEntry with the status that
// a call gave. With FORGETS its routine is still registered when it goes; with STRANGER its handles belong to whoever runs. For `minipend host`.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

#define COMPONENT 77 ///< DPFLTR_IHVDRIVER_ID
#define TAG 'hctW'

static const UNICODE_STRING Untrusted = RTL_CONSTANT_STRING(L"untrusted.exe");
static const UNICODE_STRING Secret = RTL_CONSTANT_STRING(L".obj");

static PFLT_FILTER Filter;
static volatile LONG Made;
static volatile LONG Ended;
static volatile LONG TurnedDown;
static volatile LONG Creates;
static volatile LONG Refused;
static volatile LONG Disagreed;

/// What is behind the last backslash.
static UNICODE_STRING BaseName(_In_ PCUNICODE_STRING Name) {
    UNICODE_STRING Base = *Name;
    USHORT At;

    for (At = Name->Length / sizeof(WCHAR); At > 0 && Name->Buffer[At - 1] != L'\\'; At--) {
    }
    Base.Buffer += At;
    Base.Length = (USHORT)(Base.Length - At * sizeof(WCHAR));
    Base.MaximumLength = Base.Length;
    return Base;
}

static BOOLEAN IsUntrusted(_In_ PCUNICODE_STRING Name) {
    const UNICODE_STRING Base = BaseName(Name);

    return RtlEqualUnicodeString(&Base, &Untrusted, TRUE);
}

/// An object file.
static BOOLEAN IsSecret(_In_ PCUNICODE_STRING Name) {
    UNICODE_STRING Tail = *Name;

    if (Name->Length < Secret.Length) {
        return FALSE;
    }
    Tail.Buffer += (Name->Length - Secret.Length) / sizeof(WCHAR);
    Tail.Length = Tail.MaximumLength = Secret.Length;
    return RtlEqualUnicodeString(&Tail, &Secret, TRUE);
}

static void NTAPI OfProcess(_Inout_ PEPROCESS Process, _In_ HANDLE ProcessId, _Inout_opt_ PPS_CREATE_NOTIFY_INFO Info) {
    if (PsGetProcessId(Process) != ProcessId) {
        InterlockedIncrement(&Disagreed);
    }
    if (Info == NULL) {
        InterlockedIncrement(&Ended);
        return;
    }
    InterlockedIncrement(&Made);
    if (Info->ImageFileName == NULL || Info->FileObject == NULL || Info->IsSubsystemProcess) {
        InterlockedIncrement(&Disagreed);
        return;
    }
    DbgPrintEx(COMPONENT, 0, "watcher: %wZ, made by a thread of %u as %wZ\n", Info->ImageFileName,
               (ULONG)(ULONG_PTR)Info->CreatingThreadId.UniqueProcess, Info->CommandLine);
    if (IsUntrusted(Info->ImageFileName)) {
        InterlockedIncrement(&TurnedDown);
        Info->CreationStatus = STATUS_VIRUS_INFECTED;
    }
}

/// The full name by a handle, in a block of pool.
static NTSTATUS NameByHandle(_In_ PEPROCESS Process, _Out_ PUNICODE_STRING *Name) {
    HANDLE Handle = NULL;
    ULONG Bytes = 0;
    NTSTATUS Status;

    *Name = NULL;
#ifdef STRANGER
    Status = ObOpenObjectByPointer(Process, 0, NULL, 0, NULL, KernelMode, &Handle);
#else
    Status = ObOpenObjectByPointer(Process, OBJ_KERNEL_HANDLE, NULL, 0, *PsProcessType, KernelMode, &Handle);
#endif
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ZwQueryInformationProcess(Handle, ProcessImageFileName, NULL, 0, &Bytes);
    if (Status == STATUS_INFO_LENGTH_MISMATCH) {
        *Name = ExAllocatePoolWithTag(PagedPool, Bytes, TAG);
        Status = *Name == NULL ? STATUS_INSUFFICIENT_RESOURCES
                               : ZwQueryInformationProcess(Handle, ProcessImageFileName, *Name, Bytes, &Bytes);
    }
    (VOID) ZwClose(Handle);
    return Status;
}

/// Whether the short name is the beginning of the long one's last part.
static BOOLEAN ShortNameAgrees(_In_ PEPROCESS Process, _In_ PCUNICODE_STRING Name) {
    const UNICODE_STRING Base = BaseName(Name);
    const UCHAR *Short = PsGetProcessImageFileName(Process);
    USHORT At;

    for (At = 0; Short[At] != 0; At++) {
        if (At * sizeof(WCHAR) >= Base.Length || Base.Buffer[At] != Short[At]) {
            return FALSE;
        }
    }
    return At == Base.Length / sizeof(WCHAR) || At == 14;
}

/// Whether the process may read. FALSE in *Agree: the ways to its name do not.
static BOOLEAN MayRead(_In_ PEPROCESS Process, _Out_ BOOLEAN *Agree) {
    PUNICODE_STRING Name = NULL;
    PUNICODE_STRING ByHandle = NULL;
    BOOLEAN May = FALSE;

    *Agree = FALSE;
    if (NT_SUCCESS(SeLocateProcessImageName(Process, &Name)) && NT_SUCCESS(NameByHandle(Process, &ByHandle))) {
        *Agree = RtlEqualUnicodeString(Name, ByHandle, FALSE) &&
                 (Name->Length == 0 || ShortNameAgrees(Process, Name)); // System has none
        May = !IsUntrusted(Name);
    }
    if (ByHandle != NULL) {
        ExFreePoolWithTag(ByHandle, TAG);
    }
    if (Name != NULL) {
        ExFreePool(Name);
    }
    return May;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _Outptr_result_maybenull_ PVOID *Context) {
    const PEPROCESS Process = FltGetRequestorProcess(Data);
    BOOLEAN Agree = FALSE;
    BOOLEAN May;

    *Context = NULL;
    if (Process == NULL) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    InterlockedIncrement(&Creates);
    May = MayRead(Process, &Agree);
    if (!Agree) {
        InterlockedIncrement(&Disagreed);
    }
    if (May || !IsSecret(&Objects->FileObject->FileName) ||
        (Data->Iopb->Parameters.Create.SecurityContext->DesiredAccess & (FILE_READ_DATA | FILE_WRITE_DATA)) !=
            FILE_READ_DATA) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    InterlockedIncrement(&Refused);
    Data->IoStatus.Status = STATUS_ACCESS_DENIED;
    Data->IoStatus.Information = 0;
    return FLT_PREOP_COMPLETE;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
#ifndef FORGETS
    (VOID) PsSetCreateProcessNotifyRoutineEx(OfProcess, TRUE);
#endif
    FltUnregisterFilter(Filter);
    DbgPrintEx(COMPONENT, 0, "watcher: %d made, %d ended, %d turned down, %d refused of %d, %d disagreed\n", Made,
               Ended, TurnedDown, Refused, Creates, Disagreed);
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
    NTSTATUS Status = PsSetCreateProcessNotifyRoutineEx(OfProcess, FALSE);

    UNREFERENCED_PARAMETER(RegistryPath);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = FltRegisterFilter(DriverObject, &Registration, &Filter);
    if (NT_SUCCESS(Status)) {
        Status = FltStartFiltering(Filter);
        if (!NT_SUCCESS(Status)) {
            FltUnregisterFilter(Filter);
        }
    }
    if (!NT_SUCCESS(Status)) {
        (VOID) PsSetCreateProcessNotifyRoutineEx(OfProcess, TRUE);
    }
    return Status;
}
