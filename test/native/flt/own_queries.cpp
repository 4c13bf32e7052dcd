// SPDX-License-Identifier: MIT
//
// This module provides: tests of what a filter asks and sets itself: information of files and volumes, directories, security, extended attributes,
// controls; volumes and instances by name.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

template <class T> NTSTATUS query(Stack &stack, PFILE_OBJECT file, FILE_INFORMATION_CLASS of, T *information) {
    ULONG returned = 0;
    const NTSTATUS status =
        FltQueryInformationFile(stack.instance, file, information, sizeof *information, of, &returned);
    CHECK_EQ(returned, NT_SUCCESS(status) ? sizeof *information : 0u);
    return status;
}

UNICODE_STRING text(const char16_t *value) {
    return flt::unicode(value);
}

} // namespace

TEST(information_of_files) {
    expect_clean(with_stack([](Stack &stack) {
        UserFile user(stack, u"D:\\own", "12345");
        FILE_STANDARD_INFORMATION standard{};
        CHECK_EQ(query(stack, user.object, FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.EndOfFile.QuadPart, 5);
        CHECK_EQ(stack.seen(), std::string("low:QUERY_INFORMATION*")); // an IRP, where a user's is fast I/O
        char small = 0;
        CHECK_EQ(query(stack, user.object, FileStandardInformation, &small), STATUS_INFO_LENGTH_MISMATCH);
        FILE_END_OF_FILE_INFORMATION end{};
        end.EndOfFile.QuadPart = 3;
        CHECK_EQ(FltSetInformationFile(stack.instance, user.object, &end, sizeof end, FileEndOfFileInformation),
                 STATUS_SUCCESS);
        CHECK_EQ(FltSetInformationFile(stack.instance, user.object, &end, 4, FileEndOfFileInformation),
                 STATUS_INFO_LENGTH_MISMATCH);
        CHECK(contains(stack.seen(), "low:SET_INFORMATION*"));
        CHECK_EQ(query(stack, user.object, FileStandardInformation, &standard), STATUS_SUCCESS);
        CHECK_EQ(standard.EndOfFile.QuadPart, 3);
        // A user without the right to delete renames nothing; a filter does not ask for rights.
        constexpr std::u16string_view kNew = u"\\??\\D:\\renamed";
        std::vector<char> buffer(offsetof(FILE_RENAME_INFORMATION, FileName) + kNew.size() * sizeof(char16_t));
        auto *rename = reinterpret_cast<FILE_RENAME_INFORMATION *>(buffer.data());
        rename->FileNameLength = static_cast<ULONG>(kNew.size() * sizeof(char16_t));
        memcpy(rename->FileName, kNew.data(), rename->FileNameLength);
        stack.seen();
        CHECK_EQ(FltSetInformationFile(stack.instance, user.object, rename, static_cast<ULONG>(buffer.size()),
                                       FileRenameInformation),
                 STATUS_SUCCESS);
        const std::string seen = stack.seen(); // the target's directory is opened below as well
        CHECK(contains(seen, "low:CREATE* low:SET_INFORMATION* low:CLEANUP"));
        CHECK(!contains(seen, "mid:"));
        for (const char *api : {"FltQueryInformationFile", "FltSetInformationFile"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(query(stack, user.object, FileStandardInformation, &standard), STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(FltSetInformationFile(stack.instance, user.object, &end, sizeof end, FileEndOfFileInformation),
                 STATUS_INSUFFICIENT_RESOURCES);
        user.close_now();
    }));
}

TEST(directories) {
    expect_clean(with_stack([](Stack &stack) {
        {
            const UserFile user(stack, u"D:\\own");
        }
        const HANDLE handle = CreateFileW(u"D:\\", FILE_LIST_DIRECTORY, context_subject::SHARE, nullptr, OPEN_EXISTING,
                                          FILE_FLAG_BACKUP_SEMANTICS, nullptr);
        const PFILE_OBJECT directory = stack.file;
        stack.seen();
        BOOLEAN is_directory = FALSE;
        for (int i = 0; i < 2; ++i) { // asked once
            CHECK_EQ(FltIsDirectory(directory, stack.instance, &is_directory), STATUS_SUCCESS);
            CHECK_EQ(is_directory, TRUE);
        }
        CHECK_EQ(stack.seen(), std::string("low:QUERY_INFORMATION*"));
        char buffer[1024];
        ULONG returned = 0;
        UNICODE_STRING pattern = text(u"OW?");
        CHECK_EQ(FltQueryDirectoryFile(stack.instance, directory, buffer, sizeof buffer, FileNamesInformation, TRUE,
                                       &pattern, TRUE, &returned),
                 STATUS_SUCCESS);
        const auto *names = reinterpret_cast<const FILE_NAMES_INFORMATION *>(buffer);
        CHECK_EQ(std::u16string(reinterpret_cast<const char16_t *>(names->FileName), names->FileNameLength / 2) ==
                     u"own",
                 true);
        CHECK(returned >= offsetof(FILE_NAMES_INFORMATION, FileName) + 6);
        CHECK_EQ(stack.seen(), std::string("low:DIRECTORY_CONTROL*"));
        CHECK_EQ(FltQueryDirectoryFileEx(stack.instance, directory, buffer, sizeof buffer, FileNamesInformation, 0,
                                         nullptr, &returned),
                 STATUS_NO_MORE_FILES);
        CHECK_EQ(FltQueryDirectoryFileEx(stack.instance, directory, buffer, sizeof buffer, FileNamesInformation,
                                         SL_RESTART_SCAN | SL_RETURN_SINGLE_ENTRY, nullptr, &returned),
                 STATUS_SUCCESS);
        close(handle);
    }));
}

TEST(security_and_extended_attributes) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        std::vector<char> descriptor(4096);
        ULONG needed = 0;
        CHECK_EQ(FltQuerySecurityObject(stack.instance, user.object, OWNER_SECURITY_INFORMATION, nullptr, 0, &needed),
                 STATUS_BUFFER_TOO_SMALL);
        CHECK(needed > 0 && needed < descriptor.size());
        const ULONG wanted = needed;
        CHECK_EQ(FltQuerySecurityObject(stack.instance, user.object, OWNER_SECURITY_INFORMATION,
                                        reinterpret_cast<PSECURITY_DESCRIPTOR>(descriptor.data()), needed, &needed),
                 STATUS_SUCCESS);
        CHECK_EQ(needed, wanted);
        CHECK_EQ(FltSetSecurityObject(stack.instance, user.object, OWNER_SECURITY_INFORMATION,
                                      reinterpret_cast<PSECURITY_DESCRIPTOR>(descriptor.data())),
                 STATUS_SUCCESS);
        alignas(8) char ea[64] = {};
        auto *full = reinterpret_cast<FILE_FULL_EA_INFORMATION *>(ea);
        full->EaNameLength = 4;
        full->EaValueLength = 2;
        memcpy(full->EaName, "NAME\0ok", 7);
        const auto bytes = static_cast<ULONG>(offsetof(FILE_FULL_EA_INFORMATION, EaName) + 7);
        CHECK_EQ(FltSetEaFile(stack.instance, user.object, full, bytes), STATUS_SUCCESS);
        alignas(8) char back[64] = {};
        ULONG returned = 0;
        CHECK_EQ(
            FltQueryEaFile(stack.instance, user.object, back, sizeof back, TRUE, nullptr, 0, nullptr, TRUE, &returned),
            STATUS_SUCCESS);
        CHECK(contains(std::string(back, sizeof back), "NAME"));
        CHECK(returned >= bytes);
        ULONG index = 9;
        CHECK_EQ(
            FltQueryEaFile(stack.instance, user.object, back, sizeof back, TRUE, nullptr, 0, &index, FALSE, nullptr),
            STATUS_NONEXISTENT_EA_ENTRY);
        const std::string seen = stack.seen();
        CHECK(!contains(seen, "mid:"));
        for (const char *api : {"FltQuerySecurityObject", "FltSetSecurityObject", "FltQueryEaFile", "FltSetEaFile"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(FltSetEaFile(stack.instance, user.object, full, bytes), STATUS_INSUFFICIENT_RESOURCES);
    }));
    expect_clean(with_stack(
        [](Stack &stack) { // FAT has neither
            const UserFile user(stack, u"E:\\own");
            ULONG needed = 0;
            CHECK_EQ(
                FltQuerySecurityObject(stack.instance, user.object, OWNER_SECURITY_INFORMATION, nullptr, 0, &needed),
                STATUS_INVALID_DEVICE_REQUEST);
        },
        1, u"E:"));
}

TEST(controls) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own", "");
        alignas(8) char object_id[64] = {};
        ULONG returned = 0;
        CHECK_EQ(FltFsControlFile(stack.instance, user.object, FSCTL_CREATE_OR_GET_OBJECT_ID, nullptr, 0, object_id,
                                  sizeof object_id, &returned),
                 STATUS_SUCCESS);
        CHECK_EQ(returned, sizeof object_id);
        CHECK(std::string(object_id, 16) != std::string(16, '\0')); // the answer came out of the system buffer
        CHECK_EQ(stack.seen(), std::string("low:FILE_SYSTEM_CONTROL*"));
        CHECK_EQ(FltFsControlFile(stack.instance, user.object, 0x9FFFC, nullptr, 0, nullptr, 0, nullptr),
                 STATUS_INVALID_DEVICE_REQUEST);
        CHECK_EQ(FltDeviceIoControlFile(stack.instance, user.object, 0x7FFFC, nullptr, 0, nullptr, 0, &returned),
                 STATUS_INVALID_PARAMETER); // of the volume alone
        for (const char *api : {"FltFsControlFile", "FltDeviceIoControlFile"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(FltDeviceIoControlFile(stack.instance, user.object, 0x7FFFC, nullptr, 0, nullptr, 0, &returned),
                 STATUS_INSUFFICIENT_RESOURCES);
    }));
}

