// SPDX-License-Identifier: MIT
//
// This module provides: the reference check's operations on the host's file system, through POSIX, and what Windows answers where it is
// meant to differ (differences.hpp).
//
// Invariants
// - Content, names, sizes, positions and the errors that both systems have are the host's own; nothing here keeps a copy of them.
// - What POSIX has no word for is kept here: which names are marked for deletion, which rights a handle has, which spelling a name was given in.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <sys/stat.h>
#include <sys/types.h>

#include "differences.hpp"

namespace reference {

enum class Profile : uint8_t { ntfs, fat };

class Host {
  public:
    /// `root`: an empty directory. Counts go to `counts`.
    Host(std::string root, Profile profile, Counts &counts);
    ~Host();
    Host(const Host &) = delete;
    Host &operator=(const Host &) = delete;

    /// Nothing: neither side is to carry it out; it is counted. Throws std::logic_error for an errno that the table does not have.
    std::optional<Outcome> run(const Operation &operation);
    void close_all();
    bool is_open(uint32_t handle) const { return slots_[handle].fd >= 0; }
    bool is_mapped(uint32_t view) const { return views_[view].base != nullptr; }
    Outcome list(const std::string &path) const;
    Outcome stat(const std::string &path) const;
    /// Of a file below the root; where it has content (the rest are holes), by offset and length.
    std::vector<std::pair<uint64_t, uint64_t>> extents(const std::string &path) const;
    Outcome read(const std::string &path, uint64_t offset, uint32_t length) const;

  private:
    struct Slot {
        int fd = -1;
        uint32_t flags = 0;
        bool directory = false;
        bool posix_delete = false;
        ino_t file = 0;
    };
    struct View {
        uint8_t *base = nullptr;
        uint64_t bytes = 0;
        bool writable = false;
        ino_t file = 0;
    };
    using NameKey = std::pair<ino_t, std::string>; ///< a directory and a lower-case name in it
    /// Why Windows refuses; none: it does not.
    class Refusals;

    std::string full(std::string_view path) const { return root_ + "/" + host_path(path); }
    void count(Difference difference) { ++counts_.differences[static_cast<size_t>(difference)]; }
    std::optional<Outcome> omit(Omission omission);
    Outcome failure(const Operation &operation, const std::string &path, int error) const;
    void remember_spelling(const std::string &path, std::string_view given);
    std::u16string spelling(ino_t directory, const std::string &name) const;
    bool mapped(ino_t file) const;
    uint32_t opens(ino_t file) const;
    uint32_t opens_by(const std::string &path) const;
    static NameKey key_of(const std::string &path);
    bool pending(const std::string &path) const { return pending_.contains(key_of(path)); }
    bool pending_parent(const std::string &path) const;
    uint32_t pending_names(ino_t file) const;
    bool open_below(const std::string &directory) const;
    bool too_large(uint64_t end) const;
    /// A path with a name that no file system takes.
    std::optional<Outcome> too_long(std::string_view path);

    // host.cpp
    Outcome open(const Operation &operation);
    Outcome open_existing(const Operation &operation, const std::string &path, const struct stat &there);
    Outcome finish_open(const Operation &operation, const std::string &path, bool made);
    Outcome close(Slot &slot);
    Outcome by_path(const Operation &operation);
    Outcome info_of(const struct stat &file, const std::string &path);
    std::optional<Outcome> on_open(const Operation &operation);

    // host_names.cpp
    Outcome make_directory(const Operation &operation);
    std::optional<Outcome> rename(const Operation &operation, const std::string &from, uint32_t rights);
    std::optional<Outcome> move(const Operation &operation);
    Outcome link(const Operation &operation, const std::string &from, int fd);
    Outcome link_name(const Operation &operation);
    std::optional<Outcome> remove(const Operation &operation);
    std::optional<Outcome> dispose(Slot &slot, const Operation &operation);
    Outcome unlink(const std::string &path);

    // host_data.cpp
    Outcome read(Slot &slot, const Operation &operation);
    Outcome write(Slot &slot, const Operation &operation);
    std::optional<Outcome> seek(Slot &slot, const Operation &operation);
    Outcome set_size(Slot &slot, const Operation &operation);
    Outcome flush(Slot &slot);
    Outcome set_times(Slot &slot, const Operation &operation);
    Outcome on_view(const Operation &operation);
    std::optional<Outcome> map(Slot &slot, const Operation &operation);

    std::string root_;
    Profile profile_;
    Counts &counts_;
    std::array<Slot, HANDLES> slots_;
    std::array<View, VIEWS> views_;
    std::map<NameKey, ino_t> pending_; ///< names that are marked for deletion, and their files
    std::set<ino_t> timed_; ///< the time of the last write was set, and nothing was written since
    std::map<NameKey, std::u16string> spellings_;
};

/// Why Windows refuses: the first status is the one that is expected, the others are right as well. Each is counted.
class Host::Refusals {
  public:
    explicit Refusals(Host &host) : host_(host) {}
    void add(bool applies, Difference difference, NTSTATUS status) {
        if (applies) {
            host_.count(difference);
            statuses_.push_back(status);
        }
    }
    /// The host would refuse as well: that status is right, too.
    void host_refuses(bool applies, NTSTATUS status) {
        if (applies) {
            hosts_.push_back(status);
        }
    }
    const std::vector<NTSTATUS> &hosts() const { return hosts_; }
    explicit operator bool() const { return !statuses_.empty(); }
    Outcome outcome() const {
        Outcome outcome = Outcome::failure(statuses_.front());
        outcome.also.assign(statuses_.begin() + 1, statuses_.end());
        outcome.also.insert(outcome.also.end(), hosts_.begin(), hosts_.end());
        return outcome;
    }

  private:
    Host &host_;
    std::vector<NTSTATUS> statuses_;
    std::vector<NTSTATUS> hosts_;
};

/// A path without its last part, and that part.
std::pair<std::string, std::string> split(const std::string &path);
bool is_directory(const std::string &path);
/// Where the open file is now; ends with " (deleted)" when it is nowhere.
std::string path_of(int fd);
bool is_deleted(const std::string &path);

} // namespace reference
