// SPDX-License-Identifier: MIT
//
// This module provides: tests of non-cached and asynchronous I/O, cancellation, and of what a held operation blocks [SEQ-06, POST-27..29, CANC-06].

#include "io/bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

class Event : public Object {
  public:
    const char *type_name() const override { return "event"; }
    void signal() override {
        set = true;
        world().wake(this);
    }
    bool set = false;
};

void expect_clean(const std::string &report) {
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK(check::contains(report, "\"leaks\":[]"));
    if (!check::contains(report, "\"stopped\":false") || !check::contains(report, "\"leaks\":[]")) {
        fprintf(stderr, "%s\n", report.c_str());
    }
}

struct Overlapped {
    IO_STATUS_BLOCK iosb{};
    io::AsyncBlock block;
    std::shared_ptr<Event> event = std::make_shared<Event>();
    std::string data; ///< of a write: it has to stay until the operation has ended
    Overlapped() {
        block.user_iosb = &iosb;
        block.event = event;
        block.overlapped = this;
    }
    void wait() {
        world().block(event.get(), [this] { return event->set; });
    }
};

NTSTATUS start_read(const Opened &file, Overlapped &overlapped, void *buffer, ULONG length, int64_t offset) {
    IO_STATUS_BLOCK iosb{};
    return world().io->read(*file, buffer, length, &offset, &overlapped.block, &iosb);
}

NTSTATUS start_write(const Opened &file, Overlapped &overlapped, std::string data, int64_t offset) {
    overlapped.data = std::move(data);
    IO_STATUS_BLOCK iosb{};
    return world().io->write(*file, overlapped.data.data(), static_cast<ULONG>(overlapped.data.size()), &offset,
                             &overlapped.block, &iosb);
}

constexpr ULONG DIRECT = FILE_NO_INTERMEDIATE_BUFFERING;
constexpr ACCESS_MASK DATA = FILE_READ_DATA | FILE_WRITE_DATA;

} // namespace

TEST(overlapped_non_cached) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE, DIRECT, DATA);
        REQUIRE(file);
        traced();
        Overlapped writing;
        CHECK_EQ(start_write(file, writing, std::string(1024, 'w'), 0), STATUS_PENDING);
        CHECK_EQ(writing.iosb.Status, STATUS_PENDING);
        writing.wait();
        CHECK_EQ(writing.iosb.Status, STATUS_SUCCESS);
        CHECK_EQ(writing.iosb.Information, 1024);
        CHECK(traced().starts_with("WRITE(I,0xA01)@2["));
        std::string buffer(2048, '?');
        Overlapped reading;
        CHECK_EQ(start_read(file, reading, buffer.data(), 2048, 512), STATUS_PENDING);
        reading.wait();
        CHECK_EQ(reading.iosb.Status, STATUS_SUCCESS);
        CHECK_EQ(reading.iosb.Information, 512);
        CHECK(traced().starts_with("READ(I,0x901)@2["));
        CHECK(buffer.substr(0, 512) == std::string(512, 'w'));
        Overlapped bad;
        CHECK_EQ(start_read(file, bad, buffer.data(), 100, 0), STATUS_INVALID_PARAMETER);
        CHECK_EQ(start_read(file, bad, buffer.data(), 512, 1024), STATUS_END_OF_FILE);
        CHECK(!bad.event->set); // an error at once is only returned
        close(file);
    }));
}

TEST(synchronous_non_cached_waits_inline) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE, DIRECT | SYNC, DATA);
        traced();
        CHECK_EQ(write(file, std::string(512, 'x')), STATUS_SUCCESS);
        CHECK_EQ(write(file, std::string(512, 'y')), STATUS_SUCCESS);
        CHECK_EQ(read(file, 512, 512), std::string(512, 'y'));
        CHECK_EQ(traced(), std::string("WRITE(I,0xA01)@0[null] WRITE(I,0xA01)@0[null] READ(I,0x901)@0[null]"));
        close(file);
    }));
}

