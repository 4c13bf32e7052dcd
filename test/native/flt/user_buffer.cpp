// SPDX-License-Identifier: MIT
//
// This module provides: tests of the buffers of operations: where they stand [BUF-03], locking them [BUF-02], MDLs of paging I/O [FORM-03], and buffers that
// a filter puts in their place [POST-37].

#include "flt/own_stack.hpp"

#include <cstring>

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

constexpr ULONG SECTOR = 512;
constexpr ULONG TAG = 0x74657374;
constexpr ULONG PRIORITY = NormalPagePriority | MdlMappingNoExecute;

char *allocate() {
    return static_cast<char *>(ExAllocatePoolWithTag(NonPagedPoolNx, SECTOR, TAG));
}

PMDL describe(void *memory, ULONG bytes = SECTOR) {
    const PMDL mdl = IoAllocateMdl(memory, bytes, FALSE, FALSE, nullptr);
    MmBuildMdlForNonPagedPool(mdl);
    return mdl;
}

/// The buffer of a read or write, with its MDL.
void swap_in(PFLT_CALLBACK_DATA data, char *memory, PMDL mdl) {
    PMDL *mdl_place = nullptr;
    PVOID *buffer_place = nullptr;
    CHECK_EQ(FltDecodeParameters(data, &mdl_place, &buffer_place, nullptr, nullptr), STATUS_SUCCESS);
    *mdl_place = mdl;
    *buffer_place = memory;
    FltSetCallbackDataDirty(data);
}

/// A sector of "f", open without buffering; closed when it goes.
class DirectFile {
  public:
    explicit DirectFile(Stack &stack) {
        {
            const UserFile filled(stack, u"D:\\file", std::string(SECTOR, 'f'));
        }
        handle_ = CreateFileW(u"D:\\file", GENERIC_READ, context_subject::SHARE, nullptr, OPEN_EXISTING,
                              FILE_FLAG_NO_BUFFERING, nullptr);
        CHECK(handle_ != INVALID_HANDLE_VALUE);
    }
    ~DirectFile() { close(handle_); }
    DirectFile(const DirectFile &) = delete;
    DirectFile &operator=(const DirectFile &) = delete;
    /// The first four bytes of a non-cached read.
    std::string read() const {
        alignas(SECTOR) static char buffer[SECTOR];
        std::memset(buffer, 0, sizeof buffer);
        OVERLAPPED at{};
        DWORD moved = 0;
        CHECK(ReadFile(handle_, buffer, SECTOR, &moved, &at));
        CHECK_EQ(moved, SECTOR);
        return std::string(buffer, 4);
    }

  private:
    HANDLE handle_ = INVALID_HANDLE_VALUE;
};

} // namespace

