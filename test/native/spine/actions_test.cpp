// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of completion when safe, and of what a rule can add to any action: a failing status, the audit of the top-level IRP;
// and of the histograms and high waters.

#include <mutex>
#include <numeric>

#include "actions.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

SPINE_TEST(when_safe_runs_at_once_below_dispatch_level) {
    TestWorld world(executor);
    load_and_attach({u"D:", u"E:"});
    const Client client;
    take(client, {rule_of(MINIPEND_ACTION_WHEN_SAFE)}, 0);
    client.subscribe();
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), 0u); // a top-level IRP is no obstacle to this branch [SAFE-06]
    Rule failing = rule_of(MINIPEND_ACTION_WHEN_SAFE);
    failing.failStatus = STATUS_DISK_FULL;
    take(client, {failing}, 0);
    CHECK_EQ(File::open(u"D:\\b").rename(u"D:\\c"), ERROR_DISK_FULL);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).WhenSafe, 3u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Failed, 1u);
    CHECK_EQ(counters.head().HeldHighWater, 0u);
    const auto events = client.pull(0).events;
    CHECK_EQ(events.size(), 3u);
    for (const MINIPEND_EVENT &event : events) {
        CHECK_EQ(event.Kind, MINIPEND_EVENT_KIND_COMPLETED);
        CHECK(event.HeldId != 0);
    }
    CHECK_EQ(events.back().Seen.Status, STATUS_DISK_FULL);
}

SPINE_TEST(when_safe_is_posted_at_dispatch_level) {
    constexpr DWORD count = 64;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {rule_of(MINIPEND_ACTION_WHEN_SAFE, bit(MINIPEND_OPERATION_READ))}, 0);
    CHECK_EQ(read_at_dispatch(count), 0u);
    Rule failing = rule_of(MINIPEND_ACTION_WHEN_SAFE, bit(MINIPEND_OPERATION_READ));
    failing.failStatus = STATUS_DISK_FULL;
    take(client, {failing}, 0);
    const uint64_t failed = read_at_dispatch(count, u"D:\\other");
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto reads = counters.total(MINIPEND_OPERATION_READ);
    // The storage's DPC may have interrupted a thread that was inside the file system: those are refused.
    CHECK_EQ(reads.WhenSafe + reads.Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], 2 * count);
    CHECK_EQ(reads.Failed, failed);
    CHECK(failed > 0);
    CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
}

SPINE_TEST(a_rule_says_which_work_queue) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    Rule rule = pend_renames(0);
    for (const uint32_t queue : {MINIPEND_QUEUE_DELAYED, MINIPEND_QUEUE_CRITICAL}) {
        rule.queue = queue;
        CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
        CHECK_EQ(file.rename(queue == MINIPEND_QUEUE_DELAYED ? u"D:\\b" : u"D:\\c"), 0u);
        client.counters_at_rest();
        const std::string report = world.report();
        CHECK(report.find(", delayed") != std::string::npos);
        CHECK_EQ(report.find(", critical") != std::string::npos, queue == MINIPEND_QUEUE_CRITICAL);
    }
}

/// A create that a rule fails: the filters below and the file system see it closed again, and what it made stays [CRE-03].
SPINE_TEST(a_create_that_a_rule_fails) {
    for (const uint32_t action :
         {uint32_t{MINIPEND_ACTION_PEND}, uint32_t{MINIPEND_ACTION_WHEN_SAFE}, uint32_t{MINIPEND_ACTION_SYNCHRONIZE}}) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        {
            Neighbour below(world, u"below", BELOW);
            std::mutex mutex;
            std::vector<UCHAR> seen;
            below.driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                const UCHAR major = data->Iopb->MajorFunction;
                if (major == IRP_MJ_CREATE || major == IRP_MJ_CLEANUP || major == IRP_MJ_CLOSE) {
                    const std::lock_guard<std::mutex> lock(mutex);
                    seen.push_back(major);
                }
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            };
            const Client client;
            Rule rule = rule_of(action, bit(MINIPEND_OPERATION_CREATE));
            rule.failStatus = STATUS_DISK_FULL;
            take(client, {rule}, 0);
            client.subscribe();
            {
                const File file = File::create(u"D:\\a");
                CHECK(!file.is_open());
                CHECK_EQ(file.error(), ERROR_DISK_FULL);
            }
            // The requestor may go on before its operation's last event is there.
            MINIPEND_EVENT last{};
            CHECK(eventually([&] {
                const auto events = client.pull(0).events;
                last = events.empty() ? last : events.back();
                return last.Kind == MINIPEND_EVENT_KIND_COMPLETED;
            }));
            CHECK_EQ(last.Seen.Status, STATUS_DISK_FULL);
            {
                const std::lock_guard<std::mutex> lock(mutex);
                CHECK(seen == (std::vector<UCHAR>{IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE}));
            }
            // One that fails below opens nothing: only its status changes.
            CHECK_EQ(File::open(u"D:\\missing").error(), ERROR_DISK_FULL);
            take(client, {}, 0);
            CHECK(exists(u"D:\\a"));
            const Counters counters = client.counters_at_rest();
            CHECK(counters.balanced(true));
            CHECK_EQ(counters.total(MINIPEND_OPERATION_CREATE).Failed, 2u);
        }
        CHECK_EQ(FilterUnload(u"minipend"), S_OK);
    }
}

