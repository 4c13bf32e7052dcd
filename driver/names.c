// SPDX-License-Identifier: MIT
//
// This module provides: names for matching: upcased, relative to the volume's root, nonpaged.
//
// A name is asked for only where that is safe: in a pre-operation at PASSIVE_LEVEL, of an operation that is not paging I/O [NAME-01,
// NAME-02]; the Filter Manager refuses the rest. It is kept in a stream-handle context, so that later operations on the handle, those
// in the paging path too, match without asking. Renames are counted per instance (a directory's rename changes the
// names of everything below it): a kept name of an earlier count is stale and asked for again. Where it then cannot be had, the
// operation has no name: rules with a path do not match it, and NameUnavailable counts it. A wrong match would be worse.

#include "minipend.h"

static PMP_NAME MpNameFromContext(PCFLT_RELATED_OBJECTS FltObjects, PMP_INSTANCE Instance) {
    PMP_NAME name;

    if (FltObjects->FileObject == NULL ||
        !NT_SUCCESS(FltGetStreamHandleContext(FltObjects->Instance, FltObjects->FileObject, (PFLT_CONTEXT *)&name))) {
        return NULL;
    }
    if (name->Generation != (ULONG64)ReadAcquire64(&Instance->RenameGeneration)) {
        FltReleaseContext(name);
        return NULL;
    }
    return name;
}

/// Fills Name with the upcased part of Information's name behind the volume.
static VOID MpNameFill(PMP_NAME Name, const FLT_FILE_NAME_INFORMATION *Information, ULONG64 Generation) {
    ULONG i;
    const WCHAR *text = Information->Name.Buffer + Information->Volume.Length / sizeof(WCHAR);

    Name->Generation = Generation;
    Name->Bytes = Information->Name.Length - Information->Volume.Length;
    for (i = 0; i < Name->Bytes / sizeof(WCHAR); i++) {
        Name->Text[i] = RtlUpcaseUnicodeChar(text[i]);
    }
}

/// Makes the name and, where the file object can have one, keeps it as its stream-handle context.
static NTSTATUS MpNameMake(PCFLT_RELATED_OBJECTS FltObjects, BOOLEAN Keep, const FLT_FILE_NAME_INFORMATION *Information,
                           ULONG64 Generation, PMP_NAME_HANDLE Handle) {
    NTSTATUS status;
    SIZE_T bytes = FIELD_OFFSET(MP_NAME, Text) + (SIZE_T)Information->Name.Length - Information->Volume.Length;
    PVOID memory;

    if (Keep && bytes <= MAXUSHORT) {
        status = FltAllocateContext(MpGlobals.Filter, FLT_STREAMHANDLE_CONTEXT, bytes, NonPagedPoolNx,
                                    (PFLT_CONTEXT *)&Handle->Name);
        if (NT_SUCCESS(status)) {
            MpNameFill(Handle->Name, Information, Generation);
            Handle->IsContext = TRUE;
            // It is good for this match whether or not it can be kept for the next.
            (VOID) FltSetStreamHandleContext(FltObjects->Instance, FltObjects->FileObject,
                                             FLT_SET_CONTEXT_REPLACE_IF_EXISTS, Handle->Name, NULL);
            return STATUS_SUCCESS;
        }
        Handle->Name = NULL;
    }
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_CONTEXT, bytes, &Handle->Memory, &memory);
    if (!NT_SUCCESS(status)) {
        Handle->Memory = NULL;
        return status;
    }
    Handle->Name = memory;
    MpNameFill(Handle->Name, Information, Generation);
    return STATUS_SUCCESS;
}

/// The operation's name, or NULL in Handle->Name. Always balanced by MpNameRelease.
_Use_decl_annotations_ VOID MpNameGet(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects, PMP_INSTANCE Instance,
                                      PMP_NAME_HANDLE Handle) {
    PFLT_FILE_NAME_INFORMATION information;
    BOOLEAN create = Data->Iopb->MajorFunction == IRP_MJ_CREATE;
    ULONG64 generation;

    RtlZeroMemory(Handle, sizeof(*Handle));
    if (!create) {
        Handle->Name = MpNameFromContext(FltObjects, Instance);
        if (Handle->Name != NULL) {
            Handle->IsContext = TRUE;
            return;
        }
    }
    if (KeGetCurrentIrql() != PASSIVE_LEVEL || FltObjects->FileObject == NULL ||
        (FLT_IS_IRP_OPERATION(Data) && FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO))) {
        return;
    }

    // Before the query: a rename that comes in between makes the name stale, not wrongly fresh.
    generation = (ULONG64)ReadAcquire64(&Instance->RenameGeneration);
    if (!NT_SUCCESS(
            FltGetFileNameInformation(Data, FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &information))) {
        return;
    }
    if (NT_SUCCESS(FltParseFileNameInformation(information)) &&
        information->Name.Length >= information->Volume.Length) {
        // A file object has no stream-handle context before its create has succeeded [CTX-06].
        BOOLEAN keep = !create && FltSupportsStreamHandleContexts(FltObjects->FileObject);

        if (!NT_SUCCESS(MpNameMake(FltObjects, keep, information, generation, Handle))) {
            Handle->Name = NULL;
        }
    }
    FltReleaseFileNameInformation(information);
}

_Use_decl_annotations_ VOID MpNameRelease(PMP_NAME_HANDLE Handle) {
    if (Handle->IsContext) {
        FltReleaseContext(Handle->Name);
    } else if (Handle->Memory != NULL) {
        WdfObjectDelete(Handle->Memory);
    }
    Handle->Name = NULL;
}