TEST(cached_and_non_cached_agree) {
    expect_clean(run([] {
        Opened cached = open(u"D:\\a", FILE_CREATE);
        Opened direct = open(u"D:\\a", FILE_OPEN, DIRECT | SYNC, DATA);
        CHECK_EQ(write(cached, std::string(600, 'c')), STATUS_SUCCESS);
        CHECK_EQ(read(direct, 1024, 0), std::string(600, 'c'));
        CHECK_EQ(write(direct, std::string(512, 'd'), 0), STATUS_SUCCESS);
        CHECK_EQ(read(cached, 600, 0), std::string(512, 'd') + std::string(88, 'c'));
        CHECK_EQ(set_end(cached, 100), STATUS_SUCCESS);
        CHECK_EQ(set_end(cached, 300), STATUS_SUCCESS);
        CHECK_EQ(read(direct, 512, 0), std::string(100, 'd') + std::string(200, '\0'));
        close(cached);
        close(direct);
    }));
}

TEST(cancel_below) {
    expect_clean(run([] {
        Opened file = open(u"D:\\a", FILE_CREATE, DIRECT, DATA);
        Overlapped writing;
        CHECK_EQ(start_write(file, writing, std::string(512, 'w'), 0), STATUS_PENDING);
        CHECK_EQ(world().io->cancel(*file, &file), 0); // another OVERLAPPED
        CHECK_EQ(world().io->cancel(*file, &writing), 1);
        writing.wait();
        CHECK_EQ(writing.iosb.Status, STATUS_CANCELLED);
        CHECK_EQ(size_of(file), 0);
        CHECK_EQ(world().io->cancel(*file, nullptr), 0);
        sleep_ms(10);
        close(file);
    }));
}

TEST(cancel_does_not_reach_a_held_operation) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE, DIRECT, DATA);
        hold(IRP_MJ_WRITE);
        Overlapped writing;
        CHECK_EQ(start_write(file, writing, std::string(512, 'w'), 0), STATUS_PENDING);
        sleep_ms(10);
        CHECK_EQ(held(), 1);
        CHECK_EQ(world().io->cancel(*file, &writing), 1);
        sleep_ms(10);
        CHECK_EQ(writing.iosb.Status, STATUS_PENDING);
        CHECK_EQ(size_of(file), 512); // it has taken effect long ago
        release_held();
        writing.wait();
        CHECK_EQ(writing.iosb.Status, STATUS_SUCCESS);
        hold(0x7F);
        close(file);
    }));
}

TEST(held_operation_blocks_its_handle_only) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        Opened other = open(u"D:\\a");
        hold(IRP_MJ_SET_INFORMATION);
        int stage = 0;
        world().spawn("renamer", world().client_process(), [&] {
            const KernelCall call("test");
            CHECK_EQ(rename(file, u"b"), STATUS_SUCCESS);
            stage = 1;
        });
        bool second_done = false;
        sleep_ms(10);
        CHECK_EQ(held(), 1);
        CHECK_EQ(stage, 0);
        CHECK_EQ(exists(u"D:\\b"), STATUS_SUCCESS); // visible at once
        CHECK_EQ(size_of(other), 0);
        world().spawn("second", world().client_process(), [&] {
            const KernelCall call("test");
            size_of(file);
            second_done = true;
        });
        sleep_ms(10);
        CHECK(!second_done); // the same handle waits
        CHECK_EQ(world().io->describe_outstanding().size(), 1);
        hold(0x7F);
        release_held();
        sleep_ms(10);
        CHECK_EQ(stage, 1);
        CHECK(second_done);
        close(file);
        close(other);
    }));
}

TEST(held_cleanup_delays_only_the_closer) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE, SYNC | FILE_DELETE_ON_CLOSE);
        hold(IRP_MJ_CLEANUP);
        bool closed = false;
        world().spawn("closer", world().client_process(), [&] {
            const KernelCall call("test");
            close(file);
            closed = true;
        });
        sleep_ms(10);
        CHECK(!closed);
        CHECK_EQ(open(u"D:\\a").status, STATUS_OBJECT_NAME_NOT_FOUND); // gone already
        hold(0x7F);
        release_held();
        sleep_ms(10);
        CHECK(closed);
    }));
}

