// SPDX-License-Identifier: MIT
//
// This module provides: tests of what a driver does wrongly with generic tables, and of two threads in one of them.
#include "ke/table_subject.hpp"

namespace MINIPEND_TEST_FILE {

using namespace tables;
using check::stopped_on;

namespace {

template <class Kind> bool stops(const std::string &rule, const std::function<void(Subject<Kind> &)> &fn) {
    return stopped_on(with<Kind>([&](World &, Subject<Kind> &subject) { fn(subject); }), rule);
}

template <class Kind> void mistakes_of_one() {
    using S = Subject<Kind>;
    CHECK(stops<Kind>("GENERIC TABLE not initialised", [](S &subject) {
        auto &moved = *new auto(subject.table);
        Kind::count(&moved);
    }));
    CHECK(stops<Kind>("GENERIC TABLE not initialised", [](S &subject) {
        auto *table = static_cast<typename Kind::Table *>(
            ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(typename Kind::Table), TAG));
        Kind::initialise(table, &subject.behaviour);
        ExFreePoolWithTag(table, TAG);
        Kind::count(table);
    }));
    CHECK(stops<Kind>("GENERIC TABLE order", [](S &subject) {
        subject.insert(1);
        subject.behaviour.compared = [] { return 3; };
        subject.insert(2);
    }));
    CHECK(stops<Kind>("GENERIC TABLE storage", [](S &subject) {
        Item *const item = subject.insert(1);
        subject.behaviour.allocate = [=] { return reinterpret_cast<char *>(item) - Kind::HEADER; };
        subject.insert(2);
    }));
    CHECK(stops<Kind>("GENERIC TABLE storage", [](S &subject) {
        subject.behaviour.allocate = [] {
            return static_cast<char *>(ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG)) + 4;
        };
        subject.insert(2);
    }));
    CHECK(stops<Kind>("GENERIC TABLE element freed", [](S &subject) {
        Item *const item = subject.insert(1);
        subject.insert(2);
        ExFreePoolWithTag(reinterpret_cast<char *>(item) - Kind::HEADER, TAG);
        subject.look_up(2);
    }));
    CHECK(stops<Kind>("GENERIC TABLE not synchronised", [](S &subject) { // in one of its own routines
        subject.insert(1);
        subject.behaviour.compared = [&] {
            subject.behaviour.compared = nullptr;
            subject.insert(5);
            return std::nullopt;
        };
        subject.insert(2);
    }));
    CHECK(stops<Kind>("GENERIC TABLE element", [](S &subject) { // of an enumeration that did not notice
        subject.insert(1);
        subject.insert(2);
        PVOID restart = nullptr;
        CHECK(Kind::enumerate_by_key(&subject.table, &restart) != nullptr);
        CHECK(subject.remove(1));
        CHECK(Kind::enumerate_by_key(&subject.table, &restart) != nullptr);
    }));
    CHECK(stops<Kind>("GENERIC TABLE place", [](S &subject) { // that another insertion has taken
        subject.insert(10);
        Item item{20, 0};
        PVOID where = nullptr;
        TABLE_SEARCH_RESULT result = TableEmptyTree;
        Kind::look_up_full(&subject.table, &item, &where, &result);
        CHECK_EQ(result, TableInsertAsRight);
        // Ends as the same node's right child in both kinds of trees.
        subject.insert(30);
        subject.look_up(10);
        Kind::insert_full(&subject.table, &item, sizeof item, nullptr, where, result);
    }));
    if constexpr (!check::SANITIZER_SEES_FIRST) {
        CHECK(stops<Kind>("V20 pool: overrun", [](S &subject) { // the routine gives less than it is asked for
            subject.behaviour.allocate = [] { return ExAllocatePoolWithTag(NonPagedPoolNx, Kind::HEADER, TAG); };
            subject.insert(2);
            subject.remove(2);
        }));
    }
    CHECK(stops<Kind>("V5 IRQL too high", [](S &subject) {
        subject.behaviour.paged = true;
        subject.insert(2);
        IrqlScope dispatch(DISPATCH_LEVEL);
        subject.look_up(2);
    }));
    CHECK(stops<Kind>("V5 IRQL too high", [](S &subject) {
        subject.insert(2);
        IrqlScope high(DISPATCH_LEVEL + 1);
        subject.look_up(2);
    }));
    CHECK(check::contains(with<Kind>([](World &, S &subject) { // nonpaged elements are for DISPATCH_LEVEL too
                              IrqlScope dispatch(DISPATCH_LEVEL);
                              subject.insert(2);
                              CHECK(subject.look_up(2) != nullptr);
                              CHECK(subject.remove(2));
                          }),
                          "\"stopped\":false"));
}

