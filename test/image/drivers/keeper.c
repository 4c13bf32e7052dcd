// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that keeps the score of all operations, by process and kind, in a balanced table under a resource. Post-operations,
// at whatever IRQL, put what they saw into an interlocked list; a generic work item carries it over. Every fourth write waits for a system worker, with a
// cancel routine. Its altitude is what it reads from the registry. It says at unload what it has counted. With FORGETS it leaves its table and its lookaside
// list as they are then, with FREES it frees an element that is in the table. For `minipend host`.

#include <fltkernel.h>

#define KEEPER_TAG 'peeK'
#define ALTITUDE_CHARACTERS 24
#define COMPONENT 77 ///< DPFLTR_IHVDRIVER_ID

DRIVER_INITIALIZE FxDriverEntry;

/// What a post-operation saw.
typedef struct _SEEN {
    SLIST_ENTRY Link; ///< first: it is what is pushed and popped
    ULONG Process;
    UCHAR Major;
} SEEN, *PSEEN;

/// An element of the table.
typedef struct _SCORE {
    ULONG Process;
    UCHAR Major;
    LONG Count;
} SCORE, *PSCORE;

/// A write that waits for a worker. Its cancel routine tells the worker, who alone gives it back: so nobody looks at what is gone.
typedef struct _HELD {
    KEVENT Cancelled;
    PFLT_DEFERRED_IO_WORKITEM Item;
} HELD, *PHELD;

static PFLT_FILTER Filter;
static NPAGED_LOOKASIDE_LIST Entries; ///< of SEEN
static SLIST_HEADER Seen;
static volatile LONG SeenTotal;
static PFLT_GENERIC_WORKITEM Carrier;
static volatile LONG Carrying; ///< the work item is queued, or runs
static ERESOURCE Lock; ///< guards Scores
static RTL_AVL_TABLE Scores;
static volatile LONG Writes;
static volatile LONG Held;
static volatile LONG Cancelled;
static WCHAR Altitude[ALTITUDE_CHARACTERS];

static RTL_GENERIC_COMPARE_RESULTS NTAPI Compare(_In_ struct _RTL_AVL_TABLE *Table, _In_ PVOID First,
                                                 _In_ PVOID Second) {
    const PSCORE A = First;
    const PSCORE B = Second;
    const ULONGLONG KeyA = ((ULONGLONG)A->Process << 8) | A->Major;
    const ULONGLONG KeyB = ((ULONGLONG)B->Process << 8) | B->Major;

    UNREFERENCED_PARAMETER(Table);
    return KeyA < KeyB ? GenericLessThan : KeyA > KeyB ? GenericGreaterThan : GenericEqual;
}

static PVOID NTAPI AllocateElement(_In_ struct _RTL_AVL_TABLE *Table, _In_ CLONG Bytes) {
    UNREFERENCED_PARAMETER(Table);
    return ExAllocatePoolWithTag(PagedPool, Bytes, KEEPER_TAG);
}

static void NTAPI FreeElement(_In_ struct _RTL_AVL_TABLE *Table, _In_ PVOID Element) {
    UNREFERENCED_PARAMETER(Table);
    ExFreePoolWithTag(Element, KEEPER_TAG);
}

/// All that is in the list, into the table. What finds no memory there is lost, and the sum says so.
static VOID Carry(VOID) {
    PSEEN Entry;

    FltAcquireResourceExclusive(&Lock);
    while ((Entry = (PSEEN)InterlockedPopEntrySList(&Seen)) != NULL) {
        SCORE Score = {Entry->Process, Entry->Major, 0};
        PSCORE Kept = RtlInsertElementGenericTableAvl(&Scores, &Score, sizeof(Score), NULL);
        if (Kept != NULL) {
            Kept->Count += 1;
        }
        ExFreeToNPagedLookasideList(&Entries, Entry);
    }
    FltReleaseResource(&Lock);
}

static VOID QueueCarrier(VOID);

