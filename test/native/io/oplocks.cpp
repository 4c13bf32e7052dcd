// SPDX-License-Identifier: MIT
//
// This module provides: tests of oplocks and their breaks [SEQ-19].

#include "io/waiting.hpp"

#include <cstring>

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

constexpr ULONG R = 1;
constexpr ULONG H = 2;
constexpr ULONG W = 4;
constexpr ULONG BROKEN_TO_LEVEL_2 = 7;
constexpr ULONG BROKEN_TO_NONE = 8;

struct Input {
    uint16_t version = 1;
    uint16_t length = 12;
    uint32_t level = 0;
    uint32_t flags = 1; // REQUEST_OPLOCK_INPUT_FLAG_REQUEST
};

struct Output {
    uint16_t version;
    uint16_t length;
    uint32_t original_level;
    uint32_t new_level;
    uint32_t flags;
    uint32_t access_mode;
    uint16_t share_mode;
    uint16_t reserved;
};

/// One request of FSCTL_REQUEST_OPLOCK.
struct Request {
    Overlapped overlapped;
    Output output{};
    NTSTATUS ask(const Opened &file, ULONG level, bool acknowledges = false) {
        Input input;
        input.level = level;
        input.flags = acknowledges ? 2 : 1;
        return overlapped.fs_control(file, FSCTL_REQUEST_OPLOCK, &input, sizeof input, &output, sizeof output);
    }
    /// "5>1!" : original level, new level, an acknowledgement is due; or its status.
    std::string broken() {
        const NTSTATUS status = overlapped.wait();
        if (status != STATUS_SUCCESS) {
            return "status " + std::to_string(static_cast<uint32_t>(status));
        }
        return std::to_string(output.original_level) + ">" + std::to_string(output.new_level) +
               ((output.flags & 1) != 0 ? "!" : "");
    }
};

Opened open_async(std::u16string_view path, ULONG disposition = FILE_OPEN, ACCESS_MASK access = READ_WRITE,
                  ULONG share = SHARE_ALL) {
    return open(path, disposition, 0, access, share);
}

} // namespace

TEST(grants_and_refusals) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open_async(u"D:\\a", FILE_CREATE);
        traced();
        Request request;
        CHECK_EQ(request.ask(file, H), STATUS_INVALID_PARAMETER);
        CHECK_EQ(request.ask(file, W), STATUS_INVALID_PARAMETER);
        CHECK_EQ(request.ask(file, 0), STATUS_INVALID_PARAMETER);
        CHECK_EQ(traced().substr(0, 33), std::string("FSCTL(I,0x870)@0[null]=0xC000000D"));
        CHECK_EQ(request.ask(file, R | W | H), STATUS_PENDING);
        CHECK_EQ(traced(), std::string("")); // its post-operation comes with the break
        Opened synchronous = open(u"D:\\b", FILE_CREATE);
        CHECK_EQ(fs_control(synchronous, FSCTL_REQUEST_BATCH_OPLOCK), STATUS_OPLOCK_NOT_GRANTED);
        Opened other = open_async(u"D:\\b");
        Overlapped batch;
        CHECK_EQ(batch.fs_control(other, FSCTL_REQUEST_BATCH_OPLOCK), STATUS_OPLOCK_NOT_GRANTED); // not alone
        Request read;
        CHECK_EQ(read.ask(other, R), STATUS_PENDING);
        Opened third = open_async(u"D:\\b");
        Request also;
        CHECK_EQ(also.ask(third, R | H), STATUS_PENDING); // these live together
        Request exclusive;
        CHECK_EQ(exclusive.ask(third, R | W), STATUS_OPLOCK_NOT_GRANTED);
        Request upgrade;
        CHECK_EQ(upgrade.ask(other, R | H), STATUS_PENDING);
        CHECK_EQ(read.broken(), "status " + std::to_string(STATUS_OPLOCK_SWITCHED_TO_NEW_HANDLE));
        close(third);
        CHECK_EQ(also.broken(), "status " + std::to_string(STATUS_OPLOCK_HANDLE_CLOSED));
        CHECK_EQ(upgrade.overlapped.cancel(other), 1);
        CHECK_EQ(upgrade.overlapped.wait(), STATUS_CANCELLED);
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(world().io->lock(*other, {0, 1, 0, true, true}, nullptr, &iosb), STATUS_SUCCESS);
        Request locked;
        CHECK_EQ(locked.ask(other, R), STATUS_OPLOCK_NOT_GRANTED); // byte-range locks
        Opened directory = open(u"D:\\", FILE_OPEN, FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY);
        CHECK_EQ(locked.ask(directory, R), STATUS_INVALID_PARAMETER);
        CHECK_EQ(fs_control(file, FSCTL_OPLOCK_BREAK_ACKNOWLEDGE), STATUS_INVALID_OPLOCK_PROTOCOL);
        for (Opened *opened : {&file, &synchronous, &other, &directory}) {
            close(*opened);
        }
    }));
}

