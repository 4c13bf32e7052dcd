// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter of somebody else that swaps the buffers of non-cached reads: the file system reads into the filter's memory, and the
// post-operation copies it to the caller when that is safe (FltDoCompletionProcessingWhenSafe). For `minipend host`.
//
// Paging I/O is left alone: its post-operation may not be put off. Memory that nobody copies from is given back all the same.

#include <fltkernel.h>

#define SWAP_TAG 'pawS'

DRIVER_INITIALIZE FxDriverEntry;

static PFLT_FILTER Filter;

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreRead(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                _Outptr_result_maybenull_ PVOID *Context) {
    const PFLT_IO_PARAMETER_BLOCK Iopb = Data->Iopb;
    PVOID Own;

    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (!FLT_IS_IRP_OPERATION(Data) || FlagOn(Iopb->IrpFlags, IRP_PAGING_IO) || !FlagOn(Iopb->IrpFlags, IRP_NOCACHE) ||
        Iopb->MinorFunction != 0 || Iopb->Parameters.Read.Length == 0) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Own = ExAllocatePoolWithTag(NonPagedPoolNx, Iopb->Parameters.Read.Length, SWAP_TAG);
    if (Own == NULL) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Iopb->Parameters.Read.ReadBuffer = Own;
    Iopb->Parameters.Read.MdlAddress = NULL;
    FltSetCallbackDataDirty(Data);
    *Context = Own;
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

/// By now the caller's buffer stands in the parameters again.
static FLT_POSTOP_CALLBACK_STATUS FLTAPI CopyBack(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    if (NT_SUCCESS(Data->IoStatus.Status)) {
        __try {
            RtlCopyMemory(Data->Iopb->Parameters.Read.ReadBuffer, Context, Data->IoStatus.Information);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Data->IoStatus.Status = (NTSTATUS)GetExceptionCode();
            Data->IoStatus.Information = 0;
        }
    }
    ExFreePoolWithTag(Context, SWAP_TAG);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostRead(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                  _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    FLT_POSTOP_CALLBACK_STATUS Result = FLT_POSTOP_FINISHED_PROCESSING;

    if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        ExFreePoolWithTag(Context, SWAP_TAG);
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    if (!FltDoCompletionProcessingWhenSafe(Data, Objects, Context, Flags, CopyBack, &Result)) {
        ExFreePoolWithTag(Context, SWAP_TAG);
        Data->IoStatus.Status = STATUS_UNSUCCESSFUL;
        Data->IoStatus.Information = 0;
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    return Result;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_READ, 0, PreRead, PostRead, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .OperationRegistration = Operations,
    .FilterUnloadCallback = Unload,
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
