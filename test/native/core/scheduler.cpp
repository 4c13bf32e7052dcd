// SPDX-License-Identifier: MIT
//
// This module provides: tests of the scheduler, the clock and the border between model and driver, on both executors where both have it.

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/handles.hpp"
#include "core/scheduler.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::contains;
using check::report_of;
using check::stopped_on;
using check::virtual_world;
using check::wall_world;

namespace {

constexpr uint64_t MS_100NS = 10'000;

/// Spawns with the model lock held, as kernel code does.
Thread *spawn(World &world, const char *name, std::function<void()> main) {
    const KernelCall call("spawn");
    Thread *thread = world.spawn(name, nullptr, std::move(main));
    thread->reference();
    return thread;
}

void join(World &world, Thread *thread) {
    const KernelCall call("join", APC_LEVEL);
    world.block(thread, [thread] { return thread->ended; });
    thread->dereference();
}

/// The order in which four threads get at a shared list, with a wait in each round.
std::vector<int> schedule_of(uint64_t seed) {
    std::vector<int> order;
    World world(virtual_world(seed));
    world.host_call([&] {
        std::vector<Thread *> threads;
        for (int number = 0; number < 4; ++number) {
            threads.push_back(spawn(world, "worker", [&world, &order, number] {
                for (int round = 0; round < 20; ++round) {
                    const KernelCall call("round");
                    order.push_back(number);
                    if (round % 5 == 4) {
                        world.block(
                            &order, [] { return false; }, world.interrupt_time_100ns() + world.random(100) * MS_100NS);
                    }
                }
            }));
        }
        for (Thread *thread : threads) {
            join(world, thread);
        }
    });
    return order;
}

void block_and_wake(WorldOptions options) {
    World world(options);
    bool ready = false;
    bool seen = false;
    CHECK(world.host_call([&] {
        Thread *waiter = spawn(world, "waiter", [&] {
            const KernelCall call("wait", APC_LEVEL);
            seen = world.block(&ready, [&] { return ready; });
        });
        {
            const KernelCall call("set");
            ready = true;
            world.wake(&ready);
        }
        join(world, waiter);
    }));
    CHECK(seen);
    CHECK(!world.stopped());
}

void block_times_out(WorldOptions options) {
    World world(options);
    bool result = true;
    uint64_t waited = 0;
    CHECK(world.host_call([&] {
        const KernelCall call("wait", APC_LEVEL);
        const uint64_t before = world.interrupt_time_100ns();
        result = world.block(&world, [] { return false; }, before + 20 * MS_100NS);
        waited = world.interrupt_time_100ns() - before;
    }));
    CHECK(!result);
    CHECK(waited >= 20 * MS_100NS);
    CHECK(waited < 2000 * MS_100NS);
}

void dpcs_run(WorldOptions options) {
    World world(options);
    int done = 0;
    int wrong = 0;
    CHECK(world.host_call([&] {
        const KernelCall call("wait", APC_LEVEL);
        for (int index = 0; index < 50; ++index) {
            world.queue_dpc(
                [&] {
                    const KernelCall inside("dpc");
                    if (executing().irql != DISPATCH_LEVEL || executing().borrowed == nullptr ||
                        &current_thread() == &executing()) {
                        ++wrong;
                    }
                    ++done;
                    world.wake(&done);
                },
                world.interrupt_time_100ns() + static_cast<uint64_t>(index) * 1000);
        }
        world.block(&done, [&] { return done == 50; });
    }));
    CHECK_EQ(done, 50);
    CHECK_EQ(wrong, 0);
}

/// A lock taken at DISPATCH_LEVEL by several threads, with scheduling points inside.
void spin_locks_exclude(WorldOptions options) {
    World world(options);
    bool held = false;
    int inside = 0;
    int overlaps = 0;
    int count = 0;
    const auto worker = [&] {
        for (int round = 0; round < 100; ++round) {
            {
                const KernelCall call("acquire");
                executing().irql = DISPATCH_LEVEL;
                world.spin_wait(&held, [&] { return !held; });
                held = true;
                if (++inside != 1) {
                    ++overlaps;
                }
            }
            world.yield();
            {
                const KernelCall call("release");
                --inside;
                ++count;
                held = false;
                world.wake(&held);
                executing().irql = PASSIVE_LEVEL;
            }
        }
    };
    CHECK(world.host_call([&] {
        std::vector<Thread *> threads;
        for (int number = 0; number < 4; ++number) {
            threads.push_back(spawn(world, "worker", worker));
        }
        for (Thread *thread : threads) {
            join(world, thread);
        }
    }));
    CHECK_EQ(overlaps, 0);
    CHECK_EQ(count, 400);
}

} // namespace

