// SPDX-License-Identifier: MIT
//
// This module provides: tests of interlocked singly linked lists and of the executive's lookaside lists, used as a driver's inline code uses them.
#include <functional>
#include <string>

#include "core/faults.hpp"
#include "ke/pool.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::report_of;
using check::stopped_on;

namespace {

constexpr ULONG TAG = 0x6B6F6F4C;

struct Counts {
    int allocated = 0;
    int freed = 0;
    SIZE_T bytes = 0;
    POOL_TYPE type = MaxPoolType;
    ULONG tag = 0;
};
Counts g_counts;

PVOID NTAPI counting_allocate(POOL_TYPE type, SIZE_T bytes, ULONG tag) {
    ++g_counts.allocated;
    g_counts.bytes = bytes;
    g_counts.type = type;
    g_counts.tag = tag;
    return ExAllocatePoolWithTag(type, bytes, tag);
}

void NTAPI counting_free(PVOID buffer) {
    ++g_counts.freed;
    ExFreePool(buffer);
}

std::string with(const std::function<void(NPAGED_LOOKASIDE_LIST &)> &fn) {
    return report_of(check::virtual_world(), [&](World &) {
        auto *list = static_cast<PNPAGED_LOOKASIDE_LIST>(
            ExAllocatePoolWithTag(NonPagedPoolNxCacheAligned, sizeof(NPAGED_LOOKASIDE_LIST), TAG));
        ExInitializeNPagedLookasideList(list, nullptr, nullptr, POOL_NX_ALLOCATION, 40, TAG, 0);
        fn(*list);
        ExDeleteNPagedLookasideList(list);
        ExFreePoolWithTag(list, TAG);
    });
}

} // namespace

TEST(interlocked_lists_are_stacks) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        SLIST_HEADER head{};
        SLIST_ENTRY entries[3]{};
        CHECK(ExpInterlockedPopEntrySList(&head) == nullptr);
        CHECK(ExpInterlockedPushEntrySList(&head, &entries[0]) == nullptr);
        CHECK(ExpInterlockedPushEntrySList(&head, &entries[1]) == &entries[0]);
        CHECK(ExpInterlockedPushEntrySList(&head, &entries[2]) == &entries[1]);
        CHECK_EQ(ExQueryDepthSList(&head), 3);
        // As inline code reads it.
        CHECK_EQ(static_cast<int>(head.HeaderX64.Depth), 3);
        CHECK_EQ(static_cast<int>(head.HeaderX64.Sequence), 3);
        CHECK_EQ(static_cast<uint64_t>(head.HeaderX64.NextEntry) << 4, reinterpret_cast<uint64_t>(&entries[2]));
        CHECK(ExpInterlockedPopEntrySList(&head) == &entries[2]);
        CHECK(ExpInterlockedPopEntrySList(&head) == &entries[1]);
        CHECK_EQ(ExQueryDepthSList(&head), 1);
        CHECK(ExpInterlockedPopEntrySList(&head) == &entries[0]);
        CHECK(ExpInterlockedPopEntrySList(&head) == nullptr);
        CHECK_EQ(ExQueryDepthSList(&head), 0);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   SLIST_HEADER head{};
                                   SLIST_ENTRY entries[2]{};
                                   auto *crooked =
                                       reinterpret_cast<PSLIST_ENTRY>(reinterpret_cast<char *>(entries) + 8);
                                   ExpInterlockedPushEntrySList(&head, crooked);
                               }),
                     "SLIST storage"));
}

