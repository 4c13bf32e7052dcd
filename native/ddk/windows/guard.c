// SPDX-License-Identifier: MIT
//
// This module provides: what a driver image needs beside its own code when no vendor library is linked: the stack cookie, the two
// pointers of control flow guard (load_config.S names them all to the image loader), and GsDriverEntry, the image's entry point.
//
// Invariants:
//   - GsDriverEntry runs before anything that checks a cookie, and is itself compiled without one;
//   - the upper 16 bits of the cookie are zero, as its check demands: an overrun by a string of non-zero 16-bit characters is seen;
//   - the guard pointers stand in .00cfg, which the linker puts into a read-only section. A loader that enforces control flow guard
//     redirects them; until then the check accepts every target and the dispatch jumps to it.

#include <ntifs.h>

#define GUARD_DEFAULT_COOKIE 0x00002B992DDFA232ull
#define GUARD_COOKIE_MASK 0x0000FFFFFFFFFFFFull
#define GUARD_FAST_FAIL_STACK_COOKIE 2

#define GUARD_NO_COOKIE __attribute__((no_stack_protector))
#define GUARD_POINTER __attribute__((section(".00cfg"), used))

DRIVER_INITIALIZE FxDriverEntry;
DRIVER_INITIALIZE GsDriverEntry;

// ---- the stack cookie --------------------------------------------------------------------------------------------------
/// The image loader replaces the default value (Windows 8 and later, not confirmed on a machine yet); where it does not, GsDriverEntry does.
ULONG_PTR __security_cookie = GUARD_DEFAULT_COOKIE;

/// Called with the cookie as a function found it in its frame. Any IRQL; does not return when it is not the right one.
GUARD_NO_COOKIE void __security_check_cookie(ULONG_PTR Cookie);
GUARD_NO_COOKIE void __security_check_cookie(ULONG_PTR Cookie) {
    if (Cookie != __security_cookie) {
        __fastfail(GUARD_FAST_FAIL_STACK_COOKIE);
    }
}

/// The image's entry point: the cookie first, then the framework's stub. IRQL == PASSIVE_LEVEL.
GUARD_NO_COOKIE NTSTATUS NTAPI GsDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject,
                                             _In_ PUNICODE_STRING RegistryPath) {
    if (__security_cookie == GUARD_DEFAULT_COOKIE || __security_cookie == 0) {
        ULONG64 Precise;
        ULONG64 Now = KeQueryInterruptTimePrecise(&Precise);

        // Both change from boot to boot: the time to the tick of the performance counter, and where the image and its driver object are.
        __security_cookie =
            (Now ^ (Precise << 16) ^ (ULONG_PTR)DriverObject ^ (ULONG_PTR)&__security_cookie) & GUARD_COOKIE_MASK;
        if (__security_cookie == 0 || __security_cookie == GUARD_DEFAULT_COOKIE) {
            __security_cookie = GUARD_DEFAULT_COOKIE + 1;
        }
    }
    return FxDriverEntry(DriverObject, RegistryPath);
}

// ---- control flow guard ------------------------------------------------------------------------------------------------
void GuardCheckNothing(void);
void GuardDispatch(void);

/// The check before an indirect call, as long as nobody enforces it.
__attribute__((naked)) void GuardCheckNothing(void) {
    __asm__("ret");
}

GUARD_POINTER void *const __guard_check_icall_fptr = (void *)GuardCheckNothing;

#if defined(__x86_64__)
/// Check and call in one: the target is in rax.
__attribute__((naked)) void GuardDispatch(void) {
    __asm__("jmp *%rax");
}

GUARD_POINTER void *const __guard_dispatch_icall_fptr = (void *)GuardDispatch;
#endif
