// SPDX-License-Identifier: MIT
//
// This module provides: tests of FltRequestOperationStatusCallback: when its routine is called, with what, and when it is not.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

struct Told {
    std::vector<NTSTATUS> statuses;
    std::string order;
    ULONG length = 0; ///< of the read that the snapshot describes
    PFLT_IO_PARAMETER_BLOCK snapshot = nullptr;
    PFLT_INSTANCE instance = nullptr;
};

struct Asker {
    Told *told;
    char name;
};

void FLTAPI tell(PCFLT_RELATED_OBJECTS objects, PFLT_IO_PARAMETER_BLOCK snapshot, NTSTATUS status, PVOID context) {
    const Asker &asker = *static_cast<Asker *>(context);
    asker.told->statuses.push_back(status);
    asker.told->order += asker.name;
    asker.told->length = snapshot->MajorFunction == IRP_MJ_READ ? snapshot->Parameters.Read.Length : 0;
    asker.told->snapshot = snapshot;
    asker.told->instance = objects->Instance;
}

Pre asks(Asker &asker, NTSTATUS *result) {
    return [&asker, result](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
        *result = FltRequestOperationStatusCallback(data, tell, &asker);
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    };
}

/// Two filters, the upper one asks.
std::string with(const std::function<void(Bench &, Driver &, Driver &)> &fn) {
    return run([&](Bench &bench) {
        static auto &left = *new std::vector<Driver *>; // of worlds that stop
        Driver *upper = left.emplace_back(new Driver(u"upper", u"200000"));
        Driver *lower = left.emplace_back(new Driver(u"lower", u"100000"));
        for (Driver *driver : {upper, lower}) {
            REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        }
        fn(bench, *upper, *lower);
        for (Driver *driver : {upper, lower}) {
            if (driver->filter) {
                CHECK_EQ(bench.unload(*driver), STATUS_SUCCESS);
            }
        }
    });
}

} // namespace

TEST(a_filter_is_told_what_the_call_below_returned) {
    context_subject::expect_clean(with([](Bench &bench, Driver &upper, Driver &lower) {
        Told told;
        Asker first{&told, 'u'};
        Asker second{&told, 'l'};
        NTSTATUS asked[2] = {STATUS_UNSUCCESSFUL, STATUS_UNSUCCESSFUL};
        upper.pre = asks(first, &asked[0]);
        lower.pre = asks(second, &asked[1]);
        bench.fs->status = STATUS_END_OF_FILE;
        const auto read = bench.operation(IRP_MJ_READ);
        read->parameters.Read.Length = 77;
        bench.send_and_wait(read);
        CHECK_EQ(asked[0], STATUS_SUCCESS);
        CHECK_EQ(asked[1], STATUS_SUCCESS);
        REQUIRE(told.statuses.size() == 2);
        CHECK_EQ(told.statuses[0], STATUS_END_OF_FILE);
        CHECK_EQ(told.order, std::string("lu"));
        CHECK_EQ(told.length, 77u);
        CHECK(told.instance != nullptr);
        // What has not ended below by then is pending, and is told once.
        told = {};
        bench.fs->status = STATUS_SUCCESS;
        bench.fs->hold = true;
        const auto held = bench.operation(IRP_MJ_WRITE);
        bench.send(held);
        REQUIRE(told.statuses.size() == 2);
        CHECK_EQ(told.statuses[1], STATUS_PENDING);
        bench.fs->hold = false;
        bench.fs->complete_next();
        CHECK_EQ(told.statuses.size(), 2u);
    }));
}

