// SPDX-License-Identifier: MIT
//
// This module provides: requests in kernel mode, which are left alone unless a rule allows them; and what is kept of instances that are gone.

#include "spine.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

Rule pend(MINIPEND_OPERATION operation, uint32_t flags = 0) {
    Rule rule;
    rule.operations = bit(operation);
    rule.flags = flags;
    return rule;
}

} // namespace

/// Cleanup and close come in the I/O manager's own name.
SPINE_TEST(kernel_mode_is_left_alone_unless_it_is_allowed) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const auto cleanups = [&] { return client.counters_at_rest().total(MINIPEND_OPERATION_CLEANUP); };
    CHECK_EQ(client.set_rules({pend(MINIPEND_OPERATION_CLEANUP)}).Status, STATUS_SUCCESS);
    CHECK(File::create(u"D:\\a").close());
    CHECK_EQ(cleanups().Refused[MINIPEND_REFUSAL_POLICY], 1u);
    CHECK_EQ(cleanups().Pended, 0u);
    CHECK_EQ(client.set_rules({pend(MINIPEND_OPERATION_CLEANUP, MINIPEND_RULE_KERNEL_MODE)}).Status, STATUS_SUCCESS);
    CHECK(File::open(u"D:\\a").close());
    CHECK_EQ(cleanups().Refused[MINIPEND_REFUSAL_POLICY], 1u);
    CHECK_EQ(cleanups().Pended, 1u);
}

/// Of instances that are gone the counts add up; most in flight at once is the largest of them.
SPINE_TEST(the_high_water_of_gone_instances_is_no_sum) {
    TestWorld world(executor);
    load_and_attach({});
    const Client client;
    CHECK_EQ(client.set_rules({pend(MINIPEND_OPERATION_RENAME)}).Status, STATUS_SUCCESS);
    for (const auto &[from, to] : {std::pair{u"D:\\a", u"D:\\b"}, std::pair{u"D:\\c", u"D:\\d"}}) {
        CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
        CHECK_EQ(File::create(from).rename(to), 0u);
        CHECK(client.counters_at_rest().balanced(true));
        CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
    }
    const Counters counters = client.counters_at_rest();
    CHECK_EQ(counters.of(0, MINIPEND_OPERATION_RENAME).Pended, 2u);
    CHECK_EQ(counters.of(0, MINIPEND_OPERATION_RENAME).InFlightHighWater, 1u);
}

} // namespace MINIPEND_TEST_FILE
