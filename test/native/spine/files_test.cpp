// SPDX-License-Identifier: MIT
//
// This module provides: scenarios with files and no filter.

#include <algorithm>
#include <cstring>

#include "spine.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

SPINE_TEST(write_read_and_end_of_file) {
    TestWorld world(executor);
    for (const char16_t *path : {u"D:\\hello.txt", u"E:\\hello.txt"}) {
        const File file = File::create(path);
        CHECK(file.is_open());
        CHECK_EQ(file.write("hello, world"), 0u);
        CHECK_EQ(file.seek(7), 0u);
        std::string text;
        CHECK_EQ(file.read(&text, 100), 0u);
        CHECK_EQ(text, std::string("world"));
        // At the end: nothing, and no error.
        CHECK_EQ(file.read(&text, 100), 0u);
        CHECK(text.empty());
        CHECK_EQ(file.seek(-1), ERROR_NEGATIVE_SEEK);
        FILE_STANDARD_INFO standard{};
        CHECK(GetFileInformationByHandleEx(file.handle(), FileStandardInfo, &standard, sizeof(standard)) != FALSE);
        CHECK_EQ(standard.EndOfFile.QuadPart, 12);
        CHECK(GetFileInformationByHandleEx(file.handle(), FileStandardInfo, &standard, 4) == FALSE);
        CHECK_EQ(GetLastError(), ERROR_BAD_LENGTH);
    }
}

SPINE_TEST(creation_dispositions) {
    TestWorld world(executor);
    const auto open = [](DWORD disposition) { return File(u"D:\\a", {.disposition = disposition}); };
    CHECK_EQ(open(OPEN_EXISTING).error(), ERROR_FILE_NOT_FOUND);
    CHECK_EQ(open(TRUNCATE_EXISTING).error(), ERROR_FILE_NOT_FOUND);
    CHECK_EQ(open(OPEN_ALWAYS).error(), ERROR_SUCCESS);
    CHECK_EQ(open(OPEN_ALWAYS).error(), ERROR_ALREADY_EXISTS);
    CHECK_EQ(open(CREATE_NEW).error(), ERROR_FILE_EXISTS);
    CHECK_EQ(open(OPEN_EXISTING).write("abc"), 0u);
    CHECK_EQ(open(CREATE_ALWAYS).error(), ERROR_ALREADY_EXISTS);
    std::string text;
    CHECK_EQ(open(OPEN_EXISTING).read(&text, 10), 0u);
    CHECK(text.empty());
    CHECK_EQ(open(TRUNCATE_EXISTING).error(), ERROR_SUCCESS);
    CHECK_EQ(open(9).error(), ERROR_INVALID_PARAMETER);
    CHECK_EQ(File::create(u"D:\\no\\such").error(), ERROR_PATH_NOT_FOUND);
    CHECK_EQ(File::create(u"relative").error(), ERROR_PATH_NOT_FOUND);
    CHECK_EQ(File::create(u"\\\\server\\share\\x").error(), ERROR_BAD_NETPATH);
    CHECK_EQ(File::create(u"D:\\a*b").error(), ERROR_INVALID_NAME);
}

SPINE_TEST(path_forms) {
    TestWorld world(executor);
    CHECK(CreateDirectoryW(u"D:\\dir", nullptr) != FALSE);
    CHECK(CreateDirectoryW(u"D:\\dir", nullptr) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_ALREADY_EXISTS);
    CHECK(File::create(u"D:/dir/x.txt").is_open());
    for (const char16_t *path :
         {u"D:\\dir\\x.txt", u"d:\\DIR\\X.TXT", u"\\\\?\\D:\\dir\\x.txt", u"\\\\.\\D:\\dir\\.\\x.txt",
          u"D:\\dir\\..\\dir\\\\x.txt. ", u"\\\\?\\GLOBALROOT\\Device\\HarddiskVolume2\\dir\\x.txt"}) {
        CHECK(exists(path));
    }
    CHECK(!exists(u"\\\\?\\D:\\dir\\..\\dir\\x.txt"));
}

SPINE_TEST(share_modes_and_access) {
    TestWorld world(executor);
    const File first(u"D:\\a", {.disposition = CREATE_NEW, .share = FILE_SHARE_READ});
    CHECK(first.is_open());
    CHECK_EQ(File(u"D:\\a", {.access = GENERIC_WRITE}).error(), ERROR_SHARING_VIOLATION);
    const File reader(u"D:\\a", {.access = GENERIC_READ});
    CHECK(reader.is_open());
    CHECK_EQ(reader.write("x"), ERROR_ACCESS_DENIED);
    CHECK_EQ(reader.rename(u"D:\\b"), ERROR_ACCESS_DENIED);
    CHECK_EQ(File(u"C:\\Windows", {.access = GENERIC_READ}).error(), ERROR_ACCESS_DENIED);
}

