// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of synchronised holds: what waits in its own thread, what ends the wait, and what may not be made to wait.

#include "actions.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

/// Where nothing can be pended a synchronised hold still can: a rename on FAT.
SPINE_TEST(a_synchronised_rename_on_fat_is_held) {
    constexpr uint32_t delay_ms = 50;
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    take(client, {synchronize(RENAMES, delay_ms)}, 0);
    client.subscribe();
    const File file = File::create(u"E:\\a");
    const auto start = Clock::now();
    CHECK_EQ(file.rename(u"E:\\b"), 0u);
    CHECK(elapsedMs(start) >= delay_ms);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto renames = counters.of(1, MINIPEND_OPERATION_RENAME);
    CHECK_EQ(renames.Synchronized, 1u);
    CHECK_EQ(renames.Pended, 0u);
    CHECK_EQ(renames.Completed, 0u);
    CHECK_EQ(counters.head().HeldNow, 0u);
    CHECK_EQ(counters.head().HeldHighWater, 1u);
    CHECK(events_of(client) == held_until(MINIPEND_RELEASE_CAUSE_DUE));
}

SPINE_TEST(a_synchronised_gate_is_listed_and_released) {
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    Rule rule = synchronize_gate();
    rule.flags = MINIPEND_RULE_NAME;
    take(client, {rule});
    client.subscribe();
    auto renaming = start_rename(world, u"E:\\a", u"E:\\b");
    const MINIPEND_HELD_ENTRY entry = client.held(1).entries.at(0);
    CHECK_EQ(entry.State, MINIPEND_HELD_STATE_WAITING);
    CHECK_EQ(entry.Action, MINIPEND_ACTION_SYNCHRONIZE);
    CHECK_EQ(entry.Seen.Thread, MINIPEND_THREAD_REQUESTOR);
    CHECK(name_of(entry.Name, entry.NameChars) == u"\\a");
    CHECK(exists(u"E:\\b"));
    Counters counters = client.counters();
    CHECK(counters.balanced(false));
    CHECK_EQ(counters.head().HeldNow, 1u);
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Waiting, 1u);
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).InCallback, 1u);
    CHECK_EQ(client.release_one(entry.HeldId, STATUS_DISK_FULL).Released, 1u);
    CHECK_EQ(renaming.get(), ERROR_DISK_FULL);
    CHECK_EQ(client.release_one(entry.HeldId).Header.Detail, MINIPEND_DETAIL_HELD_UNKNOWN);
    counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Waiting, 0u);
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Failed, 1u);
    CHECK(events_of(client) == held_until(MINIPEND_RELEASE_CAUSE_CLIENT));
    const auto events = client.pull(0).events;
    CHECK_EQ(events.front().Seen.Status, STATUS_SUCCESS);
    CHECK_EQ(events.back().Seen.Status, STATUS_DISK_FULL);
}

/// Without a hold the action only moves the post-operation; and a failing rule still fails it.
SPINE_TEST(synchronize_without_a_hold) {
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    Rule rule = synchronize(RENAMES);
    rule.failStatus = STATUS_ACCESS_DENIED;
    take(client, {rule}, 0);
    client.subscribe();
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), ERROR_ACCESS_DENIED);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Synchronized, 1u);
    CHECK(events_of(client) == (Kinds{{MINIPEND_EVENT_KIND_TAKEN, 0},
                                      {MINIPEND_EVENT_KIND_RELEASED, MINIPEND_RELEASE_CAUSE_DUE},
                                      {MINIPEND_EVENT_KIND_COMPLETED, MINIPEND_RELEASE_CAUSE_DUE}}));
}

