// SPDX-License-Identifier: MIT
//
// This module provides: tests of operations that a filter begins with callback data of its own: who sees them, how they end, what unload waits for,
// and what a driver does wrongly with the data.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

constexpr ULONG PAGE = 4096;

PFLT_CALLBACK_DATA allocate(PFLT_INSTANCE instance, PFILE_OBJECT file) {
    PFLT_CALLBACK_DATA data = nullptr;
    CHECK_EQ(FltAllocateCallbackData(instance, file, &data), STATUS_SUCCESS);
    return data;
}

void ask_standard(PFLT_CALLBACK_DATA data, FILE_STANDARD_INFORMATION *standard) {
    data->Iopb->MajorFunction = IRP_MJ_QUERY_INFORMATION;
    data->Iopb->Parameters.QueryFileInformation.FileInformationClass = FileStandardInformation;
    data->Iopb->Parameters.QueryFileInformation.Length = sizeof *standard;
    data->Iopb->Parameters.QueryFileInformation.InfoBuffer = standard;
}

void ask_read(PFLT_CALLBACK_DATA data, void *buffer, ULONG bytes, ULONG irp_flags) {
    data->Iopb->MajorFunction = IRP_MJ_READ;
    data->Iopb->IrpFlags = IRP_READ_OPERATION | irp_flags;
    data->Iopb->Parameters.Read.Length = bytes;
    data->Iopb->Parameters.Read.ReadBuffer = buffer;
}

using End = std::function<void(PFLT_CALLBACK_DATA)>;
void FLTAPI on_end(PFLT_CALLBACK_DATA data, PFLT_CONTEXT context) {
    (*static_cast<End *>(context))(data);
}

} // namespace

TEST(only_what_is_below_sees_it) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own", "seven b");
        PFLT_CALLBACK_DATA data = allocate(stack.instance, user.object);
        CHECK(FLT_IS_IRP_OPERATION(data));
        CHECK(data->Iopb->TargetInstance == stack.instance);
        CHECK(data->Iopb->TargetFileObject == user.object);
        stack.low_pre = [](PFLT_CALLBACK_DATA seen, PCFLT_RELATED_OBJECTS, PVOID *) {
            CHECK_EQ(seen->RequestorMode, KernelMode);
            CHECK(seen->Thread == reinterpret_cast<PETHREAD>(KeGetCurrentThread()));
            CHECK(FltIsOperationSynchronous(seen) == TRUE);
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        for (const bool again : {false, true}) {
            FILE_STANDARD_INFORMATION standard{};
            ask_standard(data, &standard);
            FltPerformSynchronousIo(data);
            CHECK_EQ(data->IoStatus.Status, STATUS_SUCCESS);
            CHECK_EQ(data->IoStatus.Information, sizeof standard);
            CHECK_EQ(standard.EndOfFile.QuadPart, 7);
            CHECK_EQ(stack.seen(), std::string("low:QUERY_INFORMATION*"));
            if (!again) {
                FltReuseCallbackData(data);
                CHECK_EQ(data->Iopb->MajorFunction, 0);
                CHECK_EQ(data->IoStatus.Information, 0u);
                CHECK(data->Iopb->TargetInstance == stack.instance);
                CHECK(data->Iopb->TargetFileObject == user.object);
            }
        }
        FltFreeCallbackData(data);
        stack.low_pre = nullptr;
    }));
}

TEST(completed_by_a_filter_below) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        stack.low_pre = [](PFLT_CALLBACK_DATA seen, PCFLT_RELATED_OBJECTS, PVOID *) {
            seen->IoStatus.Status = STATUS_ACCESS_DENIED;
            return FLT_PREOP_COMPLETE;
        };
        PFLT_CALLBACK_DATA data = allocate(stack.instance, user.object);
        FILE_STANDARD_INFORMATION standard{};
        ask_standard(data, &standard);
        FltPerformSynchronousIo(data);
        CHECK_EQ(data->IoStatus.Status, STATUS_ACCESS_DENIED);
        FltFreeCallbackData(data);
        stack.low_pre = nullptr;
    }));
}

TEST(asynchronous_ones_end_in_their_routine) {
    expect_clean(with_stack([](Stack &stack) {
        {
            const UserFile user(stack, u"D:\\own", std::string(PAGE, 'x'));
        }
        const HANDLE user = CreateFileW(u"D:\\own", GENERIC_READ, context_subject::SHARE, nullptr, OPEN_EXISTING,
                                        FILE_FLAG_OVERLAPPED, nullptr);
        const PFILE_OBJECT object = stack.file;
        static char buffer[PAGE];
        for (const bool cached : {false, true}) {
            PFLT_CALLBACK_DATA data = allocate(stack.instance, object);
            ask_read(data, buffer, PAGE, cached ? 0 : IRP_NOCACHE);
            int ended = 0;
            KIRQL irql = HIGH_LEVEL;
            End end = [&](PFLT_CALLBACK_DATA given) {
                CHECK(given == data);
                CHECK_EQ(given->IoStatus.Status, STATUS_SUCCESS);
                CHECK_EQ(given->IoStatus.Information, PAGE);
                irql = KeGetCurrentIrql();
                FltFreeCallbackData(given);
                ++ended;
            };
            const NTSTATUS status = FltPerformAsynchronousIo(data, on_end, &end);
            if (cached) { // it is in the cache: over before the call returns
                CHECK_EQ(status, STATUS_SUCCESS);
                CHECK_EQ(ended, 1);
                CHECK_EQ(irql, PASSIVE_LEVEL);
            } else {
                CHECK_EQ(status, STATUS_PENDING);
                CHECK(stack.bench.wait_until([&] { return ended == 1; }));
                CHECK_EQ(irql, DISPATCH_LEVEL); // as the storage completes
            }
            CHECK_EQ(buffer[0], 'x');
            CHECK(contains(stack.seen(), "low:READ*"));
        }
        close(user);
    }));
}

