// SPDX-License-Identifier: MIT
//
// This module provides: tests of files that a filter opens, reads and writes itself: which filters see what, positions, sharing, names that lead
// elsewhere, and what a driver does wrongly.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"
#include "fs/fs_bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

constexpr ULONG SECTOR = 512;

UNICODE_STRING text(const char16_t *value) {
    return flt::unicode(value);
}

/// What a filter opens.
struct OwnOpen {
    const char16_t *name = u"\\??\\D:\\own";
    PFLT_INSTANCE instance = nullptr;
    ACCESS_MASK access = FILE_GENERIC_READ | FILE_GENERIC_WRITE;
    ULONG share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    ULONG disposition = FILE_OPEN;
    ULONG options = FILE_SYNCHRONOUS_IO_NONALERT;
    ULONG flags = 0;
    ULONG attributes = OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE;
    HANDLE root = nullptr;
};

/// A file that mid opens; closed when it goes.
class OwnFile {
  public:
    OwnFile(Stack &stack, const OwnOpen &open) {
        UNICODE_STRING name = text(open.name);
        OBJECT_ATTRIBUTES attributes;
        InitializeObjectAttributes(&attributes, &name, open.attributes, open.root, nullptr);
        IO_DRIVER_CREATE_CONTEXT context;
        IoInitializeDriverCreateContext(&context);
        status = FltCreateFileEx2(stack.mid.filter, open.instance, &handle, &object, open.access, &attributes, &iosb,
                                  nullptr, FILE_ATTRIBUTE_NORMAL, open.share, open.disposition, open.options, nullptr,
                                  0, open.flags, &context);
        CHECK_EQ(iosb.Status, status);
        CHECK_EQ(NT_SUCCESS(status), handle != nullptr);
        CHECK_EQ(NT_SUCCESS(status), object != nullptr);
    }
    ~OwnFile() { close_now(); }
    void close_now() {
        if (object) {
            ObfDereferenceObject(std::exchange(object, nullptr));
        }
        if (handle) {
            CHECK_EQ(FltClose(std::exchange(handle, nullptr)), STATUS_SUCCESS);
        }
    }
    OwnFile(const OwnFile &) = delete;
    OwnFile &operator=(const OwnFile &) = delete;

    NTSTATUS status = STATUS_UNSUCCESSFUL;
    HANDLE handle = nullptr;
    PFILE_OBJECT object = nullptr;
    IO_STATUS_BLOCK iosb{};
};

std::string read(PFLT_INSTANCE instance, PFILE_OBJECT file, LONGLONG offset, ULONG bytes, ULONG flags = 0) {
    char buffer[2 * SECTOR] = {};
    ULONG moved = 99;
    LARGE_INTEGER at{};
    at.QuadPart = offset;
    const NTSTATUS status =
        FltReadFile(instance, file, offset < 0 ? nullptr : &at, bytes, buffer, flags, &moved, nullptr, nullptr);
    return NT_SUCCESS(status) ? std::string(buffer, moved) : "status " + std::to_string(static_cast<uint32_t>(status));
}

using End = std::function<void(PFLT_CALLBACK_DATA)>;
void FLTAPI on_end(PFLT_CALLBACK_DATA data, PFLT_CONTEXT context) {
    (*static_cast<End *>(context))(data);
}

} // namespace

