// SPDX-License-Identifier: MIT
//
// This module provides: tests of the file services that drivers call: ZwCreateFile, ZwReadFile, ZwWriteFile and the others, events and waits by handle.

#include "io/bench.hpp"

#include <cstring>

#include "core/faults.hpp"
#include "flt/recorder.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

constexpr const char *NO_STOP = "\"stopped\":false";
constexpr ACCESS_MASK RW = FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE;

/// OBJECT_ATTRIBUTES with what they point at.
struct Named {
    explicit Named(std::u16string_view text, ULONG flags = OBJ_KERNEL_HANDLE, HANDLE root = nullptr)
        : text(text), string(view(this->text)) {
        InitializeObjectAttributes(&attributes, &string, flags, root, nullptr);
    }
    Named(const Named &) = delete;
    Named &operator=(const Named &) = delete;
    static UNICODE_STRING view(std::u16string &text) {
        const auto bytes = static_cast<USHORT>(text.size() * sizeof(WCHAR));
        return {bytes, bytes, reinterpret_cast<PWSTR>(text.data())};
    }
    std::u16string text;
    UNICODE_STRING string;
    OBJECT_ATTRIBUTES attributes{};
};

HANDLE zw_open(std::u16string_view path, ULONG disposition = FILE_OPEN, ULONG options = SYNC, ACCESS_MASK access = RW,
               HANDLE root = nullptr) {
    Named name(path, OBJ_KERNEL_HANDLE, root);
    HANDLE handle = nullptr;
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = ZwCreateFile(&handle, access, &name.attributes, &iosb, nullptr, FILE_ATTRIBUTE_NORMAL,
                                         SHARE_ALL, disposition, options, nullptr, 0);
    CHECK_EQ(status, STATUS_SUCCESS);
    CHECK_EQ(iosb.Status, status);
    return handle;
}

HANDLE zw_event(EVENT_TYPE type, BOOLEAN set = FALSE) {
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    HANDLE handle = nullptr;
    CHECK_EQ(ZwCreateEvent(&handle, EVENT_ALL_ACCESS, &attributes, type, set), STATUS_SUCCESS);
    return handle;
}

NTSTATUS zw_write(HANDLE file, std::string_view data, PLARGE_INTEGER offset = nullptr) {
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = ZwWriteFile(file, nullptr, nullptr, nullptr, &iosb, const_cast<char *>(data.data()),
                                        static_cast<ULONG>(data.size()), offset, nullptr);
    CHECK(!NT_SUCCESS(status) || iosb.Information == data.size());
    CHECK_EQ(iosb.Status, status);
    return status;
}

std::string zw_read(HANDLE file, ULONG length, PLARGE_INTEGER offset = nullptr) {
    std::string data(length, '\0');
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, data.data(), length, offset, nullptr);
    if (status == STATUS_END_OF_FILE) {
        return "end of file";
    }
    if (!NT_SUCCESS(status)) {
        return "status " + std::to_string(static_cast<uint32_t>(status));
    }
    data.resize(iosb.Information);
    return data;
}

LARGE_INTEGER at(int64_t offset) {
    LARGE_INTEGER value{};
    value.QuadPart = offset;
    return value;
}

void NTAPI no_routine(PVOID, PIO_STATUS_BLOCK, ULONG) {}

bool stops_by(const std::function<void()> &fn, const char *rule) {
    const std::string found =
        recorder::rule_of(recorder::run_known(recorder::Executor::Fibers, [&fn](recorder::Bench &) { fn(); }));
    if (found != rule) {
        fprintf(stderr, "%s instead of %s\n", found.c_str(), rule);
    }
    return found == rule;
}

} // namespace

