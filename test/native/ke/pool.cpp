// SPDX-License-Identifier: MIT
//
// This module provides: tests of the pool's checks [V20].
#include <cstring>

#include "core/faults.hpp"
#include "ke/pool.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::report_of;
using check::stopped_on;

namespace {

constexpr ULONG TAG = 0x74736554; // 'Test'

std::string stop_of(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

unsigned char *allocate(size_t bytes) {
    return static_cast<unsigned char *>(ExAllocatePoolWithTag(NonPagedPoolNx, bytes, TAG));
}

void NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) {}

} // namespace

TEST(pool_gives_filled_aligned_memory) {
    report_of(check::virtual_world(), [](World &) {
        unsigned char *block = allocate(40);
        CHECK_EQ(reinterpret_cast<uintptr_t>(block) % 16, uintptr_t{0});
        CHECK_EQ(block[0], pool::FILL_NEW);
        CHECK_EQ(block[39], pool::FILL_NEW);
        ExFreePoolWithTag(block, TAG);
        void *aligned = ExAllocatePoolWithTag(NonPagedPoolNxCacheAligned, 100, TAG);
        CHECK_EQ(reinterpret_cast<uintptr_t>(aligned) % 64, uintptr_t{0});
        ExFreePoolWithTag(aligned, 0);
    });
}

