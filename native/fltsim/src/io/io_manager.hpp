// SPDX-License-Identifier: MIT
//
// This module provides: volumes, file objects and the I/O system services, used by the user-side API and by Zw* calls.
//
// NtXxx-like services run in the calling simulated thread with the model lock held (they may block) and return NTSTATUS.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/operation.hpp"

namespace fltsim::fs {
class FileSystem;
}

namespace fltsim::io {

struct IoLink;
class CompletionPort;

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
    DEVICE_OBJECT disk{}; ///< the storage under the file system
    std::u16string guid_name; ///< \??\Volume{...}
    std::unique_ptr<fs::FileSystem> file_system;
    /// The Filter Manager's part: instances by altitude, volume context, state.
    std::shared_ptr<void> flt_state;
};

/// An open file. PFILE_OBJECT values point at `native`, whose FsContext2 leads back here.
class FileObject : public Object, public std::enable_shared_from_this<FileObject> {
  public:
    FILE_OBJECT native{};
    Volume *volume = nullptr;
    std::u16string name; ///< as opened, relative to the volume: \dir\file; by id: the name that the id stands for
    std::u16string
        given_name; ///< native.FileName's text when it is not `name`: relative to `related`, or the bytes of an id
    std::shared_ptr<FileObject> related; ///< RelatedFileObject, during IRP_MJ_CREATE
    bool maximum_allowed = false; ///< granted_access becomes what the file allows
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
    std::u16string
        below; ///< opened by a filter: only instances below this altitude see what is done with it; empty: all
    int64_t position = 0; ///< CurrentByteOffset of a synchronous handle
    const void *lock_owner = nullptr; ///< file-object lock of synchronous I/O: the Thread that holds it
    bool write_through = false;
    bool paging_file = false; ///< the memory manager's, opened with SL_OPEN_PAGING_FILE
    bool ignore_share = false; ///< IO_IGNORE_SHARE_ACCESS_CHECK: its sharing is neither checked nor counted
    std::optional<bool> is_directory; ///< the Filter Manager's copy of the answer
    IO_PRIORITY_HINT priority_hint = IoPriorityNormal; ///< kept and told; nothing here is faster or slower for it
    bool opened = false; ///< IRP_MJ_CREATE succeeded in the file system, IRP_MJ_CLOSE is due some day
    bool close_sent = false;
    /// What keeps IRP_MJ_CLOSE away: the handle, operations on their way, sections, the cache. Counted by reference()/dereference().
    uint32_t references = 0;
    std::shared_ptr<CompletionPort> port; ///< what tells of its asynchronous operations, or null
    ULONG_PTR port_key = 0;
    int64_t sequential_end = 0; ///< where the last cached read ended: the next one is sequential when it begins there
    std::weak_ptr<IoLink> link; ///< to the I/O manager, while there is one
    /// The Filter Manager's stream-handle contexts. Dropped at IRP_MJ_CLOSE.
    std::shared_ptr<void> flt_state;
    const char *type_name() const override { return "file"; }
    void last_handle_of_process_closed(Process &process) override; ///< its byte-range locks go [SEQ-18]
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
    void *apc_context = nullptr; ///< names the operation in a completion port's packet; null: no packet
};

/// A byte range to be locked.
struct LockRange {
    int64_t offset = 0;
    int64_t length = 0;
    ULONG key = 0;
    bool fail_immediately = false;
    bool exclusive = false;
};

class IoManager {
  public:
    explicit IoManager(World &world);
    ~IoManager();

    Volume *volume_by_device(std::u16string_view device_name); ///< or by \??\Volume{...}
    Volume *volume_by_dos(std::u16string_view dos_name); ///< "D:"
    const std::vector<std::unique_ptr<Volume>> &volumes() const;

