// SPDX-License-Identifier: MIT
//
// This module provides: tests of hard links, named streams, and of deleting what has them.

#include "fs/fs_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fs_bench;

TEST(hard_links_are_names_of_one_file) {
    in_world([] {
        NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        write(file, "content");
        CHECK_EQ(name_target(file, u"D:\\b", FileLinkInformation), STATUS_SUCCESS);
        CHECK_EQ(name_target(file, u"D:\\b", FileLinkInformation), STATUS_OBJECT_NAME_COLLISION);
        CHECK_EQ(name_target(file, u"c", FileLinkInformationEx), STATUS_SUCCESS);
        FILE_STANDARD_INFORMATION standard{};
        CHECK_EQ(file.query(FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.NumberOfLinks, 3u);
        CHECK_EQ(content(u"D:\\b"), std::string("content"));
        alignas(8) uint8_t buffer[256];
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(NtQueryInformationFile(file, &iosb, buffer, sizeof buffer, FileHardLinkInformation), STATUS_SUCCESS);
        FILE_LINKS_INFORMATION links;
        memcpy(&links, buffer, sizeof links);
        CHECK_EQ(links.EntriesReturned, 3u);
        CHECK_EQ(links.Entry.FileNameLength, 1u); // characters
        CHECK_EQ(links.Entry.ParentFileId, 5);
        CHECK_EQ(NtQueryInformationFile(file, &iosb, buffer, sizeof links, FileHardLinkInformation),
                 STATUS_BUFFER_OVERFLOW);
        {
            const NtFile other(u"D:\\b");
            CHECK_EQ(other.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}), STATUS_SUCCESS);
            CHECK_EQ(exists(u"D:\\b"), STATUS_DELETE_PENDING);
            CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS); // the other names stay
            CHECK_EQ(other.query(FileStandardInformation, &standard), STATUS_SUCCESS);
            CHECK_EQ(standard.NumberOfLinks, 2u);
            CHECK(standard.DeletePending != FALSE);
            CHECK_EQ(name_target(other, u"d", FileLinkInformation), STATUS_ACCESS_DENIED);
        }
        CHECK_EQ(exists(u"D:\\b"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(content(u"D:\\c"), std::string("content"));
        const NtFile directory(u"D:\\dir", {.disposition = FILE_CREATE, .options = SYNC | FILE_DIRECTORY_FILE});
        CHECK_EQ(name_target(directory, u"dir2", FileLinkInformation), STATUS_FILE_IS_A_DIRECTORY);
        CHECK_EQ(name_target(file, u"in", FileLinkInformation, 0, directory), STATUS_SUCCESS);
        CHECK_EQ(content(u"D:\\dir\\in"), std::string("content"));
        CHECK_EQ(name_target(file, u"C:\\x", FileLinkInformation), STATUS_NOT_SAME_DEVICE);
        NtFile fat(u"E:\\a", {.disposition = FILE_CREATE});
        CHECK_EQ(name_target(fat, u"b", FileLinkInformation), STATUS_INVALID_DEVICE_REQUEST);
    });
}

