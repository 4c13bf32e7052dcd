// SPDX-License-Identifier: MIT
//
// This module provides: tests of extended attributes, security, quotas, ranges, compression, times, and of what FAT refuses.

#include <array>

#include "fs/fs_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fs_bench;

namespace {

struct Attribute {
    std::string name;
    std::string value;
    UCHAR flags = 0;
};

std::vector<uint8_t> ea_list(const std::vector<Attribute> &attributes) {
    constexpr size_t NAME_AT = offsetof(FILE_FULL_EA_INFORMATION, EaName);
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < attributes.size(); ++i) {
        const auto &[name, value, flags] = attributes[i];
        FILE_FULL_EA_INFORMATION entry{};
        entry.Flags = flags;
        entry.EaNameLength = static_cast<UCHAR>(name.size());
        entry.EaValueLength = static_cast<USHORT>(value.size());
        size_t length = NAME_AT + name.size() + 1 + value.size();
        length = i + 1 < attributes.size() ? (length + 3) / 4 * 4 : length;
        entry.NextEntryOffset = i + 1 < attributes.size() ? static_cast<ULONG>(length) : 0;
        const size_t at = bytes.size();
        bytes.resize(at + length);
        memcpy(bytes.data() + at, &entry, NAME_AT);
        memcpy(bytes.data() + at + NAME_AT, name.data(), name.size());
        memcpy(bytes.data() + at + NAME_AT + name.size() + 1, value.data(), value.size());
    }
    return bytes;
}

/// "NAME=value NAME=value", or the status of the query.
std::string eas(const NtFile &file, bool single = false, bool restart = true, ULONG length = 512) {
    std::vector<uint8_t> buffer(length);
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = NtQueryEaFile(file, &iosb, buffer.data(), length, single, nullptr, 0, nullptr, restart);
    if (status != STATUS_SUCCESS) {
        char text[24];
        snprintf(text, sizeof text, "0x%X", static_cast<unsigned>(status));
        return text;
    }
    std::string text;
    for (size_t at = 0;;) {
        FILE_FULL_EA_INFORMATION entry;
        memcpy(&entry, buffer.data() + at, sizeof entry);
        const auto *name =
            reinterpret_cast<const char *>(buffer.data() + at + offsetof(FILE_FULL_EA_INFORMATION, EaName));
        text += (text.empty() ? "" : " ") + std::string(name, entry.EaNameLength) + "=" +
                std::string(name + entry.EaNameLength + 1, entry.EaValueLength);
        if (entry.NextEntryOffset == 0) {
            return text;
        }
        at += entry.NextEntryOffset;
    }
}

NTSTATUS set_eas(const NtFile &file, const std::vector<uint8_t> &list) {
    IO_STATUS_BLOCK iosb{};
    return NtSetEaFile(file, &iosb, const_cast<uint8_t *>(list.data()), static_cast<ULONG>(list.size()));
}

} // namespace

TEST(extended_attributes) {
    in_world([] {
        NtFile file(u"D:\\a", {.disposition = FILE_CREATE, .ea = ea_list({{"one", "1"}, {"two", "22"}})});
        CHECK_EQ(file.status, STATUS_SUCCESS);
        CHECK_EQ(eas(file), std::string("ONE=1 TWO=22"));
        CHECK_EQ(eas(file, true, true), std::string("ONE=1"));
        CHECK_EQ(eas(file, true, false), std::string("TWO=22"));
        CHECK_EQ(eas(file, true, false), std::string("0x80000012")); // STATUS_NO_MORE_EAS
        CHECK_EQ(eas(file, false, true, 8), std::string("0xC0000023"));
        CHECK_EQ(set_eas(file, ea_list({{"ONE", ""}, {"three", "333", FILE_NEED_EA}})), STATUS_SUCCESS);
        CHECK_EQ(eas(file), std::string("THREE=333 TWO=22"));
        FILE_EA_INFORMATION size{};
        CHECK_EQ(file.query(FileEaInformation, &size), STATUS_SUCCESS);
        CHECK_EQ(size.EaSize, 4u + (5 + 5 + 3) + (5 + 3 + 2));
        CHECK_EQ(set_eas(file, ea_list({{"b*d", "x"}})), STATUS_INVALID_EA_NAME);
        auto cut = ea_list({{"four", "4444"}});
        cut.pop_back();
        CHECK_EQ(set_eas(file, cut), STATUS_EA_LIST_INCONSISTENT);
        CHECK_EQ(set_eas(file, ea_list({{"big", std::string(0xFFF0, 'x')}})), STATUS_EA_TOO_LARGE);
        CHECK_EQ(eas(file), std::string("THREE=333 TWO=22"));
        ULONG index = 2;
        std::vector<uint8_t> buffer(64);
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(NtQueryEaFile(file, &iosb, buffer.data(), 64, TRUE, nullptr, 0, &index, FALSE), STATUS_SUCCESS);
        index = 9;
        CHECK_EQ(NtQueryEaFile(file, &iosb, buffer.data(), 64, TRUE, nullptr, 0, &index, FALSE),
                 STATUS_NONEXISTENT_EA_ENTRY);
        file.close();
        CHECK_EQ(NtFile(u"D:\\a", {.options = SYNC | FILE_NO_EA_KNOWLEDGE}).status, STATUS_ACCESS_DENIED);
        NtFile plain(u"D:\\b", {.disposition = FILE_CREATE});
        CHECK_EQ(eas(plain), std::string("0xC0000052")); // STATUS_NO_EAS_ON_FILE
        NtFile fat(u"E:\\a", {.disposition = FILE_CREATE});
        CHECK_EQ(eas(fat), std::string("0xC000004F"));
        CHECK_EQ(set_eas(fat, ea_list({{"one", "1"}})), STATUS_EAS_NOT_SUPPORTED);
        CHECK_EQ(NtFile(u"E:\\b", {.disposition = FILE_CREATE, .ea = ea_list({{"one", "1"}})}).status,
                 STATUS_EAS_NOT_SUPPORTED);
    });
}

