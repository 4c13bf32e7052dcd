// SPDX-License-Identifier: MIT
//
// This module provides: content, sizes, positions and views on the host's side (host.hpp).

#include "host.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace reference {

namespace {

constexpr uint64_t SECTOR_BYTES = 512;
constexpr uint64_t LARGEST_VIEW = 1u << 20;

uint64_t size_of(int fd) {
    struct stat file;
    fstat(fd, &file);
    return static_cast<uint64_t>(file.st_size);
}

bool appends_only(uint32_t flags) {
    return (flags & (WRITE | APPEND)) == APPEND;
}

bool unaligned(uint32_t flags, const Operation &operation, uint64_t offset) {
    return (flags & NO_BUFFERING) != 0 && (operation.length % SECTOR_BYTES != 0 || offset % SECTOR_BYTES != 0);
}

/// Where the transfer begins that has no offset of its own.
uint64_t offset_of(int fd, const Operation &operation) {
    const bool given = operation.kind == Kind::read || operation.kind == Kind::write;
    return given ? operation.offset : static_cast<uint64_t>(std::max<off_t>(lseek(fd, 0, SEEK_CUR), 0));
}

} // namespace

Outcome Host::read(Slot &slot, const Operation &operation) {
    const bool readable = (slot.flags & READ) != 0;
    Refusals refusals(*this);
    refusals.add(slot.directory && !readable, Difference::rights, STATUS_ACCESS_DENIED);
    const uint64_t offset = offset_of(slot.fd, operation);
    refusals.add(!refusals && readable && unaligned(slot.flags, operation, offset), Difference::unaligned,
                 STATUS_INVALID_PARAMETER);
    if (refusals) {
        return refusals.outcome();
    }
    Outcome outcome;
    outcome.data.resize(operation.length);
    const bool at_offset = operation.kind == Kind::read;
    const ssize_t done = at_offset ? pread(slot.fd, outcome.data.data(), operation.length, static_cast<off_t>(offset))
                                   : ::read(slot.fd, outcome.data.data(), operation.length);
    if (done < 0) {
        return failure(operation, path_of(slot.fd), errno);
    }
    outcome.data.resize(static_cast<size_t>(done));
    if (at_offset && operation.length != 0) {
        if (done == 0) {
            return Outcome::failure(STATUS_END_OF_FILE);
        }
        count(Difference::position);
        lseek(slot.fd, static_cast<off_t>(offset) + done, SEEK_SET);
    }
    return outcome;
}

Outcome Host::write(Slot &slot, const Operation &operation) {
    const bool writable = (slot.flags & (WRITE | APPEND)) != 0;
    const uint64_t offset = appends_only(slot.flags) ? size_of(slot.fd) : offset_of(slot.fd, operation);
    Refusals refusals(*this);
    refusals.add(slot.directory && !writable, Difference::rights, STATUS_ACCESS_DENIED);
    if (!refusals && writable) {
        refusals.add(unaligned(slot.flags, operation, offset), Difference::unaligned, STATUS_INVALID_PARAMETER);
        refusals.add(slot.directory, Difference::directory_handle, STATUS_INVALID_DEVICE_REQUEST);
        refusals.add(operation.length != 0 && too_large(offset + operation.length), Difference::fat_size,
                     STATUS_DISK_FULL);
    }
    if (refusals) {
        return refusals.outcome();
    }
    const std::string bytes = content_of(operation);
    const bool at_offset = operation.kind == Kind::write;
    const ssize_t done = at_offset ? pwrite(slot.fd, bytes.data(), bytes.size(), static_cast<off_t>(offset))
                                   : ::write(slot.fd, bytes.data(), bytes.size());
    if (done < 0) {
        return failure(operation, path_of(slot.fd), errno);
    }
    if (done != 0) {
        timed_.erase(slot.file);
        if (at_offset) {
            count(Difference::position);
            lseek(slot.fd, static_cast<off_t>(offset) + done, SEEK_SET);
        }
    }
    Outcome outcome;
    outcome.value = static_cast<uint64_t>(done);
    return outcome;
}

std::optional<Outcome> Host::seek(Slot &slot, const Operation &operation) {
    if (slot.directory) {
        return omit(Omission::position_of_directory);
    }
    const bool append = appends_only(slot.flags) && (slot.flags & READ) == 0;
    constexpr int METHODS[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    const auto distance = static_cast<off_t>(operation.offset);
    Refusals refusals(*this);
    refusals.add(append || (slot.flags & (READ | WRITE)) == 0, Difference::rights, STATUS_ACCESS_DENIED);
    refusals.host_refuses(distance < 0, STATUS_INVALID_PARAMETER);
    if (refusals) {
        return refusals.outcome();
    }
    const off_t position = lseek(slot.fd, distance, METHODS[operation.data % 3]);
    if (position < 0) {
        return failure(operation, path_of(slot.fd), errno);
    }
    Outcome outcome;
    outcome.value = static_cast<uint64_t>(position);
    return outcome;
}

Outcome Host::set_size(Slot &slot, const Operation &operation) {
    const bool writable = (slot.flags & WRITE) != 0;
    const uint64_t size = size_of(slot.fd);
    const bool shorter = operation.offset < size;
    Refusals refusals(*this);
    refusals.add(!writable && (slot.directory || appends_only(slot.flags) || !shorter), Difference::rights,
                 STATUS_ACCESS_DENIED);
    if (!refusals && writable) {
        refusals.add(slot.directory, Difference::directory_handle, STATUS_INVALID_PARAMETER);
        refusals.add(too_large(operation.offset), Difference::fat_size, STATUS_DISK_FULL);
        refusals.add(!slot.directory && shorter && mapped(slot.file), Difference::truncate_mapped,
                     STATUS_USER_MAPPED_FILE);
    }
    if (refusals) {
        return refusals.outcome();
    }
    if (operation.kind == Kind::truncate || shorter) {
        if (ftruncate(slot.fd, static_cast<off_t>(operation.offset)) != 0) {
            return failure(operation, path_of(slot.fd), errno);
        }
        timed_.erase(slot.file);
    }
    return {};
}

Outcome Host::flush(Slot &slot) {
    if ((slot.flags & (WRITE | APPEND)) == 0) {
        count(Difference::rights);
        return Outcome::failure(STATUS_ACCESS_DENIED);
    }
    fsync(slot.fd);
    return {};
}

Outcome Host::set_times(Slot &slot, const Operation &operation) {
    if ((slot.flags & WRITE) == 0) {
        count(Difference::rights);
        return Outcome::failure(STATUS_ACCESS_DENIED);
    }
    const timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(operation.offset), 0}};
    futimens(slot.fd, times);
    if (!slot.directory) {
        timed_.insert(slot.file);
    }
    return {};
}