TEST(block_and_wake) {
    block_and_wake(virtual_world());
    block_and_wake(wall_world(false));
    block_and_wake(wall_world(true));
}

TEST(block_times_out) {
    block_times_out(virtual_world());
    block_times_out(wall_world(false));
    block_times_out(wall_world(true));
}

TEST(dpcs_run_at_dispatch_level_as_somebody_else) {
    dpcs_run(virtual_world());
    dpcs_run(wall_world(false));
    dpcs_run(wall_world(true));
}

TEST(spin_locks_exclude) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        spin_locks_exclude(virtual_world(seed));
    }
    spin_locks_exclude(wall_world(false));
    spin_locks_exclude(wall_world(true));
}

TEST(same_seed_same_schedule) {
    const std::vector<int> first = schedule_of(7);
    CHECK_EQ(first.size(), size_t{80});
    CHECK(first == schedule_of(7));
    CHECK(first == schedule_of(7));
    bool differs = false;
    for (uint64_t seed = 8; seed < 12; ++seed) {
        differs = differs || schedule_of(seed) != first;
    }
    CHECK(differs);
}

TEST(virtual_clock_jumps) {
    const auto before = std::chrono::steady_clock::now();
    World world(virtual_world());
    CHECK(world.host_call([&] {
        const KernelCall call("sleep", APC_LEVEL);
        world.block(&world, [] { return false; }, world.interrupt_time_100ns() + 600'000 * MS_100NS);
    }));
    CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(5));
}

TEST(hang_is_found_with_a_virtual_clock) {
    const std::string report = report_of(virtual_world(), [](World &world) {
        const KernelCall call("wait", APC_LEVEL);
        world.block(&world, [] { return false; });
    });
    CHECK(stopped_on(report, "HANG"));
    CHECK(contains(report, "client (thread"));
}

TEST(a_poller_does_not_hide_a_hang) {
    const std::string report = report_of(virtual_world(), [](World &world) {
        spawn(world, "poller", [&world] {
            for (;;) {
                const KernelCall call("poll", APC_LEVEL);
                world.block(&call, [] { return false; }, world.interrupt_time_100ns() + 100 * MS_100NS);
            }
        });
        const KernelCall call("wait", APC_LEVEL);
        world.block(&world, [] { return false; });
    });
    CHECK(stopped_on(report, "HANG"));
}

TEST(deadlock_is_found) {
    for (const bool virtual_clock : {true, false}) {
        const std::string report = report_of(virtual_clock ? virtual_world() : wall_world(), [](World &world) {
            const KernelCall call("acquire");
            executing().irql = DISPATCH_LEVEL;
            world.spin_wait(&world, [] { return false; });
        });
        CHECK(stopped_on(report, "DEADLOCK"));
    }
}

TEST(irql_is_checked) {
    const std::string report = report_of(wall_world(), [](World &) {
        const IrqlScope scope(DISPATCH_LEVEL);
        const KernelCall call("ZwSomething", PASSIVE_LEVEL);
    });
    CHECK(stopped_on(report, "V5 IRQL too high"));
    CHECK(contains(report, "\"call\":\"ZwSomething\""));
}