/// What a safety default excludes is not failed either.
SPINE_TEST(an_excluded_create_is_not_failed) {
    TestWorld world(executor);
    load_and_attach({u"C:"});
    const Client client;
    Rule rule = rule_of(MINIPEND_ACTION_PEND, bit(MINIPEND_OPERATION_CREATE));
    rule.failStatus = STATUS_DISK_FULL;
    take(client, {rule}, 0);
    CHECK(File::create(u"C:\\a").is_open());
    const auto creates = client.counters_at_rest().total(MINIPEND_OPERATION_CREATE);
    CHECK_EQ(creates.Failed, 0u);
    CHECK_EQ(creates.Refused[MINIPEND_REFUSAL_POLICY], 1u);
}

/// Under a top-level IRP the queue call is not even made, but by a rule that audits it.
SPINE_TEST(the_audit_of_the_top_level_irp) {
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    const auto was_asked = [&] { return world.report().find("queueing refused") != std::string::npos; };
    take(client, {pend_renames(0)}, 0);
    client.subscribe();
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), 0u);
    CHECK(!was_asked());
    const auto refused = client.pull(0).events;
    CHECK_EQ(refused.size(), 1u);
    CHECK_EQ(refused.back().HeldId, 0u);
    CHECK_EQ(refused.back().Cause, MINIPEND_REFUSAL_TOP_LEVEL_IRP);
    CHECK_EQ(refused.back().Seen.TopLevelIrp, MINIPEND_TOP_LEVEL_IRP_IRP);
    Rule rule = pend_renames(0);
    rule.flags = MINIPEND_RULE_AUDIT_TOP_LEVEL_IRP;
    take(client, {rule}, 0);
    CHECK_EQ(File::open(u"E:\\b").rename(u"E:\\c"), 0u);
    CHECK(was_asked());
    const auto audited = client.pull(refused.back().Sequence).events;
    CHECK_EQ(audited.size(), 2u); // taken, then refused
    CHECK_EQ(audited.back().Kind, MINIPEND_EVENT_KIND_REFUSED);
    CHECK_EQ(audited.back().HeldId, audited.front().HeldId);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], 2u);
    CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
    CHECK_EQ(counters.head().UnexpectedSuccesses, 0u);
}

/// A machine that accepts what the documentation says it refuses: the operation is pended like any other, and the surprise counted.
SPINE_TEST(an_accepted_top_level_irp_is_an_unexpected_success) {
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    Rule rule = pend_renames(1);
    rule.flags = MINIPEND_RULE_AUDIT_TOP_LEVEL_IRP;
    take(client, {rule}, 0);
    CHECK_EQ(FltSimSetFault(world.number(), "FltQueueDeferredIoWorkItem:TopLevelIrp", 0, 1), 0);
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), 0u);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Completed, 1u);
    CHECK_EQ(counters.head().UnexpectedSuccesses, 1u);
    CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
}

/// FltDoCompletionProcessingWhenSafe says no and gives no reason: without a top-level IRP there is none.
SPINE_TEST(when_safe_that_is_refused) {
    constexpr DWORD count = 16;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule = rule_of(MINIPEND_ACTION_WHEN_SAFE, bit(MINIPEND_OPERATION_READ));
    rule.failStatus = STATUS_DISK_FULL;
    take(client, {rule}, 0);
    CHECK_EQ(FltSimSetFault(world.number(), "FltDoCompletionProcessingWhenSafe", 0, count), 0);
    CHECK_EQ(read_at_dispatch(count), 0u); // what was refused keeps its status
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto reads = counters.total(MINIPEND_OPERATION_READ);
    CHECK_EQ(reads.WhenSafe, 0u);
    CHECK_EQ(reads.Refused[MINIPEND_REFUSAL_UNSAFE] + reads.Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], count);
    CHECK_EQ(reads.Refused[MINIPEND_REFUSAL_UNSAFE], counters.head().UnexpectedRefusals);
    CHECK(counters.head().UnexpectedRefusals > 0);
}

