// SPDX-License-Identifier: MIT
//
// This module provides: what the Filter Manager asks of a file system at the bottom of a stack.
#pragma once

#include "io/operation.hpp"

namespace fltsim::fs {

class FileSystem {
  public:
    virtual ~FileSystem() = default;
    /// An IRP operation arrived. Sets io_status and calls FilterManager::complete() inline or later. Returns STATUS_PENDING or the status.
    virtual NTSTATUS dispatch(const std::shared_ptr<io::Operation> &operation) = 0;
    /// Fast I/O or an FS-filter operation: true when it was done (io_status set), false to be asked again with an IRP.
    virtual bool dispatch_inline(const std::shared_ptr<io::Operation> &operation) = 0;
    /// The operation's requestor wants it to end early. Completes it with STATUS_CANCELLED when it still waits for the storage, else nothing.
    virtual void cancel(const std::shared_ptr<io::Operation> &) {}
    /// Normalised name of an open file relative to the volume; fails when the file is gone.
    virtual NTSTATUS query_name(io::FileObject &file, std::u16string *name) = 0;
    /// The same for the id that a name is with FILE_OPEN_BY_FILE_ID.
    virtual NTSTATUS query_id_name(std::u16string_view, std::u16string *) { return STATUS_NOT_SUPPORTED; }
    /// What stands for the file of an open stream, the same for all of its streams; null: the stream itself.
    virtual const void *file_of(const io::FileObject &) { return nullptr; }
    /// Whether it has contexts for files, and not only for streams.
    virtual bool supports_file_contexts() const { return true; }
};

} // namespace fltsim::fs
