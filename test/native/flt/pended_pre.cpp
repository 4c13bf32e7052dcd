// SPDX-License-Identifier: MIT
//
// This module provides: tests of pended pre-operations: what they may end with, in whose thread the rest runs, and what the verifier says about
// mistakes [PRE-03, PRE-06, LIFE-11, X07].

#include "flt/recorder.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

using State = io::Operation::State;
using Answer = std::pair<FLT_PREOP_CALLBACK_STATUS, PVOID>;

/// A pre-operation that hands the operation to a system worker, which gives it back with `answer` after `first`.
Pre pend_with(Answer answer, const std::function<void(PFLT_CALLBACK_DATA)> &first = {}) {
    return [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
        const NTSTATUS status = defer(data, [=](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
            if (first) {
                first(pended);
            }
            FltCompletePendedPreOperation(pended, answer.first, answer.second);
            FltFreeDeferredIoWorkItem(item);
        });
        return NT_SUCCESS(status) ? FLT_PREOP_PENDING : FLT_PREOP_SUCCESS_NO_CALLBACK;
    };
}

int g_context = 0;

FLT_PREOP_CALLBACK_STATUS go_on(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

FLT_POSTOP_CALLBACK_STATUS finished(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
    return FLT_POSTOP_FINISHED_PROCESSING;
}

/// Three filters, high to low; the one in the middle is what a test is about.
struct Stack {
    Driver high{u"high", u"300"}, middle{u"middle", u"200"}, low{u"low", u"100"};

    explicit Stack(Bench &bench) {
        for (Driver *driver : {&high, &middle, &low}) {
            REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
            driver->pre = go_on;
            driver->post = finished;
        }
    }
};

/// One filter whose pre-operation is `pre`, and one operation.
std::string with_pre(const Pre &pre, UCHAR major = IRP_MJ_READ) {
    return run([&](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        driver->pre = pre;
        bench.send(bench.operation(major));
        bench.wait_until([] { return false; }, 20);
    });
}

} // namespace

TEST(the_rest_runs_where_it_is_given_back) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        const std::string report = run(
            [&](Bench &bench) {
                Stack stack(bench);
                Thread *const caller = &executing();
                Thread *worker = nullptr;
                std::vector<std::string> seen;
                int context = 0;
                stack.middle.pre = pend_with({FLT_PREOP_SUCCESS_WITH_CALLBACK, &context},
                                             [&](PFLT_CALLBACK_DATA) { worker = &executing(); });
                stack.high.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                    seen.push_back("high");
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                stack.middle.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID given,
                                        FLT_POST_OPERATION_FLAGS) {
                    CHECK(given == &context);
                    seen.push_back("middle");
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                stack.low.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                    // The worker has given it back, or the pre-operation had not returned by then.
                    CHECK(&executing() == worker || &executing() == caller);
                    CHECK(data->Thread == reinterpret_cast<PETHREAD>(caller)); // the requestor stays who it was
                    seen.push_back("low");
                    return FLT_PREOP_SUCCESS_NO_CALLBACK;
                };
                const auto operation = bench.operation(IRP_MJ_WRITE);
                CHECK_EQ(bench.send_and_wait(operation), STATUS_SUCCESS);
                CHECK(seen == (std::vector<std::string>{"low", "middle", "high"}));
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
}

TEST(without_a_callback_and_completed) {
    const std::string report = run([&](Bench &bench) {
        Stack stack(bench);
        int lower = 0;
        int upper = 0;
        int own = 0;
        stack.low.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
            ++lower;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        stack.high.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            ++upper;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        stack.middle.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            ++own;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        stack.middle.pre = pend_with({FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr});
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_WRITE)), STATUS_SUCCESS);
        CHECK(lower == 1 && upper == 1 && own == 0);
        stack.middle.pre = pend_with({FLT_PREOP_COMPLETE, nullptr}, [](PFLT_CALLBACK_DATA pended) {
            pended->IoStatus.Status = STATUS_ACCESS_DENIED;
            pended->IoStatus.Information = 0;
        });
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_WRITE)), STATUS_ACCESS_DENIED);
        CHECK(lower == 1 && upper == 2 && own == 0);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(parameters_changed_while_it_was_pended) {
    ULONG length = 0;
    const std::string report = run([&](Bench &bench) {
        Stack stack(bench);
        stack.middle.pre = pend_with({FLT_PREOP_SUCCESS_WITH_CALLBACK, nullptr}, [](PFLT_CALLBACK_DATA pended) {
            pended->Iopb->Parameters.Write.Length = 77;
            FltSetCallbackDataDirty(pended);
        });
        stack.low.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            length = data->Iopb->Parameters.Write.Length;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send_and_wait(bench.operation(IRP_MJ_WRITE));
    });
    CHECK_EQ(length, 77u);
    CHECK_EQ(rule_of(report), std::string());
}

