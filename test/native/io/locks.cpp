// SPDX-License-Identifier: MIT
//
// This module provides: tests of byte-range locks [SEQ-18, SEQ-20]: forms, conflicts, waiting, order, cancellation, what goes with a handle.

#include "io/waiting.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

constexpr bool NOW = true; // fail immediately
constexpr bool WAIT = false;
constexpr bool EXCLUSIVE = true;
constexpr bool SHARED = false;

io::LockRange range(int64_t offset, int64_t length, bool at_once, bool exclusive, ULONG key = 0) {
    return {offset, length, key, at_once, exclusive};
}

} // namespace

TEST(locks_go_as_fast_io_first) {
    expect_clean(run([] {
        trace(u"D:");
        Opened one = open(u"D:\\a", FILE_CREATE);
        Opened two = open(u"D:\\a");
        traced();
        CHECK_EQ(lock(one, range(0, 10, WAIT, EXCLUSIVE)), STATUS_SUCCESS);
        CHECK_EQ(lock(two, range(5, 1, NOW, SHARED)), STATUS_LOCK_NOT_GRANTED);
        CHECK_EQ(unlock(one, range(0, 9, NOW, EXCLUSIVE)), STATUS_RANGE_NOT_LOCKED);
        CHECK_EQ(unlock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("LOCK/1(F)@1[null] LOCK/1(F)@1[null]=0xC0000055 LOCK/2(F)@1[null]=0xC000007E "
                                       "LOCK/2(F)@1[null]"));
        CHECK_EQ(lock(one, range(-1, 2, NOW, EXCLUSIVE)), static_cast<NTSTATUS>(0xC00001A1)); // past the last byte
        CHECK_EQ(traced(), std::string("LOCK/1(F)@1[null]=0xC01C0004 LOCK/1(I,0x0)@0[null]=0xC00001A1"));
        close(one);
        close(two);
    }));
}

TEST(lock_conflicts) {
    expect_clean(run([] {
        Opened one = open(u"D:\\a", FILE_CREATE);
        Opened two = open(u"D:\\a");
        write(one, std::string(100, 'x'), 0);
        // Exclusive: nobody else, and not twice.
        CHECK_EQ(lock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_SUCCESS);
        CHECK_EQ(lock(one, range(9, 10, NOW, EXCLUSIVE)), STATUS_LOCK_NOT_GRANTED);
        CHECK_EQ(lock(one, range(0, 10, NOW, SHARED)), STATUS_SUCCESS); // the owner may share it with himself
        CHECK_EQ(lock(two, range(9, 1, NOW, SHARED)), STATUS_LOCK_NOT_GRANTED);
        CHECK_EQ(lock(two, range(10, 1, NOW, EXCLUSIVE)), STATUS_SUCCESS);
        CHECK_EQ(lock(one, range(0, 10, NOW, SHARED, 7)), STATUS_LOCK_NOT_GRANTED); // another key is another owner
        CHECK_EQ(read(two, 5, 0), std::string("status 0xC0000054"));
        CHECK_EQ(read(two, 5, 20), std::string(5, 'x'));
        CHECK_EQ(read(one, 5, 0), std::string(5, 'x'));
        CHECK_EQ(write(one, "y", 0), STATUS_FILE_LOCK_CONFLICT); // its shared lock keeps it from writing
        CHECK_EQ(unlock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_SUCCESS); // the exclusive one first
        CHECK_EQ(read(two, 5, 0), std::string(5, 'x'));
        CHECK_EQ(write(two, "y", 0), STATUS_FILE_LOCK_CONFLICT);
        CHECK_EQ(unlock(one, range(0, 10, NOW, SHARED)), STATUS_SUCCESS);
        CHECK_EQ(write(two, "y", 0), STATUS_SUCCESS);
        // No bytes: between two.
        CHECK_EQ(lock(one, range(30, 0, NOW, EXCLUSIVE)), STATUS_SUCCESS);
        CHECK_EQ(lock(two, range(30, 5, NOW, EXCLUSIVE)), STATUS_SUCCESS);
        CHECK_EQ(lock(two, range(25, 10, NOW, EXCLUSIVE)), STATUS_LOCK_NOT_GRANTED);
        close(one);
        close(two);
        Opened directory = open(u"D:\\", FILE_OPEN, SYNC | FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY);
        CHECK_EQ(lock(directory, range(0, 1, NOW, EXCLUSIVE)), STATUS_INVALID_PARAMETER);
        close(directory);
    }));
}

