// SPDX-License-Identifier: MIT
//
// This module provides: tests of file-system and device controls: their four methods, the volume's codes, lock and dismount [8.1, SEQ-23].

#include "io/bench.hpp"
#include "io/waiting.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

constexpr ULONG CODE_BUFFERED = CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS);
constexpr ULONG CODE_IN_DIRECT = CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 0x900, METHOD_IN_DIRECT, FILE_ANY_ACCESS);
constexpr ULONG CODE_OUT_DIRECT = CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 0x900, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
constexpr ULONG CODE_NEITHER = CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 0x900, METHOD_NEITHER, FILE_ANY_ACCESS);
constexpr ULONG CODE_WRITES = CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 0x900, METHOD_BUFFERED, FILE_WRITE_ACCESS);
constexpr ULONG DISK_GET_LENGTH_INFO = 0x7405C;
constexpr ULONG STORAGE_GET_DEVICE_NUMBER = 0x2D1080;
constexpr ULONG MOUNTDEV_QUERY_DEVICE_NAME = 0x4D0008;

} // namespace

TEST(methods_carry_their_buffers) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        const char in[] = "question";
        char out[16] = "untouched";
        FLT_PARAMETERS seen{};
        ULONG flags = 0;
        std::string input_seen;
        on_post_of(IRP_MJ_FILE_SYSTEM_CONTROL, [&](PFLT_CALLBACK_DATA data) {
            seen = data->Iopb->Parameters;
            flags = data->Flags;
            const auto &parameters = seen.FileSystemControl;
            const ULONG method = parameters.Common.FsControlCode & 3;
            const void *input = method == METHOD_BUFFERED  ? parameters.Buffered.SystemBuffer
                                : method == METHOD_NEITHER ? parameters.Neither.InputBuffer
                                                           : parameters.Direct.InputSystemBuffer;
            input_seen.assign(static_cast<const char *>(input), parameters.Common.InputBufferLength);
        });
        const std::string question(in, sizeof in);
        traced();

        CHECK_EQ(fs_control(file, CODE_BUFFERED, in, sizeof in, out, sizeof out), STATUS_INVALID_DEVICE_REQUEST);
        CHECK_EQ(traced(), std::string("FSCTL(I,0x870)@0[null]=0xC0000010"));
        CHECK(input_seen == question);
        CHECK(seen.FileSystemControl.Buffered.SystemBuffer != in);
        CHECK_EQ(seen.FileSystemControl.Common.InputBufferLength, sizeof in);
        CHECK_EQ(seen.FileSystemControl.Common.OutputBufferLength, sizeof out);
        CHECK((flags & FLTFL_CALLBACK_DATA_SYSTEM_BUFFER) != 0);

        for (const ULONG code : {CODE_IN_DIRECT, CODE_OUT_DIRECT}) {
            CHECK_EQ(fs_control(file, code, in, sizeof in, out, sizeof out), STATUS_INVALID_DEVICE_REQUEST);
            CHECK_EQ(traced(), std::string("FSCTL(I,0x830)@0[null]=0xC0000010"));
            CHECK(input_seen == question);
            const auto &direct = seen.FileSystemControl.Direct;
            CHECK(direct.InputSystemBuffer != in && direct.OutputBuffer == out);
        }

        CHECK_EQ(fs_control(file, CODE_NEITHER, in, sizeof in, out, sizeof out), STATUS_INVALID_DEVICE_REQUEST);
        CHECK_EQ(traced(), std::string("FSCTL(I,0x800)@0[null]=0xC0000010"));
        CHECK(seen.FileSystemControl.Neither.InputBuffer == in && seen.FileSystemControl.Neither.OutputBuffer == out);
        CHECK(seen.FileSystemControl.Neither.OutputMdlAddress == nullptr);
        CHECK((flags & FLTFL_CALLBACK_DATA_SYSTEM_BUFFER) == 0);
        CHECK(std::string(out) == "untouched");
        CHECK_EQ(fs_control(file, CODE_BUFFERED, nullptr, 4, nullptr, 0), STATUS_ACCESS_VIOLATION);
        close(file);
        Opened reader = open(u"D:\\a", FILE_OPEN, SYNC, FILE_READ_DATA);
        CHECK_EQ(fs_control(reader, CODE_WRITES, nullptr, 0, nullptr, 0), STATUS_ACCESS_DENIED);
        close(reader);
        on_post_of(IRP_MJ_FILE_SYSTEM_CONTROL, nullptr);
    }));
}

/// The MDL lives as long as the operation, so it is looked at inside.
TEST(direct_output_is_behind_an_mdl) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        char out[100];
        bool described = false;
        on_post_of(IRP_MJ_FILE_SYSTEM_CONTROL, [&](PFLT_CALLBACK_DATA data) {
            const MDL *mdl = data->Iopb->Parameters.FileSystemControl.Direct.OutputMdlAddress;
            described = mdl != nullptr && mdl->ByteCount == sizeof out && (mdl->MdlFlags & MDL_PAGES_LOCKED) != 0 &&
                        static_cast<char *>(mdl->StartVa) + mdl->ByteOffset == out;
        });
        fs_control(file, CODE_OUT_DIRECT, nullptr, 0, out, sizeof out);
        CHECK(described);
        on_post_of(IRP_MJ_FILE_SYSTEM_CONTROL, nullptr);
        close(file);
    }));
}

