// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_SET_INFORMATION: attributes and times, rename, delete, sizes.

#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

constexpr ULONG SETTABLE_ATTRIBUTES = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM |
                                      FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_TEMPORARY | FILE_ATTRIBUTE_OFFLINE |
                                      FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;
constexpr ULONG FILE_DISPOSITION_IGNORE_READONLY = 0x10;
constexpr int64_t MAX_FILE_BYTES = int64_t{1} << 40;

template <class T> T information_of(const io::Operation &operation) {
    T value;
    memcpy(&value, operation.parameters.SetFileInformation.InfoBuffer, sizeof value);
    return value;
}

/// 0 leaves a time alone; -1 and -2 stop and resume its automatic change, which is not kept here.
void set_time(int64_t &time, LARGE_INTEGER wanted) {
    if (wanted.QuadPart > 0) {
        time = wanted.QuadPart;
    }
}

} // namespace

NTSTATUS MemFileSystem::set_information(io::Operation &operation) {
    if (node_of(*operation.file) == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    switch (operation.parameters.SetFileInformation.FileInformationClass) {
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
    case FilePositionInformation:
        operation.file->native.CurrentByteOffset =
            information_of<FILE_POSITION_INFORMATION>(operation).CurrentByteOffset;
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

NTSTATUS MemFileSystem::set_basic(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
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
    node.times.changed = now();
    set_time(node.times.created, wanted.CreationTime);
    set_time(node.times.accessed, wanted.LastAccessTime);
    set_time(node.times.written, wanted.LastWriteTime);
    set_time(node.times.changed, wanted.ChangeTime);
    if (wanted.FileAttributes != 0) {
        node.attributes = wanted.FileAttributes & SETTABLE_ATTRIBUTES;
    }
    return STATUS_SUCCESS;
}

/// A rename's target exists: it goes away or the rename fails.
NTSTATUS MemFileSystem::replace(Node &target, ULONG flags) {
    const bool posix = (flags & FILE_RENAME_POSIX_SEMANTICS) != 0;
    if ((flags & FILE_RENAME_REPLACE_IF_EXISTS) == 0) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (target.directory || (target.attributes & FILE_ATTRIBUTE_READONLY) != 0) {
        return STATUS_ACCESS_DENIED;
    }
    if (target.delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    if (target.handles != 0 && (!posix || target.share.shared_delete != target.share.opens)) {
        return STATUS_ACCESS_DENIED;
    }
    if (target.cache->mapped() && !posix) {
        return STATUS_ACCESS_DENIED;
    }
    const auto keep = target.shared_from_this();
    unlink(target);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::rename(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const auto &parameters = operation.parameters.SetFileInformation;
    const auto information = information_of<FILE_RENAME_INFORMATION>(operation);
    const ULONG flags = parameters.FileInformationClass == FileRenameInformationEx
                            ? information.Flags
                            : (information.ReplaceIfExists ? FILE_RENAME_REPLACE_IF_EXISTS : 0);
    std::u16string name(information.FileNameLength / sizeof(WCHAR), u'\0');
    memcpy(name.data(),
           static_cast<const uint8_t *>(parameters.InfoBuffer) + offsetof(FILE_RENAME_INFORMATION, FileName),
           name.size() * sizeof(WCHAR));
    Node *parent = node.parent;
    if (parameters.ParentOfTarget != nullptr) {
        const auto directory = io::FileObject::from_native(parameters.ParentOfTarget);
        parent = directory ? node_of(*directory) : nullptr;
        const size_t last = name.find_last_of(u'\\');
        name.erase(0, last == std::u16string::npos ? 0 : last + 1);
    }
    if (node.root) {
        return STATUS_INVALID_PARAMETER;
    }
    if (node.unlinked || parent == nullptr) {
        return STATUS_FILE_DELETED;
    }
    if (parent->delete_pending || parent->unlinked) {
        return STATUS_DELETE_PENDING;
    }
    NTSTATUS status = check_component(name, ntfs());
    if (!NT_SUCCESS(status)) {
        return status;
    }
    for (const Node *at = parent; at != nullptr; at = at->parent) {
        if (at == &node) {
            return STATUS_INVALID_PARAMETER; // into itself
        }
    }
    if (node.directory && node.open_below()) {
        return STATUS_ACCESS_DENIED;
    }
    const auto target = parent->child(name);
    if (target && target.get() != &node) {
        status = replace(*target, flags);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    const auto keep = node.shared_from_this();
    Node *before = node.parent;
    before->remove_child(node);
    parent->add_child(keep, name);
    const int64_t time = now();
    before->times.written = before->times.changed = time;
    parent->times.written = parent->times.changed = time;
    node.times.changed = time;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_disposition(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    Node &node = *node_of(file);
    OpenState &open = *open_of(file);
    ULONG flags = 0;
    if (operation.parameters.SetFileInformation.FileInformationClass == FileDispositionInformationEx) {
        flags = information_of<FILE_DISPOSITION_INFORMATION_EX>(operation).Flags;
        if ((flags & FILE_DISPOSITION_ON_CLOSE) != 0) {
            unmodelled("IRP_MJ_SET_INFORMATION", "FILE_DISPOSITION_ON_CLOSE");
        }
    } else if (information_of<FILE_DISPOSITION_INFORMATION>(operation).DeleteFile) {
        flags = FILE_DISPOSITION_DELETE;
    }
    if ((flags & FILE_DISPOSITION_DELETE) == 0) {
        node.delete_pending = false;
        file.native.DeletePending = FALSE;
        open.posix_delete = false;
        return STATUS_SUCCESS;
    }
    const bool read_only =
        (node.attributes & FILE_ATTRIBUTE_READONLY) != 0 && (flags & FILE_DISPOSITION_IGNORE_READONLY) == 0;
    if (node.root || read_only) {
        return STATUS_CANNOT_DELETE;
    }
    if (node.directory && !node.children.empty()) {
        return STATUS_DIRECTORY_NOT_EMPTY;
    }
    node.delete_pending = true;
    file.native.DeletePending = TRUE;
    open.posix_delete = (flags & FILE_DISPOSITION_POSIX_SEMANTICS) != 0;
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
    if (end > MAX_FILE_BYTES) {
        return STATUS_DISK_FULL;
    }
    const auto size = static_cast<uint64_t>(end);
    if (size < node.size && node.cache->mapped()) {
        return STATUS_USER_MAPPED_FILE;
    }
    node.set_size(size);
    node.times.written = node.times.changed = now();
    operation.file->native.Flags |= FO_FILE_MODIFIED | FO_FILE_SIZE_CHANGED;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_allocation(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const int64_t wanted = information_of<FILE_ALLOCATION_INFORMATION>(operation).AllocationSize.QuadPart;
    if (node.directory || wanted < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (wanted > MAX_FILE_BYTES) {
        return STATUS_DISK_FULL;
    }
    const auto size = static_cast<uint64_t>(wanted);
    if (size < node.size) {
        if (node.cache->mapped()) {
            return STATUS_USER_MAPPED_FILE;
        }
        node.set_size(size);
    }
    node.allocation = (size + io::Cache::PAGE - 1) / io::Cache::PAGE * io::Cache::PAGE;
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
