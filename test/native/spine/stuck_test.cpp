// SPDX-License-Identifier: MIT
//
// This module provides: scenarios in which giving back gets stuck: the post-operation of a filter above, which runs in the thread that gives back [POST-05], does
// not return. Deadlines, releases and the look at terminating threads must not depend on it.

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr int STUCK = 6; ///< more than the releasing threads that there are from the beginning

std::u16string name_of_file(char16_t name) {
    return u"D:\\" + std::u16string(1, name);
}

std::future<DWORD> start_rename(const TestWorld &world, char16_t name) {
    return world.start([name] { return File::create(name_of_file(name)).rename(name_of_file(name) + u"2"); });
}

/// A filter above that does not return from the post-operations of renames of \0, \1, ... until the gate opens.
struct Swamp {
    Gate gate;
    Neighbour above;
    std::vector<std::future<DWORD>> stuck;

    explicit Swamp(const TestWorld &world) : above(world, u"above", ABOVE) {
        above.driver.post = [this](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID,
                                   FLT_POST_OPERATION_FLAGS) {
            const UNICODE_STRING &name = objects->FileObject->FileName;
            if (is_rename(data) && name.Length >= 2 * sizeof(WCHAR) && name.Buffer[1] <= u'9') {
                CHECK(gate.pass());
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
    }
    void fill(const TestWorld &world, int count) {
        for (int i = 0; i < count; ++i) {
            stuck.push_back(start_rename(world, static_cast<char16_t>(u'0' + i)));
        }
    }
    void drain(const TestWorld &world) {
        gate.open(world);
        for (auto &rename : stuck) {
            CHECK_EQ(rename.get(), 0u);
        }
    }
};

/// Long enough for the callback to return first: what is given back before that goes on in the requestor's thread [POST-07], and no releasing thread is stuck.
constexpr uint32_t SOON_MS = 40;

std::vector<Rule> rules() {
    return {gate_rule(RENAMES, LONG_MS, u"\\g"), pend_renames(300, u"\\d"), pend_renames(SOON_MS, u"\\?")};
}

} // namespace

/// All releasing threads are stuck, and another, and another: what is due, released, or waited for by a terminating thread comes back all the same.
SPINE_TEST(more_threads_come_when_all_are_stuck) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        Swamp swamp(world);
        const Client client;
        CHECK_EQ(client.set_rules(rules(), 1).Status, STATUS_SUCCESS);
        swamp.fill(world, STUCK);
        CHECK(eventually([&] { return swamp.gate.waiting == STUCK; }));
        CHECK_EQ(start_rename(world, u'd').get(), 0u); // its delay
        auto gated = start_rename(world, u'g');
        client.held(1);
        CHECK_EQ(client.release_all().Released, 1u);
        CHECK_EQ(gated.get(), 0u);
        std::atomic<uint32_t> thread_id{0};
        auto dying = world.start([&] {
            thread_id = GetCurrentThreadId();
            File::open(u"D:\\g2").rename(u"D:\\g");
            File::open(u"D:\\g").rename(u"D:\\x");
        });
        client.held(1);
        CHECK_EQ(FltSimTerminateThread(world.number(), thread_id), 0);
        dying.get();
        CHECK_EQ(swamp.gate.waiting, STUCK);
        swamp.drain(world);
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// A thread that cannot be had is asked for again.
SPINE_TEST(a_thread_that_cannot_be_had_comes_later) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        Swamp swamp(world);
        const Client client;
        CHECK_EQ(client.set_rules(rules(), 1).Status, STATUS_SUCCESS);
        CHECK_EQ(FltSimSetFault(world.number(), "PsCreateSystemThread", 0, 2), 0);
        swamp.fill(world, 3);
        CHECK(eventually([&] { return swamp.gate.waiting == 3; }));
        CHECK(world.report().find("PsCreateSystemThread fails on request") != std::string::npos);
        swamp.drain(world);
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// MaxReleaseThreads is the bound: what is stuck beyond it waits, and is not lost.
SPINE_TEST(there_are_never_more_threads_than_allowed) {
    TestWorld world(executor);
    set_parameter(world, u"MaxReleaseThreads", 3);
    load_and_attach({u"D:"});
    {
        Swamp swamp(world);
        const Client client;
        CHECK_EQ(client.set_rules(rules(), 1).Status, STATUS_SUCCESS);
        swamp.fill(world, 5);
        CHECK(eventually([&] { return swamp.gate.waiting == 3; }));
        auto due = start_rename(world, u'd');
        CHECK(eventually([&] { return client.counters().head().HeldNow == 3; }));
        CHECK(due.wait_for(std::chrono::milliseconds(600)) == std::future_status::timeout);
        CHECK_EQ(swamp.gate.waiting, 3);
        swamp.drain(world);
        CHECK_EQ(due.get(), 0u);
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// TeardownStart gives back in its own thread. When it is stuck with the first, the others are given back by the releasing threads.
SPINE_TEST(a_teardown_that_is_stuck_keeps_nobody_else) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        Swamp swamp(world);
        const Client client;
        CHECK_EQ(client.set_rules({gate_rule(RENAMES, LONG_MS)}, 1).Status, STATUS_SUCCESS);
        swamp.fill(world, 1);
        client.held(1);
        auto other = start_rename(world, u'x');
        client.held(2);
        auto detaching = world.start([] { return FilterDetach(u"minipend", u"D:", nullptr); });
        CHECK_EQ(other.get(), 0u);
        CHECK(eventually([&] { return swamp.gate.waiting == 1; })); // the other one may have been quicker
        swamp.drain(world);
        CHECK_EQ(detaching.get(), S_OK);
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

} // namespace MINIPEND_TEST_FILE
