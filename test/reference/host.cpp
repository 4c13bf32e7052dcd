// SPDX-License-Identifier: MIT
//
// This module provides: opening, closing, listing and asking on the host's side (host.hpp).

#include "host.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace reference {

namespace {

bool creates(Disposition disposition) {
    return disposition == Disposition::open_always || disposition == Disposition::create_new ||
           disposition == Disposition::create_always;
}
bool overwrites(Disposition disposition) {
    return disposition == Disposition::create_always || disposition == Disposition::truncate_existing;
}

int creation_flags(Disposition disposition) {
    return (creates(disposition) ? O_CREAT : 0) | (disposition == Disposition::create_new ? O_EXCL : 0) |
           (overwrites(disposition) ? O_TRUNC : 0);
}

/// A handle that neither reads nor writes is an O_PATH descriptor.
int access_flags(uint32_t flags) {
    const bool writes = (flags & (WRITE | APPEND)) != 0;
    const int append = (flags & APPEND) != 0 && (flags & WRITE) == 0 ? O_APPEND : 0;
    if ((flags & READ) != 0) {
        return writes ? O_RDWR | append : O_RDONLY;
    }
    return writes ? O_WRONLY | append : O_PATH;
}

constexpr mode_t FILE_MODE = 0600;
constexpr std::string_view DELETED = " (deleted)";

} // namespace

std::pair<std::string, std::string> split(const std::string &path) {
    const size_t last = path.rfind('/');
    return {path.substr(0, last), path.substr(last + 1)};
}

bool is_directory(const std::string &path) {
    struct stat file;
    return ::stat(path.c_str(), &file) == 0 && S_ISDIR(file.st_mode);
}

std::string path_of(int fd) {
    std::string text(4096, '\0');
    const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), text.data(), text.size());
    text.resize(length < 0 ? 0 : static_cast<size_t>(length));
    return text;
}

bool is_deleted(const std::string &path) {
    return std::string_view(path).ends_with(DELETED);
}

Host::Host(std::string root, Profile profile, Counts &counts)
    : root_(std::move(root)), profile_(profile), counts_(counts) {}

Host::~Host() {
    close_all();
}

void Host::close_all() {
    for (View &view : views_) {
        if (view.base != nullptr) {
            munmap(view.base, view.bytes);
        }
        view = {};
    }
    for (Slot &slot : slots_) {
        if (slot.fd >= 0) {
            close(slot);
        }
    }
}

std::optional<Outcome> Host::omit(Omission omission) {
    ++counts_.omissions[static_cast<size_t>(omission)];
    return std::nullopt;
}

Outcome Host::failure(const Operation &operation, const std::string &path, int error) const {
    const Situation situation{is_directory(split(path).first), (operation.flags & BACKUP) != 0};
    const auto status = status_for(operation.kind, error, situation);
    if (!status) {
        throw std::logic_error("the table has no status for " + std::string(strerror(error)) + " of " +
                               text_of(operation));
    }
    return Outcome::failure(*status);
}

Host::NameKey Host::key_of(const std::string &path) {
    struct stat directory;
    const auto [parent, name] = split(path);
    return ::stat(parent.c_str(), &directory) == 0 ? NameKey{directory.st_ino, name} : NameKey{};
}

void Host::remember_spelling(const std::string &path, std::string_view given) {
    spellings_[key_of(path)] = spelled(given.back());
}

std::u16string Host::spelling(ino_t directory, const std::string &name) const {
    const auto found = spellings_.find({directory, name});
    return found == spellings_.end() ? u"(unknown)" : found->second;
}

bool Host::mapped(ino_t file) const {
    return std::ranges::any_of(views_, [file](const View &view) { return view.base != nullptr && view.file == file; });
}

uint32_t Host::opens(ino_t file) const {
    return static_cast<uint32_t>(
        std::ranges::count_if(slots_, [file](const Slot &slot) { return slot.fd >= 0 && slot.file == file; }));
}

uint32_t Host::opens_by(const std::string &path) const {
    return static_cast<uint32_t>(
        std::ranges::count_if(slots_, [&](const Slot &slot) { return slot.fd >= 0 && path_of(slot.fd) == path; }));
}

bool Host::pending_parent(const std::string &path) const {
    const std::string parent = split(path).first;
    return is_directory(parent) && pending(parent);
}

uint32_t Host::pending_names(ino_t file) const {
    return static_cast<uint32_t>(
        std::ranges::count_if(pending_, [file](const auto &entry) { return entry.second == file; }));
}

