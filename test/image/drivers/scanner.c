// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that looks into every file when it has been opened: it opens the file once more, by name and below itself, reads
// its first bytes, asks for its size with callback data of its own and in a completion routine, and closes all. What begins with "EICAR" is refused. With
// FORGETS it frees none of its callback data; with STRANGER its handles belong to whoever runs. Every create has an extra create parameter of it. For
// `minipend host`.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

#define TAG 'nacS'

typedef struct SCAN {
    UCHAR Head[5];
    ULONG Read;
    FILE_STANDARD_INFORMATION Standard;
    volatile LONG Ended;
} SCAN;

/// An extra create parameter: of a user's create, or of the scan's own.
typedef struct MARK {
    BOOLEAN OfScan;
} MARK;

static const GUID MarkType = {0x6a0b1c5e, 0x2f43, 0x4d18, {0x9c, 0x11, 0x5e, 0x7d, 0x20, 0x38, 0x4b, 0x96}};

static PFLT_FILTER Filter;
static volatile LONG Marks;
static volatile LONG Scanned;
static volatile LONG Refused;

static void FLTAPI Ended(_In_ PFLT_CALLBACK_DATA Data, _In_ PFLT_CONTEXT Context) {
    InterlockedIncrement(&((SCAN *)Context)->Ended);
#ifndef FORGETS
    FltFreeCallbackData(Data);
#else
    UNREFERENCED_PARAMETER(Data);
#endif
}

