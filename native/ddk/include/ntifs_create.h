// SPDX-License-Identifier: MIT
//
// This module provides: what a driver says when it opens a file itself: IO_*, the create context, extra create parameters; and whether
// a file is a paging file.

#pragma once

#include "wdm_io.h"

EXTERN_C_START

// ---- options of IoCreateFileEx, and Flags of FltCreateFile
#define IO_FORCE_ACCESS_CHECK 0x1
#define IO_OPEN_PAGING_FILE 0x2
#define IO_OPEN_TARGET_DIRECTORY 0x4
#define IO_STOP_ON_SYMLINK 0x8
#define IO_NO_PARAMETER_CHECKING 0x100
#define IO_CHECK_CREATE_PARAMETERS 0x200
#define IO_IGNORE_SHARE_ACCESS_CHECK 0x800

typedef struct _TXN_PARAMETER_BLOCK *PTXN_PARAMETER_BLOCK;
typedef struct _EJOB *PESILO;

typedef struct _IO_DRIVER_CREATE_CONTEXT {
    CSHORT Size;
    struct _ECP_LIST *ExtraCreateParameter;
    PVOID DeviceObjectHint;
    PTXN_PARAMETER_BLOCK TxnParameters;
    PESILO SiloContext;
} IO_DRIVER_CREATE_CONTEXT, *PIO_DRIVER_CREATE_CONTEXT;

// ---- extra create parameters
#define FSRTL_ALLOCATE_ECPLIST_FLAG_CHARGE_QUOTA 0x1
#define FSRTL_ALLOCATE_ECP_FLAG_CHARGE_QUOTA 0x1
#define FSRTL_ALLOCATE_ECP_FLAG_NONPAGED_POOL 0x2
#define FSRTL_ECP_LOOKASIDE_FLAG_NONPAGED_POOL 0x2

typedef struct _ECP_LIST *PECP_LIST;
typedef ULONG FSRTL_ALLOCATE_ECPLIST_FLAGS;
typedef ULONG FSRTL_ALLOCATE_ECP_FLAGS;
typedef ULONG FSRTL_ECP_LOOKASIDE_FLAGS;
typedef void(NTAPI *PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK)(_Inout_ PVOID EcpContext, _In_ LPCGUID EcpType);

/// All members zero, but the size.
FORCEINLINE void IoInitializeDriverCreateContext(PIO_DRIVER_CREATE_CONTEXT DriverContext) {
    DriverContext->Size = sizeof(IO_DRIVER_CREATE_CONTEXT);
    DriverContext->ExtraCreateParameter = NULL;
    DriverContext->DeviceObjectHint = NULL;
    DriverContext->TxnParameters = NULL;
    DriverContext->SiloContext = NULL;
}

// ---- paging files

/// IRQL <= APC_LEVEL.
LOGICAL NTAPI FsRtlIsPagingFile(_In_ PFILE_OBJECT FileObject);

EXTERN_C_END