TEST(a_targeted_open_is_seen_below_only) {
    expect_clean(with_stack([](Stack &stack) {
        {
            const UserFile user(stack, u"D:\\first"); // so that the instance is known
        }
        stack.bench.wait_until([] { return false; }, 10'000); // what it has left behind
        stack.seen();
        OwnFile own(stack, {.instance = stack.instance, .disposition = FILE_CREATE});
        REQUIRE(own.status == STATUS_SUCCESS);
        CHECK_EQ(own.iosb.Information, FILE_CREATED);
        CHECK((own.object->Flags & FO_SYNCHRONOUS_IO) != 0);
        CHECK_EQ(stack.seen(), std::string("low:CREATE*"));
        char content[] = "content";
        LARGE_INTEGER at{};
        ULONG moved = 0;
        CHECK_EQ(FltWriteFile(stack.instance, own.object, &at, 7, content, 0, &moved, nullptr, nullptr),
                 STATUS_SUCCESS);
        CHECK_EQ(moved, 7u);
        CHECK(contains(stack.seen(), "low:WRITE*"));
        CHECK_EQ(read(stack.instance, own.object, 0, 7), std::string("content"));
        CHECK_EQ(stack.seen(), std::string("low:READ*"));
        CHECK_EQ(FltFlushBuffers(stack.instance, own.object), STATUS_SUCCESS);
        // Whoever writes the pages does so below as well.
        const std::string seen = stack.seen();
        CHECK(contains(seen, "low:FLUSH_BUFFERS*"));
        CHECK(contains(seen, "low:WRITE"));
        CHECK(!contains(seen, "mid:"));
        CHECK(!contains(seen, "top:"));
        own.close_now();
        stack.bench.wait_until([] { return false; }, 10'000);
        const std::string end = stack.seen();
        CHECK(contains(end, "low:CLEANUP"));
        CHECK(contains(end, "low:CLOSE"));
        CHECK(!contains(end, "mid:"));
        CHECK(!contains(end, "top:"));
    }));
}

TEST(an_open_without_an_instance_is_seen_by_all) {
    expect_clean(with_stack([](Stack &stack) {
        OwnFile own(stack, {.disposition = FILE_CREATE});
        REQUIRE(own.status == STATUS_SUCCESS);
        CHECK_EQ(own.iosb.Information, FILE_CREATED);
        CHECK_EQ(stack.seen(), std::string("top:CREATE mid:CREATE low:CREATE"));
        CHECK(stack.file == own.object);
        char byte = 'x';
        CHECK_EQ(FltWriteFile(stack.instance, own.object, nullptr, 1, &byte, 0, nullptr, nullptr, nullptr),
                 STATUS_SUCCESS);
        CHECK_EQ(stack.seen(), std::string("low:WRITE*")); // from the instance all the same
        own.close_now();
        CHECK(contains(stack.seen(), "top:CLEANUP mid:CLEANUP low:CLEANUP"));
    }));
}

TEST(the_other_forms_of_the_open) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        UNICODE_STRING name = text(u"\\Device\\HarddiskVolume2\\own");
        OBJECT_ATTRIBUTES attributes;
        InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, nullptr, nullptr);
        IO_STATUS_BLOCK iosb{};
        HANDLE handle = nullptr;
        PFILE_OBJECT object = nullptr;
        CHECK_EQ(FltCreateFile(stack.mid.filter, stack.instance, &handle, FILE_GENERIC_READ, &attributes, &iosb,
                               nullptr, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, nullptr, 0, 0),
                 STATUS_SUCCESS);
        CHECK_EQ(FltClose(handle), STATUS_SUCCESS);
        CHECK_EQ(FltClose(handle), STATUS_INVALID_HANDLE);
        CHECK_EQ(FltCreateFileEx(stack.mid.filter, stack.instance, &handle, &object, FILE_GENERIC_READ, &attributes,
                                 &iosb, nullptr, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, nullptr, 0, 0),
                 STATUS_SUCCESS);
        // The file object stays open for those who read it by its pointer.
        CHECK_EQ(read(stack.instance, object, 0, 7), std::string("content"));
        CHECK_EQ(FltClose(handle), STATUS_SUCCESS);
        ObfDereferenceObject(object);
        const std::string seen = stack.seen();
        CHECK(!contains(seen, "mid:"));
        // Relative to a directory.
        const OwnFile root(stack, {.name = u"\\??\\D:\\", .instance = stack.instance, .options = FILE_DIRECTORY_FILE});
        REQUIRE(root.status == STATUS_SUCCESS);
        const OwnFile relative(stack, {.name = u"own", .instance = stack.instance, .options = 0, .root = root.handle});
        CHECK_EQ(relative.status, STATUS_SUCCESS);
        const OwnFile absent(stack, {.name = u"absent", .instance = stack.instance, .root = root.handle});
        CHECK_EQ(absent.status, STATUS_OBJECT_NAME_NOT_FOUND);
        const OwnFile nowhere(stack, {.name = u"own", .instance = stack.instance, .root = handle});
        CHECK_EQ(nowhere.status, STATUS_INVALID_HANDLE);
        const OwnFile elsewhere(stack, {.name = u"\\??\\E:\\own", .instance = stack.instance});
        CHECK_EQ(elsewhere.status, STATUS_INVALID_DEVICE_OBJECT_PARAMETER);
        CHECK_EQ(fs_bench::make_reparse(u"D:\\mnt", IO_REPARSE_TAG_MOUNT_POINT, u"\\??\\E:\\", true), STATUS_SUCCESS);
        const OwnFile behind(stack, {.name = u"\\??\\D:\\mnt\\own", .instance = stack.instance});
        CHECK_EQ(behind.status, STATUS_MOUNT_POINT_NOT_RESOLVED);
        const OwnFile anywhere(stack, {.name = u"\\??\\D:\\mnt\\own", .instance = nullptr});
        CHECK_EQ(anywhere.status, STATUS_OBJECT_NAME_NOT_FOUND); // of E:
        stack.bench.world.faults->set("FltCreateFileEx2", 0, 1);
        const OwnFile failed(stack, {.instance = stack.instance});
        CHECK_EQ(failed.status, STATUS_INSUFFICIENT_RESOURCES);
    }));
}