SPINE_TEST(rename_replace_and_delete) {
    TestWorld world(executor);
    {
        const File file = File::create(u"D:\\old");
        CHECK_EQ(file.write("content"), 0u);
        CHECK_EQ(file.rename(u"D:\\new"), 0u);
        CHECK(!exists(u"D:\\old"));
        CHECK(exists(u"D:\\NEW"));
        CHECK(File::create(u"D:\\other").is_open());
        CHECK_EQ(file.rename(u"D:\\other"), ERROR_ALREADY_EXISTS);
        CHECK_EQ(file.rename(u"D:\\other", true), 0u);
        CHECK_EQ(file.rename(u"E:\\elsewhere"), ERROR_NOT_SAME_DEVICE);
        CHECK_EQ(file.rename(u"relative"), ERROR_PATH_NOT_FOUND);
    }
    {
        const File file = File::open(u"D:\\other");
        std::string text;
        CHECK_EQ(file.read(&text, 100), 0u);
        CHECK_EQ(text, std::string("content"));
        CHECK_EQ(file.mark_deleted(), 0u);
        CHECK_EQ(File::open(u"D:\\other").error(), ERROR_ACCESS_DENIED);
    }
    CHECK(!exists(u"D:\\other"));
    {
        const File file = File::create(u"D:\\temporary", FILE_FLAG_DELETE_ON_CLOSE);
        CHECK(exists(u"D:\\temporary") || GetLastError() == ERROR_SHARING_VIOLATION);
    }
    CHECK(!exists(u"D:\\temporary"));
}

