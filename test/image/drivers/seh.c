// SPDX-License-Identifier: MIT
//
// This driver provides: structured exceptions in all their forms, for the tests of the model's dispatcher (test/native/image/image_exceptions.cpp). DriverEntry runs
// every scenario and returns STATUS_SUCCESS, or 0xE0000000 and the line of the check that did not hold.

#include <ntifs.h>

#define EXCEPTION_CONTINUE_EXECUTION (-1)
#define BAD_ADDRESS ((volatile ULONG *)0x10)

typedef struct _RECORD {
    ULONG Code;
    ULONG Flags;
    struct _RECORD *Nested;
    PVOID Address;
    ULONG ParameterCount;
    ULONG_PTR Parameters[15];
} RECORD;
typedef struct _POINTERS {
    RECORD *Record;
    UCHAR *Context;
} POINTERS;
#define CONTEXT_RIP 0xF8

DRIVER_INITIALIZE FxDriverEntry;

static ULONG FailedLine;
static CHAR Trace[64];
static ULONG TraceLength;

#define HOLDS(Condition)                                                                                               \
    do {                                                                                                               \
        if (!(Condition) && FailedLine == 0) {                                                                         \
            FailedLine = __LINE__;                                                                                     \
        }                                                                                                              \
    } while (0)

static DECLSPEC_NOINLINE VOID Step(CHAR Letter) {
    Trace[TraceLength++ % sizeof(Trace)] = Letter;
}

static BOOLEAN TraceIs(const CHAR *Expected) {
    ULONG Index = 0;

    while (Index < TraceLength && Expected[Index] == Trace[Index]) {
        Index++;
    }
    TraceLength = 0;
    return Expected[Index] == 0 && Index != 0;
}

static DECLSPEC_NOINLINE ULONG Read(volatile ULONG *From) {
    return *From;
}

static DECLSPEC_NOINLINE LONG Ask(LONG Answer, CHAR Letter) {
    Step(Letter);
    return Answer;
}

