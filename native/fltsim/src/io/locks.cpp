// SPDX-License-Identifier: MIT
//
// This module provides: byte-range locks and directory notification on the I/O manager's side [SEQ-17, SEQ-18].
//
// A lock or unlock is tried as fast I/O first, on every kind of handle; an IRP follows where the file system turns it away, because the lock has to wait or
// breaks oplocks. The locks that a process has through a file object go when its last handle does.

#include "io/internal.hpp"

namespace fltsim::io {

namespace {

void fill(Operation &operation, UCHAR minor, const LockRange &range, const Process *process) {
    operation.minor = minor;
    operation.lock_length.QuadPart = range.length;
    auto &parameters = operation.parameters.LockControl;
    parameters.Length = &operation.lock_length;
    parameters.Key = range.key;
    parameters.ByteOffset.QuadPart = range.offset;
    parameters.ProcessId = reinterpret_cast<PEPROCESS>(const_cast<Process *>(process));
    if (operation.form == Form::FastIo) {
        parameters.FailImmediately = range.fail_immediately ? TRUE : FALSE;
        parameters.ExclusiveLock = range.exclusive ? TRUE : FALSE;
    } else if (minor == IRP_MN_LOCK) {
        operation.operation_flags = static_cast<UCHAR>((range.fail_immediately ? SL_FAIL_IMMEDIATELY : 0) |
                                                       (range.exclusive ? SL_EXCLUSIVE_LOCK : 0));
    }
}

/// Nothing: it has to go as an IRP.
std::optional<IO_STATUS_BLOCK> try_fast(IoManager::Impl &impl, FileObject &file, UCHAR minor, const LockRange &range,
                                        KPROCESSOR_MODE mode, const Process *process) {
    const auto fast = impl.inline_operation(Form::FastIo, IRP_MJ_LOCK_CONTROL, file, mode);
    fill(*fast, minor, range, process);
    if (!impl.world.flt->call_inline(fast)) {
        return std::nullopt;
    }
    return fast->io_status;
}

} // namespace

NTSTATUS IoManager::lock(FileObject &file, const LockRange &range, const AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_READ_DATA | FILE_WRITE_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const Process *process = executing().process;
    const FileLock lock(impl_->world, file);
    file.signalled_ = false;
    file.native.LockOperation = TRUE;
    if (const auto done = try_fast(*impl_, file, IRP_MN_LOCK, range, UserMode, process)) {
        *iosb = *done;
        if (async != nullptr && !NT_ERROR(iosb->Status)) {
            impl_->tell(file, *async, *iosb, true);
        }
        return iosb->Status;
    }
    const auto operation = impl_->irp(IRP_MJ_LOCK_CONTROL, file, UserMode, 0);
    fill(*operation, IRP_MN_LOCK, range, process);
    return impl_->issue(file, operation, async, iosb);
}

NTSTATUS IoManager::unlock(FileObject &file, const LockRange &range, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_READ_DATA | FILE_WRITE_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const Process *process = executing().process;
    const FileLock lock(impl_->world, file);
    if (const auto done = try_fast(*impl_, file, IRP_MN_UNLOCK_SINGLE, range, UserMode, process)) {
        *iosb = *done;
        return iosb->Status;
    }
    const auto operation = impl_->irp(IRP_MJ_LOCK_CONTROL, file, UserMode, synchronous_api(file));
    fill(*operation, IRP_MN_UNLOCK_SINGLE, range, process);
    return impl_->issue(file, operation, nullptr, iosb);
}

void IoManager::Impl::unlock_all(FileObject &file, Process &process) {
    const FileLock lock(world, file);
    if (try_fast(*this, file, IRP_MN_UNLOCK_ALL, {}, KernelMode, &process)) {
        return;
    }
    const auto operation = irp(IRP_MJ_LOCK_CONTROL, file, KernelMode, IRP_SYNCHRONOUS_API);
    fill(*operation, IRP_MN_UNLOCK_ALL, {}, &process);
    send_and_wait(operation);
}

void FileObject::last_handle_of_process_closed(Process &process) {
    const auto manager = link.lock();
    if (native.LockOperation != FALSE && manager && manager->manager != nullptr && opened) {
        manager->manager->unlock_all(*this, process);
    }
}

NTSTATUS IoManager::notify(FileObject &file, void *buffer, ULONG length, ULONG filter, bool tree,
                           const AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
    constexpr ULONG NOTIFY_VALID = 0xFFF; // FILE_NOTIFY_VALID_MASK
    *iosb = {};
    if (filter == 0 || (filter & ~NOTIFY_VALID) != 0) {
        return iosb->Status = STATUS_INVALID_PARAMETER;
    }
    if (!has_access(file, FILE_LIST_DIRECTORY)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    if (buffer == nullptr && length != 0) {
        return iosb->Status = STATUS_ACCESS_VIOLATION;
    }
    const FileLock lock(impl_->world, file);
    file.signalled_ = false;
    const auto operation = impl_->irp(IRP_MJ_DIRECTORY_CONTROL, file, UserMode, 0);
    operation->minor = IRP_MN_NOTIFY_CHANGE_DIRECTORY;
    operation->operation_flags = tree ? SL_WATCH_TREE : 0;
    auto &parameters = operation->parameters.DirectoryControl.NotifyDirectory;
    parameters.Length = length;
    parameters.CompletionFilter = filter;
    parameters.DirectoryBuffer = buffer;
    return impl_->issue(file, operation, async, iosb);
}

} // namespace fltsim::io