TEST(information_of_volumes) {
    for (const bool fat : {false, true}) {
        expect_clean(with_stack(
            [&](Stack &stack) {
                const UserFile user(stack, fat ? u"E:\\own" : u"D:\\own");
                FILE_FS_SIZE_INFORMATION size{};
                ULONG returned = 0;
                CHECK_EQ(FltQueryVolumeInformationFile(stack.instance, user.object, &size, sizeof size,
                                                       FileFsSizeInformation, &returned),
                         STATUS_SUCCESS);
                CHECK_EQ(returned, sizeof size);
                FILE_FS_DEVICE_INFORMATION device{};
                CHECK_EQ(FltQueryVolumeInformationFile(stack.instance, user.object, &device, sizeof device,
                                                       FileFsDeviceInformation, &returned),
                         STATUS_SUCCESS);
                CHECK_EQ(device.DeviceType, FILE_DEVICE_DISK);
                // Without a file: the volume is opened below.
                stack.seen();
                FILE_FS_SIZE_INFORMATION again{};
                IO_STATUS_BLOCK iosb{};
                CHECK_EQ(FltQueryVolumeInformation(stack.instance, &iosb, &again, sizeof again, FileFsSizeInformation),
                         STATUS_SUCCESS);
                CHECK_EQ(iosb.Information, sizeof again);
                CHECK_EQ(again.TotalAllocationUnits.QuadPart, size.TotalAllocationUnits.QuadPart);
                CHECK_EQ(stack.seen(), std::string("low:CREATE* low:CLEANUP low:CLOSE"));
                alignas(8) char label[64] = {};
                auto *set = reinterpret_cast<FILE_FS_LABEL_INFORMATION *>(label);
                set->VolumeLabelLength = 4;
                memcpy(set->VolumeLabel, u"AB", 4);
                CHECK_EQ(FltSetVolumeInformation(stack.instance, &iosb, set, 8, FileFsLabelInformation),
                         STATUS_SUCCESS);
                CHECK_EQ(FltSetVolumeInformation(stack.instance, &iosb, set, 2, FileFsLabelInformation),
                         STATUS_INFO_LENGTH_MISMATCH);
                alignas(8) char named[128] = {};
                CHECK_EQ(FltQueryVolumeInformation(stack.instance, &iosb, named, sizeof named, FileFsVolumeInformation),
                         STATUS_SUCCESS);
                CHECK_EQ(reinterpret_cast<FILE_FS_VOLUME_INFORMATION *>(named)->VolumeLabelLength, 4u);
                for (const char *api :
                     {"FltQueryVolumeInformation", "FltSetVolumeInformation", "FltQueryVolumeInformationFile"}) {
                    stack.bench.world.faults->set(api, 0, 1);
                }
                CHECK_EQ(FltQueryVolumeInformation(stack.instance, &iosb, named, sizeof named, FileFsVolumeInformation),
                         STATUS_INSUFFICIENT_RESOURCES);
            },
            1, fat ? u"E:" : u"D:"));
    }
}

