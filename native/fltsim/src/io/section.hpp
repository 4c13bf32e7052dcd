// SPDX-License-Identifier: MIT
//
// This module provides: sections (CreateFileMapping) of files.
#pragma once

#include "io/cache.hpp"

namespace fltsim::io {

/// Keeps the file object, and so IRP_MJ_CLOSE away, until the last handle and view are gone.
class Section : public Object, public std::enable_shared_from_this<Section> {
  public:
    Section(std::shared_ptr<FileObject> file, std::shared_ptr<Cache> cache, uint64_t size, bool writable);
    ~Section() override;
    const char *type_name() const override { return "section"; }
    std::string describe() const override { return "section of " + file->describe(); }

    const std::shared_ptr<FileObject> file;
    const std::shared_ptr<Cache> cache;
    const uint64_t size;
    const bool writable;
};

/// FsRtlAcquireToCreateMappedSection. A warning or success: it is acquired.
NTSTATUS acquire_for_section(IoManager::Impl &impl, FileObject &file, ULONG protection);
/// FsRtlGetFileSize: fast I/O, else an IRP.
NTSTATUS file_size(IoManager::Impl &impl, FileObject &file, uint64_t *size);

} // namespace fltsim::io