TEST(security_descriptors) {
    in_world([] {
        constexpr ULONG ALL = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
        const NtFile file(u"D:\\a", {.access = GENERIC_ALL, .disposition = FILE_CREATE});
        std::vector<uint8_t> buffer(512);
        ULONG needed = 0;
        CHECK_EQ(NtQuerySecurityObject(file, ALL, buffer.data(), 8, &needed), STATUS_BUFFER_TOO_SMALL);
        CHECK(needed > 8);
        CHECK_EQ(NtQuerySecurityObject(file, ALL, buffer.data(), 512, &needed), STATUS_SUCCESS);
        SECURITY_DESCRIPTOR_RELATIVE head;
        memcpy(&head, buffer.data(), sizeof head);
        CHECK(head.Owner != 0 && head.Dacl != 0 && head.Sacl == 0);
        ACL acl;
        memcpy(&acl, buffer.data() + head.Dacl, sizeof acl);
        CHECK_EQ(acl.AceCount, 3);
        CHECK_EQ(buffer[head.Dacl + sizeof acl + 1], 0x10); // inherited, for a file nothing more
        const std::vector<uint8_t> whole(buffer.begin(), buffer.begin() + needed);
        CHECK_EQ(NtQuerySecurityObject(file, OWNER_SECURITY_INFORMATION, buffer.data(), 512, &needed), STATUS_SUCCESS);
        CHECK(needed < whole.size());
        // The DACL goes, everybody is let in.
        auto changed = whole;
        head.Dacl = 0;
        memcpy(changed.data(), &head, sizeof head);
        CHECK_EQ(NtSetSecurityObject(file, DACL_SECURITY_INFORMATION, changed.data()), STATUS_SUCCESS);
        CHECK_EQ(NtQuerySecurityObject(file, ALL, buffer.data(), 512, &needed), STATUS_SUCCESS);
        memcpy(&head, buffer.data(), sizeof head);
        CHECK((head.Control & SE_DACL_PRESENT) != 0 && head.Dacl == 0);
        changed[0] = 9;
        CHECK_EQ(NtSetSecurityObject(file, DACL_SECURITY_INFORMATION, changed.data()), STATUS_INVALID_SECURITY_DESCR);
        const NtFile reader(u"D:\\a", {.access = FILE_READ_DATA});
        CHECK_EQ(NtQuerySecurityObject(reader, ALL, buffer.data(), 512, &needed), STATUS_ACCESS_DENIED);
        CHECK_EQ(NtSetSecurityObject(reader, DACL_SECURITY_INFORMATION, const_cast<uint8_t *>(whole.data())),
                 STATUS_ACCESS_DENIED);
        // FAT: everybody may do everything, and nothing is kept.
        const NtFile fat(u"E:\\a", {.access = GENERIC_ALL, .disposition = FILE_CREATE});
        CHECK_EQ(NtSetSecurityObject(fat, DACL_SECURITY_INFORMATION, const_cast<uint8_t *>(whole.data())),
                 STATUS_SUCCESS);
        CHECK_EQ(NtQuerySecurityObject(fat, ALL, buffer.data(), 512, &needed), STATUS_SUCCESS);
        memcpy(&head, buffer.data(), sizeof head);
        memcpy(&acl, buffer.data() + head.Dacl, sizeof acl);
        CHECK_EQ(acl.AceCount, 1);
    });
}

