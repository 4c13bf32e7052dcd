// SPDX-License-Identifier: MIT
//
// This module provides: the file system controls of a file's content and identity: sparse ranges, compression, object ids. FAT has none of them.
//
// Nothing is ever compressed: FSCTL_SET_COMPRESSION takes COMPRESSION_FORMAT_NONE and refuses the rest with STATUS_INVALID_DEVICE_REQUEST, as NTFS does
// on a volume that cannot compress.

#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

constexpr size_t OBJECT_ID_BYTES = 16;
constexpr size_t OBJECT_ID_BUFFER_BYTES = 64; // FILE_OBJECTID_BUFFER

template <class T> bool take(const void *input, ULONG bytes, T *value) {
    if (input == nullptr || bytes < sizeof *value) {
        return false;
    }
    memcpy(value, input, sizeof *value);
    return true;
}

std::vector<uint8_t> id_in(const std::vector<uint8_t> &buffer) {
    return {buffer.begin(), buffer.begin() + OBJECT_ID_BYTES};
}

} // namespace

NTSTATUS MemFileSystem::set_sparse(const OperationPointer &operation, const ControlBuffers &buffers) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || node->directory) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(*operation->file, FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)) {
        return STATUS_ACCESS_DENIED;
    }
    FILE_SET_SPARSE_BUFFER wanted{TRUE}; // no buffer: it becomes sparse
    if (buffers.input_bytes != 0) {
        take(buffers.input, buffers.input_bytes, &wanted);
    }
    Node &owner = node->owner();
    if (wanted.SetSparse) {
        owner.attributes |= FILE_ATTRIBUTE_SPARSE_FILE;
    } else {
        owner.attributes &= ~static_cast<ULONG>(FILE_ATTRIBUTE_SPARSE_FILE);
    }
    owner.times.changed = now();
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_zero_data(const OperationPointer &operation, const ControlBuffers &buffers) {
    io::FileObject &file = *operation->file;
    Node *node = node_of(file);
    FILE_ZERO_DATA_INFORMATION range{};
    if (node == nullptr || node->directory || !take(buffers.input, buffers.input_bytes, &range) ||
        range.FileOffset.QuadPart < 0 || range.FileOffset.QuadPart > range.BeyondFinalZero.QuadPart) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(file, FILE_WRITE_DATA)) {
        return STATUS_ACCESS_DENIED;
    }
    const auto from = static_cast<uint64_t>(range.FileOffset.QuadPart);
    const uint64_t to = std::min(static_cast<uint64_t>(range.BeyondFinalZero.QuadPart), node->size);
    if (from >= to) {
        return STATUS_SUCCESS;
    }
    if (node->cache->mapped()) {
        return STATUS_USER_MAPPED_FILE;
    }
    // What the cache has of the range goes to the disk first; then both are zeroed.
    const NTSTATUS flushed = node->cache->flush(file, from, to - from);
    if (!NT_SUCCESS(flushed)) {
        return flushed;
    }
    node->zero(from, to);
    const std::vector<uint8_t> zeros(io::Cache::PAGE);
    for (uint64_t at = from; at < to; at += zeros.size()) {
        node->cache->refresh(at, zeros.data(), static_cast<uint32_t>(std::min<uint64_t>(zeros.size(), to - at)));
    }
    touch_written(file);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::query_allocated_ranges(const OperationPointer &operation, const ControlBuffers &buffers) {
    io::FileObject &file = *operation->file;
    Node *node = node_of(file);
    FILE_ALLOCATED_RANGE_BUFFER wanted{};
    if (node == nullptr || node->directory || !take(buffers.input, buffers.input_bytes, &wanted) ||
        wanted.FileOffset.QuadPart < 0 || wanted.Length.QuadPart < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(file, FILE_READ_DATA)) {
        return STATUS_ACCESS_DENIED;
    }
    const auto first = static_cast<uint64_t>(wanted.FileOffset.QuadPart);
    const uint64_t end = std::min(first + static_cast<uint64_t>(wanted.Length.QuadPart), node->size);
    std::vector<FILE_ALLOCATED_RANGE_BUFFER> ranges;
    const auto add = [&](uint64_t from, uint64_t to) {
        ranges.push_back({{.QuadPart = static_cast<int64_t>(from)}, {.QuadPart = static_cast<int64_t>(to - from)}});
    };
    if ((node->owner().attributes & FILE_ATTRIBUTE_SPARSE_FILE) == 0) {
        if (first < end) {
            add(first, end); // a file that is not sparse has all of it
        }
    } else {
        if (node->cache->dirty()) {
            const NTSTATUS flushed = node->cache->flush(file, 0, node->size);
            if (!NT_SUCCESS(flushed)) {
                return flushed;
            }
        }
        for (uint64_t at = first; at < end;) {
            const auto range = node->allocated_range(at);
            if (!range || range->first >= end) {
                break;
            }
            add(range->first, std::min(range->second, end));
            at = range->second;
        }
    }
    const size_t room = buffers.output_bytes / sizeof(FILE_ALLOCATED_RANGE_BUFFER);
    const size_t copied = std::min(room, ranges.size());
    if (room == 0 && !ranges.empty()) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (copied != 0) {
        memcpy(buffers.output, ranges.data(), copied * sizeof ranges[0]);
    }
    operation->io_status.Information = copied * sizeof(FILE_ALLOCATED_RANGE_BUFFER);
    return copied == ranges.size() ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

NTSTATUS MemFileSystem::get_compression(const OperationPointer &operation, const ControlBuffers &buffers) {
    if (node_of(*operation->file) == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    const USHORT format = COMPRESSION_FORMAT_NONE;
    if (buffers.output_bytes < sizeof format) {
        return STATUS_INVALID_PARAMETER;
    }
    memcpy(buffers.output, &format, sizeof format);
    operation->io_status.Information = sizeof format;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_compression(const OperationPointer &operation, const ControlBuffers &buffers) {
    USHORT format = 0;
    if (node_of(*operation->file) == nullptr || !take(buffers.input, buffers.input_bytes, &format) ||
        format > COMPRESSION_FORMAT_LZNT1) {
        return STATUS_INVALID_PARAMETER;
    }
    return format == COMPRESSION_FORMAT_NONE ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_REQUEST;
}

NTSTATUS MemFileSystem::give_object_id(io::Operation &operation, const Node &node, const ControlBuffers &buffers) {
    if (buffers.output_bytes < OBJECT_ID_BUFFER_BYTES) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    memcpy(buffers.output, node.object_id.data(), OBJECT_ID_BUFFER_BYTES);
    operation.io_status.Information = OBJECT_ID_BUFFER_BYTES;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::get_object_id(const OperationPointer &operation, const ControlBuffers &buffers) {
    const Node *node = owner_of(*operation->file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    return node->object_id.empty() ? STATUS_OBJECTID_NOT_FOUND : give_object_id(*operation, *node, buffers);
}

NTSTATUS MemFileSystem::create_or_get_object_id(const OperationPointer &operation, const ControlBuffers &buffers) {
    Node *node = owner_of(*operation->file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (node->object_id.empty()) {
        std::vector<uint8_t> id(OBJECT_ID_BUFFER_BYTES);
        for (size_t i = 0; i < OBJECT_ID_BYTES; ++i) {
            id[i] = static_cast<uint8_t>(manager_.world.random(256));
        }
        memcpy(id.data() + 2 * OBJECT_ID_BYTES, id.data(), OBJECT_ID_BYTES); // it was born with this one
        node->object_id = std::move(id);
        by_object_id_[id_in(node->object_id)] = node->weak_from_this();
    }
    return give_object_id(*operation, *node, buffers);
}

NTSTATUS MemFileSystem::set_object_id(const OperationPointer &operation, const ControlBuffers &buffers) {
    Node *node = owner_of(*operation->file);
    if (node == nullptr || buffers.input_bytes != OBJECT_ID_BUFFER_BYTES) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(*operation->file, FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)) {
        return STATUS_ACCESS_DENIED;
    }
    if (!node->object_id.empty()) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    const auto *bytes = static_cast<const uint8_t *>(buffers.input);
    std::vector<uint8_t> id(bytes, bytes + OBJECT_ID_BUFFER_BYTES);
    const auto taken = by_object_id_.find(id_in(id));
    if (taken != by_object_id_.end() && !taken->second.expired()) {
        return STATUS_DUPLICATE_NAME;
    }
    node->object_id = std::move(id);
    by_object_id_[id_in(node->object_id)] = node->weak_from_this();
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::delete_object_id(const OperationPointer &operation, const ControlBuffers &) {
    Node *node = owner_of(*operation->file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!io::has_access(*operation->file, FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)) {
        return STATUS_ACCESS_DENIED;
    }
    if (!node->object_id.empty()) {
        by_object_id_.erase(id_in(node->object_id));
        node->object_id.clear();
    }
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
