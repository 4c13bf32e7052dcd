// SPDX-License-Identifier: MIT
//
// This module provides: the buffers of operations: where they stand in the parameters, locking them [BUF-02, BUF-03], and those that a filter puts in
// their place [POST-37].
//
// A pre-operation that replaces the buffer or its MDL has swapped: what is below uses the driver's memory. Its post-operation sees the original again and
// is never a draining one; the MDL that it swapped in is freed when that has returned, unless FltRetainSwappedBufferMdlAddress was called.

#include "flt/internal.hpp"

#include <algorithm>
#include <utility>

#include "core/faults.hpp"
#include "ke/mdl.hpp"

namespace fltsim::flt {

namespace {

constexpr ULONG METHOD_MASK = 3;

/// Null: the operation has no such parameter.
struct Buffers {
    PMDL *mdl;
    PVOID *buffer;
    PULONG length;
    LOCK_OPERATION access;
};

/// Of file system and device controls, whose parameters are alike.
Buffers control_buffers(FLT_PARAMETERS &parameters, bool has_mdl) {
    auto &control = parameters.DeviceIoControl;
    const ULONG method = control.Common.IoControlCode & METHOD_MASK;
    PULONG length = &control.Common.OutputBufferLength;
    if (!has_mdl) {
        return {nullptr, &control.FastIo.OutputBuffer, length, IoWriteAccess};
    }
    switch (method) {
    case METHOD_BUFFERED:
        return {nullptr, &control.Buffered.SystemBuffer, length, IoWriteAccess};
    case METHOD_NEITHER:
        return {&control.Neither.OutputMdlAddress, &control.Neither.OutputBuffer, length, IoWriteAccess};
    default:
        return {&control.Direct.OutputMdlAddress, &control.Direct.OutputBuffer, length,
                method == METHOD_IN_DIRECT ? IoReadAccess : IoWriteAccess};
    }
}

/// Nothing: an operation without buffers. `form_flags` are those of the callback data.
std::optional<Buffers> buffers_of(FLT_CALLBACK_DATA_FLAGS form_flags, FLT_IO_PARAMETER_BLOCK &iopb) {
    FLT_PARAMETERS &p = iopb.Parameters;
    if ((form_flags & FLTFL_CALLBACK_DATA_FS_FILTER_OPERATION) != 0) {
        return std::nullopt;
    }
    switch (iopb.MajorFunction) {
    case IRP_MJ_READ:
        return Buffers{&p.Read.MdlAddress, &p.Read.ReadBuffer, &p.Read.Length, IoWriteAccess};
    case IRP_MJ_WRITE:
        return Buffers{&p.Write.MdlAddress, &p.Write.WriteBuffer, &p.Write.Length, IoReadAccess};
    case IRP_MJ_QUERY_INFORMATION:
        return Buffers{nullptr, &p.QueryFileInformation.InfoBuffer, &p.QueryFileInformation.Length, IoWriteAccess};
    case IRP_MJ_SET_INFORMATION:
        return Buffers{nullptr, &p.SetFileInformation.InfoBuffer, &p.SetFileInformation.Length, IoReadAccess};
    case IRP_MJ_QUERY_EA:
        return Buffers{&p.QueryEa.MdlAddress, &p.QueryEa.EaBuffer, &p.QueryEa.Length, IoWriteAccess};
    case IRP_MJ_SET_EA:
        return Buffers{&p.SetEa.MdlAddress, &p.SetEa.EaBuffer, &p.SetEa.Length, IoReadAccess};
    case IRP_MJ_QUERY_VOLUME_INFORMATION:
        return Buffers{nullptr, &p.QueryVolumeInformation.VolumeBuffer, &p.QueryVolumeInformation.Length,
                       IoWriteAccess};
    case IRP_MJ_SET_VOLUME_INFORMATION:
        return Buffers{nullptr, &p.SetVolumeInformation.VolumeBuffer, &p.SetVolumeInformation.Length, IoReadAccess};
    case IRP_MJ_DIRECTORY_CONTROL: // the parameters of a notification are at the same places
        return Buffers{&p.DirectoryControl.QueryDirectory.MdlAddress,
                       &p.DirectoryControl.QueryDirectory.DirectoryBuffer, &p.DirectoryControl.QueryDirectory.Length,
                       IoWriteAccess};
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        if (iopb.MinorFunction != IRP_MN_USER_FS_REQUEST && iopb.MinorFunction != IRP_MN_KERNEL_CALL) {
            return std::nullopt; // mounts a volume, or verifies it
        }
        return control_buffers(p, true);
    case IRP_MJ_DEVICE_CONTROL:
    case IRP_MJ_INTERNAL_DEVICE_CONTROL:
        return control_buffers(p, (form_flags & FLTFL_CALLBACK_DATA_FAST_IO_OPERATION) == 0);
    case IRP_MJ_QUERY_SECURITY:
        return Buffers{&p.QuerySecurity.MdlAddress, &p.QuerySecurity.SecurityBuffer, &p.QuerySecurity.Length,
                       IoWriteAccess};
    case IRP_MJ_QUERY_QUOTA:
        return Buffers{&p.QueryQuota.MdlAddress, &p.QueryQuota.QuotaBuffer, &p.QueryQuota.Length, IoWriteAccess};
    case IRP_MJ_SET_QUOTA:
        return Buffers{&p.SetQuota.MdlAddress, &p.SetQuota.QuotaBuffer, &p.SetQuota.Length, IoReadAccess};
    case static_cast<UCHAR>(IRP_MJ_NETWORK_QUERY_OPEN):
        return Buffers{nullptr, reinterpret_cast<PVOID *>(&p.NetworkQueryOpen.NetworkInformation), nullptr,
                       IoWriteAccess};
    default:
        return std::nullopt;
    }
}

FLT_CALLBACK_DATA_FLAGS form_of(const io::Operation &operation) {
    return operation.form == io::Form::FastIo     ? FLTFL_CALLBACK_DATA_FAST_IO_OPERATION
           : operation.form == io::Form::FsFilter ? FLTFL_CALLBACK_DATA_FS_FILTER_OPERATION
                                                  : FLTFL_CALLBACK_DATA_IRP_OPERATION;
}

/// It is locked for everybody who has not swapped that buffer.
void show_mdl(CallRecord &call, const Buffers &locked) {
    const auto form = form_of(*call.operation);
    const auto show = [&](FLT_IO_PARAMETER_BLOCK &iopb) {
        const auto buffers = buffers_of(form, iopb);
        if (buffers && *buffers->buffer == *locked.buffer && *buffers->mdl == nullptr) {
            *buffers->mdl = *locked.mdl;
        }
    };
    show(call.before);
    for (Frame &frame : state_of(*call.operation).frames) {
        show(frame.iopb);
    }
}

Frame &frame_of_post(PFLT_CALLBACK_DATA data, const char *api) {
    const auto call = call_of(data, api);
    if (call->kind == CallRecord::Kind::Pre) {
        bugcheck("POST-37 swapped buffers", api,
                 describe(*call->operation) + ": called for a pre-operation; it is about the post-operation's");
    }
    return state_of(*call->operation).frames[call->frame];
}

} // namespace

void note_swap(const CallRecord &call, Frame &frame) {
    io::Operation &operation = *call.operation;
    FLT_IO_PARAMETER_BLOCK now = call.before;
    now.Parameters = operation.parameters;
    const auto before_buffers = buffers_of(form_of(operation), frame.iopb);
    const auto buffers = buffers_of(form_of(operation), now);
    if (!buffers || !before_buffers) {
        return;
    }
    frame.swapped = *buffers->buffer != *before_buffers->buffer;
    const PMDL mdl = buffers->mdl ? *buffers->mdl : nullptr;
    const PMDL mdl_before = before_buffers->mdl ? *before_buffers->mdl : nullptr;
    const bool of_system = std::ranges::any_of(operation.mdls, [&](const auto &own) { return own.get() == mdl; });
    if (mdl && mdl != mdl_before && !of_system && operation.form == io::Form::Irp) {
        frame.swapped = true;
        frame.swapped_mdl = mdl;
    }
}

void keep_swapped_mdl(OperationState &state, Frame &frame) {
    if (frame.swapped_mdl) {
        state.swapped_mdls.push_back(std::exchange(frame.swapped_mdl, nullptr));
    }
}

void free_swapped_mdl(Frame &frame) {
    if (frame.swapped_mdl) {
        ke::free_swapped(std::exchange(frame.swapped_mdl, nullptr));
    }
}

void free_swapped_mdls(OperationState &state) {
    for (const PMDL mdl : std::exchange(state.swapped_mdls, {})) {
        ke::free_swapped(mdl);
    }
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Any IRQL. STATUS_INVALID_PARAMETER: the operation has no buffer. Of two buffers the output's.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDecodeParameters(PFLT_CALLBACK_DATA CallbackData, PMDL **MdlAddressPointer,
                                                  PVOID **Buffer, PULONG *Length, LOCK_OPERATION *DesiredAccess) {
    constexpr const char *kApi = "FltDecodeParameters";
    KernelCall kernel(kApi, HIGH_LEVEL);
    if (!manager().generated.contains(CallbackData)) {
        static_cast<void>(call_of(CallbackData, kApi));
    }
    const auto buffers = buffers_of(CallbackData->Flags, *CallbackData->Iopb);
    if (!buffers) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto give = [](auto *to, auto value) {
        if (to) {
            *to = value;
        }
    };
    give(MdlAddressPointer, buffers->mdl);
    give(Buffer, buffers->buffer);
    give(Length, buffers->length);
    give(DesiredAccess, buffers->access);
    return STATUS_SUCCESS;
}

/// IRQL <= APC_LEVEL, in any process. The MDL is the operation's: nobody else unlocks or frees it. STATUS_INVALID_PARAMETER: the operation has no MDL, or
/// no buffer; STATUS_ACCESS_VIOLATION: the buffer is not accessible.
FLTSIM_KERNEL NTSTATUS FLTAPI FltLockUserBuffer(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltLockUserBuffer";
    KernelCall kernel(kApi, APC_LEVEL);
    const auto call = call_of(CallbackData, kApi);
    const FLT_IO_PARAMETER_BLOCK &iopb = *CallbackData->Iopb;
    const auto buffers = buffers_of(form_of(*call->operation), *CallbackData->Iopb);
    const bool moves_data = iopb.MajorFunction == IRP_MJ_READ || iopb.MajorFunction == IRP_MJ_WRITE;
    if (!buffers || !buffers->mdl || (moves_data && (iopb.MinorFunction & IRP_MN_MDL) != 0)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (*buffers->mdl) {
        return STATUS_SUCCESS;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const bool written = buffers->access != IoReadAccess;
    if (!*buffers->buffer || *buffers->length == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!ke::can_touch(*buffers->buffer, *buffers->length, written)) {
        return STATUS_ACCESS_VIOLATION;
    }
    *buffers->mdl = call->operation->describe(*buffers->buffer, *buffers->length, written);
    if (call->kind == CallRecord::Kind::Pre) {
        CallbackData->Flags |= FLTFL_CALLBACK_DATA_DIRTY;
    } else {
        show_mdl(*call, *buffers);
    }
    return STATUS_SUCCESS;
}

/// Any IRQL, of a post-operation. Null: its pre-operation has not put an MDL in the place of another.
FLTSIM_KERNEL PMDL FLTAPI FltGetSwappedBufferMdlAddress(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltGetSwappedBufferMdlAddress";
    KernelCall kernel(kApi, HIGH_LEVEL);
    return frame_of_post(CallbackData, kApi).swapped_mdl;
}

/// Any IRQL, of a post-operation. The driver frees the MDL itself.
FLTSIM_KERNEL void FLTAPI FltRetainSwappedBufferMdlAddress(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltRetainSwappedBufferMdlAddress";
    KernelCall kernel(kApi, HIGH_LEVEL);
    frame_of_post(CallbackData, kApi).swapped_mdl = nullptr;
}
