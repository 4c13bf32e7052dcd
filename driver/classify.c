// SPDX-License-Identifier: MIT
//
// This module provides: which entry of MINIPEND_OPERATION_LIST an operation belongs to.

#include "minipend.h"

// FileLinkInformationEx: newer than the headers that some builds use.
#define MP_FILE_LINK_INFORMATION_EX 72

static MINIPEND_OPERATION MpClassifySetInformation(FILE_INFORMATION_CLASS InformationClass) {
    switch ((ULONG)InformationClass) {
    case FileRenameInformation:
    case FileRenameInformationEx:
        return MINIPEND_OPERATION_RENAME;
    case FileLinkInformation:
    case MP_FILE_LINK_INFORMATION_EX:
        return MINIPEND_OPERATION_LINK;
    case FileDispositionInformation:
    case FileDispositionInformationEx:
        return MINIPEND_OPERATION_DELETE;
    case FileEndOfFileInformation:
        return MINIPEND_OPERATION_SET_END_OF_FILE;
    case FileAllocationInformation:
        return MINIPEND_OPERATION_SET_ALLOCATION;
    default:
        return MINIPEND_OPERATION_SET_INFORMATION;
    }
}

/// The operation's entry. Only operations that registration.c names arrive here, so each has one.
_Use_decl_annotations_ MINIPEND_OPERATION MpClassify(const FLT_CALLBACK_DATA *Data) {
    switch (Data->Iopb->MajorFunction) {
    case IRP_MJ_CREATE:
        return MINIPEND_OPERATION_CREATE;
    case IRP_MJ_CLOSE:
        return MINIPEND_OPERATION_CLOSE;
    case IRP_MJ_READ:
        return MINIPEND_OPERATION_READ;
    case IRP_MJ_WRITE:
        return MINIPEND_OPERATION_WRITE;
    case IRP_MJ_QUERY_INFORMATION:
        return MINIPEND_OPERATION_QUERY_INFORMATION;
    case IRP_MJ_SET_INFORMATION:
        return MpClassifySetInformation(Data->Iopb->Parameters.SetFileInformation.FileInformationClass);
    case IRP_MJ_QUERY_EA:
        return MINIPEND_OPERATION_QUERY_EA;
    case IRP_MJ_SET_EA:
        return MINIPEND_OPERATION_SET_EA;
    case IRP_MJ_FLUSH_BUFFERS:
        return MINIPEND_OPERATION_FLUSH;
    case IRP_MJ_QUERY_VOLUME_INFORMATION:
        return MINIPEND_OPERATION_QUERY_VOLUME;
    case IRP_MJ_SET_VOLUME_INFORMATION:
        return MINIPEND_OPERATION_SET_VOLUME;
    case IRP_MJ_DIRECTORY_CONTROL:
        return Data->Iopb->MinorFunction == IRP_MN_QUERY_DIRECTORY ? MINIPEND_OPERATION_QUERY_DIRECTORY
                                                                   : MINIPEND_OPERATION_NOTIFY_DIRECTORY;
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        return MINIPEND_OPERATION_FS_CONTROL;
    case IRP_MJ_DEVICE_CONTROL:
        return MINIPEND_OPERATION_DEVICE_CONTROL;
    case IRP_MJ_LOCK_CONTROL:
        return MINIPEND_OPERATION_LOCK;
    case IRP_MJ_CLEANUP:
        return MINIPEND_OPERATION_CLEANUP;
    case IRP_MJ_QUERY_SECURITY:
        return MINIPEND_OPERATION_QUERY_SECURITY;
    case IRP_MJ_SET_SECURITY:
        return MINIPEND_OPERATION_SET_SECURITY;
    case IRP_MJ_QUERY_QUOTA:
        return MINIPEND_OPERATION_QUERY_QUOTA;
    case IRP_MJ_SET_QUOTA:
        return MINIPEND_OPERATION_SET_QUOTA;
    case IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION:
    case IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION:
        return MINIPEND_OPERATION_SECTION_SYNC;
    case IRP_MJ_ACQUIRE_FOR_MOD_WRITE:
    case IRP_MJ_RELEASE_FOR_MOD_WRITE:
        return MINIPEND_OPERATION_MOD_WRITE;
    case IRP_MJ_ACQUIRE_FOR_CC_FLUSH:
    case IRP_MJ_RELEASE_FOR_CC_FLUSH:
        return MINIPEND_OPERATION_CC_FLUSH;
    case IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE:
        return MINIPEND_OPERATION_FAST_IO_CHECK;
    case IRP_MJ_NETWORK_QUERY_OPEN:
    case IRP_MJ_QUERY_OPEN:
        return MINIPEND_OPERATION_QUERY_OPEN;
    default:
        return MINIPEND_OPERATION_MDL_IO;
    }
}