TEST(parameters_are_decoded) {
    struct Row {
        UCHAR major;
        UCHAR minor;
        bool mdl, length;
        LOCK_OPERATION access;
    };
    const Row rows[] = {
        {IRP_MJ_READ, 0, true, true, IoWriteAccess},
        {IRP_MJ_WRITE, 0, true, true, IoReadAccess},
        {IRP_MJ_QUERY_INFORMATION, 0, false, true, IoWriteAccess},
        {IRP_MJ_SET_INFORMATION, 0, false, true, IoReadAccess},
        {IRP_MJ_QUERY_EA, 0, true, true, IoWriteAccess},
        {IRP_MJ_SET_EA, 0, true, true, IoReadAccess},
        {IRP_MJ_QUERY_VOLUME_INFORMATION, 0, false, true, IoWriteAccess},
        {IRP_MJ_SET_VOLUME_INFORMATION, 0, false, true, IoReadAccess},
        {IRP_MJ_DIRECTORY_CONTROL, IRP_MN_QUERY_DIRECTORY, true, true, IoWriteAccess},
        {IRP_MJ_DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY, true, true, IoWriteAccess},
        {IRP_MJ_QUERY_SECURITY, 0, true, true, IoWriteAccess},
        {IRP_MJ_QUERY_QUOTA, 0, true, true, IoWriteAccess},
        {IRP_MJ_SET_QUOTA, 0, true, true, IoReadAccess},
    };
    expect_clean(with_stack([&](Stack &stack) {
        const UserFile user(stack, u"D:\\file");
        PFLT_CALLBACK_DATA data = nullptr;
        CHECK_EQ(FltAllocateCallbackData(stack.instance, user.object, &data), STATUS_SUCCESS);
        const auto decode = [&](UCHAR major, UCHAR minor, ULONG code = 0) {
            data->Iopb->MajorFunction = major;
            data->Iopb->MinorFunction = minor;
            data->Iopb->Parameters = {};
            data->Iopb->Parameters.DeviceIoControl.Common.IoControlCode = code;
        };
        PMDL *mdl = nullptr;
        PVOID *buffer = nullptr;
        PULONG length = nullptr;
        LOCK_OPERATION access{};
        for (const Row &row : rows) {
            decode(row.major, row.minor);
            CHECK_EQ(FltDecodeParameters(data, &mdl, &buffer, &length, &access), STATUS_SUCCESS);
            CHECK_EQ(mdl != nullptr, row.mdl);
            CHECK_EQ(length != nullptr, row.length);
            CHECK(buffer != nullptr);
            CHECK_EQ(access, row.access);
        }
        decode(IRP_MJ_READ, 0);
        CHECK_EQ(FltDecodeParameters(data, &mdl, &buffer, &length, &access), STATUS_SUCCESS);
        CHECK(mdl == &data->Iopb->Parameters.Read.MdlAddress && buffer == &data->Iopb->Parameters.Read.ReadBuffer &&
              length == &data->Iopb->Parameters.Read.Length);
        const auto &direct = data->Iopb->Parameters.DeviceIoControl.Direct;
        for (const auto &[code, has_mdl, wanted] :
             {std::tuple{METHOD_BUFFERED, false, IoWriteAccess}, std::tuple{METHOD_IN_DIRECT, true, IoReadAccess},
              std::tuple{METHOD_OUT_DIRECT, true, IoWriteAccess}, std::tuple{METHOD_NEITHER, true, IoWriteAccess}}) {
            for (const UCHAR major : {IRP_MJ_DEVICE_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL}) {
                decode(major, 0, static_cast<ULONG>(code));
                CHECK_EQ(FltDecodeParameters(data, &mdl, &buffer, &length, &access), STATUS_SUCCESS);
                CHECK(mdl == (has_mdl ? &direct.OutputMdlAddress : nullptr));
                CHECK(length == &direct.OutputBufferLength);
                CHECK_EQ(access, wanted);
            }
        }
        for (const UCHAR major :
             {IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_FLUSH_BUFFERS, IRP_MJ_LOCK_CONTROL, IRP_MJ_SET_SECURITY}) {
            decode(major, 0);
            CHECK_EQ(FltDecodeParameters(data, &mdl, &buffer, &length, &access), STATUS_INVALID_PARAMETER);
        }
        decode(IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_MOUNT_VOLUME);
        CHECK_EQ(FltDecodeParameters(data, nullptr, nullptr, nullptr, nullptr), STATUS_INVALID_PARAMETER);
        FltFreeCallbackData(data);
    }));
}

TEST(a_user_buffer_is_locked_for_all_that_see_it) {
    expect_clean(with_stack([](Stack &stack) {
        const DirectFile user(stack);
        PMDL of_low = nullptr;
        bool seen_by_mid = false;
        stack.low.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            auto &read = data->Iopb->Parameters.Read;
            if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                CHECK(read.MdlAddress == nullptr);
                stack.bench.world.faults->set("FltLockUserBuffer", 0, 1);
                CHECK_EQ(FltLockUserBuffer(data), STATUS_INSUFFICIENT_RESOURCES);
                CHECK_EQ(FltLockUserBuffer(data), STATUS_SUCCESS);
                of_low = read.MdlAddress;
                CHECK_EQ(FltLockUserBuffer(data), STATUS_SUCCESS); // it is already
                CHECK(of_low && read.MdlAddress == of_low);
                CHECK_EQ(of_low->MdlFlags, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
                CHECK(MmGetSystemAddressForMdlSafe(of_low, PRIORITY) == read.ReadBuffer);
                static_cast<char *>(read.ReadBuffer)[0] = 'F';
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        stack.mid.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            seen_by_mid |= data->Iopb->MajorFunction == IRP_MJ_READ && data->Iopb->Parameters.Read.MdlAddress == of_low;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        CHECK_EQ(user.read(), std::string("Ffff"));
        CHECK(seen_by_mid);
        stack.low.post = nullptr;
        stack.mid.post = nullptr;
    }));
}

TEST(a_user_buffer_locked_in_the_pre_operation) {
    expect_clean(with_stack([](Stack &stack) {
        const DirectFile user(stack);
        PMDL of_mid = nullptr;
        stack.mid.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                CHECK_EQ(FltLockUserBuffer(data), STATUS_SUCCESS);
                of_mid = data->Iopb->Parameters.Read.MdlAddress;
                CHECK(FltIsCallbackDataDirty(data) != FALSE);
            } else if (data->Iopb->MajorFunction == IRP_MJ_CLEANUP) {
                CHECK_EQ(FltLockUserBuffer(data), STATUS_INVALID_PARAMETER);
            }
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        stack.low_pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                CHECK(of_mid && data->Iopb->Parameters.Read.MdlAddress == of_mid);
            }
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        CHECK_EQ(user.read(), std::string("ffff"));
        CHECK(of_mid != nullptr);
        stack.mid.pre = nullptr;
    }));
}

