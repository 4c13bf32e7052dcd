// SPDX-License-Identifier: MIT
//
// This module provides: tests of the plain native services: create, information, volume information, directories.

#include "io/nt_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace nt_bench;

TEST(nt_create_and_information) {
    in_world([] {
        CHECK_EQ(NtFile(u"D:\\none").status, STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(NtFile(u"D:\\none", {.disposition = 9}).status, STATUS_INVALID_PARAMETER);
        NtFile directory(u"D:\\dir",
                         {.disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT});
        CHECK_EQ(directory.status, STATUS_SUCCESS);
        CHECK_EQ(directory.information, FILE_CREATED);
        NtFile file(u"a.txt", {.disposition = FILE_OPEN_IF, .root = directory});
        CHECK_EQ(file.status, STATUS_SUCCESS);
        CHECK_EQ(file.information, FILE_CREATED);
        CHECK_EQ(NtFile(u"\\a.txt", {.root = directory}).status, STATUS_INVALID_PARAMETER);
        CHECK_EQ(NtFile(u"D:\\dir\\A.TXT").information, FILE_OPENED);
        FILE_END_OF_FILE_INFORMATION end{};
        end.EndOfFile.QuadPart = 7;
        CHECK_EQ(file.set(FileEndOfFileInformation, end), STATUS_SUCCESS);
        FILE_STANDARD_INFORMATION standard{};
        CHECK_EQ(file.query(FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.EndOfFile.QuadPart, 7);
        char small[4];
        CHECK_EQ(file.query(FileStandardInformation, &small), STATUS_INFO_LENGTH_MISMATCH);
        CHECK_EQ(file.query(999, &standard), STATUS_INVALID_INFO_CLASS);
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(NtQueryInformationFile(nullptr, &iosb, &standard, sizeof standard, FileStandardInformation),
                 STATUS_INVALID_HANDLE);
        Name bad(u"D:\\x");
        bad.attributes.Length = 1;
        HANDLE handle = nullptr;
        CHECK_EQ(NtCreateFile(&handle, GENERIC_READ, &bad.attributes, &iosb, nullptr, 0, 0, FILE_OPEN, 0, nullptr, 0),
                 STATUS_INVALID_PARAMETER);
    });
}

TEST(nt_volume_information) {
    in_world([] {
        for (const bool fat : {false, true}) {
            const NtFile volume(fat ? u"E:" : u"D:", {.options = FILE_SYNCHRONOUS_IO_NONALERT});
            CHECK_EQ(volume.status, STATUS_SUCCESS);
            struct {
                FILE_FS_ATTRIBUTE_INFORMATION head;
                WCHAR rest[16];
            } attributes{};
            CHECK_EQ(volume.query_volume(FileFsAttributeInformation, &attributes), STATUS_SUCCESS);
            CHECK_EQ(narrow({attributes.head.FileSystemName, attributes.head.FileSystemNameLength / 2}),
                     std::string(fat ? "FAT32" : "NTFS"));
            CHECK_EQ((attributes.head.FileSystemAttributes & FILE_NAMED_STREAMS) != 0, !fat);
            FILE_FS_SIZE_INFORMATION size{};
            CHECK_EQ(volume.query_volume(FileFsSizeInformation, &size), STATUS_SUCCESS);
            CHECK_EQ(size.BytesPerSector * size.SectorsPerAllocationUnit, 4096u);
            FILE_FS_DEVICE_INFORMATION device{};
            CHECK_EQ(volume.query_volume(FileFsDeviceInformation, &device), STATUS_SUCCESS);
            CHECK_EQ(device.DeviceType, static_cast<ULONG>(FILE_DEVICE_DISK));
            FILE_FS_CONTROL_INFORMATION control{};
            CHECK_EQ(volume.query_volume(FileFsControlInformation, &control),
                     fat ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS);
            FILE_FS_OBJECTID_INFORMATION id{};
            CHECK_EQ(volume.query_volume(FileFsObjectIdInformation, &id),
                     fat ? STATUS_INVALID_PARAMETER : STATUS_OBJECT_NAME_NOT_FOUND);
            struct {
                ULONG bytes;
                WCHAR text[12];
            } label{10, {u'w', u'o', u'r', u'k', u's'}};
            IO_STATUS_BLOCK iosb{};
            CHECK_EQ(NtSetVolumeInformationFile(volume, &iosb, &label, sizeof label, FileFsLabelInformation),
                     STATUS_SUCCESS);
            struct {
                FILE_FS_VOLUME_INFORMATION head;
                WCHAR rest[32];
            } information{};
            CHECK_EQ(volume.query_volume(FileFsVolumeInformation, &information), STATUS_SUCCESS);
            CHECK_EQ(narrow({information.head.VolumeLabel, information.head.VolumeLabelLength / 2}),
                     std::string(fat ? "WORKS" : "works"));
            FILE_FS_VOLUME_INFORMATION short_information{};
            CHECK_EQ(volume.query_volume(FileFsVolumeInformation, &short_information), STATUS_BUFFER_OVERFLOW);
            label.bytes = 24;
            label.text[11] = u'x';
            CHECK_EQ(NtSetVolumeInformationFile(volume, &iosb, &label, sizeof label, FileFsLabelInformation),
                     fat ? STATUS_INVALID_VOLUME_LABEL : STATUS_SUCCESS);
            const NtFile root(fat ? u"E:\\" : u"D:\\");
            CHECK_EQ(NtSetVolumeInformationFile(root, &iosb, &label, sizeof label, FileFsLabelInformation),
                     STATUS_ACCESS_DENIED);
        }
    });
}

TEST(nt_query_directory) {
    in_world([] {
        for (const auto name : {u"D:\\a.txt", u"D:\\b.txt", u"D:\\c.log"}) {
            CHECK_EQ(NtFile(name, {.disposition = FILE_CREATE}).status, STATUS_SUCCESS);
        }
        const NtFile root(u"D:\\", {.access = FILE_LIST_DIRECTORY});
        alignas(8) uint8_t buffer[1024];
        IO_STATUS_BLOCK iosb{};
        Name pattern(u"*.txt");
        const auto next = [&](ULONG flags, PUNICODE_STRING name) {
            return NtQueryDirectoryFileEx(root, nullptr, nullptr, nullptr, &iosb, buffer, sizeof buffer,
                                          FileNamesInformation, flags, name);
        };
        const auto first_name = [&] {
            FILE_NAMES_INFORMATION entry;
            memcpy(&entry, buffer, sizeof entry);
            std::u16string name(entry.FileNameLength / 2, u'\0');
            memcpy(name.data(), buffer + offsetof(FILE_NAMES_INFORMATION, FileName), entry.FileNameLength);
            return narrow(name);
        };
        CHECK_EQ(next(SL_RETURN_SINGLE_ENTRY, &pattern.string), STATUS_SUCCESS);
        CHECK_EQ(first_name(), std::string("a.txt"));
        CHECK_EQ(next(0, nullptr), STATUS_SUCCESS);
        CHECK_EQ(first_name(), std::string("b.txt"));
        CHECK_EQ(next(0, nullptr), STATUS_NO_MORE_FILES);
        CHECK_EQ(next(SL_RESTART_SCAN, nullptr), STATUS_SUCCESS);
        CHECK_EQ(first_name(), std::string("a.txt"));
        CHECK_EQ(next(0x80, nullptr), STATUS_INVALID_PARAMETER);
        // An asynchronous handle's query tells its event.
        const NtFile overlapped(u"D:\\", {.access = FILE_LIST_DIRECTORY, .options = FILE_DIRECTORY_FILE});
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        CHECK_EQ(NtQueryDirectoryFileEx(overlapped, event, nullptr, nullptr, &iosb, buffer, sizeof buffer,
                                        FileNamesInformation, 0, nullptr),
                 STATUS_SUCCESS);
        CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0);
        CHECK(iosb.Information != 0);
        CHECK(CloseHandle(event) != FALSE);
    });
}

TEST(nt_attributes_by_name) {
    in_world([] {
        CHECK_EQ(NtFile(u"D:\\a", {.disposition = FILE_CREATE, .attributes = FILE_ATTRIBUTE_HIDDEN}).status,
                 STATUS_SUCCESS);
        Name name(u"D:\\a");
        FILE_BASIC_INFORMATION basic{};
        CHECK_EQ(NtQueryAttributesFile(&name.attributes, &basic), STATUS_SUCCESS);
        CHECK_EQ(basic.FileAttributes, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE);
        FILE_NETWORK_OPEN_INFORMATION network{};
        CHECK_EQ(NtQueryFullAttributesFile(&name.attributes, &network), STATUS_SUCCESS);
        CHECK_EQ(network.FileAttributes, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE);
        FILE_STAT_INFORMATION stat{};
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(NtQueryInformationByName(&name.attributes, &iosb, &stat, sizeof stat, FileStatInformation),
                 STATUS_SUCCESS);
        CHECK_EQ(stat.NumberOfLinks, 1u);
        CHECK_EQ(NtQueryInformationByName(&name.attributes, &iosb, &stat, sizeof stat, FileBasicInformation),
                 STATUS_INVALID_INFO_CLASS);
        Name none(u"D:\\none\\a");
        CHECK_EQ(NtQueryAttributesFile(&none.attributes, &basic), STATUS_OBJECT_PATH_NOT_FOUND);
    });
}

} // namespace MINIPEND_TEST_FILE
