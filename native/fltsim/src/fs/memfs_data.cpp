// SPDX-License-Identifier: MIT
//
// This module provides: reads, writes and flushes: cached, paging and by fast I/O. Non-cached ones are in memfs_storage.cpp.

#include "fs/memfs.hpp"

#include <algorithm>

#include "ke/mdl.hpp"

namespace fltsim::fs {

namespace {

constexpr uint64_t WHOLE_FILE = UINT64_MAX;

bool paging(const io::Operation &operation) {
    return (operation.irp_flags & IRP_PAGING_IO) != 0;
}
bool non_cached_flag(const io::Operation &operation) {
    return (operation.irp_flags & IRP_NOCACHE) != 0;
}

/// The volume itself and directories have no data.
NTSTATUS check_has_data(const io::Operation &operation) {
    const Node *node = node_of(*operation.file);
    if (node == nullptr) {
        unmodelled(io::major_name(operation.major), "reads and writes of a volume");
    }
    return node->directory ? STATUS_INVALID_DEVICE_REQUEST : STATUS_SUCCESS;
}

/// The requestor waits for this cached read anyway, or there is nothing to wait for.
bool may_wait(const io::Operation &operation, const Node &node) {
    const auto &parameters = operation.parameters.Read;
    const auto offset = static_cast<uint64_t>(parameters.ByteOffset.QuadPart);
    return operation.synchronous || node.cache->has(offset, std::min<uint64_t>(parameters.Length, node.size - offset));
}

uint64_t write_offset(const io::Operation &operation, const Node &node) {
    const int64_t offset = operation.parameters.Write.ByteOffset.QuadPart;
    return offset < 0 ? node.size : static_cast<uint64_t>(offset);
}

} // namespace

void *transfer_memory(const io::Operation &operation) {
    const char *const what = io::major_name(operation.major);
    if (operation.major == IRP_MJ_READ) {
        const auto &read = operation.parameters.Read;
        return ke::data_memory(what, read.MdlAddress, read.ReadBuffer, read.Length);
    }
    const auto &write = operation.parameters.Write;
    return ke::data_memory(what, write.MdlAddress, write.WriteBuffer, write.Length);
}

void advance_position(const io::Operation &operation, int64_t end) {
    io::FileObject &file = *operation.file;
    if (file.synchronous && !operation.keep_position) {
        file.position = end;
        file.native.CurrentByteOffset.QuadPart = end;
    }
}

NTSTATUS MemFileSystem::read(const OperationPointer &operation) {
    const NTSTATUS status = check_has_data(*operation);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (paging(*operation)) {
        return paging_read(*operation);
    }
    const Node &node = *node_of(*operation->file);
    const auto &parameters = operation->parameters.Read;
    if (parameters.Length == 0) {
        return STATUS_SUCCESS;
    }
    if (static_cast<uint64_t>(parameters.ByteOffset.QuadPart) >= node.size) {
        return STATUS_END_OF_FILE;
    }
    const NTSTATUS locks = check_locks(*operation);
    if (!NT_SUCCESS(locks)) {
        return locks;
    }
    if (non_cached_flag(*operation)) {
        return non_cached(operation);
    }
    return may_wait(*operation, node) ? cached_read(*operation) : read_on_worker(operation);
}

NTSTATUS MemFileSystem::write(const OperationPointer &operation) {
    const NTSTATUS status = check_has_data(*operation);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (paging(*operation)) {
        return paging_write(operation);
    }
    const auto &parameters = operation->parameters.Write;
    if (parameters.Length == 0) {
        return STATUS_SUCCESS;
    }
    if (write_offset(*operation, *node_of(*operation->file)) + parameters.Length > max_file_bytes()) {
        return STATUS_DISK_FULL;
    }
    const NTSTATUS locks = check_locks(*operation);
    if (!NT_SUCCESS(locks)) {
        return locks;
    }
    return non_cached_flag(*operation) ? non_cached(operation) : cached_write(*operation);
}

/// From the disk into the pager's pages; bytes behind the end of the file are zero.
NTSTATUS MemFileSystem::paging_read(io::Operation &operation) {
    const Node &node = *node_of(*operation.file);
    const auto &parameters = operation.parameters.Read;
    const auto offset = static_cast<uint64_t>(parameters.ByteOffset.QuadPart);
    if (offset >= node.size) {
        return STATUS_END_OF_FILE;
    }
    node.read_disk(offset, static_cast<uint8_t *>(transfer_memory(operation)), parameters.Length);
    operation.io_status.Information = std::min<uint64_t>(parameters.Length, node.size - offset);
    return STATUS_SUCCESS;
}

/// Paging writes never extend the file [FORM-03].
NTSTATUS MemFileSystem::paging_write(const OperationPointer &pointer) {
    if ((pointer->irp_flags & IRP_SYNCHRONOUS_PAGING_IO) == 0) {
        return paging_write_later(pointer);
    }
    return paging_write_now(*pointer);
}

NTSTATUS MemFileSystem::paging_write_now(io::Operation &operation) {
    Node &node = *node_of(*operation.file);
    const auto &parameters = operation.parameters.Write;
    const auto offset = static_cast<uint64_t>(parameters.ByteOffset.QuadPart);
    if (offset < node.size) {
        node.write_disk(offset, static_cast<const uint8_t *>(transfer_memory(operation)),
                        std::min<uint64_t>(parameters.Length, node.size - offset));
    }
    operation.io_status.Information = parameters.Length;
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::cached_read(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    Node &node = *node_of(file);
    const auto &parameters = operation.parameters.Read;
    const auto offset = static_cast<uint64_t>(parameters.ByteOffset.QuadPart);
    node.cache->initialise(file);
    const auto length = static_cast<uint32_t>(std::min<uint64_t>(parameters.Length, node.size - offset));
    const NTSTATUS status = node.cache->read(file, offset, transfer_memory(operation), length);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    touch_accessed(file);
    operation.io_status.Information = length;
    advance_position(operation, static_cast<int64_t>(offset + length));
    node.cache->read_ahead(file, offset, length);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::cached_write(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    Node &node = *node_of(file);
    const auto &parameters = operation.parameters.Write;
    node.cache->initialise(file);
    WriteLock lock(node);
    const uint64_t offset = write_offset(operation, node);
    const uint64_t end = offset + parameters.Length;
    NTSTATUS status = node.cache->write(file, offset, transfer_memory(operation), parameters.Length);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (end > node.size) {
        node.set_size(end);
        node.cache->set_extended();
        file.native.Flags |= FO_FILE_SIZE_CHANGED;
    }
    touch_written(file);
    node.owner().attributes |= FILE_ATTRIBUTE_ARCHIVE;
    file.native.Flags |= FO_FILE_MODIFIED;
    operation.io_status.Information = parameters.Length;
    advance_position(operation, static_cast<int64_t>(end));
    lock.release();
    const bool through = file.write_through || (operation.operation_flags & SL_WRITE_THROUGH) != 0;
    if (through && operation.form == io::Form::Irp) {
        status = node.cache->flush(file, offset, parameters.Length); // nested paging writes [SEQ-08]
    }
    return status;
}

bool MemFileSystem::fast_read(io::Operation &operation) {
    const Node *node = node_of(*operation.file);
    if (node == nullptr || !node->cache || !operation.file->cache_initialised) {
        return false;
    }
    const auto &parameters = operation.parameters.Read;
    if (!oplocks_allow_fast_io(operation) || (parameters.Length != 0 && !check_fast_io(operation))) {
        return false;
    }
    if (parameters.Length != 0 && static_cast<uint64_t>(parameters.ByteOffset.QuadPart) >= node->size) {
        operation.io_status.Status = STATUS_END_OF_FILE;
        return true;
    }
    const io::TopLevelScope top_level(io::top_level_value(FSRTL_FAST_IO_TOP_LEVEL_IRP));
    operation.io_status.Status = parameters.Length == 0 ? STATUS_SUCCESS : cached_read(operation);
    return true;
}

bool MemFileSystem::fast_write(io::Operation &operation) {
    const Node *node = node_of(*operation.file);
    if (node == nullptr || !node->cache || !operation.file->cache_initialised || operation.file->write_through ||
        write_offset(operation, *node) + operation.parameters.Write.Length > max_file_bytes() ||
        !oplocks_allow_fast_io(operation) || (operation.parameters.Write.Length != 0 && !check_fast_io(operation))) {
        return false;
    }
    const io::TopLevelScope top_level(io::top_level_value(FSRTL_FAST_IO_TOP_LEVEL_IRP));
    operation.io_status.Status = operation.parameters.Write.Length == 0 ? STATUS_SUCCESS : cached_write(operation);
    return true;
}

NTSTATUS MemFileSystem::flush(io::Operation &operation) {
    Node *node = node_of(*operation.file);
    if (node == nullptr || node->directory) {
        return STATUS_SUCCESS; // metadata is always on disk
    }
    return node->cache->flush(*operation.file, 0, WHOLE_FILE);
}

} // namespace fltsim::fs