TEST(a_filter_is_told_nothing_where_nobody_is_called) {
    context_subject::expect_clean(with([](Bench &bench, Driver &upper, Driver &lower) {
        Told told;
        Asker asker{&told, 'u'};
        NTSTATUS asked = STATUS_UNSUCCESSFUL;
        upper.pre = asks(asker, &asked);
        lower.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            data->IoStatus.Status = STATUS_ACCESS_DENIED;
            return FLT_PREOP_COMPLETE;
        };
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_ACCESS_DENIED);
        CHECK_EQ(asked, STATUS_SUCCESS);
        CHECK(told.statuses.empty());
        lower.pre = nullptr;
        // It completes the operation itself.
        upper.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            CHECK_EQ(FltRequestOperationStatusCallback(data, tell, &asker), STATUS_SUCCESS);
            data->IoStatus.Status = STATUS_SUCCESS;
            return FLT_PREOP_COMPLETE;
        };
        bench.send_and_wait(bench.operation(IRP_MJ_READ));
        CHECK(told.statuses.empty());
    }));
}

TEST(where_a_status_cannot_be_asked_for) {
    context_subject::expect_clean(with([](Bench &bench, Driver &upper, Driver &lower) {
        Told told;
        Asker asker{&told, 'u'};
        NTSTATUS asked = STATUS_SUCCESS;
        upper.pre = asks(asker, &asked);
        bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo));
        CHECK_EQ(asked, STATUS_INVALID_PARAMETER);
        asked = STATUS_SUCCESS;
        bench.send_and_wait(bench.operation(IRP_MJ_CLOSE));
        CHECK_EQ(asked, STATUS_INVALID_PARAMETER);
        asked = STATUS_SUCCESS;
        upper.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SUCCESS_WITH_CALLBACK; };
        upper.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            asked = FltRequestOperationStatusCallback(data, tell, &asker);
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        bench.send_and_wait(bench.operation(IRP_MJ_READ));
        CHECK_EQ(asked, STATUS_INVALID_PARAMETER);
        upper.post = nullptr;
        bench.world.faults->set("FltRequestOperationStatusCallback", 0, 1);
        upper.pre = asks(asker, &asked);
        bench.send_and_wait(bench.operation(IRP_MJ_READ));
        CHECK_EQ(asked, STATUS_INSUFFICIENT_RESOURCES);
        CHECK(told.statuses.empty());
        upper.pre = nullptr;
        (void)lower;
    }));
    CHECK_EQ(rule_of(with([](Bench &bench, Driver &upper, Driver &) {
                 upper.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                     FltRequestOperationStatusCallback(data, nullptr, nullptr);
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 bench.send_and_wait(bench.operation(IRP_MJ_READ));
             })),
             std::string("VER-02 parameter"));
}

TEST(an_instance_waits_for_the_status_that_it_is_owed) {
    context_subject::expect_clean(with([](Bench &bench, Driver &upper, Driver &lower) {
        Told told;
        Asker asker{&told, 'u'};
        NTSTATUS asked = STATUS_UNSUCCESSFUL;
        upper.pre = asks(asker, &asked);
        PFLT_CALLBACK_DATA pended = nullptr;
        lower.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            pended = data;
            return FLT_PREOP_PENDING;
        };
        const auto read = bench.operation(IRP_MJ_READ);
        bench.send(read);
        CHECK_EQ(asked, STATUS_SUCCESS);
        CHECK(told.statuses.empty());
        bool unloaded = false;
        bool torn_down = false;
        upper.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG) { torn_down = true; };
        bench.start("unload", [&] {
            CHECK_EQ(bench.unload(upper), STATUS_SUCCESS);
            unloaded = true;
        });
        bench.start("give back", [&] {
            CHECK(bench.wait_until([&] { return torn_down; }));
            LARGE_INTEGER second{};
            second.QuadPart = -10'000'000;
            KeDelayExecutionThread(KernelMode, FALSE, &second);
            CHECK(!unloaded);
            FltCompletePendedPreOperation(pended, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
            CHECK_EQ(told.statuses.size(), 1u);
        });
        CHECK(bench.wait_until([&] { return unloaded; }));
        CHECK_EQ(told.statuses.size(), 1u);
        lower.pre = nullptr;
    }));
}

} // namespace MINIPEND_TEST_FILE
