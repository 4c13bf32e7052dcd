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

#include "fs/file_system.hpp"
#include "fs/node.hpp"

namespace fltsim::fs {

/// A non-cached request that waits for the storage (Operation::fs_state).
struct StorageRequest {
    bool finished = false;
    bool waited_for = false; ///< the thread waits in dispatch and completes it itself
    NTSTATUS status = STATUS_SUCCESS;
};

class MemFileSystem : public FileSystem {
  public:
    MemFileSystem(io::IoManager::Impl &manager, io::Volume &volume);
    ~MemFileSystem() override;

    NTSTATUS dispatch(const std::shared_ptr<io::Operation> &operation) override;
    bool dispatch_inline(const std::shared_ptr<io::Operation> &operation) override;
    void cancel(const std::shared_ptr<io::Operation> &operation) override;
    NTSTATUS query_name(io::FileObject &file, std::u16string *name) override;

    /// A directory in the root, made without any operation.
    void make_directory(std::u16string_view name);
    /// The cache of an open file; null for directories and volumes.
    static std::shared_ptr<io::Cache> cache_of(const io::FileObject &file);

  private:
    using OperationPointer = std::shared_ptr<io::Operation>;
    bool ntfs() const { return volume_.profile == io::FsProfile::Ntfs; }
    NTSTATUS process(const OperationPointer &operation);

    // memfs_create.cpp
    NTSTATUS create(io::Operation &operation);
    NTSTATUS open_target_directory(io::Operation &operation, const ParsedPath &path);
    NTSTATUS walk(const ParsedPath &path, size_t components, std::shared_ptr<Node> *node) const;
    NTSTATUS create_new(io::Operation &operation, const ParsedPath &path, Node &parent);
    NTSTATUS open_existing(io::Operation &operation, const ParsedPath &path, const std::shared_ptr<Node> &node);
    void overwrite(Node &node, ULONG disposition, ULONG attributes);
    void attach(io::FileObject &file, const std::shared_ptr<Node> &node);
    std::shared_ptr<Node> make_node(bool directory, ULONG attributes);

    // memfs_data.cpp
    NTSTATUS read(const OperationPointer &operation);
    NTSTATUS write(const OperationPointer &operation);
    NTSTATUS flush(io::Operation &operation);
    NTSTATUS paging_read(io::Operation &operation);
    NTSTATUS paging_write(io::Operation &operation);
    NTSTATUS cached_read(io::Operation &operation);
    NTSTATUS cached_write(io::Operation &operation);
    bool fast_read(io::Operation &operation);
    bool fast_write(io::Operation &operation);

    // memfs_storage.cpp
    NTSTATUS non_cached(const OperationPointer &operation);
    static void transfer(io::Operation &operation);
    void finish_storage(StorageRequest &request);

    // memfs_query.cpp
    NTSTATUS query_information(io::Operation &operation);

    // memfs_set.cpp
    NTSTATUS set_information(io::Operation &operation);
    NTSTATUS set_basic(io::Operation &operation);
    NTSTATUS rename(io::Operation &operation);
    NTSTATUS replace(Node &target, ULONG flags);
    NTSTATUS set_disposition(io::Operation &operation);
    NTSTATUS set_end_of_file(io::Operation &operation);
    NTSTATUS set_allocation(io::Operation &operation);

    // memfs_directory.cpp
    NTSTATUS query_directory(io::Operation &operation);

    // memfs.cpp
    NTSTATUS cleanup(io::Operation &operation);
    NTSTATUS close(io::Operation &operation);
    void unlink(Node &node);
    int64_t now() const;

    io::IoManager::Impl &manager_;
    io::Volume &volume_;
    std::shared_ptr<Node> root_;
    uint64_t next_id_ = 5; ///< the root directory's number on NTFS
};

/// Moves a synchronous handle's position behind what was transferred.
void advance_position(io::FileObject &file, int64_t end);

} // namespace fltsim::fs
