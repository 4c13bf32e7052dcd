// SPDX-License-Identifier: MIT
//
// This module provides: model.hpp.

#include "model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace reference {

namespace {

constexpr DWORD SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
constexpr DWORD APPEND_DATA = 4;
constexpr DWORD LIST_DIRECTORY = 1;
constexpr int64_t EPOCH_SECONDS = 11'644'473'600; ///< from 1601 to 1970
constexpr int64_t SECOND_100NS = 10'000'000;

Outcome failed() {
    return Outcome::failure(GetLastError() == ERROR_NEGATIVE_SEEK ? STATUS_INVALID_PARAMETER : RtlGetLastNtStatus());
}

LARGE_INTEGER large(uint64_t value) {
    LARGE_INTEGER result;
    result.QuadPart = static_cast<int64_t>(value);
    return result;
}

/// A handle for as long as it lives.
class Handle {
  public:
    Handle(const std::u16string &path, DWORD access, DWORD flags = FILE_FLAG_BACKUP_SEMANTICS)
        : handle_(CreateFileW(path.c_str(), access, SHARE_ALL, nullptr, OPEN_EXISTING, flags, nullptr)) {}
    ~Handle() {
        if (*this) {
            CloseHandle(handle_);
        }
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    explicit operator bool() const { return handle_ != INVALID_HANDLE_VALUE; }
    HANDLE get() const { return handle_; }

  private:
    HANDLE handle_;
};

template <class T> Outcome set_information(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS what, T value) {
    return SetFileInformationByHandle(handle, what, &value, sizeof value) ? Outcome{} : failed();
}

Outcome stat_of(HANDLE handle) {
    FILE_STANDARD_INFO standard{};
    FILE_BASIC_INFO basic{};
    if (!GetFileInformationByHandleEx(handle, FileStandardInfo, &standard, sizeof standard) ||
        !GetFileInformationByHandleEx(handle, FileBasicInfo, &basic, sizeof basic)) {
        return failed();
    }
    Outcome outcome;
    const bool directory = standard.Directory != 0;
    const bool agree = directory == ((basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0);
    outcome.info.push_back({directory, directory && agree ? 0 : static_cast<uint64_t>(standard.EndOfFile.QuadPart),
                            standard.NumberOfLinks, standard.DeletePending != 0,
                            basic.LastWriteTime.QuadPart / SECOND_100NS - EPOCH_SECONDS});
    return outcome;
}

void add_entries(const uint8_t *buffer, std::vector<Entry> *entries) {
    for (size_t at = 0;;) {
        FILE_ID_BOTH_DIR_INFO entry;
        std::memcpy(&entry, buffer + at, offsetof(FILE_ID_BOTH_DIR_INFO, FileName));
        std::u16string name(entry.FileNameLength / sizeof(WCHAR), u'\0');
        std::memcpy(name.data(), buffer + at + offsetof(FILE_ID_BOTH_DIR_INFO, FileName), entry.FileNameLength);
        const bool directory = (entry.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
        if (name != u"." && name != u"..") {
            entries->push_back({name, directory, directory ? 0 : static_cast<uint64_t>(entry.EndOfFile.QuadPart)});
        }
        if (entry.NextEntryOffset == 0) {
            return;
        }
        at += entry.NextEntryOffset;
    }
}

Outcome list_by(HANDLE handle, uint32_t buffer_bytes) {
    constexpr uint32_t LEAST = sizeof(FILE_ID_BOTH_DIR_INFO) + 260 * sizeof(WCHAR);
    std::vector<uint64_t> buffer(std::max(buffer_bytes, LEAST) / sizeof(uint64_t) + 1);
    Outcome outcome;
    for (auto what = FileIdBothDirectoryRestartInfo;; what = FileIdBothDirectoryInfo) {
        if (!GetFileInformationByHandleEx(handle, what, buffer.data(),
                                          static_cast<DWORD>(buffer.size() * sizeof(uint64_t)))) {
            const NTSTATUS status = RtlGetLastNtStatus();
            if (status != STATUS_NO_MORE_FILES && status != STATUS_NO_SUCH_FILE) {
                return Outcome::failure(status);
            }
            break;
        }
        add_entries(reinterpret_cast<const uint8_t *>(buffer.data()), &outcome.entries);
    }
    std::ranges::sort(outcome.entries, {}, &Entry::name);
    return outcome;
}

} // namespace

Model::Model(std::u16string root) : root_(std::move(root)) {
    if (!CreateDirectoryW(root_.c_str(), nullptr)) {
        throw std::runtime_error("the model's directory cannot be made: " + status_text(RtlGetLastNtStatus()));
    }
}

Model::~Model() {
    close_all();
}

void Model::close_all() {
    for (View &view : views_) {
        if (view.base != nullptr) {
            UnmapViewOfFile(view.base);
        }
        view = {};
    }
    for (Slot &slot : slots_) {
        if (slot.is_open()) {
            CloseHandle(slot.handle);
        }
        slot = {};
    }
}

std::u16string Model::full(std::string_view path) const {
    return root_ + u"\\" + model_path(path);
}

void Model::pause(uint32_t delay_ms) {
    const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
    WaitForSingleObject(event, delay_ms);
    CloseHandle(event);
}

Outcome Model::run(const Operation &operation) {
    switch (operation.kind) {
    case Kind::open:
        return open(operation);
    case Kind::pause:
        pause(operation.length);
        return {};
    case Kind::make_directory:
        return CreateDirectoryW(full(operation.path).c_str(), nullptr) ? Outcome{} : failed();
    case Kind::remove:
    case Kind::move:
    case Kind::link_name:
    case Kind::stat:
    case Kind::list:
        return by_path(operation);
    case Kind::unmap:
    case Kind::view_read:
    case Kind::view_write:
    case Kind::view_flush:
        return on_view(operation);
    default:
        return by_handle(operation);
    }
}

Outcome Model::open(const Operation &operation) {
    Slot &slot = slots_[operation.handle];
    const uint32_t flags = operation.flags;
    const auto has = [flags](Flag flag) { return (flags & flag) != 0; };
    if (slot.is_open() || (operation.disposition == Disposition::truncate_existing && !has(WRITE))) {
        return Outcome::nothing();
    }
    constexpr DWORD DISPOSITIONS[] = {OPEN_EXISTING, OPEN_ALWAYS, CREATE_NEW, CREATE_ALWAYS, TRUNCATE_EXISTING};
    const DWORD access = (has(READ) ? GENERIC_READ : 0) | (has(WRITE) ? GENERIC_WRITE : 0) |
                         (has(APPEND) ? APPEND_DATA : 0) | (has(DELETE_RIGHT) ? DELETE : 0);
    const DWORD options = FILE_ATTRIBUTE_NORMAL | (has(BACKUP) ? FILE_FLAG_BACKUP_SEMANTICS : 0) |
                          (has(NO_BUFFERING) ? FILE_FLAG_NO_BUFFERING : 0) |
                          (has(WRITE_THROUGH) ? FILE_FLAG_WRITE_THROUGH : 0) |
                          (has(DELETE_ON_CLOSE) ? FILE_FLAG_DELETE_ON_CLOSE : 0);
    slot.handle = CreateFileW(full(operation.path).c_str(), access, SHARE_ALL, nullptr,
                              DISPOSITIONS[static_cast<size_t>(operation.disposition)], options, nullptr);
    return slot.is_open() ? Outcome{} : failed();
}

Outcome Model::transfer(HANDLE handle, const Operation &operation) {
    const bool reads = operation.kind == Kind::read || operation.kind == Kind::read_next;
    const bool at_offset = operation.kind == Kind::read || operation.kind == Kind::write;
    std::string bytes = reads ? std::string(operation.length, '\xAA') : content_of(operation);
    OVERLAPPED overlapped{};
    overlapped.Offset = static_cast<DWORD>(operation.offset);
    overlapped.OffsetHigh = static_cast<DWORD>(operation.offset >> 32);
    OVERLAPPED *const place = at_offset ? &overlapped : nullptr;
    DWORD done = 0;
    const BOOL good = reads ? ReadFile(handle, bytes.data(), operation.length, &done, place)
                            : WriteFile(handle, bytes.data(), operation.length, &done, place);
    if (!good) {
        return failed();
    }
    Outcome outcome;
    if (reads) {
        bytes.resize(done);
        outcome.data = std::move(bytes);
    } else {
        outcome.value = done;
    }
    return outcome;
}

Outcome Model::seek(HANDLE handle, const Operation &operation) const {
    LARGE_INTEGER position{};
    if (!SetFilePointerEx(handle, large(operation.offset), &position, static_cast<DWORD>(operation.data))) {
        return failed();
    }
    Outcome outcome;
    outcome.value = static_cast<uint64_t>(position.QuadPart);
    return outcome;
}

Outcome Model::set_size(HANDLE handle, const Operation &operation) const {
    if (operation.kind == Kind::truncate) {
        return set_information(handle, FileEndOfFileInfo, FILE_END_OF_FILE_INFO{large(operation.offset)});
    }
    return set_information(handle, FileAllocationInfo, FILE_ALLOCATION_INFO{large(operation.offset)});
}

Outcome Model::dispose(HANDLE handle, uint32_t flags) const {
    const bool undo = (flags & UNDO) != 0;
    if ((flags & POSIX) != 0) {
        const DWORD bits = undo ? 0 : FILE_DISPOSITION_FLAG_DELETE | FILE_DISPOSITION_FLAG_POSIX_SEMANTICS;
        return set_information(handle, FileDispositionInfoEx, FILE_DISPOSITION_INFO_EX{bits});
    }
    return set_information(handle, FileDispositionInfo, FILE_DISPOSITION_INFO{static_cast<BOOLEAN>(!undo)});
}

Outcome Model::by_path(const Operation &operation) const {
    const std::u16string path = full(operation.path);
    if (operation.kind == Kind::list) {
        return list(path.substr(root_.size()), operation.length);
    }
    if (operation.kind == Kind::stat) {
        return stat(path.substr(root_.size()));
    }
    const bool links = operation.kind == Kind::link_name;
    const Handle handle(path, links ? FILE_WRITE_ATTRIBUTES : DELETE);
    if (!handle) {
        return failed();
    }
    if (links) {
        return link(handle.get(), operation);
    }
    return operation.kind == Kind::remove ? dispose(handle.get(), operation.flags) : rename(handle.get(), operation);
}

Outcome Model::by_handle(const Operation &operation) {
    Slot &slot = slots_[operation.handle];
    if (!slot.is_open()) {
        return Outcome::nothing();
    }
    switch (operation.kind) {
    case Kind::close: {
        const HANDLE handle = slot.handle;
        slot = {};
        return CloseHandle(handle) ? Outcome{} : failed();
    }
    case Kind::seek:
        return seek(slot.handle, operation);
    case Kind::truncate:
    case Kind::allocate:
        return set_size(slot.handle, operation);
    case Kind::rename:
        return rename(slot.handle, operation);
    case Kind::link:
        return link(slot.handle, operation);
    case Kind::dispose:
        return dispose(slot.handle, operation.flags);
    case Kind::stat_open:
        return stat_of(slot.handle);
    case Kind::list_open:
        return list_by(slot.handle, operation.length);
    case Kind::map:
        return map(slot.handle, operation);
    case Kind::flush:
        return FlushFileBuffers(slot.handle) ? Outcome{} : failed();
    case Kind::set_times:
        return set_times(slot.handle, operation);
    default:
        return transfer(slot.handle, operation);
    }
}

Outcome Model::set_times(HANDLE handle, const Operation &operation) const {
    FILE_BASIC_INFO basic{};
    basic.LastWriteTime.QuadPart = (static_cast<int64_t>(operation.offset) + EPOCH_SECONDS) * SECOND_100NS;
    return set_information(handle, FileBasicInfo, basic);
}

Outcome Model::map(HANDLE handle, const Operation &operation) {
    View &view = views_[operation.view];
    if (view.base != nullptr) {
        return Outcome::nothing();
    }
    const bool writable = (operation.flags & WRITE) != 0;
    const HANDLE section =
        CreateFileMappingW(handle, nullptr, writable ? PAGE_READWRITE : PAGE_READONLY, 0, operation.length, nullptr);
    if (section == nullptr) {
        return failed();
    }
    void *const base = MapViewOfFile(section, writable ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ, 0, 0, 0);
    const Outcome why = base == nullptr ? failed() : Outcome{};
    CloseHandle(section); // the view keeps it
    if (base == nullptr) {
        return why;
    }
    view.base = static_cast<uint8_t *>(base);
    view.writable = writable;
    view.bytes = operation.length != 0 ? operation.length : stat_of(handle).info.at(0).size;
    return {};
}

Outcome Model::on_view(const Operation &operation) {
    View &view = views_[operation.view];
    if (view.base == nullptr || (operation.kind == Kind::view_write && !view.writable)) {
        return Outcome::nothing();
    }
    if (operation.kind == Kind::unmap) {
        const View gone = view;
        view = {};
        return UnmapViewOfFile(gone.base) ? Outcome{} : failed();
    }
    if (operation.kind == Kind::view_flush) {
        return FlushViewOfFile(view.base, 0) ? Outcome{} : failed();
    }
    const uint64_t offset = std::min(operation.offset, view.bytes);
    const uint64_t length = std::min<uint64_t>(operation.length, view.bytes - offset);
    Outcome outcome;
    if (operation.kind == Kind::view_read) {
        outcome.data.assign(reinterpret_cast<const char *>(view.base) + offset, length);
    } else {
        std::memcpy(view.base + offset, content_of(operation).data(), length);
    }
    return outcome;
}

Outcome Model::list(const std::u16string &path, uint32_t buffer_bytes) const {
    const Handle handle(root_ + path, LIST_DIRECTORY);
    return handle ? list_by(handle.get(), buffer_bytes) : failed();
}

Outcome Model::stat(const std::u16string &path) const {
    const Handle handle(root_ + path, FILE_READ_ATTRIBUTES);
    return handle ? stat_of(handle.get()) : failed();
}

Outcome Model::read(const std::u16string &path, uint64_t offset, uint32_t length, bool no_buffering) const {
    const Handle handle(root_ + path, GENERIC_READ, no_buffering ? FILE_FLAG_NO_BUFFERING : FILE_ATTRIBUTE_NORMAL);
    if (!handle) {
        return failed();
    }
    std::string bytes(length, '\xAA');
    OVERLAPPED overlapped{};
    overlapped.Offset = static_cast<DWORD>(offset);
    overlapped.OffsetHigh = static_cast<DWORD>(offset >> 32);
    DWORD done = 0;
    if (!ReadFile(handle.get(), bytes.data(), length, &done, &overlapped)) {
        return failed();
    }
    bytes.resize(done);
    Outcome outcome;
    outcome.data = std::move(bytes);
    return outcome;
}

} // namespace reference
