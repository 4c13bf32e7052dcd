// SPDX-License-Identifier: MIT
//
// This module provides: tests of reparse points: mount points, symbolic links, what the I/O manager makes of STATUS_REPARSE.

#include "fs/fs_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fs_bench;

namespace {

void make_file(std::u16string_view name, std::string_view text) {
    const NtFile file(name, {.disposition = FILE_CREATE});
    CHECK_EQ(file.status, STATUS_SUCCESS);
    write(file, text);
}

} // namespace

TEST(mount_points_lead_to_other_volumes) {
    in_world([] {
        CHECK_EQ(make(u"E:\\there", true), STATUS_SUCCESS);
        make_file(u"E:\\there\\x", "on E");
        CHECK_EQ(make_reparse(u"D:\\mnt", IO_REPARSE_TAG_MOUNT_POINT, u"\\??\\E:\\there", true), STATUS_SUCCESS);
        CHECK_EQ(content(u"D:\\mnt\\x"), std::string("on E"));
        make_file(u"D:\\mnt\\y", "made through it");
        CHECK_EQ(content(u"E:\\there\\y"), std::string("made through it"));
        const NtFile through(u"D:\\mnt");
        FILE_ATTRIBUTE_TAG_INFORMATION tag{};
        CHECK_EQ(through.query(FileAttributeTagInformation, &tag), STATUS_INVALID_PARAMETER); // it is E:, and FAT
        const NtFile point(u"D:\\mnt", {.options = SYNC | FILE_OPEN_REPARSE_POINT});
        CHECK_EQ(point.query(FileAttributeTagInformation, &tag), STATUS_SUCCESS);
        CHECK_EQ(tag.ReparseTag, IO_REPARSE_TAG_MOUNT_POINT);
        CHECK_EQ(tag.FileAttributes, FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT);
        // A rename whose target lies behind it leaves the volume.
        make_file(u"D:\\z", "z");
        const NtFile z(u"D:\\z");
        CHECK_EQ(name_target(z, u"D:\\mnt\\z", FileRenameInformation), STATUS_NOT_SAME_DEVICE);
        CHECK_EQ(make_reparse(u"D:\\f", IO_REPARSE_TAG_MOUNT_POINT, u"\\??\\E:\\there"), STATUS_NOT_A_DIRECTORY);
        CHECK_EQ(make_reparse(u"E:\\mnt", IO_REPARSE_TAG_MOUNT_POINT, u"\\??\\D:\\", true),
                 STATUS_INVALID_DEVICE_REQUEST);
    });
}

