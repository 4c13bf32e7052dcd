// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_CREATE: paths, ids, dispositions, sharing, attributes. Named streams are in memfs_stream.cpp.
//
// On the way through a path a reparse point ends the create with STATUS_REPARSE, its data and the length of what is left of the path; at the end of
// the path too, unless FILE_OPEN_REPARSE_POINT asks for the reparse point itself. The I/O manager goes on (io/reparse.cpp).

#include "fs/memfs.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::fs {

namespace {

constexpr unsigned DISPOSITION_SHIFT = 24;

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

/// The parent's and all others' view of a path: what is left behind component `index`, in characters.
size_t chars_behind(const ParsedPath &path, size_t index) {
    size_t chars = path.stream_chars + (path.trailing_backslash ? 1 : 0);
    for (size_t i = index + 1; i < path.components.size(); ++i) {
        chars += 1 + path.components[i].size();
    }
    return chars;
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
    by_id_[node->id] = node;
    return node;
}

NTSTATUS MemFileSystem::reparse(io::Operation &operation, const Node &node, size_t unparsed_chars) {
    operation.tag_data = node.reparse;
    const auto unparsed = static_cast<USHORT>(unparsed_chars * sizeof(WCHAR));
    memcpy(operation.tag_data.data() + offsetof(REPARSE_DATA_BUFFER, Reserved), &unparsed, sizeof unparsed);
    operation.io_status.Information = node.reparse_tag();
    return STATUS_REPARSE;
}

NTSTATUS MemFileSystem::walk(io::Operation &operation, const ParsedPath &path, size_t components,
                             std::shared_ptr<Link> *link) {
    std::shared_ptr<Link> at = *link;
    for (size_t i = 0; i < components; ++i) {
        if (!at->node->directory) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        at = at->node->child(path.components[i]);
        if (!at) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        if (!at->node->reparse.empty()) {
            return reparse(operation, *at->node, chars_behind(path, i));
        }
    }
    if (!at->node->directory) {
        return STATUS_OBJECT_PATH_NOT_FOUND;
    }
    *link = at;
    return STATUS_SUCCESS;
}

void MemFileSystem::attach(io::FileObject &file, const std::shared_ptr<Link> &link, const std::shared_ptr<Node> &node) {
    auto open = std::make_shared<OpenState>();
    open->delete_on_close = (file.create_options & FILE_DELETE_ON_CLOSE) != 0;
    open->link = link;
    file.opened = true;
    file.fs_context = open;
    FILE_OBJECT &native = file.native;
    if (!node) {
        return; // the volume itself
    }
    if (node->base != nullptr) {
        // Who holds the stream holds its file.
        auto both = std::make_shared<std::pair<std::shared_ptr<Node>, std::shared_ptr<Node>>>(link->node, node);
        file.fcb = std::shared_ptr<void>(both, node.get());
    } else {
        file.fcb = node;
    }
    open->counted = !file.ignore_share;
    if (open->counted) {
        node->share.add(file.granted_access, file.share_access);
    }
    ++node->handles;
    ++link->handles;
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

NTSTATUS MemFileSystem::open_volume(io::Operation &operation) {
    const ULONG options = options_of(operation);
    if ((options & FILE_DIRECTORY_FILE) != 0) {
        return STATUS_NOT_A_DIRECTORY;
    }
    if ((options & FILE_DELETE_ON_CLOSE) != 0) {
        return STATUS_CANNOT_DELETE;
    }
    if (disposition_of(operation) != FILE_OPEN && disposition_of(operation) != FILE_OPEN_IF) {
        return STATUS_ACCESS_DENIED;
    }
    attach(*operation.file, nullptr, nullptr);
    operation.io_status.Information = FILE_OPENED;
    return STATUS_SUCCESS;
}

std::shared_ptr<Node> MemFileSystem::node_of_id(std::u16string_view raw) const {
    constexpr size_t FILE_ID_CHARS = 4;
    constexpr size_t LONG_ID_CHARS = 8;
    if (raw.size() == FILE_ID_CHARS + 1 || raw.size() == LONG_ID_CHARS + 1) {
        raw.remove_prefix(1); // a path's backslash
    }
    if (raw.size() != FILE_ID_CHARS && raw.size() != LONG_ID_CHARS) {
        return nullptr;
    }
    std::array<uint8_t, LONG_ID_CHARS * sizeof(char16_t)> bytes{};
    memcpy(bytes.data(), raw.data(), raw.size() * sizeof(char16_t));
    if (raw.size() == LONG_ID_CHARS) {
        const auto named = by_object_id_.find(std::vector<uint8_t>(bytes.begin(), bytes.end()));
        if (named != by_object_id_.end()) {
            return named->second.lock();
        }
    }
    uint64_t id[2];
    memcpy(id, bytes.data(), sizeof id);
    const auto found = by_id_.find(id[0]);
    const auto node = found == by_id_.end() || id[1] != 0 ? nullptr : found->second.lock();
    return node && !node->unlinked ? node : nullptr;
}

NTSTATUS MemFileSystem::query_id_name(std::u16string_view raw, std::u16string *name) {
    const auto node = node_of_id(raw);
    if (!node || node->links.empty()) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    *name = path_of(*node->links[0]);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::open_by_id(io::Operation &operation, std::u16string_view raw) {
    if (!ntfs()) {
        return STATUS_NOT_IMPLEMENTED; // as fastfat
    }
    const ULONG disposition = disposition_of(operation);
    if (disposition == FILE_CREATE || disposition == FILE_SUPERSEDE) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto node = node_of_id(raw);
    if (!node || node->links.empty()) {
        return STATUS_INVALID_PARAMETER;
    }
    Link &first = *node->links[0];
    const auto link = node->root ? root_link_ : first.parent->children.at(fold(first.name));
    if (!node->reparse.empty() && (options_of(operation) & FILE_OPEN_REPARSE_POINT) == 0) {
        return reparse(operation, *node, 0);
    }
    return open_existing(operation, ParsedPath{}, link);
}

NTSTATUS MemFileSystem::create(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    const UNICODE_STRING &native_name = file.native.FileName;
    const std::u16string_view name(reinterpret_cast<const char16_t *>(native_name.Buffer),
                                   native_name.Length / sizeof(WCHAR));
    if ((options_of(operation) & FILE_OPEN_BY_FILE_ID) != 0) {
        return open_by_id(operation, name);
    }
    const bool relative = file.related != nullptr;
    std::shared_ptr<Link> link = root_link_;
    if (relative) {
        const OpenState *root_open = open_of(*file.related);
        if (root_open == nullptr || file.related->mount != volume_.mounts) {
            return STATUS_VOLUME_DISMOUNTED;
        }
        if (!root_open->link) {
            return name.empty() ? open_volume(operation) : STATUS_INVALID_PARAMETER;
        }
        if (node_of(*file.related)->base != nullptr) {
            return STATUS_INVALID_PARAMETER; // nothing lies below a stream
        }
        link = root_open->link;
        if (link->parent == nullptr && !link->node->root) {
            return STATUS_DELETE_PENDING;
        }
    }
    ParsedPath path;
    NTSTATUS status = parse_path(name, relative, ntfs(), &path);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (path.empty && !relative) {
        return open_volume(operation);
    }
    if ((operation.operation_flags & SL_OPEN_TARGET_DIRECTORY) != 0) {
        return open_target_directory(operation, path, link);
    }
    status = check_create_ea(operation);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (path.components.empty()) {
        return open_existing(operation, path, link);
    }
    status = walk(operation, path, path.components.size() - 1, &link);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    const auto last = link->node->child(path.components.back());
    if (!last) {
        return create_new(operation, path, *link->node);
    }
    if (!last->node->reparse.empty() && (options_of(operation) & FILE_OPEN_REPARSE_POINT) == 0) {
        return reparse(operation, *last->node, chars_behind(path, path.components.size() - 1));
    }
    return open_existing(operation, path, last);
}

NTSTATUS MemFileSystem::create_new(io::Operation &operation, const ParsedPath &path, Node &parent) {
    io::FileObject &file = *operation.file;
    const ULONG disposition = disposition_of(operation);
    const bool directory = (options_of(operation) & FILE_DIRECTORY_FILE) != 0 || path.directory_type;
    if (disposition == FILE_OPEN || disposition == FILE_OVERWRITE) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if ((path.trailing_backslash && !directory) || (directory && path.data_type)) {
        return directory ? STATUS_NOT_A_DIRECTORY : STATUS_OBJECT_NAME_INVALID;
    }
    if (!parent.links.empty() && parent.links[0]->delete_pending) {
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
    node->security =
        operation.security_descriptor.empty() ? inherited_security(parent, directory) : operation.security_descriptor;
    const NTSTATUS status = take_create_ea(operation, *node);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    const auto link = parent.add_child(node, path.components.back(), short_names_);
    parent.times.written = parent.times.changed = now();
    auto target = node;
    if (!path.stream.empty()) {
        target = make_stream(*node, path.stream);
    }
    if (target->cache) {
        reserve(*target, operation.parameters.Create.AllocationSize.QuadPart);
    }
    attach(file, link, target);
    operation.io_status.Information = FILE_CREATED;
    return STATUS_SUCCESS;
}

/// What of the file's kind stands against the create.
NTSTATUS MemFileSystem::check_kind(io::Operation &operation, const ParsedPath &path, const Node &node) const {
    const ULONG options = options_of(operation);
    if (node.directory) {
        if ((options & FILE_NON_DIRECTORY_FILE) != 0 || path.data_type) {
            return STATUS_FILE_IS_A_DIRECTORY;
        }
        if (overwrites(disposition_of(operation))) {
            return STATUS_OBJECT_NAME_COLLISION;
        }
        return node.root && (options & FILE_DELETE_ON_CLOSE) != 0 ? STATUS_CANNOT_DELETE : STATUS_SUCCESS;
    }
    if ((options & FILE_DIRECTORY_FILE) != 0 || path.directory_type) {
        return STATUS_NOT_A_DIRECTORY;
    }
    return path.trailing_backslash ? STATUS_OBJECT_NAME_INVALID : STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::open_existing(io::Operation &operation, const ParsedPath &path,
                                      const std::shared_ptr<Link> &link) {
    io::FileObject &file = *operation.file;
    Node &node = *link->node;
    const ULONG disposition = disposition_of(operation);
    const ULONG options = options_of(operation);
    if (link->delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    std::shared_ptr<Node> target = link->node;
    if (!path.stream.empty()) {
        if ((options & FILE_DIRECTORY_FILE) != 0) {
            return STATUS_NOT_A_DIRECTORY;
        }
        const auto found = node.streams.find(fold(path.stream));
        if (found == node.streams.end()) {
            return create_stream(operation, path, link);
        }
        target = found->second;
        if (target->stream_delete_pending) {
            return STATUS_DELETE_PENDING;
        }
    }
    if (disposition == FILE_CREATE) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    NTSTATUS status = path.stream.empty() ? check_kind(operation, path, node) : STATUS_SUCCESS;
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (file.maximum_allowed && (node.attributes & FILE_ATTRIBUTE_READONLY) != 0 && !node.directory) {
        file.granted_access &= ~static_cast<ACCESS_MASK>(WRITES);
    }
    const ACCESS_MASK access = effective_access(file, disposition);
    status = check_attributes(node, disposition, options, access, operation.parameters.Create.FileAttributes);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if ((options & FILE_NO_EA_KNOWLEDGE) != 0 && needs_ea(node)) {
        return STATUS_ACCESS_DENIED;
    }
    const auto shared = [&] {
        return file.ignore_share || (target->share.allows(access, file.share_access) &&
                                     streams_allow(node, *target, access, file.share_access));
    };
    const NTSTATUS oplocks = check_oplocks_of_create(operation, *target, !shared());
    if (!NT_SUCCESS(oplocks)) {
        return oplocks;
    }
    if (link->delete_pending || (link->parent == nullptr && !node.root) || target->stream_removed) {
        return STATUS_DELETE_PENDING; // meanwhile
    }
    if (!shared()) {
        return STATUS_SHARING_VIOLATION;
    }
    // What runs is not written [fastfat].
    const bool deletes = (options & FILE_DELETE_ON_CLOSE) != 0;
    if (target->cache && (deletes || (access & FILE_WRITE_DATA) != 0) && !target->cache->flush_image()) {
        return deletes ? STATUS_CANNOT_DELETE : STATUS_SHARING_VIOLATION;
    }
    if (overwrites(disposition)) {
        if (!target->cache->can_be_truncated()) {
            return STATUS_USER_MAPPED_FILE;
        }
        status = overwrite(operation, *target);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    attach(file, link, target);
    operation.io_status.Information = disposition == FILE_SUPERSEDE ? FILE_SUPERSEDED
                                      : overwrites(disposition)     ? FILE_OVERWRITTEN
                                                                    : FILE_OPENED;
    return oplocks; // STATUS_SUCCESS, or STATUS_OPLOCK_BREAK_IN_PROGRESS
}

/// The content of the stream goes; of the unnamed one also all named streams that nobody has open, and the extended attributes.
NTSTATUS MemFileSystem::overwrite(io::Operation &operation, Node &target) {
    Node &node = target.owner();
    const bool supersede = disposition_of(operation) == FILE_SUPERSEDE;
    if (target.base == nullptr) {
        const NTSTATUS status = take_create_ea(operation, node);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        std::erase_if(node.streams, [](const auto &entry) { return entry.second->handles == 0; });
        const ULONG wanted =
            (operation.parameters.Create.FileAttributes & SETTABLE_ATTRIBUTES) | FILE_ATTRIBUTE_ARCHIVE;
        node.attributes = supersede ? wanted : node.attributes | wanted;
        node.attributes &= ~static_cast<ULONG>(FILE_ATTRIBUTE_SPARSE_FILE);
    }
    target.set_size(0);
    reserve(target, operation.parameters.Create.AllocationSize.QuadPart);
    const int64_t time = now();
    node.times.written = node.times.changed = node.times.accessed = time;
    if (supersede && target.base == nullptr) {
        node.times.created = time;
    }
    return STATUS_SUCCESS;
}

void MemFileSystem::reserve(Node &node, int64_t bytes) {
    const auto wanted = static_cast<uint64_t>(std::max<int64_t>(bytes, 0));
    if (wanted > node.allocation) {
        node.allocation = (wanted + io::Cache::PAGE - 1) / io::Cache::PAGE * io::Cache::PAGE;
    }
}

NTSTATUS MemFileSystem::open_target_directory(io::Operation &operation, const ParsedPath &path,
                                              std::shared_ptr<Link> link) {
    if (path.components.empty()) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    const NTSTATUS status = walk(operation, path, path.components.size() - 1, &link);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    if (link->delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    io::FileObject &file = *operation.file;
    if (!link->node->share.allows(file.granted_access, file.share_access)) {
        return STATUS_SHARING_VIOLATION;
    }
    attach(file, link, link->node);
    operation.io_status.Information = link->node->child(path.components.back()) ? FILE_EXISTS : FILE_DOES_NOT_EXIST;
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