static void FLTAPI CarrierRoutine(_In_ PFLT_GENERIC_WORKITEM Item, _In_ PVOID Object, _In_opt_ PVOID Context) {
    UNREFERENCED_PARAMETER(Item);
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(Context);
    Carry();
    InterlockedExchange(&Carrying, 0);
    if (ExQueryDepthSList(&Seen) != 0) { // that came after the last look, and found us carrying
        QueueCarrier();
    }
}

/// IRQL <= DISPATCH_LEVEL. At unload the item is refused, and Unload carries the rest itself.
static VOID QueueCarrier(VOID) {
    if (InterlockedExchange(&Carrying, 1) == 0 &&
        !NT_SUCCESS(FltQueueGenericWorkItem(Carrier, Filter, CarrierRoutine, DelayedWorkQueue, NULL))) {
        InterlockedExchange(&Carrying, 0);
    }
}

/// Of ntoskrnl.exe, as other functions of C.
SIZE_T wcslen(_In_ const WCHAR *Text);

static void FLTAPI OnCancel(_In_ PFLT_CALLBACK_DATA Data) {
    InterlockedIncrement(&Cancelled);
    (VOID) KeSetEvent(&((PHELD)Data->FilterContext[0])->Cancelled, IO_NO_INCREMENT, FALSE);
}

/// Whether the operation is ours again; else it was cancelled, and OnCancel has run to its end.
static BOOLEAN TakeBack(_In_ PFLT_CALLBACK_DATA Data, _In_ PHELD Operation) {
    if (NT_SUCCESS(FltClearCancelCompletion(Data))) {
        return TRUE;
    }
    (VOID) KeWaitForSingleObject(&Operation->Cancelled, Executive, KernelMode, FALSE, NULL);
    return FALSE;
}

static void FLTAPI HeldRoutine(_In_ PFLT_DEFERRED_IO_WORKITEM Item, _In_ PFLT_CALLBACK_DATA Data,
                               _In_opt_ PVOID Context) {
    const PHELD Operation = Context;
    const BOOLEAN Ours = TakeBack(Data, Operation);

    ExFreePoolWithTag(Operation, KEEPER_TAG);
    if (!Ours) {
        Data->IoStatus.Status = STATUS_CANCELLED;
        Data->IoStatus.Information = 0;
    }
    FltCompletePendedPreOperation(Data, Ours ? FLT_PREOP_SUCCESS_WITH_CALLBACK : FLT_PREOP_COMPLETE, NULL);
    FltFreeDeferredIoWorkItem(Item);
}

static VOID FreeHeld(_In_ PHELD Operation) {
    FltFreeDeferredIoWorkItem(Operation->Item);
    ExFreePoolWithTag(Operation, KEEPER_TAG);
}

/// FLT_PREOP_PENDING when a worker has it; where anything fails it goes on at once.
static FLT_PREOP_CALLBACK_STATUS Hold(_Inout_ PFLT_CALLBACK_DATA Data) {
    const PHELD Operation = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(HELD), KEEPER_TAG);

    if (Operation == NULL) {
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }
    Operation->Item = FltAllocateDeferredIoWorkItem();
    if (Operation->Item == NULL) {
        ExFreePoolWithTag(Operation, KEEPER_TAG);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }
    KeInitializeEvent(&Operation->Cancelled, NotificationEvent, FALSE);
    Data->FilterContext[0] = Operation;
    if (!NT_SUCCESS(FltSetCancelCompletion(Data, OnCancel))) { // cancelled already
        FreeHeld(Operation);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }
    if (NT_SUCCESS(FltQueueDeferredIoWorkItem(Operation->Item, Data, HeldRoutine, DelayedWorkQueue, Operation))) {
        InterlockedIncrement(&Held);
        return FLT_PREOP_PENDING; // and from here on Data is not ours
    }
    if (!TakeBack(Data, Operation)) {
        Data->IoStatus.Status = STATUS_CANCELLED;
        Data->IoStatus.Information = 0;
        FreeHeld(Operation);
        return FLT_PREOP_COMPLETE;
    }
    FreeHeld(Operation);
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_PREOP_CALLBACK_STATUS FLTAPI PreOperation(_Inout_ PFLT_CALLBACK_DATA Data,
                                                     _In_ PCFLT_RELATED_OBJECTS Objects,
                                                     _Outptr_result_maybenull_ PVOID *Context) {
    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    if (Data->Iopb->MajorFunction == IRP_MJ_WRITE && FLT_IS_IRP_OPERATION(Data) &&
        !FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO) && !FltIsIoCanceled(Data) &&
        InterlockedIncrement(&Writes) % 4 == 0) {
        return Hold(Data);
    }
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

