// SPDX-License-Identifier: MIT
//
// This module provides: shrink.hpp.

#include "shrink.hpp"

#include <algorithm>
#include <cstddef>

namespace explore {

std::vector<fltsim::Deviation> shrink(std::vector<fltsim::Deviation> decisions,
                                      const std::function<bool(const std::vector<fltsim::Deviation> &)> &fails) {
    size_t parts = 2;
    while (!decisions.empty()) {
        parts = std::min(parts, decisions.size());
        bool shorter = false;
        for (size_t part = 0; part < parts && !shorter; ++part) {
            const size_t from = decisions.size() * part / parts;
            const size_t to = decisions.size() * (part + 1) / parts;
            std::vector<fltsim::Deviation> rest(decisions.begin(), decisions.begin() + static_cast<ptrdiff_t>(from));
            rest.insert(rest.end(), decisions.begin() + static_cast<ptrdiff_t>(to), decisions.end());
            if (fails(rest)) {
                decisions = std::move(rest);
                parts = std::max<size_t>(parts - 1, 2);
                shorter = true;
            }
        }
        if (!shorter) {
            if (parts == decisions.size()) {
                break;
            }
            parts *= 2;
        }
    }
    return decisions;
}

} // namespace explore
