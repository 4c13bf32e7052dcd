// SPDX-License-Identifier: MIT
//
// This module provides: tests of what a filter sees of the calls that open, name, list, delete and copy files [SEQ-01, 02, 14, 15, 16, 20, 21, 22].
//
// DIR queries and controls are the native services' forms of the calls; kernel32's own steps are made here one by one.

#include "fs/fs_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fs_bench;

namespace {

const std::string CREATE = "CREATE(I,0x884)@0[null]";
const std::string REPARSED = CREATE; // STATUS_REPARSE is a success
const std::string CLOSED = " CLEANUP(I,0x404)@0[null] CLOSE(I,0x404)@1[null]";
const std::string SET = "SET(I,0x830)@0[null]";

/// Runs `fn` with the tracing filter on some volumes.
void traced_world(const std::vector<std::u16string_view> &volumes, const std::function<void()> &fn) {
    in_world([&] {
        {
            const fltsim::KernelCall call("test");
            io_bench::trace(volumes[0]);
            for (size_t i = 1; i < volumes.size(); ++i) {
                std::u16string created;
                CHECK_EQ(fltsim::world().flt->attach(u"tracer", *fltsim::world().io->volume_by_dos(volumes[i]), u"",
                                                     u"", &created),
                         STATUS_SUCCESS);
            }
        }
        io_bench::traced();
        fn();
    });
}

std::string traced() {
    return io_bench::traced();
}

} // namespace

TEST(open_through_a_link_is_a_second_create) { // SEQ-01
    traced_world({u"D:", u"E:"}, [] {
        CHECK_EQ(make(u"E:\\x"), STATUS_SUCCESS);
        CHECK_EQ(make_reparse(u"D:\\link", IO_REPARSE_TAG_SYMLINK, u"\\??\\E:\\x"), STATUS_SUCCESS);
        traced();
        NtFile file(u"D:\\link");
        CHECK_EQ(file.status, STATUS_SUCCESS);
        CHECK_EQ(traced(), REPARSED + " " + CREATE);
        file.close();
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[irp] CLOSE(I,0x404)@1[irp]")); // FAT
    });
}

TEST(attributes_by_name) { // SEQ-02
    traced_world({u"D:", u"E:"}, [] {
        CHECK_EQ(make(u"D:\\a"), STATUS_SUCCESS);
        CHECK_EQ(make(u"E:\\a"), STATUS_SUCCESS);
        CHECK_EQ(make(u"D:\\dir", true), STATUS_SUCCESS);
        CHECK_EQ(make(u"D:\\dir\\b"), STATUS_SUCCESS);
        CHECK_EQ(make_reparse(u"D:\\link", IO_REPARSE_TAG_SYMLINK, u"dir", true, true), STATUS_SUCCESS);
        traced();
        Name name(u"D:\\a");
        FILE_NETWORK_OPEN_INFORMATION network{};
        CHECK_EQ(NtQueryFullAttributesFile(&name.attributes, &network), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("NETWORK_QUERY_OPEN(F)@1[null]"));
        FILE_STAT_INFORMATION stat{};
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(NtQueryInformationByName(&name.attributes, &iosb, &stat, sizeof stat, FileStatInformation),
                 STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("QUERY_OPEN(S)@0[null]"));
        // FAT has neither: an open, and fast I/O.
        Name fat(u"E:\\a");
        CHECK_EQ(NtQueryFullAttributesFile(&fat.attributes, &network), STATUS_SUCCESS);
        CHECK_EQ(traced(), "NETWORK_QUERY_OPEN(F)@1[null]=0xC01C0004 " + CREATE +
                               " QUERY(F)@1[null] CLEANUP(I,0x404)@0[irp] CLOSE(I,0x404)@1[irp]");
        // A link on the way: the short way is turned away, the open goes around.
        Name through(u"D:\\link\\b");
        CHECK_EQ(NtQueryFullAttributesFile(&through.attributes, &network), STATUS_SUCCESS);
        CHECK_EQ(traced(),
                 "NETWORK_QUERY_OPEN(F)@1[null]=0xC01C0004 " + REPARSED + " " + CREATE + " QUERY(F)@1[null]" + CLOSED);
        Name none(u"D:\\none");
        CHECK_EQ(NtQueryFullAttributesFile(&none.attributes, &network), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(traced(), std::string("NETWORK_QUERY_OPEN(F)@1[null]=0xC0000034"));
    });
}

TEST(delete_by_disposition) { // SEQ-14
    traced_world({u"D:"}, [] {
        CHECK_EQ(make(u"D:\\a"), STATUS_SUCCESS);
        traced();
        {
            const NtFile file(u"D:\\a",
                              {.access = DELETE | FILE_READ_ATTRIBUTES, .options = SYNC | FILE_OPEN_REPARSE_POINT});
            FILE_ATTRIBUTE_TAG_INFORMATION tag{};
            CHECK_EQ(file.query(FileAttributeTagInformation, &tag), STATUS_SUCCESS);
            CHECK_EQ(
                file.set(FileDispositionInformationEx,
                         FILE_DISPOSITION_INFORMATION_EX{FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS}),
                STATUS_SUCCESS);
        }
        CHECK_EQ(traced(), CREATE + " QUERY(I,0x870)@0[null] " + SET + CLOSED);
        CHECK_EQ(exists(u"D:\\a"), STATUS_OBJECT_NAME_NOT_FOUND);
        traced();
        NtFile(u"D:\\b", {.disposition = FILE_CREATE, .options = SYNC | FILE_DELETE_ON_CLOSE});
        CHECK_EQ(traced(), CREATE + CLOSED); // no SET_INFORMATION
        CHECK_EQ(exists(u"D:\\b"), STATUS_OBJECT_NAME_NOT_FOUND);
    });
}

TEST(rename_and_link_open_the_targets_parent) { // SEQ-15
    traced_world({u"D:"}, [] {
        CHECK_EQ(make(u"D:\\dir", true), STATUS_SUCCESS);
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        traced();
        CHECK_EQ(name_target(file, u"D:\\dir\\b", FileRenameInformation), STATUS_SUCCESS);
        CHECK_EQ(traced(), CREATE + " " + SET + CLOSED);
        CHECK_EQ(name_target(file, u"c", FileRenameInformationEx, FILE_RENAME_POSIX_SEMANTICS), STATUS_SUCCESS);
        CHECK_EQ(traced(), SET);
        CHECK_EQ(name_target(file, u"D:\\d", FileLinkInformation), STATUS_SUCCESS);
        CHECK_EQ(traced(), CREATE + " " + SET + CLOSED);
        CHECK_EQ(name_target(file, u"D:\\none\\d", FileLinkInformation), STATUS_OBJECT_PATH_NOT_FOUND);
        CHECK_EQ(traced(), CREATE + "=0xC000003A");
    });
}

TEST(another_volume_is_found_out_when_its_directory_is_open) { // SEQ-15
    traced_world({u"D:", u"E:"}, [] {
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        traced();
        for (const ULONG information_class : {FileRenameInformation, FileLinkInformation}) {
            CHECK_EQ(name_target(file, u"E:\\b", information_class), STATUS_NOT_SAME_DEVICE);
            CHECK_EQ(traced(), CREATE + " CLEANUP(I,0x404)@0[irp] CLOSE(I,0x404)@1[irp]"); // of E:\, on FAT
            CHECK_EQ(name_target(file, u"E:\\none\\b", information_class), STATUS_OBJECT_PATH_NOT_FOUND);
            CHECK_EQ(traced(), CREATE + "=0xC000003A");
        }
    });
}

TEST(find_files) { // SEQ-16
    traced_world({u"D:"}, [] {
        CHECK_EQ(make(u"D:\\a"), STATUS_SUCCESS);
        traced();
        {
            const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY,
                                        .options = SYNC | FILE_DIRECTORY_FILE | FILE_OPEN_FOR_BACKUP_INTENT});
            alignas(8) uint8_t buffer[512];
            IO_STATUS_BLOCK iosb{};
            Name pattern(u"*", root);
            CHECK_EQ(NtQueryDirectoryFileEx(root, nullptr, nullptr, nullptr, &iosb, buffer, sizeof buffer,
                                            FileBothDirectoryInformation, SL_RETURN_SINGLE_ENTRY, &pattern.string),
                     STATUS_SUCCESS);
            CHECK_EQ(NtQueryDirectoryFileEx(root, nullptr, nullptr, nullptr, &iosb, buffer, sizeof buffer,
                                            FileBothDirectoryInformation, 0, nullptr),
                     STATUS_NO_MORE_FILES);
        }
        CHECK_EQ(traced(), CREATE + " DIR(I,0x800)@0[null] DIR(I,0x800)@0[null]=0x80000006" + CLOSED);
    });
}