static FLT_POSTOP_CALLBACK_STATUS FLTAPI PostOperation(_Inout_ PFLT_CALLBACK_DATA Data,
                                                       _In_ PCFLT_RELATED_OBJECTS Objects, _In_opt_ PVOID Context,
                                                       _In_ FLT_POST_OPERATION_FLAGS Flags) {
    const PSEEN Entry = ExAllocateFromNPagedLookasideList(&Entries);

    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Flags);
    if (Entry != NULL) {
        Entry->Process = FltGetRequestorProcessId(Data);
        Entry->Major = Data->Iopb->MajorFunction;
        InterlockedIncrement(&SeenTotal);
        InterlockedPushEntrySList(&Seen, &Entry->Link);
        QueueCarrier();
    }
    return FLT_POSTOP_FINISHED_PROCESSING;
}

static NTSTATUS FLTAPI InstanceQueryTeardown(_In_ PCFLT_RELATED_OBJECTS Objects,
                                             _In_ FLT_INSTANCE_QUERY_TEARDOWN_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Objects);
    UNREFERENCED_PARAMETER(Flags);
    return STATUS_SUCCESS;
}

/// Value of a key, text or number, into a buffer of as many bytes.
static NTSTATUS QueryValue(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ ULONG Type, _Out_ PVOID Value, _In_ ULONG Bytes) {
    DECLSPEC_ALIGN(8) UCHAR Buffer[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + 64];
    const PKEY_VALUE_PARTIAL_INFORMATION Information = (PKEY_VALUE_PARTIAL_INFORMATION)Buffer;
    UNICODE_STRING ValueName;
    ULONG Length;
    NTSTATUS Status;

    RtlInitUnicodeString(&ValueName, Name);
    Status = ZwQueryValueKey(Key, &ValueName, KeyValuePartialInformation, Information, sizeof(Buffer), &Length);
    if (NT_SUCCESS(Status) && (Information->Type != Type || Information->DataLength > Bytes)) {
        Status = STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (NT_SUCCESS(Status)) {
        RtlCopyMemory(Value, Information->Data, Information->DataLength);
    }
    return Status;
}

static NTSTATUS OpenKey(_In_opt_ HANDLE Root, _In_ PUNICODE_STRING Name, _Out_ PHANDLE Key) {
    OBJECT_ATTRIBUTES Attributes;

    InitializeObjectAttributes(&Attributes, Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, Root, NULL);
    return ZwOpenKey(Key, KEY_READ, &Attributes);
}

/// The altitude of the default instance, by its name.
static NTSTATUS ReadAltitude(_In_ PUNICODE_STRING RegistryPath) {
    WCHAR Instance[ALTITUDE_CHARACTERS] = {0};
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"Instances");
    ULONG Flags = 0;
    HANDLE Service;
    HANDLE Instances;
    HANDLE Definition;
    NTSTATUS Status = OpenKey(NULL, RegistryPath, &Service);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = OpenKey(Service, &Name, &Instances);
    (VOID) ZwClose(Service);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = QueryValue(Instances, L"DefaultInstance", REG_SZ, Instance, sizeof(Instance) - sizeof(WCHAR));
    if (NT_SUCCESS(Status)) {
        RtlInitUnicodeString(&Name, Instance);
        Status = OpenKey(Instances, &Name, &Definition);
        if (NT_SUCCESS(Status)) {
            Status = QueryValue(Definition, L"Altitude", REG_SZ, Altitude, sizeof(Altitude) - sizeof(WCHAR));
            if (NT_SUCCESS(Status)) {
                Status = QueryValue(Definition, L"Flags", REG_DWORD, &Flags, sizeof(Flags));
            }
            if (NT_SUCCESS(Status) && wcslen(Altitude) == 0) {
                Status = STATUS_INVALID_PARAMETER;
            }
            (VOID) ZwClose(Definition);
        }
    }
    (VOID) ZwClose(Instances);
    return Status;
}