/// IRQL-02, IRQL-03: in the thread of the pre-operation, which is the worker's below the filter that pends.
TEST(synchronised_post_operations_keep_their_threads) {
    for (const UCHAR major : {UCHAR{IRP_MJ_CREATE}, UCHAR{IRP_MJ_SET_INFORMATION}}) {
        for (uint64_t seed = 1; seed <= 40; ++seed) {
            const std::string report = run(
                [&](Bench &bench) {
                    Stack stack(bench);
                    Thread *const caller = &executing();
                    const Thread *lower = nullptr;
                    int posts = 0;
                    const auto synchronize = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
                        return FLT_PREOP_SYNCHRONIZE;
                    };
                    stack.high.pre = synchronize;
                    stack.high.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                        CHECK(&executing() == caller);
                        ++posts;
                        return FLT_POSTOP_FINISHED_PROCESSING;
                    };
                    stack.middle.pre = pend_with({FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr});
                    stack.low.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
                        lower = &executing();
                        return FLT_PREOP_SYNCHRONIZE;
                    };
                    stack.low.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                        CHECK(&executing() == lower);
                        ++posts;
                        return FLT_POSTOP_FINISHED_PROCESSING;
                    };
                    bench.fs->hold = true;
                    bench.start("storage", [&] {
                        bench.wait_until([&] { return !bench.fs->below.empty(); });
                        KernelCall call("dpc");
                        bench.world.queue_dpc([&] { bench.fs->complete_next(); });
                    });
                    CHECK_EQ(bench.send_and_wait(bench.operation(major)), STATUS_SUCCESS);
                    CHECK_EQ(posts, 2);
                },
                seed);
            CHECK_EQ(rule_of(report), std::string());
            CHECK(check::contains(report, "\"leaks\":[]"));
        }
    }
}

TEST(pended_again_below) {
    const std::string report = run([&](Bench &bench) {
        Stack stack(bench);
        stack.middle.pre = pend_with({FLT_PREOP_SUCCESS_WITH_CALLBACK, nullptr});
        stack.low.pre = pend_with({FLT_PREOP_SUCCESS_WITH_CALLBACK, nullptr});
        stack.low.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            const NTSTATUS status = defer(data, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltCompletePendedPostOperation(pended);
                FltFreeDeferredIoWorkItem(item);
            });
            return NT_SUCCESS(status) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
        };
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_WRITE)), STATUS_SUCCESS);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

/// LIFE-11: the teardown waits for what is pended, and TeardownStart is where it is given back.
TEST(teardown_waits_for_it) {
    const std::string report = run([&](Bench &bench) {
        Stack stack(bench);
        PFLT_CALLBACK_DATA held = nullptr;
        bool given_back = false;
        stack.middle.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            held = data;
            return FLT_PREOP_PENDING;
        };
        stack.middle.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG) {
            bench.start("later", [&] {
                bench.wait_until([] { return false; }, 50);
                given_back = true;
                FltCompletePendedPreOperation(held, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
            });
        };
        stack.middle.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG) { CHECK(given_back); };
        const auto operation = bench.operation(IRP_MJ_WRITE);
        CHECK_EQ(bench.send(operation), STATUS_PENDING);
        CHECK(operation->state == State::PendedPre);
        CHECK_EQ(bench.detach(stack.middle), STATUS_SUCCESS);
        CHECK(given_back);
        CHECK(bench.wait_until([&] { return operation->state == State::Completed; }));
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(mistakes_with_pended_pre_operations) {
    const auto rule = [](const std::string &report) { return rule_of(report); };
    // What cannot be an answer.
    CHECK_EQ(rule(with_pre(pend_with({FLT_PREOP_SYNCHRONIZE, nullptr}))), std::string("V8 pre-operation return value"));
    CHECK_EQ(rule(with_pre(pend_with({FLT_PREOP_PENDING, nullptr}))), std::string("V8 pre-operation return value"));
    CHECK_EQ(rule(with_pre(pend_with({FLT_PREOP_COMPLETE, &g_context}))), std::string("V9 completion context"));
    CHECK_EQ(rule(with_pre([](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *context) {
                 *context = &g_context;
                 return FLT_PREOP_PENDING;
             })),
             std::string("V9 completion context"));
    // Handed on, and not pended.
    CHECK_EQ(rule(with_pre([](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *context) {
                 pend_with({FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr})(data, objects, context);
                 return FLT_PREOP_SUCCESS_NO_CALLBACK;
             })),
             std::string("PRE-06 queued, but not pended"));
    // Twice, and with the wrong call.
    CHECK_EQ(rule(with_pre([](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                 FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
                 FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
                 return FLT_PREOP_PENDING;
             })),
             std::string("V3 double FltCompletePendedPreOperation"));
    CHECK_EQ(rule(with_pre([](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                 FltCompletePendedPostOperation(data);
                 return FLT_PREOP_PENDING;
             })),
             std::string("V3 FltCompletePendedPostOperation in a pre-operation"));
    // A status that nothing may end with.
    CHECK_EQ(rule(with_pre(pend_with({FLT_PREOP_COMPLETE, nullptr},
                                     [](PFLT_CALLBACK_DATA data) { data->IoStatus.Status = STATUS_PENDING; }))),
             std::string("V7 forbidden final status"));
}

TEST(fast_io_cannot_be_pended_before_either) {
    const std::string report = run([](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        driver->pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_PENDING; };
        bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo));
    });
    CHECK_EQ(rule_of(report), std::string("V8 pre-operation return value"));
}

} // namespace MINIPEND_TEST_FILE
