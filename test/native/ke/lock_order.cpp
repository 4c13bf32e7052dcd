// SPDX-License-Identifier: MIT
//
// This module provides: tests of the orders in which locks are taken [V27].
#include <functional>
#include <string>
#include <vector>

#include "ke/lock_order.hpp"
#include "kernel_thread.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::Body;
using check::contains;
using check::kept;
using check::report_of;
using check::Started;
using check::stopped_on;

namespace {

constexpr const char *BOTH_ORDERS = "V27 two locks in both orders";
constexpr const char *CIRCLE = "V27 locks in a circle";

/// A lock of some kind, and the calls for it.
struct Subject {
    const char *name;
    std::function<void()> acquire;
    std::function<void()> release;
};
using Make = Subject (*)();

Subject fast_mutex() {
    auto &mutex = kept(FAST_MUTEX{});
    ExInitializeFastMutex(&mutex);
    return {"fast mutex",
            [&mutex] {
                KeEnterCriticalRegion();
                ExAcquireFastMutexUnsafe(&mutex);
            },
            [&mutex] {
                ExReleaseFastMutexUnsafe(&mutex);
                KeLeaveCriticalRegion();
            }};
}

Subject mutex() {
    auto &mutex = kept(KMUTEX{});
    KeInitializeMutex(&mutex, 0);
    return {"mutex", [&mutex] { KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, nullptr); },
            [&mutex] { KeReleaseMutex(&mutex, FALSE); }};
}

template <auto acquire> Subject resource() {
    auto &resource = kept(ERESOURCE{});
    ExInitializeResourceLite(&resource);
    return {"resource", [&resource] { acquire(&resource); }, [&resource] { FltReleaseResource(&resource); }};
}

template <auto acquire> Subject push_lock() {
    auto &lock = kept(ULONG_PTR{0});
    FltInitializePushLock(&lock);
    return {"push lock", [&lock] { acquire(&lock); }, [&lock] { FltReleasePushLock(&lock); }};
}

Subject spin_lock() {
    auto &lock = kept(KSPIN_LOCK{0});
    auto &before = kept(KIRQL{0});
    return {"spin lock", [&] { before = KeAcquireSpinLockRaiseToDpc(&lock); },
            [&] { KeReleaseSpinLock(&lock, before); }};
}

Subject queued_spin_lock() {
    auto &lock = kept(KSPIN_LOCK{0});
    auto &handle = kept(KLOCK_QUEUE_HANDLE{});
    return {"queued spin lock", [&] { KeAcquireInStackQueuedSpinLock(&lock, &handle); },
            [&] { KeReleaseInStackQueuedSpinLock(&handle); }};
}

template <auto acquire, auto release> Subject reader_writer() {
    auto &lock = kept(EX_SPIN_LOCK{0});
    auto &before = kept(KIRQL{0});
    return {"reader/writer spin lock", [&] { before = acquire(&lock); }, [&] { release(&lock, before); }};
}

const std::vector<Make> &waiting_locks() {
    static const auto &all = *new std::vector<Make>{
        fast_mutex,
        mutex,
        resource<FltAcquireResourceExclusive>,
        resource<FltAcquireResourceShared>,
        push_lock<FltAcquirePushLockExclusive>,
        push_lock<FltAcquirePushLockShared>,
    };
    return all;
}

const std::vector<Make> &spinning_locks() {
    static const auto &all = *new std::vector<Make>{
        spin_lock,
        queued_spin_lock,
        reader_writer<ExAcquireSpinLockExclusive, ExReleaseSpinLockExclusive>,
        reader_writer<ExAcquireSpinLockShared, ExReleaseSpinLockShared>,
    };
    return all;
}

/// Takes them in this order, and gives them back from the last.
void nest(const std::vector<const Subject *> &locks) {
    for (const Subject *lock : locks) {
        lock->acquire();
    }
    for (auto lock = locks.rbegin(); lock != locks.rend(); ++lock) {
        (*lock)->release();
    }
}

void in_another_thread(const std::function<void()> &fn) {
    Body &body = kept(Body(fn));
    const Started thread(body);
}