/// [SEQ-19]: the post-operation of the request runs in the breaker's thread, under its TopLevelIrp; the create waits for the acknowledgement.
TEST(a_create_breaks_and_waits) {
    for (const bool ntfs : {true, false}) {
        expect_clean(run([ntfs] {
            const std::u16string path = ntfs ? u"D:\\a" : u"E:\\a";
            Opened owner = open_async(path, FILE_CREATE);
            trace(ntfs ? u"D:" : u"E:");
            trace_threads(true);
            Request request;
            CHECK_EQ(request.ask(owner, R | W | H), STATUS_PENDING);
            bool opened = false;
            Worker breaker("breaker", [&] {
                Opened file = open(path);
                CHECK(file);
                opened = true;
                close(file);
            });
            CHECK_EQ(request.broken(), std::string("7>3!"));
            CHECK(!opened);
            CHECK_EQ(traced(), std::string("FSCTL(I,0x870)@0[irp]#breaker"));
            trace_threads(false);
            Request kept;
            CHECK_EQ(kept.ask(owner, R | H, true), STATUS_PENDING); // acknowledges, and keeps what is left
            breaker.join();
            CHECK(opened);
            CHECK(traced().starts_with("CREATE(I,0x884)@0[null] CLEANUP"));
            Opened second = open(path);
            CHECK(second); // goes with read-handle caching
            CHECK_EQ(write(second, "x"), STATUS_SUCCESS); // does not, but waits for nobody
            CHECK_EQ(kept.broken(), std::string("3>0!"));
            Request last;
            CHECK_EQ(last.ask(owner, 0, true), STATUS_SUCCESS);
            CHECK_EQ(last.ask(owner, 0, true), STATUS_INVALID_OPLOCK_PROTOCOL);
            close(second);
            close(owner);
        }));
    }
}

TEST(complete_if_oplocked) {
    expect_clean(run([] {
        Opened owner = open_async(u"D:\\a", FILE_CREATE);
        Overlapped batch;
        CHECK_EQ(batch.fs_control(owner, FSCTL_REQUEST_BATCH_OPLOCK), STATUS_PENDING);
        // Attributes alone break nothing.
        Opened harmless = open(u"D:\\a", FILE_OPEN, SYNC, FILE_READ_ATTRIBUTES);
        CHECK(harmless && !batch.done());
        IO_STATUS_BLOCK iosb{};
        std::shared_ptr<io::FileObject> file;
        ULONG_PTR information = 0;
        CHECK_EQ(world().io->create(u"\\??\\D:\\a", FILE_READ_DATA | SYNCHRONIZE, 0, SHARE_ALL, FILE_OPEN,
                                    SYNC | FILE_COMPLETE_IF_OPLOCKED, UserMode, &file, &information),
                 STATUS_OPLOCK_BREAK_IN_PROGRESS);
        REQUIRE(file);
        const HANDLE handle = world().handles->insert(file);
        CHECK_EQ(batch.wait(), STATUS_SUCCESS);
        CHECK_EQ(batch.iosb.Information, BROKEN_TO_LEVEL_2);
        // The read has to wait for the owner.
        char byte = 0;
        int64_t offset = 0;
        NTSTATUS status = STATUS_PENDING;
        write(owner, "z", 0); // the owner's own operations never wait
        Worker reader("reader", [&] { status = world().io->read(*file, &byte, 1, &offset, nullptr, &iosb); });
        CHECK(wait_until([&] { return !world().io->describe_outstanding().empty(); }));
        CHECK_EQ(status, STATUS_PENDING);
        Overlapped level_2;
        CHECK_EQ(level_2.fs_control(owner, FSCTL_OPLOCK_BREAK_ACKNOWLEDGE), STATUS_PENDING);
        reader.join();
        CHECK_EQ(status, STATUS_SUCCESS);
        CHECK_EQ(byte, 'z');
        CHECK(!level_2.done()); // reads go with level 2
        write(owner, "y", 0);
        CHECK_EQ(level_2.wait(), STATUS_SUCCESS); // even the owner's write does not
        CHECK_EQ(level_2.iosb.Information, BROKEN_TO_NONE);
        file.reset();
        world().handles->close(handle);
        close(harmless);
        close(owner);
    }));
}

