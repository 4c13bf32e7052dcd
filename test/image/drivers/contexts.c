// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that counts the writes of every stream in a stream context, and what it has seen of a volume in a volume context. It
// lets everything pass. With FORGETS it keeps a reference of every context that it looks for. For `minipend host`.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

typedef struct COUNTERS {
    volatile LONG Creates;
    volatile LONG Writes;
} COUNTERS;

static PFLT_FILTER Filter;
static volatile LONG Cleaned;

static void FLTAPI Cleanup(_In_ PFLT_CONTEXT Context, _In_ FLT_CONTEXT_TYPE ContextType) {
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(ContextType);
    InterlockedIncrement(&Cleaned);
}

static NTSTATUS MakeCounters(_In_ FLT_CONTEXT_TYPE Type, _Outptr_ COUNTERS **Counters) {
    NTSTATUS Status = FltAllocateContext(Filter, Type, sizeof(COUNTERS), NonPagedPoolNx, (PFLT_CONTEXT *)Counters);
    if (NT_SUCCESS(Status)) {
        (*Counters)->Creates = 0;
        (*Counters)->Writes = 0;
    }
    return Status;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _Outptr_result_maybenull_ PVOID *Context) {
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostCreate(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                    _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    COUNTERS *Counters = NULL;
    PFLT_CONTEXT Before = NULL;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Context);
    if ((Flags & FLTFL_POST_OPERATION_DRAINING) != 0 || !NT_SUCCESS(Data->IoStatus.Status) ||
        Data->IoStatus.Status == STATUS_REPARSE || !FltSupportsStreamContexts(Objects->FileObject) ||
        !NT_SUCCESS(MakeCounters(FLT_STREAM_CONTEXT, &Counters))) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    Status =
        FltSetStreamContext(Objects->Instance, Objects->FileObject, FLT_SET_CONTEXT_KEEP_IF_EXISTS, Counters, &Before);
    if (Status == STATUS_FLT_CONTEXT_ALREADY_DEFINED) {
        FltReleaseContext(Counters);
        Counters = Before;
    }
    if (NT_SUCCESS(Status) || Status == STATUS_FLT_CONTEXT_ALREADY_DEFINED) {
        InterlockedIncrement(&Counters->Creates);
    }
    FltReleaseContext(Counters);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreWrite(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                 _Outptr_result_maybenull_ PVOID *Context) {
    FLT_RELATED_CONTEXTS Contexts;

    UNREFERENCED_PARAMETER(Data);
    *Context = NULL;
    FltGetContexts(Objects, FLT_STREAM_CONTEXT | FLT_VOLUME_CONTEXT, &Contexts);
    if (Contexts.StreamContext != NULL) {
        InterlockedIncrement(&((COUNTERS *)Contexts.StreamContext)->Writes);
    }
    if (Contexts.VolumeContext != NULL) {
        InterlockedIncrement(&((COUNTERS *)Contexts.VolumeContext)->Writes);
    }
#ifndef FORGETS
    FltReleaseContexts(&Contexts);
#endif
    return FLT_PREOP_SUCCESS_NO_CALLBACK;
}

static NTSTATUS FLTAPI InstanceSetup(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                     _In_ DEVICE_TYPE DeviceType, _In_ FLT_FILESYSTEM_TYPE FileSystem) {
    COUNTERS *Counters = NULL;
    NTSTATUS Status = MakeCounters(FLT_VOLUME_CONTEXT, &Counters);

    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(DeviceType);
    UNREFERENCED_PARAMETER(FileSystem);
    if (!NT_SUCCESS(Status)) {
        return STATUS_FLT_DO_NOT_ATTACH;
    }
    Status = FltSetVolumeContext(Objects->Volume, FLT_SET_CONTEXT_KEEP_IF_EXISTS, Counters, NULL);
    FltReleaseContext(Counters);
    return NT_SUCCESS(Status) || Status == STATUS_FLT_CONTEXT_ALREADY_DEFINED ? STATUS_SUCCESS
                                                                              : STATUS_FLT_DO_NOT_ATTACH;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_CREATE, 0, PreCreate, PostCreate, NULL},
    {IRP_MJ_WRITE, 0, PreWrite, NULL, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_CONTEXT_REGISTRATION Contexts[] = {
    {.ContextType = FLT_STREAM_CONTEXT, .ContextCleanupCallback = Cleanup, .Size = sizeof(COUNTERS), .PoolTag = 'rtnC'},
    {.ContextType = FLT_VOLUME_CONTEXT, .ContextCleanupCallback = Cleanup, .Size = sizeof(COUNTERS), .PoolTag = 'rtnC'},
    {.ContextType = FLT_CONTEXT_END},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .ContextRegistration = Contexts,
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
