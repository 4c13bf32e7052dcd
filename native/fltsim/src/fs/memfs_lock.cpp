// SPDX-License-Identifier: MIT
//
// This module provides: byte-range locks [SEQ-18]: IRP_MJ_LOCK_CONTROL, as fast I/O and as IRPs, and what locks forbid to reads and writes.
//
// Conflicts are those of [MS-FSA] 2.1.4.10. A lock that cannot be granted waits in the file system; an unlock grants, in its thread and in the order in
// which they came, all waiting locks that fit then. Paging I/O does not see locks.

#include "fs/memfs.hpp"
#include "fs/waits.hpp"

#include <algorithm>

#ifndef STATUS_INVALID_LOCK_RANGE
#define STATUS_INVALID_LOCK_RANGE ((NTSTATUS)0xC00001A1)
#endif

namespace fltsim::fs {

namespace {

/// What is to be done to a range.
struct Access {
    uint64_t offset = 0;
    uint64_t length = 0;
    LockOwner owner;
    bool exclusive = false; ///< a write, or an exclusive lock
    bool locks = false;
};

bool overlap(const Access &access, const ByteRangeLock &lock) {
    if ((access.offset == 0 && access.length == 0) || (lock.offset == 0 && lock.length == 0)) {
        return false;
    }
    // Unsigned and wrapping: a lock of no bytes lies between two bytes.
    return access.offset <= lock.offset + lock.length - 1 && access.offset + access.length - 1 >= lock.offset;
}

bool conflicts(const Access &access, const std::vector<ByteRangeLock> &locks) {
    return std::ranges::any_of(locks, [&](const ByteRangeLock &lock) {
        if (!overlap(access, lock)) {
            return false;
        }
        if (lock.exclusive) {
            return lock.owner != access.owner || (access.exclusive && access.locks);
        }
        return access.exclusive; // shared locks keep everybody from writing, their owner too
    });
}

Access access_of(const ByteRangeLock &lock) {
    return {lock.offset, lock.length, lock.owner, lock.exclusive, true};
}

ByteRangeLock wanted_by(const io::Operation &operation) {
    const auto &parameters = operation.parameters.LockControl;
    const bool fast = operation.form == io::Form::FastIo;
    ByteRangeLock lock;
    lock.offset = static_cast<uint64_t>(parameters.ByteOffset.QuadPart);
    lock.length = parameters.Length != nullptr ? static_cast<uint64_t>(parameters.Length->QuadPart) : 0;
    lock.owner = {operation.file.get(), parameters.ProcessId, parameters.Key};
    lock.exclusive = fast ? parameters.ExclusiveLock != FALSE : (operation.operation_flags & SL_EXCLUSIVE_LOCK) != 0;
    return lock;
}

/// Takes the waiting locks that can be granted now out of the list. They are the caller's to complete.
std::vector<std::shared_ptr<io::Operation>> grant(StreamWaits &waits) {
    std::vector<std::shared_ptr<io::Operation>> granted;
    for (auto at = waits.waiting_locks.begin(); at != waits.waiting_locks.end();) {
        if (conflicts(access_of(at->wanted), waits.locks)) {
            ++at;
            continue;
        }
        waits.locks.push_back(at->wanted);
        at->operation->cancel_routine = nullptr;
        granted.push_back(std::move(at->operation));
        at = waits.waiting_locks.erase(at);
    }
    return granted;
}

bool same_range(const ByteRangeLock &lock, const ByteRangeLock &other) {
    return lock.offset == other.offset && lock.length == other.length && lock.owner == other.owner;
}

/// Ends the locks of one request. False: there was none.
bool unlock(StreamWaits &waits, const io::Operation &operation) {
    const ByteRangeLock wanted = wanted_by(operation);
    auto &locks = waits.locks;
    switch (operation.minor) {
    case IRP_MN_UNLOCK_SINGLE: {
        // The exclusive lock of a range goes before a shared one.
        auto found =
            std::ranges::find_if(locks, [&](const auto &lock) { return lock.exclusive && same_range(lock, wanted); });
        if (found == locks.end()) {
            found = std::ranges::find_if(locks, [&](const auto &lock) { return same_range(lock, wanted); });
        }
        if (found == locks.end()) {
            return false;
        }
        locks.erase(found);
        return true;
    }
    case IRP_MN_UNLOCK_ALL:
        std::erase_if(locks, [&](const ByteRangeLock &lock) {
            return lock.owner.file == wanted.owner.file && lock.owner.process == wanted.owner.process;
        });
        return true;
    default: // IRP_MN_UNLOCK_ALL_BY_KEY
        std::erase_if(locks, [&](const ByteRangeLock &lock) { return lock.owner == wanted.owner; });
        return true;
    }
}

bool range_wraps(const ByteRangeLock &lock) {
    return lock.length != 0 && lock.offset + lock.length - 1 < lock.offset;
}

} // namespace

NTSTATUS MemFileSystem::lock_control(const OperationPointer &operation) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || node->directory) {
        return STATUS_INVALID_PARAMETER;
    }
    StreamWaits &waits = waits_of(*node);
    if (operation->minor != IRP_MN_LOCK) {
        const bool found = unlock(waits, *operation);
        for (const auto &granted : grant(waits)) {
            complete_waiting(granted, STATUS_SUCCESS);
        }
        return found ? STATUS_SUCCESS : STATUS_RANGE_NOT_LOCKED;
    }
    const ByteRangeLock wanted = wanted_by(*operation);
    if (range_wraps(wanted)) {
        return STATUS_INVALID_LOCK_RANGE;
    }
    if (!conflicts(access_of(wanted), waits.locks)) {
        waits.locks.push_back(wanted);
        return STATUS_SUCCESS;
    }
    if ((operation->operation_flags & SL_FAIL_IMMEDIATELY) != 0) {
        return STATUS_LOCK_NOT_GRANTED;
    }
    if (operation->cancel_requested) {
        return STATUS_CANCELLED;
    }
    waits.waiting_locks.push_back({operation, wanted});
    operation->cancel_routine = [this, keep = node->waits, waiting = operation.get()] {
        const auto found =
            std::ranges::find(keep->waiting_locks, waiting, [](const auto &entry) { return entry.operation.get(); });
        const OperationPointer cancelled = found->operation;
        keep->waiting_locks.erase(found);
        complete_waiting(cancelled, STATUS_CANCELLED);
    };
    return STATUS_PENDING;
}

