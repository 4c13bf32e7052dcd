// SPDX-License-Identifier: MIT
//
// This module provides: what the program prints: one JSON document a line.
#pragma once

#include <string>
#include <string_view>

#include "explorer.hpp"

namespace explore {

std::string quoted(std::string_view text);
const char *name_of(Strategy strategy);
/// What --replay takes: SCENARIO/SEED/[pN/]DECISIONS.
std::string replay_text(const Scenario &scenario, uint64_t seed, uint32_t plain_every,
                        std::span<const fltsim::Deviation> decisions);
std::string finding_json(const Scenario &scenario, const Plan &plan, const Finding &finding, const std::string &image);
/// A process that ended in the middle of a schedule, or did not get on.
std::string lost_json(const Scenario &scenario, const Plan &plan, uint64_t seed, std::string_view rule,
                      std::string_view text);

} // namespace explore
