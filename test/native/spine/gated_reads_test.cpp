// SPDX-License-Identifier: MIT
//
// This module provides: tests of GatedReads: whoever lets held reads go, on purpose or by an exception, gives them back before their memory goes.

#include "gated_reads.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t COUNT = 20;

uint64_t held_now(const Client &client) {
    return client.list_held(0, 0, 0).reply.HeldNow;
}

void check_all_came_back(const Client &client, uint64_t count) {
    CHECK_EQ(held_now(client), 0u);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_READ).Completed, count);
}

} // namespace

SPINE_TEST(gated_reads_are_given_back_before_their_memory_goes) {
    TestWorld world(executor);
    GatedReads::allow(world);
    load_and_attach({u"D:"});
    const Client client;
    {
        const GatedReads reads(world, client, COUNT);
        CHECK_EQ(held_now(client), COUNT);
        reads.check_held();
    }
    check_all_came_back(client, COUNT);
}

/// The driver takes fewer than the test asks for.
SPINE_TEST(gated_reads_that_are_not_all_held_are_given_back_too) {
    TestWorld world(executor);
    GatedReads::allow(world);
    set_parameter(world, u"MaxHeld", COUNT / 2);
    load_and_attach({u"D:"});
    const Client client;
    std::string problem;
    try {
        const GatedReads reads(world, client, COUNT);
    } catch (const std::runtime_error &thrown) {
        problem = thrown.what();
    }
    CHECK_EQ(problem, "a read was not held");
    check_all_came_back(client, COUNT / 2);
}

SPINE_TEST(gated_reads_are_released_once) {
    TestWorld world(executor);
    GatedReads::allow(world);
    load_and_attach({u"D:"});
    const Client client;
    GatedReads reads(world, client, COUNT);
    reads.release();
    check_all_came_back(client, COUNT);
    reads.release();
    std::string problem;
    try {
        reads.check_held();
    } catch (const std::runtime_error &thrown) {
        problem = thrown.what();
    }
    CHECK_EQ(problem, "what was held is not held any more");
}

} // namespace MINIPEND_TEST_FILE