TEST(pool_misuse_stops_the_world) {
    CHECK(stopped_on(stop_of([] {
                         unsigned char *block = allocate(8);
                         ExFreePoolWithTag(block, TAG);
                         ExFreePoolWithTag(block, TAG);
                     }),
                     "V20 pool: double free"));
    CHECK(stopped_on(stop_of([] { ExFreePoolWithTag(allocate(8), TAG + 1); }), "V20 pool: wrong tag"));
    CHECK(stopped_on(stop_of([] { ExFreePoolWithTag(allocate(8) + 1, TAG); }), "V20 pool: not a block"));
    CHECK(stopped_on(stop_of([] { ExAllocatePoolWithTag(NonPagedPool, 8, TAG); }), "V20 pool: executable memory"));
    CHECK(stopped_on(stop_of([] { allocate(0); }), "V20 pool: zero bytes"));
    CHECK(stopped_on(stop_of([] { ExAllocatePoolWithTag(NonPagedPoolNx, 8, 0); }), "V20 pool: no tag"));
    CHECK(stopped_on(stop_of([] {
                         const IrqlScope dispatch(DISPATCH_LEVEL);
                         ExAllocatePoolWithTag(PagedPool, 8, TAG);
                     }),
                     "V20 pool: paged pool above APC_LEVEL"));
    CHECK(stopped_on(stop_of([] {
                         void *block = ExAllocatePoolWithTag(PagedPool, 8, TAG);
                         const IrqlScope dispatch(DISPATCH_LEVEL);
                         ExFreePoolWithTag(block, TAG);
                     }),
                     "V20 pool: paged pool above APC_LEVEL"));
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(pool_sees_stray_writes) {
    CHECK(stopped_on(stop_of([] {
                         volatile unsigned char *block = allocate(21);
                         block[21] = 0;
                         ExFreePoolWithTag(const_cast<unsigned char *>(block), TAG);
                     }),
                     "V20 pool: overrun"));
    CHECK(stopped_on(stop_of([] {
                         volatile unsigned char *block = allocate(21);
                         block[-1] = 0;
                         ExFreePoolWithTag(const_cast<unsigned char *>(block), TAG);
                     }),
                     "V20 pool: underrun"));
    CHECK(stopped_on(stop_of([] {
                         volatile unsigned char *block = allocate(21);
                         ExFreePoolWithTag(const_cast<unsigned char *>(block), TAG);
                         block[3] = 1;
                         const KernelCall call("test");
                         pool::report_leaks();
                     }),
                     "V20 pool: written after free"));
}
#endif

TEST(pool_leaks_are_reported_by_tag) {
    const std::string report = stop_of([] {
        allocate(10);
        allocate(20);
        const KernelCall call("test");
        pool::report_leaks();
    });
    CHECK(check::contains(report, "pool tag 'Test': 2 blocks, 30 bytes"));
}

TEST(pool_fault_switch) {
    report_of(check::virtual_world(), [](World &world) {
        CHECK(world.faults->set("ExAllocatePoolWithTag", 1, 1));
        unsigned char *first = allocate(8);
        CHECK(first != nullptr);
        CHECK(allocate(8) == nullptr);
        unsigned char *third = allocate(8);
        CHECK(third != nullptr);
        ExFreePoolWithTag(first, TAG);
        ExFreePoolWithTag(third, TAG);
    });
}

TEST(kernel_objects_in_paged_pool) {
    using Use = void (*)(unsigned char *);
    constexpr size_t AT = 64; // not only the first address counts
    const Use uses[] = {
        [](unsigned char *block) { KeInitializeEvent(reinterpret_cast<PKEVENT>(block), NotificationEvent, FALSE); },
        [](unsigned char *block) { KeInitializeMutex(reinterpret_cast<PRKMUTEX>(block), 0); },
        [](unsigned char *block) { KeInitializeSemaphore(reinterpret_cast<PRKSEMAPHORE>(block), 0, 1); },
        [](unsigned char *block) { KeInitializeTimer(reinterpret_cast<PKTIMER>(block)); },
        [](unsigned char *block) { KeInitializeDpc(reinterpret_cast<PRKDPC>(block), nothing, nullptr); },
        [](unsigned char *block) { KeInitializeSpinLock(reinterpret_cast<PKSPIN_LOCK>(block)); },
        [](unsigned char *block) { ExInitializeFastMutex(reinterpret_cast<PFAST_MUTEX>(block)); },
        [](unsigned char *block) {
            auto *resource = reinterpret_cast<PERESOURCE>(block);
            ExInitializeResourceLite(resource);
            ExDeleteResourceLite(resource);
        },
        [](unsigned char *block) {
            auto *lock = reinterpret_cast<PEX_SPIN_LOCK>(block);
            *lock = 0;
            ExReleaseSpinLockShared(lock, ExAcquireSpinLockShared(lock));
        },
        [](unsigned char *block) {
            auto *lock = reinterpret_cast<PKSPIN_LOCK>(block);
            *lock = 0;
            KeReleaseSpinLock(lock, KeAcquireSpinLockRaiseToDpc(lock));
        },
    };
    for (const Use use : uses) {
        const auto report_in = [use](POOL_TYPE type) {
            return stop_of([=] {
                auto *block = static_cast<unsigned char *>(ExAllocatePoolWithTag(type, 512, TAG));
                use(block + AT);
                ExFreePoolWithTag(block, TAG);
            });
        };
        CHECK(stopped_on(report_in(PagedPool), "V14 kernel object in paged memory"));
        CHECK(check::contains(report_in(NonPagedPoolNx), "\"stopped\":false"));
    }
    // A push lock may be paged, and what is behind a block is not in it.
    CHECK(check::contains(stop_of([] {
                              auto *block = static_cast<unsigned char *>(ExAllocatePoolWithTag(PagedPool, 64, TAG));
                              FltInitializePushLock(reinterpret_cast<PULONG_PTR>(block));
                              FltAcquirePushLockExclusive(reinterpret_cast<PULONG_PTR>(block));
                              FltReleasePushLock(reinterpret_cast<PULONG_PTR>(block));
                              FltDeletePushLock(reinterpret_cast<PULONG_PTR>(block));
                              pool::check_resident("test", block + 64, "what is behind it");
                              ExFreePoolWithTag(block, TAG);
                              pool::check_resident("test", block, "what was there");
                          }),
                          "\"stopped\":false"));
}

TEST(pool_quarantine_is_bounded) {
    const std::string report = stop_of([] {
        for (int i = 0; i < 6000; ++i) {
            ExFreePoolWithTag(allocate(64), TAG);
        }
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

} // namespace MINIPEND_TEST_FILE
