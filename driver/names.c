// SPDX-License-Identifier: MIT
//
// This module provides: names for matching and for showing: relative to the volume's root, nonpaged, as they are and upcased.
//
// A name is asked for only where that is safe: in a pre-operation at PASSIVE_LEVEL (upcasing is pageable), of an operation that is not
// paging I/O [NAME-01, NAME-02]. Where the file system cannot be asked (under a top-level IRP, after cleanup, with APCs disabled, in the FS-filter
// operations) the Filter Manager may still answer from its cache, and refuses otherwise. A name is kept in a stream-handle context, so that later
// operations on the handle, those in the paging path too, match without asking. Renames are counted per instance (a directory's rename
// changes the names of everything below it): a kept name of an earlier count is stale and asked for again. Where it then cannot be had, the
// operation has no name: rules with a path do not match it, and NameUnavailable counts it. A wrong match would be worse. (A rename that a filter
// below makes on its own is not seen, and not counted.)
//
// Not corrected for tunnelling: a name about to be created or renamed to by its short form can turn out to be a longer one, which only the
// post-operation could say [NAME-06].

#include "minipend.h"

#define MP_NAME_OPTIONS (FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP)

/// Operations whose file object is not open: it has no contexts, and none may be set [CTX-06].
static BOOLEAN MpIsOpening(const FLT_CALLBACK_DATA *Data) {
    return Data->Iopb->MajorFunction == IRP_MJ_CREATE || Data->Iopb->MajorFunction == IRP_MJ_NETWORK_QUERY_OPEN ||
           Data->Iopb->MajorFunction == IRP_MJ_QUERY_OPEN;
}

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

/// Fills Name with Information's name behind the volume, and the same upcased.
static VOID MpNameFill(PMP_NAME Name, const FLT_FILE_NAME_INFORMATION *Information, ULONG64 Generation) {
    const WCHAR *text = Information->Name.Buffer + Information->Volume.Length / sizeof(WCHAR);
    ULONG chars;
    ULONG i;

    Name->Generation = Generation;
    Name->Bytes = Information->Name.Length - Information->Volume.Length;
    chars = Name->Bytes / sizeof(WCHAR);
    for (i = 0; i < chars; i++) {
        Name->Text[i] = text[i];
        Name->Text[chars + i] = RtlUpcaseUnicodeChar(text[i]);
    }
}

/// Makes the name in Handle and, where the file object can have one, keeps it as its stream-handle context. Leaves NULL when there is no memory.
static VOID MpNameMake(PCFLT_RELATED_OBJECTS FltObjects, BOOLEAN Keep, const FLT_FILE_NAME_INFORMATION *Information,
                       ULONG64 Generation, PMP_NAME_HANDLE Handle) {
    SIZE_T bytes =
        FIELD_OFFSET(MP_NAME, Text) + 2 * ((SIZE_T)Information->Name.Length - (SIZE_T)Information->Volume.Length);
    PVOID memory;

    if (Keep && bytes <= MAXUSHORT) {
        if (NT_SUCCESS(FltAllocateContext(MpGlobals.Filter, FLT_STREAMHANDLE_CONTEXT, bytes, NonPagedPoolNx,
                                          (PFLT_CONTEXT *)&Handle->Name))) {
            MpNameFill(Handle->Name, Information, Generation);
            Handle->IsContext = TRUE;
            // It is good for this match whether or not it can be kept for the next.
            (VOID) FltSetStreamHandleContext(FltObjects->Instance, FltObjects->FileObject,
                                             FLT_SET_CONTEXT_REPLACE_IF_EXISTS, Handle->Name, NULL);
            return;
        }
        Handle->Name = NULL;
    }
    if (NT_SUCCESS(WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_CONTEXT, bytes, &Handle->Memory,
                                   &memory))) {
        Handle->Name = memory;
        MpNameFill(Handle->Name, Information, Generation);
    } else {
        Handle->Memory = NULL;
    }
}

