// SPDX-License-Identifier: MIT
//
// This module provides: event tracing as a session of a test sees it: which providers there are, the switch that a session throws, and what was
// written while it was on.
//
// Invariants: state changes under the model lock; an event's data is copied while EtwWrite runs; the log keeps the newest events, a bounded number.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/world.hpp"

namespace fltsim::ke {

struct TraceEvent {
    GUID provider{};
    EVENT_DESCRIPTOR descriptor{};
    std::vector<uint8_t> data; ///< the descriptors' pieces, one after the other
    KIRQL irql = 0;
    uint64_t thread_id = 0; ///< of the thread that the kernel API speaks of
};

/// What a session asks of providers.
struct TraceFilter {
    uint8_t level = 0; ///< events of this level and below; 0: of every level
    uint64_t any_keyword = 0; ///< events with one of these keywords; 0: of all
};

class Trace {
  public:
    struct Provider {
        GUID id{};
        PETWENABLECALLBACK callback = nullptr;
        PVOID context = nullptr;
        std::optional<TraceFilter> enabled;
        bool leaving = false; ///< being unregistered: no more callbacks
    };

    /// Turns every provider on (also those that register later) or off, and tells them. Model lock held, PASSIVE_LEVEL.
    void enable(std::optional<TraceFilter> filter);
    const std::optional<TraceFilter> &enabled() const { return filter_; }
    std::deque<TraceEvent> log;
    std::map<REGHANDLE, Provider> providers;
    REGHANDLE next_handle = 0x1001;
    /// Stops the world when a provider is still registered: the next session would call into an image that is gone.
    void check_none_registered() const;
    /// Runs the provider's callback, when it has one.
    void notify(REGHANDLE handle);
    /// Waits until its callback runs in no other thread, then forgets the provider.
    void unregister(REGHANDLE handle);

  private:
    std::optional<TraceFilter> filter_;
    std::vector<std::pair<REGHANDLE, uint64_t>>
        running_; ///< callbacks: provider and thread. Also the channel of who waits for their end
};

/// Of the current world. Model lock held.
Trace &trace();

} // namespace fltsim::ke
