// SPDX-License-Identifier: MIT
//
// This module provides: the memory file system at the bottom of a volume's stack, with the behaviour of NTFS or FAT as far as filters and
// callers can tell them apart.
//
// Invariants
// - An operation has taken effect, for everybody, when it is completed here, however long filters hold it afterwards.
// - TopLevelIrp: while a thread works here it is the operation's (unless it was set before); when an operation completes in its own thread, the ntfs profile
//   has cleared it, the fat profile clears it later, except for create [POST-13].
// - Non-cached I/O of an asynchronous handle completes from the storage's DPC, everything else in the requestor's thread [SEQ-06].
#pragma once

#include <optional>

#include "fs/file_system.hpp"
#include "fs/node.hpp"

namespace fltsim::fs {

/// A non-cached request that waits for the storage (Operation::fs_state).
struct StorageRequest {
    bool finished = false;
    bool waited_for = false; ///< the thread waits in dispatch and completes it itself
    NTSTATUS status = STATUS_SUCCESS;
};

struct VolumeWaits;
enum class OplockKind;

class MemFileSystem : public FileSystem {
  public:
    MemFileSystem(io::IoManager::Impl &manager, io::Volume &volume);
    ~MemFileSystem() override;

    NTSTATUS dispatch(const std::shared_ptr<io::Operation> &operation) override;
    bool dispatch_inline(const std::shared_ptr<io::Operation> &operation) override;
    void cancel(const std::shared_ptr<io::Operation> &operation) override;
    NTSTATUS query_name(io::FileObject &file, std::u16string *name) override;
    NTSTATUS query_id_name(std::u16string_view raw, std::u16string *name) override;
    const void *file_of(const io::FileObject &file) override;
    bool supports_file_contexts() const override { return ntfs(); }

    /// A directory in the root, made without any operation.
    void make_directory(std::u16string_view name);
    /// A file of this content with the directories on its way, made without any operation; nothing when something of that name is there. False: what is on the
    /// way is no directory.
    bool install(std::u16string_view path, const std::vector<uint8_t> &content);
    /// The cache of an open file; null for directories and volumes.
    static std::shared_ptr<io::Cache> cache_of(const io::FileObject &file);

  private:
    using OperationPointer = std::shared_ptr<io::Operation>;
    bool ntfs() const { return volume_.profile == io::FsProfile::Ntfs; }
    /// FAT has 32 bits for a size; the model's other limit is its own.
    uint64_t max_file_bytes() const { return ntfs() ? uint64_t{1} << 40 : UINT32_MAX; }
    /// process() with what comes before and after: oplocks, notifications.
    NTSTATUS run(const OperationPointer &operation);
    NTSTATUS process(const OperationPointer &operation);

    // memfs_create.cpp
    NTSTATUS create(io::Operation &operation);
    NTSTATUS open_volume(io::Operation &operation);
    NTSTATUS open_by_id(io::Operation &operation, std::u16string_view raw);
    NTSTATUS open_target_directory(io::Operation &operation, const ParsedPath &path, std::shared_ptr<Link> link);
    /// From *link through `components` parts of the path; STATUS_REPARSE when it ended at a reparse point.
    NTSTATUS walk(io::Operation &operation, const ParsedPath &path, size_t components, std::shared_ptr<Link> *link);
    static NTSTATUS reparse(io::Operation &operation, const Node &node, size_t unparsed_chars);
    NTSTATUS create_new(io::Operation &operation, const ParsedPath &path, Node &parent);
    NTSTATUS check_kind(io::Operation &operation, const ParsedPath &path, const Node &node) const;
    NTSTATUS open_existing(io::Operation &operation, const ParsedPath &path, const std::shared_ptr<Link> &link);
    NTSTATUS overwrite(io::Operation &operation, Node &target);
    static void reserve(Node &node, int64_t bytes);
    void attach(io::FileObject &file, const std::shared_ptr<Link> &link, const std::shared_ptr<Node> &node);
    std::shared_ptr<Node> make_node(bool directory, ULONG attributes);
    /// The file that the bytes of a file id or object id stand for, or null.
    std::shared_ptr<Node> node_of_id(std::u16string_view raw) const;

    // memfs_stream.cpp
    std::shared_ptr<Node> make_stream(Node &file, std::u16string_view name);
    NTSTATUS create_stream(io::Operation &operation, const ParsedPath &path, const std::shared_ptr<Link> &link);
    bool streams_allow(const Node &file, const Node &target, ACCESS_MASK access, ULONG share) const;
    NTSTATUS rename_stream(Node &stream, std::u16string_view name, bool replace);
    static void remove_stream(Node &stream);

    // memfs_ea.cpp
    NTSTATUS query_ea(io::Operation &operation);
    NTSTATUS set_ea(io::Operation &operation);
    /// What stands against the extended attributes of a create.
    NTSTATUS check_create_ea(const io::Operation &operation) const;
    /// They replace the file's.
    NTSTATUS take_create_ea(io::Operation &operation, Node &node);
    static bool needs_ea(const Node &node);

