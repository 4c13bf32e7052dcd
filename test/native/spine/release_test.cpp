// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of releasing: by one name or many, by force, with a failure, twice, and by who may not.

#include <map>

#include "gates.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

SPINE_TEST(a_release_can_fail_the_operation) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {gate()});
    auto renaming = start_rename(world, u"a");
    const uint64_t id = client.held(1).entries.at(0).HeldId;
    // Not failures, or instructions to somebody else.
    for (const NTSTATUS status :
         {STATUS_PENDING, STATUS_REPARSE, static_cast<NTSTATUS>(0x80000005), NTSTATUS{1}, STATUS_FLT_DISALLOW_FAST_IO,
          STATUS_FLT_NOT_SAFE_TO_POST_OPERATION, STATUS_FLT_DELETING_OBJECT, STATUS_MORE_PROCESSING_REQUIRED}) {
        CHECK_FAULT(client.release_one(id, status), STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RELEASE_STATUS);
        CHECK_FAULT(client.release_all(status), STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RELEASE_STATUS);
    }
    CHECK_EQ(client.list_held().entries.size(), 1u);
    CHECK_RELEASED(client.release_one(id, STATUS_DISK_FULL), 1);
    CHECK_EQ(renaming.get(), ERROR_DISK_FULL);
    CHECK(exists(u"D:\\a2")); // it has happened all the same
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Failed, 1u);
}

/// The rule's failure, and a client's that goes before it.
SPINE_TEST(a_rule_can_fail_what_it_holds) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule = gate();
    rule.failStatus = STATUS_ACCESS_DENIED;
    take(client, {rule});
    auto first = start_rename(world, u"a");
    CHECK_RELEASED(client.release_one(client.held(1).entries.at(0).HeldId), 1);
    CHECK_EQ(first.get(), ERROR_ACCESS_DENIED);
    auto second = start_rename(world, u"b");
    CHECK_RELEASED(client.release_one(client.held(1).entries.at(0).HeldId, STATUS_DISK_FULL), 1);
    CHECK_EQ(second.get(), ERROR_DISK_FULL);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Failed, 2u);
}

SPINE_TEST(a_rule_a_set_or_everything_is_released) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {gate(u"\\a", 1), gate(u"\\b", 2), gate(u"\\c", 2)}, 1);
    take(client, {gate(u"\\d", 2)}, 2);
    take(client, {gate(u"\\e", 1), gate(u"\\f", 2)}, 4);
    std::map<char16_t, std::future<DWORD>> renames;
    for (const char16_t name : std::u16string_view(u"abcdef")) {
        renames[name] = start_rename(world, std::u16string(1, name));
    }
    const HeldList list = client.held(renames.size());
    CHECK_FAULT(client.release_rule(9, 9), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_RELEASED(client.release_rule(1, 2), 2);
    CHECK_EQ(renames[u'b'].get(), 0u);
    CHECK_EQ(renames[u'c'].get(), 0u);
    CHECK_RELEASED(client.release_rule(1, 2), 0);
    CHECK_FAULT(client.release_one(entry_of(list, u"\\b").HeldId), STATUS_NOT_FOUND, MINIPEND_DETAIL_HELD_UNKNOWN);
    CHECK_RELEASED(client.release_set(4), 2);
    CHECK_EQ(renames[u'e'].get(), 0u);
    CHECK_EQ(renames[u'f'].get(), 0u);
    const HeldList rest = client.list_held();
    CHECK_EQ(rest.entries.size(), 2u);
    CHECK_EQ(entry_of(rest, u"\\a").SetId, 1u);
    CHECK_EQ(entry_of(rest, u"\\d").SetId, 2u);
    CHECK_RELEASED(client.release_all(STATUS_DISK_FULL), 2);
    CHECK_EQ(renames[u'a'].get(), ERROR_DISK_FULL);
    CHECK_EQ(renames[u'd'].get(), ERROR_DISK_FULL);
    CHECK(client.counters_at_rest().balanced(true));
}