TEST(fast_io_asks_about_locks) {
    expect_clean(run([] {
        Opened one = open(u"D:\\a", FILE_CREATE);
        Opened two = open(u"D:\\a");
        write(one, "0123456789");
        read(two, 1, 0);
        CHECK_EQ(lock(one, range(0, 5, NOW, EXCLUSIVE)), STATUS_SUCCESS);
        trace(u"D:");
        CHECK_EQ(read(two, 5, 5), std::string("56789"));
        CHECK_EQ(traced(), std::string("CHECK(F)@1[null] READ(F)@1[null]"));
        CHECK_EQ(read(two, 5, 0), std::string("status 0xC0000054"));
        CHECK_EQ(traced(), std::string("CHECK(F)@1[null]=0xC01C0004 READ(F)@1[null]=0xC01C0004 "
                                       "READ(I,0x900)@0[null]=0xC0000054"));
        CHECK_EQ(write(two, "z", 0), STATUS_FILE_LOCK_CONFLICT);
        CHECK_EQ(traced(), std::string("CHECK(F)@1[null]=0xC01C0004 WRITE(F)@1[null]=0xC01C0004 "
                                       "WRITE(I,0xA00)@0[null]=0xC0000054"));
        close(one);
        close(two);
    }));
}

TEST(a_lock_waits_and_the_unlocker_completes_it) {
    for (const char16_t *path : {u"D:\\a", u"E:\\a"}) {
        expect_clean(run([path] {
            Opened one = open(path, FILE_CREATE);
            Opened two = open(path, FILE_OPEN, 0);
            CHECK_EQ(lock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_SUCCESS);
            trace(path[0] == u'D' ? u"D:" : u"E:");
            trace_threads(true);
            Overlapped waiting;
            CHECK_EQ(waiting.lock(two, range(0, 1, WAIT, EXCLUSIVE)), STATUS_PENDING);
            CHECK_EQ(traced(), std::string("LOCK/1(F)@1[null]#client=0xC01C0004"));
            Worker unlocker("unlocker", [&] { CHECK_EQ(unlock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_SUCCESS); });
            unlocker.join();
            CHECK_EQ(waiting.wait(), STATUS_SUCCESS);
            // In the unlocker's thread, in the middle of its fast I/O, whichever file system it is.
            CHECK_EQ(traced(), std::string("LOCK/1(I,0x0)@0[4]#unlocker LOCK/2(F)@1[null]#unlocker"));
            CHECK_EQ(lock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_LOCK_NOT_GRANTED);
            close(two);
            close(one);
        }));
    }
}

TEST(locks_are_granted_in_order) {
    expect_clean(run([] {
        Opened holder = open(u"D:\\a", FILE_CREATE);
        Opened first = open(u"D:\\a", FILE_OPEN, 0);
        Opened second = open(u"D:\\a", FILE_OPEN, 0);
        Opened third = open(u"D:\\a", FILE_OPEN, 0);
        lock(holder, range(0, 10, NOW, EXCLUSIVE));
        Overlapped a;
        Overlapped b;
        Overlapped c;
        CHECK_EQ(a.lock(first, range(0, 10, WAIT, SHARED)), STATUS_PENDING);
        CHECK_EQ(b.lock(second, range(0, 10, WAIT, EXCLUSIVE)), STATUS_PENDING);
        CHECK_EQ(c.lock(third, range(0, 10, WAIT, SHARED)), STATUS_PENDING);
        unlock(holder, range(0, 10, NOW, EXCLUSIVE));
        CHECK(a.done() && c.done() && !b.done()); // shared ones go together, the exclusive one does not fit
        CHECK_EQ(unlock(first, range(0, 10, NOW, SHARED)), STATUS_SUCCESS);
        CHECK(!b.done());
        CHECK_EQ(unlock(third, range(0, 10, NOW, SHARED)), STATUS_SUCCESS);
        CHECK_EQ(b.wait(), STATUS_SUCCESS);
        for (Opened *file : {&holder, &first, &second, &third}) {
            close(*file);
        }
    }));
}

