// SPDX-License-Identifier: MIT
//
// This module provides: non-cached reads and writes, which wait for the storage [SEQ-06, SEQ-08].
//
//      request -> storage (a DPC, some 50 to 500 microseconds later, or World::storage_delay_100ns) -> transfer, then
//              synchronous handle: the waiting thread completes it, at its own IRQL
//              other handle: completed in the DPC, at DISPATCH_LEVEL, in whatever thread that interrupted
//
// Invariant: a request is finished once, by the storage or by a cancel, whichever comes first; a cancelled one has transferred nothing.

#include "fs/memfs.hpp"

#include <algorithm>
#include <utility>

namespace fltsim::fs {

namespace {

constexpr uint64_t FASTEST_100NS = 500;
constexpr uint64_t SPREAD_100NS = 4500;

StorageRequest *request_of(const io::Operation &operation) {
    return static_cast<StorageRequest *>(operation.fs_state.get());
}

/// When the storage will have done a request that comes now. Drawn in any case, so that a fixed delay does not change what else a seed gives.
uint64_t due_100ns(World &world) {
    const uint64_t spread = FASTEST_100NS + world.random(SPREAD_100NS);
    const uint64_t fixed = world.storage_delay_100ns;
    return world.interrupt_time_100ns() + (fixed != 0 ? fixed : spread);
}

} // namespace

/// The storage, or a cancel, is through with the request.
void MemFileSystem::finish_storage(StorageRequest &request) {
    request.finished = true;
    --manager_.world.waiting_for_storage;
}

/// The disk's work. DISPATCH_LEVEL.
void MemFileSystem::transfer(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    Node &node = *node_of(file);
    if (operation.major == IRP_MJ_READ) {
        const auto &parameters = operation.parameters.Read;
        const auto offset = static_cast<uint64_t>(parameters.ByteOffset.QuadPart);
        if (offset >= node.size) {
            request_of(operation)->status = STATUS_END_OF_FILE; // truncated meanwhile
            return;
        }
        const uint64_t length = std::min<uint64_t>(parameters.Length, node.size - offset);
        node.read_disk(offset, static_cast<uint8_t *>(transfer_memory(operation)), length);
        operation.io_status.Information = length;
        advance_position(operation, static_cast<int64_t>(offset + length));
        return;
    }
    const auto &parameters = operation.parameters.Write;
    const int64_t given = parameters.ByteOffset.QuadPart;
    const uint64_t offset = given < 0 ? node.size : static_cast<uint64_t>(given);
    const auto *data = static_cast<const uint8_t *>(transfer_memory(operation));
    const uint64_t end = offset + parameters.Length;
    if (end > node.size) {
        node.set_size(end);
        file.native.Flags |= FO_FILE_SIZE_CHANGED;
    }
    node.write_disk(offset, data, parameters.Length);
    node.cache->refresh(offset, data, parameters.Length);
    node.owner().attributes |= FILE_ATTRIBUTE_ARCHIVE;
    file.native.Flags |= FO_FILE_MODIFIED;
    operation.io_status.Information = parameters.Length;
    advance_position(operation, static_cast<int64_t>(end));
}

NTSTATUS MemFileSystem::paging_write_later(const OperationPointer &operation) {
    manager_.world.queue_dpc(
        [this, operation] {
            const KernelCall call("storage DPC");
            operation->io_status.Status = paging_write_now(*operation);
            manager_.world.flt->complete(operation);
        },
        due_100ns(manager_.world));
    return STATUS_PENDING;
}

NTSTATUS MemFileSystem::non_cached(const OperationPointer &operation) {
    io::FileObject &file = *operation->file;
    Node &node = *node_of(file);
    const bool reads = operation->major == IRP_MJ_READ;
    const ULONG length = reads ? operation->parameters.Read.Length : operation->parameters.Write.Length;
    const int64_t offset =
        reads ? operation->parameters.Read.ByteOffset.QuadPart : operation->parameters.Write.ByteOffset.QuadPart;
    if (length % SECTOR_BYTES != 0 || (offset >= 0 && offset % SECTOR_BYTES != 0)) {
        return STATUS_INVALID_PARAMETER;
    }
    // What the cache has and the disk has not yet comes first.
    if (node.cache->dirty() || node.cache->mapped()) {
        const NTSTATUS flushed = node.cache->flush(file, offset < 0 ? 0 : static_cast<uint64_t>(offset), length);
        if (!NT_SUCCESS(flushed)) {
            return flushed;
        }
    }
    if (!reads) {
        touch_written(file);
    }
    if (operation->cancel_requested) {
        return STATUS_CANCELLED;
    }
    const auto request = std::make_shared<StorageRequest>();
    request->waited_for = file.synchronous;
    operation->fs_state = request;
    World &world = manager_.world;
    ++world.waiting_for_storage;
    world.queue_dpc(
        [this, operation, request] {
            const KernelCall call("storage DPC");
            if (request->finished) {
                return; // cancelled
            }
            finish_storage(*request);
            transfer(*operation);
            if (request->waited_for) {
                manager_.world.wake(request.get());
                return;
            }
            operation->io_status.Status = request->status;
            manager_.world.flt->complete(operation);
        },
        due_100ns(world));
    if (!request->waited_for) {
        return STATUS_PENDING;
    }
    world.block(request.get(), [request] { return request->finished; });
    return request->finished ? request->status : STATUS_CANCELLED; // not finished: the world ends
}

void MemFileSystem::cancel(const OperationPointer &operation) {
    if (operation->cancel_routine) {
        const auto routine = std::exchange(operation->cancel_routine, nullptr);
        routine();
        return;
    }
    StorageRequest *request = request_of(*operation);
    if (request == nullptr || request->finished) {
        return;
    }
    finish_storage(*request);
    request->status = STATUS_CANCELLED;
    if (request->waited_for) {
        manager_.world.wake(request);
        return;
    }
    operation->io_status.Status = STATUS_CANCELLED;
    operation->io_status.Information = 0;
    manager_.world.flt->complete(operation);
}

} // namespace fltsim::fs
