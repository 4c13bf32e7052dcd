// SPDX-License-Identifier: MIT
//
// This module provides: the driver's own system threads: starting one, and joining it. They are known by a kernel handle, so that there is no step between
// a thread's start and the means to join it that could fail.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpThreadStart)
#pragma alloc_text(PAGE, MpThreadJoin)
#endif

_Use_decl_annotations_ NTSTATUS MpThreadStart(PKSTART_ROUTINE Routine, PHANDLE Thread) {
    OBJECT_ATTRIBUTES attributes;
    NTSTATUS status;

    PAGED_CODE();

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    status = PsCreateSystemThread(Thread, THREAD_ALL_ACCESS, &attributes, NULL, NULL, Routine, NULL);
    if (!NT_SUCCESS(status)) {
        *Thread = NULL;
    }
    return status;
}

_Use_decl_annotations_ VOID MpThreadJoin(PHANDLE Thread) {
    PAGED_CODE();

    if (*Thread != NULL) {
        NT_VERIFY(NT_SUCCESS(ZwWaitForSingleObject(*Thread, FALSE, NULL)));
        NT_VERIFY(NT_SUCCESS(ZwClose(*Thread)));
        *Thread = NULL;
    }
}
