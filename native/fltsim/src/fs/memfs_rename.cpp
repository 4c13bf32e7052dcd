// SPDX-License-Identifier: MIT
//
// This module provides: renames and hard links [SEQ-15]. The I/O manager has opened the target's parent, unless the new name is a simple one.

#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

// The same bits in FILE_RENAME_INFORMATION and FILE_LINK_INFORMATION of the Ex classes.
constexpr ULONG REPLACE_IF_EXISTS = 0x1;
constexpr ULONG POSIX_SEMANTICS = 0x2;
constexpr ULONG IGNORE_READONLY_ATTRIBUTE = 0x40;
constexpr ULONG LINKS_MAX = 1024;

struct Target {
    ULONG flags = 0;
    std::u16string name; ///< as the caller gave it
    Node *parent = nullptr; ///< null: that of the file
};

/// A rename's and a link's structures are laid out alike.
Target target_of(const io::Operation &operation, bool ex) {
    const auto &parameters = operation.parameters.SetFileInformation;
    FILE_RENAME_INFORMATION information;
    memcpy(&information, parameters.InfoBuffer, sizeof information);
    Target target;
    target.flags = ex ? information.Flags : (information.ReplaceIfExists ? REPLACE_IF_EXISTS : 0);
    target.name.resize(information.FileNameLength / sizeof(WCHAR));
    memcpy(target.name.data(),
           static_cast<const uint8_t *>(parameters.InfoBuffer) + offsetof(FILE_RENAME_INFORMATION, FileName),
           target.name.size() * sizeof(WCHAR));
    if (parameters.ParentOfTarget != nullptr) {
        const auto directory = io::FileObject::from_native(parameters.ParentOfTarget);
        target.parent = directory ? node_of(*directory) : nullptr;
        const size_t last = target.name.find_last_of(u'\\');
        target.name.erase(0, last == std::u16string::npos ? 0 : last + 1);
    }
    return target;
}

bool gone(const Node &directory) {
    return !directory.root && (directory.unlinked || directory.links.empty() || directory.links[0]->delete_pending);
}

} // namespace

/// The target's name exists: it goes away or the operation fails.
NTSTATUS MemFileSystem::replace(Link &target, ULONG flags) {
    Node &node = *target.node;
    const bool posix = (flags & POSIX_SEMANTICS) != 0;
    if ((flags & REPLACE_IF_EXISTS) == 0) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    const bool read_only = (node.attributes & FILE_ATTRIBUTE_READONLY) != 0 && (flags & IGNORE_READONLY_ATTRIBUTE) == 0;
    if (node.directory || read_only) {
        return ntfs() ? STATUS_ACCESS_DENIED : STATUS_OBJECT_NAME_COLLISION;
    }
    if (target.delete_pending) {
        return STATUS_DELETE_PENDING;
    }
    // By whichever name it is open ([MS-FSA] looks at the file's opens).
    if (node.open() && (!posix || node.share.shared_delete != node.share.opens)) {
        return STATUS_ACCESS_DENIED;
    }
    if (!posix && (node.cache->mapped() || !node.cache->flush_image())) {
        return STATUS_ACCESS_DENIED;
    }
    const auto keep = target.node;
    unlink(target);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::rename(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const std::shared_ptr<Link> link = open_of(*operation.file)->link;
    Target target =
        target_of(operation, operation.parameters.SetFileInformation.FileInformationClass == FileRenameInformationEx);
    if (target.name.starts_with(u':') || node.base != nullptr) {
        return rename_stream(node, target.name, (target.flags & REPLACE_IF_EXISTS) != 0);
    }
    if (node.root) {
        return STATUS_INVALID_PARAMETER;
    }
    Node *parent = target.parent != nullptr ? target.parent : link->parent;
    if (link->parent == nullptr || parent == nullptr) {
        return STATUS_FILE_DELETED;
    }
    if (gone(*parent)) {
        return STATUS_DELETE_PENDING;
    }
    NTSTATUS status = check_component(target.name);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    for (const Node *at = parent; at != nullptr && !at->root; at = at->links.empty() ? nullptr : at->links[0]->parent) {
        if (at == &node) {
            return STATUS_INVALID_PARAMETER; // into itself
        }
    }
    if (node.directory && node.open_below()) {
        return STATUS_ACCESS_DENIED;
    }
    const auto existing = parent->child(target.name);
    if (existing && existing != link) {
        // Another name of the same file goes, also where nothing is to be replaced ([MS-FSA], FileRenameInformation).
        const bool same_file = existing->node == link->node && !existing->delete_pending;
        if (same_file) {
            unlink(*existing);
        }
        status = same_file ? STATUS_SUCCESS : replace(*existing, target.flags);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    const int64_t time = now();
    Node &before = *link->parent;
    before.times.written = before.times.changed = time;
    before.move_child(link, *parent, target.name, short_names_);
    parent->times.written = parent->times.changed = time;
    node.times.changed = time;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::link(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const Link &from = *open_of(*operation.file)->link;
    const Target target =
        target_of(operation, operation.parameters.SetFileInformation.FileInformationClass == FileLinkInformationEx);
    if (node.base != nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (node.directory) {
        return STATUS_FILE_IS_A_DIRECTORY;
    }
    if (from.parent == nullptr || from.delete_pending) {
        return STATUS_ACCESS_DENIED;
    }
    Node *parent = target.parent != nullptr ? target.parent : from.parent;
    if (gone(*parent)) {
        return STATUS_DELETE_PENDING;
    }
    NTSTATUS status = check_component(target.name);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (node.links.size() >= LINKS_MAX) {
        return STATUS_TOO_MANY_LINKS;
    }
    if (const auto existing = parent->child(target.name)) {
        const bool same_file = existing->node.get() == &node && !existing->delete_pending;
        if (same_file && (target.flags & REPLACE_IF_EXISTS) != 0) {
            return STATUS_SUCCESS; // it is that link
        }
        status = replace(*existing, target.flags);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    parent->add_child(from.node, target.name, short_names_);
    parent->times.written = parent->times.changed = node.times.changed = now();
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