/// The file's size, asked twice: waiting for the answer, and with a completion routine, which has run when the call returns for a file like this.
static NTSTATUS AskForSize(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ PFILE_OBJECT File, _Inout_ SCAN *Scan) {
    PFLT_CALLBACK_DATA Data = NULL;
    NTSTATUS Status;
    int Round;

    for (Round = 0; Round < 2; Round++) {
        Status = FltAllocateCallbackData(Objects->Instance, File, &Data);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        Data->Iopb->MajorFunction = IRP_MJ_QUERY_INFORMATION;
        Data->Iopb->Parameters.QueryFileInformation.FileInformationClass = FileStandardInformation;
        Data->Iopb->Parameters.QueryFileInformation.Length = sizeof(Scan->Standard);
        Data->Iopb->Parameters.QueryFileInformation.InfoBuffer = &Scan->Standard;
        if (Round == 0) {
            FltPerformSynchronousIo(Data);
            Status = Data->IoStatus.Status;
#ifndef FORGETS
            FltFreeCallbackData(Data);
#endif
        } else {
            Status = FltPerformAsynchronousIo(Data, Ended, Scan);
        }
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
    return Scan->Ended == 1 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

static void NTAPI MarkGone(_Inout_ PVOID Mark, _In_ LPCGUID Type) {
    UNREFERENCED_PARAMETER(Mark);
    UNREFERENCED_PARAMETER(Type);
    InterlockedDecrement(&Marks);
}

/// A list with a mark in it, or null.
static PECP_LIST MakeMark(_In_ BOOLEAN OfScan) {
    PECP_LIST List = NULL;
    MARK *Mark = NULL;

    if (!NT_SUCCESS(FltAllocateExtraCreateParameterList(Filter, 0, &List))) {
        return NULL;
    }
    if (!NT_SUCCESS(
            FltAllocateExtraCreateParameter(Filter, &MarkType, sizeof(MARK), 0, MarkGone, TAG, (PVOID *)&Mark))) {
        FltFreeExtraCreateParameterList(Filter, List);
        return NULL;
    }
    InterlockedIncrement(&Marks);
    Mark->OfScan = OfScan;
    if (!NT_SUCCESS(FltInsertExtraCreateParameter(Filter, List, Mark))) {
        FltFreeExtraCreateParameter(Filter, Mark);
    }
    return List;
}

static BOOLEAN IsMarked(_In_ PFLT_CALLBACK_DATA Data, _In_ BOOLEAN OfScan) {
    PECP_LIST List = NULL;
    MARK *Mark = NULL;

    return NT_SUCCESS(FltGetEcpListFromCallbackData(Filter, Data, &List)) && List != NULL &&
           NT_SUCCESS(FltFindExtraCreateParameter(Filter, List, &MarkType, (PVOID *)&Mark, NULL)) &&
           Mark->OfScan == OfScan;
}

static NTSTATUS ScanByName(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects, _Inout_ SCAN *Scan) {
    PFLT_FILE_NAME_INFORMATION Name = NULL;
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK IoStatus;
    LARGE_INTEGER Start;
    HANDLE Handle = NULL;
    PFILE_OBJECT File = NULL;
    BOOLEAN Directory = FALSE;
    IO_DRIVER_CREATE_CONTEXT Create;
    NTSTATUS Status = FltGetFileNameInformation(Data, FLT_FILE_NAME_OPENED | FLT_FILE_NAME_QUERY_DEFAULT, &Name);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
#ifdef STRANGER
    InitializeObjectAttributes(&Attributes, &Name->Name, 0, NULL, NULL);
#else
    InitializeObjectAttributes(&Attributes, &Name->Name, OBJ_KERNEL_HANDLE, NULL, NULL);
#endif
    IoInitializeDriverCreateContext(&Create);
    Create.ExtraCreateParameter = MakeMark(TRUE);
    Status =
        FltCreateFileEx2(Filter, Objects->Instance, &Handle, &File, FILE_READ_DATA | SYNCHRONIZE, &Attributes,
                         &IoStatus, NULL, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                         FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0, IO_IGNORE_SHARE_ACCESS_CHECK, &Create);
    if (Create.ExtraCreateParameter != NULL) {
        FltFreeExtraCreateParameterList(Filter, Create.ExtraCreateParameter);
    }
    FltReleaseFileNameInformation(Name);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = FltIsDirectory(File, Objects->Instance, &Directory);
    if (NT_SUCCESS(Status) && !Directory) {
        Start.QuadPart = 0;
        Status =
            FltReadFile(Objects->Instance, File, &Start, sizeof(Scan->Head), Scan->Head, 0, &Scan->Read, NULL, NULL);
        if (Status == STATUS_END_OF_FILE) {
            Status = STATUS_SUCCESS;
        }
        if (NT_SUCCESS(Status)) {
            Status = AskForSize(Objects, File, Scan);
        }
    }
    ObfDereferenceObject(File);
    FltClose(Handle);
    return Status;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _Outptr_result_maybenull_ PVOID *Context) {
    PECP_LIST List = NULL;

    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    // A create that goes on behind a reparse point has its list already.
    if (NT_SUCCESS(FltGetEcpListFromCallbackData(Filter, Data, &List)) && List == NULL) {
        List = MakeMark(FALSE);
        if (List != NULL && !NT_SUCCESS(FltSetEcpListIntoCallbackData(Filter, Data, List))) {
            FltFreeExtraCreateParameterList(Filter, List);
        }
    }
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                    _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    static const UCHAR Bad[5] = {'E', 'I', 'C', 'A', 'R'};
    SCAN *Scan;

    UNREFERENCED_PARAMETER(Context);
    if ((Flags & FLTFL_POST_OPERATION_DRAINING) != 0 || !NT_SUCCESS(Data->IoStatus.Status) ||
        Data->IoStatus.Status == STATUS_REPARSE || !IsMarked(Data, FALSE) ||
        (Objects->FileObject->Flags & FO_VOLUME_OPEN) != 0) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    Scan = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(SCAN), TAG);
    if (Scan == NULL) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    RtlZeroMemory(Scan, sizeof(SCAN));
    if (NT_SUCCESS(ScanByName(Data, Objects, Scan))) {
        InterlockedIncrement(&Scanned);
        if (Scan->Read == sizeof(Bad) && Scan->Standard.EndOfFile.QuadPart >= (LONGLONG)sizeof(Bad) &&
            RtlEqualMemory(Scan->Head, Bad, sizeof(Bad))) {
            InterlockedIncrement(&Refused);
            FltCancelFileOpen(Objects->Instance, Objects->FileObject);
            Data->IoStatus.Status = STATUS_ACCESS_DENIED;
            Data->IoStatus.Information = 0;
        }
    }
    ExFreePoolWithTag(Scan, TAG);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static NTSTATUS FLTAPI InstanceSetup(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                     _In_ DEVICE_TYPE DeviceType, _In_ FLT_FILESYSTEM_TYPE FileSystem) {
    UCHAR Buffer[sizeof(FLT_VOLUME_PROPERTIES) + 256];
    ULONG Returned = 0;
    NTSTATUS Status =
        FltGetVolumeProperties(Objects->Volume, (PFLT_VOLUME_PROPERTIES)Buffer, sizeof(Buffer), &Returned);

    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(DeviceType);
    UNREFERENCED_PARAMETER(FileSystem);
    return NT_SUCCESS(Status) && ((PFLT_VOLUME_PROPERTIES)Buffer)->SectorSize != 0 ? STATUS_SUCCESS
                                                                                   : STATUS_FLT_DO_NOT_ATTACH;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_CREATE, 0, PreCreate, PostCreate, NULL},
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
    NTSTATUS Status = FltRegisterFilter(DriverObject, &Registration, &Filter);

    UNREFERENCED_PARAMETER(RegistryPath);
    if (NT_SUCCESS(Status)) {
        Status = FltStartFiltering(Filter);
        if (!NT_SUCCESS(Status)) {
            FltUnregisterFilter(Filter);
        }
    }
    return Status;
}