TEST(quotas) {
    in_world([] {
        const NtFile volume(u"D:");
        alignas(8) uint8_t entry[64] = {};
        FILE_QUOTA_INFORMATION quota{};
        constexpr size_t SID_AT = offsetof(FILE_QUOTA_INFORMATION, Sid);
        const uint8_t sid[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0}; // S-1-5-32-544
        quota.SidLength = sizeof sid;
        quota.QuotaThreshold.QuadPart = 100;
        quota.QuotaLimit.QuadPart = 200;
        memcpy(entry, &quota, SID_AT);
        memcpy(entry + SID_AT, sid, sizeof sid);
        IO_STATUS_BLOCK iosb{};
        alignas(8) uint8_t answer[256];
        const auto query = [&] {
            return NtQueryQuotaInformationFile(volume, &iosb, answer, sizeof answer, FALSE, nullptr, 0, nullptr, TRUE);
        };
        CHECK_EQ(query(), STATUS_NO_MORE_ENTRIES);
        CHECK_EQ(NtSetQuotaInformationFile(volume, &iosb, entry, SID_AT + sizeof sid), STATUS_SUCCESS);
        CHECK_EQ(query(), STATUS_SUCCESS);
        memcpy(&quota, answer, SID_AT);
        CHECK_EQ(quota.QuotaLimit.QuadPart, 200);
        CHECK_EQ(iosb.Information, SID_AT + sizeof sid);
        CHECK_EQ(NtSetQuotaInformationFile(volume, &iosb, entry, SID_AT), STATUS_QUOTA_LIST_INCONSISTENT);
        quota.QuotaLimit.QuadPart = -2;
        quota.NextEntryOffset = 0;
        memcpy(entry, &quota, SID_AT);
        CHECK_EQ(NtSetQuotaInformationFile(volume, &iosb, entry, SID_AT + sizeof sid), STATUS_SUCCESS);
        CHECK_EQ(query(), STATUS_NO_MORE_ENTRIES);
        const NtFile fat(u"E:");
        CHECK_EQ(NtSetQuotaInformationFile(fat, &iosb, entry, SID_AT + sizeof sid), STATUS_INVALID_DEVICE_REQUEST);
    });
}

/// StartSid names the entry to begin with; the listing goes on from there. With a list of SIDs it is not looked at.
TEST(a_listing_of_quotas_begins_with_a_sid) {
    in_world([] {
        const NtFile volume(u"D:");
        constexpr size_t SID_AT = offsetof(FILE_QUOTA_INFORMATION, Sid);
        constexpr size_t SID_BYTES = 16;
        constexpr size_t ENTRY = SID_AT + SID_BYTES;
        IO_STATUS_BLOCK iosb{};
        const auto sid_of = [](uint8_t last) {
            return std::array<uint8_t, SID_BYTES>{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, last, 2, 0, 0};
        };
        for (const uint8_t last : {0x20, 0x21, 0x22}) {
            alignas(8) uint8_t entry[ENTRY] = {};
            FILE_QUOTA_INFORMATION quota{};
            quota.SidLength = SID_BYTES;
            quota.QuotaLimit.QuadPart = last;
            memcpy(entry, &quota, SID_AT);
            memcpy(entry + SID_AT, sid_of(last).data(), SID_BYTES);
            CHECK_EQ(NtSetQuotaInformationFile(volume, &iosb, entry, sizeof entry), STATUS_SUCCESS);
        }
        alignas(8) uint8_t answer[256];
        auto start = sid_of(0x21);
        const auto next = [&](void *from, BOOLEAN restart) -> int64_t {
            const NTSTATUS status =
                NtQueryQuotaInformationFile(volume, &iosb, answer, sizeof answer, TRUE, nullptr, 0, from, restart);
            FILE_QUOTA_INFORMATION quota{};
            memcpy(&quota, answer, SID_AT);
            return status == STATUS_SUCCESS ? quota.QuotaLimit.QuadPart : status;
        };
        CHECK_EQ(next(start.data(), TRUE), 0x21);
        CHECK_EQ(next(nullptr, FALSE), 0x22);
        CHECK_EQ(next(nullptr, FALSE), int64_t{STATUS_NO_MORE_ENTRIES});
        CHECK_EQ(next(start.data(), FALSE), 0x21);
        CHECK_EQ(next(nullptr, TRUE), 0x20);
        start[0] = 9; // no revision of a SID
        CHECK_EQ(next(start.data(), TRUE), int64_t{STATUS_INVALID_SID});
        start = sid_of(0x21);
        alignas(8) uint8_t list[8 + SID_BYTES] = {};
        FILE_GET_QUOTA_INFORMATION head{};
        head.SidLength = SID_BYTES;
        memcpy(list, &head, offsetof(FILE_GET_QUOTA_INFORMATION, Sid));
        memcpy(list + offsetof(FILE_GET_QUOTA_INFORMATION, Sid), sid_of(0x20).data(), SID_BYTES);
        CHECK_EQ(NtQueryQuotaInformationFile(volume, &iosb, answer, sizeof answer, FALSE, list, sizeof list,
                                             start.data(), TRUE),
                 STATUS_SUCCESS);
        FILE_QUOTA_INFORMATION quota{};
        memcpy(&quota, answer, SID_AT);
        CHECK_EQ(quota.QuotaLimit.QuadPart, 0x20);
    });
}

