// SPDX-License-Identifier: MIT
//
// This module provides: tests of what a filter is told of a volume, its device objects and its names among that, and of the volume that it opens itself.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

constexpr std::u16string_view GUID_OF_D = u"\\??\\Volume{4d696e69-7065-6e64-0000-000000000002}";

/// The drive that a call names, its buffer given back.
template <class Call> std::u16string drive_of(const Call &call, PVOID device) {
    UNICODE_STRING name{};
    CHECK_EQ(call(device, &name), STATUS_SUCCESS);
    const std::u16string drive(flt::view(name));
    CHECK_EQ(name.Buffer[drive.size()], L'\0');
    CHECK_EQ(name.MaximumLength, name.Length + 2);
    ExFreePool(name.Buffer);
    return drive;
}

} // namespace

TEST(devices_of_a_volume) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        PDEVICE_OBJECT device = nullptr;
        PDEVICE_OBJECT disk = nullptr;
        CHECK_EQ(FltGetDeviceObject(stack.volume, &device), STATUS_SUCCESS);
        CHECK_EQ(FltGetDiskDeviceObject(stack.volume, &disk), STATUS_SUCCESS);
        CHECK(device != disk);
        CHECK_EQ(device->DeviceType, static_cast<DEVICE_TYPE>(FILE_DEVICE_DISK_FILE_SYSTEM));
        CHECK_EQ(disk->DeviceType, static_cast<DEVICE_TYPE>(FILE_DEVICE_DISK));
        PFLT_VOLUME volume = nullptr;
        CHECK_EQ(FltGetVolumeFromDeviceObject(stack.mid.filter, device, &volume), STATUS_SUCCESS);
        CHECK(volume == stack.volume);
        FltObjectDereference(volume);
        CHECK(drive_of(IoVolumeDeviceToDosName, disk) == u"D:");
        CHECK(drive_of(RtlVolumeDeviceToDosName, stack.file->DeviceObject) == u"D:");
        ObfReferenceObject(disk);
        ObfDereferenceObject(disk);
        ObfDereferenceObject(disk);
        ObfDereferenceObject(device);
        UNICODE_STRING name{};
        DEVICE_OBJECT strange{};
        CHECK_EQ(IoVolumeDeviceToDosName(&strange, &name), STATUS_INVALID_PARAMETER);
        for (const char *api :
             {"FltGetDeviceObject", "FltGetDiskDeviceObject", "IoVolumeDeviceToDosName", "RtlVolumeDeviceToDosName"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(FltGetDeviceObject(stack.volume, &device), STATUS_FLT_NO_DEVICE_OBJECT);
        CHECK(device == nullptr);
        CHECK_EQ(FltGetDiskDeviceObject(stack.volume, &disk), STATUS_FLT_NO_DEVICE_OBJECT);
        CHECK_EQ(IoVolumeDeviceToDosName(disk, &name), STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(RtlVolumeDeviceToDosName(disk, &name), STATUS_INSUFFICIENT_RESOURCES);
    }));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 PDEVICE_OBJECT disk = nullptr;
                 FltGetDiskDeviceObject(stack.volume, &disk);
                 ObfDereferenceObject(disk);
                 ObfDereferenceObject(disk);
             }),
             std::string("OBJECT dereferenced too often"));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 UNICODE_STRING name{};
                 KeEnterGuardedRegion();
                 IoVolumeDeviceToDosName(stack.file->DeviceObject, &name);
             }),
             std::string("VER-02 parameter"));
    const std::string forgotten = with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        UNICODE_STRING name{};
        CHECK_EQ(IoVolumeDeviceToDosName(stack.file->DeviceObject, &name), STATUS_SUCCESS);
    });
    CHECK(contains(forgotten, "DoNm"));
}

TEST(kinds_of_volumes) {
    for (const LPCWSTR on : {u"D:", u"E:"}) {
        expect_clean(with_stack(
            [on](Stack &stack) {
                const std::u16string path = std::u16string(on) + u"\\own";
                const UserFile user(stack, path.c_str());
                const auto expected = on[0] == u'D' ? FLT_FSTYPE_NTFS : FLT_FSTYPE_FAT;
                for (const PVOID object : {static_cast<PVOID>(stack.volume), static_cast<PVOID>(stack.instance)}) {
                    FLT_FILESYSTEM_TYPE type = FLT_FSTYPE_UNKNOWN;
                    CHECK_EQ(FltGetFileSystemType(object, &type), STATUS_SUCCESS);
                    CHECK_EQ(type, expected);
                    BOOLEAN answer = FALSE;
                    CHECK_EQ(FltIsVolumeWritable(object, &answer), STATUS_SUCCESS);
                    CHECK_EQ(answer, TRUE);
                    CHECK_EQ(FltIsVolumeSnapshot(object, &answer), STATUS_SUCCESS);
                    CHECK_EQ(answer, FALSE);
                }
                FLT_FILESYSTEM_TYPE type = FLT_FSTYPE_NTFS;
                BOOLEAN answer = TRUE;
                CHECK_EQ(FltGetFileSystemType(stack.mid.filter, &type), STATUS_INVALID_PARAMETER);
                CHECK_EQ(FltIsVolumeWritable(stack.mid.filter, &answer), STATUS_INVALID_PARAMETER);
                CHECK_EQ(answer, FALSE);
                for (const char *api : {"FltIsVolumeWritable", "FltIsVolumeSnapshot"}) {
                    stack.bench.world.faults->set(api, 0, 1);
                }
                CHECK_EQ(FltIsVolumeWritable(stack.volume, &answer), STATUS_INSUFFICIENT_RESOURCES);
                CHECK_EQ(FltIsVolumeSnapshot(stack.volume, &answer), STATUS_INSUFFICIENT_RESOURCES);
            },
            1, on));
    }
    CHECK_EQ(rule([](Stack &) {
                 int nothing = 0;
                 FLT_FILESYSTEM_TYPE type{};
                 FltGetFileSystemType(&nothing, &type);
             }),
             std::string("VER-02 bad object"));
}

