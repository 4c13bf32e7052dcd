// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter of somebody else that delays reads and writes: a timer for each, whose DPC hands the operation to a worker, which lets
// it go on. A thread counts the ticks of another timer until it is told to stop. For `minipend host`. With FORGETS the second timer still ticks when the driver is
// unloaded.

#include <fltkernel.h>

#define DELAYER_TAG 'yleD'
#define DELAY_100NS (-10000) ///< 1 ms
#define PERIOD_MS 5
#define COMPONENT 77 // DPFLTR_IHVDRIVER_ID

DRIVER_INITIALIZE FxDriverEntry;

/// Of one operation, from its pre-operation to the worker.
typedef struct _DELAYED {
    KTIMER Timer;
    KDPC Dpc;
    PFLT_DEFERRED_IO_WORKITEM Item;
    PFLT_CALLBACK_DATA Data;
} DELAYED, *PDELAYED;

static PFLT_FILTER Filter;
static KTIMER Ticker; ///< a synchronization timer
static KEVENT Stop;
static KMUTEX ScoreMutex; ///< guards Score
static struct {
    ULONG Ticks;
    ULONG Delayed;
} Score;
static PETHREAD Counter; ///< referenced

static VOID Count(_Inout_ PULONG What) {
    (VOID) KeWaitForMutexObject(&ScoreMutex, Executive, KernelMode, FALSE, NULL);
    ++*What;
    (VOID) KeReleaseMutex(&ScoreMutex, FALSE);
}

static VOID NTAPI CounterThread(_In_ PVOID Context) {
    PVOID Objects[] = {&Stop, &Ticker};

    UNREFERENCED_PARAMETER(Context);
    while (KeWaitForMultipleObjects(2, Objects, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) == STATUS_WAIT_1) {
        Count(&Score.Ticks);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID FLTAPI Worker(_In_ PFLT_DEFERRED_IO_WORKITEM Item, _In_ PFLT_CALLBACK_DATA Data, _In_opt_ PVOID Context) {
    Count(&Score.Delayed);
    FltCompletePendedPreOperation(Data, FLT_PREOP_SUCCESS_NO_CALLBACK, NULL);
    FltFreeDeferredIoWorkItem(Item);
    ExFreePoolWithTag(Context, DELAYER_TAG);
}

/// At DISPATCH_LEVEL, where an operation can be completed but not sent on.
static VOID NTAPI DueRoutine(_In_ PKDPC Dpc, _In_opt_ PVOID Context, _In_opt_ PVOID First, _In_opt_ PVOID Second) {
    const PDELAYED Delayed = Context;
    const PFLT_CALLBACK_DATA Data = Delayed->Data;
    const NTSTATUS Status = FltQueueDeferredIoWorkItem(Delayed->Item, Data, Worker, DelayedWorkQueue, Delayed);

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(First);
    UNREFERENCED_PARAMETER(Second);
    if (!NT_SUCCESS(Status)) { // the instance goes
        FltFreeDeferredIoWorkItem(Delayed->Item);
        ExFreePoolWithTag(Delayed, DELAYER_TAG);
        Data->IoStatus.Status = Status;
        Data->IoStatus.Information = 0;
        FltCompletePendedPreOperation(Data, FLT_PREOP_COMPLETE, NULL);
    }
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreReadWrite(_Inout_ PFLT_CALLBACK_DATA Data,
                                                     _In_ PCFLT_RELATED_OBJECTS Objects,
                                                     _Outptr_result_maybenull_ PVOID *Context) {
    LARGE_INTEGER Due100ns;
    PDELAYED Delayed;

    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (!FLT_IS_IRP_OPERATION(Data) || FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO)) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Delayed = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Delayed), DELAYER_TAG);
    if (Delayed == NULL) {
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Delayed->Item = FltAllocateDeferredIoWorkItem();
    if (Delayed->Item == NULL) {
        ExFreePoolWithTag(Delayed, DELAYER_TAG);
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    Delayed->Data = Data;
    KeInitializeTimer(&Delayed->Timer);
    KeInitializeDpc(&Delayed->Dpc, DueRoutine, Delayed);
    Due100ns.QuadPart = DELAY_100NS;
    (VOID) KeSetTimer(&Delayed->Timer, Due100ns, &Delayed->Dpc);
    return FLT_PREOP_PENDING;
}

static VOID StopTicking(void) {
#if !defined(FORGETS)
    (VOID) KeCancelTimer(&Ticker);
#endif
    (VOID) KeSetEvent(&Stop, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(Counter, Executive, KernelMode, FALSE, NULL);
    ObfDereferenceObject(Counter);
    KeFlushQueuedDpcs();
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter); // waits for what is delayed
    StopTicking();
    (VOID) DbgPrintEx(COMPONENT, DPFLTR_ERROR_LEVEL, "delayer: %lu ticks, %lu delayed, mutex %ld\n", Score.Ticks,
                      Score.Delayed, KeReadStateMutex(&ScoreMutex));
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_READ, 0, PreReadWrite, NULL, NULL},
    {IRP_MJ_WRITE, 0, PreReadWrite, NULL, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .OperationRegistration = Operations,
    .FilterUnloadCallback = Unload,
};

static NTSTATUS StartTicking(void) {
    LARGE_INTEGER Due100ns;
    HANDLE Handle;
    NTSTATUS Status;

    KeInitializeTimerEx(&Ticker, SynchronizationTimer);
    KeInitializeEvent(&Stop, NotificationEvent, FALSE);
    KeInitializeMutex(&ScoreMutex, 0);
    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, CounterThread, NULL);
    if (NT_SUCCESS(Status)) {
        // The handle is the kernel's own: this cannot fail.
        (VOID) ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID *)&Counter, NULL);
        (VOID) ZwClose(Handle);
        Due100ns.QuadPart = DELAY_100NS;
        (VOID) KeSetTimerEx(&Ticker, Due100ns, PERIOD_MS, NULL);
    }
    return Status;
}

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    NTSTATUS Status = StartTicking();

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
        StopTicking();
    }
    return Status;
}