SPINE_TEST(directories) {
    TestWorld world(executor);
    CHECK(CreateDirectoryW(u"D:\\dir", nullptr) != FALSE);
    std::vector<std::u16string> expected;
    for (int i = 0; i < 20; ++i) {
        const std::u16string name = u"file-" + std::u16string(1, static_cast<char16_t>(u'a' + i)) + u".txt";
        CHECK(File::create(u"D:\\dir\\" + name).is_open());
        expected.push_back(name);
    }
    auto names = list(u"D:\\dir");
    std::ranges::sort(names);
    CHECK(names == expected);
    const File directory(u"D:\\dir", {.access = GENERIC_READ | DELETE, .flags = FILE_FLAG_BACKUP_SEMANTICS});
    CHECK_EQ(directory.mark_deleted(), ERROR_DIR_NOT_EMPTY);
    FILE_BASIC_INFO basic{};
    CHECK(GetFileInformationByHandleEx(directory.handle(), FileBasicInfo, &basic, sizeof(basic)) != FALSE);
    CHECK((basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0);
    uint64_t name[64];
    CHECK(GetFileInformationByHandleEx(directory.handle(), FileNameInfo, name, sizeof(name)) != FALSE);
    const auto *const info = reinterpret_cast<const FILE_NAME_INFO *>(name);
    CHECK(std::u16string_view(info->FileName, info->FileNameLength / 2) == u"\\dir");
}

SPINE_TEST(sizes_and_attributes) {
    TestWorld world(executor);
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.write("0123456789"), 0u);
    FILE_END_OF_FILE_INFO end{};
    end.EndOfFile.QuadPart = 4;
    CHECK(SetFileInformationByHandle(file.handle(), FileEndOfFileInfo, &end, sizeof(end)) != FALSE);
    CHECK_EQ(file.seek(0), 0u);
    std::string text;
    CHECK_EQ(file.read(&text, 100), 0u);
    CHECK_EQ(text, std::string("0123"));
    FILE_ALLOCATION_INFO allocation{};
    allocation.AllocationSize.QuadPart = 65536;
    CHECK(SetFileInformationByHandle(file.handle(), FileAllocationInfo, &allocation, sizeof(allocation)) != FALSE);
    FILE_BASIC_INFO basic{};
    basic.FileAttributes = FILE_ATTRIBUTE_HIDDEN;
    CHECK(SetFileInformationByHandle(file.handle(), FileBasicInfo, &basic, sizeof(basic)) != FALSE);
    CHECK(GetFileInformationByHandleEx(file.handle(), FileBasicInfo, &basic, sizeof(basic)) != FALSE);
    CHECK((basic.FileAttributes & FILE_ATTRIBUTE_HIDDEN) != 0);
    CHECK(SetFileInformationByHandle(file.handle(), FileStandardInfo, &basic, sizeof(basic)) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
}

SPINE_TEST(mapped_views_and_flush) {
    TestWorld world(executor);
    const File file = File::create(u"D:\\mapped");
    CHECK(CreateFileMappingW(file.handle(), nullptr, PAGE_READWRITE, 0, 0, nullptr) == nullptr);
    CHECK_EQ(GetLastError(), ERROR_FILE_INVALID);
    CHECK_EQ(file.write(std::string(10'000, 'a')), 0u);
    const HANDLE section = CreateFileMappingW(file.handle(), nullptr, PAGE_READWRITE, 0, 0, nullptr);
    CHECK(section != nullptr);
    auto *const view = static_cast<char *>(MapViewOfFile(section, FILE_MAP_WRITE | FILE_MAP_READ, 0, 0, 0));
    REQUIRE(view != nullptr);
    CHECK(CloseHandle(section) != FALSE); // the view keeps the section
    CHECK_EQ(view[9'999], 'a');
    std::memcpy(view + 5'000, "hello", 5);
    CHECK(FlushViewOfFile(view, 0) != FALSE);
    std::string text;
    CHECK_EQ(file.seek(4'999), 0u);
    CHECK_EQ(file.read(&text, 7), 0u);
    CHECK_EQ(text, std::string("ahelloa"));
    CHECK(MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0) == nullptr);
    CHECK(UnmapViewOfFile(view) != FALSE);
    CHECK(UnmapViewOfFile(view) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_INVALID_ADDRESS);
    CHECK_EQ(file.flush(), 0u);
}

SPINE_TEST(overlapped_io) {
    TestWorld world(executor);
    CHECK_EQ(File::create(u"D:\\big").write(std::string(64 * 1024, 'x')), 0u);
    const File file(u"D:\\big",
                    {.access = GENERIC_READ | GENERIC_WRITE, .flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING});
    CHECK(file.is_open());
    alignas(4096) static char buffer[8][4096];
    OVERLAPPED overlapped[8]{};
    for (DWORD i = 0; i < 8; ++i) {
        overlapped[i].Offset = i * 4096;
        overlapped[i].hEvent = i % 2 == 0 ? CreateEventW(nullptr, TRUE, FALSE, nullptr) : nullptr;
        if (ReadFile(file.handle(), buffer[i], 4096, nullptr, &overlapped[i]) == FALSE) {
            CHECK_EQ(GetLastError(), ERROR_IO_PENDING);
        }
    }
    for (OVERLAPPED &one : overlapped) {
        DWORD bytes = 0;
        CHECK(GetOverlappedResult(file.handle(), &one, &bytes, TRUE) != FALSE);
        CHECK_EQ(bytes, 4096u);
        if (one.hEvent != nullptr) {
            CHECK_EQ(WaitForSingleObject(one.hEvent, 0), WAIT_OBJECT_0);
            CHECK(CloseHandle(one.hEvent) != FALSE);
        }
    }
    CHECK_EQ(buffer[7][4095], 'x');
    // No position to read at, and a length that is no whole number of sectors.
    DWORD bytes = 0;
    CHECK(ReadFile(file.handle(), buffer, 4096, &bytes, nullptr) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
    OVERLAPPED odd{};
    CHECK(ReadFile(file.handle(), buffer, 100, nullptr, &odd) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
    OVERLAPPED end{};
    end.Offset = 1 << 20;
    if (ReadFile(file.handle(), buffer, 4096, nullptr, &end) == FALSE && GetLastError() == ERROR_IO_PENDING) {
        CHECK(GetOverlappedResultEx(file.handle(), &end, &bytes, 10'000, FALSE) == FALSE);
    }
    CHECK_EQ(GetLastError(), ERROR_HANDLE_EOF);
    CHECK(CancelIoEx(file.handle(), nullptr) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_NOT_FOUND);
}

TEST(priority_hints) {
    TestWorld world(FLTSIM_EXECUTOR_FIBERS);
    const File file = File::create(u"D:\\x");
    const auto set = [&](int hint) {
        FILE_IO_PRIORITY_HINT_INFO information{static_cast<PRIORITY_HINT>(hint)};
        const BOOL done =
            SetFileInformationByHandle(file.handle(), FileIoPriorityHintInfo, &information, sizeof information);
        return done ? static_cast<DWORD>(ERROR_SUCCESS) : GetLastError();
    };
    CHECK_EQ(set(IoPriorityHintVeryLow), ERROR_SUCCESS);
    for (const int hint : {-1, 3, 4, 5}) {
        CHECK_EQ(set(hint), ERROR_INVALID_PARAMETER);
    }
    FILE_IO_PRIORITY_HINT_INFO information{};
    CHECK(!SetFileInformationByHandle(file.handle(), FileIoPriorityHintInfo, &information, 3));
    CHECK_EQ(GetLastError(), ERROR_BAD_LENGTH);
    CHECK(!GetFileInformationByHandleEx(file.handle(), FileIoPriorityHintInfo, &information, sizeof information));
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
}

} // namespace MINIPEND_TEST_FILE
