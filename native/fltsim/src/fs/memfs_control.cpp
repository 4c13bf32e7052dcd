// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_FILE_SYSTEM_CONTROL: the table of the control codes that the file system knows.
//
// A code that is not in the table is answered with STATUS_INVALID_DEVICE_REQUEST, as a file system answers what it does not know. One that FAT
// does not know is the same there.

#include "fs/memfs.hpp"

#include <algorithm>
#include <array>

#include "ke/mdl.hpp"

namespace fltsim::fs {

const MemFileSystem::FsControl *MemFileSystem::find_fs_control(ULONG code) {
    static constexpr FsControl CONTROLS[] = {
        {FSCTL_REQUEST_OPLOCK, &MemFileSystem::request_oplock, true},
        {FSCTL_REQUEST_OPLOCK_LEVEL_1, &MemFileSystem::request_legacy_oplock, true},
        {FSCTL_REQUEST_OPLOCK_LEVEL_2, &MemFileSystem::request_legacy_oplock, true},
        {FSCTL_REQUEST_BATCH_OPLOCK, &MemFileSystem::request_legacy_oplock, true},
        {FSCTL_REQUEST_FILTER_OPLOCK, &MemFileSystem::request_legacy_oplock, true},
        {FSCTL_OPLOCK_BREAK_ACKNOWLEDGE, &MemFileSystem::acknowledge_legacy, true},
        {FSCTL_OPLOCK_BREAK_ACK_NO_2, &MemFileSystem::acknowledge_legacy, true},
        {FSCTL_OPBATCH_ACK_CLOSE_PENDING, &MemFileSystem::acknowledge_legacy, true},
        {FSCTL_OPLOCK_BREAK_NOTIFY, &MemFileSystem::wait_for_oplock_break, true},
        {FSCTL_LOCK_VOLUME, &MemFileSystem::lock_volume, true},
        {FSCTL_UNLOCK_VOLUME, &MemFileSystem::unlock_volume, true},
        {FSCTL_DISMOUNT_VOLUME, &MemFileSystem::dismount_volume, true},
        {FSCTL_IS_VOLUME_MOUNTED, &MemFileSystem::is_volume_mounted, true},
        {FSCTL_SET_REPARSE_POINT, &MemFileSystem::set_reparse_point, false},
        {FSCTL_GET_REPARSE_POINT, &MemFileSystem::get_reparse_point, false},
        {FSCTL_DELETE_REPARSE_POINT, &MemFileSystem::delete_reparse_point, false},
        {FSCTL_SET_SPARSE, &MemFileSystem::set_sparse, false},
        {FSCTL_SET_ZERO_DATA, &MemFileSystem::set_zero_data, false},
        {FSCTL_QUERY_ALLOCATED_RANGES, &MemFileSystem::query_allocated_ranges, false},
        {FSCTL_GET_COMPRESSION, &MemFileSystem::get_compression, false},
        {FSCTL_SET_COMPRESSION, &MemFileSystem::set_compression, false},
        {FSCTL_GET_OBJECT_ID, &MemFileSystem::get_object_id, false},
        {FSCTL_CREATE_OR_GET_OBJECT_ID, &MemFileSystem::create_or_get_object_id, false},
        {FSCTL_SET_OBJECT_ID, &MemFileSystem::set_object_id, false},
        {FSCTL_DELETE_OBJECT_ID, &MemFileSystem::delete_object_id, false},
    };
    const auto *found = std::ranges::find(CONTROLS, code, &FsControl::code);
    return found == std::end(CONTROLS) ? nullptr : found;
}

MemFileSystem::ControlBuffers MemFileSystem::control_buffers(const io::Operation &operation) {
    constexpr ULONG METHOD_MASK = 3;
    const auto &parameters = operation.parameters.FileSystemControl;
    ControlBuffers buffers;
    buffers.input_bytes = parameters.Common.InputBufferLength;
    buffers.output_bytes = parameters.Common.OutputBufferLength;
    switch (parameters.Common.FsControlCode & METHOD_MASK) {
    case METHOD_BUFFERED:
        buffers.input = parameters.Buffered.SystemBuffer;
        buffers.output = parameters.Buffered.SystemBuffer;
        break;
    case METHOD_NEITHER:
        buffers.input = parameters.Neither.InputBuffer;
        buffers.output = parameters.Neither.OutputBuffer;
        break;
    default:
        buffers.input = parameters.Direct.InputSystemBuffer;
        buffers.output = ke::data_memory("file system control", parameters.Direct.OutputMdlAddress, nullptr,
                                         parameters.Common.OutputBufferLength);
        break;
    }
    return buffers;
}

NTSTATUS MemFileSystem::file_system_control(const OperationPointer &operation) {
    constexpr UCHAR USER_REQUEST = 0; // IRP_MN_USER_FS_REQUEST
    const FsControl *control = find_fs_control(operation->parameters.FileSystemControl.Common.FsControlCode);
    if (operation->minor != USER_REQUEST || control == nullptr || (!control->on_fat && !ntfs())) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    return (this->*control->handler)(operation, control_buffers(*operation));
}

} // namespace fltsim::fs
