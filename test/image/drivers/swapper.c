// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter of somebody else that swaps the buffers of reads, writes and directory listings, as encryption filters do. For
// `minipend host`.
//
//      read, listing   own memory below; afterwards copied to the caller: behind his MDL, at once; else when that is safe, with his buffer locked
//      write           his data copied to own memory, which goes below
//
// The Filter Manager frees the MDL of what was swapped in, and never drains such an operation. FREES: the driver frees it as well, which is wrong.

#include <fltkernel.h>

#define SWAP_TAG 'pawS'
#define MAP_PRIORITY (NormalPagePriority | MdlMappingNoExecute)

DRIVER_INITIALIZE FxDriverEntry;

static PFLT_FILTER Filter;

/// Puts own memory in the place of the operation's buffer. FALSE: the operation goes on as it is.
static BOOLEAN SwapIn(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PMDL *MdlAddress, _In_ PVOID *Buffer, _In_ PVOID Own,
                      _In_ ULONG Length) {
    PMDL Mdl = IoAllocateMdl(Own, Length, FALSE, FALSE, NULL);

    if (Mdl == NULL) {
        return FALSE;
    }
    MmBuildMdlForNonPagedPool(Mdl);
    *MdlAddress = Mdl;
    *Buffer = Own;
    FltSetCallbackDataDirty(Data);
    return TRUE;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreIn(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                              _Outptr_result_maybenull_ PVOID *Context) {
    PMDL *Mdl;
    PVOID *Buffer;
    PULONG Length;
    PVOID Own;

    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (!FLT_IS_IRP_OPERATION(Data) ||
        (Data->Iopb->MajorFunction == IRP_MJ_DIRECTORY_CONTROL &&
         Data->Iopb->MinorFunction != IRP_MN_QUERY_DIRECTORY) ||
        !NT_SUCCESS(FltDecodeParameters(Data, &Mdl, &Buffer, &Length, NULL)) || *Length == 0) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Own = ExAllocatePoolWithTag(NonPagedPoolNx, *Length, SWAP_TAG);
    if (Own == NULL) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    if (!SwapIn(Data, Mdl, Buffer, Own, *Length)) {
        ExFreePoolWithTag(Own, SWAP_TAG);
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    *Context = Own;
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static VOID FailWith(_Inout_ PFLT_CALLBACK_DATA Data, _In_ NTSTATUS Status) {
    Data->IoStatus.Status = Status;
    Data->IoStatus.Information = 0;
}

static VOID GiveUp(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PVOID Own) {
#ifdef FREES
    IoFreeMdl(FltGetSwappedBufferMdlAddress(Data));
#else
    UNREFERENCED_PARAMETER(Data);
#endif
    ExFreePoolWithTag(Own, SWAP_TAG);
}

/// Behind the caller's MDL. IRQL <= DISPATCH_LEVEL.
static VOID CopyBehind(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PMDL Mdl, _In_ PVOID Own) {
    PVOID Theirs = MmGetSystemAddressForMdlSafe(Mdl, MAP_PRIORITY);

    if (Theirs == NULL) {
        FailWith(Data, STATUS_INSUFFICIENT_RESOURCES);
    } else {
        RtlCopyMemory(Theirs, Own, Data->IoStatus.Information);
    }
}

/// By now the caller's buffer stands in the parameters again.
static FLT_POSTOP_CALLBACK_STATUS FLTAPI CopyWhenSafe(_Inout_ PFLT_CALLBACK_DATA Data,
                                                      _In_ PCFLT_RELATED_OBJECTS Objects, _In_opt_ PVOID Context,
                                                      _In_ FLT_POST_OPERATION_FLAGS Flags) {
    NTSTATUS Status = FltLockUserBuffer(Data);
    PMDL *Mdl;

    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    if (NT_SUCCESS(Status)) {
        Status = FltDecodeParameters(Data, &Mdl, NULL, NULL, NULL);
    }
    if (NT_SUCCESS(Status)) {
        CopyBehind(Data, *Mdl, Context);
    } else {
        FailWith(Data, Status);
    }
    GiveUp(Data, Context);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostIn(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    FLT_POSTOP_CALLBACK_STATUS Result = FLT_POSTOP_FINISHED_PROCESSING;
    PMDL *Mdl;

    if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        KeBugCheckEx(SWAP_TAG, 0, 0, 0, 0); // what is below still writes to our memory
    }
    if (!NT_SUCCESS(Data->IoStatus.Status) || Data->IoStatus.Information == 0 ||
        !NT_SUCCESS(FltDecodeParameters(Data, &Mdl, NULL, NULL, NULL))) {
        GiveUp(Data, Context);
    } else if (*Mdl != NULL) {
        CopyBehind(Data, *Mdl, Context);
        GiveUp(Data, Context);
    } else if (!FltDoCompletionProcessingWhenSafe(Data, Objects, Context, Flags, CopyWhenSafe, &Result)) {
        FailWith(Data, STATUS_UNSUCCESSFUL);
        GiveUp(Data, Context);
    }
    return Result;
}

/// The caller's data, at the place where they are. IRQL <= APC_LEVEL.
static NTSTATUS CopyFrom(_Out_ PVOID Own, _In_opt_ PMDL Mdl, _In_ PVOID Buffer, _In_ ULONG Length) {
    NTSTATUS Status = STATUS_SUCCESS;
    PVOID Theirs = Mdl != NULL ? MmGetSystemAddressForMdlSafe(Mdl, MAP_PRIORITY) : Buffer;

    if (Theirs == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    __try {
        RtlCopyMemory(Own, Theirs, Length);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = (NTSTATUS)GetExceptionCode();
    }
    return Status;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreOut(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                               _Outptr_result_maybenull_ PVOID *Context) {
    const PFLT_IO_PARAMETER_BLOCK Iopb = Data->Iopb;
    const ULONG Length = Iopb->Parameters.Write.Length;
    NTSTATUS Status;
    PVOID Own;

    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (!FLT_IS_IRP_OPERATION(Data) || Length == 0) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Own = ExAllocatePoolWithTag(NonPagedPoolNx, Length, SWAP_TAG);
    if (Own == NULL) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Status = CopyFrom(Own, Iopb->Parameters.Write.MdlAddress, Iopb->Parameters.Write.WriteBuffer, Length);
    if (!NT_SUCCESS(Status)) {
        ExFreePoolWithTag(Own, SWAP_TAG);
        FailWith(Data, Status);
        return FLT_PREOP_COMPLETE;
    }
    if (!SwapIn(Data, &Iopb->Parameters.Write.MdlAddress, &Iopb->Parameters.Write.WriteBuffer, Own, Length)) {
        ExFreePoolWithTag(Own, SWAP_TAG);
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    *Context = Own;
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostOut(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects,
                                                 _In_opt_ PVOID Context, _In_ FLT_POST_OPERATION_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Objects);
    if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        KeBugCheckEx(SWAP_TAG, 1, 0, 0, 0);
    }
    GiveUp(Data, Context);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_READ, 0, PreIn, PostIn, NULL},
    {IRP_MJ_DIRECTORY_CONTROL, 0, PreIn, PostIn, NULL},
    {IRP_MJ_WRITE, 0, PreOut, PostOut, NULL},
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