TEST(failed_creates_have_no_close) { // SEQ-22
    traced_world({u"D:"}, [] {
        CHECK_EQ(exists(u"D:\\none"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(traced(), CREATE + "=0xC0000034");
    });
}

TEST(copy_a_file) { // SEQ-20, SEQ-21
    traced_world({u"D:"}, [] {
        {
            const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
            write(file, "content");
        }
        io_bench::sleep_ms(1500); // the lazy writer is through with it
        traced();
        NtFile from(u"D:\\a", {.access = FILE_GENERIC_READ, .options = SYNC | FILE_SEQUENTIAL_ONLY});
        FILE_BASIC_INFORMATION basic{};
        FILE_STANDARD_INFORMATION standard{};
        FILE_FS_SIZE_INFORMATION size{};
        CHECK_EQ(from.query(FileBasicInformation, &basic), STATUS_SUCCESS);
        CHECK_EQ(from.query(FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(from.query_volume(FileFsSizeInformation, &size), STATUS_SUCCESS);
        NtFile to(u"D:\\b", {.disposition = FILE_CREATE, .options = SYNC | FILE_SEQUENTIAL_ONLY});
        FILE_END_OF_FILE_INFORMATION end{};
        end.EndOfFile = standard.EndOfFile;
        CHECK_EQ(to.set(FileEndOfFileInformation, end), STATUS_SUCCESS);
        CHECK_EQ(traced(),
                 CREATE + " QUERY(F)@1[null] QUERY(F)@1[null] QUERY_VOLUME(I,0x870)@0[null] " + CREATE + " " + SET);
        char text[16];
        DWORD bytes = 0;
        CHECK(ReadFile(from, text, sizeof text, &bytes, nullptr) != FALSE);
        write(to, {text, bytes});
        basic.FileAttributes = 0;
        CHECK_EQ(to.set(FileBasicInformation, basic), STATUS_SUCCESS);
        traced();
        from.close();
        CHECK_EQ(traced(), CLOSED.substr(1)); // nothing of it is left in the cache
        to.close();
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null]"));
        io_bench::sleep_ms(1500); // the cache keeps the file object until it is written
        CHECK(check::contains(traced(), "CLOSE(I,0x404)@1[null]system"));
        CHECK_EQ(content(u"D:\\b"), std::string("content"));
    });
}

} // namespace MINIPEND_TEST_FILE
