// SPDX-License-Identifier: MIT
//
// This module provides: a file or directory of the memory file system: its place in the tree, its attributes, its content on disk, its
// cache, and who has it open.
//
// Invariants: a node that is in the tree is owned by its parent's `children`; an unlinked one lives as long as a file object refers to it. The
// content on disk changes by non-cached and paging writes only; bytes behind the end of the file are zero there.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <unordered_map>

#include "fs/names.hpp"
#include "io/cache.hpp"

namespace fltsim::fs {

/// Who has the file open, as IoCheckShareAccess counts it.
struct ShareCounts {
    uint32_t opens = 0;
    uint32_t readers = 0;
    uint32_t writers = 0;
    uint32_t deleters = 0;
    uint32_t shared_read = 0;
    uint32_t shared_write = 0;
    uint32_t shared_delete = 0;

    bool allows(ACCESS_MASK access, ULONG share) const;
    void add(ACCESS_MASK access, ULONG share);
    void remove(ACCESS_MASK access, ULONG share);
};

struct FileTimes {
    int64_t created = 0;
    int64_t accessed = 0;
    int64_t written = 0;
    int64_t changed = 0;
};

class Node : public io::CachedFile, public std::enable_shared_from_this<Node> {
  public:
    using Page = std::array<uint8_t, io::Cache::PAGE>;

    uint64_t id = 0;
    std::u16string name; ///< as given; empty for the root
    Node *parent = nullptr; ///< null for the root, and once unlinked
    bool root = false;
    bool directory = false;
    bool unlinked = false;
    bool delete_pending = false;
    ULONG attributes = 0; ///< without FILE_ATTRIBUTE_DIRECTORY and FILE_ATTRIBUTE_NORMAL
    FileTimes times;
    uint64_t size = 0; ///< end of file
    uint64_t allocation = 0;
    std::map<std::u16string, std::shared_ptr<Node>> children; ///< by folded name
    std::shared_ptr<io::Cache> cache; ///< files only
    SECTION_OBJECT_POINTERS section_pointers{};
    ShareCounts share;
    uint32_t handles = 0; ///< opens that have not been cleaned up
    bool writing = false; ///< a cached write is on its way: see WriteLock

    uint64_t end_of_file() const override { return size; }
    bool same_on_disk(uint64_t page, const uint8_t *data) const override;

    void read_disk(uint64_t offset, uint8_t *to, uint64_t length) const;
    void write_disk(uint64_t offset, const uint8_t *from, uint64_t length);
    /// Moves the end of the file; what lies behind a smaller one is forgotten on disk and in the cache.
    void set_size(uint64_t new_size);

    std::shared_ptr<Node> child(std::u16string_view child_name) const;
    void add_child(const std::shared_ptr<Node> &node, std::u16string_view child_name);
    void remove_child(Node &node);
    /// \dir\file, relative to the volume.
    std::u16string path() const;
    /// As user mode sees them.
    ULONG visible_attributes() const;
    /// Whether a file below this directory is open.
    bool open_below() const;

  private:
    std::unordered_map<uint64_t, Page> disk_; ///< absent: zeros
};

/// An open of a node (FileObject::fs_context).
struct OpenState {
    bool counted = false; ///< in Node::share
    bool delete_on_close = false;
    bool posix_delete = false;
    bool listing = false; ///< a directory query has been made
    bool listed_any = false;
    std::u16string pattern;
    uint32_t dots_listed = 0;
    std::u16string last; ///< folded name of the last entry returned
};

/// RAII: cached writes of a file go one after the other, from finding the end of the file to moving it. Paging I/O does not need it.
class WriteLock {
  public:
    explicit WriteLock(Node &node) : node_(node) {
        while (node_.writing &&
               (world().block(&node_.writing, [this] { return !node_.writing; }) || !world().ending())) {
        }
        node_.writing = true;
    }
    ~WriteLock() { release(); }
    WriteLock(const WriteLock &) = delete;
    WriteLock &operator=(const WriteLock &) = delete;
    void release() {
        if (!released_) {
            released_ = true;
            node_.writing = false;
            world().wake(&node_.writing);
        }
    }

  private:
    Node &node_;
    bool released_ = false;
};

inline Node *node_of(const io::FileObject &file) {
    return static_cast<Node *>(file.fcb.get());
}
inline OpenState *open_of(const io::FileObject &file) {
    return static_cast<OpenState *>(file.fs_context.get());
}

} // namespace fltsim::fs