/// What waited for an acknowledgement goes on in a worker: TopLevelIrp 1, on both file systems [SIM-07].
TEST(what_waited_goes_on_in_a_worker) {
    for (const bool ntfs : {true, false}) {
        expect_clean(run([ntfs] {
            const std::u16string path = ntfs ? u"D:\\a" : u"E:\\a";
            Opened writer = open(path, FILE_CREATE);
            Opened owner = open_async(path);
            Overlapped exclusive;
            CHECK_EQ(exclusive.fs_control(owner, FSCTL_REQUEST_OPLOCK_LEVEL_1), STATUS_OPLOCK_NOT_GRANTED);
            close(writer);
            CHECK_EQ(exclusive.fs_control(owner, FSCTL_REQUEST_OPLOCK_LEVEL_1), STATUS_PENDING);
            std::shared_ptr<io::FileObject> file;
            ULONG_PTR information = 0;
            CHECK_EQ(world().io->create(u"\\??\\" + path, FILE_WRITE_DATA | SYNCHRONIZE, 0, SHARE_ALL, FILE_OPEN,
                                        SYNC | FILE_COMPLETE_IF_OPLOCKED, UserMode, &file, &information),
                     STATUS_OPLOCK_BREAK_IN_PROGRESS);
            REQUIRE(file);
            const HANDLE handle = world().handles->insert(file);
            trace(ntfs ? u"D:" : u"E:");
            trace_threads(true);
            Worker late("late", [&] {
                IO_STATUS_BLOCK iosb{};
                int64_t offset = 0;
                CHECK_EQ(world().io->write(*file, "w", 1, &offset, nullptr, &iosb), STATUS_SUCCESS);
            });
            CHECK(wait_until([&] { return !world().io->describe_outstanding().empty(); }));
            Overlapped notified;
            CHECK_EQ(notified.fs_control(owner, FSCTL_OPLOCK_BREAK_NOTIFY), STATUS_PENDING);
            CHECK_EQ(fs_control(owner, FSCTL_OPLOCK_BREAK_ACK_NO_2), STATUS_SUCCESS);
            late.join();
            CHECK_EQ(notified.wait(), STATUS_SUCCESS);
            const std::string seen = traced();
            CHECK(check::contains(seen, "WRITE(I,0xA00)@0[1]system#cache worker"));
            if (!check::contains(seen, "WRITE(I,0xA00)@0[1]system#cache worker")) {
                fprintf(stderr, "%s\n", seen.c_str());
            }
            file.reset();
            world().handles->close(handle);
            close(owner);
        }));
    }
}

TEST(who_waits_for_a_break_is_cancelled) {
    expect_clean(run([] {
        Opened owner = open_async(u"D:\\a", FILE_CREATE);
        Overlapped batch;
        CHECK_EQ(batch.fs_control(owner, FSCTL_REQUEST_BATCH_OPLOCK), STATUS_PENDING);
        NTSTATUS status = STATUS_SUCCESS;
        Worker breaker("breaker", [&] { status = open(u"D:\\a").status; });
        CHECK_EQ(batch.wait(), STATUS_SUCCESS);
        CHECK(wait_until([&] { return world().io->cancel_synchronous(breaker.thread()) != 0; }));
        breaker.join();
        CHECK_EQ(status, STATUS_CANCELLED);
        // The break is under way all the same.
        CHECK_EQ(fs_control(owner, FSCTL_OPBATCH_ACK_CLOSE_PENDING), STATUS_SUCCESS);
        NTSTATUS second = STATUS_PENDING;
        Worker patient("patient", [&] {
            Opened file = open(u"D:\\a");
            second = file.status;
            close(file);
        });
        CHECK(wait_until([&] { return !world().io->describe_outstanding().empty(); }));
        CHECK_EQ(second, STATUS_PENDING);
        close(owner); // that is what it promised
        patient.join();
        CHECK_EQ(second, STATUS_SUCCESS);
    }));
}