TEST(drivers_write_and_read_files) {
    CHECK(check::contains(run([] {
                              trace(u"D:");
                              KPROCESSOR_MODE mode = UserMode;
                              bool previous_is_kernel = false;
                              on_pre_of(IRP_MJ_WRITE, [&](PFLT_CALLBACK_DATA data) {
                                  mode = data->RequestorMode;
                                  previous_is_kernel = ExGetPreviousMode() == KernelMode;
                              });
                              HANDLE file = zw_open(u"\\??\\D:\\log.txt", FILE_CREATE);
                              CHECK(check::contains(traced(), "CREATE("));
                              CHECK_EQ(zw_write(file, "one "), STATUS_SUCCESS);
                              CHECK(mode == KernelMode && previous_is_kernel);
                              CHECK(ExGetPreviousMode() == UserMode);
                              LARGE_INTEGER place = at(-2); // FILE_USE_FILE_POINTER_POSITION
                              CHECK_EQ(place.u.LowPart, FILE_USE_FILE_POINTER_POSITION);
                              CHECK_EQ(zw_write(file, "two ", &place), STATUS_SUCCESS);
                              place = at(0);
                              CHECK_EQ(zw_read(file, 4, &place), std::string("one "));
                              CHECK_EQ(zw_read(file, 9), std::string("two "));
                              CHECK_EQ(zw_read(file, 9), std::string("end of file"));
                              place = at(0);
                              CHECK_EQ(zw_read(file, 1, &place), std::string("o"));
                              place = at(-1); // FILE_WRITE_TO_END_OF_FILE
                              CHECK_EQ(place.u.LowPart, FILE_WRITE_TO_END_OF_FILE);
                              CHECK_EQ(zw_write(file, "three", &place), STATUS_SUCCESS);
                              place = at(0);
                              CHECK_EQ(zw_read(file, 99, &place), std::string("one two three"));
                              place = at(-3);
                              IO_STATUS_BLOCK iosb{};
                              char byte = 0;
                              CHECK_EQ(ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, &place, nullptr),
                                       STATUS_INVALID_PARAMETER);
                              CHECK_EQ(ZwFlushBuffersFile(file, &iosb), STATUS_SUCCESS);
                              CHECK_EQ(iosb.Status, STATUS_SUCCESS);
                              CHECK(check::contains(traced(), "FLUSH("));
                              CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
                              file = zw_open(u"\\??\\D:\\log.txt", FILE_OPEN, SYNC, FILE_APPEND_DATA | SYNCHRONIZE);
                              place = at(0); // not looked at
                              CHECK_EQ(zw_write(file, "!", &place), STATUS_SUCCESS);
                              CHECK_EQ(ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, nullptr, nullptr),
                                       STATUS_ACCESS_DENIED);
                              CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
                              CHECK_EQ(ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, nullptr, nullptr),
                                       STATUS_INVALID_HANDLE);
                              file = zw_open(u"\\??\\D:\\log.txt");
                              CHECK_EQ(zw_read(file, 99), std::string("one two three!"));
                              CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
                          }),
                          NO_STOP));
}

TEST(drivers_read_without_waiting) {
    CHECK(check::contains(
        run([] {
            constexpr ULONG UNBUFFERED = FILE_NO_INTERMEDIATE_BUFFERING;
            HANDLE file = zw_open(u"\\??\\D:\\data", FILE_CREATE, UNBUFFERED | SYNC);
            CHECK_EQ(zw_write(file, std::string(512, 'x')), STATUS_SUCCESS);
            CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
            file = zw_open(u"\\??\\D:\\data", FILE_OPEN, UNBUFFERED, FILE_READ_DATA | SYNCHRONIZE);
            std::vector<char> data(512);
            IO_STATUS_BLOCK iosb{};
            LARGE_INTEGER start = at(0);
            HANDLE event = zw_event(NotificationEvent, TRUE);
            const auto read = [&](HANDLE done) {
                data[511] = 0;
                return ZwReadFile(file, done, nullptr, nullptr, &iosb, data.data(), 512, &start, nullptr);
            };
            LARGE_INTEGER none = at(0);
            CHECK_EQ(ZwWaitForSingleObject(event, FALSE, &none), STATUS_SUCCESS);
            CHECK_EQ(read(event), STATUS_PENDING);
            CHECK_EQ(ZwWaitForSingleObject(event, FALSE, &none), STATUS_TIMEOUT); // it was reset
            CHECK_EQ(iosb.Status, STATUS_PENDING);
            CHECK_EQ(ZwWaitForSingleObject(event, FALSE, nullptr), STATUS_SUCCESS);
            CHECK_EQ(iosb.Status, STATUS_SUCCESS);
            CHECK_EQ(iosb.Information, 512u);
            CHECK_EQ(data[511], 'x');
            CHECK_EQ(read(nullptr), STATUS_PENDING);
            CHECK_EQ(ZwWaitForSingleObject(file, FALSE, &none), STATUS_TIMEOUT);
            CHECK_EQ(ZwWaitForSingleObject(file, FALSE, nullptr), STATUS_SUCCESS);
            CHECK_EQ(data[511], 'x');
            // No position, and an error that is known at once leaves all alone.
            iosb.Status = 77;
            CHECK_EQ(ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, data.data(), 512, nullptr, nullptr),
                     STATUS_INVALID_PARAMETER);
            CHECK_EQ(iosb.Status, 77);
            CHECK_EQ(read(file), STATUS_OBJECT_TYPE_MISMATCH);
            CHECK_EQ(ZwClose(event), STATUS_SUCCESS);
            CHECK_EQ(read(event), STATUS_INVALID_HANDLE);
            CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
        }),
        NO_STOP));
}

