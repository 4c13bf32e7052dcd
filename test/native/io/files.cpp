// SPDX-License-Identifier: MIT
//
// This module provides: tests of the name space: opening, sharing, renaming, deleting, listing, with NTFS's statuses.

#include "io/bench.hpp"

#include "fs/file_system.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

void expect_clean(const std::string &report) {
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK(check::contains(report, "\"leaks\":[]"));
    if (!check::contains(report, "\"stopped\":false") || !check::contains(report, "\"leaks\":[]")) {
        fprintf(stderr, "%s\n", report.c_str());
    }
}

} // namespace

TEST(dispositions) {
    expect_clean(run([] {
        CHECK_EQ(open(u"D:\\a.txt").status, STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(open(u"D:\\no\\a.txt", FILE_CREATE).status, STATUS_OBJECT_PATH_NOT_FOUND);
        CHECK_EQ(open(u"Q:\\a.txt").status, STATUS_OBJECT_PATH_NOT_FOUND);
        CHECK_EQ(open(u"D:\\a.txt", FILE_OVERWRITE).status, STATUS_OBJECT_NAME_NOT_FOUND);
        Opened made = open(u"D:\\a.txt", FILE_OPEN_IF);
        REQUIRE(made);
        CHECK_EQ(made.information, FILE_CREATED);
        CHECK_EQ(write(made, "hello"), STATUS_SUCCESS);
        close(made);
        CHECK_EQ(open(u"D:\\A.TXT", FILE_CREATE).status, STATUS_OBJECT_NAME_COLLISION);
        CHECK_EQ(open(u"D:\\a.txt\\x").status, STATUS_OBJECT_PATH_NOT_FOUND);
        CHECK_EQ(open(u"D:\\a.txt", FILE_OPEN, SYNC | FILE_DIRECTORY_FILE).status, STATUS_NOT_A_DIRECTORY);
        CHECK_EQ(open(u"D:\\", FILE_OPEN, SYNC | FILE_NON_DIRECTORY_FILE).status, STATUS_FILE_IS_A_DIRECTORY);
        Opened again = open(u"\\Device\\HarddiskVolume2\\A.txt", FILE_OPEN_IF);
        REQUIRE(again);
        CHECK_EQ(again.information, FILE_OPENED);
        CHECK_EQ(read(again, 100), std::string("hello"));
        close(again);
        Opened overwritten = open(u"D:\\a.txt", FILE_OVERWRITE_IF);
        CHECK_EQ(overwritten.information, FILE_OVERWRITTEN);
        CHECK_EQ(size_of(overwritten), 0);
        close(overwritten);
        for (const auto bad : {u"D:\\a*b", u"D:\\a?b", u"D:\\a\\\\b", u"D:\\a|b", u"D:\\.."}) {
            CHECK_EQ(open(bad, FILE_CREATE).status, STATUS_OBJECT_NAME_INVALID);
        }
        CHECK_EQ(exists(u"\\SystemRoot"), STATUS_SUCCESS);
        CHECK_EQ(exists(u"C:\\windows"), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:"), STATUS_SUCCESS);
    }));
}

TEST(sharing_and_access) {
    expect_clean(run([] {
        Opened first = open(u"D:\\a", FILE_CREATE, SYNC, FILE_READ_DATA, FILE_SHARE_READ);
        REQUIRE(first);
        CHECK_EQ(open(u"D:\\a", FILE_OPEN, SYNC, FILE_WRITE_DATA).status, STATUS_SHARING_VIOLATION);
        CHECK_EQ(open(u"D:\\a", FILE_OPEN, SYNC, DELETE).status, STATUS_SHARING_VIOLATION);
        CHECK_EQ(open(u"D:\\a", FILE_OPEN, SYNC, FILE_READ_DATA, FILE_SHARE_WRITE).status, STATUS_SHARING_VIOLATION);
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS);
        CHECK_EQ(write(first, "x"), STATUS_ACCESS_DENIED);
        close(first);
        Opened writer = open(u"D:\\a", FILE_OPEN, SYNC, FILE_WRITE_DATA);
        REQUIRE(writer);
        CHECK_EQ(read(writer, 1), std::string("status 0xC0000022"));
        CHECK_EQ(write(writer, "x"), STATUS_SUCCESS);
        close(writer);
        Opened read_only = open(u"D:\\r", FILE_CREATE, SYNC, READ_WRITE, SHARE_ALL, FILE_ATTRIBUTE_READONLY);
        CHECK_EQ(write(read_only, "x"), STATUS_SUCCESS);
        CHECK_EQ(set_delete(read_only), STATUS_CANNOT_DELETE);
        close(read_only);
        CHECK_EQ(open(u"D:\\r", FILE_OPEN, SYNC, FILE_WRITE_DATA).status, STATUS_ACCESS_DENIED);
    }));
}

TEST(rename_moves_and_replaces) {
    expect_clean(run([] {
        Opened directory = open(u"D:\\dir", FILE_CREATE, SYNC | FILE_DIRECTORY_FILE);
        REQUIRE(directory);
        close(directory);
        Opened file = open(u"D:\\a", FILE_CREATE);
        CHECK_EQ(write(file, "content"), STATUS_SUCCESS);
        CHECK_EQ(rename(file, u"D:\\dir\\b"), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\a"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(exists(u"D:\\dir\\b"), STATUS_SUCCESS);
        CHECK_EQ(rename(file, u"B"), STATUS_SUCCESS); // in its directory, case only
        CHECK_EQ(rename(file, u"D:\\none\\b"), STATUS_OBJECT_PATH_NOT_FOUND);
        CHECK_EQ(rename(file, u"C:\\b"), STATUS_NOT_SAME_DEVICE);
        CHECK_EQ(rename(file, u"D:\\di*r\\b"), STATUS_OBJECT_NAME_INVALID);
        Opened other = open(u"D:\\dir\\c", FILE_CREATE);
        CHECK_EQ(rename(file, u"c"), STATUS_OBJECT_NAME_COLLISION);
        CHECK_EQ(rename(file, u"c", true), STATUS_ACCESS_DENIED); // it is open
        CHECK_EQ(rename(file, u"c", true, FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS), STATUS_SUCCESS);
        close(other);
        Opened top = open(u"D:\\dir", FILE_OPEN, SYNC | FILE_DIRECTORY_FILE);
        CHECK_EQ(rename(top, u"dir2"), STATUS_ACCESS_DENIED); // a file below it is open
        close(file);
        CHECK_EQ(rename(top, u"D:\\dir\\dir3"), STATUS_INVALID_PARAMETER);
        CHECK_EQ(rename(top, u"dir2"), STATUS_SUCCESS);
        close(top);
        Opened back = open(u"D:\\dir2\\C");
        REQUIRE(back);
        CHECK_EQ(read(back, 10), std::string("content"));
        close(back);
    }));
}

TEST(deleting) {
    expect_clean(run([] {
        Opened directory = open(u"D:\\dir", FILE_CREATE, SYNC | FILE_DIRECTORY_FILE);
        Opened a = open(u"D:\\dir\\a", FILE_CREATE);
        Opened b = open(u"D:\\dir\\a");
        CHECK_EQ(set_delete(directory), STATUS_DIRECTORY_NOT_EMPTY);
        CHECK_EQ(set_delete(a), STATUS_SUCCESS);
        CHECK_EQ(open(u"D:\\dir\\a").status, STATUS_DELETE_PENDING);
        CHECK_EQ(set_delete(a, false), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\dir\\a"), STATUS_SUCCESS);
        CHECK_EQ(set_delete(a), STATUS_SUCCESS);
        close(a);
        CHECK_EQ(open(u"D:\\dir\\a").status, STATUS_DELETE_PENDING); // the other handle keeps the name
        close(b);
        CHECK_EQ(exists(u"D:\\dir\\a"), STATUS_OBJECT_NAME_NOT_FOUND);

        Opened c = open(u"D:\\dir\\c", FILE_CREATE);
        Opened d = open(u"D:\\dir\\c");
        CHECK_EQ(write(d, "still here"), STATUS_SUCCESS);
        CHECK_EQ(set_delete(c, true, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS), STATUS_SUCCESS);
        close(c);
        CHECK_EQ(exists(u"D:\\dir\\c"), STATUS_OBJECT_NAME_NOT_FOUND); // POSIX: gone with that handle
        CHECK_EQ(read(d, 20, 0), std::string("still here"));
        std::u16string name;
        CHECK_EQ(d.file->volume->file_system->query_name(*d, &name), STATUS_FILE_DELETED);
        close(d);

        Opened e = open(u"D:\\dir\\e", FILE_CREATE, SYNC | FILE_DELETE_ON_CLOSE);
        close(e);
        CHECK_EQ(exists(u"D:\\dir\\e"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(set_delete(directory), STATUS_SUCCESS);
        close(directory);
        CHECK_EQ(exists(u"D:\\dir"), STATUS_OBJECT_NAME_NOT_FOUND);
        Opened fat = open(u"E:\\x", FILE_CREATE);
        CHECK_EQ(set_delete(fat, true, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS),
                 STATUS_INVALID_PARAMETER);
        close(fat);
    }));
}

TEST(listing) {
    expect_clean(run([] {
        Opened root = open(u"D:\\", FILE_OPEN, SYNC, FILE_LIST_DIRECTORY);
        REQUIRE(root);
        CHECK_EQ(list(root), std::string("status 0xC000000F"));
        close(root);
        for (const auto name : {u"D:\\b.txt", u"D:\\A.txt", u"D:\\c.log"}) {
            Opened file = open(name, FILE_CREATE);
            close(file);
        }
        root = open(u"D:\\", FILE_OPEN, SYNC, FILE_LIST_DIRECTORY);
        CHECK_EQ(list(root, u"*.TXT"), std::string("A.txt b.txt "));
        CHECK_EQ(list(root), std::string("status 0x80000006"));
        CHECK_EQ(list(root, u"", true, true), std::string("A.txt "));
        CHECK_EQ(list(root, u"", true), std::string("b.txt "));
        close(root);
        Opened directory = open(u"D:\\sub", FILE_CREATE, SYNC | FILE_DIRECTORY_FILE);
        CHECK_EQ(list(directory), std::string(". .. "));
        close(directory);
        Opened again = open(u"D:\\sub", FILE_OPEN, SYNC, FILE_LIST_DIRECTORY);
        CHECK_EQ(list(again, u"nothing?"), std::string("status 0xC000000F"));
        CHECK_EQ(list(again), std::string("status 0x80000006"));
        close(again);
    }));
}

TEST(zw_open_file) {
    expect_clean(run([] {
        char16_t text[] = u"\\SystemRoot";
        UNICODE_STRING name{};
        name.Buffer = reinterpret_cast<PWCH>(text);
        name.Length = name.MaximumLength = sizeof text - sizeof(char16_t);
        OBJECT_ATTRIBUTES attributes;
        InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, nullptr, nullptr);
        HANDLE handle = nullptr;
        IO_STATUS_BLOCK iosb{};
        trace(u"C:");
        REQUIRE(ZwOpenFile(&handle, FILE_READ_ATTRIBUTES | SYNCHRONIZE, &attributes, &iosb, SHARE_ALL, SYNC) ==
                STATUS_SUCCESS);
        CHECK_EQ(iosb.Information, FILE_OPENED);
        const auto file = world().handles->find_as<io::FileObject>(handle);
        REQUIRE(file != nullptr);
        CHECK(file->name == u"\\Windows");
        CHECK(file->volume->boot);
        CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
        CHECK_EQ(ZwClose(handle), STATUS_INVALID_HANDLE);
        CHECK_EQ(traced(), std::string("CREATE(I,0x884)@0[null] CLEANUP(I,0x404)@0[null] CLOSE(I,0x404)@1[null]"));
    }));
}

TEST(information_classes) {
    expect_clean(run([] {
        Opened file = open(u"D:\\name.txt", FILE_CREATE);
        write(file, "12345");
        IO_STATUS_BLOCK iosb{};
        alignas(8) char buffer[512];
        auto &io = *world().io;
        CHECK_EQ(io.query_information(*file, buffer, 8, FileBasicInformation, &iosb), STATUS_INFO_LENGTH_MISMATCH);
        CHECK_EQ(io.query_information(*file, buffer, 512, FileRenameInformation, &iosb), STATUS_INVALID_INFO_CLASS);
        CHECK_EQ(io.query_information(*file, buffer, 512, FilePositionInformation, &iosb), STATUS_SUCCESS);
        CHECK_EQ(reinterpret_cast<FILE_POSITION_INFORMATION *>(buffer)->CurrentByteOffset.QuadPart, 5);
        CHECK_EQ(io.query_information(*file, buffer, 512, FileNameInformation, &iosb), STATUS_SUCCESS);
        CHECK_EQ(reinterpret_cast<FILE_NAME_INFORMATION *>(buffer)->FileNameLength, 18);
        CHECK_EQ(io.query_information(*file, buffer, 8, FileNameInformation, &iosb), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(iosb.Information, 8);
        CHECK_EQ(io.query_information(*file, buffer, 512, FileAllInformation, &iosb), STATUS_SUCCESS);
        const auto *all = reinterpret_cast<FILE_ALL_INFORMATION *>(buffer);
        CHECK_EQ(all->StandardInformation.EndOfFile.QuadPart, 5);
        CHECK_EQ(all->AccessInformation.AccessFlags, file.file->granted_access);
        CHECK_EQ(all->NameInformation.FileNameLength, 18);
        FILE_BASIC_INFORMATION basic{};
        basic.LastWriteTime.QuadPart = 1234;
        basic.FileAttributes = FILE_ATTRIBUTE_HIDDEN;
        CHECK_EQ(io.set_information(*file, &basic, sizeof basic, FileBasicInformation, &iosb), STATUS_SUCCESS);
        CHECK_EQ(io.query_information(*file, &basic, sizeof basic, FileBasicInformation, &iosb), STATUS_SUCCESS);
        CHECK_EQ(basic.LastWriteTime.QuadPart, 1234);
        CHECK_EQ(basic.FileAttributes, FILE_ATTRIBUTE_HIDDEN);
        CHECK(basic.CreationTime.QuadPart != 0);
        close(file);
    }));
}

TEST(priority_hints_are_the_file_objects) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        traced();
        IO_STATUS_BLOCK iosb{};
        const auto set = [&](ULONG hint) {
            return world().io->set_information(*file, &hint, sizeof hint, FileIoPriorityHintInformation, &iosb);
        };
        const auto kept = [&] {
            FILE_IO_PRIORITY_HINT_INFORMATION information{};
            CHECK_EQ(world().io->query_information(*file, &information, sizeof information,
                                                   FileIoPriorityHintInformation, &iosb),
                     STATUS_SUCCESS);
            return information.PriorityHint;
        };
        CHECK_EQ(kept(), IoPriorityNormal);
        CHECK_EQ(set(IoPriorityVeryLow), STATUS_SUCCESS);
        CHECK_EQ(kept(), IoPriorityVeryLow);
        CHECK_EQ(set(IoPriorityHigh), STATUS_INVALID_PARAMETER);
        CHECK_EQ(kept(), IoPriorityVeryLow);
        CHECK_EQ(traced(), std::string()); // the file system and its filters are not asked
        close(file);
    }));
}

} // namespace MINIPEND_TEST_FILE
