// SPDX-License-Identifier: MIT
//
// This module provides: where a create goes on after STATUS_REPARSE: mount points and symbolic links [SEQ-01].
//
//      \dir\link\rest      the file system says: tag, REPARSE_DATA_BUFFER of `link`, 10 bytes (\rest) unparsed
//      mount point, symbolic link with an absolute target:   target\rest
//      symbolic link with a relative target:                 \dir\target\rest, with "." and ".." resolved

#include "io/internal.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

struct ReparseTarget {
    std::u16string name;
    bool relative = false;
};

/// The substitute name of a mount point or symbolic link.
std::optional<ReparseTarget> target_in(const std::vector<uint8_t> &data) {
    REPARSE_DATA_BUFFER head{};
    memcpy(&head, data.data(), std::min(sizeof head, data.size()));
    const bool symlink = head.ReparseTag == IO_REPARSE_TAG_SYMLINK;
    if (!symlink && head.ReparseTag != IO_REPARSE_TAG_MOUNT_POINT) {
        return std::nullopt;
    }
    const size_t names_at = symlink ? offsetof(REPARSE_DATA_BUFFER, SymbolicLinkReparseBuffer.PathBuffer)
                                    : offsetof(REPARSE_DATA_BUFFER, MountPointReparseBuffer.PathBuffer);
    const auto &buffer = head.SymbolicLinkReparseBuffer; // both begin alike
    ReparseTarget target;
    target.relative = symlink && (buffer.Flags & SYMLINK_FLAG_RELATIVE) != 0;
    target.name.resize(buffer.SubstituteNameLength / sizeof(WCHAR));
    memcpy(target.name.data(), data.data() + names_at + buffer.SubstituteNameOffset,
           target.name.size() * sizeof(WCHAR));
    return target;
}

/// Resolves "." and ".." of a path below its volume; more ".." than directories end at the root.
std::u16string normalise(std::u16string_view path) {
    std::vector<std::u16string_view> parts;
    for (size_t at = 0; at < path.size();) {
        const size_t end = std::min(path.find(u'\\', at), path.size());
        const auto part = path.substr(at, end - at);
        if (part == u"..") {
            if (!parts.empty()) {
                parts.pop_back();
            }
        } else if (!part.empty() && part != u".") {
            parts.push_back(part);
        }
        at = end + 1;
    }
    std::u16string text;
    for (const auto part : parts) {
        text.append(u"\\").append(part);
    }
    return text;
}

} // namespace

NTSTATUS IoManager::Impl::follow(const Operation &operation, Open *open) {
    if (operation.tag_data.empty()) {
        unmodelled("IRP_MJ_CREATE", "a create that a filter completed with STATUS_REPARSE");
    }
    const auto target = target_in(operation.tag_data);
    if (!target) {
        return STATUS_IO_REPARSE_TAG_NOT_HANDLED;
    }
    REPARSE_DATA_BUFFER head{};
    memcpy(&head, operation.tag_data.data(), std::min(sizeof head, operation.tag_data.size()));
    const std::u16string &full = operation.file->name;
    const size_t unparsed_at = full.size() - std::min(full.size(), head.Reserved / sizeof(WCHAR));
    const std::u16string rest = full.substr(unparsed_at);
    open->root.reset();
    open->options &= ~static_cast<ULONG>(FILE_OPEN_BY_FILE_ID);
    std::u16string path;
    if (target->relative) {
        std::u16string directory;
        if (!target->name.starts_with(u'\\')) {
            const std::u16string_view link = std::u16string_view(full).substr(0, unparsed_at);
            directory = link.substr(0, link.rfind(u'\\'));
        }
        path = normalise(directory + u"\\" + target->name);
        open->volume = operation.volume;
    } else {
        const NTSTATUS status = resolve(target->name, &open->volume, &path);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        if (path.ends_with(u'\\')) {
            path.pop_back();
        }
    }
    path += rest;
    open->name = path.empty() ? u"\\" : path;
    return STATUS_SUCCESS;
}

} // namespace fltsim::io
