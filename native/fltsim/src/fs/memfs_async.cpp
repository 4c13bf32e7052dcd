// SPDX-License-Identifier: MIT
//
// This module provides: operations that end in another thread than the one that asked: on a worker, or in whoever ends what they wait for.
//
//      what                                              thread                         TopLevelIrp in the post-operation
//      cached read of an asynchronous handle that        a worker of the cache          ntfs FSRTL_ASYNC_CACHED_READ (7), fat
//        would have to wait for the disk [SEQ-05]          manager                        FSRTL_FSP (1)
//      an operation that waited for an oplock break      a worker                       FSRTL_FSP (1)
//      a lock that an unlock grants, a notification,     whoever unlocked, changed,     that thread's
//        an oplock request that breaks                     broke

#include "fs/memfs.hpp"
#include "fs/waits.hpp"

#include <algorithm>

namespace fltsim::fs {

void MemFileSystem::complete_waiting(const OperationPointer &operation, NTSTATUS status) {
    operation->cancel_routine = nullptr;
    operation->io_status.Status = status;
    if (NT_ERROR(status)) {
        operation->io_status.Information = 0;
    }
    manager_.world.flt->complete(operation);
}

void MemFileSystem::run_on_worker(const OperationPointer &operation, LONGLONG top_level_irp) {
    manager_.queue_cache_work([this, operation, top_level_irp] {
        const io::TopLevelScope top_level(io::top_level_value(top_level_irp));
        const NTSTATUS status = operation->cancel_requested ? STATUS_CANCELLED : run(operation);
        if (status != STATUS_PENDING) {
            complete_waiting(operation, status);
        }
    });
}

NTSTATUS MemFileSystem::read_on_worker(const OperationPointer &operation) {
    if (operation->cancel_requested) {
        return STATUS_CANCELLED;
    }
    manager_.queue_cache_work([this, operation] {
        const io::TopLevelScope top_level(
            io::top_level_value(ntfs() ? FSRTL_ASYNC_CACHED_READ_TOP_LEVEL_IRP : FSRTL_FSP_TOP_LEVEL_IRP));
        const Node &node = *node_of(*operation->file);
        NTSTATUS status = STATUS_CANCELLED;
        if (!operation->cancel_requested) {
            const bool behind = static_cast<uint64_t>(operation->parameters.Read.ByteOffset.QuadPart) >= node.size;
            status = behind ? STATUS_END_OF_FILE : cached_read(*operation);
        }
        complete_waiting(operation, status);
    });
    return STATUS_PENDING;
}

} // namespace fltsim::fs
