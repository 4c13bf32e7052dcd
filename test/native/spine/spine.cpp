// SPDX-License-Identifier: MIT
//
// This module provides: spine.hpp, but for the port's client (client.cpp).

#include "spine.hpp"

#include "driver_image.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace spine {

uint32_t elapsedMs(Clock::time_point since) {
    return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since).count());
}

void need(bool condition, const std::string &what) {
    if (!condition) {
        throw std::runtime_error(what);
    }
}

TestWorld::TestWorld(uint32_t executor, uint32_t clock, uint64_t seed) {
    FLTSIM_OPTIONS options{};
    options.SizeBytes = sizeof(options);
    options.ProcessorCount = 2;
    options.Seed = seed;
    options.Clock = clock;
    options.Executor = executor;
    options.DriverImage = check::driver_image();
    char message[512] = "";
    number_ = FltSimCreateWorld(&options, message, sizeof(message));
    need(number_ != 0, message);
    CHECK(std::strlen(message) == 0);
    CHECK(FltSimSelectWorld(number_) == 0);
}

TestWorld::~TestWorld() {
    end();
}

std::string TestWorld::report() const {
    std::string json(FltSimReport(number_, nullptr, 0) + 4096, '\0');
    FltSimReport(number_, json.data(), json.size());
    json.resize(std::strlen(json.c_str()));
    return json;
}

void TestWorld::check_balance() const {
    FltSimSelectWorld(number_);
    FltSimSetFault(number_, "*", 0, 0);
    HANDLE port = INVALID_HANDLE_VALUE;
    const HRESULT connected = FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port);
    if (connected == HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)) {
        return; // unloaded, or never there
    }
    CHECK_EQ(connected, S_OK);
    if (connected == S_OK) {
        CloseHandle(port);
        CHECK(Client().counters_at_rest().balanced(true));
    }
}

void TestWorld::end() {
    if (number_ == 0) {
        return;
    }
    if (!stop_expected_ && !held_expected_) {
        check_balance();
    }
    CHECK(FltSimDestroyWorld(number_) == 0);
    FltSimSelectWorld(0);
    const std::string words = report();
    const bool stopped = words.find("\"stopped\":true") != std::string::npos;
    const bool leaked = !stopped && words.find("\"leaks\":[]") == std::string::npos;
    if (stopped != stop_expected_ || leaked) {
        std::fprintf(stderr, "%s\n", words.c_str());
    }
    CHECK(stopped == stop_expected_);
    CHECK(!leaked);
    number_ = 0;
}

File::File(std::u16string_view path, const Options &options) {
    const std::u16string terminated(path);
    handle_ = CreateFileW(terminated.c_str(), options.access, options.share, nullptr, options.disposition,
                          options.flags, nullptr);
    error_ = GetLastError();
}

File File::create(std::u16string_view path, DWORD flags) {
    return File(path, {.disposition = CREATE_NEW, .flags = flags});
}

File File::open(std::u16string_view path, DWORD flags) {
    return File(path, {.flags = flags});
}

bool File::close() {
    const HANDLE handle = std::exchange(handle_, INVALID_HANDLE_VALUE);
    return handle == INVALID_HANDLE_VALUE || CloseHandle(handle) != FALSE;
}

DWORD File::write(std::string_view bytes) const {
    DWORD written = 0;
    if (WriteFile(handle_, bytes.data(), static_cast<DWORD>(bytes.size()), &written, nullptr) == FALSE) {
        return GetLastError();
    }
    CHECK(written == bytes.size());
    return ERROR_SUCCESS;
}

DWORD File::read(std::string *bytes, DWORD length) const {
    bytes->assign(length, '\0');
    DWORD read = 0;
    const bool done = ReadFile(handle_, bytes->data(), length, &read, nullptr) != FALSE;
    bytes->resize(read);
    return done ? static_cast<DWORD>(ERROR_SUCCESS) : GetLastError();
}

DWORD File::seek(int64_t offset) const {
    LARGE_INTEGER distance;
    distance.QuadPart = offset;
    return SetFilePointerEx(handle_, distance, nullptr, FILE_BEGIN) != FALSE ? static_cast<DWORD>(ERROR_SUCCESS)
                                                                             : GetLastError();
}

DWORD File::rename(std::u16string_view path, bool replace) const {
    const size_t head = offsetof(FILE_RENAME_INFO, FileName);
    const size_t bytes = std::max(head + path.size() * sizeof(WCHAR), sizeof(FILE_RENAME_INFO));
    std::vector<uint64_t> words((bytes + 7) / 8);
    auto *const info = reinterpret_cast<FILE_RENAME_INFO *>(words.data());
    info->ReplaceIfExists = replace ? TRUE : FALSE;
    info->FileNameLength = static_cast<DWORD>(path.size() * sizeof(WCHAR));
    std::memcpy(reinterpret_cast<uint8_t *>(words.data()) + head, path.data(), path.size() * sizeof(WCHAR));
    return SetFileInformationByHandle(handle_, FileRenameInfo, info, static_cast<DWORD>(bytes)) != FALSE
               ? static_cast<DWORD>(ERROR_SUCCESS)
               : GetLastError();
}

DWORD File::mark_deleted() const {
    FILE_DISPOSITION_INFO info{TRUE};
    return SetFileInformationByHandle(handle_, FileDispositionInfo, &info, sizeof(info)) != FALSE
               ? static_cast<DWORD>(ERROR_SUCCESS)
               : GetLastError();
}

DWORD File::flush() const {
    return FlushFileBuffers(handle_) != FALSE ? static_cast<DWORD>(ERROR_SUCCESS) : GetLastError();
}

bool exists(std::u16string_view path) {
    const File file(path, {.access = FILE_READ_ATTRIBUTES, .flags = FILE_FLAG_BACKUP_SEMANTICS});
    return file.is_open();
}

std::vector<std::u16string> list(std::u16string_view directory) {
    const File file(directory, {.access = GENERIC_READ, .flags = FILE_FLAG_BACKUP_SEMANTICS});
    CHECK(file.is_open());
    std::vector<std::u16string> names;
    // Small, so that a directory takes several queries.
    std::vector<uint64_t> buffer(32);
    while (GetFileInformationByHandleEx(file.handle(), FileFullDirectoryInfo, buffer.data(),
                                        static_cast<DWORD>(buffer.size() * sizeof(uint64_t))) != FALSE) {
        const auto *at = reinterpret_cast<const uint8_t *>(buffer.data());
        for (;;) {
            const auto *const entry = reinterpret_cast<const FILE_FULL_DIR_INFO *>(at);
            std::u16string name(entry->FileNameLength / sizeof(WCHAR), u'\0');
            std::memcpy(name.data(), at + offsetof(FILE_FULL_DIR_INFO, FileName), entry->FileNameLength);
            if (name != u"." && name != u"..") {
                names.push_back(std::move(name));
            }
            if (entry->NextEntryOffset == 0) {
                break;
            }
            at += entry->NextEntryOffset;
        }
    }
    CHECK(GetLastError() == ERROR_NO_MORE_FILES);
    return names;
}

} // namespace spine
