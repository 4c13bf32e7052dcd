// SPDX-License-Identifier: MIT
//
// This module provides: making directories, renaming, linking and deleting on the host's side (host.hpp).

#include "host.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace reference {

namespace {

constexpr unsigned NO_REPLACE = 1; ///< RENAME_NOREPLACE
constexpr mode_t DIRECTORY_MODE = 0700;

/// The errno of emptying a directory that has something in it.
int not_empty(const std::string &path) {
    return rmdir(path.c_str()) == 0 ? 0 : errno;
}

} // namespace

Outcome Host::make_directory(const Operation &operation) {
    const std::string path = full(operation.path);
    struct stat there;
    if (lstat(path.c_str(), &there) == 0 && pending(path)) {
        count(Difference::delete_pending);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    if (lstat(path.c_str(), &there) != 0 && pending_parent(path)) {
        count(Difference::create_in_deleted);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    if (mkdir(path.c_str(), DIRECTORY_MODE) == 0) {
        remember_spelling(path, operation.path);
        return {};
    }
    return failure(operation, path, errno);
}

Outcome Host::unlink(const std::string &path) {
    pending_.erase(key_of(path));
    if (is_directory(path)) {
        rmdir(path.c_str());
    } else {
        ::unlink(path.c_str());
    }
    return {};
}

std::optional<Outcome> Host::move(const Operation &operation) {
    const std::string path = full(operation.path);
    struct stat file;
    if (lstat(path.c_str(), &file) != 0) {
        return failure(operation, path, errno);
    }
    if (pending(path)) {
        count(Difference::delete_pending);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    return rename(operation, path, DELETE_RIGHT);
}

std::optional<Outcome> Host::rename(const Operation &operation, const std::string &from, uint32_t rights) {
    if ((rights & DELETE_RIGHT) == 0) {
        count(Difference::rights);
        return Outcome::failure(STATUS_ACCESS_DENIED);
    }
    struct stat file;
    if (is_deleted(from) || lstat(from.c_str(), &file) != 0 || pending(from)) {
        return omit(Omission::change_of_deleted);
    }
    if (const auto refused = too_long(operation.to)) {
        return refused;
    }
    const std::string to = full(operation.to);
    const bool posix = (operation.flags & POSIX) != 0;
    const bool replace = (operation.flags & REPLACE) != 0;
    const bool has_parent = is_directory(split(to).first);
    const bool into_itself = to.starts_with(from + "/");
    struct stat target;
    const bool exists = lstat(to.c_str(), &target) == 0;
    const bool other = exists && target.st_ino != file.st_ino;
    const bool other_directory = other && S_ISDIR(target.st_mode);
    Refusals refusals(*this);
    refusals.add(has_parent && pending_parent(to), Difference::create_in_deleted, STATUS_DELETE_PENDING);
    refusals.add(posix && profile_ == Profile::fat, Difference::fat_classes, STATUS_INVALID_PARAMETER);
    refusals.add(has_parent && S_ISDIR(file.st_mode) && open_below(from), Difference::rename_above_open,
                 STATUS_ACCESS_DENIED);
    if (other && replace) {
        refusals.add(other_directory, Difference::replace_directory,
                     profile_ == Profile::fat ? STATUS_OBJECT_NAME_COLLISION : STATUS_ACCESS_DENIED);
        refusals.add(pending(to), Difference::delete_pending, STATUS_DELETE_PENDING);
        refusals.add(!posix && (opens(target.st_ino) != 0 || mapped(target.st_ino)), Difference::replace_open,
                     STATUS_ACCESS_DENIED);
    }
    refusals.host_refuses(other && !replace, STATUS_OBJECT_NAME_COLLISION);
    refusals.host_refuses(!has_parent, STATUS_OBJECT_PATH_NOT_FOUND);
    refusals.host_refuses(into_itself, STATUS_INVALID_PARAMETER);
    if (refusals) {
        return refusals.outcome();
    }
    if (other && replace && S_ISDIR(file.st_mode) && !into_itself) {
        count(Difference::replace_by_directory);
        ::unlink(to.c_str());
    }
    const bool itself = exists && !other;
    if (itself && from != to) {
        if (pending(to)) {
            return omit(Omission::change_of_deleted);
        }
        count(Difference::rename_to_link);
        ::unlink(to.c_str());
    }
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), replace || itself ? 0 : NO_REPLACE) != 0) {
        Outcome outcome = failure(operation, to, errno);
        outcome.also = refusals.hosts(); // each system looks in its own order
        return outcome;
    }
    remember_spelling(to, operation.to);
    return Outcome{};
}

