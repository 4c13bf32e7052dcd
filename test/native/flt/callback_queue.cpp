// SPDX-License-Identifier: MIT
//
// This module provides: tests of cancel-safe callback data queues [CANC-01..04]: what goes in comes out once, to whoever asks or to its cancellation.

#include "flt/recorder.hpp"

#include <utility>

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

using State = io::Operation::State;

/// A driver's queue: a list and a spin lock. FltCbdqInitialize gets the first member's address.
struct Queue {
    FLT_CALLBACK_DATA_QUEUE cbdq{};
    LIST_ENTRY list{};
    KSPIN_LOCK lock{};
    bool forget_release = false;
    NTSTATUS insert_status = STATUS_SUCCESS;
    int completed_cancelled = 0;

    static Queue &of(PFLT_CALLBACK_DATA_QUEUE cbdq) { return *reinterpret_cast<Queue *>(cbdq); }

    static NTSTATUS FLTAPI insert(PFLT_CALLBACK_DATA_QUEUE cbdq, PFLT_CALLBACK_DATA data, PVOID) {
        CHECK_EQ(executing().irql, DISPATCH_LEVEL);
        if (NT_SUCCESS(of(cbdq).insert_status)) {
            InsertTailList(&of(cbdq).list, &data->QueueLinks);
        }
        return of(cbdq).insert_status;
    }
    static void FLTAPI remove(PFLT_CALLBACK_DATA_QUEUE, PFLT_CALLBACK_DATA data) { RemoveEntryList(&data->QueueLinks); }
    /// The one after `data` whose QueueContext[0] is the context; a null context is everybody.
    static PFLT_CALLBACK_DATA FLTAPI peek(PFLT_CALLBACK_DATA_QUEUE cbdq, PFLT_CALLBACK_DATA data, PVOID context) {
        LIST_ENTRY *const head = &of(cbdq).list;
        for (LIST_ENTRY *link = data != nullptr ? data->QueueLinks.Flink : head->Flink; link != head;
             link = link->Flink) {
            const auto found = CONTAINING_RECORD(link, FLT_CALLBACK_DATA, QueueLinks);
            if (context == nullptr || found->QueueContext[0] == context) {
                return found;
            }
        }
        return nullptr;
    }
    static void FLTAPI acquire(PFLT_CALLBACK_DATA_QUEUE cbdq, PKIRQL irql) { KeAcquireSpinLock(&of(cbdq).lock, irql); }
    static void FLTAPI release(PFLT_CALLBACK_DATA_QUEUE cbdq, KIRQL irql) {
        if (!of(cbdq).forget_release) {
            KeReleaseSpinLock(&of(cbdq).lock, irql);
        }
    }
    static void FLTAPI complete_cancelled(PFLT_CALLBACK_DATA_QUEUE cbdq, PFLT_CALLBACK_DATA data) {
        CHECK_EQ(executing().irql, PASSIVE_LEVEL);
        ++of(cbdq).completed_cancelled;
        data->IoStatus.Status = STATUS_CANCELLED;
        data->IoStatus.Information = 0;
        FltCompletePendedPreOperation(data, FLT_PREOP_COMPLETE, nullptr);
    }

    void initialize(PFLT_INSTANCE instance) {
        InitializeListHead(&list);
        KeInitializeSpinLock(&lock);
        CHECK_EQ(FltCbdqInitialize(instance, &cbdq, insert, remove, peek, acquire, release, complete_cancelled),
                 STATUS_SUCCESS);
    }
};

/// A filter that queues every write.
struct Pender {
    Queue queue;
    Driver driver{u"one"};
    FLT_CALLBACK_DATA_QUEUE_IO_CONTEXT context{};
    NTSTATUS inserted = STATUS_SUCCESS;
    void *mark = nullptr;
    bool returned = false;

