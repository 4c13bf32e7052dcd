// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of sampling: one in so many, at most so many, a probability with a seed, and what becomes of the numbers.

#include <set>

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint64_t FLUSHES = bit(MINIPEND_OPERATION_FLUSH);

/// Fails what it selects, so that a test sees it.
Rule sampled(uint32_t every_nth, uint32_t at_most = 0) {
    Rule rule;
    rule.operations = FLUSHES;
    rule.failStatus = STATUS_DISK_FULL;
    rule.everyNth = every_nth;
    rule.atMost = at_most;
    return rule;
}

Rule likely(uint32_t ppm, uint64_t seed) {
    Rule rule = sampled(0);
    rule.probabilityPpm = ppm;
    rule.seed = seed;
    return rule;
}

/// The numbers, from 1, of the flushes that failed.
std::set<int> failed_flushes(const File &file, int count) {
    std::set<int> failed;
    for (int n = 1; n <= count; ++n) {
        if (file.flush() != 0) {
            failed.insert(n);
        }
    }
    return failed;
}

/// The numbers that a probability selects, written down here once more: a script that names a seed relies on them.
std::set<int> chosen_by(uint64_t seed, uint64_t ppm, int count) {
    std::set<int> chosen;
    for (int n = 1; n <= count; ++n) {
        uint64_t z = seed + static_cast<uint64_t>(n) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        if (((z >> 32) * 1'000'000 >> 32) < ppm) {
            chosen.insert(n);
        }
    }
    return chosen;
}

std::set<int> failed_under(const Client &client, const File &file, const Rule &rule, int count) {
    take(client, {rule});
    return failed_flushes(file, count);
}

} // namespace

SPINE_TEST(one_in_so_many_and_at_most) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    using Numbers = std::set<int>;
    CHECK(failed_under(client, file, sampled(0), 3) == Numbers({1, 2, 3}));
    CHECK(failed_under(client, file, sampled(1), 3) == Numbers({1, 2, 3}));
    CHECK(failed_under(client, file, sampled(3), 9) == Numbers({3, 6, 9}));
    CHECK(failed_under(client, file, sampled(0, 2), 5) == Numbers({1, 2}));
    CHECK(failed_under(client, file, sampled(2, 2), 8) == Numbers({2, 4}));
    CHECK(failed_under(client, file, sampled(0xFFFFFFFF, 0xFFFFFFFF), 3).empty());
    // The same rules set again begin anew.
    take(client, {sampled(2)});
    CHECK_EQ(file.flush(), 0u);
    take(client, {sampled(2)});
    CHECK(failed_flushes(file, 2) == Numbers({2}));
    // What one rule leaves, the next one gets and numbers.
    Rule rest = sampled(2);
    rest.failStatus = STATUS_SHARING_VIOLATION;
    take(client, {sampled(0, 2), rest});
    std::vector<DWORD> got;
    for (int i = 0; i < 6; ++i) {
        got.push_back(file.flush());
    }
    CHECK(got == std::vector<DWORD>(
                     {ERROR_DISK_FULL, ERROR_DISK_FULL, 0, ERROR_SHARING_VIOLATION, 0, ERROR_SHARING_VIOLATION}));
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK(counters.total(MINIPEND_OPERATION_FLUSH).Unmatched > 0); // those that no rule selected
}

SPINE_TEST(a_probability_is_its_seed) {
    constexpr int count = 200;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    const auto first = failed_under(client, file, likely(300'000, 42), count);
    CHECK(first == chosen_by(42, 300'000, count));
    CHECK(!first.empty() && first.size() < count);
    CHECK(failed_under(client, file, likely(300'000, 42), count) == first);
    CHECK(failed_under(client, file, likely(300'000, 43), count) == chosen_by(43, 300'000, count));
    CHECK(chosen_by(43, 300'000, count) != first);
    CHECK(failed_under(client, file, likely(1, 42), 20).empty());
    CHECK_EQ(failed_under(client, file, likely(0, 42), 20).size(), 20u);
    CHECK_EQ(failed_under(client, file, likely(1'000'000, 42), 20).size(), 20u);
    // Of every second, the probability is asked with the operation's own number.
    Rule both = likely(300'000, 42);
    both.everyNth = 2;
    std::set<int> even;
    for (const int n : first) {
        if (n % 2 == 0) {
            even.insert(n);
        }
    }
    CHECK(failed_under(client, file, both, count) == even);
}

/// Operations that another condition keeps out are not numbered.
SPINE_TEST(only_what_fits_is_numbered) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    CHECK(File::create(u"D:\\taken").is_open());
    Rule rule = sampled(2);
    rule.operations = bit(MINIPEND_OPERATION_RENAME);
    rule.statusFilter = MINIPEND_STATUS_FILTER_SUCCESS;
    rule.path = u"\\a";
    take(client, {rule});
    CHECK_EQ(file.rename(u"D:\\a"), 0u); // the first
    CHECK_EQ(file.rename(u"D:\\taken"), static_cast<DWORD>(ERROR_ALREADY_EXISTS));
    CHECK_EQ(File::open(u"D:\\taken").rename(u"D:\\taken2"), 0u);
    CHECK_EQ(file.rename(u"D:\\a"), static_cast<DWORD>(ERROR_DISK_FULL)); // the second
}

/// Fast I/O that is sent back comes twice and is sampled once.
SPINE_TEST(fast_io_that_is_sent_back_is_sampled_once) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.write("0"), 0u); // starts the caching
    Rule rule = sampled(2);
    rule.operations = bit(MINIPEND_OPERATION_WRITE);
    rule.conditions = MINIPEND_CONDITION_CACHED;
    rule.flags = MINIPEND_RULE_FAST_IO_TO_IRP;
    take(client, {rule});
    CHECK_EQ(file.write("1"), 0u);
    CHECK_EQ(file.write("2"), static_cast<DWORD>(ERROR_DISK_FULL));
    CHECK_EQ(file.write("3"), 0u);
    CHECK_EQ(file.write("4"), static_cast<DWORD>(ERROR_DISK_FULL));
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_WRITE).FastIoDisallowed, 4u);
}

/// Under load the counts are exact.
SPINE_TEST(sampling_counts_exactly_under_load) {
    constexpr int threads = 4;
    constexpr int each = 50;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK(File::create(u"D:\\a").is_open());
    const auto failed_of_all = [&](const Rule &rule) {
        take(client, {rule});
        std::vector<std::future<size_t>> flushing;
        for (int t = 0; t < threads; ++t) {
            flushing.push_back(world.start([] { return failed_flushes(File::open(u"D:\\a"), each).size(); }));
        }
        size_t failed = 0;
        for (auto &one : flushing) {
            failed += one.get();
        }
        return failed;
    };
    CHECK_EQ(failed_of_all(sampled(4)), static_cast<size_t>(threads * each / 4));
    CHECK_EQ(failed_of_all(sampled(0, 10)), 10u);
    CHECK_EQ(failed_of_all(sampled(3, 20)), 20u);
    CHECK_EQ(failed_of_all(likely(500'000, 7)), chosen_by(7, 500'000, threads * each).size());
    CHECK(client.counters_at_rest().balanced(true));
}

} // namespace MINIPEND_TEST_FILE
