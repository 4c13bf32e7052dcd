// SPDX-License-Identifier: MIT
//
// This module provides: coverage.hpp. libFuzzer clears and reads one array of the program's own, __libfuzzer_extra_counters.

#include "coverage.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace {

/// More than the driver has edges (about 2,500).
constexpr size_t COUNTERS = 16384;
__attribute__((used, section("__libfuzzer_extra_counters"))) uint8_t g_counters[COUNTERS];

std::span<uint8_t> g_image; ///< of the loaded image

} // namespace

namespace fuzz {

void collect_coverage() {
    const size_t count = std::min(g_image.size(), COUNTERS);
    for (size_t i = 0; i < count; ++i) {
        const unsigned sum = unsigned{g_counters[i]} + g_image[i];
        g_counters[i] = static_cast<uint8_t>(std::min(sum, 255u));
        g_image[i] = 0;
    }
}

} // namespace fuzz

extern "C" {

__attribute__((visibility("default"))) void minipend_fuzz_image_loaded(unsigned char *first, unsigned char *end) {
    g_image = {first, end};
}

__attribute__((visibility("default"))) void minipend_fuzz_image_unloaded() {
    fuzz::collect_coverage();
    g_image = {};
}

} // extern "C"