TEST(sharing_may_be_ignored) {
    expect_clean(with_stack([](Stack &stack) {
        const HANDLE user =
            CreateFileW(u"D:\\own", GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, 0, nullptr);
        const OwnFile refused(stack, {.instance = stack.instance});
        CHECK_EQ(refused.status, STATUS_SHARING_VIOLATION);
        OwnFile ignored(stack, {.instance = stack.instance, .share = 0, .flags = IO_IGNORE_SHARE_ACCESS_CHECK});
        REQUIRE(ignored.status == STATUS_SUCCESS);
        close(user);
        // It is not counted either: nobody is kept out.
        const HANDLE again = open(u"D:\\own");
        ignored.close_now();
        const HANDLE alone = CreateFileW(u"D:\\own", GENERIC_READ, 0, nullptr, OPEN_EXISTING, 0, nullptr);
        CHECK(alone == INVALID_HANDLE_VALUE); // that one is still counted
        close(again);
    }));
}

TEST(positions_move_only_when_they_are_used) {
    expect_clean(with_stack([](Stack &stack) {
        {
            const UserFile user(stack, u"D:\\own", "0123456789");
        }
        const OwnFile own(stack, {.instance = stack.instance});
        REQUIRE(own.status == STATUS_SUCCESS);
        const auto position = [&] { return own.object->CurrentByteOffset.QuadPart; };
        CHECK_EQ(read(stack.instance, own.object, -1, 3), std::string("012"));
        CHECK_EQ(position(), 3);
        CHECK_EQ(read(stack.instance, own.object, 7, 2), std::string("78"));
        CHECK_EQ(position(), 3);
        CHECK_EQ(read(stack.instance, own.object, -1, 2, FLTFL_IO_OPERATION_DO_NOT_UPDATE_BYTE_OFFSET),
                 std::string("34"));
        CHECK_EQ(position(), 3);
        CHECK_EQ(read(stack.instance, own.object, 0, SECTOR, FLTFL_IO_OPERATION_NON_CACHED), std::string("0123456789"));
        CHECK_EQ(position(), 3);
        char more[] = "ab";
        LARGE_INTEGER at{};
        at.QuadPart = -1; // FILE_WRITE_TO_END_OF_FILE
        CHECK_EQ(FltWriteFile(stack.instance, own.object, &at, 2, more, 0, nullptr, nullptr, nullptr), STATUS_SUCCESS);
        CHECK_EQ(position(), 3);
        at.QuadPart = -2; // FILE_USE_FILE_POINTER_POSITION
        CHECK_EQ(FltWriteFile(stack.instance, own.object, &at, 2, more, 0, nullptr, nullptr, nullptr), STATUS_SUCCESS);
        CHECK_EQ(position(), 5);
        CHECK_EQ(read(stack.instance, own.object, 0, 20), std::string("012ab56789ab"));
        CHECK_EQ(read(stack.instance, own.object, 100, 1), "status " + std::to_string(0xC0000011u)); // end of file
        CHECK_EQ(read(stack.instance, own.object, 0, 5, FLTFL_IO_OPERATION_NON_CACHED),
                 "status " + std::to_string(0xC000000Du)); // not a sector
        const OwnFile other(stack, {.instance = stack.instance, .options = 0});
        CHECK_EQ(read(stack.instance, other.object, -1, 5), "status " + std::to_string(0xC000000Du)); // no position
    }));
}

