// SPDX-License-Identifier: MIT
//
// This module provides: tests of altitude comparison [ALT-01].

#include "flt/altitude.hpp"

#include "check.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim::flt;

TEST(validity) {
    CHECK(altitude_valid(u"0"));
    CHECK(altitude_valid(u"370199.5"));
    CHECK(altitude_valid(u".5"));
    CHECK(altitude_valid(u"5."));
    CHECK(!altitude_valid(u""));
    CHECK(!altitude_valid(u"."));
    CHECK(!altitude_valid(u"1.2.3"));
    CHECK(!altitude_valid(u"-1"));
    CHECK(!altitude_valid(u"1e5"));
}

TEST(order) {
    CHECK(compare_altitudes(u"03333", u"100.123456") > 0);
    CHECK(compare_altitudes(u"9", u"10") < 0);
    CHECK(compare_altitudes(u"1.5", u"1.50") == 0);
    CHECK(compare_altitudes(u"0001", u"1.000") == 0);
    CHECK(compare_altitudes(u"1.05", u"1.5") < 0);
    CHECK(compare_altitudes(u"1.123", u"1.1234") < 0);
    CHECK(compare_altitudes(u"0.1", u".10") == 0);
}

TEST(unlimited_precision) {
    const std::u16string base = u"370000.000000000000000000000000000000000000";
    CHECK(compare_altitudes(base + u"1", base + u"2") < 0);
    CHECK(compare_altitudes(base + u"1", base) > 0);
    CHECK(compare_altitudes(u"123456789012345678901234567890", u"123456789012345678901234567891") < 0);
}

TEST(antisymmetry) {
    const std::u16string_view all[] = {
        u"1", u"1.0", u"01", u"2", u"1.5", u"10", u"1.05", u"0.5", u"100000000000000000000000"};
    for (const auto a : all) {
        for (const auto b : all) {
            CHECK((compare_altitudes(a, b) < 0) == (compare_altitudes(b, a) > 0));
            CHECK((compare_altitudes(a, b) == 0) == (compare_altitudes(b, a) == 0));
        }
    }
}

} // namespace MINIPEND_TEST_FILE
