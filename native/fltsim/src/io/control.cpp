// SPDX-License-Identifier: MIT
//
// This module provides: file-system and device controls with the four ways in which their buffers travel [8.1].
//
//      code & 3          input                           output                              FLT_PARAMETERS
//      METHOD_BUFFERED   copied to one system buffer     copied from it at the end           Buffered.SystemBuffer
//      METHOD_IN_DIRECT  copied to a system buffer       the caller's, behind an MDL         Direct.InputSystemBuffer, OutputBuffer, OutputMdlAddress
//      METHOD_OUT_DIRECT the same                        the same                            the same
//      METHOD_NEITHER    the caller's                    the caller's                        Neither.InputBuffer, OutputBuffer
//
// A device control is tried as fast I/O first, with the caller's own buffers whatever the method is; a file-system control never is.

#include "io/internal.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::io {

namespace {

constexpr ULONG METHOD_MASK = 3;
constexpr ULONG ACCESS_SHIFT = 14;

/// The access that the code asks for, as the I/O manager checks it.
bool may_control(const FileObject &file, ULONG code) {
    const ULONG access = (code >> ACCESS_SHIFT) & (FILE_READ_ACCESS | FILE_WRITE_ACCESS);
    return ((access & FILE_READ_ACCESS) == 0 || has_access(file, FILE_READ_DATA)) &&
           ((access & FILE_WRITE_ACCESS) == 0 || has_access(file, FILE_WRITE_DATA));
}

void copy_input(Operation &operation, const IoManager::Control &control, size_t bytes) {
    operation.system_buffer.assign(bytes, 0);
    if (control.input_bytes != 0) {
        memcpy(operation.system_buffer.data(), control.input, control.input_bytes);
    }
}

} // namespace

/// FLT_PARAMETERS has the same layout for both kinds of control.
void fill_control(Operation &operation, const IoManager::Control &control) {
    auto &common = operation.parameters.FileSystemControl.Common;
    common.FsControlCode = control.code;
    common.InputBufferLength = control.input_bytes;
    common.OutputBufferLength = control.output_bytes;
    switch (control.code & METHOD_MASK) {
    case METHOD_BUFFERED: {
        const ULONG bytes = std::max(control.input_bytes, control.output_bytes);
        if (bytes != 0) {
            copy_input(operation, control, bytes);
            operation.parameters.FileSystemControl.Buffered.SystemBuffer = operation.system_buffer.data();
            operation.irp_flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
        }
        if (control.output_bytes != 0) {
            operation.irp_flags |= IRP_INPUT_OPERATION;
            operation.user_output = control.output;
            operation.user_output_bytes = control.output_bytes;
        }
        return;
    }
    case METHOD_IN_DIRECT:
    case METHOD_OUT_DIRECT: {
        auto &direct = operation.parameters.FileSystemControl.Direct;
        if (control.input_bytes != 0) {
            copy_input(operation, control, control.input_bytes);
            direct.InputSystemBuffer = operation.system_buffer.data();
            operation.irp_flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
        }
        if (control.output_bytes != 0) {
            const bool written = (control.code & METHOD_MASK) == METHOD_OUT_DIRECT;
            direct.OutputBuffer = control.output;
            direct.OutputMdlAddress = operation.describe(control.output, control.output_bytes, written);
        }
        return;
    }
    default: {
        auto &neither = operation.parameters.FileSystemControl.Neither;
        neither.InputBuffer = const_cast<void *>(control.input);
        neither.OutputBuffer = control.output;
        return;
    }
    }
}

NTSTATUS IoManager::control(FileObject &file, const Control &control, const AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!may_control(file, control.code)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    if ((control.input == nullptr && control.input_bytes != 0) ||
        (control.output == nullptr && control.output_bytes != 0)) {
        return iosb->Status = STATUS_ACCESS_VIOLATION;
    }
    const FileLock lock(impl_->world, file);
    file.signalled_ = false;
    const UCHAR major = control.device ? IRP_MJ_DEVICE_CONTROL : IRP_MJ_FILE_SYSTEM_CONTROL;
    if (control.device) {
        const auto fast = impl_->inline_operation(Form::FastIo, major, file, UserMode);
        auto &parameters = fast->parameters.DeviceIoControl.FastIo;
        parameters.IoControlCode = control.code;
        parameters.InputBufferLength = control.input_bytes;
        parameters.OutputBufferLength = control.output_bytes;
        parameters.InputBuffer = const_cast<void *>(control.input);
        parameters.OutputBuffer = control.output;
        if (impl_->world.flt->call_inline(fast)) {
            *iosb = fast->io_status;
            if (async != nullptr && !NT_ERROR(iosb->Status)) {
                impl_->tell(file, *async, *iosb, true);
            }
            return iosb->Status;
        }
    }
    const auto operation = impl_->irp(major, file, UserMode, control.device ? 0 : IRP_DEFER_IO_COMPLETION);
    fill_control(*operation, control);
    return impl_->issue(file, operation, async, iosb);
}

} // namespace fltsim::io
