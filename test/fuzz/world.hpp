// SPDX-License-Identifier: MIT
//
// This module provides: the worlds that fuzz targets run in, and how a finding ends the process. A world is a fiber world on the virtual clock, so an input
// replays. A failed check, a stopped world and a leak print what is known and abort: libFuzzer keeps the input.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/world.hpp" // the kernel's declarations go first

#include "../native/spine/spine.hpp"

namespace fuzz {

/// Reports a finding.
[[noreturn]] void finding(const std::string &what);
inline void require(bool condition, const char *what) {
    if (!condition) {
        finding(what);
    }
}

/// Runs `body` as a client's thread inside the world.
void run_inside(const spine::TestWorld &world, const std::function<void(fltsim::World &)> &body);

/// Lets virtual time go by. Inside a world.
void nap(fltsim::World &world, uint64_t microseconds);

/// A world made at its first use, with the driver attached to D:, that serves so many inputs. Each input leaves it as it found it.
class SharedWorld {
  public:
    void run(const std::function<void(fltsim::World &)> &body);

  private:
    std::unique_ptr<spine::TestWorld> world_;
    uint32_t inputs_ = 0;
};

/// Checks that nothing is held or counted twice. Waits, in virtual time, for what the driver's threads still have to do. Inside a world.
void check_at_rest(fltsim::World &world, const spine::Client &watcher);

} // namespace fuzz
