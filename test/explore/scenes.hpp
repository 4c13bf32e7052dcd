// SPDX-License-Identifier: MIT
//
// This module provides: the scenarios by their files.
#pragma once

#include "scene.hpp"

namespace explore {

std::vector<Scenario> release_scenarios();
std::vector<Scenario> ending_scenarios();
std::vector<Scenario> bell_scenarios();

} // namespace explore
