// SPDX-License-Identifier: MIT
//
// This module provides: a listing that has no room for all that is held.

#include "gates.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

SPINE_TEST(a_listing_says_whether_there_is_more) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {gate()});
    auto first = start_rename(world, u"a");
    client.held(1);
    auto second = start_rename(world, u"b");
    client.held(2);
    const HeldList one = client.list_held(0, 0, 1);
    CHECK_EQ(one.entries.size(), 1u);
    CHECK_EQ(one.reply.More, 1u);
    const HeldList rest = client.list_held(0, one.entries.at(0).ParkSequence, 1);
    CHECK_EQ(rest.entries.size(), 1u);
    CHECK_EQ(rest.reply.More, 0u);
    CHECK(rest.entries.at(0).HeldId != one.entries.at(0).HeldId);
    CHECK_RELEASED(client.release_all(), 2);
    CHECK_EQ(first.get(), 0u);
    CHECK_EQ(second.get(), 0u);
}

} // namespace MINIPEND_TEST_FILE
