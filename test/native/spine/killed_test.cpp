// SPDX-License-Identifier: MIT
//
// This module provides: a client that is killed while its message runs: its thread or its process is terminated, or its port's handle is closed by somebody else,
// at any moment of any command, while it holds operations. Whatever the moment: what it held is given back, its rules go, its place is free, nothing is left.

#include "actors.hpp"
#include "gates.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint64_t KILLER_STEPS = 8;
constexpr uint32_t EVENTS = (1u << MINIPEND_EVENT_KIND_COUNT) - 1;

/// How the client goes.
enum class End { HandleClosed, ThreadTerminated, Both, ProcessTerminated };

/// One command after the other, until one is in vain: the port is gone, or the thread is to end.
class Talk {
  public:
    Talk(fltsim::World &world, const Client &client) : world_(world), client_(client) {}
    void until_it_fails() {
        for (uint32_t round = 0; round < ROUNDS_MAX && !failed; ++round) {
            const uint32_t persist = round % 3 == 1 ? MINIPEND_SET_RULES_PERSIST : 0;
            note([&] { return client_.set_rules({gate()}, 5 + round % 3); });
            note([&] { return client_.list_held(MINIPEND_LIST_HELD_ARM).reply.Header; });
            note([&] { return client_.list_rules().reply.Header; });
            note([&] { return client_.subscribe(EVENTS, 0, MINIPEND_MIN_EVENT_RING).Header; });
            note([&] { return client_.pull(0, MINIPEND_PULL_EVENTS_ARM).reply.Header; });
            note([&] { return client_.release_rule(GATE_SET, GATE_ID + 1).Header; });
            note([&] { return client_.counters().head().Header; });
            note([&] { return client_.set_rules({pend_renames(0)}, 0, persist); });
            note([&] { return client_.set_rules({}, 0, persist); });
        }
    }
    uint64_t answered = 0;
    bool failed = false;

  private:
    static constexpr uint32_t ROUNDS_MAX = 1'000;
    /// Either it is carried out, or there is nobody any more.
    template <class F> void note(F &&send) {
        if (failed) {
            return;
        }
        failed = send().Status != STATUS_SUCCESS;
        answered += failed ? 0 : 1;
        nap(world_, world_.random(PAUSE_MICROSECONDS));
    }
    static constexpr uint64_t PAUSE_MICROSECONDS = 100;
    fltsim::World &world_;
    const Client &client_;
};

struct Tally {
    uint64_t worlds = 0;
    uint64_t answered = 0;
};

void kill(fltsim::World &world, End end, Tally &tally) {
    load_and_attach({u"D:"});
    const Client watcher;
    std::unique_ptr<Client> victim;
    std::atomic<uint32_t> victim_thread{0};
    uint32_t process_id = 0;
    CHECK_EQ(FltSimCreateProcess(world.number, &process_id), 0);
    fltsim::Process *const process = end == End::ProcessTerminated ? world.process_by_id(process_id) : nullptr;
    Actors actors(world);
    const File held_file = File::create(u"D:\\held");
    const File file = File::create(u"D:\\a");
    const auto live = [&] {
        victim_thread = GetCurrentThreadId();
        victim = Client::try_connect(victim_thread);
        need(victim != nullptr, "it connects");
        CHECK_EQ(victim->set_rules({gate(u"\\held")}, GATE_SET).Status, STATUS_SUCCESS);
        Talk talk(world, *victim);
        talk.until_it_fails();
        CHECK(talk.failed);
        tally.answered += talk.answered;
    };
    actors.add("client", 1, live, process);
    CHECK(until(world, [&] { return watcher.counters().head().RuleGeneration != 0; }));
    actors.add("held requestor", 2, [&] { CHECK_EQ(held_file.rename(u"D:\\held2"), 0u); });
    actors.add("requestor", KILLER_STEPS, [&] { CHECK_EQ(file.rename(u"D:\\b"), 0u); });
    actors.add("killer", KILLER_STEPS, [&] {
        if (end == End::ProcessTerminated) {
            CHECK_EQ(FltSimTerminateProcess(world.number, process_id), 0);
            return;
        }
        if (end != End::HandleClosed) {
            CHECK_EQ(FltSimTerminateThread(world.number, victim_thread), 0);
        }
        if (end != End::ThreadTerminated) {
            victim->close();
        }
    });
    actors.join(); // so both renames have come back

    victim->close();
    CHECK(until(world, [&] { return watcher.counters().head().ConnectionCount == 1; }));
    CHECK_EQ(watcher.set_rules({}, 0, MINIPEND_SET_RULES_PERSIST).Status, STATUS_SUCCESS);
    CHECK(until(world, [&] { return watcher.counters().balanced(true); }));
    CHECK_EQ(watcher.list_held().reply.HeldNow, 0u);
    // None of its rules is in force.
    const uint64_t pended = watcher.counters().total(MINIPEND_OPERATION_RENAME).Pended;
    CHECK_EQ(file.rename(u"D:\\c"), 0u);
    CHECK_EQ(watcher.counters().total(MINIPEND_OPERATION_RENAME).Pended, pended);
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
    tally.worlds++;
}

void kill_with_seeds(End end) {
    Tally tally;
    const Seeds seeds(3, 1'000);
    seeds.play([&](fltsim::World &world) { kill(world, end, tally); });
    CHECK(tally.answered > tally.worlds); // it had begun to talk
    std::printf("  %llu seeds, %llu messages answered before the end\n", static_cast<unsigned long long>(tally.worlds),
                static_cast<unsigned long long>(tally.answered));
}

} // namespace

TEST(a_client_whose_handle_is_closed_while_a_message_runs) {
    kill_with_seeds(End::HandleClosed);
}

TEST(a_client_whose_thread_is_terminated_while_a_message_runs) {
    kill_with_seeds(End::ThreadTerminated);
}

TEST(a_client_that_is_killed_while_a_message_runs) {
    kill_with_seeds(End::Both);
}

TEST(a_client_whose_process_is_terminated_while_a_message_runs) {
    kill_with_seeds(End::ProcessTerminated);
}

} // namespace MINIPEND_TEST_FILE
