// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter of somebody else that takes stock: of each volume it notes the drive, the kind of file system and the GUID; it looks who
// else filters there, attaches where it is not, and asks what its creates returned. For `minipend host`. FORGETS: keeps the drive's name.

#include <fltkernel.h>

#define MOST 16

DRIVER_INITIALIZE FxDriverEntry;

static PFLT_FILTER Filter;
static volatile LONG Created, Told, Named;

static VOID FLTAPI StatusOfCreate(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ PFLT_IO_PARAMETER_BLOCK Iopb,
                                  _In_ NTSTATUS Status, _In_opt_ PVOID Context) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Status);
    if (Iopb->MajorFunction == IRP_MJ_CREATE && Context == (PVOID)&Told) {
        InterlockedIncrement(&Told);
    }
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _Outptr_result_maybenull_ PVOID *Context) {
    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (NT_SUCCESS(FltRequestOperationStatusCallback(Data, StatusOfCreate, (PVOID)&Told))) {
        InterlockedIncrement(&Created);
    }
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                    _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    PFLT_FILE_NAME_INFORMATION Name, Tunneled;
    UNICODE_STRING Extension, Component;

    UNREFERENCED_PARAMETER(Context);
    if ((Flags & FLTFL_POST_OPERATION_DRAINING) != 0 || Data->IoStatus.Status != STATUS_SUCCESS ||
        IoGetTopLevelIrp() != NULL) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    if (NT_SUCCESS(FltGetFileNameInformationUnsafe(Objects->FileObject, Objects->Instance,
                                                   FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &Name))) {
        if (NT_SUCCESS(FltGetTunneledName(Data, Name, &Tunneled)) && Tunneled != NULL) {
            FltReleaseFileNameInformation(Tunneled);
        }
        if (NT_SUCCESS(FltParseFileName(&Name->Name, &Extension, NULL, &Component)) &&
            Component.Length >= Extension.Length) {
            InterlockedIncrement(&Named);
        }
        FltReleaseFileNameInformation(Name);
    }
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static NTSTATUS FLTAPI InstanceSetup(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                     _In_ DEVICE_TYPE DeviceType, _In_ FLT_FILESYSTEM_TYPE FileSystem) {
    FLT_FILESYSTEM_TYPE Type;
    PDEVICE_OBJECT Disk;
    UNICODE_STRING Drive, Guid;
    WCHAR Buffer[64];
    BOOLEAN Writable, Snapshot;

    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(DeviceType);
    Guid.Buffer = Buffer;
    Guid.Length = 0;
    Guid.MaximumLength = sizeof(Buffer);
    if (!NT_SUCCESS(FltGetFileSystemType(Objects->Volume, &Type)) || Type != FileSystem ||
        !NT_SUCCESS(FltIsVolumeWritable(Objects->Volume, &Writable)) ||
        !NT_SUCCESS(FltIsVolumeSnapshot(Objects->Volume, &Snapshot)) ||
        !NT_SUCCESS(FltGetVolumeGuidName(Objects->Volume, &Guid, NULL)) ||
        !NT_SUCCESS(FltGetDiskDeviceObject(Objects->Volume, &Disk))) {
        return STATUS_FLT_DO_NOT_ATTACH;
    }
    if (NT_SUCCESS(IoVolumeDeviceToDosName(Disk, &Drive))) {
        DbgPrint("inventory: %wZ is %wZ, type %d, writable %d, snapshot %d\n", &Drive, &Guid, (int)Type, Writable,
                 Snapshot);
#if !defined(FORGETS)
        ExFreePool(Drive.Buffer);
#endif
    }
    ObDereferenceObject(Disk);
    return STATUS_SUCCESS;
}

static NTSTATUS FLTAPI InstanceQueryTeardown(_In_ PCFLT_RELATED_OBJECTS Objects,
                                             _In_ FLT_INSTANCE_QUERY_TEARDOWN_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    return STATUS_SUCCESS;
}

/// How many instances of whom are on a volume; attaches and detaches there.
static VOID LookAt(_In_ PFLT_VOLUME Volume) {
    PFLT_INSTANCE Instances[MOST], Mine = NULL;
    ULONG Count = 0, i;

    if (NT_SUCCESS(FltAttachVolume(Filter, Volume, NULL, &Mine))) {
        FltObjectDereference(Mine);
    }
    if (NT_SUCCESS(FltEnumerateInstances(Volume, NULL, Instances, MOST, &Count))) {
        for (i = 0; i < Count; ++i) {
            PFLT_FILTER Owner;

            if (NT_SUCCESS(FltGetFilterFromInstance(Instances[i], &Owner))) {
                if (Owner == Filter) {
                    DbgPrint("inventory: attached\n");
                }
                FltObjectDereference(Owner);
            }
            FltObjectDereference(Instances[i]);
        }
    }
    if (Mine != NULL) {
        FltDetachVolume(Filter, Volume, NULL);
    }
}

static VOID TakeStock(VOID) {
    PFLT_VOLUME Volumes[MOST];
    PFLT_FILTER Filters[MOST];
    ULONG Count = 0, i;

    if (NT_SUCCESS(FltEnumerateVolumes(Filter, Volumes, MOST, &Count))) {
        for (i = 0; i < Count; ++i) {
            LookAt(Volumes[i]);
            FltObjectDereference(Volumes[i]);
        }
        DbgPrint("inventory: %u volumes\n", Count);
    }
    if (NT_SUCCESS(FltEnumerateFilters(Filters, MOST, &Count))) {
        for (i = 0; i < Count; ++i) {
            FltObjectDereference(Filters[i]);
        }
        DbgPrint("inventory: filters: %u\n", Count);
    }
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    DbgPrint("inventory: %s, %s\n", Told > 0 && Told == Created ? "told of every create" : "not told of every create",
             Named > 0 ? "names known" : "no names");
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
    .InstanceQueryTeardownCallback = InstanceQueryTeardown,
};

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    NTSTATUS Status = FltRegisterFilter(DriverObject, &Registration, &Filter);

    UNREFERENCED_PARAMETER(RegistryPath);
    if (NT_SUCCESS(Status)) {
        Status = FltStartFiltering(Filter);
        if (!NT_SUCCESS(Status)) {
            FltUnregisterFilter(Filter);
            return Status;
        }
        TakeStock();
    }
    return Status;
}
