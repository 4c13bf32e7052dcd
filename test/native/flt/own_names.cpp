// SPDX-License-Identifier: MIT
//
// This module provides: tests of names that a filter asks for without an operation or takes apart itself, of information by name, and of the tags that it
// puts on files.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

std::u16string name_of(PFILE_OBJECT file, PFLT_INSTANCE instance, FLT_FILE_NAME_OPTIONS options) {
    PFLT_FILE_NAME_INFORMATION information = nullptr;
    CHECK_EQ(FltGetFileNameInformationUnsafe(file, instance, options, &information), STATUS_SUCCESS);
    if (!information) {
        return {};
    }
    CHECK_EQ(FltParseFileNameInformation(information), STATUS_SUCCESS);
    std::u16string name(flt::view(information->Name));
    CHECK(name.ends_with(flt::view(information->FinalComponent)));
    FltReleaseFileNameInformation(information);
    return name;
}

/// component|extension|stream
std::u16string parts(const char16_t *name) {
    const UNICODE_STRING whole = flt::unicode(name);
    UNICODE_STRING extension{}, stream{}, component{};
    CHECK_EQ(FltParseFileName(&whole, &extension, &stream, &component), STATUS_SUCCESS);
    UNICODE_STRING alone{};
    CHECK_EQ(FltParseFileName(&whole, nullptr, nullptr, &alone), STATUS_SUCCESS);
    CHECK(alone.Buffer == component.Buffer && alone.Length == component.Length);
    return std::u16string(flt::view(component)) + u"|" + std::u16string(flt::view(extension)) + u"|" +
           std::u16string(flt::view(stream));
}

NTSTATUS by_name(Stack &stack, const char16_t *path, FILE_STAT_INFORMATION *information,
                 FILE_INFORMATION_CLASS of = FileStatInformation, ULONG length = sizeof(FILE_STAT_INFORMATION)) {
    UNICODE_STRING name = flt::unicode(path);
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, nullptr, nullptr);
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = FltQueryInformationByName(stack.mid.filter, stack.instance, &attributes, &iosb, information,
                                                      length, of, nullptr);
    CHECK_EQ(iosb.Status, status);
    CHECK_EQ(iosb.Information, NT_SUCCESS(status) ? sizeof *information : 0u);
    return status;
}

} // namespace

TEST(names_without_an_operation) {
    expect_clean(with_stack([](Stack &stack) {
        UserFile user(stack, u"D:\\own");
        constexpr std::u16string_view kName = u"\\Device\\HarddiskVolume2\\own";
        CHECK(name_of(user.object, stack.instance, FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT) == kName);
        CHECK(name_of(user.object, nullptr, FLT_FILE_NAME_OPENED | FLT_FILE_NAME_QUERY_FILESYSTEM_ONLY) == kName);
        PFLT_FILE_NAME_INFORMATION information = nullptr;
        const auto ask = [&](FLT_FILE_NAME_OPTIONS options) {
            return FltGetFileNameInformationUnsafe(user.object, stack.instance, options, &information);
        };
        CHECK_EQ(ask(FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_CACHE_ONLY), STATUS_FLT_NAME_CACHE_MISS);
        CHECK_EQ(ask(0), STATUS_INVALID_PARAMETER);
        stack.bench.world.faults->set("FltGetFileNameInformationUnsafe", 0, 1);
        CHECK_EQ(ask(FLT_FILE_NAME_NORMALIZED), STATUS_INSUFFICIENT_RESOURCES);
        CHECK(information == nullptr);
    }));
    for (const bool for_an_instance : {true, false}) {
        const std::string leaked = with_stack([&](Stack &stack) {
            UserFile user(stack, u"D:\\own");
            PFLT_FILE_NAME_INFORMATION information = nullptr;
            FltGetFileNameInformationUnsafe(user.object, for_an_instance ? stack.instance : nullptr,
                                            FLT_FILE_NAME_NORMALIZED, &information);
        });
        CHECK(contains(leaked, for_an_instance ? "filter mid: 1 file name" : "driver "));
        CHECK(contains(leaked, "1 file name information(s) were not released (V11)"));
    }
}

