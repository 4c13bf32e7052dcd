// SPDX-License-Identifier: MIT
//
// This module provides: the safety defaults: what is left alone unless a rule names it, what is always left alone, and which operations the
// documentation keeps from being pended at all.
//
// Both callbacks ask: a pre-operation to save a record, a post-operation because only there the rule is chosen; it sees the parameters of
// its pre-operation [POST-37], so the answers agree.

#include "minipend.h"

/// FSCTLs under which the volume itself is held; the hazard table says never. The I/O manager's mount and verify come as other minors.
static BOOLEAN MpIsVolumeControl(const FLT_CALLBACK_DATA *Data) {
    ULONG code;

    if (Data->Iopb->MajorFunction != IRP_MJ_FILE_SYSTEM_CONTROL) {
        return FALSE;
    }
    if (Data->Iopb->MinorFunction != IRP_MN_USER_FS_REQUEST && Data->Iopb->MinorFunction != IRP_MN_KERNEL_CALL) {
        return TRUE;
    }
    code = Data->Iopb->Parameters.FileSystemControl.Common.FsControlCode;
    return code == FSCTL_LOCK_VOLUME || code == FSCTL_UNLOCK_VOLUME || code == FSCTL_DISMOUNT_VOLUME;
}

_Use_decl_annotations_ BOOLEAN MpPolicyExcludes(PFLT_CALLBACK_DATA Data, const MP_INSTANCE *Instance,
                                                const MP_RULE *Rule) {
    if (Data->RequestorMode == KernelMode && !FlagOn(Rule->Flags, MINIPEND_RULE_KERNEL_MODE)) {
        return TRUE;
    }
    if (Instance->BootVolume && !FlagOn(Rule->Flags, MINIPEND_RULE_BOOT_VOLUME)) {
        return TRUE;
    }
    // Only its opening: the paging file's own reads and writes are paging I/O, which is refused in any case.
    if (Data->Iopb->MajorFunction == IRP_MJ_CREATE && FlagOn(Data->Iopb->OperationFlags, SL_OPEN_PAGING_FILE) &&
        !FlagOn(Rule->Flags, MINIPEND_RULE_PAGING_FILE)) {
        return TRUE;
    }
    if (MpIsVolumeControl(Data)) {
        return TRUE;
    }
    // The thread that would ask for the release must not wait for it.
    return MpConnectionsIsClientThread(Data->Thread);
}

_Use_decl_annotations_ BOOLEAN MpRefusedEarly(PFLT_CALLBACK_DATA Data, const MP_INSTANCE *Instance, const MP_RULE *Rule,
                                              MINIPEND_REFUSAL *Refusal) {
    if (!FLT_IS_IRP_OPERATION(Data)) {
        *Refusal = MINIPEND_REFUSAL_NOT_IRP;
        return TRUE;
    }
    // Not IRP_SYNCHRONOUS_PAGING_IO as well: its value is IRP_INPUT_OPERATION's, which every query carries [INFO-07].
    if (FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO)) {
        *Refusal = MINIPEND_REFUSAL_PAGING;
        return TRUE;
    }
    *Refusal = MINIPEND_REFUSAL_POLICY;
    return MpPolicyExcludes(Data, Instance, Rule);
}
