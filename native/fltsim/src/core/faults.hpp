// SPDX-License-Identifier: MIT
//
// This module provides: the fault switches of a world (FltSimSetFault): one for each kernel call that can fail, with the statuses that the documents give
// it, and one for all of them together. The list is in faults.cpp: a switch that no call asks for would be a test that tests nothing.
// Thread safe: switches are set from host threads while the model runs.
//
//   "FltAllocateContext"                     the next calls of that function fail, with the first of its statuses
//   "FltAllocateContext:STATUS_NAME"         the same with another of its statuses
//   "*"                                      the next calls of whatever function fail: "the k-th call that can fail"
//   "*#1"                                    the same with the second status of that function
//   "FltQueueDeferredIoWorkItem:TopLevelIrp" no failure, see FltSimSetFault
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ddk.hpp"

namespace fltsim {

class FaultSwitches {
  public:
    /// A call that was made to fail.
    struct Fired {
        std::string function;
        std::string status; ///< "" for calls that fail without one
        uint32_t statuses = 0; ///< how many ways to fail the function has
    };
    static bool known(std::string_view function);
    /// All functions, sorted.
    static std::span<const std::string_view> names();
    /// False: no such switch. Count 0 switches off.
    bool set(std::string_view name, uint32_t skip, uint32_t count);
    /// Counts a call of the function; the status that it has to fail with (STATUS_UNSUCCESSFUL where it has none), or nothing.
    std::optional<NTSTATUS> fires(std::string_view function);
    /// In the order in which they failed, the first thousand.
    std::vector<Fired> fired() const;
    /// The same as JSON: [{"function":..,"status":..,"statuses":..}, ..]
    std::string json() const;

  private:
    struct Switch {
        uint32_t skip = 0;
        uint32_t count = 0;
        size_t status = 0; ///< which of the function's
    };
    std::atomic<uint32_t> armed_{0}; ///< so that a call costs one load while no switch is set
    mutable std::mutex mutex_;
    std::map<std::string_view, Switch> switches_; ///< by name of the function, "*" for all
    std::vector<Fired> fired_;
};

/// As fault() (world.hpp), for calls that answer with a status: the one to fail with, or nothing.
std::optional<NTSTATUS> failing(const char *function);

} // namespace fltsim