NTSTATUS NTAPI no_answer(RTL_AVL_TABLE *, PVOID, PVOID) {
    return STATUS_UNSUCCESSFUL;
}

/// Of 40 seeds, those in which two threads that insert stop the world.
template <class Kind> int seeds_that_stop(bool locked) {
    int stopped = 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        const std::string report = with<Kind>(
            [&](World &world, Subject<Kind> &subject) {
                static KSPIN_LOCK lock;
                KeInitializeSpinLock(&lock);
                for (int32_t key = 0; key < 8; ++key) {
                    subject.insert(key * 10);
                }
                int running = 2;
                for (int32_t thread = 1; thread <= 2; ++thread) {
                    KernelCall call("test");
                    world.spawn("inserter", nullptr, [&, thread] {
                        for (int32_t i = 0; i < 4; ++i) {
                            KIRQL irql = 0;
                            if (locked) {
                                KeAcquireSpinLock(&lock, &irql);
                            }
                            subject.insert(i * 10 + thread);
                            if (locked) {
                                KeReleaseSpinLock(&lock, irql);
                            }
                        }
                        KernelCall end("test");
                        --running;
                        world.wake(&running);
                    });
                }
                KernelCall call("test");
                world.block(&running, [&] { return running == 0; });
            },
            seed);
        if (!check::contains(report, "\"stopped\":false")) {
            CHECK(stopped_on(report, "GENERIC TABLE not synchronised"));
            ++stopped;
        }
    }
    return stopped;
}

} // namespace

TEST(mistakes_with_splay_tables) {
    mistakes_of_one<Splay>();
}

TEST(mistakes_with_avl_tables) {
    mistakes_of_one<Avl>();
    using S = Subject<Avl>;
    CHECK(stops<Avl>("GENERIC TABLE match", [](S &subject) {
        subject.insert(1);
        PVOID restart = nullptr;
        ULONG deleted = 0;
        Item buffer{0, 0};
        CHECK(RtlEnumerateGenericTableLikeADirectory(&subject.table, no_answer, nullptr, FALSE, &restart, &deleted,
                                                     &buffer) == nullptr);
    }));
    CHECK(stops<Avl>("GENERIC TABLE element", [](S &subject) {
        subject.insert(1);
        static Item stranger{1, 0};
        RtlDeleteElementGenericTableAvlEx(&subject.table, &stranger);
    }));
    CHECK(stops<Avl>("GENERIC TABLE of the other kind", [](S &subject) {
        RtlNumberGenericTableElements(reinterpret_cast<PRTL_GENERIC_TABLE>(&subject.table));
    }));
}

TEST(two_threads_in_one_table) {
    CHECK(seeds_that_stop<Splay>(false) > 0);
    CHECK(seeds_that_stop<Avl>(false) > 0);
    CHECK_EQ(seeds_that_stop<Splay>(true), 0);
    CHECK_EQ(seeds_that_stop<Avl>(true), 0);
}

/// Looking things up in a balanced tree changes nothing, so that readers may share a lock; a splay tree turns with every one.
TEST(readers_of_one_table) {
    const auto stops = []<class Kind>(Kind) {
        int stopped = 0;
        for (uint64_t seed = 1; seed <= 40; ++seed) {
            stopped += check::contains(with<Kind>(
                                           [&](World &world, Subject<Kind> &subject) {
                                               for (int32_t key = 0; key < 8; ++key) {
                                                   subject.insert(key);
                                               }
                                               int running = 2;
                                               for (int thread = 0; thread < 2; ++thread) {
                                                   KernelCall call("test");
                                                   world.spawn("reader", nullptr, [&] {
                                                       for (int32_t key = 0; key < 8; ++key) {
                                                           subject.look_up(key);
                                                       }
                                                       KernelCall end("test");
                                                       --running;
                                                       world.wake(&running);
                                                   });
                                               }
                                               KernelCall call("test");
                                               world.block(&running, [&] { return running == 0; });
                                           },
                                           seed),
                                       "\"stopped\":false")
                           ? 0
                           : 1;
        }
        return stopped;
    };
    CHECK_EQ(stops(Avl{}), 0);
    CHECK(stops(Splay{}) > 0);
}

} // namespace MINIPEND_TEST_FILE
