// SPDX-License-Identifier: MIT
//
// This module provides: the copies from and to a caller's memory.
//
// FltMgr hands the message callback raw user addresses. It has probed them for the range, but the pages can be unmapped or
// rewritten at any moment [MSGN-01]. So a message is copied once, inside an exception guard, and only the copy is looked at;
// a reply is built in the driver's memory and copied out the same way. The guards stand alone in functions that are never inlined and
// hold no local that changes inside the guard: its value would be indeterminate after the exception.

#include "minipend.h"

/// Copies a caller's bytes. Returns the exception's code when the memory is not there.
_Use_decl_annotations_ DECLSPEC_NOINLINE NTSTATUS MpCopyFromCaller(PVOID To, const VOID *From, SIZE_T Bytes) {
    __try {
        RtlCopyMemory(To, From, Bytes);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

/// Copies bytes to a caller. Returns the exception's code when the memory is not there or not writable.
_Use_decl_annotations_ DECLSPEC_NOINLINE NTSTATUS MpCopyToCaller(PVOID To, const VOID *From, SIZE_T Bytes) {
    __try {
        RtlCopyMemory(To, From, Bytes);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}