TEST(sharing_violations_wait_for_handles) {
    expect_clean(run([] {
        Opened owner = open_async(u"D:\\a", FILE_CREATE, READ_WRITE, FILE_SHARE_READ);
        Request request;
        CHECK_EQ(request.ask(owner, R | H), STATUS_PENDING);
        NTSTATUS status = STATUS_PENDING;
        Worker breaker("breaker", [&] {
            Opened file = open(u"D:\\a");
            status = file.status;
            if (file) {
                close(file);
            }
        });
        CHECK_EQ(request.broken(), std::string("3>1!"));
        CHECK_EQ(status, STATUS_PENDING);
        close(owner); // out of the way
        breaker.join();
        CHECK_EQ(status, STATUS_SUCCESS);
        // An owner who stays gets the other one the violation.
        Opened stays = open_async(u"D:\\a", FILE_OPEN, READ_WRITE, FILE_SHARE_READ);
        Request again;
        CHECK_EQ(again.ask(stays, R | H), STATUS_PENDING);
        Worker second("second", [&] { status = open(u"D:\\a").status; });
        CHECK_EQ(again.broken(), std::string("3>1!"));
        CHECK_EQ(fs_control(stays, FSCTL_OPLOCK_BREAK_ACKNOWLEDGE), STATUS_INVALID_OPLOCK_PROTOCOL); // the other kind
        Request kept;
        CHECK_EQ(kept.ask(stays, R, true), STATUS_PENDING);
        second.join();
        CHECK_EQ(status, STATUS_SHARING_VIOLATION);
        close(stays);
    }));
}

TEST(renames_deletes_and_locks_break) {
    expect_clean(run([] {
        Opened other = open(u"D:\\a", FILE_CREATE);
        Opened owner = open_async(u"D:\\a");
        Request handles;
        CHECK_EQ(handles.ask(owner, R | H), STATUS_PENDING);
        Worker renamer("renamer", [&] { CHECK_EQ(rename(other, u"D:\\b"), STATUS_SUCCESS); });
        CHECK_EQ(handles.broken(), std::string("3>1!"));
        CHECK_EQ(exists(u"D:\\b"), STATUS_OBJECT_NAME_NOT_FOUND);
        Request reads;
        CHECK_EQ(reads.ask(owner, R, true), STATUS_PENDING);
        renamer.join();
        CHECK_EQ(exists(u"D:\\b"), STATUS_SUCCESS);
        CHECK_EQ(set_delete(other), STATUS_SUCCESS); // read caching does not mind
        CHECK_EQ(set_delete(other, false), STATUS_SUCCESS);
        CHECK(!reads.overlapped.done());
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(world().io->lock(*other, {0, 1, 0, true, true}, nullptr, &iosb), STATUS_SUCCESS);
        CHECK_EQ(reads.broken(), std::string("1>0"));
        close(other);
        Request again;
        CHECK_EQ(again.ask(owner, R), STATUS_PENDING);
        Opened overwriter = open(u"D:\\b", FILE_OVERWRITE);
        CHECK(overwriter);
        CHECK_EQ(again.broken(), std::string("1>0"));
        close(overwriter);
        close(owner);
    }));
}

TEST(oplocks_under_many_schedules) {
    for (const bool threads : {false, true}) {
        for (uint64_t seed = 1; seed <= (threads ? 5 : 200); ++seed) {
            expect_clean(run(
                [] {
                    Opened owner = open_async(u"D:\\a", FILE_CREATE);
                    std::vector<std::unique_ptr<Worker>> workers;
                    int opened = 0;
                    for (int i = 0; i < 3; ++i) {
                        workers.push_back(std::make_unique<Worker>("breaker", [&] {
                            for (int round = 0; round < 3; ++round) {
                                Opened file = open(u"D:\\a");
                                CHECK(file);
                                CHECK_EQ(write(file, "x", 0), STATUS_SUCCESS);
                                ++opened;
                                close(file);
                            }
                        }));
                    }
                    Worker keeper("keeper", [&] {
                        while (opened < 9) {
                            Overlapped batch;
                            if (batch.fs_control(owner, FSCTL_REQUEST_BATCH_OPLOCK) == STATUS_PENDING) {
                                // Cancelled below when nobody comes any more.
                                world().block(
                                    &opened, [&] { return batch.done() || opened == 9; },
                                    world().interrupt_time_100ns() + 100'000);
                                if (!batch.done()) {
                                    batch.cancel(owner);
                                }
                                if (batch.wait() == STATUS_SUCCESS) {
                                    CHECK_EQ(fs_control(owner, FSCTL_OPLOCK_BREAK_ACK_NO_2), STATUS_SUCCESS);
                                }
                            }
                            world().yield();
                        }
                    });
                    for (auto &worker : workers) {
                        worker->join();
                    }
                    keeper.join();
                    CHECK_EQ(opened, 9);
                    workers.clear();
                    close(owner);
                },
                threads ? check::wall_world(true, seed) : check::virtual_world(seed)));
        }
    }
}

} // namespace MINIPEND_TEST_FILE