TEST(reads_and_writes_of_every_form) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own", std::string(SECTOR, 's'));
        static char buffer[SECTOR];
        LARGE_INTEGER at{};
        ULONG moved = 0;
        ULONG key = 7;
        MDL mdl{};
        MmInitializeMdl(&mdl, buffer, SECTOR);
        MmBuildMdlForNonPagedPool(&mdl);
        // With an MDL in place of a buffer, and a key.
        stack.low_pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            CHECK_EQ(data->Iopb->Parameters.Read.Key, 7u);
            CHECK(data->Iopb->Parameters.Read.MdlAddress == &mdl);
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        CHECK_EQ(
            FltReadFileEx(stack.instance, user.object, &at, SECTOR, nullptr, 0, &moved, nullptr, nullptr, &key, &mdl),
            STATUS_SUCCESS);
        CHECK_EQ(moved, SECTOR);
        CHECK_EQ(buffer[SECTOR - 1], 's');
        buffer[0] = 'S';
        CHECK_EQ(
            FltWriteFileEx(stack.instance, user.object, &at, SECTOR, nullptr, 0, &moved, nullptr, nullptr, &key, &mdl),
            STATUS_SUCCESS);
        // Paging I/O, at APC_LEVEL.
        stack.low_pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            CHECK_EQ(data->Iopb->IrpFlags, IRP_PAGING_IO | IRP_NOCACHE | IRP_SYNCHRONOUS_PAGING_IO);
            CHECK(data->Iopb->Parameters.Read.MdlAddress != nullptr);
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        {
            const IrqlScope apc(APC_LEVEL);
            CHECK_EQ(FltReadFile(stack.instance, user.object, &at, SECTOR, buffer,
                                 FLTFL_IO_OPERATION_PAGING | FLTFL_IO_OPERATION_SYNCHRONOUS_PAGING, &moved, nullptr,
                                 nullptr),
                     STATUS_SUCCESS);
        }
        stack.low_pre = nullptr;
        // With a completion routine: the data are the Filter Manager's.
        int ended = 0;
        End end = [&](PFLT_CALLBACK_DATA data) {
            CHECK_EQ(data->IoStatus.Status, STATUS_SUCCESS);
            CHECK_EQ(data->IoStatus.Information, SECTOR);
            CHECK_EQ(data->Iopb->MajorFunction, IRP_MJ_READ);
            CHECK(data->Iopb->TargetFileObject == stack.file);
            ++ended;
        };
        const HANDLE overlapped = CreateFileW(u"D:\\own", GENERIC_READ, context_subject::SHARE, nullptr, OPEN_EXISTING,
                                              FILE_FLAG_OVERLAPPED, nullptr);
        const PFILE_OBJECT object = stack.file;
        const NTSTATUS status = FltReadFile(stack.instance, object, &at, SECTOR, buffer, FLTFL_IO_OPERATION_NON_CACHED,
                                            nullptr, on_end, &end);
        CHECK_EQ(status, STATUS_PENDING);
        CHECK(stack.bench.wait_until([&] { return ended == 1; }));
        CHECK_EQ(FltReadFile(stack.instance, object, &at, SECTOR, buffer, 0, nullptr, on_end, &end),
                 STATUS_SUCCESS); // from the cache: over already
        CHECK_EQ(ended, 2);
        close(overlapped);
        for (const char *api : {"FltReadFile", "FltWriteFile", "FltReadFileEx", "FltWriteFileEx", "FltFlushBuffers"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(FltReadFile(stack.instance, user.object, &at, 1, buffer, 0, &moved, nullptr, nullptr),
                 STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(FltFlushBuffers(stack.instance, user.object), STATUS_INSUFFICIENT_RESOURCES);
    }));
}