TEST(lookaside_lists_allocate_and_free) {
    const std::string report = with([](NPAGED_LOOKASIDE_LIST &list) {
        const size_t blocks = pool::live_blocks();
        void *one = ExAllocateFromNPagedLookasideList(&list);
        void *two = ExAllocateFromNPagedLookasideList(&list);
        REQUIRE(one != nullptr && two != nullptr && one != two);
        CHECK_EQ(pool::live_blocks(), blocks + 2);
        std::memset(one, 1, 40);
        ExFreeToNPagedLookasideList(&list, one);
        CHECK_EQ(pool::live_blocks(), blocks + 1); // to the pool at once, where its checks are
        ExFreeToNPagedLookasideList(&list, two);
        CHECK_EQ(pool::live_blocks(), blocks);
        CHECK_EQ(list.L.TotalAllocates, 2u);
        CHECK_EQ(list.L.TotalFrees, 2u);
        // What the driver puts there by itself goes with the list.
        two = ExAllocateFromNPagedLookasideList(&list);
        ExpInterlockedPushEntrySList(&list.L.ListHead, static_cast<PSLIST_ENTRY>(two));
        CHECK(ExAllocateFromNPagedLookasideList(&list) == two);
        ExpInterlockedPushEntrySList(&list.L.ListHead, static_cast<PSLIST_ENTRY>(two));
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(lookaside_lists_with_the_drivers_routines) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        g_counts = {};
        PAGED_LOOKASIDE_LIST paged;
        ExInitializePagedLookasideList(&paged, counting_allocate, counting_free, 0, 24, TAG, 0);
        void *block = paged.L.Allocate(paged.L.Type, paged.L.Size, paged.L.Tag);
        CHECK_EQ(g_counts.allocated, 1);
        CHECK_EQ(g_counts.bytes, 24u);
        CHECK(g_counts.type == PagedPool);
        CHECK_EQ(g_counts.tag, TAG);
        ExpInterlockedPushEntrySList(&paged.L.ListHead, static_cast<PSLIST_ENTRY>(block));
        ExDeletePagedLookasideList(&paged);
        CHECK_EQ(g_counts.freed, 1);
        NPAGED_LOOKASIDE_LIST executable;
        ExInitializeNPagedLookasideList(&executable, nullptr, nullptr, POOL_NX_ALLOCATION, 24, TAG, 0);
        CHECK(executable.L.Type == NonPagedPoolNx);
        ExDeleteNPagedLookasideList(&executable);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(misused_lookaside_lists_stop_the_world) {
    const auto rule = [](const char *name, const std::function<void(NPAGED_LOOKASIDE_LIST &)> &fn) {
        CHECK(stopped_on(with(fn), name));
    };
    rule("LOOKASIDE initialised again", [](NPAGED_LOOKASIDE_LIST &list) {
        ExInitializeNPagedLookasideList(&list, nullptr, nullptr, POOL_NX_ALLOCATION, 40, TAG, 0);
    });
    rule("LOOKASIDE not initialised", [](NPAGED_LOOKASIDE_LIST &list) { ExDeleteNPagedLookasideList(&list); });
    rule("LOOKASIDE in memory that is freed", [](NPAGED_LOOKASIDE_LIST &list) { ExFreePool(&list); });
    rule("LOOKASIDE entry size", [](NPAGED_LOOKASIDE_LIST &) {
        NPAGED_LOOKASIDE_LIST small;
        ExInitializeNPagedLookasideList(&small, nullptr, nullptr, POOL_NX_ALLOCATION, 4, TAG, 0);
    });
    rule("V20 pool: executable memory", [](NPAGED_LOOKASIDE_LIST &) {
        NPAGED_LOOKASIDE_LIST list;
        ExInitializeNPagedLookasideList(&list, nullptr, nullptr, 0, 40, TAG, 0);
        ExAllocateFromNPagedLookasideList(&list);
    });
    rule("V20 pool: double free", [](NPAGED_LOOKASIDE_LIST &list) {
        void *block = ExAllocateFromNPagedLookasideList(&list);
        ExFreeToNPagedLookasideList(&list, block);
        ExFreeToNPagedLookasideList(&list, block);
    });
    rule("UNMODELLED", [](NPAGED_LOOKASIDE_LIST &) {
        NPAGED_LOOKASIDE_LIST raising;
        ExInitializeNPagedLookasideList(&raising, nullptr, nullptr, 16, 40, TAG, 0);
    });
}

TEST(lookaside_lists_that_stay_are_reported) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        NPAGED_LOOKASIDE_LIST list;
        ExInitializeNPagedLookasideList(&list, nullptr, nullptr, POOL_NX_ALLOCATION, 40, TAG, 0);
        const KernelCall call("unload", HIGH_LEVEL);
        pool::report_leaks();
    });
    CHECK(check::contains(report, "lookaside list"));
    CHECK(check::contains(report, "was never deleted"));
}

TEST(pool_by_flags) {
    const std::string report = report_of(check::virtual_world(), [](World &world) {
        auto *zeroed = static_cast<UCHAR *>(ExAllocatePool2(POOL_FLAG_NON_PAGED, 40, TAG));
        REQUIRE(zeroed != nullptr);
        for (int i = 0; i < 40; ++i) {
            CHECK_EQ(zeroed[i], 0);
        }
        ExFreePool(zeroed);
        auto *filled = static_cast<UCHAR *>(
            ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED | POOL_FLAG_CACHE_ALIGNED, 40, TAG));
        CHECK_EQ(filled[0], pool::FILL_NEW);
        CHECK_EQ(reinterpret_cast<uintptr_t>(filled) % 64, 0u);
        ExFreePoolWithTag(filled, TAG);
        world.faults->set("ExAllocatePool2", 0, 1);
        CHECK(ExAllocatePool2(POOL_FLAG_PAGED, 40, TAG) == nullptr);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
    const auto rule = [](POOL_FLAGS flags) {
        return report_of(check::virtual_world(), [flags](World &) { ExAllocatePool2(flags, 40, TAG); });
    };
    CHECK(stopped_on(rule(POOL_FLAG_NON_PAGED_EXECUTE), "V20 pool: executable memory"));
    CHECK(stopped_on(rule(POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED), "V20 pool: flags"));
    CHECK(stopped_on(rule(0), "V20 pool: flags"));
    CHECK(stopped_on(rule(POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE), "UNMODELLED"));
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   const IrqlScope dispatch(DISPATCH_LEVEL);
                                   ExAllocatePool2(POOL_FLAG_PAGED, 40, TAG);
                               }),
                     "V20 pool: paged pool above APC_LEVEL"));
}

} // namespace MINIPEND_TEST_FILE
