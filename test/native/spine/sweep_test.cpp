// SPDX-License-Identifier: MIT
//
// This module provides: "allocation failing everywhere", and every other call of the driver's that can fail. A scene is played again and again, and each time another
// one of those calls fails: the first, the second, ... until none is left, and each with every status that it is documented to have (core/faults.cpp).
//
// Whichever call fails: what the driver was asked for either says so and, asked for again, works, or has worked without it; no requestor sees a failure;
// what was held comes back; the counters balance; the driver goes on working; and it unloads, leaving nothing.

#include <map>
#include <set>

#include "actions.hpp"
#include "actors.hpp"
#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t ALL_KINDS = (1u << MINIPEND_EVENT_KIND_COUNT) - 1;
constexpr uint32_t HOLD_MS = 5;
constexpr uint32_t SET = 3;

/// One playing of a scene: what it works with, and what became of it.
class Play {
  public:
    Play(fltsim::World &world, std::map<std::string, uint64_t> &reported) : world(world), reported_(reported) {}

    /// Something that the driver is asked to do. It may fail only because a call failed on request, and not twice.
    template <class F> void ask(const char *what, F &&act) {
        const size_t before = fired();
        if (act()) {
            return;
        }
        if (fired() == before) {
            check::failed(__FILE__, __LINE__, std::string(what) + " fails, and no call has");
            return;
        }
        reported_[world.faults->fired().back().function]++;
        if (!act()) {
            check::failed(__FILE__, __LINE__, std::string(what) + " fails again");
        }
    }
    size_t fired() const { return world.faults->fired().size(); }

    void load() {
        ask("load", [] { return FilterLoad(u"minipend") == S_OK; });
    }
    void attach(const char16_t *volume = u"D:") {
        ask("attach", [&] { return FilterAttach(u"minipend", volume, nullptr, 0, nullptr) == S_OK; });
    }
    void connect() {
        ask("connect", [this] { return (client = Client::try_connect(GetCurrentThreadId())) != nullptr; });
    }
    void rules(const std::vector<Rule> &rules, uint32_t set = SET, uint32_t flags = 0) {
        ask("set rules", [&] { return client->set_rules(rules, set, flags).Status == STATUS_SUCCESS; });
    }
    void subscribe() {
        ask("subscribe", [this] { return client->subscribe(ALL_KINDS).Header.Status == STATUS_SUCCESS; });
    }
    /// Everything a client asks while something may be held.
    void look() {
        ask("list held", [this] { return client->list_held(MINIPEND_LIST_HELD_ARM).reply.Header.Status == 0; });
        ask("list rules", [this] { return client->list_rules().reply.Header.Status == STATUS_SUCCESS; });
        ask("pull events", [this] { return client->pull(0, MINIPEND_PULL_EVENTS_ARM).reply.Header.Status == 0; });
        ask("counters", [this] { return client->counters().head().Header.Status == STATUS_SUCCESS; });
    }
    void release() {
        ask("release", [this] { return client->release_all().Header.Status == STATUS_SUCCESS; });
    }
    /// Renames on a thread of its own: no fault of the driver's is the requestor's.
    void rename(Actors &actors, std::u16string from, std::u16string to, DWORD expected = 0) {
        actors.add("requestor", 1, [from = std::move(from), to = std::move(to), expected] {
            CHECK_EQ(File::open(from).rename(to), expected);
        });
    }

    fltsim::World &world;
    std::unique_ptr<Client> client;

  private:
    std::map<std::string, uint64_t> &reported_;
};

using Act = std::function<void(Play &)>;

void nothing(Play &) {}

/// With the driver loaded and attached, and a client that reads events.
void working(Play &play) {
    play.load();
    play.attach();
    play.connect();
    play.subscribe();
    CHECK(File::create(u"D:\\a").is_open());
    CHECK(File::create(u"D:\\c").is_open());
    CHECK_EQ(FltSimEnableTrace(play.world.number, 1, 0, 0), 0);
}

