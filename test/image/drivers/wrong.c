// SPDX-License-Identifier: MIT
//
// This driver provides: one mistake, chosen by -DMISTAKE at build time, that stops the machine, for the tests of what the model says then
// (test/native/image/image_exceptions.cpp).

#include <fltkernel.h>

#define UNGUARDED_FAULT 1
#define FAULT_AT_DISPATCH 2
#define CORRUPT_LIST 3
#define STACK_OVERRUN 4
#define PRIVILEGED 5
#define DISCARDED_CODE 6
#define UNGUARDED_RAISE 7
#define WRITES_CODE 8
#define LOCKS_IN_BOTH_ORDERS 9
#define OVERLAPPING_COPY 10

DRIVER_INITIALIZE FxDriverEntry;

#if MISTAKE == DISCARDED_CODE
static PFLT_FILTER Filter;

/// Where only DriverEntry should be.
__attribute__((section("INIT"))) static FLT_PREOP_CALLBACK_STATUS FLTAPI PreCreate(
    _Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS Objects, _Outptr_result_maybenull_ PVOID *Context) {
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Objects);
    *Context = NULL;
    return FLT_PREOP_SUCCESS_NO_CALLBACK;
}

static NTSTATUS FLTAPI Unload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags) {
    UNREFERENCED_PARAMETER(Flags);
    FltUnregisterFilter(Filter);
    return STATUS_SUCCESS;
}
#elif MISTAKE == STACK_OVERRUN
static DECLSPEC_NOINLINE VOID Fill(volatile UCHAR *Buffer, ULONG Bytes) {
    for (ULONG Index = 0; Index < Bytes; ++Index) {
        Buffer[Index] = 0x41;
    }
}

static DECLSPEC_NOINLINE ULONG Overrun(ULONG Bytes) {
    UCHAR Buffer[16];

    Fill(Buffer, Bytes);
    return Buffer[0];
}
#elif MISTAKE == LOCKS_IN_BOTH_ORDERS
static EX_SPIN_LOCK Names;
static EX_SPIN_LOCK Sizes;

static DECLSPEC_NOINLINE VOID NamesThenSizes(VOID) {
    KIRQL Irql = ExAcquireSpinLockExclusive(&Names);

    ExReleaseSpinLockExclusive(&Sizes, ExAcquireSpinLockExclusive(&Sizes));
    ExReleaseSpinLockExclusive(&Names, Irql);
}

static DECLSPEC_NOINLINE VOID SizesThenNames(VOID) {
    KIRQL Irql = ExAcquireSpinLockExclusive(&Sizes);

    ExReleaseSpinLockExclusive(&Names, ExAcquireSpinLockExclusive(&Names));
    ExReleaseSpinLockExclusive(&Sizes, Irql);
}
#endif

static DECLSPEC_NOINLINE NTSTATUS MakeMistake(struct _DRIVER_OBJECT *DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
#if MISTAKE == UNGUARDED_FAULT
    *(volatile ULONG *)0x20 = 1;
#elif MISTAKE == FAULT_AT_DISPATCH
    KIRQL Irql;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &Irql);
    __try {
        (VOID) * (volatile ULONG *)0x20;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return STATUS_UNSUCCESSFUL;
    }
#elif MISTAKE == CORRUPT_LIST
    LIST_ENTRY Head;

    InitializeListHead(&Head);
    Head.Blink = (PLIST_ENTRY)&Head.Blink;
    Head.Flink = (PLIST_ENTRY)&DriverObject;
    (VOID) RemoveHeadList(&Head);
#elif MISTAKE == STACK_OVERRUN
    return (NTSTATUS)Overrun(40);
#elif MISTAKE == PRIVILEGED
    __asm__ __volatile__("cli");
#elif MISTAKE == DISCARDED_CODE
    static const FLT_OPERATION_REGISTRATION Operations[] = {{IRP_MJ_CREATE, 0, PreCreate, NULL, NULL},
                                                            {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL}};
    static const FLT_REGISTRATION Registration = {.Size = sizeof(FLT_REGISTRATION),
                                                  .Version = FLT_REGISTRATION_VERSION,
                                                  .OperationRegistration = Operations,
                                                  .FilterUnloadCallback = Unload};
    NTSTATUS Status = FltRegisterFilter(DriverObject, &Registration, &Filter);

    return NT_SUCCESS(Status) ? FltStartFiltering(Filter) : Status;
#elif MISTAKE == UNGUARDED_RAISE
    ProbeForRead((PVOID)3, 4, 4);
#elif MISTAKE == WRITES_CODE
    *(volatile UCHAR *)(ULONG_PTR)&MakeMistake = 0xC3;
#elif MISTAKE == OVERLAPPING_COPY
    static UCHAR Buffer[64];
    volatile SIZE_T Bytes = sizeof(Buffer); // of a variable size, so that it is a call of the kernel's

    RtlMoveMemory(Buffer + 1, Buffer, Bytes - 1);
    RtlCopyMemory(Buffer, Buffer, Bytes);
    RtlCopyMemory(Buffer, Buffer + 1, Bytes - 1);
    return Buffer[0];
#elif MISTAKE == LOCKS_IN_BOTH_ORDERS
    NamesThenSizes();
    SizesThenNames();
#else
#error "which mistake?"
#endif
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    return MakeMistake(DriverObject);
}