/// Everything that ends a pended hold ends a synchronised one.
SPINE_TEST(what_ends_a_synchronised_hold) {
    enum class End { Detach, Unload, StopService, Dismount, Disconnect, Deadline };
    for (const End end : {End::Detach, End::Unload, End::StopService, End::Dismount, End::Disconnect, End::Deadline}) {
        TestWorld world(executor);
        load_and_attach({u"E:"});
        {
            const Client watcher;
            Client client;
            Rule rule = synchronize_gate();
            rule.delayMs = end == End::Deadline ? 20 : LONG_MS;
            watcher.subscribe((1u << MINIPEND_EVENT_KIND_COUNT) - 1, MINIPEND_SUBSCRIBE_ALL_CLIENTS);
            take(client, {rule});
            auto first = start_rename(world, u"E:\\a", u"E:\\b");
            auto second = start_rename(world, u"E:\\c", u"E:\\d");
            if (end != End::Deadline) {
                watcher.held(2);
            }
            if (end == End::Detach) {
                CHECK_EQ(FilterDetach(u"minipend", u"E:", nullptr), S_OK);
            } else if (end == End::Unload) {
                CHECK_EQ(FilterUnload(u"minipend"), S_OK);
            } else if (end == End::StopService) {
                int32_t status = STATUS_UNSUCCESSFUL;
                CHECK_EQ(FltSimStopService(world.number(), "minipend", &status), 0);
                CHECK_EQ(status, STATUS_SUCCESS);
            } else if (end == End::Dismount) {
                int32_t status = STATUS_UNSUCCESSFUL;
                CHECK_EQ(FltSimDismountVolume(world.number(), "E:", &status), 0);
                CHECK_EQ(status, STATUS_SUCCESS);
            } else if (end == End::Disconnect) {
                client.close();
            }
            CHECK_EQ(first.get(), 0u);
            CHECK_EQ(second.get(), 0u);
            if (end == End::Unload || end == End::StopService) {
                continue;
            }
            const Counters counters = watcher.counters_at_rest();
            CHECK(counters.balanced(true));
            CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Synchronized, 2u);
            const uint32_t cause = end == End::Deadline     ? MINIPEND_RELEASE_CAUSE_DEADLINE
                                   : end == End::Disconnect ? MINIPEND_RELEASE_CAUSE_DISCONNECT
                                                            : MINIPEND_RELEASE_CAUSE_TEARDOWN;
            for (const auto &[kind, why] : events_of(watcher)) {
                CHECK(kind != MINIPEND_EVENT_KIND_COMPLETED || why == cause);
            }
        }
    }
}

/// A detach while the operation is below: its post-operation comes as a draining call, and its thread goes on [SYNC-05].
SPINE_TEST(a_synchronised_operation_is_drained) {
    TestWorld world(executor);
    Gate gate;
    load_and_attach({u"D:"});
    {
        Neighbour below(world, u"below", BELOW);
        below.driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (is_rename(data)) {
                CHECK(gate.pass());
            }
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        const Client client;
        take(client, {synchronize_gate()});
        auto renaming = start_rename(world, u"D:\\a", u"D:\\b");
        CHECK(eventually([&] { return gate.waiting == 1; }));
        CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
        gate.open(world);
        CHECK_EQ(renaming.get(), 0u);
        const Counters counters = client.counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.of(0, MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_DRAINING], 1u);
        CHECK_EQ(counters.of(0, MINIPEND_OPERATION_RENAME).Synchronized, 0u);
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

SPINE_TEST(asynchronous_reads_are_not_synchronised) {
    constexpr DWORD count = 8;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {synchronize(bit(MINIPEND_OPERATION_READ))}, 0);
    CHECK_EQ(read_at_dispatch(count), 0u);
    auto reads = client.counters_at_rest().total(MINIPEND_OPERATION_READ);
    CHECK_EQ(reads.Refused[MINIPEND_REFUSAL_POLICY], count);
    CHECK_EQ(reads.Synchronized, 0u);
    const File file(u"D:\\big", {.access = GENERIC_READ, .flags = FILE_FLAG_NO_BUFFERING});
    alignas(PAGE) static char buffer[PAGE];
    DWORD bytes = 0;
    CHECK(ReadFile(file.handle(), buffer, PAGE, &bytes, nullptr) != FALSE);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_READ).Synchronized, 1u);
}

