// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter of somebody else: it sees every operation before and after, and changes nothing. For `minipend host`.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

static PFLT_FILTER Filter;
static volatile LONG Seen;

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreOperation(_Inout_ PFLT_CALLBACK_DATA Data,
                                                     _In_ PCFLT_RELATED_OBJECTS Objects,
                                                     _Outptr_result_maybenull_ PVOID *Context) {
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    InterlockedIncrement(&Seen);
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostOperation(_Inout_ PFLT_CALLBACK_DATA Data,
                                                       _In_ PCFLT_RELATED_OBJECTS Objects, _In_opt_ PVOID Context,
                                                       _In_ FLT_POST_OPERATION_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Flags);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
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

#define SEES(Major) {Major, 0, PreOperation, PostOperation, NULL}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    SEES(IRP_MJ_CREATE),
    SEES(IRP_MJ_CLOSE),
    SEES(IRP_MJ_READ),
    SEES(IRP_MJ_WRITE),
    SEES(IRP_MJ_QUERY_INFORMATION),
    SEES(IRP_MJ_SET_INFORMATION),
    SEES(IRP_MJ_FLUSH_BUFFERS),
    SEES(IRP_MJ_DIRECTORY_CONTROL),
    SEES(IRP_MJ_CLEANUP),
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