Outcome Host::link_name(const Operation &operation) {
    const std::string path = full(operation.path);
    struct stat file;
    if (lstat(path.c_str(), &file) != 0) {
        return failure(operation, path, errno);
    }
    if (pending(path)) {
        count(Difference::delete_pending);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    const int fd = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    const Outcome outcome = link(operation, path, fd);
    ::close(fd);
    return outcome;
}

Outcome Host::link(const Operation &operation, const std::string &from, int fd) {
    if (const auto refused = too_long(operation.to)) {
        return *refused;
    }
    struct stat file;
    fstat(fd, &file);
    const std::string to = full(operation.to);
    const bool posix = (operation.flags & POSIX) != 0;
    const bool replace = (operation.flags & REPLACE) != 0;
    const bool has_parent = is_directory(split(to).first);
    struct stat target;
    const bool exists = lstat(to.c_str(), &target) == 0;
    const bool other = exists && target.st_ino != file.st_ino;
    Refusals refusals(*this);
    refusals.add(has_parent && pending_parent(to), Difference::create_in_deleted, STATUS_DELETE_PENDING);
    refusals.add(profile_ == Profile::fat, Difference::fat_classes,
                 posix ? STATUS_INVALID_PARAMETER : STATUS_INVALID_DEVICE_REQUEST);
    refusals.add(profile_ == Profile::ntfs && !S_ISDIR(file.st_mode) && (is_deleted(from) || pending(from)),
                 Difference::link_of_deleted, STATUS_ACCESS_DENIED);
    if (exists && replace && profile_ == Profile::ntfs) {
        refusals.add(other && S_ISDIR(target.st_mode), Difference::replace_directory, STATUS_ACCESS_DENIED);
        refusals.add(pending(to), Difference::delete_pending, STATUS_DELETE_PENDING);
        refusals.add(other && !posix && (opens(target.st_ino) != 0 || mapped(target.st_ino)), Difference::replace_open,
                     STATUS_ACCESS_DENIED);
    }
    refusals.host_refuses(exists && !replace, STATUS_OBJECT_NAME_COLLISION);
    refusals.host_refuses(!has_parent, STATUS_OBJECT_PATH_NOT_FOUND);
    refusals.host_refuses(S_ISDIR(file.st_mode), STATUS_FILE_IS_A_DIRECTORY);
    if (refusals) {
        return refusals.outcome();
    }
    if (exists && replace && !S_ISDIR(file.st_mode)) {
        count(Difference::link_replaces);
        if (!other) {
            return {}; // it is that link
        }
        ::unlink(to.c_str());
    }
    const std::string source = "/proc/self/fd/" + std::to_string(fd);
    if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        Outcome outcome = failure(operation, to, errno);
        outcome.also = refusals.hosts(); // each system looks in its own order
        return outcome;
    }
    remember_spelling(to, operation.to);
    return {};
}

std::optional<Outcome> Host::remove(const Operation &operation) {
    const std::string path = full(operation.path);
    struct stat file;
    if (lstat(path.c_str(), &file) != 0) {
        return failure(operation, path, errno);
    }
    const bool posix = (operation.flags & POSIX) != 0;
    const bool directory = S_ISDIR(file.st_mode);
    if (pending(path)) {
        count(Difference::delete_pending);
        return Outcome::failure(STATUS_DELETE_PENDING);
    }
    Refusals refusals(*this);
    refusals.add(posix && profile_ == Profile::fat, Difference::fat_classes, STATUS_INVALID_PARAMETER);
    refusals.add(!posix && mapped(file.st_ino), Difference::delete_mapped, STATUS_CANNOT_DELETE);
    if (refusals) {
        return refusals.outcome();
    }
    if (directory && !list(path.substr(root_.size())).entries.empty()) {
        return failure(operation, path, not_empty(path));
    }
    if (opens_by(path) != 0 && !posix) {
        count(Difference::delete_pending);
        pending_[key_of(path)] = file.st_ino;
        return Outcome{};
    }
    return unlink(path);
}

std::optional<Outcome> Host::dispose(Slot &slot, const Operation &operation) {
    if ((slot.flags & DELETE_RIGHT) == 0) {
        count(Difference::rights);
        return Outcome::failure(STATUS_ACCESS_DENIED);
    }
    const std::string path = path_of(slot.fd);
    if (is_deleted(path)) {
        return omit(Omission::change_of_deleted);
    }
    const bool posix = (operation.flags & POSIX) != 0;
    const bool undo = (operation.flags & UNDO) != 0;
    Refusals refusals(*this);
    refusals.add(posix && profile_ == Profile::fat, Difference::fat_classes, STATUS_INVALID_PARAMETER);
    refusals.add(!posix && !undo && mapped(slot.file), Difference::delete_mapped, STATUS_CANNOT_DELETE);
    if (refusals) {
        return refusals.outcome();
    }
    if (undo) {
        pending_.erase(key_of(path));
        slot.posix_delete = false;
        return Outcome{};
    }
    if (slot.directory && !list(path.substr(root_.size())).entries.empty()) {
        return failure(operation, path, not_empty(path));
    }
    pending_[key_of(path)] = slot.file;
    slot.posix_delete = posix;
    return Outcome{};
}

} // namespace reference
