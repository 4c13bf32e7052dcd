// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter of somebody else that pends non-cached and cached reads and writes before they reach the file system, in a cancel-safe
// queue for each instance; a thread of the instance lets them go on, or completes every eighth read itself. For `minipend host`.

#include <fltkernel.h>

#define PENDER_TAG 'dneP'

DRIVER_INITIALIZE FxDriverEntry;

/// An instance's context.
typedef struct _PENDER {
    FLT_CALLBACK_DATA_QUEUE Queue; ///< first: the routines get its address
    KSPIN_LOCK Lock; ///< guards List; held from Acquire to Release
    LIST_ENTRY List;
    KSEMAPHORE Arrived; ///< one for each insertion, and one to stop
    volatile LONG Stop;
    PETHREAD Thread; ///< referenced; null once it has been waited for
    LONG Reads; ///< of the thread
} PENDER, *PPENDER;

static PFLT_FILTER Filter;

static NTSTATUS FLTAPI InsertIo(_Inout_ PFLT_CALLBACK_DATA_QUEUE Queue, _In_ PFLT_CALLBACK_DATA Data,
                                _In_opt_ PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InsertTailList(&CONTAINING_RECORD(Queue, PENDER, Queue)->List, &Data->QueueLinks);
    return STATUS_SUCCESS;
}

static void FLTAPI RemoveIo(_Inout_ PFLT_CALLBACK_DATA_QUEUE Queue, _In_ PFLT_CALLBACK_DATA Data) {
    UNREFERENCED_PARAMETER(Queue);
    RemoveEntryList(&Data->QueueLinks);
}

static PFLT_CALLBACK_DATA FLTAPI PeekNextIo(_In_ PFLT_CALLBACK_DATA_QUEUE Queue, _In_opt_ PFLT_CALLBACK_DATA Data,
                                            _In_opt_ PVOID Context) {
    const PLIST_ENTRY Head = &CONTAINING_RECORD(Queue, PENDER, Queue)->List;
    const PLIST_ENTRY Next = Data == NULL ? Head->Flink : Data->QueueLinks.Flink;

    UNREFERENCED_PARAMETER(Context);
    return Next == Head ? NULL : CONTAINING_RECORD(Next, FLT_CALLBACK_DATA, QueueLinks);
}

static void FLTAPI Acquire(_Inout_ PFLT_CALLBACK_DATA_QUEUE Queue, _Out_opt_ PKIRQL Irql) {
    KeAcquireSpinLock(&CONTAINING_RECORD(Queue, PENDER, Queue)->Lock, Irql);
}

static void FLTAPI Release(_Inout_ PFLT_CALLBACK_DATA_QUEUE Queue, _In_opt_ KIRQL Irql) {
    KeReleaseSpinLock(&CONTAINING_RECORD(Queue, PENDER, Queue)->Lock, Irql);
}

static void FLTAPI CompleteCanceledIo(_Inout_ PFLT_CALLBACK_DATA_QUEUE Queue, _Inout_ PFLT_CALLBACK_DATA Data) {
    UNREFERENCED_PARAMETER(Queue);
    Data->IoStatus.Status = STATUS_CANCELLED;
    Data->IoStatus.Information = 0;
    FltCompletePendedPreOperation(Data, FLT_PREOP_COMPLETE, NULL);
}

/// Every eighth read is completed here, with nothing read; the others go on to the file system.
static VOID GiveBack(_Inout_ PPENDER Pender, _Inout_ PFLT_CALLBACK_DATA Data) {
    if (Data->Iopb->MajorFunction == IRP_MJ_READ && ++Pender->Reads % 8 == 0) {
        Data->IoStatus.Status = STATUS_END_OF_FILE;
        Data->IoStatus.Information = 0;
        FltCompletePendedPreOperation(Data, FLT_PREOP_COMPLETE, NULL);
    } else {
        FltCompletePendedPreOperation(Data, FLT_PREOP_SUCCESS_WITH_CALLBACK, Pender);
    }
}