/// False: the request has to come as an IRP, to wait or to break oplocks.
bool MemFileSystem::fast_lock_control(io::Operation &operation) {
    Node *node = node_of(*operation.file);
    if (node == nullptr || node->directory) {
        return false;
    }
    StreamWaits &waits = waits_of(*node);
    const io::TopLevelScope top_level(io::top_level_value(FSRTL_FAST_IO_TOP_LEVEL_IRP));
    if (operation.minor != IRP_MN_LOCK) {
        operation.io_status.Status = unlock(waits, operation) ? STATUS_SUCCESS : STATUS_RANGE_NOT_LOCKED;
        for (const auto &granted : grant(waits)) {
            complete_waiting(granted, STATUS_SUCCESS);
        }
        return true;
    }
    const ByteRangeLock wanted = wanted_by(operation);
    if (!waits.oplocks.empty() || range_wraps(wanted)) {
        return false;
    }
    if (!conflicts(access_of(wanted), waits.locks)) {
        waits.locks.push_back(wanted);
        return true;
    }
    if (operation.parameters.LockControl.FailImmediately == FALSE) {
        return false;
    }
    operation.io_status.Status = STATUS_LOCK_NOT_GRANTED;
    return true;
}

NTSTATUS MemFileSystem::check_locks(const io::Operation &operation) {
    const Node *node = node_of(*operation.file);
    if (!node->waits || node->waits->locks.empty()) {
        return STATUS_SUCCESS;
    }
    const bool writes = operation.major == IRP_MJ_WRITE;
    const auto &read = operation.parameters.Read;
    const auto &write = operation.parameters.Write;
    const int64_t given = writes ? write.ByteOffset.QuadPart : read.ByteOffset.QuadPart;
    Access access;
    access.offset = given < 0 ? node->size : static_cast<uint64_t>(given);
    access.length = writes ? write.Length : read.Length;
    access.owner = {operation.file.get(), operation.requestor != nullptr ? operation.requestor->process : nullptr,
                    writes ? write.Key : read.Key};
    access.exclusive = writes;
    return access.length != 0 && conflicts(access, node->waits->locks) ? STATUS_FILE_LOCK_CONFLICT : STATUS_SUCCESS;
}

bool MemFileSystem::check_fast_io(const io::Operation &operation) {
    const Node *node = node_of(*operation.file);
    if (!node->waits || node->waits->locks.empty()) {
        return true; // nobody has to be asked
    }
    const bool reads = operation.major == IRP_MJ_READ;
    const auto asked = manager_.inline_operation(io::Form::FastIo, IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE, *operation.file,
                                                 operation.requestor_mode);
    auto &check = asked->parameters.FastIoCheckIfPossible;
    check.FileOffset = reads ? operation.parameters.Read.ByteOffset : operation.parameters.Write.ByteOffset;
    check.Length = reads ? operation.parameters.Read.Length : operation.parameters.Write.Length;
    check.LockKey = reads ? operation.parameters.Read.Key : operation.parameters.Write.Key;
    check.CheckForReadOperation = reads ? TRUE : FALSE;
    return manager_.world.flt->call_inline(asked) && NT_SUCCESS(asked->io_status.Status);
}

bool MemFileSystem::fast_io_possible(io::Operation &operation) {
    const auto check = operation.parameters.FastIoCheckIfPossible;
    const bool reads = check.CheckForReadOperation != FALSE;
    Node *node = node_of(*operation.file);
    if (node == nullptr || node->directory) {
        return false;
    }
    Access access;
    access.offset = check.FileOffset.QuadPart < 0 ? node->size : static_cast<uint64_t>(check.FileOffset.QuadPart);
    access.length = check.Length;
    access.owner = {operation.file.get(), operation.requestor != nullptr ? operation.requestor->process : nullptr,
                    check.LockKey};
    access.exclusive = !reads;
    return !node->waits || access.length == 0 || !conflicts(access, node->waits->locks);
}

/// The last handle is gone: its locks too, and what it waits for ends with STATUS_RANGE_NOT_LOCKED.
void MemFileSystem::drop_locks(io::FileObject &file) {
    Node *node = node_of(file);
    if (node == nullptr || !node->waits) {
        return;
    }
    const auto waits = node->waits;
    std::vector<OperationPointer> ended;
    std::erase_if(waits->waiting_locks, [&](WaitingLock &waiting) {
        const bool its = waiting.wanted.owner.file == &file;
        if (its) {
            waiting.operation->cancel_routine = nullptr;
            ended.push_back(std::move(waiting.operation));
        }
        return its;
    });
    std::erase_if(waits->locks, [&](const ByteRangeLock &lock) { return lock.owner.file == &file; });
    const auto granted = grant(*waits);
    for (const auto &operation : ended) {
        complete_waiting(operation, STATUS_RANGE_NOT_LOCKED);
    }
    for (const auto &operation : granted) {
        complete_waiting(operation, STATUS_SUCCESS);
    }
}

} // namespace fltsim::fs