TEST(waiting_at_dispatch_is_found) {
    const std::string report = report_of(wall_world(), [](World &world) {
        const KernelCall call("Wait");
        const IrqlScope scope(DISPATCH_LEVEL);
        world.block(&world, [] { return false; });
    });
    CHECK(stopped_on(report, "V5"));
}

TEST(driver_callbacks_are_checked) {
    const auto with = [](const std::function<void(Thread &)> &callback) {
        return report_of(wall_world(), [&](World &) {
            const KernelCall call("outer");
            const DriverCall driver("Callback");
            callback(executing());
        });
    };
    CHECK(contains(with([](Thread &) {}), "\"stopped\":false"));
    CHECK(stopped_on(with([](Thread &thread) { thread.irql = DISPATCH_LEVEL; }), "V5"));
    CHECK(stopped_on(with([](Thread &thread) { thread.kernel_apc_disable = 1; }), "V15 critical region"));
    CHECK(stopped_on(with([](Thread &thread) { thread.spin_locks_held = 1; }), "V15 spin lock"));
}

TEST(a_driver_call_gives_the_lock_up) {
    World world(wall_world(true));
    CHECK(world.host_call([&] {
        const KernelCall call("outer");
        bool ran = false;
        {
            const DriverCall driver("Callback");
            CHECK_EQ(executing().model_depth, 0);
            Thread *other = spawn(world, "other", [&] {
                const KernelCall inner("inner");
                ran = true;
            });
            join(world, other);
        }
        CHECK(ran);
        CHECK_EQ(executing().model_depth, 1);
    }));
}

TEST(a_host_thread_keeps_its_simulated_thread) {
    for (const bool threads : {false, true}) {
        World world(wall_world(threads));
        uint64_t mine[2] = {};
        uint64_t other = 0;
        for (uint64_t &id : mine) {
            CHECK(world.host_call([&] { id = executing().id; }));
        }
        Thread *gone = nullptr;
        std::thread([&] {
            CHECK(world.host_call([&] {
                const KernelCall call("keep");
                other = executing().id;
                gone = world.reference_thread(other);
            }));
        }).join();
        CHECK_EQ(mine[0], mine[1]);
        CHECK(other != mine[0]);
        CHECK(world.host_call([&] {
            const KernelCall call("look", APC_LEVEL);
            CHECK(world.block(gone, [&] { return gone->ended; }, world.interrupt_time_100ns() + 2000 * MS_100NS));
            CHECK(world.is_thread(gone));
            CHECK(world.reference_thread(other) == nullptr);
            gone->dereference();
        }));
    }
}

TEST(calls_in_flight_return_when_the_world_ends) {
    World world(wall_world());
    std::atomic<bool> inside{false};
    std::atomic<int> result{-1};
    std::thread caller([&] {
        result = world.host_call([&] {
            const KernelCall call("wait", APC_LEVEL);
            inside = true;
            world.block(&inside, [] { return false; });
        });
    });
    while (!inside) {
        std::this_thread::yield();
    }
    CHECK(world.end());
    caller.join();
    CHECK_EQ(result.load(), 0);
    CHECK(!world.host_call([] {}));
}

TEST(calls_in_flight_and_later_return_when_the_world_stops) {
    World world(wall_world());
    std::atomic<bool> inside{false};
    std::atomic<int> result{-1};
    std::thread caller([&] {
        result = world.host_call([&] {
            const KernelCall call("wait", APC_LEVEL);
            inside = true;
            world.block(&inside, [] { return false; });
        });
    });
    while (!inside) {
        std::this_thread::yield();
    }
    CHECK(!world.host_call([] { bugcheck("V1 made up", "here", "for \"this\" test\n"); }));
    caller.join();
    CHECK_EQ(result.load(), 0);
    CHECK(world.stopped());
    CHECK(!world.host_call([] {}));
    CHECK(contains(world.report_json(), "for \\\"this\\\" test\\u000a"));
}

