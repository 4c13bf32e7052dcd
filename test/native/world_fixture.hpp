// SPDX-License-Identifier: MIT
//
// This module provides: worlds for tests of the model's inside (tests of the user-side API use fltsim.h instead).
#pragma once

#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "check.hpp"
#include "core/world.hpp"
#include "driver_image.hpp"

namespace check {

inline fltsim::WorldOptions virtual_world(uint64_t seed = 1) {
    fltsim::WorldOptions options;
    options.seed = seed;
    options.virtual_clock = true;
    options.driver_image = driver_image();
    return options;
}

inline fltsim::WorldOptions wall_world(bool threads = false, uint64_t seed = 1) {
    fltsim::WorldOptions options;
    options.seed = seed;
    options.threads = threads;
    options.driver_image = driver_image();
    return options;
}

/// Runs `fn` as the client's thread inside the world, as driver or user code (outside the model lock). False: the world stopped first.
inline bool run_in(fltsim::World &world, const std::function<void()> &fn) {
    return world.host_call(fn);
}

/// Makes a world, runs `fn` in it, and returns its report (JSON).
inline std::string report_of(fltsim::WorldOptions options, const std::function<void(fltsim::World &)> &fn) {
    fltsim::World world(std::move(options));
    world.host_call([&] { fn(world); });
    return world.report_json();
}

/// What stays after a world that stops, and is no leak.
template <class T> T &kept(T value) {
    static auto &all = *new std::list<T>;
    return all.emplace_back(std::move(value));
}

inline bool contains(const std::string &text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

/// Whether the report says that the world stopped on a rule whose name begins so.
inline bool stopped_on(const std::string &report, const std::string &rule) {
    return contains(report, "\"rule\":\"" + rule);
}

} // namespace check
