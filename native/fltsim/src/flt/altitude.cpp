// SPDX-License-Identifier: MIT
//
// This module provides: altitude comparison (altitude.hpp).

#include "flt/altitude.hpp"

#include <algorithm>

namespace fltsim::flt {

namespace {

struct Parts {
    std::u16string_view whole; ///< no leading zeros
    std::u16string_view fraction; ///< no trailing zeros
};

Parts split(std::u16string_view altitude) {
    const size_t point = altitude.find(u'.');
    Parts parts{altitude.substr(0, point),
                point == std::u16string_view::npos ? std::u16string_view{} : altitude.substr(point + 1)};
    while (!parts.whole.empty() && parts.whole.front() == u'0') {
        parts.whole.remove_prefix(1);
    }
    while (!parts.fraction.empty() && parts.fraction.back() == u'0') {
        parts.fraction.remove_suffix(1);
    }
    return parts;
}

} // namespace

bool altitude_valid(std::u16string_view altitude) {
    const auto digits =
        std::count_if(altitude.begin(), altitude.end(), [](char16_t c) { return c >= u'0' && c <= u'9'; });
    const auto points = std::count(altitude.begin(), altitude.end(), u'.');
    return digits > 0 && points <= 1 && static_cast<size_t>(digits + points) == altitude.size();
}

std::strong_ordering compare_altitudes(std::u16string_view a, std::u16string_view b) {
    const Parts left = split(a);
    const Parts right = split(b);
    if (left.whole.size() != right.whole.size()) {
        return left.whole.size() <=> right.whole.size();
    }
    if (const int order = left.whole.compare(right.whole); order != 0) {
        return order <=> 0;
    }
    return left.fraction.compare(right.fraction) <=> 0; // a prefix is the smaller fraction
}

} // namespace fltsim::flt