TEST(volumes_and_instances_by_name) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        alignas(8) char buffer[256];
        auto *properties = reinterpret_cast<FLT_VOLUME_PROPERTIES *>(buffer);
        ULONG returned = 0;
        CHECK_EQ(FltGetVolumeProperties(stack.volume, nullptr, 0, &returned), STATUS_BUFFER_TOO_SMALL);
        CHECK(returned > sizeof *properties && returned <= sizeof buffer);
        const ULONG needed = returned;
        CHECK_EQ(FltGetVolumeProperties(stack.volume, properties, needed - 1, &returned), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(returned, sizeof *properties);
        CHECK_EQ(properties->SectorSize, 512);
        CHECK(properties->RealDeviceName.Buffer == nullptr);
        CHECK_EQ(FltGetVolumeProperties(stack.volume, properties, needed, &returned), STATUS_SUCCESS);
        CHECK_EQ(returned, needed);
        CHECK(flt::view(properties->RealDeviceName) == u"\\Device\\HarddiskVolume2");
        CHECK(flt::view(properties->FileSystemDriverName) == u"\\FileSystem\\Ntfs");

        PFLT_VOLUME volume = nullptr;
        for (const char16_t *name : {u"D:", u"\\??\\d:", u"\\DosDevices\\D:\\", u"\\Device\\HarddiskVolume2"}) {
            const UNICODE_STRING wanted = text(name);
            CHECK_EQ(FltGetVolumeFromName(stack.mid.filter, &wanted, &volume), STATUS_SUCCESS);
            CHECK(volume == stack.volume);
            FltObjectDereference(volume);
        }
        UNICODE_STRING absent = text(u"Q:");
        CHECK_EQ(FltGetVolumeFromName(stack.mid.filter, &absent, &volume), STATUS_FLT_VOLUME_NOT_FOUND);
        CHECK(volume == nullptr);
        absent = text(u"");
        CHECK_EQ(FltGetVolumeFromName(stack.mid.filter, &absent, &volume), STATUS_INVALID_PARAMETER);
        CHECK_EQ(FltGetVolumeFromInstance(stack.instance, &volume), STATUS_SUCCESS);
        CHECK(volume == stack.volume);
        FltObjectDereference(volume);

        PDEVICE_OBJECT device = stack.file->DeviceObject;
        CHECK_EQ(FltGetVolumeFromDeviceObject(stack.mid.filter, device, &volume), STATUS_SUCCESS);
        CHECK(volume == stack.volume);
        FltObjectDereference(volume);
        DEVICE_OBJECT strange{};
        CHECK_EQ(FltGetVolumeFromDeviceObject(stack.mid.filter, &strange, &volume), STATUS_INVALID_PARAMETER);
        CHECK(volume == nullptr);

        PFLT_INSTANCE instance = nullptr;
        CHECK_EQ(FltGetVolumeInstanceFromName(stack.mid.filter, stack.volume, nullptr, &instance), STATUS_SUCCESS);
        CHECK(instance == stack.instance);
        FltObjectDereference(instance);
        CHECK_EQ(FltGetVolumeInstanceFromName(nullptr, stack.volume, nullptr, &instance), STATUS_SUCCESS);
        CHECK(instance != stack.instance); // the highest
        FltObjectDereference(instance);
        const UNICODE_STRING other = text(u"no such");
        CHECK_EQ(FltGetVolumeInstanceFromName(stack.mid.filter, stack.volume, &other, &instance),
                 STATUS_FLT_INSTANCE_NOT_FOUND);
        NTSTATUS going = STATUS_SUCCESS;
        stack.mid.teardown_start = [&](PCFLT_RELATED_OBJECTS objects, ULONG) {
            going = FltGetVolumeInstanceFromName(objects->Filter, objects->Volume, nullptr, &instance);
            CHECK_EQ(FltGetBottomInstance(objects->Volume, &instance), STATUS_SUCCESS);
            PFLT_INSTANCE above = nullptr; // what goes is passed over
            CHECK_EQ(FltGetUpperInstance(instance, &above), STATUS_SUCCESS);
            CHECK(above != objects->Instance && above != instance);
            FltObjectDereference(above);
            FltObjectDereference(instance);
        };
        CHECK_EQ(FilterDetach(u"mid", u"D:", nullptr), S_OK);
        CHECK_EQ(going, STATUS_FLT_DELETING_OBJECT);
    }));
}