TEST(events_by_handle) {
    CHECK(check::contains(run([] {
                              LARGE_INTEGER none = at(0);
                              LARGE_INTEGER moment = at(-10'000);
                              HANDLE once = zw_event(SynchronizationEvent, TRUE);
                              CHECK_EQ(ZwWaitForSingleObject(once, FALSE, &none), STATUS_SUCCESS);
                              const uint64_t before = world().interrupt_time_100ns();
                              CHECK_EQ(ZwWaitForSingleObject(once, FALSE, &moment), STATUS_TIMEOUT);
                              CHECK(world().interrupt_time_100ns() >= before + 10'000);
                              HANDLE always = zw_event(NotificationEvent, TRUE);
                              CHECK_EQ(ZwWaitForSingleObject(always, FALSE, &none), STATUS_SUCCESS);
                              CHECK_EQ(ZwWaitForSingleObject(always, FALSE, &none), STATUS_SUCCESS);
                              CHECK_EQ(ZwClose(once), STATUS_SUCCESS);
                              CHECK_EQ(ZwClose(always), STATUS_SUCCESS);
                              CHECK_EQ(ZwWaitForSingleObject(once, FALSE, nullptr), STATUS_INVALID_HANDLE);
                              OBJECT_ATTRIBUTES attributes;
                              InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
                              CHECK_EQ(ZwCreateEvent(&once, 0, &attributes, static_cast<EVENT_TYPE>(2), FALSE),
                                       STATUS_INVALID_PARAMETER);
                              HANDLE process = nullptr;
                              CHECK_EQ(ObOpenObjectByPointer(IoGetCurrentProcess(), OBJ_KERNEL_HANDLE, nullptr, 0,
                                                             nullptr, KernelMode, &process),
                                       STATUS_SUCCESS);
                              CHECK_EQ(ZwWaitForSingleObject(process, FALSE, &moment), STATUS_TIMEOUT);
                              CHECK_EQ(ZwClose(process), STATUS_SUCCESS);
                          }),
                          NO_STOP));
}

TEST(drivers_ask_for_files) {
    CHECK(check::contains(
        run([] {
            constexpr ULONG DIRECTORY = FILE_DIRECTORY_FILE | SYNC;
            HANDLE directory = zw_open(u"\\??\\D:\\dir", FILE_CREATE, DIRECTORY, FILE_LIST_DIRECTORY | SYNCHRONIZE);
            HANDLE file = zw_open(u"below.txt", FILE_CREATE, SYNC, RW | DELETE, directory);
            CHECK_EQ(zw_write(file, "12345"), STATUS_SUCCESS);
            IO_STATUS_BLOCK iosb{};
            FILE_STANDARD_INFORMATION standard{};
            CHECK_EQ(ZwQueryInformationFile(file, &iosb, &standard, sizeof standard, FileStandardInformation),
                     STATUS_SUCCESS);
            CHECK_EQ(standard.EndOfFile.QuadPart, 5);
            CHECK_EQ(iosb.Information, sizeof standard);
            CHECK_EQ(ZwQueryInformationFile(file, &iosb, &standard, 3, FileStandardInformation),
                     STATUS_INFO_LENGTH_MISMATCH);
            CHECK_EQ(iosb.Status, STATUS_INFO_LENGTH_MISMATCH);
            FILE_END_OF_FILE_INFORMATION end{};
            end.EndOfFile.QuadPart = 3;
            CHECK_EQ(ZwSetInformationFile(file, &iosb, &end, sizeof end, FileEndOfFileInformation), STATUS_SUCCESS);
            std::vector<uint64_t> buffer(64);
            const auto *entry = reinterpret_cast<const FILE_DIRECTORY_INFORMATION *>(buffer.data());
            Named pattern(u"*.txt");
            const auto next = [&](PUNICODE_STRING name, BOOLEAN restart) {
                return ZwQueryDirectoryFile(directory, nullptr, nullptr, nullptr, &iosb, buffer.data(), 512,
                                            FileDirectoryInformation, TRUE, name, restart);
            };
            CHECK_EQ(next(&pattern.string, FALSE), STATUS_SUCCESS);
            CHECK_EQ(entry->EndOfFile.QuadPart, 3);
            CHECK_EQ(next(nullptr, FALSE), STATUS_NO_MORE_FILES);
            CHECK_EQ(iosb.Status, STATUS_NO_MORE_FILES);
            CHECK_EQ(next(nullptr, TRUE), STATUS_SUCCESS);
            CHECK_EQ(ZwQueryDirectoryFileEx(directory, nullptr, nullptr, nullptr, &iosb, buffer.data(), 512,
                                            FileDirectoryInformation, SL_RESTART_SCAN | SL_RETURN_SINGLE_ENTRY,
                                            nullptr),
                     STATUS_SUCCESS);
            CHECK_EQ(ZwQueryDirectoryFileEx(directory, nullptr, nullptr, nullptr, &iosb, buffer.data(), 512,
                                            FileDirectoryInformation, 0x80, nullptr),
                     STATUS_INVALID_PARAMETER);
            pattern.string.Length = 3;
            CHECK_EQ(next(&pattern.string, TRUE), STATUS_OBJECT_NAME_INVALID);
            CHECK_EQ(ZwQueryDirectoryFile(file, nullptr, nullptr, nullptr, &iosb, buffer.data(), 512,
                                          FileDirectoryInformation, TRUE, nullptr, TRUE),
                     STATUS_INVALID_PARAMETER);
            auto *volume = reinterpret_cast<FILE_FS_ATTRIBUTE_INFORMATION *>(buffer.data());
            CHECK_EQ(ZwQueryVolumeInformationFile(file, &iosb, volume, 512, FileFsAttributeInformation),
                     STATUS_SUCCESS);
            CHECK_EQ(volume->MaximumComponentNameLength, 255);
            CHECK_EQ(ZwQueryVolumeInformationFile(file, &iosb, volume, 1, FileFsAttributeInformation),
                     STATUS_INFO_LENGTH_MISMATCH);
            CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
            const Named below(u"below.txt", OBJ_KERNEL_HANDLE, directory);
            CHECK_EQ(ZwDeleteFile(const_cast<POBJECT_ATTRIBUTES>(&below.attributes)), STATUS_SUCCESS);
            CHECK_EQ(ZwDeleteFile(const_cast<POBJECT_ATTRIBUTES>(&below.attributes)), STATUS_OBJECT_NAME_NOT_FOUND);
            CHECK_EQ(exists(u"\\??\\D:\\dir\\below.txt"), STATUS_OBJECT_NAME_NOT_FOUND);
            CHECK_EQ(ZwClose(directory), STATUS_SUCCESS);
        }),
        NO_STOP));
}

TEST(a_file_is_deleted_through_the_stack) {
    CHECK(check::contains(run([] {
                              HANDLE file = zw_open(u"\\??\\D:\\gone", FILE_CREATE);
                              CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
                              trace(u"D:");
                              Named name(u"\\??\\D:\\gone");
                              CHECK_EQ(ZwDeleteFile(&name.attributes), STATUS_SUCCESS);
                              const std::string seen = traced();
                              CHECK(check::contains(seen, "CREATE(") && check::contains(seen, "CLEANUP("));
                          }),
                          NO_STOP));
}

TEST(bad_arguments_of_drivers_opens) {
    CHECK(check::contains(run([] {
                              HANDLE handle = nullptr;
                              IO_STATUS_BLOCK iosb{};
                              const auto open = [&](POBJECT_ATTRIBUTES attributes, PLARGE_INTEGER size = nullptr) {
                                  return ZwCreateFile(&handle, RW, attributes, &iosb, size, 0, SHARE_ALL, FILE_OPEN,
                                                      SYNC, nullptr, 0);
                              };
                              CHECK_EQ(open(nullptr), STATUS_INVALID_PARAMETER);
                              Named odd(u"\\??\\D:\\x");
                              odd.attributes.Length = 1;
                              CHECK_EQ(open(&odd.attributes), STATUS_INVALID_PARAMETER);
                              CHECK_EQ(ZwDeleteFile(&odd.attributes), STATUS_INVALID_PARAMETER);
                              Named absent(u"\\??\\D:\\x");
                              LARGE_INTEGER negative = at(-1);
                              CHECK_EQ(open(&absent.attributes, &negative), STATUS_INVALID_PARAMETER);
                              CHECK_EQ(open(&absent.attributes), STATUS_OBJECT_NAME_NOT_FOUND);
                              CHECK(handle == nullptr);
                              HANDLE event = zw_event(NotificationEvent);
                              Named below(u"x", OBJ_KERNEL_HANDLE, event);
                              CHECK_EQ(open(&below.attributes), STATUS_OBJECT_TYPE_MISMATCH);
                              CHECK_EQ(ZwClose(event), STATUS_SUCCESS);
                              CHECK_EQ(open(&below.attributes), STATUS_INVALID_HANDLE);
                              CHECK_EQ(ZwQueryInformationFile(event, &iosb, &negative, 8, FilePositionInformation),
                                       STATUS_INVALID_HANDLE);
                          }),
                          NO_STOP));
}

TEST(file_services_of_drivers_fail_when_asked_to) {
    CHECK(check::contains(
        run([] {
            HANDLE file = zw_open(u"\\??\\D:\\x", FILE_CREATE);
            Named name(u"\\??\\D:\\x");
            IO_STATUS_BLOCK iosb{};
            HANDLE handle = nullptr;
            char byte = 0;
            const auto check = [](const char *fault, NTSTATUS expected, const std::function<NTSTATUS()> &call) {
                REQUIRE(world().faults->set(fault, 0, 1));
                CHECK_EQ(call(), expected);
            };
            check("ZwCreateFile:STATUS_ACCESS_DENIED", STATUS_ACCESS_DENIED, [&] {
                return ZwCreateFile(&handle, RW, &name.attributes, &iosb, nullptr, 0, SHARE_ALL, FILE_OPEN, SYNC,
                                    nullptr, 0);
            });
            check("ZwDeleteFile:STATUS_SHARING_VIOLATION", STATUS_SHARING_VIOLATION,
                  [&] { return ZwDeleteFile(&name.attributes); });
            check("ZwReadFile", STATUS_INSUFFICIENT_RESOURCES,
                  [&] { return ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, nullptr, nullptr); });
            check("ZwWriteFile:STATUS_DISK_FULL", STATUS_DISK_FULL,
                  [&] { return ZwWriteFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, nullptr, nullptr); });
            check("ZwFlushBuffersFile:STATUS_MEDIA_WRITE_PROTECTED", STATUS_MEDIA_WRITE_PROTECTED,
                  [&] { return ZwFlushBuffersFile(file, &iosb); });
            FILE_POSITION_INFORMATION position{};
            check("ZwQueryInformationFile", STATUS_INSUFFICIENT_RESOURCES, [&] {
                return ZwQueryInformationFile(file, &iosb, &position, sizeof position, FilePositionInformation);
            });
            check("ZwSetInformationFile", STATUS_INSUFFICIENT_RESOURCES, [&] {
                return ZwSetInformationFile(file, &iosb, &position, sizeof position, FilePositionInformation);
            });
            check("ZwQueryVolumeInformationFile:STATUS_VOLUME_DISMOUNTED", STATUS_VOLUME_DISMOUNTED,
                  [&] { return ZwQueryVolumeInformationFile(file, &iosb, &position, 8, FileFsDeviceInformation); });
            check("ZwQueryDirectoryFile", STATUS_INSUFFICIENT_RESOURCES, [&] {
                return ZwQueryDirectoryFile(file, nullptr, nullptr, nullptr, &iosb, &position, 8,
                                            FileDirectoryInformation, TRUE, nullptr, TRUE);
            });
            check("ZwQueryDirectoryFileEx", STATUS_INSUFFICIENT_RESOURCES, [&] {
                return ZwQueryDirectoryFileEx(file, nullptr, nullptr, nullptr, &iosb, &position, 8,
                                              FileDirectoryInformation, 0, nullptr);
            });
            OBJECT_ATTRIBUTES attributes;
            InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
            check("ZwCreateEvent", STATUS_INSUFFICIENT_RESOURCES,
                  [&] { return ZwCreateEvent(&handle, 0, &attributes, NotificationEvent, FALSE); });
            CHECK_EQ(ZwClose(file), STATUS_SUCCESS);
        }),
        NO_STOP));
}

