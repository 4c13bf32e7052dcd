// SPDX-License-Identifier: MIT
//
// This module provides: a file or directory of the memory file system: its place in the tree, its attributes, its content on disk, its
// cache, and who has it open.
//
// Invariants: a node that is in the tree is owned by the links to it, and they by their directories' `children`; an unlinked one lives as long as a
// file object refers to it. The content on disk changes by non-cached and paging writes, and by giving up ranges; bytes behind the end of the file
// are zero there.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

/// Access that writes data, for share modes and read-only files.
constexpr ACCESS_MASK WRITES = FILE_WRITE_DATA | FILE_APPEND_DATA;

class Node;

/// A name of a file: an entry of its directory. Only files of the ntfs profile have more than one.
struct Link {
    std::u16string name; ///< as given; empty for the root
    std::u16string short_name; ///< 8.3, where the volume makes them and the name is none itself
    Node *parent = nullptr; ///< null for the root, and once removed
    std::shared_ptr<Node> node;
    bool delete_pending = false;
    uint32_t handles = 0; ///< opens through this name, its streams' as well, that have not been cleaned up
};

/// A reparse point's REPARSE_DATA_BUFFER; empty: none.
using ReparseData = std::vector<uint8_t>;

/// One extended attribute.
struct ExtendedAttribute {
    std::string name; ///< as given
    std::vector<uint8_t> value;
    UCHAR flags = 0;
};

struct StreamWaits;

class Node : public io::CachedFile, public std::enable_shared_from_this<Node> {
  public:
    using Page = std::array<uint8_t, io::Cache::PAGE>;

    // Of every node: a file, a directory, or a named stream.
    uint64_t size = 0; ///< end of file
    uint64_t allocation = 0;
    uint64_t valid_data = 0; ///< what FileValidDataLengthInformation set last, at most `size`
    std::shared_ptr<io::Cache> cache; ///< not of directories
    SECTION_OBJECT_POINTERS section_pointers{};
    ShareCounts share;
    uint32_t handles = 0; ///< opens that have not been cleaned up
    std::shared_ptr<StreamWaits> waits; ///< byte-range locks and oplocks, once there was one (fs/waits.hpp)
    bool writing = false; ///< a cached write is on its way: see WriteLock

    // Of a named stream alone.
    Node *base = nullptr; ///< its file; who holds a stream holds the file as well
    std::u16string stream_name;
    bool stream_delete_pending = false;
    bool stream_removed = false;

    // Of a file or directory.
    uint64_t id = 0;
    bool root = false;
    bool directory = false;
    bool unlinked = false; ///< no name is left
    ULONG attributes = 0; ///< without FILE_ATTRIBUTE_DIRECTORY, _NORMAL and _REPARSE_POINT
    FileTimes times;
    std::vector<Link *> links; ///< its names, oldest first
    std::map<std::u16string, std::shared_ptr<Link>> children; ///< by folded name
    std::map<std::u16string, Link *> short_names; ///< by folded 8.3 name, of those that differ from the long one
    std::map<std::u16string, std::shared_ptr<Node>> streams; ///< by folded name
    ReparseData reparse;
    std::map<std::string, ExtendedAttribute> ea; ///< by upper-case name
    std::vector<uint8_t> security; ///< self-relative
    std::vector<uint8_t> object_id; ///< FILE_OBJECTID_BUFFER; empty: none

    uint64_t end_of_file() const override { return size; }
    bool same_on_disk(uint64_t page, const uint8_t *data) const override;

    void read_disk(uint64_t offset, uint8_t *to, uint64_t length) const;
    void write_disk(uint64_t offset, const uint8_t *from, uint64_t length);
    /// Moves the end of the file; what lies behind a smaller one is forgotten on disk and in the cache.
    void set_size(uint64_t new_size);
    /// Zeroes, and gives up the pages that lie in the range with all they have.
    void zero(uint64_t from, uint64_t to);
    /// The next range with pages of its own at or behind `from`, as [start, end); nothing: no more.
    std::optional<std::pair<uint64_t, uint64_t>> allocated_range(uint64_t from) const;

    /// Who has attributes, times and names: the file of a stream, else this.
    Node &owner() { return base != nullptr ? *base : *this; }
    const Node &owner() const { return base != nullptr ? *base : *this; }

    /// By long or 8.3 name.
    std::shared_ptr<Link> child(std::u16string_view child_name) const;
    std::shared_ptr<Link> add_child(const std::shared_ptr<Node> &node, std::u16string_view child_name,
                                    bool with_short_name);
    void remove_child(Link &link);
    /// The same link in another directory, or under another name; opens of it go along.
    void move_child(const std::shared_ptr<Link> &link, Node &to, std::u16string_view new_name, bool with_short_name);
    /// As user mode sees them.
    ULONG visible_attributes() const;
    ULONG reparse_tag() const;
    /// Bytes of the attributes as FILE_EA_INFORMATION counts them.
    ULONG ea_bytes() const;
    /// Names that are not about to go.
    ULONG live_links() const;
    bool open() const { return handles != 0 || open_stream(); }
    bool open_stream() const;
    /// Whether a file below this directory is open.
    bool open_below() const;

  private:
    void insert_child(const std::shared_ptr<Link> &link, std::u16string_view child_name, bool with_short_name);

    std::map<uint64_t, Page> disk_; ///< absent: zeros
};

/// \dir\file, relative to the volume.
std::u16string path_of(const Link &link);

/// An open of a node (FileObject::fs_context).
struct OpenState {
    std::shared_ptr<Link> link; ///< the name it came by; null for the volume itself
    bool counted = false; ///< in Node::share
    bool delete_on_close = false;
    bool posix_delete = false;
    // The times that this handle's operations leave alone: it has set them, or asked for that with -1.
    bool keep_accessed = false;
    bool keep_written = false;
    bool keep_changed = false;
    bool listing = false; ///< a directory query has been made
    std::u16string pattern;
    uint32_t dots_listed = 0;
    std::u16string last; ///< folded name of the last entry returned
    size_t ea_position = 0; ///< of the next NtQueryEaFile
    size_t quota_position = 0;
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
/// A stream's file, or the file itself.
inline Node *owner_of(const io::FileObject &file) {
    Node *node = node_of(file);
    return node != nullptr ? &node->owner() : nullptr;
}
inline OpenState *open_of(const io::FileObject &file) {
    return static_cast<OpenState *>(file.fs_context.get());
}

} // namespace fltsim::fs
