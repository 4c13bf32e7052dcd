// SPDX-License-Identifier: MIT
//
// This module provides: how a failing schedule is made shorter.
#pragma once

#include <functional>
#include <vector>

#include "core/schedule.hpp"

namespace explore {

/// Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002): removes decisions while `fails` stays true; none of what is
/// left can be removed.
std::vector<fltsim::Deviation> shrink(std::vector<fltsim::Deviation> decisions,
                                      const std::function<bool(const std::vector<fltsim::Deviation> &)> &fails);

} // namespace explore
