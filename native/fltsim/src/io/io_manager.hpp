// SPDX-License-Identifier: MIT
//
// This module provides: volumes, file objects and the I/O system services, used by the user-side API and by Zw* calls.
//
// NtXxx-like services run in the calling simulated thread with the model lock held (they may block) and return NTSTATUS.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/operation.hpp"

namespace fltsim::fs {
class FileSystem;
}

namespace fltsim::io {

struct IoLink;

enum class FsProfile { Ntfs, Fat };

/// A mounted volume. FltMgr attaches instances to it. PDEVICE_OBJECT values are addresses of `device`.
class Volume {
  public:
    std::u16string device_name; ///< \Device\HarddiskVolumeN
    std::u16string dos_name; ///< "D:"
    FsProfile profile = FsProfile::Ntfs;
    bool boot = false; ///< holds \SystemRoot
    uint32_t mounts = 0; ///< how often it was mounted again; a file is open on one mount
    DEVICE_OBJECT device{};
    std::unique_ptr<fs::FileSystem> file_system;
    /// The Filter Manager's part: instances by altitude, volume context, state.
    std::shared_ptr<void> flt_state;
};

/// An open file. PFILE_OBJECT values point at `native`, whose FsContext2 leads back here.
class FileObject : public Object, public std::enable_shared_from_this<FileObject> {
  public:
    FILE_OBJECT native{};
    Volume *volume = nullptr;
    std::u16string name; ///< as opened, relative to the volume: \dir\file
    std::shared_ptr<void> fcb; ///< the file system's node
    std::shared_ptr<void> fs_context; ///< the file system's per-open state (directory cursor, ...)
    ACCESS_MASK granted_access = 0;
    ULONG share_access = 0;
    ULONG create_options = 0;
    bool synchronous = false; ///< FO_SYNCHRONOUS_IO
    bool no_buffering = false;
    bool cache_initialised = false; ///< fast I/O becomes possible
    bool cleanup_done = false;
    uint32_t mount = 0; ///< Volume::mounts when it was opened
    int64_t position = 0; ///< CurrentByteOffset of a synchronous handle
    const void *lock_owner = nullptr; ///< file-object lock of synchronous I/O: the Thread that holds it
    bool write_through = false;
    bool opened = false; ///< IRP_MJ_CREATE succeeded in the file system, IRP_MJ_CLOSE is due some day
    bool close_sent = false;
    /// What keeps IRP_MJ_CLOSE away: the handle, operations on their way, sections, the cache. Counted by reference()/dereference().
    uint32_t references = 0;
    std::weak_ptr<IoLink> link; ///< to the I/O manager, while there is one
    /// The Filter Manager's stream-handle contexts. Dropped at IRP_MJ_CLOSE.
    std::shared_ptr<void> flt_state;
    const char *type_name() const override { return "file"; }
    void last_handle_closed()
        override; ///< IRP_MJ_CLEANUP, then IRP_MJ_CLOSE when no reference (section, pending I/O) is left
    std::string describe() const override;
    /// Files are waitable: signalled when an operation without an event has completed.
    void signal() override;
    bool signalled() const override { return signalled_; }
    /// Model lock held. The last dereference after IRP_MJ_CLEANUP has a system thread send IRP_MJ_CLOSE. Any IRQL <= DISPATCH_LEVEL.
    void reference() { ++references; }
    void dereference();
    /// Null when `file` is not the file object of an open file.
    static std::shared_ptr<FileObject> from_native(PFILE_OBJECT file);
    FileObject();
    ~FileObject() override;

  private:
    friend class IoManager;
    bool signalled_ = false;
};

/// An asynchronous request's user side: where the status goes and what is signalled. Lives until the operation completed.
/// At completion: *user_iosb is written (Status last), then event->signal() when there is one, then world().wake(user_iosb): a
/// GetOverlappedResult without an event waits on that channel for Status != STATUS_PENDING.
struct AsyncBlock {
    IO_STATUS_BLOCK *user_iosb = nullptr; ///< OVERLAPPED.Internal/InternalHigh
    std::shared_ptr<Object> event; ///< hEvent, or null
    void *overlapped = nullptr;
};

class IoManager {
  public:
    explicit IoManager(World &world);
    ~IoManager();

    Volume *volume_by_device(std::u16string_view device_name);
    Volume *volume_by_dos(std::u16string_view dos_name); ///< "D:"
    const std::vector<std::unique_ptr<Volume>> &volumes() const;

    /// Opens an NT path: \??\D:\x, \Device\HarddiskVolume2\x, \SystemRoot\...
    NTSTATUS create(std::u16string_view nt_path, ACCESS_MASK access, ULONG attributes, ULONG share, ULONG disposition,
                    ULONG options, KPROCESSOR_MODE mode, std::shared_ptr<FileObject> *file, ULONG_PTR *information);
    /// offset: null means the position of a synchronous handle. Returns STATUS_PENDING for an asynchronous handle whose
    /// operation has not completed yet; `async` then gets the result.
    NTSTATUS read(FileObject &file, void *buffer, ULONG length, const int64_t *offset, const AsyncBlock *async,
                  IO_STATUS_BLOCK *iosb);
    NTSTATUS write(FileObject &file, const void *buffer, ULONG length, const int64_t *offset, const AsyncBlock *async,
                   IO_STATUS_BLOCK *iosb);
    NTSTATUS query_information(FileObject &file, void *buffer, ULONG length, FILE_INFORMATION_CLASS information_class,
                               IO_STATUS_BLOCK *iosb);
    NTSTATUS set_information(FileObject &file, const void *buffer, ULONG length,
                             FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb);
    NTSTATUS query_directory(FileObject &file, void *buffer, ULONG length, FILE_INFORMATION_CLASS information_class,
                             bool single, std::u16string_view pattern, bool restart, IO_STATUS_BLOCK *iosb);
    NTSTATUS flush(FileObject &file, IO_STATUS_BLOCK *iosb);
    /// Asks the operations of this file (of this OVERLAPPED, unless null) to end early. Number of those it found.
    uint32_t cancel(FileObject &file, const void *overlapped);
    /// The same for the operation that this thread waits for (CancelSynchronousIo).
    uint32_t cancel_synchronous(const Thread &thread);
    /// The same for all that this thread has asked for: it is being terminated.
    uint32_t cancel_thread(const Thread &thread);
    /// A view of the file (CreateFileMapping + MapViewOfFile). Dirty pages are written by flush_view as paging I/O.
    NTSTATUS map(FileObject &file, uint64_t size, bool writable, std::shared_ptr<Object> *section);
    NTSTATUS map_view(Object &section, uint64_t offset, uint64_t length, void **base);
    NTSTATUS flush_view(void *base, uint64_t length);
    NTSTATUS unmap_view(void *base);
    /// Operations not COMPLETED, for the report.
    std::vector<std::string> describe_outstanding() const;

    struct Impl; ///< io/internal.hpp
    Impl &impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

} // namespace fltsim::io