    // memfs_security.cpp
    NTSTATUS query_security(io::Operation &operation);
    NTSTATUS set_security(io::Operation &operation);
    static std::vector<uint8_t> root_security();
    std::vector<uint8_t> inherited_security(const Node &parent, bool directory) const;

    // memfs_quota.cpp
    NTSTATUS query_quota(io::Operation &operation);
    NTSTATUS set_quota(io::Operation &operation);

    // memfs_query_open.cpp
    bool query_open(io::Operation &operation);

    // memfs_data.cpp
    NTSTATUS read(const OperationPointer &operation);
    NTSTATUS write(const OperationPointer &operation);
    NTSTATUS flush(io::Operation &operation);
    NTSTATUS paging_read(io::Operation &operation);
    NTSTATUS paging_write(const OperationPointer &operation);
    static NTSTATUS paging_write_now(io::Operation &operation);
    NTSTATUS cached_read(io::Operation &operation);
    NTSTATUS cached_write(io::Operation &operation);
    bool fast_read(io::Operation &operation);
    bool fast_write(io::Operation &operation);

    // memfs_storage.cpp
    NTSTATUS non_cached(const OperationPointer &operation);
    /// The mapped page writer's: completes from the storage's DPC [SEQ-12].
    NTSTATUS paging_write_later(const OperationPointer &operation);
    static void transfer(io::Operation &operation);
    void finish_storage(StorageRequest &request);

    // memfs_query.cpp
    NTSTATUS query_information(io::Operation &operation);
    static FILE_NETWORK_OPEN_INFORMATION network_open(const Node &node);
    static FILE_STAT_INFORMATION stat(const Node &node, ACCESS_MASK access);

    // memfs_lists.cpp
    static NTSTATUS list_streams(io::Operation &operation, const Node &file);
    static NTSTATUS list_links(io::Operation &operation, const Node &file);

    // memfs_set.cpp
    NTSTATUS set_information(io::Operation &operation);
    NTSTATUS set_basic(io::Operation &operation);
    NTSTATUS set_disposition(io::Operation &operation);
    NTSTATUS set_end_of_file(io::Operation &operation);
    NTSTATUS set_allocation(io::Operation &operation);
    NTSTATUS set_valid_data(io::Operation &operation);

    // memfs_rename.cpp
    NTSTATUS rename(io::Operation &operation);
    NTSTATUS link(io::Operation &operation);
    NTSTATUS replace(Link &target, ULONG flags);

    // memfs_volume_information.cpp
    NTSTATUS query_volume_information(io::Operation &operation);
    NTSTATUS set_volume_information(io::Operation &operation);
    NTSTATUS set_label(io::Operation &operation);
    ULONG serial_number() const;
    static uint64_t clusters_of(const Node &node);

    // memfs_control.cpp
    /// A control's buffers by its method, whichever way they travel.
    struct ControlBuffers {
        const void *input = nullptr;
        ULONG input_bytes = 0;
        void *output = nullptr;
        ULONG output_bytes = 0;
    };
    static ControlBuffers control_buffers(const io::Operation &operation);
    /// A handler sets io_status.Information, and answers STATUS_PENDING when it ends the operation later.
    struct FsControl {
        ULONG code;
        NTSTATUS (MemFileSystem::*handler)(const OperationPointer &operation, const ControlBuffers &buffers);
        bool on_fat; ///< FAT knows it too
    };
    static const FsControl *find_fs_control(ULONG code);
    NTSTATUS file_system_control(const OperationPointer &operation);

