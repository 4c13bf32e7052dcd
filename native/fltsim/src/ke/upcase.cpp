// SPDX-License-Identifier: MIT
#include "ke/upcase.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace fltsim {
namespace {

struct Range {
    uint16_t first;
    uint16_t last;
    uint16_t step;
    int32_t delta;
};

constexpr Range RANGES[] = {
#include "ke/upcase_table.inc"
};

constexpr bool sorted() {
    for (size_t i = 1; i < std::size(RANGES); ++i) {
        if (RANGES[i - 1].last >= RANGES[i].first) {
            return false;
        }
    }
    return true;
}
static_assert(sorted(), "the ranges must neither overlap nor be out of order");

} // namespace

char16_t upcase(char16_t c) {
    if (c < 0x80) {
        return c >= u'a' && c <= u'z' ? static_cast<char16_t>(c - 0x20) : c;
    }
    const Range *range = std::lower_bound(std::begin(RANGES), std::end(RANGES), c,
                                          [](const Range &r, char16_t v) { return r.last < v; });
    if (range == std::end(RANGES) || c < range->first || (c - range->first) % range->step != 0) {
        return c;
    }
    return static_cast<char16_t>(c + range->delta);
}

char16_t downcase(char16_t c) {
    if (c < 0x80) {
        return c >= u'A' && c <= u'Z' ? static_cast<char16_t>(c + 0x20) : c;
    }
    char16_t lower = c;
    for (const Range &range : RANGES) {
        const int32_t small = c - range.delta;
        if (small >= range.first && small <= range.last && (small - range.first) % range.step == 0) {
            lower = static_cast<char16_t>(small);
        }
    }
    return lower;
}

std::u16string upcase(std::u16string_view text) {
    std::u16string result(text);
    std::ranges::transform(result, result.begin(), [](char16_t c) { return upcase(c); });
    return result;
}

bool equal_ignoring_case(std::u16string_view a, std::u16string_view b) {
    return std::ranges::equal(a, b, [](char16_t x, char16_t y) { return upcase(x) == upcase(y); });
}

} // namespace fltsim