TEST(links_replace) {
    in_world([] {
        NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        CHECK_EQ(make(u"D:\\b"), STATUS_SUCCESS);
        CHECK_EQ(name_target(file, u"b", FileLinkInformation, 1), STATUS_SUCCESS);
        CHECK_EQ(name_target(file, u"b", FileLinkInformation, 1), STATUS_SUCCESS); // it is that link already
        NtFile read_only(u"D:\\r", {.disposition = FILE_CREATE, .attributes = FILE_ATTRIBUTE_READONLY});
        read_only.close();
        CHECK_EQ(name_target(file, u"r", FileLinkInformationEx, 1), STATUS_ACCESS_DENIED);
        CHECK_EQ(name_target(file, u"r", FileLinkInformationEx, 1 | 0x40), STATUS_SUCCESS);
        CHECK_EQ(name_target(file, u"B2", FileRenameInformation), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\a"), STATUS_OBJECT_NAME_NOT_FOUND); // the name it was opened by
        CHECK_EQ(exists(u"D:\\b"), STATUS_SUCCESS);
    });
}

TEST(a_rename_to_another_name_of_the_file_leaves_one) {
    in_world([] {
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        write(file, "content");
        CHECK_EQ(name_target(file, u"b", FileLinkInformation), STATUS_SUCCESS);
        CHECK_EQ(name_target(file, u"c", FileLinkInformation), STATUS_SUCCESS);
        const NtFile other(u"D:\\b"); // neither this nor the missing flag is in the way
        CHECK_EQ(name_target(file, u"B", FileRenameInformation), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\a"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(content(u"D:\\b"), std::string("content"));
        FILE_STANDARD_INFORMATION standard{};
        CHECK_EQ(file.query(FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.NumberOfLinks, 2u);
        CHECK(standard.DeletePending == FALSE);
        CHECK_EQ(other.query(FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.NumberOfLinks, 2u);
        CHECK(standard.DeletePending != FALSE); // the name that it came by went
        {
            const NtFile third(u"D:\\c");
            CHECK_EQ(third.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}), STATUS_SUCCESS);
            CHECK_EQ(name_target(file, u"c", FileRenameInformation, 1), STATUS_DELETE_PENDING);
            CHECK_EQ(name_target(file, u"c", FileLinkInformation, 1), STATUS_DELETE_PENDING);
            CHECK_EQ(name_target(file, u"c", FileLinkInformation), STATUS_OBJECT_NAME_COLLISION);
        }
        CHECK_EQ(name_target(file, u"c", FileLinkInformation), STATUS_SUCCESS);
    });
}

TEST(a_name_of_an_open_file_is_not_replaced) {
    in_world([] {
        NtFile target(u"D:\\t", {.disposition = FILE_CREATE});
        CHECK_EQ(name_target(target, u"t2", FileLinkInformation), STATUS_SUCCESS);
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        constexpr ULONG REPLACE = 1;
        constexpr ULONG POSIX = 2;
        for (const ULONG by : {FileRenameInformation, FileLinkInformation}) {
            CHECK_EQ(name_target(file, u"t", by, REPLACE), STATUS_ACCESS_DENIED);
            CHECK_EQ(name_target(file, u"t2", by, REPLACE), STATUS_ACCESS_DENIED); // it is open by its other name
        }
        CHECK_EQ(name_target(file, u"t2", FileLinkInformationEx, REPLACE | POSIX), STATUS_SUCCESS);
        target.close();
        CHECK_EQ(name_target(file, u"t", FileLinkInformation, REPLACE), STATUS_SUCCESS);
        FILE_STANDARD_INFORMATION standard{};
        CHECK_EQ(file.query(FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.NumberOfLinks, 3u);
    });
}

TEST(named_streams) {
    in_world([] {
        NtFile stream(u"D:\\f:one", {.disposition = FILE_CREATE});
        CHECK_EQ(stream.status, STATUS_SUCCESS);
        CHECK_EQ(stream.information, FILE_CREATED);
        write(stream, "in the stream");
        CHECK_EQ(content(u"D:\\f"), std::string());
        CHECK_EQ(content(u"D:\\F:ONE:$data"), std::string("in the stream"));
        CHECK_EQ(NtFile(u"D:\\f:two").status, STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(NtFile(u"D:\\f:one", {.disposition = FILE_CREATE}).status, STATUS_OBJECT_NAME_COLLISION);
        for (const auto bad : {u"D:\\f:", u"D:\\f:one:", u"D:\\f:one:$BITMAP", u"D:\\f:one:$DATA:x", u"D:\\f:x\\y"}) {
            CHECK_EQ(NtFile(bad, {.disposition = FILE_OPEN_IF}).status, STATUS_OBJECT_NAME_INVALID);
        }
        CHECK_EQ(NtFile(u"D:\\f::$DATA").status, STATUS_SUCCESS);
        CHECK_EQ(NtFile(u"D:\\f::$INDEX_ALLOCATION").status, STATUS_NOT_A_DIRECTORY);
        CHECK_EQ(NtFile(u"D:\\::$DATA", {.disposition = FILE_OPEN}).status, STATUS_OBJECT_NAME_INVALID);
        CHECK_EQ(NtFile(u"E:\\f:one", {.disposition = FILE_CREATE}).status, STATUS_OBJECT_NAME_INVALID);
        alignas(8) uint8_t buffer[256];
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(NtQueryInformationFile(stream, &iosb, buffer, sizeof buffer, FileStreamInformation), STATUS_SUCCESS);
        FILE_STREAM_INFORMATION first;
        memcpy(&first, buffer, sizeof first);
        CHECK_EQ(first.StreamNameLength, 14u); // ::$DATA
        FILE_STREAM_INFORMATION second;
        memcpy(&second, buffer + first.NextEntryOffset, sizeof second);
        CHECK_EQ(second.NextEntryOffset, 0u);
        CHECK_EQ(second.StreamSize.QuadPart, 13);
        CHECK_EQ(NtQueryInformationFile(stream, &iosb, buffer, 48, FileStreamInformation), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(name_target(stream, u":renamed", FileRenameInformation), STATUS_SUCCESS);
        CHECK_EQ(content(u"D:\\f:renamed"), std::string("in the stream"));
        CHECK_EQ(name_target(stream, u"plain", FileRenameInformation), STATUS_INVALID_PARAMETER);
        CHECK_EQ(stream.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}), STATUS_SUCCESS);
        stream.close();
        CHECK_EQ(exists(u"D:\\f:renamed"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(exists(u"D:\\f"), STATUS_SUCCESS);
        // Overwriting the file takes its streams along.
        CHECK_EQ(make(u"D:\\f:x"), STATUS_SUCCESS);
        CHECK_EQ(NtFile(u"D:\\f", {.disposition = FILE_OVERWRITE}).information, FILE_OVERWRITTEN);
        CHECK_EQ(exists(u"D:\\f:x"), STATUS_OBJECT_NAME_NOT_FOUND);
    });
}

TEST(streams_share_their_files_fate) {
    in_world([] {
        NtFile stream(u"D:\\f:s", {.disposition = FILE_CREATE, .share = FILE_SHARE_READ});
        CHECK_EQ(NtFile(u"D:\\f", {.access = DELETE}).status, STATUS_SHARING_VIOLATION);
        CHECK_EQ(NtFile(u"D:\\f", {.access = FILE_WRITE_DATA}).status, STATUS_SUCCESS);
        stream.close();
        NtFile again(u"D:\\f:s");
        NtFile file(u"D:\\f");
        CHECK_EQ(file.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}), STATUS_SUCCESS);
        file.close();
        CHECK_EQ(exists(u"D:\\f"), STATUS_DELETE_PENDING); // the stream's handle keeps the name
        again.close();
        CHECK_EQ(exists(u"D:\\f"), STATUS_OBJECT_NAME_NOT_FOUND);
    });
}

TEST(dispositions_to_delete) {
    in_world([] {
        NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        const auto ex = [&](ULONG flags) {
            return file.set(FileDispositionInformationEx, FILE_DISPOSITION_INFORMATION_EX{flags});
        };
        CHECK_EQ(ex(FILE_DISPOSITION_DELETE | FILE_DISPOSITION_ON_CLOSE), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS); // at the close only
        CHECK_EQ(ex(FILE_DISPOSITION_ON_CLOSE), STATUS_SUCCESS); // taken back
        file.close();
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS);
        FILE_BASIC_INFORMATION basic{};
        basic.FileAttributes = FILE_ATTRIBUTE_READONLY;
        {
            NtFile read_only(u"D:\\a");
            CHECK_EQ(read_only.set(FileBasicInformation, basic), STATUS_SUCCESS);
            CHECK_EQ(read_only.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}),
                     STATUS_CANNOT_DELETE);
            constexpr ULONG IGNORE_READONLY = 0x10;
            CHECK_EQ(read_only.set(FileDispositionInformationEx,
                                   FILE_DISPOSITION_INFORMATION_EX{FILE_DISPOSITION_DELETE | IGNORE_READONLY}),
                     STATUS_SUCCESS);
        }
        CHECK_EQ(exists(u"D:\\a"), STATUS_OBJECT_NAME_NOT_FOUND);
        NtFile mapped(u"D:\\m", {.disposition = FILE_CREATE});
        write(mapped, "x");
        const HANDLE section = CreateFileMappingW(mapped, nullptr, PAGE_READONLY, 0, 0, nullptr);
        void *view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
        CHECK(view != nullptr);
        CHECK_EQ(mapped.set(FileDispositionInformation, FILE_DISPOSITION_INFORMATION{TRUE}), STATUS_CANNOT_DELETE);
        CHECK_EQ(
            mapped.set(FileDispositionInformationEx,
                       FILE_DISPOSITION_INFORMATION_EX{FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS}),
            STATUS_SUCCESS);
        CHECK(UnmapViewOfFile(view) != FALSE);
        CHECK(CloseHandle(section) != FALSE);
    });
}

} // namespace MINIPEND_TEST_FILE
