// SPDX-License-Identifier: MIT
//
// This module provides: what the tests of gates share (gate_test.cpp, release_test.cpp).
#pragma once

#include "raw_port.hpp"

namespace spine {

constexpr uint32_t GATE_SET = RULE_SET;
constexpr uint32_t GATE_ID = 9;

inline Rule gate(std::u16string path = u"", uint32_t id = GATE_ID, uint32_t deadline_ms = LONG_MS) {
    Rule rule = gate_rule(RENAMES, deadline_ms, std::move(path));
    rule.id = id;
    return rule;
}

/// Renames D:\<name> to D:\<name>2 on a thread of its own.
inline std::future<DWORD> start_rename(const TestWorld &world, const std::u16string &name) {
    return world.start([name] { return File::create(u"D:\\" + name).rename(u"D:\\" + name + u"2"); });
}

/// The entry of one name. Ends the test when there is none.
inline MINIPEND_HELD_ENTRY entry_of(const HeldList &list, std::u16string_view name) {
    for (const MINIPEND_HELD_ENTRY &entry : list.entries) {
        if (name_of(entry.Name, entry.NameChars) == name) {
            return entry;
        }
    }
    need(false, "it is not listed");
    return {};
}

inline void check_release(const MINIPEND_RELEASE_REPLY &reply, uint32_t released, uint32_t not_applied, int line) {
    if (reply.Header.Status != STATUS_SUCCESS || reply.Released != released || reply.StatusNotApplied != not_applied) {
        check::failed(__FILE__, line,
                      "status " + check::shown(reply.Header.Status) + ", released " + std::to_string(reply.Released) +
                          ", not applied " + std::to_string(reply.StatusNotApplied));
    }
}
#define CHECK_RELEASED(Reply, Count) check_release(Reply, Count, 0, __LINE__)

inline void check_fault(const MINIPEND_RELEASE_REPLY &reply, NTSTATUS status, MINIPEND_DETAIL detail, int line) {
    if (reply.Header.Status != status || reply.Header.Detail != static_cast<uint32_t>(detail)) {
        check::failed(__FILE__, line,
                      "status " + check::shown(reply.Header.Status) + ", detail " +
                          std::to_string(reply.Header.Detail));
    }
    CHECK_EQ(reply.Released, 0u);
}
#define CHECK_FAULT(Reply, Status, Detail) check_fault(Reply, Status, Detail, __LINE__)

/// The causes of the completed events, in their order, once there are `count`.
inline std::vector<uint32_t> causes(const Client &client, size_t count) {
    std::vector<uint32_t> found;
    CHECK(eventually([&] {
        found.clear();
        for (const MINIPEND_EVENT &event : client.pull(0).events) {
            if (event.Kind == MINIPEND_EVENT_KIND_COMPLETED) {
                found.push_back(event.Cause);
            }
        }
        return found.size() >= count;
    }));
    return found;
}

inline uint32_t cause_of(const Client &client, size_t index) {
    return causes(client, index + 1).at(index);
}

} // namespace spine
