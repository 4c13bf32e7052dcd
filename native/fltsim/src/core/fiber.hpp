// SPDX-License-Identifier: MIT
//
// This module provides: fibers, the stacks that the fiber executor runs simulated threads on, and the switch between them. The switch is
// assembly on x86-64 and aarch64 (fiber_switch.S), the system's own fibers on Windows, ucontext elsewhere.
//
// Invariants: a fiber is switched to only by the host thread that owns the world; its entry function never returns; every stack has an
// inaccessible page below it, so an overflow is a fault and not a corruption.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace fltsim {

class Fiber {
  public:
    /// A fiber that will run `entry` on a stack of its own.
    explicit Fiber(std::function<void()> entry);
    /// The calling host thread itself, as something to switch back to.
    static std::unique_ptr<Fiber> of_host_thread();
    ~Fiber();
    Fiber(const Fiber &) = delete;
    Fiber &operator=(const Fiber &) = delete;

    /// Leaves `from`, which is what runs now, and continues `to`. Returns when something switches back to `from`.
    static void switch_to(Fiber &from, Fiber &to);
    /// The same, for good: `from` never continues, its stack can be freed once `to` runs.
    [[noreturn]] static void exit_to(Fiber &from, Fiber &to);
    /// The fiber was left in the middle of something and never continues. What its stack refers to stays allocated and known to leak checkers.
    static void abandon(std::unique_ptr<Fiber> fiber);

    /// Whether the address is on the fiber's own stack. False of a host thread, whose stack is not known.
    bool has_on_stack(const void *address) const;

    /// Calls `look` with the part that is in use of every fiber's stack, but that of who runs. Only where the switch is assembly.
    static void for_each_stack(const std::function<void(char *used, char *high)> &look);

    struct Impl;

  private:
    Fiber();
    std::unique_ptr<Impl> impl_;
};

} // namespace fltsim
