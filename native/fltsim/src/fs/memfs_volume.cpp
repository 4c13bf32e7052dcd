// SPDX-License-Identifier: MIT
//
// This module provides: locking and dismounting a volume by control codes [SEQ-23].
//
// A locked volume has one handle, the one that locked it; nobody opens anything until that handle unlocks it or goes. A dismount does not need the
// lock: what is open then is cut off, and filters are torn down.

#include "fs/memfs.hpp"

namespace fltsim::fs {

namespace {

bool is_volume(const io::Operation &operation) {
    return (operation.file->native.Flags & FO_VOLUME_OPEN) != 0;
}

} // namespace

void MemFileSystem::count_open(const io::FileObject &file, bool opened) {
    if (volume_locked_by_ == &file && !opened) {
        volume_locked_by_ = nullptr;
    }
    if (opens_of_mount_ != volume_.mounts) {
        opens_of_mount_ = volume_.mounts;
        opens_ = 0; // what was open on the old mount is not counted down either
    }
    if (file.mount == volume_.mounts) {
        opened ? ++opens_ : --opens_;
    }
}

NTSTATUS MemFileSystem::lock_volume(const OperationPointer &operation, const ControlBuffers &) {
    if (!is_volume(*operation)) {
        return STATUS_INVALID_PARAMETER;
    }
    // The boot volume has the paging file open, always.
    if (volume_.boot || operation->file->mount != volume_.mounts || opens_ != 1 || volume_locked_by_ != nullptr) {
        return STATUS_ACCESS_DENIED;
    }
    volume_locked_by_ = operation->file.get();
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::unlock_volume(const OperationPointer &operation, const ControlBuffers &) {
    if (!is_volume(*operation)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (volume_locked_by_ != operation->file.get()) {
        return STATUS_NOT_LOCKED;
    }
    volume_locked_by_ = nullptr;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::dismount_volume(const OperationPointer &operation, const ControlBuffers &) {
    if (!is_volume(*operation)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (operation->file->mount != volume_.mounts) {
        return STATUS_VOLUME_DISMOUNTED;
    }
    if (volume_locked_by_ != nullptr && volume_locked_by_ != operation->file.get()) {
        return STATUS_ACCESS_DENIED;
    }
    return manager_.world.flt->dismount(volume_);
}

NTSTATUS MemFileSystem::is_volume_mounted(const OperationPointer &operation, const ControlBuffers &) {
    return operation->file->mount == volume_.mounts ? STATUS_SUCCESS : STATUS_VOLUME_DISMOUNTED;
}

} // namespace fltsim::fs
