// SPDX-License-Identifier: MIT
//
// This module provides: tests of resources (ERESOURCE): who gets one and when, with many schedules, and what is misuse.
#include <functional>
#include <string>
#include <vector>

#include "ke/pool.hpp"
#include "kernel_thread.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::Body;
using check::report_of;
using check::sleep_ms;
using check::Started;
using check::stopped_on;

namespace {

constexpr ULONG TAG = 0x73655230;

/// A world in which `fn` has a resource and is in a critical region.
std::string with(const std::function<void(ERESOURCE &)> &fn, uint64_t seed = 1) {
    return report_of(check::virtual_world(seed), [&](World &) {
        auto *resource = static_cast<PERESOURCE>(ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(ERESOURCE), TAG));
        CHECK_EQ(ExInitializeResourceLite(resource), STATUS_SUCCESS);
        KeEnterCriticalRegion();
        fn(*resource);
        KeLeaveCriticalRegion();
        CHECK_EQ(ExDeleteResourceLite(resource), STATUS_SUCCESS);
        ExFreePoolWithTag(resource, TAG);
    });
}

} // namespace

TEST(resources_are_recursive) {
    const std::string report = with([](ERESOURCE &resource) {
        CHECK_EQ(ExIsResourceAcquiredSharedLite(&resource), 0u);
        CHECK(ExAcquireResourceSharedLite(&resource, FALSE) == TRUE);
        CHECK(ExAcquireResourceSharedLite(&resource, TRUE) == TRUE);
        CHECK_EQ(ExIsResourceAcquiredSharedLite(&resource), 2u);
        CHECK(ExIsResourceAcquiredExclusiveLite(&resource) == FALSE);
        CHECK(ExAcquireResourceExclusiveLite(&resource, FALSE) == FALSE); // shared already
        ExReleaseResourceLite(&resource);
        ExReleaseResourceLite(&resource);

        CHECK(ExAcquireResourceExclusiveLite(&resource, FALSE) == TRUE);
        CHECK(ExAcquireResourceExclusiveLite(&resource, TRUE) == TRUE);
        CHECK(ExAcquireResourceSharedLite(&resource, FALSE) == TRUE); // exclusive once more
        CHECK_EQ(ExIsResourceAcquiredSharedLite(&resource), 3u);
        for (int i = 0; i < 3; ++i) {
            CHECK(ExIsResourceAcquiredExclusiveLite(&resource) == TRUE);
            ExReleaseResourceLite(&resource);
        }
        CHECK(ExIsResourceAcquiredExclusiveLite(&resource) == FALSE);
        CHECK_EQ(ExIsResourceAcquiredSharedLite(&resource), 0u);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(flt_resources_have_a_critical_region) {
    const std::string report = with([](ERESOURCE &resource) {
        const uint32_t before = executing().kernel_apc_disable;
        FltAcquireResourceExclusive(&resource);
        CHECK_EQ(executing().kernel_apc_disable, before + 1);
        CHECK(ExIsResourceAcquiredExclusiveLite(&resource) == TRUE);
        FltReleaseResource(&resource);
        CHECK_EQ(executing().kernel_apc_disable, before);
        FltAcquireResourceShared(&resource);
        CHECK_EQ(executing().kernel_apc_disable, before + 1);
        CHECK(ExIsResourceAcquiredExclusiveLite(&resource) == FALSE);
        CHECK_EQ(ExIsResourceAcquiredSharedLite(&resource), 1u);
        FltReleaseResource(&resource);
        CHECK_EQ(executing().kernel_apc_disable, before);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(another_threads_resource) {
    const std::string report = with([](ERESOURCE &resource) {
        Body tries_shared = [&] {
            KeEnterCriticalRegion();
            CHECK(ExAcquireResourceSharedLite(&resource, FALSE) == TRUE);
            CHECK(ExAcquireResourceExclusiveLite(&resource, FALSE) == FALSE);
            ExReleaseResourceLite(&resource);
            CHECK(ExAcquireResourceExclusiveLite(&resource, FALSE) == FALSE);
            KeLeaveCriticalRegion();
        };
        Body tries = [&] {
            KeEnterCriticalRegion();
            CHECK(ExAcquireResourceSharedLite(&resource, FALSE) == FALSE);
            CHECK(ExAcquireResourceExclusiveLite(&resource, FALSE) == FALSE);
            CHECK(ExIsResourceAcquiredExclusiveLite(&resource) == FALSE);
            CHECK_EQ(ExIsResourceAcquiredSharedLite(&resource), 0u);
            KeLeaveCriticalRegion();
        };
        FltAcquireResourceShared(&resource);
        {
            const Started other(tries_shared);
        }
        FltReleaseResource(&resource);
        FltAcquireResourceExclusive(&resource);
        {
            const Started other(tries);
        }
        FltReleaseResource(&resource);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(who_waits_for_a_resource_gets_it_in_turn) {
    // Shared owner; then waits: an exclusive one, a shared one behind it, another exclusive one.
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        std::string order;
        const std::string report = with(
            [&](ERESOURCE &resource) {
                const auto waits = [&](char name, bool exclusive) {
                    return Body([&resource, &order, name, exclusive] {
                        (exclusive ? FltAcquireResourceExclusive : FltAcquireResourceShared)(&resource);
                        order += name;
                        FltReleaseResource(&resource);
                    });
                };
                Body first = waits('a', true);
                Body shared = waits('s', false);
                Body last = waits('b', true);
                FltAcquireResourceShared(&resource);
                const Started one(first);
                sleep_ms(1);
                const Started two(shared);
                sleep_ms(1);
                const Started three(last);
                sleep_ms(1);
                CHECK_EQ(order, std::string());
                FltAcquireResourceShared(&resource); // an owner does not wait behind them
                FltReleaseResource(&resource);
                FltReleaseResource(&resource);
            },
            seed);
        CHECK(check::contains(report, "\"stopped\":false"));
        CHECK_EQ(order, std::string("asb")); // after an exclusive owner the shared ones come first
    }
}

TEST(resources_keep_writers_alone) {
    int readers_seen = 0;
    for (uint64_t seed = 1; seed <= 100; ++seed) {
        const std::string report = with(
            [&](ERESOURCE &resource) {
                int readers = 0;
                int writers = 0;
                int written = 0;
                Body reads = [&] {
                    for (int i = 0; i < 10; ++i) {
                        FltAcquireResourceShared(&resource);
                        readers_seen = std::max(readers_seen, ++readers);
                        CHECK_EQ(writers, 0);
                        world().yield();
                        --readers;
                        FltReleaseResource(&resource);
                    }
                };
                Body writes = [&] {
                    for (int i = 0; i < 10; ++i) {
                        FltAcquireResourceExclusive(&resource);
                        CHECK_EQ(++writers, 1);
                        CHECK_EQ(readers, 0);
                        world().yield();
                        --writers;
                        ++written;
                        FltReleaseResource(&resource);
                    }
                };
                {
                    const Started a(reads);
                    const Started b(writes);
                    const Started c(reads);
                    const Started d(writes);
                }
                CHECK_EQ(written, 20);
            },
            seed);
        CHECK(check::contains(report, "\"stopped\":false"));
    }
    CHECK(readers_seen >= 2);
}

TEST(misused_resources_stop_the_world) {
    const auto rule = [](const char *name, const std::function<void(ERESOURCE &)> &fn) {
        const std::string report = with(fn);
        CHECK(stopped_on(report, name));
        if (!stopped_on(report, name)) {
            CHECK_EQ(report.substr(0, 300), std::string(name));
        }
    };
    rule("RESOURCE shared, then exclusive", [](ERESOURCE &resource) {
        FltAcquireResourceShared(&resource);
        FltAcquireResourceExclusive(&resource);
    });
    rule("RESOURCE released by a thread that does not own it",
         [](ERESOURCE &resource) { ExReleaseResourceLite(&resource); });
    rule("RESOURCE released by a thread that does not own it", [](ERESOURCE &resource) {
        FltAcquireResourceShared(&resource);
        Body releases = [&] { ExReleaseResourceLite(&resource); };
        const Started other(releases);
    });
    rule("RESOURCE acquired with normal kernel APCs enabled", [](ERESOURCE &resource) {
        KeLeaveCriticalRegion();
        static_cast<void>(ExAcquireResourceSharedLite(&resource, TRUE));
    });
    rule("RESOURCE acquired with normal kernel APCs enabled", [](ERESOURCE &resource) {
        KeLeaveCriticalRegion();
        static_cast<void>(ExAcquireResourceExclusiveLite(&resource, FALSE));
    });
    rule("RESOURCE released with normal kernel APCs enabled", [](ERESOURCE &resource) {
        static_cast<void>(ExAcquireResourceSharedLite(&resource, TRUE));
        KeLeaveCriticalRegion();
        ExReleaseResourceLite(&resource);
    });
    rule("CRITICAL_REGION left without being entered", [](ERESOURCE &resource) {
        FltAcquireResourceShared(&resource);
        KeLeaveCriticalRegion();
        KeLeaveCriticalRegion();
        const IrqlScope apc(APC_LEVEL);
        FltReleaseResource(&resource);
    });
    rule("V5 IRQL too high", [](ERESOURCE &resource) {
        const IrqlScope dispatch(DISPATCH_LEVEL);
        static_cast<void>(ExAcquireResourceSharedLite(&resource, FALSE));
    });
    rule("RESOURCE not initialised", [](ERESOURCE &resource) {
        ERESOURCE copy = resource;
        FltAcquireResourceShared(&copy);
    });
    rule("RESOURCE not initialised", [](ERESOURCE &resource) {
        ExDeleteResourceLite(&resource);
        FltAcquireResourceShared(&resource);
    });
    rule("RESOURCE initialised again", [](ERESOURCE &resource) { ExInitializeResourceLite(&resource); });
    rule("RESOURCE storage", [](ERESOURCE &) { ExInitializeResourceLite(nullptr); });
    rule("RESOURCE deleted while it is owned", [](ERESOURCE &resource) {
        FltAcquireResourceShared(&resource);
        ExDeleteResourceLite(&resource);
    });
    rule("RESOURCE in memory that is freed", [](ERESOURCE &resource) { ExFreePoolWithTag(&resource, TAG); });
}

TEST(resources_that_stay_are_reported) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        ERESOURCE resource;
        ExInitializeResourceLite(&resource);
        const KernelCall call("unload", HIGH_LEVEL);
        pool::report_leaks();
    });
    CHECK(check::contains(report, "was never deleted (ExDeleteResourceLite)"));
    CHECK(check::contains(report, "\"stopped\":false"));
}

} // namespace MINIPEND_TEST_FILE