/// Makes the name from Information, and releases Information.
static VOID MpNameTake(PCFLT_RELATED_OBJECTS FltObjects, BOOLEAN Keep, PFLT_FILE_NAME_INFORMATION Information,
                       ULONG64 Generation, PMP_NAME_HANDLE Handle) {
    if (NT_SUCCESS(FltParseFileNameInformation(Information)) &&
        Information->Name.Length >= Information->Volume.Length) {
        MpNameMake(FltObjects, Keep, Information, Generation, Handle);
    }
    FltReleaseFileNameInformation(Information);
}

/// The operation's name, or NULL in Handle->Name. Always balanced by MpNameRelease.
_Use_decl_annotations_ VOID MpNameGet(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects, PMP_INSTANCE Instance,
                                      PMP_NAME_HANDLE Handle) {
    PFLT_FILE_NAME_INFORMATION information;
    BOOLEAN opening = MpIsOpening(Data);
    BOOLEAN keep;
    ULONG64 generation;

    RtlZeroMemory(Handle, sizeof(*Handle));
    if (!opening) {
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
    if (!NT_SUCCESS(FltGetFileNameInformation(Data, MP_NAME_OPTIONS, &information))) {
        return;
    }
    // Nor for a close: the contexts of its file object are about to go.
    keep = !opening && Data->Iopb->MajorFunction != IRP_MJ_CLOSE &&
           FltSupportsStreamHandleContexts(FltObjects->FileObject);
    MpNameTake(FltObjects, keep, information, generation, Handle);
}

/// The name, or NULL in Handle->Name. Always balanced by MpNameRelease. The request's buffer is the system's copy, not the caller's memory; what
/// it says about its own length is checked all the same.
_Use_decl_annotations_ VOID MpNameGetDestination(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                                                 PMP_INSTANCE Instance, PMP_NAME_HANDLE Handle) {
    // A link's request is laid out like a rename's.
    const FILE_RENAME_INFORMATION *request = Data->Iopb->Parameters.SetFileInformation.InfoBuffer;
    ULONG length = Data->Iopb->Parameters.SetFileInformation.Length;
    PFLT_FILE_NAME_INFORMATION information;
    ULONG64 generation;
    ULONG bytes;

    C_ASSERT(FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName) == FIELD_OFFSET(FILE_LINK_INFORMATION, FileName));
    C_ASSERT(FIELD_OFFSET(FILE_RENAME_INFORMATION, RootDirectory) ==
             FIELD_OFFSET(FILE_LINK_INFORMATION, RootDirectory));

    RtlZeroMemory(Handle, sizeof(*Handle));
    if (KeGetCurrentIrql() != PASSIVE_LEVEL || FltObjects->FileObject == NULL || !FLT_IS_IRP_OPERATION(Data) ||
        IoGetTopLevelIrp() != NULL) {
        return;
    }
    if (request == NULL || length < (ULONG)FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName)) {
        return;
    }
    bytes = request->FileNameLength;
    if (bytes == 0 || bytes % sizeof(WCHAR) != 0 ||
        bytes > length - (ULONG)FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName)) {
        return;
    }

    generation = (ULONG64)ReadAcquire64(&Instance->RenameGeneration);
    if (NT_SUCCESS(FltGetDestinationFileNameInformation(
            FltObjects->Instance, FltObjects->FileObject, request->RootDirectory, (PWSTR)request->FileName, bytes,
            FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &information))) {
        // The file has this name only when the operation has succeeded: nothing to keep.
        MpNameTake(FltObjects, FALSE, information, generation, Handle);
    }
}

_Use_decl_annotations_ VOID MpNameRelease(PMP_NAME_HANDLE Handle) {
    if (Handle->IsContext) {
        FltReleaseContext(Handle->Name);
    } else if (Handle->Memory != NULL) {
        WdfObjectDelete(Handle->Memory);
    }
    RtlZeroMemory(Handle, sizeof(*Handle));
}