TEST(daemon_threads_leave) {
    for (const bool threads : {false, true}) {
        bool left = false;
        World world(wall_world(threads));
        CHECK(world.host_call([&] {
            const KernelCall call("spawn");
            world.spawn(
                "daemon", nullptr,
                [&] {
                    const KernelCall inside("serve", APC_LEVEL);
                    while (!world.ending()) {
                        world.block(&left, [] { return false; });
                    }
                    left = true;
                },
                true);
        }));
        CHECK(world.end());
        CHECK(left);
    }
}

TEST(timers_run_in_order) {
    World world(virtual_world());
    std::vector<int> order;
    CHECK(world.host_call([&] {
        const KernelCall call("wait", APC_LEVEL);
        const uint64_t now = world.interrupt_time_100ns();
        for (const int delay : {3, 1, 2}) {
            world.at(now + static_cast<uint64_t>(delay) * MS_100NS, [&, delay] {
                order.push_back(delay);
                world.wake(&order);
            });
        }
        world.block(&order, [&] { return order.size() == 3; });
    }));
    CHECK(order == (std::vector<int>{1, 2, 3}));
}

TEST(exceptions_stay_with_their_fiber) {
    World world(virtual_world());
    int right = 0;
    CHECK(world.host_call([&] {
        std::vector<Thread *> threads;
        for (int number = 0; number < 4; ++number) {
            threads.push_back(spawn(world, "thrower", [&, number] {
                try {
                    throw number;
                } catch (int) {
                    for (int round = 0; round < 10; ++round) {
                        const KernelCall call("pause", APC_LEVEL);
                        world.block(&call, [] { return false; }, world.interrupt_time_100ns() + world.random(50));
                    }
                    try {
                        throw;
                    } catch (int caught) {
                        right += caught == number ? 1 : 0;
                    }
                }
            }));
        }
        for (Thread *thread : threads) {
            join(world, thread);
        }
    }));
    CHECK_EQ(right, 4);
}

TEST(a_dispatch_level_thread_keeps_its_processor) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        WorldOptions options = virtual_world(seed);
        options.processor_count = 3;
        World world(options);
        std::vector<int> users(options.processor_count);
        int collisions = 0;
        int moved = 0;
        int dpcs = 0;
        const auto worker = [&] {
            for (int round = 0; round < 30; ++round) {
                world.yield();
                executing().irql = DISPATCH_LEVEL;
                const uint32_t mine = world.current_processor();
                if (users[mine]++ != 0) {
                    ++collisions;
                }
                for (int step = 0; step < 5; ++step) {
                    world.yield();
                    if (world.current_processor() != mine) {
                        ++moved;
                    }
                }
                --users[mine];
                executing().irql = PASSIVE_LEVEL;
            }
        };
        CHECK(world.host_call([&] {
            std::vector<Thread *> threads;
            for (int number = 0; number < 6; ++number) {
                threads.push_back(spawn(world, "worker", worker));
            }
            for (int index = 0; index < 20; ++index) {
                const KernelCall call("dpc");
                world.queue_dpc([&] {
                    const uint32_t mine = world.current_processor();
                    if (users[mine]++ != 0) {
                        ++collisions;
                    }
                    for (int step = 0; step < 5; ++step) {
                        world.yield();
                    }
                    --users[mine];
                    const KernelCall inside("dpc ends");
                    ++dpcs;
                    world.wake(&dpcs);
                });
            }
            for (Thread *thread : threads) {
                join(world, thread);
            }
            const KernelCall call("wait", APC_LEVEL);
            world.block(&dpcs, [&] { return dpcs == 20; });
        }));
        CHECK_EQ(collisions, 0);
        CHECK_EQ(moved, 0);
    }
}

TEST(a_busy_thread_does_not_keep_host_calls_out) {
    for (const bool virtual_clock : {true, false}) {
        World world(virtual_clock ? virtual_world() : wall_world());
        CHECK(world.host_call([&] {
            spawn(world, "busy", [&world] {
                for (;;) {
                    world.yield();
                }
            })->dereference();
        }));
        CHECK(world.host_call([] {}));
        CHECK(world.end());
    }
}

} // namespace MINIPEND_TEST_FILE
