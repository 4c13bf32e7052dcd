// SPDX-License-Identifier: MIT
//
// This module provides: the operations of the reference check, as values and as the lines of a script that can be replayed.
//
// A path is a list of one-letter names, "a\B\l": the letter chooses the name, its case the spelling that the model is given; the host, which
// distinguishes case, always gets the lower one. `names()` says what the letters stand for.
//
// Invariant: every operation can be carried out in every state (one that needs an open handle does nothing without it), so that any part of a
// sequence is a sequence again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reference {

#define REFERENCE_KINDS(X)                                                                                             \
    X(open)                                                                                                            \
    X(close)                                                                                                           \
    X(read)                                                                                                            \
    X(read_next)                                                                                                       \
    X(write)                                                                                                           \
    X(write_next)                                                                                                      \
    X(seek)                                                                                                            \
    X(truncate)                                                                                                        \
    X(allocate)                                                                                                        \
    X(rename)                                                                                                          \
    X(link)                                                                                                            \
    X(dispose)                                                                                                         \
    X(make_directory)                                                                                                  \
    X(remove)                                                                                                          \
    X(move)                                                                                                            \
    X(link_name)                                                                                                       \
    X(stat)                                                                                                            \
    X(stat_open)                                                                                                       \
    X(list)                                                                                                            \
    X(list_open)                                                                                                       \
    X(map)                                                                                                             \
    X(unmap)                                                                                                           \
    X(view_read)                                                                                                       \
    X(view_write)                                                                                                      \
    X(view_flush)                                                                                                      \
    X(flush)                                                                                                           \
    X(set_times)                                                                                                       \
    X(pause)

enum class Kind : uint8_t {
#define X(name) name,
    REFERENCE_KINDS(X)
#undef X
        count
};
constexpr size_t KINDS = static_cast<size_t>(Kind::count);

enum class Disposition : uint8_t { open_existing, open_always, create_new, create_always, truncate_existing, count };

enum Flag : uint32_t {
    READ = 1u << 0, ///< rights of open
    WRITE = 1u << 1, ///< also: a writable view
    APPEND = 1u << 2, ///< FILE_APPEND_DATA without FILE_WRITE_DATA, unless WRITE is there too
    DELETE_RIGHT = 1u << 3,
    BACKUP = 1u << 4, ///< FILE_FLAG_BACKUP_SEMANTICS: directories can be opened
    NO_BUFFERING = 1u << 5,
    WRITE_THROUGH = 1u << 6,
    DELETE_ON_CLOSE = 1u << 7,
    REPLACE = 1u << 8, ///< rename, move, link, link_name
    POSIX = 1u << 9, ///< these, dispose, remove: the Ex classes with POSIX semantics
    UNDO = 1u << 10, ///< dispose: take it back
};

constexpr uint32_t HANDLES = 6;
constexpr uint32_t VIEWS = 3;

struct Operation {
    Kind kind = Kind::pause;
    Disposition disposition = Disposition::open_existing;
    uint32_t handle = 0; ///< below HANDLES
    uint32_t view = 0; ///< below VIEWS
    uint32_t flags = 0; ///< of Flag
    uint32_t length = 0; ///< bytes; of list: of the buffer; of pause: milliseconds
    uint64_t offset = 0; ///< bytes; of truncate and allocate: the new size; of set_times: seconds since 1970
    uint64_t data = 0; ///< what `content_of` makes the written bytes from; of seek: the method
    std::string path;
    std::string to; ///< the new name of rename, move, link and link_name

    bool operator==(const Operation &) const = default;
};

std::string_view name_of(Kind kind);
/// One line; `parse` reads it again.
std::string text_of(const Operation &operation);
/// Nothing, with `*error` set, for a line that is no operation.
std::optional<Operation> parse(std::string_view line, std::string *error);
/// The bytes that a write of this operation writes.
std::string content_of(const Operation &operation);

/// A name: its letter, and the spellings that the letter's lower and upper case stand for.
struct Name {
    char letter;
    std::u16string lower;
    std::u16string upper;
};
const std::vector<Name> &names();
/// Longer than any file system takes it.
constexpr char TOO_LONG = 'o';
const Name &name_for(char letter);
std::u16string spelled(char letter);
/// "a\B" as the model gets it, relative to a directory.
std::u16string model_path(std::string_view path);
/// The same as the host gets it, in UTF-8.
std::string host_path(std::string_view path);
std::string utf8(std::u16string_view text);

} // namespace reference
