// SPDX-License-Identifier: MIT
//
// This module provides: the fault switches of a world (FltSimSetFault). The set of names is fixed, in faults.cpp: a switch that no call asks
// for would be a test that tests nothing. Thread safe: switches are set from host threads while the model runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>

namespace fltsim {

class FaultSwitches {
  public:
    static bool known(std::string_view function);
    /// False: no such switch. Count 0 switches off.
    bool set(std::string_view function, uint32_t skip, uint32_t count);
    /// Counts a call of the function; true when it has to fail.
    bool fires(std::string_view function);

  private:
    struct Switch {
        uint32_t skip = 0;
        uint32_t count = 0;
    };
    std::atomic<uint32_t> armed_{0}; ///< so that a call costs one load while no switch is set
    std::mutex mutex_;
    std::map<std::string_view, Switch> switches_;
};

} // namespace fltsim