/// Locks, notifications and oplocks may stay below for ever: their threads must not wait for them [SYNC-03]. The model's verifier stops the
/// world when one is synchronised.
SPINE_TEST(what_may_stay_below_is_not_synchronised) {
    struct Case {
        MINIPEND_OPERATION operation;
        UCHAR major;
        UCHAR minor;
        ULONG code;
        bool may;
    };
    constexpr ULONG plain_code = 0x900A8; // FSCTL_GET_REPARSE_POINT
    const Case cases[] = {
        {MINIPEND_OPERATION_LOCK, IRP_MJ_LOCK_CONTROL, IRP_MN_LOCK, 0, false},
        {MINIPEND_OPERATION_LOCK, IRP_MJ_LOCK_CONTROL, IRP_MN_LOCK + 1, 0, true}, // unlock
        {MINIPEND_OPERATION_NOTIFY_DIRECTORY, IRP_MJ_DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY, 0, false},
        {MINIPEND_OPERATION_NOTIFY_DIRECTORY, IRP_MJ_DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX, 0, false},
        {MINIPEND_OPERATION_QUERY_DIRECTORY, IRP_MJ_DIRECTORY_CONTROL, IRP_MN_QUERY_DIRECTORY, 0, true},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, FSCTL_REQUEST_OPLOCK,
         false},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST,
         FSCTL_REQUEST_OPLOCK_LEVEL_1, false},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST,
         FSCTL_REQUEST_OPLOCK_LEVEL_2, false},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, FSCTL_REQUEST_BATCH_OPLOCK,
         false},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, FSCTL_REQUEST_FILTER_OPLOCK,
         false},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST,
         FSCTL_OPLOCK_BREAK_ACKNOWLEDGE, false},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, plain_code, true},
        {MINIPEND_OPERATION_FS_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, FSCTL_LOCK_VOLUME, false},
    };
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        Neighbour below(world, u"below", BELOW);
        below.driver.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction != IRP_MJ_DIRECTORY_CONTROL) {
                return FLT_PREOP_SUCCESS_NO_CALLBACK; // the file system refuses them
            }
            data->IoStatus.Status = STATUS_SUCCESS;
            data->IoStatus.Information = 0;
            return FLT_PREOP_COMPLETE;
        };
        const Client client;
        const File file = File::create(u"D:\\a");
        for (const Case &one : cases) {
            take(client, {synchronize(bit(one.operation), 1)}, 0);
            const auto before = client.counters_at_rest().total(one.operation);
            inside(world, [&](fltsim::World &here) { send(here, file, one.major, one.minor, one.code); });
            const auto after = client.counters_at_rest().total(one.operation);
            CHECK_EQ(after.Synchronized - before.Synchronized, one.may ? 1u : 0u);
            CHECK_EQ(after.Refused[MINIPEND_REFUSAL_POLICY] - before.Refused[MINIPEND_REFUSAL_POLICY],
                     one.may ? 0u : 1u);
        }
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// A synchronised create waits too, and needs no asking for it.
SPINE_TEST(a_synchronised_create_is_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule = synchronize_gate(bit(MINIPEND_OPERATION_CREATE));
    rule.path = u"\\a";
    take(client, {rule});
    auto opening = world.start([] { return File::create(u"D:\\a").error(); });
    const MINIPEND_HELD_ENTRY entry = client.held(1).entries.at(0);
    CHECK_EQ(entry.Operation, MINIPEND_OPERATION_CREATE);
    CHECK_EQ(client.release_one(entry.HeldId).Released, 1u);
    CHECK_EQ(opening.get(), 0u);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_CREATE).Synchronized, 1u);
}

/// A rule that may win asks for it, another one does, which pends: what was synchronised is held in its thread all the same [SYNC-06].
SPINE_TEST(a_synchronised_operation_is_not_pended) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule maybe = synchronize(RENAMES, 1);
    maybe.everyNth = 2;
    take(client, {maybe, pend_renames(1)}, 0);
    const File file = File::create(u"D:\\0");
    for (const char16_t *name : {u"D:\\1", u"D:\\2", u"D:\\3", u"D:\\4"}) {
        CHECK_EQ(file.rename(name), 0u);
    }
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Synchronized, 4u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 0u);
}

} // namespace MINIPEND_TEST_FILE