bool runs(const std::function<void()> &fn) {
    return contains(report_of(check::virtual_world(), [&](World &) { fn(); }), "\"stopped\":false");
}

std::string stop_of(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

ke::HeldLock lock_at(const int &place, bool exclusive = true) {
    return {&place, ke::LockKind::Spin, exclusive};
}

} // namespace

TEST(two_locks_of_any_kind_in_both_orders) {
    for (const auto *kinds : {&waiting_locks(), &spinning_locks()}) {
        for (const Make make_one : *kinds) {
            for (const Make make_other : *kinds) {
                std::string names[2];
                const std::string report = stop_of([&] {
                    const Subject one = make_one();
                    const Subject other = make_other();
                    names[0] = one.name;
                    names[1] = other.name;
                    nest({&one, &other});
                    nest({&one, &other});
                    in_another_thread([&] { nest({&one, &other}); });
                    in_another_thread([&] { nest({&other, &one}); });
                    CHECK(false);
                });
                CHECK(stopped_on(report, BOTH_ORDERS));
                CHECK(contains(report, "A is " + names[1] + " "));
                CHECK(contains(report, "B is " + names[0] + " "));
                CHECK(contains(report, "system thread 1 has A, taken at "));
                CHECK(contains(report, ", and waits for B at "));
                CHECK(contains(report, "; before, client had B, taken at "));
                CHECK(contains(report, ", and asked for A at "));
            }
        }
    }
}

TEST(lock_order_of_what_waits_before_what_spins) {
    for (const Make make_waiting : waiting_locks()) {
        for (const Make make_spinning : spinning_locks()) {
            CHECK(runs([&] {
                const Subject waiting = make_waiting();
                const Subject spinning = make_spinning();
                nest({&waiting, &spinning});
                nest({&spinning});
                nest({&waiting});
                nest({&waiting, &spinning});
            }));
        }
    }
}

TEST(lock_order_in_a_circle) {
    const std::string report = stop_of([] {
        const Subject one = spin_lock();
        const Subject two = spin_lock();
        const Subject three = spin_lock();
        nest({&one, &two});
        in_another_thread([&] { nest({&two, &three}); });
        in_another_thread([&] { nest({&one, &three}); });
        in_another_thread([&] { nest({&three, &one}); });
    });
    CHECK(stopped_on(report, BOTH_ORDERS)); // of one and three: the shortest circle
    CHECK(stopped_on(stop_of([] {
                         const Subject one = spin_lock();
                         const Subject two = spin_lock();
                         const Subject three = spin_lock();
                         nest({&one, &two});
                         in_another_thread([&] { nest({&two, &three}); });
                         in_another_thread([&] { nest({&three, &one}); });
                     }),
                     CIRCLE));
}

TEST(lock_order_under_one_lock_is_free) {
    CHECK(runs([] {
        const Subject guard = fast_mutex();
        const Subject one = spin_lock();
        const Subject two = spin_lock();
        nest({&guard, &one, &two});
        in_another_thread([&] { nest({&guard, &two, &one}); });
        nest({&guard, &one, &two});
    }));
    CHECK(stopped_on(stop_of([] { // one thread can be in either, but another need not wait for the guard
                         const Subject guard = fast_mutex();
                         const Subject one = spin_lock();
                         const Subject two = spin_lock();
                         nest({&guard, &one, &two});
                         nest({&two, &one});
                     }),
                     BOTH_ORDERS));
    CHECK(stopped_on(stop_of([] { // readers are not kept apart
                         const Subject guard = resource<FltAcquireResourceShared>();
                         const Subject one = spin_lock();
                         const Subject two = spin_lock();
                         nest({&guard, &one, &two});
                         nest({&guard, &two, &one});
                     }),
                     BOTH_ORDERS));
}

