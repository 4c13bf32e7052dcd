// SPDX-License-Identifier: MIT
//
// This module provides: the file system controls of reparse points. FAT has none.
//
// A reparse point's data is kept as it came. Mount points are for empty directories; a symbolic link may be a file or a directory. The file behind a
// reparse point is reached with FILE_OPEN_REPARSE_POINT alone.

#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

constexpr size_t HEAD = offsetof(REPARSE_DATA_BUFFER, GenericReparseBuffer);
constexpr size_t GUID_HEAD = offsetof(REPARSE_GUID_DATA_BUFFER, GenericReparseBuffer);
constexpr ULONG MICROSOFT_TAG = 0x80000000u;
constexpr ULONG TAG_VALUE = 0x0000FFFFu;
constexpr ULONG HIGHEST_RESERVED = 2; // IO_REPARSE_TAG_RESERVED_ZERO to _TWO

size_t head_bytes(ULONG tag) {
    return (tag & MICROSOFT_TAG) != 0 ? HEAD : GUID_HEAD;
}

/// Whether the substitute and print names of a mount point or symbolic link lie in the data.
bool names_fit(const REPARSE_DATA_BUFFER &head, size_t bytes) {
    const bool symlink = head.ReparseTag == IO_REPARSE_TAG_SYMLINK;
    if (!symlink && head.ReparseTag != IO_REPARSE_TAG_MOUNT_POINT) {
        return true;
    }
    const size_t names_at = symlink ? offsetof(REPARSE_DATA_BUFFER, SymbolicLinkReparseBuffer.PathBuffer)
                                    : offsetof(REPARSE_DATA_BUFFER, MountPointReparseBuffer.PathBuffer);
    const auto &names = head.SymbolicLinkReparseBuffer; // both begin alike
    const auto fits = [&](size_t offset, size_t length) {
        return offset % sizeof(WCHAR) == 0 && length % sizeof(WCHAR) == 0 && names_at + offset + length <= bytes;
    };
    return bytes >= names_at && names.SubstituteNameLength != 0 &&
           fits(names.SubstituteNameOffset, names.SubstituteNameLength) &&
           fits(names.PrintNameOffset, names.PrintNameLength);
}

NTSTATUS check(const void *input, size_t bytes, REPARSE_DATA_BUFFER *head) {
    if (input == nullptr || bytes < HEAD || bytes > MAXIMUM_REPARSE_DATA_BUFFER_SIZE) {
        return STATUS_IO_REPARSE_DATA_INVALID;
    }
    memcpy(head, input, std::min(bytes, sizeof *head));
    if ((head->ReparseTag & TAG_VALUE) <= HIGHEST_RESERVED && (head->ReparseTag & MICROSOFT_TAG) == 0) {
        return STATUS_IO_REPARSE_TAG_INVALID;
    }
    if (bytes != head_bytes(head->ReparseTag) + head->ReparseDataLength || !names_fit(*head, bytes)) {
        return STATUS_IO_REPARSE_DATA_INVALID;
    }
    return STATUS_SUCCESS;
}

/// A tag of somebody else's is changed or removed only by who names its owner's GUID.
bool same_owner(const ReparseData &now, const void *input) {
    ULONG tag = 0;
    memcpy(&tag, now.data(), sizeof tag);
    return (tag & MICROSOFT_TAG) != 0 ||
           memcmp(now.data() + HEAD, static_cast<const uint8_t *>(input) + HEAD, sizeof(GUID)) == 0;
}

} // namespace

NTSTATUS MemFileSystem::set_reparse_point(const OperationPointer &operation, const ControlBuffers &buffers) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || node->base != nullptr || node->root) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(*operation->file, FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)) {
        return STATUS_ACCESS_DENIED;
    }
    REPARSE_DATA_BUFFER head{};
    const NTSTATUS status = check(buffers.input, buffers.input_bytes, &head);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (!node->ea.empty()) {
        return STATUS_EAS_NOT_SUPPORTED;
    }
    if (head.ReparseTag == IO_REPARSE_TAG_MOUNT_POINT && !node->directory) {
        return STATUS_NOT_A_DIRECTORY;
    }
    if (node->directory && !node->children.empty()) {
        return STATUS_DIRECTORY_NOT_EMPTY;
    }
    if (!node->reparse.empty()) {
        if (node->reparse_tag() != head.ReparseTag) {
            return STATUS_IO_REPARSE_TAG_MISMATCH;
        }
        if (!same_owner(node->reparse, buffers.input)) {
            return STATUS_REPARSE_ATTRIBUTE_CONFLICT;
        }
    }
    const auto *bytes = static_cast<const uint8_t *>(buffers.input);
    node->reparse.assign(bytes, bytes + buffers.input_bytes);
    node->times.changed = now();
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::get_reparse_point(const OperationPointer &operation, const ControlBuffers &buffers) {
    const Node *node = node_of(*operation->file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    const Node &owner = node->owner();
    if (owner.reparse.empty()) {
        return STATUS_NOT_A_REPARSE_POINT;
    }
    if (buffers.output_bytes < GUID_HEAD) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    const size_t copied = std::min<size_t>(buffers.output_bytes, owner.reparse.size());
    memcpy(buffers.output, owner.reparse.data(), copied);
    operation->io_status.Information = copied;
    return copied == owner.reparse.size() ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

NTSTATUS MemFileSystem::delete_reparse_point(const OperationPointer &operation, const ControlBuffers &buffers) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || node->base != nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(*operation->file, FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)) {
        return STATUS_ACCESS_DENIED;
    }
    REPARSE_DATA_BUFFER head{};
    if (buffers.input == nullptr || buffers.input_bytes < HEAD) {
        return STATUS_IO_REPARSE_DATA_INVALID;
    }
    memcpy(&head, buffers.input, HEAD);
    if (head.ReparseDataLength != 0 || buffers.input_bytes != head_bytes(head.ReparseTag)) {
        return STATUS_IO_REPARSE_DATA_INVALID;
    }
    if (node->reparse.empty()) {
        return STATUS_NOT_A_REPARSE_POINT;
    }
    if (node->reparse_tag() != head.ReparseTag) {
        return STATUS_IO_REPARSE_TAG_MISMATCH;
    }
    if (!same_owner(node->reparse, buffers.input)) {
        return STATUS_REPARSE_ATTRIBUTE_CONFLICT;
    }
    node->reparse.clear();
    node->times.changed = now();
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