TEST(paging_io_has_an_mdl) {
    expect_clean(with_stack([](Stack &stack) {
        int paging = 0;
        stack.low_pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            const bool moves_data =
                data->Iopb->MajorFunction == IRP_MJ_READ || data->Iopb->MajorFunction == IRP_MJ_WRITE;
            if (moves_data && (data->Iopb->IrpFlags & IRP_PAGING_IO) != 0) {
                PMDL *mdl = nullptr;
                PULONG length = nullptr;
                CHECK_EQ(FltDecodeParameters(data, &mdl, nullptr, &length, nullptr), STATUS_SUCCESS);
                CHECK(*mdl && (*mdl)->ByteCount == *length && ((*mdl)->MdlFlags & MDL_PAGES_LOCKED) != 0);
                ++paging;
            } else if (moves_data) {
                CHECK(data->Iopb->Parameters.Read.MdlAddress == nullptr);
            }
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        {
            const UserFile user(stack, u"D:\\file", std::string(SECTOR, 'f'));
            CHECK(FlushFileBuffers(user.handle()));
        }
        CHECK(paging > 0);
    }));
}

TEST(swapped_buffers_are_the_file_systems) {
    for (const bool retained : {false, true}) {
        expect_clean(with_stack([&](Stack &stack) {
            const DirectFile user(stack);
            char *memory = nullptr;
            PMDL mdl = nullptr;
            PVOID original = nullptr;
            stack.mid.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                    original = data->Iopb->Parameters.Read.ReadBuffer;
                    memory = allocate();
                    mdl = describe(memory);
                    swap_in(data, memory, mdl);
                }
                return FLT_PREOP_SUCCESS_WITH_CALLBACK;
            };
            stack.mid.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                    CHECK(data->Iopb->Parameters.Read.ReadBuffer == original);
                    CHECK(data->Iopb->Parameters.Read.MdlAddress == nullptr);
                    CHECK(FltGetSwappedBufferMdlAddress(data) == mdl);
                    std::memcpy(original, memory, SECTOR);
                    static_cast<char *>(original)[1] = 'm';
                    if (retained) {
                        FltRetainSwappedBufferMdlAddress(data);
                        CHECK(FltGetSwappedBufferMdlAddress(data) == nullptr);
                        IoFreeMdl(mdl);
                    }
                    ExFreePoolWithTag(memory, TAG);
                } else {
                    CHECK(FltGetSwappedBufferMdlAddress(data) == nullptr);
                }
                return FLT_POSTOP_FINISHED_PROCESSING;
            };
            CHECK_EQ(user.read(), std::string("fmff"));
            stack.mid.pre = nullptr;
            stack.mid.post = nullptr;
        }));
    }
}

TEST(what_stands_behind_an_mdl_counts) {
    expect_clean(with_stack([](Stack &stack) {
        const DirectFile user(stack);
        char *const memory = allocate();
        char *const other = allocate();
        std::memset(memory, 'm', SECTOR);
        stack.mid.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                swap_in(data, other, describe(memory));
                return FLT_PREOP_SUCCESS_NO_CALLBACK; // it is freed all the same
            }
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        CHECK_EQ(user.read(), std::string(4, '\0'));
        CHECK_EQ(memory[0], 'f');
        stack.mid.pre = nullptr;
        ExFreePoolWithTag(memory, TAG);
        ExFreePoolWithTag(other, TAG);
    }));
}