/// Two renames under the rules, looked at while they are held, and let go on.
void renames_under(Play &play, const std::vector<Rule> &rules) {
    play.rules(rules);
    Actors actors(play.world);
    play.rename(actors, u"D:\\a", u"D:\\b");
    play.rename(actors, u"D:\\c", u"D:\\d");
    play.look();
    nap(play.world, 1'000);
    play.look();
    play.release();
    play.rules({});
    play.release();
    actors.join();
    play.look();
}

struct Scene {
    const char *name;
    Act before; ///< nothing fails here
    Act act;
};

Rule with_path(Rule rule) {
    rule.path = u"*a";
    return rule;
}

const Scene SCENES[] = {
    {"load and unload", nothing,
     [](Play &play) {
         play.load();
         play.ask("unload", [] { return FilterUnload(u"minipend") == S_OK; });
         play.load();
     }},
    {"attach and detach", [](Play &play) { play.load(); },
     [](Play &play) {
         play.attach(u"D:");
         play.attach(u"E:");
         play.ask("detach", [] { return FilterDetach(u"minipend", u"D:", nullptr) == S_OK; });
     }},
    {"connect, ask, disconnect", [](Play &play) { play.load(), play.attach(); },
     [](Play &play) {
         play.connect();
         play.subscribe();
         play.look();
         play.client.reset();
         play.connect();
     }},
    {"rule sets", working,
     [](Play &play) {
         play.rules({pend_renames(0), with_path(pend_renames(0))});
         play.rules({gate_rule(RENAMES, LONG_MS)}, SET + 1);
         play.rules({pend_renames(0)});
         play.rules({pend_renames(0)}, 0, MINIPEND_SET_RULES_PERSIST);
         play.rules({}, 0, MINIPEND_SET_RULES_PERSIST);
         play.rules({});
     }},
    {"observe", working, [](Play &play) { renames_under(play, {with_path(rule_of(MINIPEND_ACTION_OBSERVE))}); }},
    {"pend", working, [](Play &play) { renames_under(play, {pend_renames(0)}); }},
    {"pend, by path", working, [](Play &play) { renames_under(play, {with_path(pend_renames(0))}); }},
    {"pend with a delay", working,
     [](Play &play) {
         Rule rule = pend_renames(HOLD_MS);
         rule.flags = MINIPEND_RULE_NAME;
         renames_under(play, {rule});
     }},
    {"gate", working, [](Play &play) { renames_under(play, {gate_rule(RENAMES, LONG_MS)}); }},
    {"gate with a status filter and sampling", working,
     [](Play &play) {
         Rule rule = gate_rule(RENAMES, LONG_MS, u"*");
         rule.statusFilter = MINIPEND_STATUS_FILTER_SUCCESS;
         rule.everyNth = 2;
         renames_under(play, {rule});
     }},
    {"whenSafe", working, [](Play &play) { renames_under(play, {rule_of(MINIPEND_ACTION_WHEN_SAFE)}); }},
    {"synchronize with a gate", working, [](Play &play) { renames_under(play, {synchronize_gate()}); }},
    {"a create that a rule fails", working,
     [](Play &play) {
         Rule rule = rule_of(MINIPEND_ACTION_PEND, bit(MINIPEND_OPERATION_CREATE));
         rule.failStatus = STATUS_DISK_FULL;
         rule.path = u"*new";
         play.rules({rule});
         Actors actors(play.world);
         actors.add("opener", 1, [] {
             // Refused before the rule was chosen: then it is not failed.
             const File file = File::create(u"D:\\new");
             CHECK(file.is_open() || file.error() == ERROR_DISK_FULL);
         });
         actors.join();
         play.look();
         play.rules({});
     }},
    {"fast I/O, reads, closes", working,
     [](Play &play) {
         Rule rule = rule_of(MINIPEND_ACTION_PEND, bit(MINIPEND_OPERATION_READ) | bit(MINIPEND_OPERATION_WRITE) |
                                                       bit(MINIPEND_OPERATION_CLEANUP) | bit(MINIPEND_OPERATION_CLOSE));
         rule.flags = MINIPEND_RULE_FAST_IO_TO_IRP | MINIPEND_RULE_KERNEL_MODE;
         rule.path = u"\\data";
         play.rules({rule});
         Actors actors(play.world);
         actors.add("reader", 1, [] {
             const File file = File::create(u"D:\\data");
             std::string text;
             CHECK_EQ(file.write("hello"), 0u);
             CHECK_EQ(file.seek(0), 0u);
             CHECK_EQ(file.read(&text, 5), 0u);
             CHECK(text == "hello");
         });
         actors.join();
         play.look();
         play.rules({});
     }},
    {"detach while something is held", working,
     [](Play &play) {
         play.rules({gate_rule(RENAMES, LONG_MS)});
         Actors actors(play.world);
         play.rename(actors, u"D:\\a", u"D:\\b");
         nap(play.world, 1'000);
         play.ask("detach", [] { return FilterDetach(u"minipend", u"D:", nullptr) == S_OK; });
         actors.join();
         play.look();
     }},
    {"disconnect while something is held", working,
     [](Play &play) {
         play.rules({gate_rule(RENAMES, LONG_MS), synchronize_gate()});
         Actors actors(play.world);
         play.rename(actors, u"D:\\a", u"D:\\b");
         nap(play.world, 1'000);
         play.client.reset();
         actors.join();
         play.connect();
     }},
    {"unload while something is held", working,
     [](Play &play) {
         play.rules({gate_rule(RENAMES, LONG_MS)});
         Actors actors(play.world);
         play.rename(actors, u"D:\\a", u"D:\\b");
         nap(play.world, 1'000);
         play.client.reset(); // an unload takes it away in any case
         play.ask("unload", [] { return FilterUnload(u"minipend") == S_OK; });
         actors.join();
         play.load();
     }},
};

/// After the scene: the driver works as ever, holds nothing, balances, and goes.
void aftermath(Play &play) {
    play.client.reset();
    FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr); // unless the scene has left it attached
    const Client client;
    Rule rule = pend_renames(0);
    rule.flags = MINIPEND_RULE_BOOT_VOLUME; // which every volume counts as when the driver could not find it out
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    const uint64_t pended = client.counters().total(MINIPEND_OPERATION_RENAME).Pended;
    Actors actors(play.world);
    actors.add("requestor", 1, [] { CHECK_EQ(File::create(u"D:\\after").rename(u"D:\\wards"), 0u); });
    actors.join();
    CHECK(until(play.world, [&] { return client.counters().balanced(true); }));
    CHECK_EQ(client.counters().total(MINIPEND_OPERATION_RENAME).Pended, pended + 1);
    CHECK_EQ(client.counters().head().ConnectionCount, 1u);
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

struct Result {
    uint32_t statuses = 0; ///< of the call that failed; 0: none did
    std::string function;
};

/// Plays the scene with the k-th call failing, by its `way`-th status.
Result play(const Scene &scene, uint32_t k, uint32_t way, std::map<std::string, uint64_t> &reported) {
    Result result;
    TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL);
    inside(world, [&](fltsim::World &here) {
        Play playing(here, reported);
        scene.before(playing);
        const std::string name = "*#" + std::to_string(way);
        CHECK(here.faults->set(name, k, 1));
        scene.act(playing);
        CHECK(here.faults->set("*", 0, 0));
        if (const auto fired = here.faults->fired(); !fired.empty()) {
            result = {fired.front().statuses, fired.front().function};
        }
        aftermath(playing);
    });
    return result;
}

} // namespace

TEST(every_call_that_can_fail_fails_once) {
    uint64_t plays = 0;
    std::set<std::string> functions;
    std::map<std::string, uint64_t> reported;
    for (const Scene &scene : SCENES) {
        uint32_t k = 0;
        uint64_t ways = 0;
        for (;; ++k) {
            const int failures = check::failures();
            Result result = play(scene, k, 0, reported);
            const uint32_t statuses = result.statuses;
            for (uint32_t way = 1; way < statuses; ++way) {
                CHECK_EQ(play(scene, k, way, reported).statuses,
                         statuses); // the same call: the world's seed is the same
            }
            if (check::failures() != failures) {
                std::fprintf(stderr, "scene \"%s\", call %u: %s\n", scene.name, k + 1, result.function.c_str());
                return;
            }
            if (statuses == 0) {
                break;
            }
            functions.insert(result.function);
            ways += statuses;
        }
        std::printf("\n  %-40s %3u calls fail in %3u ways", scene.name, k, static_cast<unsigned>(ways));
        CHECK(k > 0);
        plays += ways;
    }
    uint64_t said = 0;
    for (const auto &[function, count] : reported) {
        said += count;
    }
    std::printf("\n  %llu failures of %u functions, %llu of them reported, the others done without\n",
                static_cast<unsigned long long>(plays), static_cast<unsigned>(functions.size()),
                static_cast<unsigned long long>(said));
}

} // namespace MINIPEND_TEST_FILE
