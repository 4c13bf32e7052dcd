// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_CREATE: paths, dispositions, sharing, attributes.

#include "fs/memfs.hpp"

namespace fltsim::fs {

namespace {

constexpr unsigned DISPOSITION_SHIFT = 24;
constexpr ULONG SETTABLE_ATTRIBUTES = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM |
                                      FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_TEMPORARY | FILE_ATTRIBUTE_OFFLINE |
                                      FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;
constexpr ACCESS_MASK WRITES = FILE_WRITE_DATA | FILE_APPEND_DATA;

ULONG disposition_of(const io::Operation &operation) {
    return operation.parameters.Create.Options >> DISPOSITION_SHIFT;
}
ULONG options_of(const io::Operation &operation) {
    return operation.parameters.Create.Options & FILE_VALID_OPTION_FLAGS;
}
bool overwrites(ULONG disposition) {
    return disposition == FILE_SUPERSEDE || disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF;
}

/// Rights that the disposition implies for sharing and the read-only attribute.
ACCESS_MASK effective_access(const io::FileObject &file, ULONG disposition) {
    ACCESS_MASK access = file.granted_access;
    if (disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF) {
        access |= FILE_WRITE_DATA;
    } else if (disposition == FILE_SUPERSEDE) {
        access |= DELETE;
    }
    return access;
}

/// What an existing file's attributes allow.
NTSTATUS check_attributes(const Node &node, ULONG disposition, ULONG options, ACCESS_MASK access, ULONG wanted) {
    const bool read_only = (node.attributes & FILE_ATTRIBUTE_READONLY) != 0;
    if (read_only && (options & FILE_DELETE_ON_CLOSE) != 0) {
        return STATUS_CANNOT_DELETE;
    }
    if (read_only && !node.directory && ((access & WRITES) != 0 || overwrites(disposition))) {
        return STATUS_ACCESS_DENIED;
    }
    constexpr ULONG SPECIAL = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM;
    if (overwrites(disposition) && (node.attributes & SPECIAL & ~wanted) != 0) {
        return STATUS_ACCESS_DENIED; // hidden and system files are overwritten only by those who name the attributes
    }
    return STATUS_SUCCESS;
}

} // namespace

std::shared_ptr<Node> MemFileSystem::make_node(bool directory, ULONG attributes) {
    auto node = std::make_shared<Node>();
    node->id = next_id_++;
    node->directory = directory;
    node->attributes = attributes & SETTABLE_ATTRIBUTES;
    const int64_t time = now();
    node->times = {time, time, time, time};
    if (!directory) {
        node->attributes |= FILE_ATTRIBUTE_ARCHIVE;
        node->cache = std::make_shared<io::Cache>(manager_, *node);
    }
    return node;
}

NTSTATUS MemFileSystem::walk(const ParsedPath &path, size_t components, std::shared_ptr<Node> *node) const {
    std::shared_ptr<Node> at = root_;
    for (size_t i = 0; i < components; ++i) {
        if (!at->directory) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        at = at->child(path.components[i]);
        if (!at) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
    }
    if (!at->directory) {
        return STATUS_OBJECT_PATH_NOT_FOUND;
    }
    *node = at;
    return STATUS_SUCCESS;
}

void MemFileSystem::attach(io::FileObject &file, const std::shared_ptr<Node> &node) {
    auto open = std::make_shared<OpenState>();
    open->delete_on_close = (file.create_options & FILE_DELETE_ON_CLOSE) != 0;
    file.opened = true;
    file.fs_context = open;
    FILE_OBJECT &native = file.native;
    if (!node) {
        return; // the volume itself
    }
    file.fcb = node;
    open->counted = true;
    node->share.add(file.granted_access, file.share_access);
    ++node->handles;
    native.FsContext = node.get();
    if (node->cache) {
        native.SectionObjectPointer = &node->section_pointers;
        native.Flags |= FO_CACHE_SUPPORTED;
    }
    native.Flags |= open->delete_on_close ? FO_DELETE_ON_CLOSE : 0;
    native.ReadAccess = (file.granted_access & (FILE_READ_DATA | FILE_EXECUTE)) != 0;
    native.WriteAccess = (file.granted_access & WRITES) != 0;
    native.DeleteAccess = (file.granted_access & DELETE) != 0;
    native.SharedRead = (file.share_access & FILE_SHARE_READ) != 0;
    native.SharedWrite = (file.share_access & FILE_SHARE_WRITE) != 0;
    native.SharedDelete = (file.share_access & FILE_SHARE_DELETE) != 0;
}

NTSTATUS MemFileSystem::create(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    const UNICODE_STRING &name = file.native.FileName;
    ParsedPath path;
    NTSTATUS status =
        parse_path({reinterpret_cast<const char16_t *>(name.Buffer), name.Length / sizeof(WCHAR)}, ntfs(), &path);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if ((operation.operation_flags & SL_OPEN_TARGET_DIRECTORY) != 0) {
        return open_target_directory(operation, path);
    }
    const ULONG options = options_of(operation);
    const ULONG disposition = disposition_of(operation);
    if (path.volume) {
        if ((options & (FILE_DIRECTORY_FILE | FILE_DELETE_ON_CLOSE)) != 0 || disposition != FILE_OPEN) {
            return (options & FILE_DIRECTORY_FILE) != 0 ? STATUS_NOT_A_DIRECTORY : STATUS_ACCESS_DENIED;
        }
        attach(file, nullptr);
        operation.io_status.Information = FILE_OPENED;
        return STATUS_SUCCESS;
    }
    if (path.components.empty()) {
        return open_existing(operation, path, root_);
    }
    std::shared_ptr<Node> parent;
    status = walk(path, path.components.size() - 1, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    const auto node = parent->child(path.components.back());
    return node ? open_existing(operation, path, node) : create_new(operation, path, *parent);
}

NTSTATUS MemFileSystem::create_new(io::Operation &operation, const ParsedPath &path, Node &parent) {
    io::FileObject &file = *operation.file;
    const ULONG disposition = disposition_of(operation);
    const bool directory = (options_of(operation) & FILE_DIRECTORY_FILE) != 0;
    if (disposition == FILE_OPEN || disposition == FILE_OVERWRITE) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (path.trailing_backslash && !directory) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    if (parent.delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    const ULONG attributes = operation.parameters.Create.FileAttributes;
    if (!directory && (attributes & FILE_ATTRIBUTE_READONLY) != 0 &&
        (options_of(operation) & FILE_DELETE_ON_CLOSE) != 0) {
        return STATUS_CANNOT_DELETE;
    }
    if (directory && (attributes & FILE_ATTRIBUTE_TEMPORARY) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto node = make_node(directory, attributes);
    parent.add_child(node, path.components.back());
    parent.times.written = parent.times.changed = now();
    attach(file, node);
    operation.io_status.Information = FILE_CREATED;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::open_existing(io::Operation &operation, const ParsedPath &path,
                                      const std::shared_ptr<Node> &node) {
    io::FileObject &file = *operation.file;
    const ULONG disposition = disposition_of(operation);
    const ULONG options = options_of(operation);
    if (node->delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    if (disposition == FILE_CREATE) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (node->directory) {
        if ((options & FILE_NON_DIRECTORY_FILE) != 0) {
            return STATUS_FILE_IS_A_DIRECTORY;
        }
        if (overwrites(disposition)) {
            return STATUS_OBJECT_NAME_COLLISION;
        }
        if (node->root && (options & FILE_DELETE_ON_CLOSE) != 0) {
            return STATUS_CANNOT_DELETE;
        }
    } else {
        if ((options & FILE_DIRECTORY_FILE) != 0) {
            return STATUS_NOT_A_DIRECTORY;
        }
        if (path.trailing_backslash) {
            return STATUS_OBJECT_NAME_INVALID;
        }
    }
    const ACCESS_MASK access = effective_access(file, disposition);
    const NTSTATUS allowed =
        check_attributes(*node, disposition, options, access, operation.parameters.Create.FileAttributes);
    if (!NT_SUCCESS(allowed)) {
        return allowed;
    }
    if (!node->share.allows(access, file.share_access)) {
        return STATUS_SHARING_VIOLATION;
    }
    if (overwrites(disposition)) {
        if (node->cache->mapped()) {
            return STATUS_USER_MAPPED_FILE;
        }
        overwrite(*node, disposition, operation.parameters.Create.FileAttributes);
    }
    attach(file, node);
    operation.io_status.Information = disposition == FILE_SUPERSEDE ? FILE_SUPERSEDED
                                      : overwrites(disposition)     ? FILE_OVERWRITTEN
                                                                    : FILE_OPENED;
    return STATUS_SUCCESS;
}

void MemFileSystem::overwrite(Node &node, ULONG disposition, ULONG attributes) {
    node.set_size(0);
    const ULONG wanted = (attributes & SETTABLE_ATTRIBUTES) | FILE_ATTRIBUTE_ARCHIVE;
    node.attributes = disposition == FILE_SUPERSEDE ? wanted : node.attributes | wanted;
    const int64_t time = now();
    node.times.written = node.times.changed = node.times.accessed = time;
    if (disposition == FILE_SUPERSEDE) {
        node.times.created = time;
    }
}

NTSTATUS MemFileSystem::open_target_directory(io::Operation &operation, const ParsedPath &path) {
    if (path.volume || path.components.empty()) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    std::shared_ptr<Node> parent;
    const NTSTATUS status = walk(path, path.components.size() - 1, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (parent->delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    io::FileObject &file = *operation.file;
    if (!parent->share.allows(file.granted_access, file.share_access)) {
        return STATUS_SHARING_VIOLATION;
    }
    attach(file, parent);
    operation.io_status.Information = parent->child(path.components.back()) ? FILE_EXISTS : FILE_DOES_NOT_EXIST;
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