    // memfs_reparse.cpp
    NTSTATUS set_reparse_point(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS get_reparse_point(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS delete_reparse_point(const OperationPointer &operation, const ControlBuffers &buffers);

    // memfs_file_control.cpp
    NTSTATUS set_sparse(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS set_zero_data(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS query_allocated_ranges(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS get_compression(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS set_compression(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS get_object_id(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS create_or_get_object_id(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS set_object_id(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS delete_object_id(const OperationPointer &operation, const ControlBuffers &buffers);
    static NTSTATUS give_object_id(io::Operation &operation, const Node &node, const ControlBuffers &buffers);

    // memfs_lock.cpp
    NTSTATUS lock_control(const OperationPointer &operation);
    bool fast_lock_control(io::Operation &operation);
    /// STATUS_FILE_LOCK_CONFLICT when somebody's byte-range lock forbids this read or write.
    static NTSTATUS check_locks(const io::Operation &operation);
    /// FastIoCheckIfPossible: asks filters, then looks at the locks. True when no lock is in the way.
    bool check_fast_io(const io::Operation &operation);
    static bool fast_io_possible(io::Operation &operation);
    void drop_locks(io::FileObject &file);

    // memfs_oplock.cpp
    NTSTATUS request_oplock(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS request_legacy_oplock(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS acknowledge_legacy(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS wait_for_oplock_break(const OperationPointer &operation, const ControlBuffers &buffers);
    /// Before the operation does its work: breaks the oplocks that it is not compatible with, and waits for their owners where that is
    /// due. STATUS_SUCCESS: go on. STATUS_PENDING: it is run again when the owners have acknowledged.
    NTSTATUS check_oplocks(const OperationPointer &operation);
    /// The same for a create, once its file is found; it waits here, or completes with STATUS_OPLOCK_BREAK_IN_PROGRESS.
    NTSTATUS check_oplocks_of_create(io::Operation &operation, Node &node, bool sharing_violation);
    void drop_oplocks(io::FileObject &file);
    static bool oplocks_allow_fast_io(const io::Operation &operation);
    static NTSTATUS may_request_oplock(const io::Operation &operation, bool shared);
    NTSTATUS grant_oplock(const OperationPointer &operation, OplockKind kind, ULONG level);
    NTSTATUS acknowledge_windows7(const OperationPointer &operation, ULONG level);
    NTSTATUS wait_for_break(const OperationPointer &operation, const std::shared_ptr<StreamWaits> &waits);
    void oplock_break_ended(const std::shared_ptr<StreamWaits> &waits);

    // memfs_notify.cpp
    NTSTATUS notify_directory(const OperationPointer &operation);
    /// Something below `directory` changed: watchers are told, in this thread [SEQ-17].
    void report_change(const Node &directory, std::u16string_view name, bool is_directory, ULONG filter, ULONG action);
    void report_after(const io::Operation &operation, const std::u16string &name_before, const Node *parent_before);
    void report_link(const Link &link, ULONG filter, ULONG action);
    void complete_notifications();
    /// The requests of this file's watch (file null: of all watches of `directory`) end with `status`.
    void end_watch(const io::FileObject *file, const Node *directory, NTSTATUS status);

    // memfs_mdl.cpp
    bool mdl_io(io::Operation &operation);

    // memfs_async.cpp
    /// A cached read of an asynchronous handle that would have to wait: a worker does it [SEQ-05].
    NTSTATUS read_on_worker(const OperationPointer &operation);
    /// Runs the whole operation on a worker, with this TopLevelIrp, and completes it there.
    void run_on_worker(const OperationPointer &operation, LONGLONG top_level_irp);
    /// Ends an operation that has waited, in this thread.
    void complete_waiting(const OperationPointer &operation, NTSTATUS status);

    // memfs_volume.cpp
    NTSTATUS lock_volume(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS unlock_volume(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS dismount_volume(const OperationPointer &operation, const ControlBuffers &buffers);
    NTSTATUS is_volume_mounted(const OperationPointer &operation, const ControlBuffers &buffers);
    /// What the volume's lock has against an open.
    NTSTATUS check_volume_lock() const { return volume_locked_by_ != nullptr ? STATUS_ACCESS_DENIED : STATUS_SUCCESS; }
    /// An open ended, or a create succeeded.
    void count_open(const io::FileObject &file, bool opened);

    // memfs_device.cpp
    NTSTATUS device_control(io::Operation &operation);

    // memfs_directory.cpp
    NTSTATUS query_directory(io::Operation &operation);

    // memfs.cpp
    NTSTATUS cleanup(io::Operation &operation);
    NTSTATUS close(io::Operation &operation);
    void unlink(Link &link);
    int64_t now() const;
    /// The times and the archive attribute that a write through this handle changes.
    void touch_written(io::FileObject &file);
    void touch_accessed(io::FileObject &file);

    io::IoManager::Impl &manager_;
    io::Volume &volume_;
    std::shared_ptr<Link> root_link_;
    std::shared_ptr<Node> root_;
    bool
        short_names_; ///< new names get an 8.3 one: on FAT always, on NTFS only on the boot volume, as Windows formats them
    std::map<uint64_t, std::weak_ptr<Node>> by_id_;
    std::map<std::vector<uint8_t>, std::weak_ptr<Node>> by_object_id_;
    struct Quota {
        int64_t changed = 0;
        int64_t threshold = -1;
        int64_t limit = -1;
    };
    std::map<std::vector<uint8_t>, Quota> quotas_; ///< by SID
    std::u16string label_;
    FILE_FS_CONTROL_INFORMATION control_{};
    std::optional<FILE_FS_OBJECTID_INFORMATION> object_id_;
    std::shared_ptr<VolumeWaits> waits_; ///< directory watches and MDL chains (fs/waits.hpp)
    const io::FileObject *volume_locked_by_ = nullptr; ///< FSCTL_LOCK_VOLUME came on it
    uint32_t opens_ = 0; ///< of this mount, not cleaned up
    uint32_t opens_of_mount_ = 0; ///< Volume::mounts that opens_ counts for
    uint64_t next_id_ = 5; ///< the root directory's number on NTFS
};

inline constexpr ULONG SETTABLE_ATTRIBUTES = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM |
                                             FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_TEMPORARY |
                                             FILE_ATTRIBUTE_OFFLINE | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

/// Moves a synchronous handle's position behind what was transferred.
void advance_position(const io::Operation &operation, int64_t end);
/// Where a read puts its data, or a write has them.
void *transfer_memory(const io::Operation &operation);

} // namespace fltsim::fs
