// SPDX-License-Identifier: MIT
//
// This module provides: a client process of its own in a test's world, and host threads that act for it.
#pragma once

#include <functional>
#include <thread>

#include "check.hpp"
#include "fltsim.h"

class OtherProcess {
  public:
    /// World: anything with a world's number().
    template <class World> explicit OtherProcess(const World &world) : world_(world.number()) {
        CHECK_EQ(FltSimCreateProcess(world_, &id_), 0);
    }
    void run(const std::function<void()> &fn) const {
        std::thread thread([&] { enter_and(fn); });
        thread.join();
    }
    std::thread start(std::function<void()> fn) const {
        return std::thread([this, fn = std::move(fn)] { enter_and(fn); });
    }
    uint32_t id() const { return id_; }
    /// As TerminateProcess does: begins its end. Something of its may still be held.
    void terminate() const { CHECK_EQ(FltSimTerminateProcess(world_, id_), 0); }
    bool ended() const { return FltSimWaitForProcess(world_, id_, 0) == 1; }

  private:
    void enter_and(const std::function<void()> &fn) const {
        FltSimSelectWorld(world_);
        CHECK_EQ(FltSimEnterProcess(world_, id_), 0);
        fn();
        FltSimSelectWorld(0);
    }
    FLTSIM_WORLD world_;
    uint32_t id_ = 0;
};