TEST(instances_from_top_to_bottom) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        PFLT_INSTANCE top = nullptr, bottom = nullptr, other = nullptr;
        CHECK_EQ(FltGetTopInstance(stack.volume, &top), STATUS_SUCCESS);
        CHECK_EQ(FltGetBottomInstance(stack.volume, &bottom), STATUS_SUCCESS);
        CHECK(top != bottom && top != stack.instance && bottom != stack.instance);
        for (const PFLT_INSTANCE from : {top, stack.instance}) {
            CHECK_EQ(FltGetLowerInstance(from, &other), STATUS_SUCCESS);
            CHECK(other == (from == top ? stack.instance : bottom));
            FltObjectDereference(other);
        }
        for (const PFLT_INSTANCE from : {bottom, stack.instance}) {
            CHECK_EQ(FltGetUpperInstance(from, &other), STATUS_SUCCESS);
            CHECK(other == (from == bottom ? stack.instance : top));
            FltObjectDereference(other);
        }
        CHECK_EQ(FltGetLowerInstance(bottom, &other), STATUS_NO_MORE_ENTRIES);
        CHECK(other == nullptr);
        CHECK_EQ(FltGetUpperInstance(top, &other), STATUS_NO_MORE_ENTRIES);
        FltObjectDereference(bottom);
        FltObjectDereference(top);
        PFLT_VOLUME volume = nullptr;
        const UNICODE_STRING fat = text(u"E:");
        CHECK_EQ(FltGetVolumeFromName(stack.mid.filter, &fat, &volume), STATUS_SUCCESS);
        CHECK_EQ(FltGetTopInstance(volume, &other), STATUS_NO_MORE_ENTRIES);
        CHECK_EQ(FltGetBottomInstance(volume, &other), STATUS_NO_MORE_ENTRIES);
        FltObjectDereference(volume);
    }));
    for (const int which : {0, 1, 2, 3}) {
        CHECK_EQ(rule([which](Stack &stack) {
                     PFLT_INSTANCE *const nowhere = nullptr;
                     const UserFile user(stack, u"D:\\own");
                     which == 0   ? FltGetTopInstance(stack.volume, nowhere)
                     : which == 1 ? FltGetBottomInstance(stack.volume, nowhere)
                     : which == 2 ? FltGetUpperInstance(stack.instance, nowhere)
                                  : FltGetLowerInstance(stack.instance, nowhere);
                 }),
                 std::string("VER-02 parameter"));
    }
}