bool Host::open_below(const std::string &directory) const {
    return std::ranges::any_of(slots_, [&](const Slot &slot) {
        if (slot.fd < 0) {
            return false;
        }
        const std::string path = path_of(slot.fd);
        return path.starts_with(directory + "/") && !is_deleted(path);
    });
}

bool Host::too_large(uint64_t end) const {
    constexpr uint64_t FAT_BYTES_MAX = 0xFFFFFFFF;
    return profile_ == Profile::fat && end > FAT_BYTES_MAX;
}

std::optional<Outcome> Host::too_long(std::string_view path) {
    const bool has_long_name = std::ranges::any_of(path, [](char c) { return name_for(c).letter == TOO_LONG; });
    struct stat there;
    if (!has_long_name || lstat(full(path).c_str(), &there) == 0) {
        return std::nullopt;
    }
    if (errno != ENAMETOOLONG) {
        count(Difference::long_name_first);
    }
    return Outcome::failure(STATUS_OBJECT_NAME_INVALID);
}

std::optional<Outcome> Host::run(const Operation &operation) {
    const bool opens_again = operation.kind == Kind::open && slots_[operation.handle].fd >= 0;
    if (!operation.path.empty() && !opens_again) {
        if (const auto refused = too_long(operation.path)) {
            return refused;
        }
    }
    switch (operation.kind) {
    case Kind::open:
        return open(operation);
    case Kind::pause:
        return Outcome{};
    case Kind::make_directory:
        return make_directory(operation);
    case Kind::move:
        return move(operation);
    case Kind::link_name:
        return link_name(operation);
    case Kind::remove:
        return remove(operation);
    case Kind::stat:
    case Kind::list:
        return by_path(operation);
    case Kind::unmap:
    case Kind::view_read:
    case Kind::view_write:
    case Kind::view_flush:
        return on_view(operation);
    default:
        return on_open(operation);
    }
}

std::optional<Outcome> Host::on_open(const Operation &operation) {
    Slot &slot = slots_[operation.handle];
    if (slot.fd < 0) {
        return Outcome::nothing();
    }
    switch (operation.kind) {
    case Kind::close:
        return close(slot);
    case Kind::read:
    case Kind::read_next:
        return read(slot, operation);
    case Kind::write:
    case Kind::write_next:
        return write(slot, operation);
    case Kind::seek:
        return seek(slot, operation);
    case Kind::truncate:
    case Kind::allocate:
        return set_size(slot, operation);
    case Kind::rename:
        return rename(operation, path_of(slot.fd), slot.flags);
    case Kind::link:
        return link(operation, path_of(slot.fd), slot.fd);
    case Kind::dispose:
        return dispose(slot, operation);
    case Kind::map:
        return map(slot, operation);
    case Kind::flush:
        return flush(slot);
    case Kind::set_times:
        return set_times(slot, operation);
    case Kind::stat_open: {
        struct stat file;
        fstat(slot.fd, &file);
        return info_of(file, path_of(slot.fd));
    }
    case Kind::list_open: {
        if ((slot.flags & READ) == 0) {
            count(Difference::rights);
            return Outcome::failure(STATUS_ACCESS_DENIED);
        }
        if (!slot.directory) {
            return Outcome::failure(STATUS_INVALID_PARAMETER);
        }
        const std::string path = path_of(slot.fd);
        return is_deleted(path) ? Outcome{} : list(path.substr(root_.size()));
    }
    default:
        throw std::logic_error("the host has no " + std::string(name_of(operation.kind)));
    }
}

// ---- opening and closing ---------------------------------------------------------------------------------------------------------

Outcome Host::open(const Operation &operation) {
    const bool truncates = operation.disposition == Disposition::truncate_existing;
    if (slots_[operation.handle].fd >= 0 || (truncates && (operation.flags & WRITE) == 0)) {
        return Outcome::nothing();
    }
    const std::string path = full(operation.path);
    struct stat there;
    if (lstat(path.c_str(), &there) == 0) {
        return open_existing(operation, path, there);
    }
    if (creates(operation.disposition) && pending_parent(path)) {
        count(Difference::create_in_deleted);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    const int made = ::open(path.c_str(), O_RDWR | O_CLOEXEC | creation_flags(operation.disposition), FILE_MODE);
    if (made < 0) {
        return failure(operation, path, errno);
    }
    ::close(made);
    return finish_open(operation, path, true);
}

Outcome Host::open_existing(const Operation &operation, const std::string &path, const struct stat &there) {
    const bool directory = S_ISDIR(there.st_mode);
    const bool backup = (operation.flags & BACKUP) != 0;
    Refusals refusals(*this);
    refusals.add(pending(path), Difference::delete_pending, STATUS_DELETE_PENDING);
    if (!refusals && operation.disposition != Disposition::create_new) {
        const bool plain = (access_flags(operation.flags) & (O_WRONLY | O_RDWR)) == 0;
        refusals.add(directory && !backup && plain && !creates(operation.disposition), Difference::directory_handle,
                     STATUS_FILE_IS_A_DIRECTORY);
        refusals.add(!directory && overwrites(operation.disposition) && mapped(there.st_ino),
                     Difference::truncate_mapped, STATUS_USER_MAPPED_FILE);
    }
    if (refusals) {
        return refusals.outcome();
    }
    const int flags = creation_flags(operation.disposition);
    const bool opens_directory =
        directory && backup && !overwrites(operation.disposition) && operation.disposition != Disposition::create_new;
    if (!opens_directory) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, FILE_MODE);
        if (fd < 0) {
            return failure(operation, path, errno);
        }
        ::close(fd);
    }
    if (overwrites(operation.disposition)) {
        timed_.erase(there.st_ino);
    }
    return finish_open(operation, path, false);
}

