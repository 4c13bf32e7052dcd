// SPDX-License-Identifier: MIT
//
// This module provides: NETWORK_QUERY_OPEN and QUERY_OPEN: attributes by name, without an open [SEQ-02].
//
// FAT has neither, as fastfat. A name that leads over a reparse point, by id or relative to a handle is turned away: the caller opens the file instead.

#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

/// The file of a plain path; null with the status to answer, or STATUS_REPARSE to turn the caller away.
const Node *find(const Node &root, const ParsedPath &path, NTSTATUS *status) {
    const Node *at = &root;
    *status = STATUS_OBJECT_NAME_NOT_FOUND;
    for (size_t i = 0; i < path.components.size(); ++i) {
        const bool last = i + 1 == path.components.size();
        const auto link = at->directory ? at->child(path.components[i]) : nullptr;
        if (!link) {
            *status = last && at->directory ? STATUS_OBJECT_NAME_NOT_FOUND : STATUS_OBJECT_PATH_NOT_FOUND;
            return nullptr;
        }
        if (!last && !link->node->reparse.empty()) {
            *status = STATUS_REPARSE;
            return nullptr;
        }
        if (last && link->delete_pending) {
            *status = STATUS_DELETE_PENDING;
            return nullptr;
        }
        at = link->node.get();
    }
    if (path.trailing_backslash && !at->directory) {
        *status = STATUS_OBJECT_NAME_INVALID;
        return nullptr;
    }
    *status = STATUS_SUCCESS;
    return at;
}

} // namespace

bool MemFileSystem::query_open(io::Operation &operation) {
    const bool stat_class = operation.major == static_cast<UCHAR>(IRP_MJ_QUERY_OPEN);
    const auto turned_away = [&] {
        if (stat_class) {
            operation.io_status.Status = STATUS_FLT_DISALLOW_FSFILTER_IO;
        }
        return false;
    };
    ParsedPath path;
    const io::FileObject &file = *operation.file;
    if (!ntfs() || file.related || !NT_SUCCESS(parse_path(file.name, false, true, &path)) || path.empty ||
        path.stream_chars != 0) {
        return turned_away();
    }
    NTSTATUS status = STATUS_SUCCESS;
    const Node *node = find(*root_, path, &status);
    if (status == STATUS_REPARSE) {
        return turned_away();
    }
    operation.io_status.Status = status;
    if (node == nullptr) {
        return true;
    }
    if (stat_class) {
        const FILE_STAT_INFORMATION information = stat(*node, FILE_ALL_ACCESS);
        memcpy(operation.parameters.QueryOpen.FileInformation, &information, sizeof information);
        return true;
    }
    *operation.parameters.NetworkQueryOpen.NetworkInformation = network_open(*node);
    return true;
}

} // namespace fltsim::fs