    explicit Pender(Bench &bench) {
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        driver.pre = [this](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            if (queue.cbdq.Instance == nullptr) {
                queue.initialize(objects->Instance);
            }
            data->QueueContext[0] = mark;
            inserted = FltCbdqInsertIo(&queue.cbdq, data, &context, nullptr);
            KeGetCurrentIrql(); // a scheduling point
            returned = true;
            return NT_SUCCESS(inserted) ? FLT_PREOP_PENDING : FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        driver.teardown_start = [this](PCFLT_RELATED_OBJECTS, ULONG) {
            if (queue.cbdq.Instance != nullptr) {
                FltCbdqDisable(&queue.cbdq);
                while (give_next_back()) {
                }
            }
        };
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
    }
    bool give_next_back(PVOID wanted = nullptr) {
        const PFLT_CALLBACK_DATA data = FltCbdqRemoveNextIo(&queue.cbdq, wanted);
        if (data != nullptr) {
            FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
        }
        return data != nullptr;
    }
};

/// As IoCancelIrp.
void cancel(io::Operation &operation) {
    KernelCall kernel("IoCancelIrp");
    operation.cancel_requested = true;
    if (const auto routine = std::exchange(operation.cancel_routine, nullptr)) {
        routine();
    }
}

} // namespace

TEST(first_in_first_out_and_by_mark) {
    const std::string report = run([](Bench &bench) {
        Pender pender(bench);
        std::vector<std::shared_ptr<io::Operation>> writes;
        for (int i = 0; i < 3; ++i) {
            pender.mark = i == 1 ? &writes : nullptr;
            writes.push_back(bench.operation(IRP_MJ_WRITE));
            CHECK_EQ(bench.send(writes.back()), STATUS_PENDING);
        }
        CHECK(pender.give_next_back(&writes));
        CHECK(writes[1]->state == State::Completed);
        CHECK(!pender.give_next_back(&writes));
        CHECK(pender.give_next_back());
        CHECK(writes[0]->state == State::Completed && writes[2]->state == State::PendedPre);
        CHECK(pender.give_next_back());
        CHECK(!pender.give_next_back());
        for (const auto &write : writes) {
            CHECK_EQ(write->io_status.Status, STATUS_SUCCESS);
        }
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(by_context_once) {
    const std::string report = run([](Bench &bench) {
        Pender pender(bench);
        const auto write = bench.operation(IRP_MJ_WRITE);
        CHECK_EQ(bench.send(write), STATUS_PENDING);
        const PFLT_CALLBACK_DATA data = FltCbdqRemoveIo(&pender.queue.cbdq, &pender.context);
        CHECK(data != nullptr);
        CHECK(FltCbdqRemoveIo(&pender.queue.cbdq, &pender.context) == nullptr);
        CHECK(FltCbdqRemoveNextIo(&pender.queue.cbdq, nullptr) == nullptr);
        cancel(*write); // nobody's any more
        CHECK_EQ(pender.queue.completed_cancelled, 0);
        FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
        CHECK(write->state == State::Completed);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(cancelled_in_the_queue_and_before_it) {
    const std::string report = run([](Bench &bench) {
        Pender pender(bench);
        const auto queued = bench.operation(IRP_MJ_WRITE);
        CHECK_EQ(bench.send(queued), STATUS_PENDING);
        cancel(*queued);
        CHECK_EQ(queued->io_status.Status, STATUS_CANCELLED);
        CHECK_EQ(pender.queue.completed_cancelled, 1);
        CHECK(FltCbdqRemoveIo(&pender.queue.cbdq, &pender.context) == nullptr);
        const auto early = bench.operation(IRP_MJ_WRITE);
        early->cancel_requested = true;
        CHECK_EQ(bench.send(early), STATUS_CANCELLED);
        CHECK_EQ(pender.inserted, STATUS_SUCCESS); // what CbdqInsertIo returned [CANC-02]
        CHECK_EQ(pender.queue.completed_cancelled, 2);
        CHECK(!pender.give_next_back());
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(disabled_and_refused_by_the_driver) {
    const std::string report = run([](Bench &bench) {
        Pender pender(bench);
        const auto queued = bench.operation(IRP_MJ_WRITE);
        CHECK_EQ(bench.send(queued), STATUS_PENDING);
        FltCbdqDisable(&pender.queue.cbdq);
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_WRITE)), STATUS_SUCCESS);
        CHECK_EQ(pender.inserted, STATUS_FLT_CBDQ_DISABLED);
        CHECK(pender.give_next_back()); // what is in it can be taken out all the same
        CHECK(queued->state == State::Completed);
        FltCbdqEnable(&pender.queue.cbdq);
        pender.queue.insert_status = STATUS_INSUFFICIENT_RESOURCES;
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_WRITE)), STATUS_SUCCESS);
        CHECK_EQ(pender.inserted, STATUS_INSUFFICIENT_RESOURCES);
        pender.queue.insert_status = STATUS_SUCCESS;
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_WRITE)), STATUS_PENDING);
        CHECK_EQ(bench.detach(pender.driver), STATUS_SUCCESS); // CANC-04
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

/// Whoever is first has it, and only they.
TEST(cancelled_while_somebody_takes_it) {
    int taken = 0;
    int cancelled = 0;
    int before_return = 0;
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        const std::string report = run(
            [&](Bench &bench) {
                Pender pender(bench);
                const auto write = bench.operation(IRP_MJ_WRITE);
                bool go = false;
                bool over = false;
                bench.start("taker", [&] {
                    bench.wait_until([&] { return go || pender.queue.cbdq.Instance != nullptr; });
                    if (pender.give_next_back()) {
                        ++taken;
                        before_return += pender.returned ? 0 : 1;
                    }
                    over = true;
                });
                bench.start("canceller", [&] {
                    bench.wait_until([&] { return go || pender.queue.cbdq.Instance != nullptr; });
                    cancel(*write);
                });
                const NTSTATUS status = bench.send(write);
                go = true;
                CHECK(bench.wait_until([&] { return over; }));
                bench.wait_until([] { return false; }, 5);
                pender.give_next_back(); // the taker and the canceller may have come too early
                CHECK(bench.wait_until([&] { return write->state == State::Completed; }));
                CHECK(status == STATUS_PENDING || status == write->io_status.Status);
                cancelled += pender.queue.completed_cancelled;
                CHECK_EQ(write->io_status.Status == STATUS_CANCELLED, pender.queue.completed_cancelled == 1);
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
    CHECK(taken > 0);
    CHECK(cancelled > 0);
    CHECK(before_return > 0);
}

TEST(mistakes_with_queues) {
    const auto with_queue = [](const std::function<void(Bench &, Pender &)> &fn) {
        return rule_of(run([&](Bench &bench) {
            static auto &left = *new std::vector<Pender *>;
            fn(bench, *left.emplace_back(new Pender(bench)));
        }));
    };
    CHECK_EQ(with_queue([](Bench &bench, Pender &pender) {
                 bench.send(bench.operation(IRP_MJ_WRITE));
                 FltCompletePendedPreOperation(Queue::peek(&pender.queue.cbdq, nullptr, nullptr),
                                               FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
             }),
             std::string("CANC-02 given back while queued"));
    CHECK_EQ(with_queue([](Bench &bench, Pender &pender) {
                 pender.driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                     pender.queue.initialize(objects->Instance);
                     (VOID) FltCbdqInsertIo(&pender.queue.cbdq, data, nullptr, nullptr);
                     (VOID) FltCbdqInsertIo(&pender.queue.cbdq, data, nullptr, nullptr);
                     return FLT_PREOP_PENDING;
                 };
                 bench.send(bench.operation(IRP_MJ_WRITE));
             }),
             std::string("CANC-02 queued twice"));
    CHECK_EQ(with_queue([](Bench &bench, Pender &pender) {
                 pender.driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                     pender.queue.initialize(objects->Instance);
                     (VOID) FltCbdqInsertIo(&pender.queue.cbdq, data, nullptr, nullptr);
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 bench.send(bench.operation(IRP_MJ_WRITE));
             }),
             std::string("PRE-06 queued, but not pended"));
    CHECK_EQ(with_queue([](Bench &bench, Pender &pender) {
                 pender.queue.forget_release = true;
                 bench.send(bench.operation(IRP_MJ_WRITE));
             }),
             std::string("CANC-01 lock of a callback data queue"));
    CHECK_EQ(with_queue([](Bench &, Pender &pender) { FltCbdqEnable(&pender.queue.cbdq); }),
             std::string("CANC-01 callback data queue"));
    CHECK_EQ(
        with_queue([](Bench &bench, Pender &) { bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)); }),
        std::string("CANC-01 not a pre-operation of an IRP"));
}

} // namespace MINIPEND_TEST_FILE