TEST(lock_order_counts_waits_without_an_end) {
    CHECK(runs([] {
        auto &one = kept(FAST_MUTEX{});
        auto &two = kept(FAST_MUTEX{});
        ExInitializeFastMutex(&one);
        ExInitializeFastMutex(&two);
        const auto try_second = [](FAST_MUTEX &first, FAST_MUTEX &second) {
            ExAcquireFastMutex(&first);
            CHECK(ExTryToAcquireFastMutex(&second) != FALSE);
            ExReleaseFastMutex(&second);
            ExReleaseFastMutex(&first);
        };
        try_second(one, two);
        try_second(two, one);
    }));
    CHECK(runs([] {
        auto &one = kept(KMUTEX{});
        auto &two = kept(KMUTEX{});
        KeInitializeMutex(&one, 0);
        KeInitializeMutex(&two, 0);
        LARGE_INTEGER second = check::relative_ms(1000);
        for (auto [first, then] : {std::pair{&one, &two}, std::pair{&two, &one}}) {
            KeWaitForSingleObject(first, Executive, KernelMode, FALSE, nullptr);
            CHECK_EQ(KeWaitForSingleObject(then, Executive, KernelMode, FALSE, &second), STATUS_SUCCESS);
            KeReleaseMutex(then, FALSE);
            KeReleaseMutex(first, FALSE);
        }
        // All together, in whatever order they stand; or any of them.
        PVOID both[] = {&one, &two};
        PVOID reversed[] = {&two, &one};
        for (PVOID *objects : {both, reversed}) {
            CHECK_EQ(KeWaitForMultipleObjects(2, objects, WaitAll, Executive, KernelMode, FALSE, nullptr, nullptr),
                     STATUS_SUCCESS);
            KeReleaseMutex(&one, FALSE);
            CHECK_EQ(KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, nullptr, nullptr),
                     STATUS_WAIT_0);
            KeReleaseMutex(static_cast<PRKMUTEX>(objects[0]), FALSE);
            KeReleaseMutex(&two, FALSE);
        }
    }));
    // What was got without waiting is held like anything else.
    CHECK(stopped_on(stop_of([] {
                         const Subject other = mutex();
                         auto &tried = kept(FAST_MUTEX{});
                         ExInitializeFastMutex(&tried);
                         CHECK(ExTryToAcquireFastMutex(&tried) != FALSE);
                         nest({&other});
                         ExReleaseFastMutex(&tried);
                         other.acquire();
                         ExAcquireFastMutex(&tried);
                     }),
                     BOTH_ORDERS));
}

TEST(lock_order_of_recursive_locks) {
    CHECK(runs([] {
        const Subject one = resource<FltAcquireResourceShared>();
        const Subject two = mutex();
        nest({&one, &two, &one, &two});
        nest({&one, &two, &two});
        nest({&one, &one, &two});
    }));
    CHECK(stopped_on(stop_of([] {
                         const Subject one = resource<FltAcquireResourceShared>();
                         const Subject two = mutex();
                         nest({&one, &two});
                         two.acquire();
                         two.acquire();
                         two.release(); // it has it still
                         one.acquire();
                     }),
                     BOTH_ORDERS));
}

TEST(lock_order_does_not_depend_on_the_schedule) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const auto run = [seed](bool reversed) {
            return report_of(check::virtual_world(seed), [=](World &) {
                const Subject one = mutex();
                const Subject two = fast_mutex();
                Body forth = [&] {
                    for (int i = 0; i < 5; ++i) {
                        nest({&one, &two});
                    }
                };
                Body back = [&] { nest({&two, &one}); };
                const Started a(forth);
                const Started b(reversed ? back : forth);
            });
        };
        CHECK(contains(run(false), "\"stopped\":false"));
        const std::string report = run(true);
        CHECK(stopped_on(report, BOTH_ORDERS)); // never that both wait already
    }
}