// ---- a fault, in the block itself and below it
static DECLSPEC_NOINLINE VOID Faults(VOID) {
    volatile ULONG Before = 0x1234;
    ULONG Code = 0;

    __try {
        (VOID) * BAD_ADDRESS;
        Before = 0;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    HOLDS(Code == (ULONG)STATUS_ACCESS_VIOLATION && Before == 0x1234);

    Code = 0;
    __try {
        Before = Read(BAD_ADDRESS);
    } __except (GetExceptionCode() == (ULONG)STATUS_ACCESS_VIOLATION ? EXCEPTION_EXECUTE_HANDLER
                                                                     : EXCEPTION_CONTINUE_SEARCH) {
        Code = GetExceptionCode();
    }
    HOLDS(Code == (ULONG)STATUS_ACCESS_VIOLATION && Before == 0x1234);

    Code = 0;
    __try {
        *BAD_ADDRESS = 1;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = 1;
    }
    HOLDS(Code == 1);
}

// ---- what the filter is told
static DECLSPEC_NOINLINE LONG Look(POINTERS *Pointers, ULONG_PTR Write) {
    HOLDS(Pointers->Record->Code == (ULONG)STATUS_ACCESS_VIOLATION);
    HOLDS(Pointers->Record->ParameterCount == 2 && Pointers->Record->Parameters[0] == Write);
    HOLDS(Pointers->Record->Parameters[1] == (ULONG_PTR)BAD_ADDRESS);
    HOLDS(*(PVOID *)(Pointers->Context + CONTEXT_RIP) == Pointers->Record->Address);
    return EXCEPTION_EXECUTE_HANDLER;
}

static DECLSPEC_NOINLINE VOID Told(VOID) {
    ULONG Handled = 0;

    __try {
        (VOID) * BAD_ADDRESS;
    } __except (Look((POINTERS *)_exception_info(), 0)) {
        Handled++;
    }
    __try {
        *BAD_ADDRESS = 2;
    } __except (Look((POINTERS *)_exception_info(), 1)) {
        Handled++;
    }
    HOLDS(Handled == 2);
}

// ---- order: filters innermost first, then termination handlers, then the handler
static DECLSPEC_NOINLINE VOID Inner(VOID) {
    __try {
        __try {
            __try {
                Step('a');
                (VOID) * BAD_ADDRESS;
                Step('!');
            } __finally {
                Step(_abnormal_termination() ? 'f' : '!');
            }
        } __except (Ask(EXCEPTION_CONTINUE_SEARCH, '1')) {
            Step('!');
        }
    } __finally {
        Step('g');
    }
}

static DECLSPEC_NOINLINE VOID Order(VOID) {
    __try {
        Inner();
        Step('!');
    } __except (Ask(EXCEPTION_EXECUTE_HANDLER, '2')) {
        Step('h');
    }
    HOLDS(TraceIs("a12fgh"));

    __try {
        Step('a');
    } __finally {
        Step(_abnormal_termination() ? '!' : 'n');
    }
    HOLDS(TraceIs("an"));

    // A handler that faults: the block around it has it. What it does there is no part of the inner block.
    __try {
        __try {
            (VOID) * BAD_ADDRESS;
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Step('x');
            (VOID) * BAD_ADDRESS;
            Step('!');
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Step('y');
    }
    HOLDS(TraceIs("xy"));

    // The innermost of two that would take it; a termination handler outside of it stays where it is.
    __try {
        __try {
            (VOID) * BAD_ADDRESS;
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Step('i');
        }
        Step('j');
    } __finally {
        Step(_abnormal_termination() ? '!' : 'k');
    }
    HOLDS(TraceIs("ijk"));
}

// ---- exceptions that calls of the kernel raise, and faults that it takes for the driver
static DECLSPEC_NOINLINE VOID RaiseDeep(ULONG Depth) {
    volatile ULONG Space[40];

    Space[Depth % 40] = Depth;
    if (Depth == 0) {
        ExRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
    }
    RaiseDeep(Depth - 1);
    Space[0] = Depth;
}

static DECLSPEC_NOINLINE ULONG Copy(PVOID To, const VOID *From, SIZE_T Bytes) {
    __try {
        RtlCopyMemory(To, From, Bytes);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return 0;
}

static DECLSPEC_NOINLINE VOID Calls(VOID) {
    ULONG Buffer[32];
    ULONG Code = 0;

    __try {
        ProbeForRead((PVOID)((ULONG_PTR)Buffer + 1), 4, 4);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    HOLDS(Code == (ULONG)STATUS_DATATYPE_MISALIGNMENT);

    Code = 0;
    __try {
        ProbeForRead(Buffer, sizeof(Buffer), 4);
        ProbeForWrite((PVOID)BAD_ADDRESS, 4, 4);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    HOLDS(Code == (ULONG)STATUS_ACCESS_VIOLATION);

    Code = 0;
    __try {
        RaiseDeep(20);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Code = GetExceptionCode();
    }
    HOLDS(Code == (ULONG)STATUS_DATATYPE_MISALIGNMENT);

    // Of a variable size, so that it is a call of the kernel's memcpy.
    HOLDS(Copy(Buffer, (const VOID *)BAD_ADDRESS, sizeof(Buffer) - FailedLine) == (ULONG)STATUS_ACCESS_VIOLATION);
    HOLDS(Copy((PVOID)BAD_ADDRESS, Buffer, sizeof(Buffer) - FailedLine) == (ULONG)STATUS_ACCESS_VIOLATION);
    HOLDS(Copy(Buffer, Buffer + 16, 64 - FailedLine) == 0);
}

// ---- registers that a function on the way has changed
static DECLSPEC_NOINLINE VOID Spoil(VOID) {
    __asm__ __volatile__(
        "xorl %%ebx, %%ebx; xorl %%esi, %%esi; xorl %%edi, %%edi; xorl %%r12d, %%r12d; xorl %%r13d, %%r13d;"
        "xorl %%r14d, %%r14d; xorl %%r15d, %%r15d; pxor %%xmm6, %%xmm6; pxor %%xmm9, %%xmm9; pxor %%xmm15, %%xmm15"
        :
        :
        : "rbx", "rsi", "rdi", "r12", "r13", "r14", "r15", "xmm6", "xmm9", "xmm15");
    (VOID) * BAD_ADDRESS;
    Step('!');
}

static ULONG64 Kept[4];

static DECLSPEC_NOINLINE VOID Registers(VOID) {
    __asm__ __volatile__(
        "movl $0x77, %%eax; movq %%rax, %%xmm6; movl $0x99, %%eax; movq %%rax, %%xmm9; movl $0xFF, %%eax;"
        "movq %%rax, %%xmm15"
        :
        :
        : "rax");
    __try {
        Spoil();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        __asm__ __volatile__("movq %%xmm6, %0; movq %%xmm9, %1; movq %%xmm15, %2"
                             : "=m"(Kept[0]), "=m"(Kept[1]), "=m"(Kept[2]));
    }
    HOLDS(Kept[0] == 0x77 && Kept[1] == 0x99 && Kept[2] == 0xFF);
}

static DECLSPEC_NOINLINE ULONG64 Locals(ULONG64 A, ULONG64 B, ULONG64 C, ULONG64 D) {
    ULONG64 Sum = A * 3 + B * 5 + C * 7 + D * 11;

    __try {
        Spoil();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Sum += A + B + C + D;
    }
    return Sum * 2 + A + B + C + D;
}

// ---- going on at the instruction behind the one that failed
static DECLSPEC_NOINLINE LONG Skip(POINTERS *Pointers) {
    if (Pointers->Record->Code != (ULONG)STATUS_ILLEGAL_INSTRUCTION) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    *(ULONG64 *)(Pointers->Context + CONTEXT_RIP) += 2;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static DECLSPEC_NOINLINE VOID GoesOn(VOID) {
    volatile ULONG Behind = 0;

    __try {
        __asm__ __volatile__("ud2");
        Behind = 1;
    } __except (Skip((POINTERS *)_exception_info())) {
        Behind = 2;
    }
    HOLDS(Behind == 1);
}

// ---- what is read without a call
static VOID Machine(VOID) {
    KIRQL Irql;
    KSPIN_LOCK Lock;

    KeInitializeSpinLock(&Lock);
    HOLDS(KeGetCurrentIrql() == PASSIVE_LEVEL);
    KeAcquireSpinLock(&Lock, &Irql);
    HOLDS(KeGetCurrentIrql() == DISPATCH_LEVEL && Irql == PASSIVE_LEVEL);
    KeReleaseSpinLock(&Lock, Irql);
    HOLDS(PsGetThreadId(PsGetCurrentThread()) != NULL && PsIsSystemThread(PsGetCurrentThread()));
    HOLDS(*(volatile ULONG64 *)0xFFFFF78000000014 > 0x01D0000000000000ull);
}

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    Faults();
    Told();
    Order();
    Calls();
    Registers();
    HOLDS(Locals(1, 2, 3, 4) == ((1 * 3 + 2 * 5 + 3 * 7 + 4 * 11) + 10) * 2 + 10);
    GoesOn();
    Machine();
    return FailedLine == 0 ? STATUS_SUCCESS : (NTSTATUS)(0xE0000000 | FailedLine);
}