TEST(an_asynchronous_cached_read_does_not_wait_for_the_disk) {
    expect_clean(with_stack([](Stack &stack) {
        alignas(PAGE) static char buffer[PAGE];
        memset(buffer, 'd', sizeof buffer);
        const HANDLE writer =
            CreateFileW(u"D:\\own", GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_FLAG_NO_BUFFERING, nullptr);
        DWORD moved = 0;
        CHECK(WriteFile(writer, buffer, PAGE, &moved, nullptr));
        close(writer); // so that nothing of it is in the cache
        const HANDLE user = CreateFileW(u"D:\\own", GENERIC_READ, context_subject::SHARE, nullptr, OPEN_EXISTING,
                                        FILE_FLAG_OVERLAPPED, nullptr);
        memset(buffer, 0, sizeof buffer);
        PFLT_CALLBACK_DATA data = allocate(stack.instance, stack.file);
        ask_read(data, buffer, PAGE, 0);
        bool ended = false;
        bool in_system = false;
        End end = [&](PFLT_CALLBACK_DATA given) {
            CHECK_EQ(given->IoStatus.Information, PAGE);
            in_system = executing().process->system;
            FltFreeCallbackData(given);
            ended = true;
        };
        CHECK_EQ(FltPerformAsynchronousIo(data, on_end, &end), STATUS_PENDING);
        CHECK(stack.bench.wait_until([&] { return ended; }));
        CHECK(in_system); // a worker
        CHECK_EQ(buffer[0], 'd');
        close(user);
    }));
}

TEST(the_routine_is_called_when_the_call_fails) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        NTSTATUS told = STATUS_SUCCESS;
        End end = [&](PFLT_CALLBACK_DATA data) {
            told = data->IoStatus.Status;
            FltFreeCallbackData(data);
        };
        PFLT_CALLBACK_DATA data = allocate(stack.instance, nullptr);
        data->Iopb->MajorFunction = IRP_MJ_CREATE;
        CHECK_EQ(FltPerformAsynchronousIo(data, on_end, &end), STATUS_FLT_INVALID_ASYNCHRONOUS_REQUEST);
        CHECK_EQ(told, STATUS_FLT_INVALID_ASYNCHRONOUS_REQUEST);
        stack.bench.world.faults->set("FltPerformAsynchronousIo", 0, 1);
        data = allocate(stack.instance, user.object);
        char byte = 0;
        ask_read(data, &byte, 1, 0);
        CHECK_EQ(FltPerformAsynchronousIo(data, on_end, &end), STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(told, STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(stack.seen(), std::string());
        stack.bench.world.faults->set("FltPerformSynchronousIo", 0, 1);
        data = allocate(stack.instance, user.object);
        ask_read(data, &byte, 1, 0);
        FltPerformSynchronousIo(data);
        CHECK_EQ(data->IoStatus.Status, STATUS_INSUFFICIENT_RESOURCES);
        FltFreeCallbackData(data);
        for (const char *api : {"FltAllocateCallbackData", "FltAllocateCallbackDataEx"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(FltAllocateCallbackData(stack.instance, nullptr, &data), STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(FltAllocateCallbackDataEx(stack.instance, nullptr, FLT_ALLOCATE_CALLBACK_DATA_PREALLOCATE_ALL_MEMORY,
                                           &data),
                 STATUS_INSUFFICIENT_RESOURCES);
        CHECK(data == nullptr);
    }));
}

TEST(unload_waits_for_its_end) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const std::string report = run(
            [](Bench &bench) {
                static auto &left = *new std::vector<Driver *>;
                Driver &driver = *left.emplace_back(new Driver(u"one"));
                REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
                REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
                PFLT_INSTANCE instance = nullptr;
                driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                    instance = objects->Instance;
                    return FLT_PREOP_SUCCESS_NO_CALLBACK;
                };
                bench.send(bench.operation(IRP_MJ_READ));
                bench.fs->hold = true;
                PFLT_CALLBACK_DATA data = allocate(instance, &bench.file->native);
                data->Iopb->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
                bool ended = false;
                End end = [&](PFLT_CALLBACK_DATA given) {
                    FltFreeCallbackData(given);
                    bench.wait_until([] { return false; }, 20);
                    ended = true;
                };
                CHECK_EQ(FltPerformAsynchronousIo(data, on_end, &end), STATUS_PENDING);
                bench.start("storage", [&] {
                    bench.wait_until([] { return false; }, 50);
                    bench.fs->complete_next();
                });
                CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
                CHECK(ended);
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(!contains(report, "were not freed"));
    }
}

