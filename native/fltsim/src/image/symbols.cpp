// SPDX-License-Identifier: MIT
//
// This module provides: Symbols (symbols.hpp).

#include "image/symbols.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fltsim::image {

// A line of the map: " 0001:00000a40       MpPend                    0000000140001a40     driver.pend.c.obj".
Symbols::Symbols(const std::string &image_path, uint64_t preferred_base) {
    std::filesystem::path path(reinterpret_cast<const char8_t *>(image_path.c_str()));
    std::ifstream map(path.replace_extension(".map"));
    std::string line;
    while (std::getline(map, line)) {
        std::istringstream words(line);
        std::string place;
        std::string name;
        std::string address;
        if (!(words >> place >> name >> address) || place.find(':') == std::string::npos || address.size() != 16) {
            continue;
        }
        const uint64_t value = std::strtoull(address.c_str(), nullptr, 16);
        if (value > preferred_base && value - preferred_base <= UINT32_MAX) {
            names_.emplace(static_cast<uint32_t>(value - preferred_base), name);
        }
    }
}

std::string Symbols::at(uint32_t rva) const {
    auto after = names_.upper_bound(rva);
    if (after == names_.begin()) {
        return {};
    }
    --after;
    char offset[16];
    std::snprintf(offset, sizeof offset, "+0x%x", rva - after->first);
    return after->second + offset;
}

} // namespace fltsim::image