TEST(device_controls_try_fast_io_first) {
    for (const char16_t *drive : {u"D:", u"E:"}) {
        expect_clean(run([&] {
            const bool ntfs = drive[0] == u'D';
            trace(drive);
            Opened volume = open(drive, FILE_OPEN, SYNC, FILE_READ_DATA);
            REQUIRE(volume);
            traced();
            int64_t length = 0;
            ULONG_PTR information = 0;
            CHECK_EQ(device_control(volume, DISK_GET_LENGTH_INFO, nullptr, 0, &length, sizeof length, &information),
                     STATUS_SUCCESS);
            CHECK(length > 0);
            CHECK_EQ(information, sizeof length);
            CHECK_EQ(traced(), std::string("IOCTL(F)@1[null]=0xC01C0004 ") +
                                   (ntfs ? "IOCTL(I,0x70)@0[null]" : "IOCTL(I,0x70)@0[irp]"));
            uint32_t number[3] = {};
            CHECK_EQ(device_control(volume, STORAGE_GET_DEVICE_NUMBER, nullptr, 0, number, sizeof number),
                     STATUS_SUCCESS);
            CHECK_EQ(number[0], FILE_DEVICE_DISK);
            CHECK_EQ(number[1], ntfs ? 1u : 2u);
            CHECK_EQ(device_control(volume, STORAGE_GET_DEVICE_NUMBER, nullptr, 0, number, 4), STATUS_BUFFER_TOO_SMALL);
            CHECK_EQ(device_control(volume, 0x70FFC, nullptr, 0, nullptr, 0), STATUS_INVALID_DEVICE_REQUEST);
            char16_t name[40] = {};
            CHECK_EQ(device_control(volume, MOUNTDEV_QUERY_DEVICE_NAME, nullptr, 0, name, 4), STATUS_BUFFER_OVERFLOW);
            CHECK_EQ(name[0], 2 * std::u16string_view(u"\\Device\\HarddiskVolume2").size());
            CHECK_EQ(device_control(volume, MOUNTDEV_QUERY_DEVICE_NAME, nullptr, 0, name, sizeof name), STATUS_SUCCESS);
            CHECK(std::u16string(name + 1) == (ntfs ? u"\\Device\\HarddiskVolume2" : u"\\Device\\HarddiskVolume3"));
            close(volume);
            Opened file = open(std::u16string(drive) + u"\\a", FILE_CREATE);
            CHECK_EQ(device_control(file, DISK_GET_LENGTH_INFO, nullptr, 0, &length, sizeof length),
                     STATUS_INVALID_PARAMETER);
            close(file);
        }));
    }
}

TEST(volumes_are_locked_by_one_handle) {
    expect_clean(run([] {
        Opened file = open(u"D:\\a", FILE_CREATE);
        Opened volume = open(u"D:", FILE_OPEN, SYNC, FILE_READ_DATA);
        CHECK_EQ(fs_control(file, FSCTL_LOCK_VOLUME), STATUS_INVALID_PARAMETER);
        CHECK_EQ(fs_control(volume, FSCTL_UNLOCK_VOLUME), STATUS_NOT_LOCKED);
        CHECK_EQ(fs_control(volume, FSCTL_LOCK_VOLUME), STATUS_ACCESS_DENIED); // a file is open
        close(file);
        CHECK_EQ(fs_control(volume, FSCTL_LOCK_VOLUME), STATUS_SUCCESS);
        CHECK_EQ(fs_control(volume, FSCTL_LOCK_VOLUME), STATUS_ACCESS_DENIED);
        CHECK_EQ(exists(u"D:\\a"), STATUS_ACCESS_DENIED);
        CHECK_EQ(fs_control(volume, FSCTL_UNLOCK_VOLUME), STATUS_SUCCESS);
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS);
        CHECK_EQ(fs_control(volume, FSCTL_LOCK_VOLUME), STATUS_SUCCESS);
        close(volume); // and the lock with it
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS);
        Opened boot = open(u"C:", FILE_OPEN, SYNC, FILE_READ_DATA);
        CHECK_EQ(fs_control(boot, FSCTL_LOCK_VOLUME), STATUS_ACCESS_DENIED);
        CHECK_EQ(fs_control(boot, FSCTL_DISMOUNT_VOLUME), STATUS_ACCESS_DENIED);
        close(boot);
    }));
}

TEST(dismount_by_control_code) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        Opened volume = open(u"D:", FILE_OPEN, SYNC, FILE_READ_DATA);
        CHECK_EQ(fs_control(file, FSCTL_IS_VOLUME_MOUNTED), STATUS_SUCCESS);
        CHECK_EQ(fs_control(volume, FSCTL_IS_VOLUME_MOUNTED), STATUS_SUCCESS);
        traced();
        CHECK_EQ(fs_control(volume, FSCTL_DISMOUNT_VOLUME), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("")); // the tracer was drained: its instance went in the middle of the control
        CHECK_EQ(fs_control(volume, FSCTL_IS_VOLUME_MOUNTED), STATUS_VOLUME_DISMOUNTED);
        CHECK_EQ(fs_control(file, FSCTL_IS_VOLUME_MOUNTED), STATUS_VOLUME_DISMOUNTED);
        CHECK_EQ(read(file, 10, 0), std::string("status 0xC000026E"));
        CHECK_EQ(fs_control(volume, FSCTL_DISMOUNT_VOLUME), STATUS_VOLUME_DISMOUNTED);
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS); // mounts it again
        close(volume);
        close(file);
        Opened again = open(u"D:", FILE_OPEN, SYNC, FILE_READ_DATA);
        CHECK_EQ(fs_control(again, FSCTL_LOCK_VOLUME), STATUS_SUCCESS);
        CHECK_EQ(fs_control(again, FSCTL_DISMOUNT_VOLUME), STATUS_SUCCESS);
        CHECK_EQ(fs_control(again, FSCTL_UNLOCK_VOLUME), STATUS_SUCCESS);
        close(again);
        CHECK_EQ(exists(u"D:\\a"), STATUS_SUCCESS);
    }));
}

} // namespace MINIPEND_TEST_FILE
