// SPDX-License-Identifier: MIT
//
// This module provides: what scenario tests do to the inside of their world: the driver's registry parameters, filters above and below the
// driver, and gates at which a callback waits.
#pragma once

#include <atomic>
#include <functional>
#include <string_view>

#include "../flt/recorder.hpp"
#include "core/handles.hpp"
#include "core/registry.hpp"
#include "spine.hpp"

namespace spine {

constexpr uint64_t RENAMES = bit(MINIPEND_OPERATION_RENAME);
constexpr uint32_t RULE_SET = 1; ///< the set of rules of whoever names none
constexpr uint32_t LONG_MS = 30'000; ///< longer than any test waits: only a release ends such a hold

/// Runs `body` in a simulated thread of the calling host thread.
inline void inside(const TestWorld &world, const std::function<void(fltsim::World &)> &body) {
    const auto here = fltsim::world_by_number(world.number());
    need(here != nullptr, "the world is gone");
    need(here->host_call([&] { body(*here); }), "the world stopped");
}

/// Sets a DWORD under the driver's Parameters key; the driver reads it when it is loaded.
inline void set_parameter(const TestWorld &world, std::u16string_view name, uint32_t value) {
    inside(world, [&](fltsim::World &here) {
        const fltsim::KernelCall call("ZwSetValueKey");
        here.registry->set(fltsim::Registry::service_key(u"minipend") + u"\\Parameters", name, value);
    });
}

/// Code of a callback waits here until the test, or another callback, opens it; ten seconds at most, so that a wrong driver fails a test
/// and does not hang it.
class Gate {
  public:
    /// In a callback below DISPATCH_LEVEL. False: nobody opened it.
    bool pass() {
        const fltsim::KernelCall call("KeWaitForSingleObject");
        ++waiting;
        constexpr uint64_t limit_100ns = 100'000'000;
        const bool passed = fltsim::world().block(
            this, [this] { return open_.load(); }, fltsim::world().interrupt_time_100ns() + limit_100ns);
        --waiting;
        return passed;
    }
    /// Inside the world.
    void open_here() {
        const fltsim::KernelCall call("KeSetEvent");
        open_ = true;
        fltsim::world().wake(this);
    }
    void open(const TestWorld &world) {
        inside(world, [this](fltsim::World &) { open_here(); });
    }
    std::atomic<int> waiting{0};

  private:
    std::atomic<bool> open_{false};
};

/// A filter above or below the driver on D:, for as long as it lives. At most one at a time is unloaded: give them names in reverse
/// order of their making.
class Neighbour {
  public:
    Neighbour(const TestWorld &world, std::u16string name, std::u16string altitude)
        : world_(world), driver(std::move(name), std::move(altitude)) {
        inside(world_, [this](fltsim::World &here) { CHECK_EQ(driver.load(here), STATUS_SUCCESS); });
        CHECK_EQ(FilterAttach(driver.name.c_str(), u"D:", nullptr, 0, nullptr), S_OK);
    }
    ~Neighbour() { CHECK_EQ(FilterUnload(driver.name.c_str()), S_OK); }
    Neighbour(const Neighbour &) = delete;
    Neighbour &operator=(const Neighbour &) = delete;

  private:
    const TestWorld &world_;

  public:
    recorder::Driver driver;
};

constexpr const char16_t *ABOVE = u"400000"; ///< altitudes; the driver's own is 370199.5
constexpr const char16_t *BELOW = u"100000";

inline bool is_rename(const FLT_CALLBACK_DATA *data) {
    return data->Iopb->MajorFunction == IRP_MJ_SET_INFORMATION &&
           data->Iopb->Parameters.SetFileInformation.FileInformationClass == FileRenameInformation;
}

inline Rule pend_renames(uint32_t delay_ms, std::u16string path = u"") {
    Rule rule;
    rule.operations = RENAMES;
    rule.delayMs = delay_ms;
    rule.path = std::move(path);
    return rule;
}

/// Has the rules put in force, which the driver must not refuse.
inline void take(const Client &client, const std::vector<Rule> &rules, uint32_t set_id = RULE_SET, uint32_t flags = 0) {
    const MINIPEND_REPLY_HEADER head = client.set_rules(rules, set_id, flags);
    CHECK_EQ(head.Status, STATUS_SUCCESS);
    CHECK_EQ(head.Detail, static_cast<uint32_t>(MINIPEND_DETAIL_NONE));
}

} // namespace spine