std::optional<Outcome> Host::map(Slot &slot, const Operation &operation) {
    View &view = views_[operation.view];
    if (view.base != nullptr) {
        return Outcome::nothing();
    }
    const bool writable = (operation.flags & WRITE) != 0;
    const uint32_t needed = static_cast<uint32_t>(READ) | (writable ? static_cast<uint32_t>(WRITE) : 0u);
    const uint64_t size = size_of(slot.fd);
    const uint64_t wanted = slot.directory ? 1 : size; // of a directory anything that is not nothing
    const uint64_t bytes = operation.length != 0 ? operation.length : wanted;
    if (!slot.directory && bytes > LARGEST_VIEW && (slot.flags & needed) == needed) {
        return omit(Omission::map_of_large);
    }
    Refusals refusals(*this);
    refusals.add((slot.flags & needed) != needed, Difference::rights, STATUS_ACCESS_DENIED);
    refusals.add(!refusals && !slot.directory && !writable && bytes > size, Difference::section_size,
                 STATUS_SECTION_TOO_BIG);
    if (refusals) {
        return refusals.outcome();
    }
    if (!slot.directory && bytes > size) {
        if (ftruncate(slot.fd, static_cast<off_t>(bytes)) != 0) {
            return failure(operation, path_of(slot.fd), errno);
        }
        timed_.erase(slot.file);
    }
    const bool writes = writable && !slot.directory; // a directory's descriptor never does
    void *const base = mmap(nullptr, bytes, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, slot.fd, 0);
    if (base == MAP_FAILED) {
        return failure(operation, path_of(slot.fd), errno);
    }
    view = {static_cast<uint8_t *>(base), bytes, writable, slot.file};
    return Outcome{};
}

Outcome Host::on_view(const Operation &operation) {
    View &view = views_[operation.view];
    if (view.base == nullptr || (operation.kind == Kind::view_write && !view.writable)) {
        return Outcome::nothing();
    }
    if (operation.kind == Kind::unmap) {
        munmap(view.base, view.bytes);
        view = {};
        return {};
    }
    if (operation.kind == Kind::view_flush) {
        msync(view.base, view.bytes, MS_SYNC);
        return {};
    }
    const uint64_t offset = std::min(operation.offset, view.bytes);
    const uint64_t length = std::min<uint64_t>(operation.length, view.bytes - offset);
    Outcome outcome;
    if (operation.kind == Kind::view_read) {
        outcome.data.assign(reinterpret_cast<const char *>(view.base) + offset, length);
    } else {
        std::memcpy(view.base + offset, content_of(operation).data(), length);
        timed_.erase(view.file);
    }
    return outcome;
}

// ---- the whole file, at the end of a sequence ------------------------------------------------------------------------------------

Outcome Host::stat(const std::string &path) const {
    struct stat file;
    if (::stat((root_ + path).c_str(), &file) != 0) {
        return Outcome::failure(STATUS_OBJECT_NAME_NOT_FOUND);
    }
    Outcome outcome;
    const bool directory = S_ISDIR(file.st_mode);
    outcome.info.push_back({directory, directory ? 0 : static_cast<uint64_t>(file.st_size),
                            static_cast<uint32_t>(directory ? 1 : file.st_nlink), false, file.st_mtim.tv_sec});
    outcome.time_known = timed_.contains(file.st_ino);
    return outcome;
}

std::vector<std::pair<uint64_t, uint64_t>> Host::extents(const std::string &path) const {
    std::vector<std::pair<uint64_t, uint64_t>> found;
    const int fd = ::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC);
    for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
        const off_t end = lseek(fd, at, SEEK_HOLE);
        if (end <= at) {
            break;
        }
        found.emplace_back(at, end - at);
        at = end;
    }
    ::close(fd);
    return found;
}

Outcome Host::read(const std::string &path, uint64_t offset, uint32_t length) const {
    const int fd = ::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC);
    Outcome outcome;
    outcome.data.resize(length);
    const ssize_t done = pread(fd, outcome.data.data(), length, static_cast<off_t>(offset));
    ::close(fd);
    outcome.data.resize(static_cast<size_t>(std::max<ssize_t>(done, 0)));
    return done > 0 ? outcome : Outcome::failure(STATUS_END_OF_FILE);
}

} // namespace reference