namespace {

/// Threads that write and read blocks of one file, cached and not, by turns.
void share_a_file() {
    constexpr int THREADS = 4;
    constexpr int ROUNDS = 8;
    int done = 0;
    for (int i = 0; i < THREADS; ++i) {
        world().spawn("worker", world().client_process(), [&done, i] {
            const KernelCall call("test");
            Opened file = open(u"D:\\shared", FILE_OPEN_IF);
            Opened direct = open(u"D:\\shared", FILE_OPEN, DIRECT | SYNC, DATA);
            const std::string block(512, static_cast<char>('a' + i));
            for (int round = 0; round < ROUNDS; ++round) {
                const int64_t offset = (round * THREADS + i) * 512;
                CHECK_EQ(write((round + i) % 2 ? file : direct, block, offset), STATUS_SUCCESS);
                CHECK(read((round + i) % 3 ? file : direct, 512, offset) == block);
            }
            close(file);
            close(direct);
            ++done;
            world().wake(&done);
        });
    }
    world().block(&done, [&] { return done == THREADS; });
    Opened file = open(u"D:\\shared");
    CHECK_EQ(size_of(file), THREADS * ROUNDS * 512);
    for (int i = 0; i < THREADS * ROUNDS; ++i) {
        CHECK(read(file, 512, i * 512) == std::string(512, static_cast<char>('a' + i % THREADS)));
    }
    close(file);
}

} // namespace

TEST(many_threads_and_seeds) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        expect_clean(run(
            [] {
                trace(u"D:");
                share_a_file();
            },
            check::virtual_world(seed)));
    }
}

TEST(real_threads) {
    expect_clean(run(share_a_file, check::wall_world(true)));
}

TEST(cancel_a_synchronous_wait) {
    expect_clean(run([] {
        Opened file = open(u"D:\\a", FILE_CREATE, DIRECT | SYNC, DATA);
        NTSTATUS status = STATUS_PENDING;
        const Thread *writer = world().spawn("writer", world().client_process(), [&] {
            const KernelCall call("test");
            status = write(file, std::string(512, 'x'), 0);
        });
        const auto waiting = [] { return world().io->describe_outstanding().size() == 1; };
        while (!waiting()) {
            world().block(&waiting, [] { return false; }, world().interrupt_time_100ns() + 10);
        }
        CHECK_EQ(world().io->cancel_synchronous(current_thread()), 0);
        CHECK_EQ(world().io->cancel_synchronous(*writer), 1);
        sleep_ms(10);
        CHECK_EQ(status, STATUS_CANCELLED);
        CHECK_EQ(size_of(file), 0);
        close(file);
    }));
}

/// A fixed delay holds for what comes from now on, as does its end; a cancel does not wait for it.
TEST(slow_storage) {
    expect_clean(run([] {
        constexpr uint64_t MINUTE_100NS = 600'000'000;
        constexpr uint64_t FASTEST_100NS = 500;
        Opened file = open(u"D:\\a", FILE_CREATE, DIRECT, DATA);
        REQUIRE(file);
        Overlapped slow, fast, given_up;
        const uint64_t start = world().interrupt_time_100ns();
        world().storage_delay_100ns = MINUTE_100NS;
        CHECK_EQ(start_write(file, slow, std::string(512, 's'), 0), STATUS_PENDING);
        CHECK_EQ(start_write(file, given_up, std::string(512, 'g'), 512), STATUS_PENDING);
        CHECK_EQ(world().waiting_for_storage.load(), 2u);
        world().storage_delay_100ns = 0;
        CHECK_EQ(start_write(file, fast, std::string(512, 'f'), 0), STATUS_PENDING);
        CHECK(check::contains(world().report_json(), "\"waitingForStorage\":3"));
        fast.wait();
        const uint64_t fast_100ns = world().interrupt_time_100ns() - start;
        CHECK(fast_100ns >= FASTEST_100NS && fast_100ns < MINUTE_100NS);
        CHECK_EQ(world().io->cancel(*file, &given_up), 1u);
        given_up.wait();
        CHECK_EQ(given_up.iosb.Status, STATUS_CANCELLED);
        CHECK(world().interrupt_time_100ns() - start < MINUTE_100NS);
        CHECK_EQ(world().waiting_for_storage.load(), 1u);
        slow.wait();
        CHECK(world().interrupt_time_100ns() - start >= MINUTE_100NS);
        CHECK_EQ(world().waiting_for_storage.load(), 0u);
        std::string buffer(512, '?');
        Overlapped reading;
        CHECK_EQ(start_read(file, reading, buffer.data(), 512, 0), STATUS_PENDING);
        reading.wait();
        CHECK_EQ(buffer, std::string(512, 's')); // the slow one came last
        close(file);
    }));
}

} // namespace MINIPEND_TEST_FILE