TEST(sparse_ranges_and_compression) {
    in_world([] {
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        write(file, std::string(3 * 4096, 'x'));
        FILE_ALLOCATED_RANGE_BUFFER whole{{.QuadPart = 0}, {.QuadPart = 3 * 4096}};
        std::vector<uint8_t> input(sizeof whole);
        memcpy(input.data(), &whole, sizeof whole);
        const auto ranges = [&] {
            std::vector<uint8_t> output(256);
            CHECK_EQ(control(file, FSCTL_QUERY_ALLOCATED_RANGES, input, &output), STATUS_SUCCESS);
            return output.size() / sizeof whole;
        };
        CHECK_EQ(control(file, FSCTL_SET_SPARSE, {}), STATUS_SUCCESS);
        CHECK_EQ(ranges(), 1u);
        FILE_ZERO_DATA_INFORMATION zero{{.QuadPart = 4096}, {.QuadPart = 8192}};
        std::vector<uint8_t> range(sizeof zero);
        memcpy(range.data(), &zero, sizeof zero);
        CHECK_EQ(control(file, FSCTL_SET_ZERO_DATA, range), STATUS_SUCCESS);
        CHECK_EQ(ranges(), 2u);
        LARGE_INTEGER start{};
        CHECK(SetFilePointerEx(file, start, nullptr, FILE_BEGIN) != FALSE);
        std::string text(3 * 4096, '?');
        DWORD read = 0;
        CHECK(ReadFile(file, text.data(), static_cast<DWORD>(text.size()), &read, nullptr) != FALSE);
        CHECK(text == std::string(4096, 'x') + std::string(4096, '\0') + std::string(4096, 'x'));
        FILE_BASIC_INFORMATION basic{};
        CHECK_EQ(file.query(FileBasicInformation, &basic), STATUS_SUCCESS);
        CHECK((basic.FileAttributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0);
        std::vector<uint8_t> format(2);
        CHECK_EQ(control(file, FSCTL_GET_COMPRESSION, {}, &format), STATUS_SUCCESS);
        CHECK_EQ(format[0], 0);
        CHECK_EQ(control(file, FSCTL_SET_COMPRESSION, {2, 0}), STATUS_INVALID_DEVICE_REQUEST);
        CHECK_EQ(control(file, FSCTL_SET_COMPRESSION, {0, 0}), STATUS_SUCCESS);
        const NtFile fat(u"E:\\a", {.disposition = FILE_CREATE});
        for (const ULONG code : {FSCTL_SET_SPARSE, FSCTL_SET_ZERO_DATA, FSCTL_GET_COMPRESSION, FSCTL_GET_OBJECT_ID}) {
            CHECK_EQ(control(fat, code, {}), STATUS_INVALID_DEVICE_REQUEST);
        }
    });
}

TEST(times_and_their_conventions) {
    in_world([] {
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        FILE_BASIC_INFORMATION basic{};
        basic.LastWriteTime.QuadPart = 1000;
        CHECK_EQ(file.set(FileBasicInformation, basic), STATUS_SUCCESS);
        write(file, "x"); // a handle that has set a time keeps it
        CHECK_EQ(file.query(FileBasicInformation, &basic), STATUS_SUCCESS);
        CHECK_EQ(basic.LastWriteTime.QuadPart, 1000);
        const LONGLONG created = basic.CreationTime.QuadPart;
        FILE_BASIC_INFORMATION resume{};
        resume.LastWriteTime.QuadPart = -2;
        CHECK_EQ(file.set(FileBasicInformation, resume), STATUS_SUCCESS);
        write(file, "x");
        CHECK_EQ(file.query(FileBasicInformation, &basic), STATUS_SUCCESS);
        CHECK(basic.LastWriteTime.QuadPart > 1000);
        FILE_BASIC_INFORMATION stop{};
        stop.LastWriteTime.QuadPart = -1;
        CHECK_EQ(file.set(FileBasicInformation, stop), STATUS_SUCCESS);
        const LONGLONG before = basic.LastWriteTime.QuadPart;
        io_bench::sleep_ms(10);
        write(file, "x");
        CHECK_EQ(file.query(FileBasicInformation, &basic), STATUS_SUCCESS);
        CHECK_EQ(basic.LastWriteTime.QuadPart, before);
        CHECK_EQ(basic.CreationTime.QuadPart, created); // 0 leaves it alone
        stop.LastWriteTime.QuadPart = -3;
        CHECK_EQ(file.set(FileBasicInformation, stop), STATUS_INVALID_PARAMETER);
    });
}

TEST(what_fat_does_not_have) {
    in_world([] {
        const NtFile file(u"E:\\long name.text", {.disposition = FILE_CREATE});
        char buffer[512];
        for (const ULONG information_class :
             {FileAttributeTagInformation, FileStreamInformation, FileCompressionInformation, FileHardLinkInformation,
              FileIdInformation, FileStatInformation, FileStandardLinkInformation, FileNormalizedNameInformation}) {
            CHECK_EQ(file.query(information_class, &buffer), STATUS_INVALID_PARAMETER);
        }
        CHECK_EQ(name_target(file, u"E:\\link", FileLinkInformation), STATUS_INVALID_DEVICE_REQUEST);
        CHECK_EQ(name_target(file, u"E:\\link", FileLinkInformationEx), STATUS_INVALID_PARAMETER);
        struct {
            FILE_NAME_INFORMATION head;
            WCHAR rest[12];
        } name{};
        CHECK_EQ(file.query(FileAlternateNameInformation, &name), STATUS_SUCCESS);
        CHECK_EQ(narrow({name.head.FileName, name.head.FileNameLength / 2}), std::string("LONGNA~1.TEX"));
        CHECK_EQ(exists(u"E:\\LONGNA~1.TEX"), STATUS_SUCCESS);
        const NtFile second(u"E:\\long names.text", {.disposition = FILE_CREATE});
        CHECK_EQ(exists(u"E:\\longna~2.tex"), STATUS_SUCCESS);
        const NtFile on_d(u"D:\\long name.text", {.disposition = FILE_CREATE});
        CHECK_EQ(on_d.query(FileAlternateNameInformation, &name), STATUS_OBJECT_NAME_NOT_FOUND);
    });
}

TEST(valid_data_and_sizes) {
    in_world([] {
        const NtFile file(u"D:\\a", {.disposition = FILE_CREATE});
        FILE_END_OF_FILE_INFORMATION end{};
        end.EndOfFile.QuadPart = 1000;
        CHECK_EQ(file.set(FileEndOfFileInformation, end), STATUS_SUCCESS);
        FILE_VALID_DATA_LENGTH_INFORMATION valid{};
        valid.ValidDataLength.QuadPart = 1001;
        CHECK_EQ(file.set(FileValidDataLengthInformation, valid), STATUS_INVALID_PARAMETER);
        valid.ValidDataLength.QuadPart = 500;
        CHECK_EQ(file.set(FileValidDataLengthInformation, valid), STATUS_SUCCESS);
        valid.ValidDataLength.QuadPart = 499;
        CHECK_EQ(file.set(FileValidDataLengthInformation, valid), STATUS_INVALID_PARAMETER);
        FILE_MODE_INFORMATION mode{};
        CHECK_EQ(file.query(FileModeInformation, &mode), STATUS_SUCCESS);
        CHECK_EQ(mode.Mode, SYNC);
        const NtFile most(u"D:\\r", {.disposition = FILE_CREATE, .attributes = FILE_ATTRIBUTE_READONLY});
        const NtFile read_only(u"D:\\r", {.access = MAXIMUM_ALLOWED});
        CHECK_EQ(read_only.status, STATUS_SUCCESS);
        FILE_ACCESS_INFORMATION access{};
        CHECK_EQ(read_only.query(FileAccessInformation, &access), STATUS_SUCCESS);
        CHECK_EQ(access.AccessFlags & (FILE_WRITE_DATA | FILE_READ_DATA), static_cast<ULONG>(FILE_READ_DATA));
    });
}

} // namespace MINIPEND_TEST_FILE