TEST(lock_order_is_of_one_life_of_a_lock) {
    // The same memory, initialised again.
    CHECK(runs([] {
        auto &one = kept(KSPIN_LOCK{0});
        auto &two = kept(KSPIN_LOCK{0});
        for (auto [first, then] : {std::pair{&one, &two}, std::pair{&two, &one}}) {
            KeInitializeSpinLock(&one);
            const KIRQL before = KeAcquireSpinLockRaiseToDpc(first);
            KeAcquireSpinLockAtDpcLevel(then);
            KeReleaseSpinLockFromDpcLevel(then);
            KeReleaseSpinLock(first, before);
        }
    }));
    CHECK(runs([] {
        auto &one = kept(FAST_MUTEX{});
        auto &two = kept(FAST_MUTEX{});
        ExInitializeFastMutex(&two);
        for (auto [first, then] : {std::pair{&one, &two}, std::pair{&two, &one}}) {
            ExInitializeFastMutex(&one);
            ExAcquireFastMutex(first);
            ExAcquireFastMutex(then);
            ExReleaseFastMutex(then);
            ExReleaseFastMutex(first);
        }
    }));
    // What only looks like the event of a fast mutex is none.
    CHECK(stopped_on(stop_of([] {
                         struct Both {
                             KSPIN_LOCK lock;
                             char between[offsetof(FAST_MUTEX, Event) - sizeof(KSPIN_LOCK)];
                             KEVENT event;
                         };
                         auto &both = kept(Both{});
                         static_assert(offsetof(Both, event) == offsetof(FAST_MUTEX, Event));
                         const Subject other = spin_lock();
                         KIRQL before = KeAcquireSpinLockRaiseToDpc(&both.lock);
                         nest({&other});
                         KeInitializeEvent(&both.event, NotificationEvent, FALSE);
                         KeReleaseSpinLock(&both.lock, before);
                         other.acquire();
                         KeAcquireSpinLockRaiseToDpc(&both.lock);
                     }),
                     BOTH_ORDERS));
    // Freed memory.
    const int places[3] = {};
    ke::LockOrder order;
    CHECK(order.ask({lock_at(places[0])}, lock_at(places[1]), "a").empty());
    CHECK(order.ask({lock_at(places[1])}, lock_at(places[2]), "a").empty());
    CHECK(order.ask({lock_at(places[0])}, lock_at(places[1]), "b").empty());
    CHECK_EQ(order.pairs(), size_t{2});
    order.forget(&places[1], sizeof places[1]);
    CHECK_EQ(order.pairs(), size_t{0});
    CHECK(order.ask({lock_at(places[2])}, lock_at(places[0]), "b").empty());
    CHECK(order.ask({lock_at(places[0])}, lock_at(places[1]), "a").empty());
    CHECK_EQ(order.ask({lock_at(places[1])}, lock_at(places[2]), "a").size(), size_t{3});
    order.forget(places, sizeof places);
    CHECK_EQ(order.pairs(), size_t{0});
}

TEST(lock_order_with_different_surroundings) {
    const int places[4] = {};
    const auto &[g, h, a, b] = places;
    {
        ke::LockOrder order; // each of the two guards keeps one of them away, but never both
        CHECK(order.ask({lock_at(g), lock_at(a)}, lock_at(b), "1").empty());
        CHECK(order.ask({lock_at(h), lock_at(a)}, lock_at(b), "1").empty());
        CHECK(order.ask({lock_at(g), lock_at(h), lock_at(b)}, lock_at(a), "2").empty());
        CHECK_EQ(order.ask({lock_at(h), lock_at(b)}, lock_at(a), "3").size(), size_t{2});
    }
    {
        ke::LockOrder order; // a writer's guard keeps readers away
        CHECK(order.ask({lock_at(g, false), lock_at(a)}, lock_at(b), "1").empty());
        CHECK(order.ask({lock_at(g), lock_at(b)}, lock_at(a), "2").empty());
        CHECK_EQ(order.ask({lock_at(g, false), lock_at(b)}, lock_at(a), "2").size(), size_t{2});
    }
}

TEST(lock_order_with_many_surroundings) {
    const int guards[20] = {};
    const int places[2] = {};
    const auto &[a, b] = places;
    std::vector<ke::HeldLock> all;
    ke::LockOrder order;
    for (const int &guard : guards) {
        CHECK(order.ask({lock_at(guard), lock_at(a)}, lock_at(b), "1").empty());
        all.push_back(lock_at(guard));
    }
    CHECK_EQ(order.pairs(), std::size(guards) + 1);
    all.push_back(lock_at(b));
    CHECK(order.ask(all, lock_at(a), "2").empty()); // whichever guard thread 1 has
    CHECK_EQ(order.ask({lock_at(a)}, lock_at(b), "1").size(), size_t{2}); // none, after however many
}

} // namespace MINIPEND_TEST_FILE