TEST(malformed_names_of_drivers_opens) {
    for (const auto spoil : {+[](UNICODE_STRING &name) { name.Length = 3; },
                             +[](UNICODE_STRING &name) { name.MaximumLength = name.Length - 2; },
                             +[](UNICODE_STRING &name) { name.Buffer = nullptr; }}) {
        for (const bool delete_file : {false, true}) {
            CHECK(stops_by(
                [=] {
                    Named file(u"\\??\\D:\\x");
                    spoil(file.string);
                    HANDLE handle = nullptr;
                    IO_STATUS_BLOCK iosb{};
                    static_cast<void>(delete_file ? ZwDeleteFile(&file.attributes)
                                                  : ZwOpenFile(&handle, RW, &file.attributes, &iosb, SHARE_ALL, SYNC));
                },
                "STRING is malformed"));
        }
    }
}

TEST(mistakes_with_file_services) {
    const auto with_file = [](const std::function<void(HANDLE)> &fn) {
        return [fn] { fn(zw_open(u"\\??\\D:\\x", FILE_OPEN_IF)); };
    };
    static IO_STATUS_BLOCK iosb{};
    static char byte = 0;
    const auto read = [](HANDLE file) {
        ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, nullptr, nullptr);
    };
    CHECK(stops_by(with_file([read](HANDLE file) {
                       KeEnterGuardedRegion();
                       read(file);
                   }),
                   "GUARDED REGION around a file service"));
    CHECK(stops_by(with_file([](HANDLE file) {
                       KeEnterGuardedRegion();
                       ZwQueryInformationFile(file, &iosb, &byte, 1, FileStandardInformation);
                   }),
                   "GUARDED REGION around a file service"));
    CHECK(stops_by(
        [] {
            KeEnterGuardedRegion();
            zw_open(u"\\??\\D:\\x", FILE_OPEN_IF);
        },
        "GUARDED REGION around a file service"));
    CHECK(stops_by(with_file([read](HANDLE file) {
                       KeEnterCriticalRegion(); // normal kernel APCs alone
                       read(file);
                       KeLeaveCriticalRegion();
                       const IrqlScope raised(APC_LEVEL);
                       read(file);
                   }),
                   "V5 IRQL too high"));
    CHECK(stops_by(
        [] {
            Named name(u"\\??\\D:\\x", 0);
            HANDLE handle = nullptr;
            ZwCreateFile(&handle, RW, &name.attributes, &iosb, nullptr, 0, 0, FILE_OPEN_IF, SYNC, nullptr, 0);
        },
        "V24 handle for a stranger"));
    CHECK(stops_by(
        [] {
            HANDLE handle = nullptr;
            ZwCreateEvent(&handle, 0, nullptr, NotificationEvent, FALSE);
        },
        "V24 handle for a stranger"));
    CHECK(stops_by(with_file([](HANDLE file) {
                       ZwReadFile(file, nullptr, nullptr, nullptr, nullptr, &byte, 1, nullptr, nullptr);
                   }),
                   "VER-02 parameter"));
    CHECK(stops_by(with_file([](HANDLE file) {
                       ZwWriteFile(file, nullptr, nullptr, nullptr, &iosb, nullptr, 1, nullptr, nullptr);
                   }),
                   "VER-02 parameter"));
    CHECK(stops_by(with_file([](HANDLE file) {
                       ULONG key = 1;
                       ZwReadFile(file, nullptr, nullptr, nullptr, &iosb, &byte, 1, nullptr, &key);
                   }),
                   "UNMODELLED"));
    CHECK(stops_by(with_file([](HANDLE file) {
                       ZwReadFile(file, nullptr, &no_routine, nullptr, &iosb, &byte, 1, nullptr, nullptr);
                   }),
                   "UNMODELLED"));
    CHECK(stops_by([] { ZwWaitForSingleObject(nullptr, TRUE, nullptr); }, "UNMODELLED"));
}

} // namespace MINIPEND_TEST_FILE