TEST(a_volume_has_a_guid_name) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own", "content");
        ULONG needed = 0;
        CHECK_EQ(FltGetVolumeGuidName(stack.volume, nullptr, &needed), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(needed, GUID_OF_D.size() * 2);
        char16_t buffer[64];
        UNICODE_STRING name{0, static_cast<USHORT>(needed - 1), reinterpret_cast<PWCH>(buffer)};
        CHECK_EQ(FltGetVolumeGuidName(stack.volume, &name, nullptr), STATUS_BUFFER_TOO_SMALL);
        name.MaximumLength = sizeof buffer;
        CHECK_EQ(FltGetVolumeGuidName(stack.volume, &name, &needed), STATUS_SUCCESS);
        CHECK(flt::view(name) == GUID_OF_D);
        // The name leads to the volume.
        PFLT_VOLUME volume = nullptr;
        for (const char16_t *tail : {u"", u"\\"}) {
            const std::u16string text = std::u16string(GUID_OF_D) + tail;
            const UNICODE_STRING wanted = flt::unicode(text);
            CHECK_EQ(FltGetVolumeFromName(stack.mid.filter, &wanted, &volume), STATUS_SUCCESS);
            CHECK(volume == stack.volume);
            FltObjectDereference(volume);
        }
        const std::u16string path = std::u16string(GUID_OF_D) + u"\\own";
        UNICODE_STRING file_name = flt::unicode(path);
        OBJECT_ATTRIBUTES attributes;
        InitializeObjectAttributes(&attributes, &file_name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, nullptr, nullptr);
        HANDLE handle = nullptr;
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(FltCreateFile(stack.mid.filter, stack.instance, &handle, FILE_READ_ATTRIBUTES, &attributes, &iosb,
                               nullptr, 0, 7, FILE_OPEN, 0, nullptr, 0, 0),
                 STATUS_SUCCESS);
        FltClose(handle);
        stack.bench.world.faults->set("FltGetVolumeGuidName", 0, 1);
        CHECK_EQ(FltGetVolumeGuidName(stack.volume, &name, &needed), STATUS_INSUFFICIENT_RESOURCES);
    }));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 FltGetVolumeGuidName(stack.volume, nullptr, nullptr);
             }),
             std::string("VER-02 parameter"));
}

TEST(a_volume_that_a_filter_opens) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        HANDLE handle = nullptr;
        PFILE_OBJECT volume = nullptr;
        CHECK_EQ(FltOpenVolume(stack.instance, &handle, &volume), STATUS_SUCCESS);
        const std::string seen = stack.seen();
        CHECK(contains(seen, "low:CREATE"));
        CHECK(!contains(seen, "mid:") && !contains(seen, "top:"));
        CHECK((volume->Flags & FO_VOLUME_OPEN) != 0);
        ULONG returned = 0;
        CHECK_EQ(FltFsControlFile(stack.instance, volume, FSCTL_IS_VOLUME_MOUNTED, nullptr, 0, nullptr, 0, &returned),
                 STATUS_SUCCESS);
        CHECK_EQ(FltClose(handle), STATUS_SUCCESS);
        ObfDereferenceObject(volume);
        CHECK_EQ(FltOpenVolume(stack.instance, &handle, nullptr), STATUS_SUCCESS);
        CHECK_EQ(FltClose(handle), STATUS_SUCCESS);
        stack.bench.world.faults->set("FltOpenVolume", 0, 1);
        CHECK_EQ(FltOpenVolume(stack.instance, &handle, &volume), STATUS_INSUFFICIENT_RESOURCES);
        CHECK(handle == nullptr && volume == nullptr);
    }));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 FltOpenVolume(stack.instance, nullptr, nullptr);
             }),
             std::string("VER-02 parameter"));
}

} // namespace MINIPEND_TEST_FILE
