// SPDX-License-Identifier: MIT
//
// This module provides: named streams: made by a create, renamed, deleted; and how opens of one stream bear on another.
//
// A stream has content, sharing and a cache of its own. Attributes, times, security and names are its file's.

#include "fs/memfs.hpp"

#include <algorithm>

namespace fltsim::fs {

std::shared_ptr<Node> MemFileSystem::make_stream(Node &file, std::u16string_view name) {
    auto stream = std::make_shared<Node>();
    stream->base = &file;
    stream->stream_name = name;
    stream->cache = std::make_shared<io::Cache>(manager_, *stream);
    file.streams[fold(name)] = stream;
    return stream;
}

/// The file exists, the stream does not.
NTSTATUS MemFileSystem::create_stream(io::Operation &operation, const ParsedPath &path,
                                      const std::shared_ptr<Link> &link) {
    constexpr unsigned DISPOSITION_SHIFT = 24;
    const ULONG disposition = operation.parameters.Create.Options >> DISPOSITION_SHIFT;
    Node &node = *link->node;
    if (disposition == FILE_OPEN || disposition == FILE_OVERWRITE) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if ((node.attributes & FILE_ATTRIBUTE_READONLY) != 0 && !node.directory) {
        return STATUS_ACCESS_DENIED;
    }
    const auto stream = make_stream(node, path.stream);
    node.times.changed = now();
    reserve(*stream, operation.parameters.Create.AllocationSize.QuadPart);
    attach(*operation.file, link, stream);
    operation.io_status.Information = FILE_CREATED;
    return STATUS_SUCCESS;
}

/// Deleting a file takes its streams along: who opens one side for DELETE needs the other side's consent.
bool MemFileSystem::streams_allow(const Node &file, const Node &target, ACCESS_MASK access, ULONG share) const {
    const auto agree = [&](const Node &other) {
        const bool deletes = (access & DELETE) != 0;
        return &other == &target || other.handles == 0 ||
               ((!deletes || other.share.shared_delete == other.share.opens) &&
                ((share & FILE_SHARE_DELETE) != 0 || other.share.deleters == 0));
    };
    if (target.base != nullptr) {
        return agree(file);
    }
    return std::all_of(file.streams.begin(), file.streams.end(),
                       [&](const auto &entry) { return agree(*entry.second); });
}

/// A rename of a stream, or one whose new name begins with a colon.
NTSTATUS MemFileSystem::rename_stream(Node &stream, std::u16string_view name, bool replace) {
    if (!name.starts_with(u':')) {
        return STATUS_INVALID_PARAMETER; // a stream does not become a file
    }
    ParsedPath path;
    const NTSTATUS status = ntfs() ? parse_stream(name, &path) : STATUS_OBJECT_NAME_INVALID;
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (stream.base == nullptr || path.stream.empty() || path.directory_type) {
        return STATUS_INVALID_PARAMETER; // from or to the unnamed stream
    }
    Node &file = *stream.base;
    const auto target = file.streams.find(fold(path.stream));
    if (target != file.streams.end() && target->second.get() != &stream) {
        if (!replace) {
            return STATUS_OBJECT_NAME_COLLISION;
        }
        if (target->second->handles != 0 || target->second->size != 0) {
            return STATUS_INVALID_PARAMETER; // only an empty stream is replaced
        }
        file.streams.erase(target);
    }
    const auto keep = file.streams.at(fold(stream.stream_name));
    file.streams.erase(fold(stream.stream_name));
    stream.stream_name = path.stream;
    file.streams[fold(path.stream)] = keep;
    file.times.changed = now();
    return STATUS_SUCCESS;
}

void MemFileSystem::remove_stream(Node &stream) {
    if (!stream.stream_removed) {
        stream.stream_removed = true;
        stream.base->streams.erase(fold(stream.stream_name)); // the file object that asked still holds it
    }
}

} // namespace fltsim::fs