/// Another client sees what is held, and releases it only by force.
SPINE_TEST(a_stranger_needs_force) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client owner;
    const Client stranger;
    take(owner, {gate()});
    owner.subscribe();
    auto first = start_rename(world, u"a");
    auto second = start_rename(world, u"b");
    const uint64_t id = stranger.held(2).entries.at(0).HeldId;
    CHECK(stranger.list_held(MINIPEND_LIST_HELD_OWN).entries.empty());
    CHECK_EQ(owner.list_held(MINIPEND_LIST_HELD_OWN).entries.size(), 2u);
    CHECK_FAULT(stranger.release_one(id), STATUS_ACCESS_DENIED, MINIPEND_DETAIL_HELD_FOREIGN);
    CHECK_RELEASED(stranger.release_all(), 0);
    CHECK_RELEASED(stranger.release_set(GATE_SET), 0);
    CHECK_RELEASED(stranger.release_rule(GATE_SET, GATE_ID), 0);
    CHECK_EQ(owner.list_held().entries.size(), 2u);
    CHECK_RELEASED(stranger.release_one(id, 0, MINIPEND_RELEASE_FORCE), 1);
    CHECK_RELEASED(stranger.release_all(STATUS_DISK_FULL, MINIPEND_RELEASE_FORCE), 1);
    const DWORD errors[] = {first.get(), second.get()};
    CHECK_EQ(errors[0] + errors[1], ERROR_DISK_FULL);
    for (const uint32_t cause : causes(owner, 2)) {
        CHECK_EQ(cause, MINIPEND_RELEASE_CAUSE_FORCED);
    }
    CHECK(owner.counters_at_rest().balanced(true));
}

/// Cleanups cannot fail, and a create that has succeeded not any more [BUF-07, CRE-04]: one alone is refused, of many it is said.
SPINE_TEST(what_cannot_fail_keeps_its_status) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule = gate();
    rule.operations = RENAMES | bit(MINIPEND_OPERATION_CLEANUP);
    rule.flags = MINIPEND_RULE_KERNEL_MODE; // the requestor of cleanups
    File file = File::create(u"D:\\c");
    take(client, {rule});
    auto closing = world.start([&] { return file.close(); });
    const uint64_t cleanup = client.held(1).entries.at(0).HeldId;
    CHECK_FAULT(client.release_one(cleanup, STATUS_DISK_FULL), STATUS_INVALID_PARAMETER,
                MINIPEND_DETAIL_RELEASE_STATUS);
    auto renaming = world.start([] {
        const File other = File::create(u"D:\\d");
        const DWORD error = other.rename(u"D:\\e");
        return error;
    });
    client.held(2);
    check_release(client.release_all(STATUS_DISK_FULL), 2, 1, __LINE__);
    CHECK(closing.get());
    take(client, {}); // the other file's cleanup
    CHECK(eventually([&] {
        client.release_all();
        return client.counters().head().HeldNow == 0;
    }));
    CHECK_EQ(renaming.get(), ERROR_DISK_FULL);

    rule.operations = bit(MINIPEND_OPERATION_CREATE);
    take(client, {rule});
    auto opening = world.start([] { return File::create(u"D:\\new").error(); });
    const uint64_t create = client.held(1).entries.at(0).HeldId;
    CHECK_FAULT(client.release_one(create, STATUS_DISK_FULL), STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RELEASE_STATUS);
    CHECK_RELEASED(client.release_one(create), 1);
    CHECK_EQ(opening.get(), 0u);
    // One that failed below may fail otherwise.
    auto missing = world.start([] { return File::open(u"D:\\missing").error(); });
    CHECK_RELEASED(client.release_one(client.held(1).entries.at(0).HeldId, STATUS_ACCESS_DENIED), 1);
    CHECK_EQ(missing.get(), ERROR_ACCESS_DENIED);
    take(client, {});
    CHECK(client.counters_at_rest().balanced(true));
}

