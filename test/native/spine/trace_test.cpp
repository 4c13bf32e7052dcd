// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of the driver's ETW events.

#include <algorithm>

#include "bells.hpp"
#include "ke/trace.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t EVENTS_OF_ONE = 4; ///< taken, parked, released, completed

/// A rule that pends renames and asks for their names.
Rule named_renames() {
    Rule rule = pend_renames(0);
    rule.flags = MINIPEND_RULE_NAME;
    return rule;
}

} // namespace

/// The same events go to ETW while somebody listens, also when no client has a ring.
SPINE_TEST(etw_events_tell_the_life_of_an_operation) {
    TestWorld world(executor);
    load_and_attach({u"D:", u"E:"});
    const Client client;
    CHECK_EQ(client.set_rules({named_renames()}).Status, STATUS_SUCCESS);
    Renamer renamer(u"a");
    renamer.rename();
    CHECK_EQ(FltSimEnableTrace(world.number(), 1, 0, 0), 0);
    renamer.rename();
    client.counters_at_rest();
    // Of the newest operation: the end of the one before may come late.
    std::vector<fltsim::ke::TraceEvent> log;
    const auto held_id = [](const fltsim::ke::TraceEvent &event) {
        uint64_t id = 0;
        std::memcpy(&id, event.data.data() + offsetof(MINIPEND_EVENT, HeldId) - offsetof(MINIPEND_EVENT, Time100ns),
                    sizeof(id));
        return id;
    };
    const auto read_log = [&] {
        inside(world, [&](fltsim::World &) {
            const fltsim::KernelCall call("EtwWrite");
            log.assign(fltsim::ke::trace().log.begin(), fltsim::ke::trace().log.end());
        });
        uint64_t newest = 0;
        for (const auto &event : log) {
            newest = std::max(newest, held_id(event));
        }
        std::erase_if(log, [&](const auto &event) { return held_id(event) != newest; });
        return log.size();
    };
    CHECK(eventually([&] { return read_log() >= EVENTS_OF_ONE; }));
    need(log.size() == EVENTS_OF_ONE, "one operation, four events");
    const uint64_t last_id = held_id(log[0]);
    const uint16_t order[EVENTS_OF_ONE] = {MINIPEND_EVENT_KIND_TAKEN, MINIPEND_EVENT_KIND_PARKED,
                                           MINIPEND_EVENT_KIND_RELEASED, MINIPEND_EVENT_KIND_COMPLETED};
    for (size_t i = 0; i < EVENTS_OF_ONE; ++i) {
        CHECK_EQ(log[i].descriptor.Id, order[i] + 1u);
        CHECK_EQ(log[i].descriptor.Level, 4u);
        CHECK_EQ(log[i].descriptor.Keyword, 1u);
        MINIPEND_EVENT event{};
        const size_t fixed = offsetof(MINIPEND_EVENT, Name) - offsetof(MINIPEND_EVENT, Time100ns);
        const std::u16string name = u"\\a2"; // as it was before the second rename
        need(log[i].data.size() == fixed + name.size() * 2, "the data is the event without its number");
        std::memcpy(reinterpret_cast<char *>(&event) + offsetof(MINIPEND_EVENT, Time100ns), log[i].data.data(),
                    log[i].data.size());
        CHECK_EQ(event.Kind, order[i]);
        CHECK_EQ(event.RuleId, 1u);
        CHECK_EQ(event.ConnectionId, client.hello().ConnectionId);
        CHECK(name_of(event.Name, event.NameChars) == name);
    }
    // Only refusals are asked for: nothing comes. Then nothing is asked for.
    CHECK_EQ(FltSimEnableTrace(world.number(), 1, 0, 2), 0);
    renamer.rename();
    CHECK_EQ(FltSimEnableTrace(world.number(), 0, 0, 0), 0);
    renamer.rename();
    client.counters_at_rest();
    CHECK_EQ(read_log(), EVENTS_OF_ONE);
    CHECK_EQ(held_id(log[0]), last_id);

    // A refusal has its own keyword: on FAT a rename has a top-level IRP.
    CHECK_EQ(FltSimEnableTrace(world.number(), 1, 0, 2), 0);
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), 0u);
    client.counters_at_rest();
    inside(world, [&](fltsim::World &) {
        const fltsim::KernelCall call("EtwWrite");
        const fltsim::ke::TraceEvent &refusal = fltsim::ke::trace().log.back();
        CHECK_EQ(refusal.descriptor.Id, MINIPEND_EVENT_KIND_REFUSED + 1u);
        CHECK_EQ(refusal.descriptor.Keyword, 2u);
    });
}

} // namespace MINIPEND_TEST_FILE