/// The driver's own fault switch takes records and work items in turn.
SPINE_TEST(allocations_that_are_made_to_fail) {
    TestWorld world(executor);
    set_parameter(world, u"FaultAllocationEveryNth", 3);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {pend_renames(0)}, 0);
    client.subscribe(1u << MINIPEND_EVENT_KIND_REFUSED);
    const File file = File::create(u"D:\\0");
    for (const char16_t *name : {u"D:\\1", u"D:\\2", u"D:\\3", u"D:\\4"}) {
        CHECK_EQ(file.rename(name), 0u);
    }
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto renames = counters.total(MINIPEND_OPERATION_RENAME);
    CHECK_EQ(renames.Completed, 2u); // each takes a record and an item; then a record is refused
    CHECK_EQ(renames.Refused[MINIPEND_REFUSAL_ALLOCATION], 2u);
    const auto events = client.pull(0).events;
    CHECK_EQ(events.size(), 2u);
    for (const MINIPEND_EVENT &event : events) {
        CHECK_EQ(event.Cause, MINIPEND_REFUSAL_ALLOCATION);
    }
}

/// Causes that the pre-operation knows already: with a listener there is a record to tell of them, without one there is none, and the counts agree.
SPINE_TEST(early_refusals_are_told_to_who_listens) {
    TestWorld world(executor);
    load_and_attach({u"C:", u"D:"});
    const Client client;
    take(client, {pend_renames(0)}, 0);
    const File file = File::create(u"C:\\0");
    CHECK_EQ(file.rename(u"C:\\1"), 0u);
    client.subscribe();
    CHECK_EQ(file.rename(u"C:\\2"), 0u);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_POLICY], 2u);
    CHECK(events_of(client) == (Kinds{{MINIPEND_EVENT_KIND_REFUSED, MINIPEND_REFUSAL_POLICY}}));
}

/// On a virtual clock each hold has its exact time, and falls into the bucket that has it between its bounds.
TEST(histograms_show_how_long_was_held) {
    TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\0");
    const uint32_t delays_ms[] = {0, 1, 5, 50, 50, 1'000};
    char16_t name[] = u"D:\\1";
    for (const uint32_t delay_ms : delays_ms) {
        take(client, {pend_renames(delay_ms)}, 0);
        CHECK_EQ(file.rename(name), 0u);
        ++name[3];
    }
    for (const bool retired : {false, true}) {
        if (retired) {
            CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
        }
        const Counters counters = client.counters_at_rest();
        const MINIPEND_HISTOGRAMS &times = counters.instance(retired ? 0 : 1).Histograms[MINIPEND_OPERATION_RENAME];
        CHECK_EQ(std::accumulate(std::begin(times.Queue), std::end(times.Queue), uint64_t{0}), std::size(delays_ms));
        CHECK_EQ(std::accumulate(std::begin(times.Hold), std::end(times.Hold), uint64_t{0}), std::size(delays_ms));
        // Of the ones held for 50 ms: two in the bucket that covers it, or the next, for the virtual clock moves while the driver works.
        uint64_t about_50_ms = 0;
        uint64_t long_ones = 0;
        for (uint32_t bucket = 0; bucket < MINIPEND_HISTOGRAM_BUCKETS; ++bucket) {
            const uint64_t floor_100ns = MINIPEND_BUCKET_FLOOR_100NS(bucket);
            const uint64_t next_100ns = MINIPEND_BUCKET_FLOOR_100NS(bucket + 1);
            if (next_100ns > 50 * MS_100NS && floor_100ns <= 52 * MS_100NS) {
                about_50_ms += times.Hold[bucket];
            }
            if (next_100ns > 1'000 * MS_100NS) {
                long_ones += times.Hold[bucket];
            }
        }
        CHECK_EQ(about_50_ms, 2u);
        CHECK_EQ(long_ones, 1u);
    }
}

SPINE_TEST(high_water_marks) {
    TestWorld world(executor);
    load_and_attach({u"D:", u"E:"});
    const Client client;
    take(client, {gate_rule(RENAMES, LONG_MS)});
    std::vector<std::future<DWORD>> renames;
    for (const char16_t *name : {u"D:\\a", u"D:\\b", u"D:\\c"}) {
        renames.push_back(start_rename(world, name, std::u16string(name) + u"2"));
    }
    client.held(3);
    client.release_all();
    for (auto &renaming : renames) {
        CHECK_EQ(renaming.get(), 0u);
    }
    CHECK_EQ(start_rename(world, u"E:\\a", u"E:\\b").get(), 0u); // refused: never held
    for (const bool retired : {false, true}) {
        if (retired) {
            CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
            CHECK_EQ(FilterDetach(u"minipend", u"E:", nullptr), S_OK);
        }
        const Counters counters = client.counters_at_rest();
        CHECK_EQ(counters.head().HeldHighWater, 3u);
        const auto renames_of = [&](size_t index) { return counters.of(index, MINIPEND_OPERATION_RENAME); };
        CHECK_EQ(retired ? renames_of(0).InFlightHighWater
                         : std::max(renames_of(1).InFlightHighWater, renames_of(2).InFlightHighWater),
                 3u);
    }
}

} // namespace MINIPEND_TEST_FILE