TEST(waiting_locks_are_cancelled) {
    expect_clean(run([] {
        Opened one = open(u"D:\\a", FILE_CREATE);
        Opened two = open(u"D:\\a", FILE_OPEN, 0);
        lock(one, range(0, 10, NOW, EXCLUSIVE));
        Overlapped waiting;
        CHECK_EQ(waiting.lock(two, range(0, 10, WAIT, SHARED)), STATUS_PENDING);
        CHECK_EQ(waiting.cancel(two), 1);
        CHECK_EQ(waiting.wait(), STATUS_CANCELLED);
        CHECK_EQ(waiting.cancel(two), 0);
        // A synchronous handle's thread waits, and is cancelled as a thread.
        Opened three = open(u"D:\\a");
        NTSTATUS status = STATUS_SUCCESS;
        Worker locker("locker", [&] { status = lock(three, range(0, 10, WAIT, SHARED)); });
        CHECK(wait_until([&] { return world().io->describe_outstanding().size() == 1; }));
        CHECK_EQ(world().io->cancel_synchronous(locker.thread()), 1);
        locker.join();
        CHECK_EQ(status, STATUS_CANCELLED);
        unlock(one, range(0, 10, NOW, EXCLUSIVE));
        CHECK_EQ(lock(one, range(0, 10, NOW, EXCLUSIVE)), STATUS_SUCCESS); // nothing was granted
        close(one);
        close(two);
        close(three);
    }));
}

TEST(closing_unlocks_all_before_cleanup) {
    for (const char16_t *path : {u"D:\\a", u"E:\\a"}) {
        expect_clean(run([path] {
            const bool ntfs = path[0] == u'D';
            Opened one = open(path, FILE_CREATE);
            Opened two = open(path, FILE_OPEN, 0);
            Opened three = open(path, FILE_OPEN, 0);
            lock(one, range(0, 10, NOW, EXCLUSIVE));
            lock(one, range(20, 10, NOW, EXCLUSIVE));
            trace(ntfs ? u"D:" : u"E:");
            Overlapped waiting;
            Overlapped hopeless;
            CHECK_EQ(waiting.lock(two, range(20, 10, WAIT, EXCLUSIVE)), STATUS_PENDING);
            CHECK_EQ(hopeless.lock(three, range(0, 100, WAIT, EXCLUSIVE)), STATUS_PENDING);
            traced();
            close(one);
            CHECK_EQ(traced(), std::string("LOCK/1(I,0x0)@0[4] LOCK/3(F)@1[null] ") +
                                   (ntfs ? "CLEANUP(I,0x404)@0[null] CLOSE(I,0x404)@1[null]"
                                         : "CLEANUP(I,0x404)@0[irp] CLOSE(I,0x404)@1[irp]"));
            CHECK_EQ(waiting.wait(), STATUS_SUCCESS);
            close(three); // what it waited for ends with it
            CHECK_EQ(hopeless.wait(), STATUS_RANGE_NOT_LOCKED);
            close(two);
        }));
    }
}

TEST(locks_under_many_schedules) {
    for (const bool threads : {false, true}) {
        for (uint64_t seed = 1; seed <= (threads ? 5 : 200); ++seed) {
            expect_clean(run(
                [] {
                    Opened shared = open(u"D:\\a", FILE_CREATE);
                    int inside = 0;
                    int rounds = 0;
                    {
                        std::vector<std::unique_ptr<Worker>> workers;
                        for (int i = 0; i < 4; ++i) {
                            workers.push_back(std::make_unique<Worker>("locker", [&] {
                                Opened file = open(u"D:\\a", FILE_OPEN, 0);
                                for (int round = 0; round < 5; ++round) {
                                    Overlapped waiting;
                                    const NTSTATUS status = waiting.lock(file, range(0, 1, WAIT, EXCLUSIVE));
                                    CHECK(status == STATUS_SUCCESS || status == STATUS_PENDING);
                                    CHECK_EQ(waiting.wait(), STATUS_SUCCESS);
                                    CHECK_EQ(++inside, 1);
                                    world().yield();
                                    --inside;
                                    ++rounds;
                                    CHECK_EQ(unlock(file, range(0, 1, NOW, EXCLUSIVE)), STATUS_SUCCESS);
                                }
                                close(file);
                            }));
                        }
                    }
                    CHECK_EQ(rounds, 20);
                    close(shared);
                },
                threads ? check::wall_world(true, seed) : check::virtual_world(seed)));
        }
    }
}

} // namespace MINIPEND_TEST_FILE