TEST(a_file_that_is_not_open_has_no_name_yet) {
    CHECK_EQ(rule([](Stack &stack) {
                 UserFile user(stack, u"D:\\own");
                 stack.low_pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                     PFLT_FILE_NAME_INFORMATION information = nullptr;
                     if (data->Iopb->MajorFunction == IRP_MJ_CREATE) { // it is not open yet
                         FltGetFileNameInformationUnsafe(objects->FileObject, objects->Instance,
                                                         FLT_FILE_NAME_NORMALIZED, &information);
                     }
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 open(u"D:\\other");
             }),
             std::string("V24 file not open"));
}

TEST(nothing_tunnels) {
    expect_clean(with_stack([](Stack &stack) {
        int asked = 0;
        stack.low.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            PFLT_FILE_NAME_INFORMATION information = nullptr;
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE && NT_SUCCESS(data->IoStatus.Status) &&
                NT_SUCCESS(FltGetFileNameInformation(data, FLT_FILE_NAME_NORMALIZED, &information))) {
                auto *tunneled = reinterpret_cast<PFLT_FILE_NAME_INFORMATION>(1);
                if (++asked == 1) {
                    CHECK_EQ(FltGetTunneledName(data, information, &tunneled), STATUS_SUCCESS);
                    stack.bench.world.faults->set("FltGetTunneledName", 0, 1);
                } else {
                    CHECK_EQ(FltGetTunneledName(data, information, &tunneled), STATUS_INSUFFICIENT_RESOURCES);
                }
                CHECK(tunneled == nullptr);
                FltReleaseFileNameInformation(information);
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        close(open(u"D:\\one"));
        close(open(u"D:\\two"));
        CHECK_EQ(asked, 2);
    }));
}

TEST(names_taken_apart) {
    expect_clean(with_stack([](Stack &) {
        CHECK(parts(u"\\Device\\HarddiskVolume2\\dir.d\\file.tar.gz:stream:$DATA") ==
              u"file.tar.gz:stream:$DATA|gz|:stream:$DATA");
        CHECK(parts(u"\\dir.d\\file") == u"file||");
        CHECK(parts(u"file.txt") == u"file.txt|txt|");
        CHECK(parts(u"\\dir\\") == u"||");
        CHECK(parts(u"file:s.t") == u"file:s.t||:s.t");
        CHECK(parts(u"") == u"||");
    }));
    CHECK_EQ(rule([](Stack &) { FltParseFileName(nullptr, nullptr, nullptr, nullptr); }),
             std::string("VER-02 parameter"));
}

TEST(information_by_name) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own", "12345");
        FILE_STAT_INFORMATION information{};
        CHECK_EQ(by_name(stack, u"\\??\\D:\\own", &information), STATUS_SUCCESS);
        CHECK_EQ(information.EndOfFile.QuadPart, 5);
        std::string seen = stack.seen();
        CHECK(contains(seen, "low:QUERY_OPEN"));
        CHECK(!contains(seen, "mid:") && !contains(seen, "CREATE"));
        // A filter below turns it away: an open instead.
        stack.low_pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            return data->Iopb->MajorFunction == static_cast<UCHAR>(IRP_MJ_QUERY_OPEN) ? FLT_PREOP_DISALLOW_FSFILTER_IO
                                                                                      : FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        information = {};
        CHECK_EQ(by_name(stack, u"\\??\\D:\\own", &information), STATUS_SUCCESS);
        CHECK_EQ(information.EndOfFile.QuadPart, 5);
        seen = stack.seen();
        CHECK(contains(seen, "low:CREATE") && contains(seen, "low:CLOSE"));
        CHECK(!contains(seen, "mid:"));
        stack.low_pre = nullptr;
        CHECK_EQ(by_name(stack, u"\\??\\D:\\absent", &information), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(by_name(stack, u"\\??\\E:\\own", &information), STATUS_INVALID_DEVICE_OBJECT_PARAMETER);
        CHECK_EQ(by_name(stack, u"\\??\\D:\\own", &information, FileBasicInformation), STATUS_INVALID_INFO_CLASS);
        CHECK_EQ(by_name(stack, u"\\??\\D:\\own", &information, FileStatInformation, 8), STATUS_INFO_LENGTH_MISMATCH);
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(FltQueryInformationByName(stack.mid.filter, nullptr, nullptr, &iosb, &information, sizeof information,
                                           FileStatInformation, nullptr),
                 STATUS_INVALID_PARAMETER);
        stack.bench.world.faults->set("FltQueryInformationByName", 0, 1);
        CHECK_EQ(by_name(stack, u"\\??\\D:\\own", &information), STATUS_INSUFFICIENT_RESOURCES);
    }));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 FILE_STAT_INFORMATION information{};
                 by_name(stack, u"\\??\\D:\\own", &information, static_cast<FILE_INFORMATION_CLASS>(71));
             }),
             std::string("UNMODELLED"));
}