namespace {

/// The report when a filter swaps a read's buffer so, and looks at it so afterwards. A cached read: the world stops in the reader's own thread.
std::string report_of_swap(const std::function<void(PFLT_CALLBACK_DATA)> &before,
                           const std::function<void(PFLT_CALLBACK_DATA)> &after = nullptr) {
    return with_stack([&](Stack &stack) {
        const UserFile user(stack, u"D:\\file", std::string(SECTOR, 'f'));
        const auto is_meant = [](PFLT_CALLBACK_DATA data) {
            return data->Iopb->MajorFunction == IRP_MJ_READ && (data->Iopb->IrpFlags & IRP_PAGING_IO) == 0;
        };
        stack.mid.pre = [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (is_meant(data) && FLT_IS_FASTIO_OPERATION(data)) {
                return FLT_PREOP_DISALLOW_FASTIO;
            }
            if (is_meant(data)) {
                before(data);
            }
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        stack.mid.post = [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (after && is_meant(data)) {
                after(data);
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        static char buffer[SECTOR];
        OVERLAPPED at{};
        ReadFile(user.handle(), buffer, SECTOR, nullptr, &at);
    });
}

} // namespace

TEST(mistakes_with_swapped_buffers) {
    const auto swap = [](PFLT_CALLBACK_DATA data) {
        char *const memory = allocate();
        swap_in(data, memory, describe(memory));
    };
    const std::string freed =
        report_of_swap(swap, [](PFLT_CALLBACK_DATA data) { IoFreeMdl(FltGetSwappedBufferMdlAddress(data)); });
    CHECK_EQ(rule_of(freed), std::string("V26 MDL"));
    CHECK(contains(freed, "the driver has freed it: call FltRetainSwappedBufferMdlAddress, or leave it"));
    CHECK(contains(report_of_swap([](PFLT_CALLBACK_DATA data) {
                       char *const memory = allocate();
                       swap_in(data, memory, IoAllocateMdl(memory, SECTOR, FALSE, FALSE, nullptr));
                   }),
                   "its pages are not locked: call MmBuildMdlForNonPagedPool or MmProbeAndLockPages"));
    CHECK(contains(report_of_swap([](PFLT_CALLBACK_DATA data) {
                       char *const memory = allocate();
                       const PMDL mdl = describe(memory);
                       swap_in(data, memory, mdl);
                       IoFreeMdl(mdl);
                   }),
                   "it was freed, and the operation still has it"));
    CHECK(contains(report_of_swap([](PFLT_CALLBACK_DATA data) {
                       char *const memory = allocate();
                       swap_in(data, memory, describe(memory, 100));
                   }),
                   "the operation is about 512 bytes"));
    CHECK(contains(report_of_swap([](PFLT_CALLBACK_DATA data) { FltGetSwappedBufferMdlAddress(data); }),
                   "POST-37 swapped buffers"));
    CHECK(contains(report_of_swap([](PFLT_CALLBACK_DATA data) {
                       char *const memory = allocate();
                       const PMDL mdl = describe(memory);
                       mdl->Next = mdl;
                       swap_in(data, memory, mdl);
                   }),
                   "UNMODELLED"));
}

/// What is below uses the driver's memory: its post-operation comes when that has ended, and the teardown waits for it.
TEST(swapped_buffers_are_not_drained) {
    for (const bool swaps : {false, true}) {
        const std::string report = run([&](Bench &bench) {
            Driver driver(u"one");
            REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
            int drained = 0;
            int completed = 0;
            char *memory = nullptr;
            driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                memory = allocate();
                if (swaps) {
                    swap_in(data, memory, describe(memory));
                }
                return FLT_PREOP_SUCCESS_WITH_CALLBACK;
            };
            driver.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS flags) {
                ++((flags & FLTFL_POST_OPERATION_DRAINING) != 0 ? drained : completed);
                ExFreePoolWithTag(memory, TAG);
                return FLT_POSTOP_FINISHED_PROCESSING;
            };
            bench.fs->hold = true;
            const auto operation = bench.operation(IRP_MJ_READ);
            CHECK_EQ(bench.send(operation), STATUS_PENDING);
            bool detached = false;
            bench.start("detach", [&] {
                CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
                detached = true;
            });
            CHECK_EQ(bench.wait_until([&] { return detached; }, 500), !swaps);
            CHECK_EQ(drained, swaps ? 0 : 1);
            bench.fs->complete_next();
            CHECK(bench.wait_until([&] { return detached; }));
            CHECK_EQ(completed, swaps ? 1 : 0);
            CHECK_EQ(drained, swaps ? 0 : 1);
            CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
        });
        expect_clean(report);
    }
}

} // namespace MINIPEND_TEST_FILE