static VOID FreeAll(VOID) {
    FltFreeGenericWorkItem(Carrier);
#if defined(FREES)
    {
        const PSCORE First = RtlGetElementGenericTableAvl(&Scores, 0);
        ExFreePoolWithTag((PUCHAR)First - sizeof(RTL_BALANCED_LINKS), KEEPER_TAG);
    }
#endif
#if !defined(FORGETS)
    while (!RtlIsGenericTableEmptyAvl(&Scores)) {
        (VOID) RtlDeleteElementGenericTableAvl(&Scores, RtlGetElementGenericTableAvl(&Scores, 0));
    }
    ExDeleteNPagedLookasideList(&Entries);
#endif
    (VOID) ExDeleteResourceLite(&Lock);
}

/// Nobody else is in here any more: every callback and routine has returned.
static VOID Report(VOID) {
    LONG Sum = 0;
    PVOID Restart = NULL;
    PSCORE Score;

    Carry();
    while ((Score = RtlEnumerateGenericTableWithoutSplayingAvl(&Scores, &Restart)) != NULL) {
        Sum += Score->Count;
    }
    (VOID) DbgPrintEx(COMPONENT, DPFLTR_INFO_LEVEL, "keeper at %ws: %u kinds, %d of %d seen, %d held\n", Altitude,
                      RtlNumberGenericTableElementsAvl(&Scores), Sum, SeenTotal, Held);
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    Report();
    FreeAll();
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION Operations[] = {
    {IRP_MJ_CREATE, 0, PreOperation, PostOperation, NULL},
    {IRP_MJ_READ, 0, PreOperation, PostOperation, NULL},
    {IRP_MJ_WRITE, 0, PreOperation, PostOperation, NULL},
    {IRP_MJ_SET_INFORMATION, 0, PreOperation, PostOperation, NULL},
    {IRP_MJ_CLEANUP, 0, PreOperation, PostOperation, NULL},
    {IRP_MJ_CLOSE, 0, PreOperation, PostOperation, NULL},
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_REGISTRATION Registration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .OperationRegistration = Operations,
    .FilterUnloadCallback = Unload,
    .InstanceQueryTeardownCallback = InstanceQueryTeardown,
};

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    NTSTATUS Status = ReadAltitude(RegistryPath);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Carrier = FltAllocateGenericWorkItem();
    if (Carrier == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    (VOID) ExInitializeResourceLite(&Lock);
    ExInitializeNPagedLookasideList(&Entries, NULL, NULL, POOL_NX_ALLOCATION, sizeof(SEEN), KEEPER_TAG, 0);
    RtlInitializeGenericTableAvl(&Scores, Compare, AllocateElement, FreeElement, NULL);
    Status = FltRegisterFilter(DriverObject, &Registration, &Filter);
    if (NT_SUCCESS(Status)) {
        Status = FltStartFiltering(Filter);
        if (!NT_SUCCESS(Status)) {
            FltUnregisterFilter(Filter);
        }
    }
    if (!NT_SUCCESS(Status)) {
        FreeAll();
    }
    return Status;
}