/// Two clients, or two threads of one, release the same operations: exactly one of them is told so.
SPINE_TEST(two_that_release_one_operation) {
    constexpr int count = 24;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client owner;
    const Client other;
    take(owner, {gate()});
    std::vector<std::future<DWORD>> renames;
    for (int i = 0; i < count; ++i) {
        renames.push_back(start_rename(world, u"f" + std::u16string(1, static_cast<char16_t>(u'a' + i))));
    }
    const HeldList list = owner.held(count);
    const auto release_all = [&](const Client &client) {
        uint32_t released = 0;
        for (const MINIPEND_HELD_ENTRY &entry : list.entries) {
            const auto reply = client.release_one(entry.HeldId, 0, MINIPEND_RELEASE_FORCE);
            CHECK(reply.Header.Status == STATUS_SUCCESS || reply.Header.Detail == MINIPEND_DETAIL_HELD_UNKNOWN);
            released += reply.Released;
        }
        return released;
    };
    auto a = world.start([&] { return release_all(owner); });
    auto b = world.start([&] { return release_all(other); });
    auto c = world.start([&] { return release_all(owner); });
    CHECK_EQ(a.get() + b.get() + c.get(), static_cast<uint32_t>(count));
    for (auto &renaming : renames) {
        CHECK_EQ(renaming.get(), 0u);
    }
    const Counters counters = owner.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Completed, static_cast<uint64_t>(count));
}

/// A release whose answer cannot be copied out has released nothing.
SPINE_TEST(a_release_that_cannot_be_answered_changes_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {gate()});
    auto renaming = start_rename(world, u"a");
    const uint64_t id = client.held(1).entries.at(0).HeldId;
    alignas(8) MINIPEND_RELEASE_REQUEST request{};
    request.Header = head_of(sizeof(request), MINIPEND_COMMAND_RELEASE);
    request.What = MINIPEND_RELEASE_WHAT_ONE;
    request.HeldId = id;
    DWORD returned = 0;
    CHECK_EQ(FilterSendMessage(client.port(), &request, sizeof(request), reinterpret_cast<void *>(0x10000),
                               sizeof(MINIPEND_RELEASE_REPLY), &returned),
             HRESULT_FROM_WIN32(ERROR_NOACCESS));
    CHECK_EQ(client.list_held().entries.size(), 1u);
    CHECK_RELEASED(client.release_one(id), 1);
    CHECK_EQ(renaming.get(), 0u);
}

/// A persistent rule is nobody's: its maker has no more right to what it holds than others, and need not be there.
SPINE_TEST(what_a_persistent_rule_holds_is_nobodys) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    std::future<DWORD> renaming;
    {
        const Client maker;
        take(maker, {pend_renames(LONG_MS)}, 0, MINIPEND_SET_RULES_PERSIST);
        renaming = start_rename(world, u"a");
        const MINIPEND_HELD_ENTRY entry = maker.held(1).entries.at(0);
        CHECK_EQ(entry.ConnectionId, 0u);
        CHECK(maker.list_held(MINIPEND_LIST_HELD_OWN).entries.empty());
        CHECK_FAULT(maker.release_one(entry.HeldId), STATUS_ACCESS_DENIED, MINIPEND_DETAIL_HELD_FOREIGN);
        CHECK_RELEASED(maker.release_all(), 0);
    }
    CHECK(eventually([&] { return watcher.counters().head().ConnectionCount == 1; }));
    CHECK_EQ(watcher.list_held().entries.size(), 1u);
    CHECK_RELEASED(watcher.release_all(0, MINIPEND_RELEASE_FORCE), 1);
    CHECK_EQ(renaming.get(), 0u);
    take(watcher, {}, 0, MINIPEND_SET_RULES_PERSIST);
    CHECK_EQ(start_rename(world, u"b").get(), 0u);
    CHECK_EQ(watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Completed, 1u);
}

} // namespace MINIPEND_TEST_FILE