TEST(a_read_in_post_create_of_the_same_file) {
    // What a scanner does: the user's own file object, before he has a handle.
    expect_clean(with_stack([](Stack &stack) {
        {
            const UserFile user(stack, u"D:\\own", "virus");
        }
        std::string scanned;
        BOOLEAN directory = TRUE;
        stack.mid.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE && NT_SUCCESS(data->IoStatus.Status)) {
                CHECK_EQ(FltIsDirectory(objects->FileObject, objects->Instance, &directory), STATUS_SUCCESS);
                scanned = read(objects->Instance, objects->FileObject, 0, 5);
                if (scanned == "virus") {
                    FltCancelFileOpen(objects->Instance, objects->FileObject);
                    data->IoStatus.Status = STATUS_ACCESS_DENIED;
                    data->IoStatus.Information = 0;
                }
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const HANDLE user =
            CreateFileW(u"D:\\own", GENERIC_READ, context_subject::SHARE, nullptr, OPEN_EXISTING, 0, nullptr);
        CHECK(user == INVALID_HANDLE_VALUE);
        CHECK_EQ(GetLastError(), static_cast<DWORD>(ERROR_ACCESS_DENIED));
        CHECK_EQ(scanned, std::string("virus"));
        CHECK_EQ(directory, FALSE);
        stack.mid.post = nullptr;
    }));
}

TEST(mistakes_with_own_files) {
    const auto opens = [](const OwnOpen &what) {
        return rule([&](Stack &stack) {
            const UserFile user(stack, u"D:\\own");
            OwnOpen targeted = what;
            targeted.instance = stack.instance;
            const OwnFile own(stack, targeted);
        });
    };
    CHECK_EQ(opens({}), std::string());
    CHECK_EQ(opens({.attributes = OBJ_CASE_INSENSITIVE}), std::string("V24 handle for a stranger"));
    CHECK_EQ(opens({.flags = IO_OPEN_PAGING_FILE}), std::string("UNMODELLED"));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 const IrqlScope apc(APC_LEVEL);
                 const OwnFile own(stack, {.instance = stack.instance});
             }),
             std::string("V5 IRQL too high"));
    CHECK_EQ(rule([](Stack &stack) {
                 const UserFile user(stack, u"D:\\own");
                 executing().top_level_irp = &stack;
                 const OwnFile own(stack, {.instance = stack.instance});
             }),
             std::string("V24 under a TopLevelIrp"));
    CHECK_EQ(rule([](Stack &stack) { // the filter of one, the instance of another
                 const UserFile user(stack, u"D:\\own");
                 stack.mid.filter = stack.low.filter;
                 const OwnFile own(stack, {.instance = stack.instance});
             }),
             std::string("VER-02 parameter"));
    const auto reads = [](const std::function<void(Stack &, UserFile &)> &fn) {
        return rule([&](Stack &stack) {
            UserFile user(stack, u"D:\\own");
            fn(stack, user);
        });
    };
    CHECK_EQ(reads([](Stack &stack, UserFile &user) { read(stack.instance, user.object, 0, 1); }), std::string());
    CHECK_EQ(reads([](Stack &stack, UserFile &user) { // after its cleanup
                 ObfReferenceObject(user.object);
                 user.close_now();
                 read(stack.instance, user.object, 0, 1);
             }),
             std::string("V24 file not open"));
    CHECK_EQ(reads([](Stack &stack, UserFile &) { // before its create
                 stack.mid.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                     read(objects->Instance, objects->FileObject, 0, 1);
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 open(u"D:\\own");
             }),
             std::string("V24 file not open"));
    CHECK_EQ(reads([](Stack &stack, UserFile &user) {
                 const IrqlScope apc(APC_LEVEL);
                 read(stack.instance, user.object, 0, 1);
             }),
             std::string("V5 IRQL too high"));
    CHECK_EQ(reads([](Stack &stack, UserFile &user) {
                 read(stack.instance, user.object, 0, 1, FLTFL_IO_OPERATION_SYNCHRONOUS_PAGING);
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(reads([](Stack &stack, UserFile &user) {
                 static_cast<void>(
                     FltReadFile(stack.instance, user.object, nullptr, 1, nullptr, 0, nullptr, nullptr, nullptr));
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(reads([](Stack &stack, UserFile &) { read(stack.instance, &stack.bench.file->native, 0, 1); }),
             std::string("VER-02 parameter")); // another volume
    CHECK_EQ(reads([](Stack &stack, UserFile &user) { // its data are the Filter Manager's
                 static End end = [](PFLT_CALLBACK_DATA data) { FltFreeCallbackData(data); };
                 char byte = 0;
                 LARGE_INTEGER at{};
                 static_cast<void>(FltReadFile(stack.instance, user.object, &at, 1, &byte, 0, nullptr, on_end, &end));
             }),
             std::string("V23 callback data of its own"));
}

} // namespace MINIPEND_TEST_FILE