TEST(cancelling_the_requestor_does_not_reach_it) {
    // It is in no thread's list; the world's end ends it.
    const std::string report = run([](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver &driver = *left.emplace_back(new Driver(u"one"));
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
        PFLT_INSTANCE instance = nullptr;
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            instance = objects->Instance;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ));
        bench.fs->hold = true;
        PFLT_CALLBACK_DATA data = allocate(instance, &bench.file->native);
        data->Iopb->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
        bool ended = false;
        End end = [&](PFLT_CALLBACK_DATA given) {
            CHECK_EQ(given->IoStatus.Status, STATUS_SUCCESS);
            FltFreeCallbackData(given);
            ended = true;
        };
        CHECK_EQ(FltPerformAsynchronousIo(data, on_end, &end), STATUS_PENDING);
        {
            KernelCall call("NtCancelIoFile");
            CHECK_EQ(bench.world.io->cancel(*bench.file, nullptr), 0u);
            CHECK_EQ(bench.world.io->cancel_thread(executing()), 0u);
            CHECK_EQ(bench.world.io->outstanding_of(*executing().process), 0u);
        }
        bench.fs->complete_next();
        CHECK(ended);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(mistakes_with_callback_data) {
    const std::string v23 = "V23 callback data of its own";
    const auto with = [](const std::function<void(Stack &, PFLT_CALLBACK_DATA)> &fn) {
        return rule([&](Stack &stack) {
            const UserFile user(stack, u"D:\\own");
            static FILE_STANDARD_INFORMATION standard;
            PFLT_CALLBACK_DATA data = allocate(stack.instance, user.object);
            ask_standard(data, &standard);
            fn(stack, data);
        });
    };
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) { FltFreeCallbackData(data); }), std::string());
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 FltFreeCallbackData(data);
                 FltFreeCallbackData(data);
             }),
             v23);
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 FltFreeCallbackData(data);
                 FltPerformSynchronousIo(data);
             }),
             v23);
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) { // again without FltReuseCallbackData
                 FltPerformSynchronousIo(data);
                 FltPerformSynchronousIo(data);
             }),
             v23);
    for (const bool frees : {true, false}) { // in progress
        CHECK_EQ(with([&](Stack &stack, PFLT_CALLBACK_DATA data) {
                     stack.low_pre = [=](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
                         frees ? FltFreeCallbackData(data) : FltReuseCallbackData(data);
                         return FLT_PREOP_SUCCESS_NO_CALLBACK;
                     };
                     FltPerformSynchronousIo(data);
                 }),
                 v23);
    }
    CHECK_EQ(with([&](Stack &stack, PFLT_CALLBACK_DATA data) { // an operation that was sent to it
                 stack.low_pre = [](PFLT_CALLBACK_DATA seen, PCFLT_RELATED_OBJECTS, PVOID *) {
                     FltFreeCallbackData(seen);
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 FltPerformSynchronousIo(data);
             }),
             v23);
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 const IrqlScope dispatch(DISPATCH_LEVEL);
                 FltPerformSynchronousIo(data);
             }),
             std::string("V5 IRQL too high"));
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 const IrqlScope apc(APC_LEVEL);
                 End end = [](PFLT_CALLBACK_DATA) {};
                 static_cast<void>(FltPerformAsynchronousIo(data, on_end, &end));
             }),
             std::string("V5 IRQL too high"));
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 static_cast<void>(FltPerformAsynchronousIo(data, nullptr, nullptr));
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) { // no IRP
                 data->Iopb->MajorFunction = static_cast<UCHAR>(IRP_MJ_ACQUIRE_FOR_CC_FLUSH);
                 FltPerformSynchronousIo(data);
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 data->Iopb->TargetFileObject = nullptr;
                 FltPerformSynchronousIo(data);
             }),
             std::string("VER-02 bad object"));
    CHECK_EQ(with([](Stack &stack, PFLT_CALLBACK_DATA data) { // a file of another volume
                 data->Iopb->TargetFileObject = &stack.bench.file->native;
                 FltPerformSynchronousIo(data);
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(with([](Stack &, PFLT_CALLBACK_DATA data) {
                 data->Iopb->MajorFunction = IRP_MJ_CREATE;
                 FltPerformSynchronousIo(data);
             }),
             std::string("UNMODELLED"));
    const std::string leaked = with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        allocate(stack.instance, user.object);
        allocate(stack.instance, nullptr);
    });
    CHECK(contains(leaked, "2 callback data were not freed (V23)"));
}

} // namespace MINIPEND_TEST_FILE