static VOID NTAPI GiverThread(_In_ PVOID Context) {
    const PPENDER Pender = Context;
    PFLT_CALLBACK_DATA Data;

    for (;;) {
        (VOID) KeWaitForSingleObject(&Pender->Arrived, Executive, KernelMode, FALSE, NULL);
        if (Pender->Stop != 0) {
            break;
        }
        Data = FltCbdqRemoveNextIo(&Pender->Queue, NULL); // none: it has been cancelled
        if (Data != NULL) {
            GiveBack(Pender, Data);
        }
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreReadWrite(_Inout_ PFLT_CALLBACK_DATA Data,
                                                     _In_ PCFLT_RELATED_OBJECTS Objects,
                                                     _Outptr_result_maybenull_ PVOID *Context) {
    FLT_PREOP_CALLBACK_STATUS Result = FLT_PREOP_SUCCESS_NO_CALLBACK;
    PPENDER Pender;

    *Context = NULL;
    if (!FLT_IS_IRP_OPERATION(Data) || FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO) ||
        !NT_SUCCESS(FltGetInstanceContext(Objects->Instance, (PFLT_CONTEXT *)&Pender))) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    if (NT_SUCCESS(FltCbdqInsertIo(&Pender->Queue, Data, NULL, NULL))) {
        Result = FLT_PREOP_PENDING; // and from here on Data is not ours
        (VOID) KeReleaseSemaphore(&Pender->Arrived, IO_NO_INCREMENT, 1, FALSE);
    }
    FltReleaseContext(Pender);
    return Result;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostReadWrite(_Inout_ PFLT_CALLBACK_DATA Data,
                                                       _In_ PCFLT_RELATED_OBJECTS Objects, _In_opt_ PVOID Context,
                                                       _In_ FLT_POST_OPERATION_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Flags);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static NTSTATUS StartThread(_Inout_ PPENDER Pender) {
    HANDLE Handle;
    NTSTATUS Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, GiverThread, Pender);

    if (NT_SUCCESS(Status)) {
        // The handle is the kernel's own: this cannot fail.
        (VOID) ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID *)&Pender->Thread, NULL);
        (VOID) ZwClose(Handle);
    }
    return Status;
}

static NTSTATUS FLTAPI InstanceSetup(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                     _In_ DEVICE_TYPE DeviceType, _In_ FLT_FILESYSTEM_TYPE FileSystem) {
    PPENDER Pender;
    NTSTATUS Status =
        FltAllocateContext(Filter, FLT_INSTANCE_CONTEXT, sizeof(*Pender), NonPagedPoolNx, (PFLT_CONTEXT *)&Pender);

    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(DeviceType);
    UNREFERENCED_PARAMETER(FileSystem);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    RtlZeroMemory(Pender, sizeof(*Pender));
    KeInitializeSpinLock(&Pender->Lock);
    InitializeListHead(&Pender->List);
    KeInitializeSemaphore(&Pender->Arrived, 0, MAXLONG);
    Status = FltCbdqInitialize(Objects->Instance, &Pender->Queue, InsertIo, RemoveIo, PeekNextIo, Acquire, Release,
                               CompleteCanceledIo);
    if (NT_SUCCESS(Status)) {
        Status = StartThread(Pender);
    }
    if (NT_SUCCESS(Status)) {
        Status = FltSetInstanceContext(Objects->Instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, Pender, NULL);
    }
    FltReleaseContext(Pender);
    return Status;
}

static NTSTATUS FLTAPI InstanceQueryTeardown(_In_ PCFLT_RELATED_OBJECTS Objects,
                                             _In_ FLT_INSTANCE_QUERY_TEARDOWN_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    return STATUS_SUCCESS;
}

/// Nothing new, then the thread, then what is left in the queue.
static void FLTAPI InstanceTeardownStart(_In_ PCFLT_RELATED_OBJECTS Objects, _In_ FLT_INSTANCE_TEARDOWN_FLAGS Reason) {
    PFLT_CALLBACK_DATA Data;
    PPENDER Pender;

    UNREFERENCED_PARAMETER(Reason);
    if (!NT_SUCCESS(FltGetInstanceContext(Objects->Instance, (PFLT_CONTEXT *)&Pender))) {
        return;
    }
    FltCbdqDisable(&Pender->Queue);
    InterlockedExchange(&Pender->Stop, 1);
    (VOID) KeReleaseSemaphore(&Pender->Arrived, IO_NO_INCREMENT, 1, FALSE);
    (VOID) KeWaitForSingleObject(Pender->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Pender->Thread);
    Pender->Thread = NULL;
    while ((Data = FltCbdqRemoveNextIo(&Pender->Queue, NULL)) != NULL) {
        GiveBack(Pender, Data);
    }
    FltReleaseContext(Pender);
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_READ, 0, PreReadWrite, PostReadWrite, NULL},
    {IRP_MJ_WRITE, 0, PreReadWrite, PostReadWrite, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_CONTEXT_REGISTRATION Contexts[] = {
    {FLT_INSTANCE_CONTEXT, 0, NULL, sizeof(PENDER), PENDER_TAG, NULL, NULL, NULL},
    {FLT_CONTEXT_END, 0, NULL, 0, 0, NULL, NULL, NULL},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .ContextRegistration = Contexts,
    .OperationRegistration = Operations,
    .FilterUnloadCallback = Unload,
    .InstanceSetupCallback = InstanceSetup,
    .InstanceQueryTeardownCallback = InstanceQueryTeardown,
    .InstanceTeardownStartCallback = InstanceTeardownStart,
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