TEST(tags_on_files) {
    constexpr ULONG kTag = 0x00001234;
    constexpr ULONG kMicrosoft = 0x80001234;
    GUID guid{1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};
    GUID other = guid;
    other.Data1 = 2;
    expect_clean(with_stack([&](Stack &stack) {
        char data[] = "where it is";
        const UserFile user(stack, u"D:\\own");
        const auto tag = [&](ULONG value, GUID *owner) {
            return FltTagFile(stack.instance, user.object, value, owner, data, sizeof data);
        };
        CHECK_EQ(tag(kTag, nullptr), STATUS_INVALID_PARAMETER);
        CHECK_EQ(tag(kTag, &guid), STATUS_SUCCESS);
        CHECK_EQ(stack.seen(), std::string("low:FILE_SYSTEM_CONTROL*"));
        alignas(8) char buffer[256];
        ULONG returned = 0;
        CHECK_EQ(FltFsControlFile(stack.instance, user.object, FSCTL_GET_REPARSE_POINT, nullptr, 0, buffer,
                                  sizeof buffer, &returned),
                 STATUS_SUCCESS);
        const auto &point = *reinterpret_cast<const REPARSE_GUID_DATA_BUFFER *>(buffer);
        CHECK_EQ(point.ReparseTag, kTag);
        CHECK_EQ(point.ReparseDataLength, sizeof data);
        CHECK(memcmp(&point.ReparseGuid, &guid, sizeof guid) == 0);
        CHECK(memcmp(point.GenericReparseBuffer.DataBuffer, data, sizeof data) == 0);
        CHECK_EQ(tag(kTag, &other), STATUS_REPARSE_ATTRIBUTE_CONFLICT);
        CHECK_EQ(FltUntagFile(stack.instance, user.object, kTag + 1, &guid), STATUS_IO_REPARSE_TAG_MISMATCH);
        CHECK_EQ(FltUntagFile(stack.instance, user.object, kTag, nullptr), STATUS_INVALID_PARAMETER);
        CHECK_EQ(FltUntagFile(stack.instance, user.object, kTag, &guid), STATUS_SUCCESS);
        CHECK_EQ(FltUntagFile(stack.instance, user.object, kTag, &guid), STATUS_NOT_A_REPARSE_POINT);
        CHECK_EQ(tag(kMicrosoft, nullptr), STATUS_SUCCESS);
        CHECK_EQ(FltUntagFile(stack.instance, user.object, kMicrosoft, nullptr), STATUS_SUCCESS);
        std::vector<char> much(0x4000);
        CHECK_EQ(FltTagFile(stack.instance, user.object, kMicrosoft, nullptr, much.data(), 0x4000),
                 STATUS_IO_REPARSE_DATA_INVALID);
        for (const char *api : {"FltTagFile", "FltUntagFile"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(tag(kTag, &guid), STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(FltUntagFile(stack.instance, user.object, kTag, &guid), STATUS_INSUFFICIENT_RESOURCES);
    }));
    CHECK_EQ(rule([&](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 FltTagFile(stack.instance, user.object, kTag, &guid, nullptr, 1);
             }),
             std::string("VER-02 parameter"));
}

} // namespace MINIPEND_TEST_FILE