    /// Opens an NT path: \??\D:\x, \Device\HarddiskVolume2\x, \SystemRoot\...
    NTSTATUS create(std::u16string_view nt_path, ACCESS_MASK access, ULONG attributes, ULONG share, ULONG disposition,
                    ULONG options, KPROCESSOR_MODE mode, std::shared_ptr<FileObject> *file, ULONG_PTR *information);
    /// What NtCreateFile takes.
    struct CreateFile {
        std::u16string
            name; ///< an NT path, or one relative to `root`; with FILE_OPEN_BY_FILE_ID the bytes of an id at its end
        std::shared_ptr<FileObject> root;
        ACCESS_MASK access = 0;
        ULONG attributes = 0;
        ULONG share = 0;
        ULONG disposition = FILE_OPEN;
        ULONG options = 0;
        int64_t allocation = 0; ///< bytes, for a file that is made or overwritten
        std::vector<uint8_t> ea; ///< a chain of FILE_FULL_EA_INFORMATION
        const void *security_descriptor = nullptr; ///< self-relative, for a file that is made
        KPROCESSOR_MODE mode = UserMode;
        UCHAR operation_flags = 0; ///< SL_*
        void *ecp_list = nullptr; ///< PECP_LIST, or null
        bool unchecked = false; ///< IO_NO_PARAMETER_CHECKING
        bool ignore_share = false; ///< IO_IGNORE_SHARE_ACCESS_CHECK
        std::u16string below; ///< FileObject::below
        const Volume *only = nullptr; ///< the name has to lead here; null: anywhere
    };
    NTSTATUS create_file(const CreateFile &request, std::shared_ptr<FileObject> *file, ULONG_PTR *information);
    /// NtQueryFullAttributesFile and its like: by NETWORK_QUERY_OPEN or QUERY_OPEN, and when those are turned away by an open [SEQ-02]. The request's
    /// access, share, disposition and options are not looked at. `information_class`: Basic, NetworkOpen or Stat.
    NTSTATUS query_by_name(const CreateFile &request, void *buffer, ULONG length,
                           FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb);
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
    struct DirectoryQuery {
        void *buffer = nullptr;
        ULONG length = 0;
        FILE_INFORMATION_CLASS information_class = FileBothDirectoryInformation;
        UCHAR flags = 0; ///< SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY, SL_INDEX_SPECIFIED
        std::optional<std::u16string> pattern;
        ULONG index = 0;
    };
    NTSTATUS query_directory(FileObject &file, const DirectoryQuery &query, const AsyncBlock *async,
                             IO_STATUS_BLOCK *iosb);
    NTSTATUS query_volume(FileObject &file, void *buffer, ULONG length, FS_INFORMATION_CLASS information_class,
                          IO_STATUS_BLOCK *iosb);
    NTSTATUS set_volume(FileObject &file, const void *buffer, ULONG length, FS_INFORMATION_CLASS information_class,
                        IO_STATUS_BLOCK *iosb);
    struct EaQuery {
        void *buffer = nullptr;
        ULONG length = 0;
        const void *list =
            nullptr; ///< a chain of FILE_GET_EA_INFORMATION (quotas: FILE_GET_QUOTA_INFORMATION), or null
        ULONG list_bytes = 0;
        UCHAR flags = 0; ///< SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY, SL_INDEX_SPECIFIED
        ULONG index = 0; ///< from 1
        const void *start_sid = nullptr; ///< of quotas: a SID to begin with
    };
    NTSTATUS query_ea(FileObject &file, const EaQuery &query, IO_STATUS_BLOCK *iosb);
    NTSTATUS set_ea(FileObject &file, const void *buffer, ULONG length, IO_STATUS_BLOCK *iosb);
    NTSTATUS query_quota(FileObject &file, const EaQuery &query, IO_STATUS_BLOCK *iosb);
    NTSTATUS set_quota(FileObject &file, const void *buffer, ULONG length, IO_STATUS_BLOCK *iosb);
    /// *needed: bytes of the whole answer, also when STATUS_BUFFER_TOO_SMALL says that it did not fit.
    NTSTATUS query_security(FileObject &file, ULONG information, void *buffer, ULONG length, ULONG *needed);
    NTSTATUS set_security(FileObject &file, ULONG information, const void *descriptor);
    /// minor: 0 or an IRP_MN_FLUSH_*.
    NTSTATUS flush(FileObject &file, IO_STATUS_BLOCK *iosb, UCHAR minor = 0);
    /// NtLockFile and NtUnlockFile [SEQ-18].
    NTSTATUS lock(FileObject &file, const LockRange &range, const AsyncBlock *async, IO_STATUS_BLOCK *iosb);
    NTSTATUS unlock(FileObject &file, const LockRange &range, IO_STATUS_BLOCK *iosb);
    /// NtNotifyChangeDirectoryFile [SEQ-17]. filter: FILE_NOTIFY_CHANGE_*.
    NTSTATUS notify(FileObject &file, void *buffer, ULONG length, ULONG filter, bool tree, const AsyncBlock *async,
                    IO_STATUS_BLOCK *iosb);
    /// CreateIoCompletionPort on an open file.
    NTSTATUS associate(FileObject &file, const std::shared_ptr<CompletionPort> &port, ULONG_PTR key);
    /// What a file server does in kernel mode with somebody's open file: MDL_READ and MDL_READ_COMPLETE, or PREPARE_MDL_WRITE and
    /// MDL_WRITE_COMPLETE, as fast I/O, or ordinary IRPs where the file system turns that away [SEQ-26]. In the calling thread.
    NTSTATUS server_read(FileObject &file, void *buffer, ULONG length, int64_t offset, IO_STATUS_BLOCK *iosb);
    NTSTATUS server_write(FileObject &file, const void *buffer, ULONG length, int64_t offset, IO_STATUS_BLOCK *iosb);
    /// The mapped page writer looks at all views now, and not only after its delay.
    void write_mapped_pages_now();
    /// NtFsControlFile and NtDeviceIoControlFile: `code`'s lowest two bits say how the buffers travel.
    struct Control {
        bool device = false; ///< IRP_MJ_DEVICE_CONTROL; else IRP_MJ_FILE_SYSTEM_CONTROL
        ULONG code = 0;
        const void *input = nullptr;
        ULONG input_bytes = 0;
        void *output = nullptr;
        ULONG output_bytes = 0;
    };
    NTSTATUS control(FileObject &file, const Control &control, const AsyncBlock *async, IO_STATUS_BLOCK *iosb);
    /// Asks the operations of this file (of this OVERLAPPED, unless null) to end early. Number of those it found.
    uint32_t cancel(FileObject &file, const void *overlapped);
    /// The same for the operation that this thread waits for (CancelSynchronousIo).
    uint32_t cancel_synchronous(const Thread &thread);
    /// The same for all that this thread has asked for: it is being terminated.
    uint32_t cancel_thread(const Thread &thread);
    /// All that waits in a file system ends: the world is being closed.
    void cancel_everything();
    /// The memory manager reads or writes `bytes` (whole pages) of the paging file on the boot volume, which is made at the first call
    /// [SEQ-13].
    NTSTATUS paging_file_io(bool write, uint64_t offset, void *buffer, ULONG bytes);
    /// Operations on their way that threads of this process have asked for.
    uint32_t outstanding_of(const Process &process) const;
    /// A view of the file (CreateFileMapping + MapViewOfFile). Dirty pages are written by flush_view as paging I/O.
    NTSTATUS map(FileObject &file, uint64_t size, bool writable, std::shared_ptr<Object> *section);
    /// SEC_IMAGE. protection: PAGE_*, that the section is asked for. size: 0, or at most the image's.
    NTSTATUS map_image(FileObject &file, uint64_t size, ULONG protection, std::shared_ptr<Object> *section);
    NTSTATUS map_view(Object &section, uint64_t offset, uint64_t length, void **base);
    NTSTATUS flush_view(void *base, uint64_t length);
    NTSTATUS unmap_view(void *base);
    /// The views that this process has mapped (process exit).
    void unmap_views_of(const Process &process);
    /// Operations not COMPLETED, for the report.
    std::vector<std::string> describe_outstanding() const;

    struct Impl; ///< io/internal.hpp
    Impl &impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

/// Whether these can name an object.
inline bool names_object(const OBJECT_ATTRIBUTES *attributes) {
    return attributes != nullptr && attributes->Length == sizeof *attributes && attributes->ObjectName != nullptr;
}
/// The name that a driver gives, and where it begins. STATUS_INVALID_PARAMETER; STATUS_INVALID_HANDLE and STATUS_OBJECT_TYPE_MISMATCH of RootDirectory. A
/// malformed string stops the world [C4/E4].
NTSTATUS take_object_name(const char *api, const OBJECT_ATTRIBUTES *attributes, IoManager::CreateFile *request);

} // namespace fltsim::io