TEST(symbolic_links) {
    in_world([] {
        CHECK_EQ(make(u"D:\\dir", true), STATUS_SUCCESS);
        make_file(u"D:\\dir\\x", "target");
        CHECK_EQ(make_reparse(u"D:\\absolute", IO_REPARSE_TAG_SYMLINK, u"\\??\\D:\\dir\\x"), STATUS_SUCCESS);
        CHECK_EQ(content(u"D:\\absolute"), std::string("target"));
        CHECK_EQ(make_reparse(u"D:\\dir\\relative", IO_REPARSE_TAG_SYMLINK, u"..\\dir\\.\\x", false, true),
                 STATUS_SUCCESS);
        CHECK_EQ(content(u"D:\\dir\\relative"), std::string("target"));
        CHECK_EQ(make_reparse(u"D:\\rooted", IO_REPARSE_TAG_SYMLINK, u"\\dir", true, true), STATUS_SUCCESS);
        CHECK_EQ(content(u"D:\\rooted\\x"), std::string("target"));
        CHECK_EQ(make_reparse(u"D:\\dangling", IO_REPARSE_TAG_SYMLINK, u"none", false, true), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\dangling"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(make(u"D:\\dangling"), STATUS_SUCCESS); // makes the target
        CHECK_EQ(exists(u"D:\\none"), STATUS_SUCCESS);
        CHECK_EQ(make_reparse(u"D:\\loop", IO_REPARSE_TAG_SYMLINK, u"loop", false, true), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\loop"), STATUS_REPARSE_POINT_NOT_RESOLVED);
        CHECK_EQ(make_reparse(u"D:\\nowhere", IO_REPARSE_TAG_SYMLINK, u"\\??\\Q:\\x"), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\nowhere"), STATUS_OBJECT_PATH_NOT_FOUND);
        // A relative open, and an open by id, meet reparse points as well.
        const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
        CHECK_EQ(NtFile(u"rooted\\x", {.root = root}).status, STATUS_SUCCESS);
    });
}

TEST(reparse_controls) {
    in_world([] {
        CHECK_EQ(make_reparse(u"D:\\s", IO_REPARSE_TAG_SYMLINK, u"x", false, true), STATUS_SUCCESS);
        const NtFile link(u"D:\\s", {.options = SYNC | FILE_OPEN_REPARSE_POINT});
        const auto data = reparse_data(IO_REPARSE_TAG_SYMLINK, u"x", true);
        std::vector<uint8_t> answer(256);
        CHECK_EQ(control(link, FSCTL_GET_REPARSE_POINT, {}, &answer), STATUS_SUCCESS);
        CHECK(answer == data);
        std::vector<uint8_t> small(8);
        CHECK_EQ(control(link, FSCTL_GET_REPARSE_POINT, {}, &small), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(control(link, FSCTL_SET_REPARSE_POINT, reparse_data(IO_REPARSE_TAG_MOUNT_POINT, u"\\??\\D:\\")),
                 STATUS_NOT_A_DIRECTORY);
        auto bad = data;
        bad.pop_back();
        CHECK_EQ(control(link, FSCTL_SET_REPARSE_POINT, bad), STATUS_IO_REPARSE_DATA_INVALID);
        CHECK_EQ(control(link, FSCTL_SET_REPARSE_POINT, {1, 0, 0, 0, 0, 0, 0, 0}), STATUS_IO_REPARSE_TAG_INVALID);
        std::vector<uint8_t> head(8);
        const ULONG other = IO_REPARSE_TAG_MOUNT_POINT;
        memcpy(head.data(), &other, sizeof other);
        CHECK_EQ(control(link, FSCTL_DELETE_REPARSE_POINT, head), STATUS_IO_REPARSE_TAG_MISMATCH);
        const ULONG mine = IO_REPARSE_TAG_SYMLINK;
        memcpy(head.data(), &mine, sizeof mine);
        CHECK_EQ(control(link, FSCTL_DELETE_REPARSE_POINT, head), STATUS_SUCCESS);
        CHECK_EQ(control(link, FSCTL_DELETE_REPARSE_POINT, head), STATUS_NOT_A_REPARSE_POINT);
        CHECK_EQ(exists(u"D:\\s"), STATUS_SUCCESS);
        // A tag that nobody in the kernel knows.
        std::vector<uint8_t> foreign(24 + 4);
        const ULONG tag = 0x0000BEEF;
        const USHORT bytes = 4;
        memcpy(foreign.data(), &tag, sizeof tag);
        memcpy(foreign.data() + 4, &bytes, sizeof bytes);
        CHECK_EQ(control(link, FSCTL_SET_REPARSE_POINT, foreign), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\s"), STATUS_IO_REPARSE_TAG_NOT_HANDLED);
        foreign[8] = 1; // another owner's GUID
        CHECK_EQ(control(link, FSCTL_SET_REPARSE_POINT, foreign), STATUS_REPARSE_ATTRIBUTE_CONFLICT);
    });
}

TEST(open_by_id) {
    in_world([] {
        make_file(u"D:\\a", "by id");
        FILE_INTERNAL_INFORMATION id{};
        std::vector<uint8_t> object_id(64);
        {
            const NtFile file(u"D:\\a");
            CHECK_EQ(file.query(FileInternalInformation, &id), STATUS_SUCCESS);
            std::vector<uint8_t> none(64);
            CHECK_EQ(control(file, FSCTL_GET_OBJECT_ID, {}, &none), STATUS_OBJECTID_NOT_FOUND);
            CHECK_EQ(control(file, FSCTL_CREATE_OR_GET_OBJECT_ID, {}, &object_id), STATUS_SUCCESS);
        }
        const NtFile volume(u"D:");
        const std::u16string raw(reinterpret_cast<const char16_t *>(&id), sizeof id / sizeof(char16_t));
        const NtFile again(raw, {.options = SYNC | FILE_OPEN_BY_FILE_ID, .root = volume});
        CHECK_EQ(again.status, STATUS_SUCCESS);
        CHECK_EQ(NtFile(u"D:\\" + raw, {.options = SYNC | FILE_OPEN_BY_FILE_ID}).status, STATUS_SUCCESS);
        const std::u16string object(reinterpret_cast<const char16_t *>(object_id.data()), 8);
        CHECK_EQ(NtFile(object, {.options = SYNC | FILE_OPEN_BY_FILE_ID, .root = volume}).status, STATUS_SUCCESS);
        struct {
            FILE_NAME_INFORMATION head;
            WCHAR rest[16];
        } name{};
        CHECK_EQ(again.query(FileNameInformation, &name), STATUS_SUCCESS);
        CHECK_EQ(narrow({name.head.FileName, name.head.FileNameLength / 2}), std::string("\\a"));
        CHECK_EQ(NtFile(std::u16string(4, u'\x7777'), {.options = SYNC | FILE_OPEN_BY_FILE_ID, .root = volume}).status,
                 STATUS_INVALID_PARAMETER);
        const NtFile fat(u"E:");
        CHECK_EQ(NtFile(raw, {.options = SYNC | FILE_OPEN_BY_FILE_ID, .root = fat}).status, STATUS_NOT_IMPLEMENTED);
        const NtFile file(u"D:\\a");
        CHECK_EQ(control(file, FSCTL_DELETE_OBJECT_ID, {}), STATUS_SUCCESS);
    });
}

} // namespace MINIPEND_TEST_FILE