Outcome Host::finish_open(const Operation &operation, const std::string &path, bool made) {
    Slot &slot = slots_[operation.handle];
    const bool directory = is_directory(path);
    slot.fd = ::open(path.c_str(), O_CLOEXEC | (directory ? O_RDONLY | O_DIRECTORY : access_flags(operation.flags)));
    if (slot.fd < 0) {
        return failure(operation, path, errno);
    }
    struct stat file;
    fstat(slot.fd, &file);
    slot.directory = directory;
    slot.file = file.st_ino;
    slot.flags = operation.flags | ((operation.flags & DELETE_ON_CLOSE) != 0 ? static_cast<uint32_t>(DELETE_RIGHT) : 0);
    if (made) {
        remember_spelling(path, operation.path);
    }
    return {};
}

Outcome Host::close(Slot &slot) {
    const std::string path = path_of(slot.fd);
    const bool gone = is_deleted(path);
    const auto empty = [&] { return !slot.directory || gone || list(path.substr(root_.size())).entries.empty(); };
    if ((slot.flags & DELETE_ON_CLOSE) != 0 && !gone && empty()) {
        pending_[key_of(path)] = slot.file;
    }
    const Slot closed = std::exchange(slot, {});
    if (!gone && pending(path)) {
        if (opens_by(path) == 0 || closed.posix_delete) {
            unlink(path);
        } else {
            count(Difference::delete_pending);
        }
    }
    ::close(closed.fd);
    return {};
}

// ---- asking ----------------------------------------------------------------------------------------------------------------------

Outcome Host::info_of(const struct stat &file, const std::string &path) {
    Outcome outcome;
    const bool directory = S_ISDIR(file.st_mode);
    const uint32_t uncounted = pending_names(file.st_ino);
    const auto links = static_cast<uint32_t>(directory ? file.st_nlink != 0 : file.st_nlink);
    if (directory || uncounted != 0) {
        count(Difference::link_count);
    }
    outcome.info.push_back({directory, directory ? 0 : static_cast<uint64_t>(file.st_size), links - uncounted,
                            is_deleted(path) || pending(path), file.st_mtim.tv_sec});
    outcome.time_known = timed_.contains(file.st_ino);
    return outcome;
}

Outcome Host::by_path(const Operation &operation) {
    const std::string path = full(operation.path);
    struct stat file;
    if (lstat(path.c_str(), &file) != 0) {
        return failure(operation, path, errno);
    }
    if (pending(path)) {
        count(Difference::delete_pending);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    if (operation.kind == Kind::stat) {
        return info_of(file, path);
    }
    return S_ISDIR(file.st_mode) ? list(path.substr(root_.size())) : failure(operation, path, ENOTDIR);
}

Outcome Host::list(const std::string &path) const {
    Outcome outcome;
    DIR *const directory = opendir((root_ + path).c_str());
    if (directory == nullptr) {
        return Outcome::failure(STATUS_OBJECT_PATH_NOT_FOUND);
    }
    struct stat self;
    fstat(dirfd(directory), &self);
    while (const dirent *const entry = readdir(directory)) {
        const std::string name = entry->d_name;
        struct stat file;
        if (name != "." && name != ".." && fstatat(dirfd(directory), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0) {
            const bool below = S_ISDIR(file.st_mode);
            outcome.entries.push_back(
                {spelling(self.st_ino, name), below, below ? 0 : static_cast<uint64_t>(file.st_size)});
        }
    }
    closedir(directory);
    std::ranges::sort(outcome.entries, {}, &Entry::name);
    return outcome;
}

} // namespace reference
