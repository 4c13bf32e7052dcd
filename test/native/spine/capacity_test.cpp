// SPDX-License-Identifier: MIT
//
// This module provides: scenarios with many operations held: the table's capacity, the order of their ends. A thousand at once: thousand_test.cpp.

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

std::u16string numbered(std::u16string_view base, int number) {
    std::u16string name(base);
    for (const char digit : std::to_string(number)) {
        name += static_cast<char16_t>(digit);
    }
    return name;
}

std::future<DWORD> start_rename(const TestWorld &world, int number) {
    return world.start(
        [number] { return File::create(numbered(u"D:\\f", number)).rename(numbered(u"D:\\g", number)); });
}

} // namespace

SPINE_TEST(a_full_table_refuses_and_holds_nobody) {
    constexpr int capacity = 4;
    TestWorld world(executor);
    set_parameter(world, u"MaxHeld", capacity);
    set_parameter(world, u"MaxDelayMs", LONG_MS);
    load_and_attach({u"D:"});
    const Client watcher;
    CHECK_EQ(watcher.hello().MaxHeld, static_cast<uint32_t>(capacity));
    CHECK_EQ(watcher.hello().MaxDelayMs, LONG_MS);
    {
        Client client;
        CHECK_EQ(client.set_rules({pend_renames(LONG_MS)}).Status, STATUS_SUCCESS);
        std::vector<std::future<DWORD>> renames;
        for (int i = 0; i < capacity; ++i) {
            renames.push_back(start_rename(world, i));
        }
        // The high water counts what is parked, a moment after it is counted as held.
        CHECK(eventually([&] { return watcher.counters().head().HeldHighWater == capacity; }));
        CHECK_EQ(watcher.counters().head().HeldNow, static_cast<uint64_t>(capacity));
        CHECK_EQ(start_rename(world, 10).get(), 0u);
        // Capacity goes before allocation, whichever memory is short.
        CHECK_EQ(FltSimSetFault(world.number(), "WdfMemoryCreateFromLookaside", 0, 1), 0);
        CHECK_EQ(start_rename(world, 11).get(), 0u);
        CHECK_EQ(FltSimSetFault(world.number(), "FltAllocateDeferredIoWorkItem", 0, 1), 0);
        CHECK_EQ(start_rename(world, 12).get(), 0u);
        CHECK_EQ(FltSimSetFault(world.number(), "FltAllocateDeferredIoWorkItem", 0, 0), 0);
        const auto full = watcher.counters();
        CHECK(full.balanced(false));
        CHECK_EQ(full.head().HeldNow, static_cast<uint64_t>(capacity));
        CHECK_EQ(full.total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_CAPACITY], 3u);
        CHECK_EQ(full.total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_ALLOCATION], 0u);
        client.close();
        for (auto &rename : renames) {
            CHECK_EQ(rename.get(), 0u);
        }
    }
    // There is room again.
    CHECK_EQ(watcher.set_rules({pend_renames(0)}).Status, STATUS_SUCCESS);
    CHECK_EQ(start_rename(world, 20).get(), 0u);
    const Counters counters = watcher.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, static_cast<uint64_t>(capacity + 1));
    CHECK_EQ(counters.head().HeldHighWater, static_cast<uint64_t>(capacity));
}

SPINE_TEST(parameters_out_of_range_are_moved_into_it) {
    TestWorld world(executor);
    set_parameter(world, u"MaxHeld", 0);
    set_parameter(world, u"MaxDelayMs", 0xFFFFFFFF);
    set_parameter(world, u"ReleaseThreads", 99);
    load_and_attach({u"D:"});
    const Client client;
    CHECK_EQ(client.hello().MaxHeld, 1u);
    CHECK_EQ(client.hello().MaxDelayMs, 600'000u);
    CHECK_EQ(client.set_rules({pend_renames(1)}).Status, STATUS_SUCCESS);
    CHECK_EQ(start_rename(world, 0).get(), 0u);
    CHECK(client.counters_at_rest().balanced(true));
}

SPINE_TEST(a_refused_operation_was_never_held) {
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend_renames(LONG_MS)}).Status, STATUS_SUCCESS);
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), 0u); // under a top-level IRP
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], 1u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 0u);
    CHECK_EQ(counters.head().HeldHighWater, 0u);
}

/// Renames start at one moment of a virtual clock, with as many different holds, half of them on another volume. Each ends when it is
/// due, or, when its volume is detached in between, at once.
TEST(holds_end_when_they_are_due) {
    constexpr int count = 64;
    constexpr uint64_t ms_100ns = 10'000;
    constexpr uint64_t late_100ns = 2 * ms_100ns;
    constexpr uint64_t detached_100ns = 5 * ms_100ns;
    for (uint64_t seed = 1; seed <= 16; ++seed) {
        const bool detaches = seed % 2 == 0;
        const auto other_volume = [](int i) { return i * 7 % 11 < 5; };
        const auto delay_ms = [&](int i) { return static_cast<uint32_t>(((i + seed) * 37 % count + 1) * 10); };
        const auto from = [&](int i) { return numbered(other_volume(i) ? u"C:\\f" : u"D:\\f", i); };
        TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL, seed);
        load_and_attach({u"D:", u"C:"});
        const Client client;
        std::vector<Rule> rules;
        std::vector<uint64_t> took_100ns(count, 0);
        for (int i = 0; i < count; ++i) {
            rules.push_back(pend_renames(delay_ms(i), numbered(u"\\f", i)));
            rules.back().flags = MINIPEND_RULE_BOOT_VOLUME;
            CHECK(File::create(from(i)).is_open());
        }
        CHECK_EQ(client.set_rules(rules).Status, STATUS_SUCCESS);
        inside(world, [&](fltsim::World &here) {
            std::atomic<int> left = count;
            const fltsim::KernelCall call("spawn");
            const uint64_t begin = here.interrupt_time_100ns();
            for (int i = 0; i < count; ++i) {
                here.spawn("renamer", here.client_process(), [&, i] {
                    const File file = File::open(from(i));
                    const uint64_t start = here.interrupt_time_100ns();
                    CHECK_EQ(file.rename(numbered(other_volume(i) ? u"C:\\g" : u"D:\\g", i)), 0u);
                    took_100ns[static_cast<size_t>(i)] = here.interrupt_time_100ns() - start;
                    const fltsim::KernelCall done("KeSetEvent");
                    --left;
                    here.wake(&left);
                });
            }
            if (detaches) {
                here.block(&begin, [] { return false; }, begin + detached_100ns);
                CHECK_EQ(FilterDetach(u"minipend", u"C:", nullptr), S_OK);
            }
            here.block(&left, [&] { return left == 0; });
        });
        for (int i = 0; i < count; ++i) {
            const bool detached = detaches && other_volume(i);
            const uint64_t due_100ns = detached ? detached_100ns : delay_ms(i) * ms_100ns;
            CHECK(detached || took_100ns[static_cast<size_t>(i)] >= due_100ns);
            CHECK(took_100ns[static_cast<size_t>(i)] <= due_100ns + late_100ns);
        }
        const Counters counters = client.counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Completed, static_cast<uint64_t>(count));
    }
}

} // namespace MINIPEND_TEST_FILE
