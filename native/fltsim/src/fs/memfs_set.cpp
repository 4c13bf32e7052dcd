// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_SET_INFORMATION: attributes and times, delete, sizes. Renames and hard links are in memfs_rename.cpp.

#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

constexpr ULONG FILE_DISPOSITION_IGNORE_READONLY = 0x10;

template <class T> T information_of(const io::Operation &operation) {
    T value;
    memcpy(&value, operation.parameters.SetFileInformation.InfoBuffer, sizeof value);
    return value;
}

/// 0 leaves a time alone; -1 stops its automatic change through this handle, as a time that is set does; -2 resumes it.
void set_time(int64_t &time, LARGE_INTEGER wanted, bool *keep) {
    constexpr int64_t STOP = -1;
    constexpr int64_t RESUME = -2;
    if (wanted.QuadPart > 0) {
        time = wanted.QuadPart;
    }
    if (keep != nullptr && wanted.QuadPart != 0) {
        *keep = wanted.QuadPart > 0 || wanted.QuadPart == STOP;
        if (wanted.QuadPart == RESUME) {
            *keep = false;
        }
    }
}

} // namespace

NTSTATUS MemFileSystem::set_information(io::Operation &operation) {
    if (node_of(*operation.file) == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto &parameters = operation.parameters.SetFileInformation;
    if (!io::set_buffer_fits(parameters.FileInformationClass, parameters.Length)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    switch (parameters.FileInformationClass) {
    case FileBasicInformation:
        return set_basic(operation);
    case FileRenameInformation:
        return rename(operation);
    case FileRenameInformationEx:
        return ntfs() ? rename(operation) : STATUS_INVALID_PARAMETER;
    case FileDispositionInformation:
        return set_disposition(operation);
    case FileDispositionInformationEx:
        return ntfs() ? set_disposition(operation) : STATUS_INVALID_PARAMETER;
    case FileEndOfFileInformation:
        return set_end_of_file(operation);
    case FileAllocationInformation:
        return set_allocation(operation);
    case FileValidDataLengthInformation:
        return set_valid_data(operation);
    case FileLinkInformation:
        return ntfs() ? link(operation) : STATUS_INVALID_DEVICE_REQUEST; // fastfat knows the class, and has no links
    case FileLinkInformationEx:
        return ntfs() ? link(operation) : STATUS_INVALID_PARAMETER;
    case FilePositionInformation:
        operation.file->native.CurrentByteOffset =
            information_of<FILE_POSITION_INFORMATION>(operation).CurrentByteOffset;
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

NTSTATUS MemFileSystem::set_basic(io::Operation &operation) {
    Node &node = *owner_of(*operation.file);
    OpenState &open = *open_of(*operation.file);
    const auto wanted = information_of<FILE_BASIC_INFORMATION>(operation);
    constexpr int64_t LOWEST_TIME = -2;
    for (const LARGE_INTEGER time :
         {wanted.CreationTime, wanted.LastAccessTime, wanted.LastWriteTime, wanted.ChangeTime}) {
        if (time.QuadPart < LOWEST_TIME) {
            return STATUS_INVALID_PARAMETER;
        }
    }
    if (!node.directory && (wanted.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (node.directory && (wanted.FileAttributes & FILE_ATTRIBUTE_TEMPORARY) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!open.keep_changed) {
        node.times.changed = now();
    }
    set_time(node.times.created, wanted.CreationTime, nullptr);
    set_time(node.times.accessed, wanted.LastAccessTime, &open.keep_accessed);
    set_time(node.times.written, wanted.LastWriteTime, &open.keep_written);
    set_time(node.times.changed, wanted.ChangeTime, &open.keep_changed);
    if (wanted.FileAttributes != 0) {
        node.attributes =
            (wanted.FileAttributes & SETTABLE_ATTRIBUTES) | (node.attributes & FILE_ATTRIBUTE_SPARSE_FILE);
    }
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_disposition(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    Node &node = *node_of(file);
    Node &owner = node.owner();
    OpenState &open = *open_of(file);
    Link &link = *open.link;
    const bool stream = node.base != nullptr;
    ULONG flags = 0;
    if (operation.parameters.SetFileInformation.FileInformationClass == FileDispositionInformationEx) {
        flags = information_of<FILE_DISPOSITION_INFORMATION_EX>(operation).Flags;
    } else if (information_of<FILE_DISPOSITION_INFORMATION>(operation).DeleteFile) {
        flags = FILE_DISPOSITION_DELETE;
    }
    const bool deletes = (flags & FILE_DISPOSITION_DELETE) != 0;
    const bool posix = (flags & FILE_DISPOSITION_POSIX_SEMANTICS) != 0;
    if (!deletes) {
        if ((flags & FILE_DISPOSITION_ON_CLOSE) != 0) {
            open.delete_on_close = false;
            return STATUS_SUCCESS;
        }
        (stream ? node.stream_delete_pending : link.delete_pending) = false;
        file.native.DeletePending = FALSE;
        open.posix_delete = false;
        return STATUS_SUCCESS;
    }
    const bool read_only =
        (owner.attributes & FILE_ATTRIBUTE_READONLY) != 0 && (flags & FILE_DISPOSITION_IGNORE_READONLY) == 0;
    if (owner.root || read_only) {
        return STATUS_CANNOT_DELETE;
    }
    // A mapped file is not deleted, but with POSIX semantics only when the caller insists on the check.
    const bool check_mapped = !posix || (flags & FILE_DISPOSITION_FORCE_IMAGE_SECTION_CHECK) != 0;
    if (check_mapped && node.cache && (node.cache->mapped() || !node.cache->flush_image())) {
        return STATUS_CANNOT_DELETE;
    }
    if (!stream && node.directory && !node.children.empty()) {
        return STATUS_DIRECTORY_NOT_EMPTY;
    }
    if ((flags & FILE_DISPOSITION_ON_CLOSE) != 0) {
        open.delete_on_close = true;
        return STATUS_SUCCESS;
    }
    if (!stream && link.parent == nullptr) {
        return STATUS_FILE_DELETED;
    }
    (stream ? node.stream_delete_pending : link.delete_pending) = true;
    file.native.DeletePending = TRUE;
    open.posix_delete = posix;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_end_of_file(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const int64_t end = information_of<FILE_END_OF_FILE_INFORMATION>(operation).EndOfFile.QuadPart;
    if (node.directory || end < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (operation.parameters.SetFileInformation.AdvanceOnly) {
        return STATUS_SUCCESS; // the lazy writer's word on what is on disk: sizes here are never behind it
    }
    if (end > static_cast<int64_t>(max_file_bytes())) {
        return STATUS_DISK_FULL;
    }
    const auto size = static_cast<uint64_t>(end);
    if (size < node.size && !node.cache->can_be_truncated()) {
        return STATUS_USER_MAPPED_FILE;
    }
    node.set_size(size);
    touch_written(*operation.file);
    operation.file->native.Flags |= FO_FILE_MODIFIED | FO_FILE_SIZE_CHANGED;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_allocation(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const int64_t wanted = information_of<FILE_ALLOCATION_INFORMATION>(operation).AllocationSize.QuadPart;
    if (node.directory || wanted < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (wanted > static_cast<int64_t>(max_file_bytes())) {
        return STATUS_DISK_FULL;
    }
    const auto size = static_cast<uint64_t>(wanted);
    if (size < node.size) {
        if (!node.cache->can_be_truncated()) {
            return STATUS_USER_MAPPED_FILE;
        }
        node.set_size(size);
    }
    node.allocation = (size + io::Cache::PAGE - 1) / io::Cache::PAGE * io::Cache::PAGE;
    return STATUS_SUCCESS;
}

/// What lies behind the valid data length reads as zeros here all the same: nothing of a disk's past shows through.
NTSTATUS MemFileSystem::set_valid_data(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const int64_t wanted = information_of<FILE_VALID_DATA_LENGTH_INFORMATION>(operation).ValidDataLength.QuadPart;
    if (node.directory || wanted < static_cast<int64_t>(node.valid_data) || wanted > static_cast<int64_t>(node.size)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (node.cache->mapped()) {
        return STATUS_USER_MAPPED_FILE;
    }
    node.valid_data = static_cast<uint64_t>(wanted);
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