TEST(what_a_volume_is) {
    for (const LPCWSTR on : {u"D:", u"E:"}) {
        expect_clean(with_stack(
            [on](Stack &stack) {
                const std::u16string path = std::u16string(on) + u"\\own";
                const UserFile user(stack, path.c_str());
                const std::u16string name =
                    on == std::u16string_view(u"D:") ? u"\\Device\\HarddiskVolume2" : u"\\Device\\HarddiskVolume3";
                alignas(8) char buffer[256];
                ULONG returned = 0;
                const auto get = [&](FILTER_VOLUME_INFORMATION_CLASS what, ULONG room) {
                    return FltGetVolumeInformation(stack.volume, what, buffer, room, &returned);
                };
                const auto bytes = static_cast<ULONG>(name.size() * sizeof(char16_t));
                CHECK_EQ(get(FilterVolumeBasicInformation, 2 + bytes - 1), STATUS_BUFFER_TOO_SMALL);
                CHECK_EQ(returned, 2 + bytes);
                CHECK_EQ(get(FilterVolumeBasicInformation, 2 + bytes), STATUS_SUCCESS);
                const auto &basic = *reinterpret_cast<PFILTER_VOLUME_BASIC_INFORMATION>(buffer);
                CHECK(std::u16string(basic.FilterVolumeName, basic.FilterVolumeNameLength / 2) == name);
                CHECK_EQ(FltGetVolumeInformation(stack.volume, FilterVolumeStandardInformation, nullptr, 0, &returned),
                         STATUS_BUFFER_TOO_SMALL);
                CHECK_EQ(returned, 18 + bytes);
                CHECK_EQ(get(FilterVolumeStandardInformation, sizeof buffer), STATUS_SUCCESS);
                CHECK_EQ(returned, 18 + bytes);
                const auto &standard = *reinterpret_cast<PFILTER_VOLUME_STANDARD_INFORMATION>(buffer);
                CHECK_EQ(standard.FileSystemType, on == std::u16string_view(u"D:") ? FLT_FSTYPE_NTFS : FLT_FSTYPE_FAT);
                CHECK_EQ(standard.NextEntryOffset + standard.Flags + standard.FrameID, 0u);
                CHECK(std::u16string(standard.FilterVolumeName, standard.FilterVolumeNameLength / 2) == name);
                CHECK_EQ(get(static_cast<FILTER_VOLUME_INFORMATION_CLASS>(2), sizeof buffer), STATUS_INVALID_PARAMETER);
                CHECK_EQ(returned, 0u);
                CHECK(!FltIs32bitProcess(nullptr));
            },
            1, on));
    }
}

TEST(queries_need_a_thread_without_a_top_level_irp) {
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 executing().top_level_irp = &stack;
                 FILE_STANDARD_INFORMATION standard{};
                 query(stack, user.object, FileStandardInformation, &standard);
             }),
             std::string("V24 under a TopLevelIrp"));
}

} // namespace MINIPEND_TEST_FILE
