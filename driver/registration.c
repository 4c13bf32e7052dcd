// SPDX-License-Identifier: MIT
//
// This module provides: what the Filter Manager is told about this driver.
//
// Every operation that can have a post-operation is registered, so that the counters are complete. Fast I/O and FS-filter operations are
// seen and counted, and never pended [POST-10]. IRP_MJ_SHUTDOWN cannot have a post-operation [BUF-07]; PNP, SYSTEM_CONTROL and the
// volume mount and dismount pseudo operations hold the whole system and are left alone.

#include "minipend.h"

#define MP_OPERATION(Major) {Major, 0, MpPreOperation, MpPostOperation, NULL}

static const FLT_OPERATION_REGISTRATION MpOperations[] = {
    MP_OPERATION(IRP_MJ_CREATE),
    MP_OPERATION(IRP_MJ_CLOSE),
    MP_OPERATION(IRP_MJ_READ),
    MP_OPERATION(IRP_MJ_WRITE),
    MP_OPERATION(IRP_MJ_QUERY_INFORMATION),
    MP_OPERATION(IRP_MJ_SET_INFORMATION),
    MP_OPERATION(IRP_MJ_QUERY_EA),
    MP_OPERATION(IRP_MJ_SET_EA),
    MP_OPERATION(IRP_MJ_FLUSH_BUFFERS),
    MP_OPERATION(IRP_MJ_QUERY_VOLUME_INFORMATION),
    MP_OPERATION(IRP_MJ_SET_VOLUME_INFORMATION),
    MP_OPERATION(IRP_MJ_DIRECTORY_CONTROL),
    MP_OPERATION(IRP_MJ_FILE_SYSTEM_CONTROL),
    MP_OPERATION(IRP_MJ_DEVICE_CONTROL),
    MP_OPERATION(IRP_MJ_LOCK_CONTROL),
    MP_OPERATION(IRP_MJ_CLEANUP),
    MP_OPERATION(IRP_MJ_QUERY_SECURITY),
    MP_OPERATION(IRP_MJ_SET_SECURITY),
    MP_OPERATION(IRP_MJ_QUERY_QUOTA),
    MP_OPERATION(IRP_MJ_SET_QUOTA),
    MP_OPERATION(IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION),
    MP_OPERATION(IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION),
    MP_OPERATION(IRP_MJ_ACQUIRE_FOR_MOD_WRITE),
    MP_OPERATION(IRP_MJ_RELEASE_FOR_MOD_WRITE),
    MP_OPERATION(IRP_MJ_ACQUIRE_FOR_CC_FLUSH),
    MP_OPERATION(IRP_MJ_RELEASE_FOR_CC_FLUSH),
    MP_OPERATION(IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE),
    MP_OPERATION(IRP_MJ_NETWORK_QUERY_OPEN),
    MP_OPERATION(IRP_MJ_QUERY_OPEN),
    MP_OPERATION(IRP_MJ_MDL_READ),
    MP_OPERATION(IRP_MJ_MDL_READ_COMPLETE),
    MP_OPERATION(IRP_MJ_PREPARE_MDL_WRITE),
    MP_OPERATION(IRP_MJ_MDL_WRITE_COMPLETE),
    {IRP_MJ_OPERATION_END, 0, NULL, NULL, NULL},
};

static const FLT_CONTEXT_REGISTRATION MpContexts[] = {
    {FLT_INSTANCE_CONTEXT, 0, MpInstanceContextCleanup, sizeof(MP_INSTANCE), MP_TAG_CONTEXT, NULL, NULL, NULL},
    {FLT_STREAMHANDLE_CONTEXT, 0, NULL, FLT_VARIABLE_SIZED_CONTEXTS, MP_TAG_CONTEXT, NULL, NULL, NULL},
    {FLT_CONTEXT_END, 0, NULL, 0, 0, NULL, NULL, NULL},
};

const FLT_REGISTRATION MpRegistration = {
    .Size = sizeof(FLT_REGISTRATION),
    .Version = FLT_REGISTRATION_VERSION,
    .Flags = 0,
    .ContextRegistration = MpContexts,
    .OperationRegistration = MpOperations,
    .FilterUnloadCallback = MpUnload,
    .InstanceSetupCallback = MpInstanceSetup,
    .InstanceQueryTeardownCallback = MpInstanceQueryTeardown,
    .InstanceTeardownStartCallback = MpInstanceTeardownStart,
    .InstanceTeardownCompleteCallback = MpInstanceTeardownComplete,
};
