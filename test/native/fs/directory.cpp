// SPDX-License-Identifier: MIT
//
// This module provides: tests of directory queries: every class, patterns, positions, names that change meanwhile [SEQ-16].

#include "fs/fs_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fs_bench;

namespace {

struct Listing {
    NTSTATUS status = STATUS_SUCCESS;
    std::string names;
    std::vector<uint8_t> bytes;
};

size_t name_at(ULONG information_class) {
    switch (information_class) {
    case FileDirectoryInformation:
        return offsetof(FILE_DIRECTORY_INFORMATION, FileName);
    case FileFullDirectoryInformation:
        return offsetof(FILE_FULL_DIR_INFORMATION, FileName);
    case FileBothDirectoryInformation:
        return offsetof(FILE_BOTH_DIR_INFORMATION, FileName);
    case FileIdBothDirectoryInformation:
        return offsetof(FILE_ID_BOTH_DIR_INFORMATION, FileName);
    case FileIdFullDirectoryInformation:
        return offsetof(FILE_ID_FULL_DIR_INFORMATION, FileName);
    case FileIdExtdDirectoryInformation:
        return offsetof(FILE_ID_EXTD_DIR_INFORMATION, FileName);
    default:
        return offsetof(FILE_NAMES_INFORMATION, FileName);
    }
}

struct Query {
    ULONG information_class = FileNamesInformation;
    ULONG flags = 0;
    std::u16string pattern = {};
    ULONG length = 1024;
};

Listing list(const NtFile &directory, const Query &query = {}) {
    Listing listing;
    listing.bytes.resize(query.length);
    Name pattern(query.pattern, directory);
    IO_STATUS_BLOCK iosb{};
    listing.status =
        NtQueryDirectoryFileEx(directory, nullptr, nullptr, nullptr, &iosb, listing.bytes.data(), query.length,
                               query.information_class, query.flags, query.pattern.empty() ? nullptr : &pattern.string);
    if (listing.status != STATUS_SUCCESS) {
        return listing;
    }
    const size_t length_at = query.information_class == FileNamesInformation
                                 ? offsetof(FILE_NAMES_INFORMATION, FileNameLength)
                                 : offsetof(FILE_DIRECTORY_INFORMATION, FileNameLength);
    for (size_t at = 0;;) {
        ULONG next = 0;
        ULONG name_bytes = 0;
        memcpy(&next, listing.bytes.data() + at, sizeof next);
        memcpy(&name_bytes, listing.bytes.data() + at + length_at, sizeof name_bytes);
        std::u16string name(name_bytes / 2, u'\0');
        memcpy(name.data(), listing.bytes.data() + at + name_at(query.information_class), name_bytes);
        listing.names += (listing.names.empty() ? "" : " ") + narrow(name);
        if (next == 0) {
            return listing;
        }
        at += next;
    }
}

std::string matching(std::u16string_view pattern) {
    const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
    return list(root, {.pattern = std::u16string(pattern)}).names;
}

} // namespace

TEST(every_class_lists_the_same) {
    in_world([] {
        for (const auto name : {u"D:\\a", u"D:\\bb.txt", u"D:\\c c"}) {
            CHECK_EQ(make(name), STATUS_SUCCESS);
        }
        for (const ULONG information_class :
             {FileDirectoryInformation, FileFullDirectoryInformation, FileBothDirectoryInformation,
              FileNamesInformation, FileIdBothDirectoryInformation, FileIdFullDirectoryInformation,
              FileIdExtdDirectoryInformation}) {
            const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
            CHECK_EQ(list(root, {.information_class = information_class}).names, std::string("a bb.txt c c"));
            CHECK_EQ(list(root, {.information_class = information_class}).status, STATUS_NO_MORE_FILES);
        }
        const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
        CHECK_EQ(list(root, {.information_class = FileBasicInformation}).status, STATUS_INVALID_INFO_CLASS);
        CHECK_EQ(list(root, {.length = 8}).status, STATUS_INFO_LENGTH_MISMATCH);
        CHECK_EQ(list(root, {.length = 12}).status, STATUS_BUFFER_OVERFLOW); // not even one name fits
        CHECK_EQ(list(root).names, std::string("a bb.txt c c"));
        const NtFile fat(u"E:\\", {.access = FILE_LIST_DIRECTORY});
        CHECK_EQ(list(fat, {.information_class = FileIdExtdDirectoryInformation}).status, STATUS_INVALID_INFO_CLASS);
        const NtFile file(u"D:\\a");
        CHECK_EQ(list(file).status, STATUS_INVALID_PARAMETER);
        const NtFile blind(u"D:\\", {.access = FILE_READ_ATTRIBUTES});
        CHECK_EQ(list(blind).status, STATUS_ACCESS_DENIED);
    });
}

TEST(patterns) {
    in_world([] {
        for (const auto name : {u"D:\\a", u"D:\\a.txt", u"D:\\ab.t", u"D:\\b.tar.gz"}) {
            CHECK_EQ(make(name), STATUS_SUCCESS);
        }
        CHECK_EQ(matching(u"*"), std::string("a a.txt ab.t b.tar.gz"));
        CHECK_EQ(matching(u"*.*"), std::string("a.txt ab.t b.tar.gz"));
        CHECK_EQ(matching(u"A?.T"), std::string("ab.t"));
        CHECK_EQ(matching(u"<.gz"), std::string("b.tar.gz")); // DOS_STAR stops at the last dot
        CHECK_EQ(matching(u"a>"), std::string("a")); // DOS_QM takes nothing at the end
        CHECK_EQ(matching(u"a\"*"), std::string("a a.txt")); // DOS_DOT is nothing at the end
        const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
        CHECK_EQ(list(root, {.pattern = u"zzz"}).status, STATUS_NO_SUCH_FILE);
        CHECK_EQ(list(root).status, STATUS_NO_MORE_FILES);
        CHECK_EQ(list(root, {.flags = SL_RESTART_SCAN, .pattern = u"a*"}).status, STATUS_NO_MORE_FILES);
    });
}

TEST(positions_and_changes) {
    in_world([] {
        for (const auto name : {u"D:\\a", u"D:\\b", u"D:\\c"}) {
            CHECK_EQ(make(name), STATUS_SUCCESS);
        }
        const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
        CHECK_EQ(list(root, {.flags = SL_RETURN_SINGLE_ENTRY}).names, std::string("a"));
        // What comes behind the position is seen, what came before it is not; what goes is skipped.
        CHECK_EQ(make(u"D:\\a2"), STATUS_SUCCESS);
        CHECK_EQ(make(u"D:\\A"), STATUS_OBJECT_NAME_COLLISION);
        {
            const NtFile b(u"D:\\b");
            CHECK_EQ(b.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}), STATUS_SUCCESS);
        }
        CHECK_EQ(list(root, {.flags = SL_RETURN_SINGLE_ENTRY}).names, std::string("a2"));
        CHECK_EQ(list(root).names, std::string("c"));
        CHECK_EQ(list(root, {.flags = SL_RESTART_SCAN, .length = 30}).names, std::string("a"));
        CHECK_EQ(list(root).names, std::string("a2 c"));
        CHECK_EQ(list(root, {.flags = SL_INDEX_SPECIFIED, .pattern = u"a"}).names, std::string("a2 c"));
    });
}

} // namespace MINIPEND_TEST_FILE
