// SPDX-License-Identifier: MIT
//
// This module provides: everything in which Windows is meant to differ from the host's file system, in one place, each counted when it is met; and
// the table that says which NTSTATUS an errno stands for.
//
// Invariant: a difference is decided from the state of the host's side alone, before the model is asked. Where one is decided, the model must show
// it; where none is, it must not.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "operation.hpp"
#include "outcome.hpp"

namespace reference {

#define REFERENCE_DIFFERENCES(X)                                                                                       \
    X(delete_pending, "a deleted file keeps its name until its last handle is closed, and cannot be opened meanwhile") \
    X(create_in_deleted, "nothing can be made in a directory that is marked for deletion")                             \
    X(delete_mapped, "a file with a mapped view cannot be deleted, but with POSIX semantics")                          \
    X(truncate_mapped, "a file with a mapped view cannot be made shorter")                                             \
    X(rename_above_open, "a directory with open files below it cannot be renamed")                                     \
    X(replace_directory, "a rename or link never replaces a directory (fat: as if nothing was to be replaced)")        \
    X(replace_by_directory, "a rename replaces a file by a directory")                                                 \
    X(replace_open, "a rename or link does not replace a name of an open or mapped file, but with POSIX semantics")    \
    X(rename_to_link,                                                                                                  \
      "a rename to another name of the same file leaves one name, also where it was not to replace it")                \
    X(link_replaces, "a link can replace a name that is there")                                                        \
    X(link_of_deleted, "a name that is marked for deletion or gone gets no further link")                              \
    X(rights, "a handle can only do what it was opened for: delete, list, set times, move its position, flush")        \
    X(directory_handle, "a directory is opened with FILE_FLAG_BACKUP_SEMANTICS only, and has no data or position")     \
    X(unaligned, "unbuffered I/O is aligned to sectors")                                                               \
    X(section_size, "a read-only section is not longer than its file")                                                 \
    X(long_name_first, "a name that is too long is found before a directory that is not there")                        \
    X(fat_size, "fat: a file has less than 4 GiB")                                                                     \
    X(fat_classes, "fat: no POSIX rename and delete, no hard links")                                                   \
    X(position, "reading and writing at an offset moves the handle's position")                                        \
    X(link_count, "directories have one link; a name that is marked for deletion is not counted")

enum class Difference : uint8_t {
#define X(name, text) name,
    REFERENCE_DIFFERENCES(X)
#undef X
        count
};
constexpr size_t DIFFERENCES = static_cast<size_t>(Difference::count);

#define REFERENCE_OMISSIONS(X)                                                                                         \
    X(change_of_deleted,                                                                                               \
      "renaming or deleting again what is marked for deletion or gone, or to such a name: undocumented")               \
    X(map_of_large, "a view of a file of more than 1 MiB: a region of the model cannot grow while it is mapped")       \
    X(position_of_directory, "moving the position of a directory's handle, which means nothing")

/// Operations that neither side carries out.
enum class Omission : uint8_t {
#define X(name, text) name,
    REFERENCE_OMISSIONS(X)
#undef X
        count
};
constexpr size_t OMISSIONS = static_cast<size_t>(Omission::count);

std::string_view name_of(Difference difference);
std::string_view explanation_of(Difference difference);
std::string_view name_of(Omission omission);
std::string_view explanation_of(Omission omission);

/// What else decides which status an errno stands for.
struct Situation {
    bool parent_is_directory = true; ///< of the path that was named
    bool backup = false; ///< FILE_FLAG_BACKUP_SEMANTICS
};

/// The NTSTATUS that the operation fails with where the host fails with `error`. Nothing: the table has no such row, which is a difference.
std::optional<NTSTATUS> status_for(Kind kind, int error, const Situation &situation);

/// What the check met.
struct Counts {
    uint64_t operations = 0;
    uint64_t skipped = 0;
    uint64_t sequences = 0;
    uint64_t worlds = 0;
    uint64_t files_compared = 0; ///< at the ends of sequences, whole
    uint64_t observed = 0; ///< post-operations that the driver observed
    uint64_t pended = 0; ///< and that it pended
    uint64_t refused = 0; ///< and that a rule wanted pended, and that could not be
    std::array<uint64_t, KINDS> succeeded{};
    std::array<uint64_t, KINDS> failed{};
    std::array<uint64_t, DIFFERENCES> differences{};
    std::array<uint64_t, OMISSIONS> omissions{};

    void add(const Counts &other);
};

} // namespace reference
