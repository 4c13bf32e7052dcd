// SPDX-License-Identifier: MIT
//
// This module provides: read, write and flush.
//
// Fast I/O comes first on a synchronous handle whose cache is initialised [FORM-02]; turned away, the same request goes as an IRP.

#include "fs/memfs.hpp"
#include "io/internal.hpp"

namespace fltsim::io {

namespace {

constexpr int64_t WRITE_TO_END = -1;
constexpr int64_t USE_POSITION = -2;

/// The offset that the IRP carries. Nothing: the caller gave none and the handle has no position.
std::optional<int64_t> offset_for(const FileObject &file, const int64_t *offset) {
    if (offset == nullptr || *offset == USE_POSITION) {
        return file.synchronous ? std::optional<int64_t>(file.position) : std::nullopt;
    }
    return *offset;
}

bool aligned(const FileObject &file, int64_t offset, ULONG length) {
    return !file.no_buffering || (length % fs::SECTOR_BYTES == 0 && (offset < 0 || offset % fs::SECTOR_BYTES == 0));
}

} // namespace

NTSTATUS IoManager::read(FileObject &file, void *buffer, ULONG length, const int64_t *offset, const AsyncBlock *async,
                         IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_READ_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    if (buffer == nullptr && length != 0) {
        return iosb->Status = STATUS_ACCESS_VIOLATION;
    }
    const FileLock lock(impl_->world, file);
    const auto at = offset_for(file, offset);
    if (!at || *at < 0 || !aligned(file, *at, length)) {
        return iosb->Status = STATUS_INVALID_PARAMETER;
    }
    const auto fill = [&](Operation &operation) {
        auto &parameters = operation.parameters.Read;
        parameters.Length = length;
        parameters.ByteOffset.QuadPart = *at;
        parameters.ReadBuffer = buffer;
    };
    file.signalled_ = false;
    if (file.synchronous && file.cache_initialised && !file.no_buffering) {
        const auto fast = impl_->inline_operation(Form::FastIo, IRP_MJ_READ, file, UserMode);
        fill(*fast);
        if (impl_->world.flt->call_inline(fast)) {
            *iosb = fast->io_status;
            return iosb->Status;
        }
    }
    const ULONG flags = IRP_READ_OPERATION | IRP_DEFER_IO_COMPLETION | (file.no_buffering ? IRP_NOCACHE : 0);
    const auto operation = impl_->irp(IRP_MJ_READ, file, UserMode, flags);
    fill(*operation);
    return impl_->issue(file, operation, async, iosb);
}

NTSTATUS IoManager::write(FileObject &file, const void *buffer, ULONG length, const int64_t *offset,
                          const AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_WRITE_DATA | FILE_APPEND_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    if (buffer == nullptr && length != 0) {
        return iosb->Status = STATUS_ACCESS_VIOLATION;
    }
    const FileLock lock(impl_->world, file);
    auto at = offset_for(file, offset);
    if (!has_access(file, FILE_WRITE_DATA)) {
        at = WRITE_TO_END; // append access alone
    }
    if (!at || *at < WRITE_TO_END || !aligned(file, *at, length)) {
        return iosb->Status = STATUS_INVALID_PARAMETER;
    }
    const auto fill = [&](Operation &operation) {
        auto &parameters = operation.parameters.Write;
        parameters.Length = length;
        parameters.ByteOffset.QuadPart = *at;
        parameters.WriteBuffer = const_cast<void *>(buffer);
    };
    file.signalled_ = false;
    if (file.synchronous && file.cache_initialised && !file.no_buffering && !file.write_through) {
        const auto fast = impl_->inline_operation(Form::FastIo, IRP_MJ_WRITE, file, UserMode);
        fill(*fast);
        if (impl_->world.flt->call_inline(fast)) {
            *iosb = fast->io_status;
            return iosb->Status;
        }
    }
    const ULONG flags = IRP_WRITE_OPERATION | IRP_DEFER_IO_COMPLETION | (file.no_buffering ? IRP_NOCACHE : 0);
    const auto operation = impl_->irp(IRP_MJ_WRITE, file, UserMode, flags);
    operation->operation_flags = file.write_through ? SL_WRITE_THROUGH : 0;
    fill(*operation);
    return impl_->issue(file, operation, async, iosb);
}

NTSTATUS IoManager::flush(FileObject &file, IO_STATUS_BLOCK *iosb, UCHAR minor) {
    *iosb = {};
    if (!has_access(file, FILE_WRITE_DATA | FILE_APPEND_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_FLUSH_BUFFERS, file, UserMode, IRP_SYNCHRONOUS_API);
    operation->minor = minor;
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    return iosb->Status = status;
}

} // namespace fltsim::io
