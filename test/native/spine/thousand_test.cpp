// SPDX-License-Identifier: MIT
//
// This module provides: a thousand operations held, and everything that gives all of them back at once: release, disconnect, detach, dismount, unload, a
// service stop that cannot be refused; and a hundred synchronous ones that their own client releases.

#include <optional>

#include "gates.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

/// Overlapped uncached reads of one file, held by a rule. On a busy machine a thousand take long to start, so they are held for the longest that
/// the driver may be told: its parameter has to be set before it is loaded.
class HeldReads {
  public:
    static constexpr DWORD COUNT = 1'000;
    static constexpr uint32_t HOLD_MS = 600'000;
    static void allow(const TestWorld &world) { set_parameter(world, u"MaxDelayMs", HOLD_MS); }

    explicit HeldReads(const Client &client) {
        CHECK_EQ(File::create(u"D:\\big").write(std::string(PAGE, 'x')), 0u);
        file_.emplace(u"D:\\big",
                      File::Options{.access = GENERIC_READ, .flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING});
        Rule rule;
        rule.operations = bit(MINIPEND_OPERATION_READ);
        rule.delayMs = HOLD_MS;
        CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
        for (OVERLAPPED &one : overlapped_) {
            CHECK(ReadFile(file_->handle(), buffer_, PAGE, nullptr, &one) == FALSE);
            CHECK_EQ(GetLastError(), ERROR_IO_PENDING);
        }
        // The storage's DPC may have interrupted a thread that was inside the file system: those are refused.
        CHECK(eventually(
            [&] {
                const Counters counters = client.counters();
                const auto reads = counters.total(MINIPEND_OPERATION_READ);
                held = counters.head().HeldNow;
                // The last one counts for the high water once it is parked, not when it is taken.
                return held + reads.Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP] == COUNT && reads.InFlight == held &&
                       counters.head().HeldHighWater == held;
            },
            HOLD_MS / 4));
        CHECK(held > COUNT / 2);
    }
    void all_come_back() {
        const auto start = Clock::now();
        for (OVERLAPPED &one : overlapped_) {
            DWORD bytes = 0;
            CHECK(GetOverlappedResult(file_->handle(), &one, &bytes, TRUE) != FALSE);
            CHECK_EQ(bytes, PAGE);
        }
        CHECK(elapsedMs(start) < HOLD_MS / 2);
    }
    void close() { file_.reset(); }
    uint64_t held = 0;

  private:
    static constexpr DWORD PAGE = 4096;
    std::optional<File> file_;
    std::vector<OVERLAPPED> overlapped_{COUNT};
    alignas(4096) char buffer_[PAGE];
};

/// Loaded, attached, and a thousand held.
struct Scene {
    TestWorld world;
    std::optional<Client> watcher;
    std::optional<Client> client;
    std::optional<HeldReads> reads;

    explicit Scene(uint32_t executor, uint32_t refuse_unload = 0) : world(executor) {
        HeldReads::allow(world);
        set_parameter(world, u"RefuseUnloadWhileHeld", refuse_unload);
        load_and_attach({u"D:"});
        watcher.emplace();
        client.emplace();
        reads.emplace(*client);
    }
    /// All are back, exactly.
    void check_balance() {
        reads->all_come_back();
        const Counters counters = watcher->counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.total(MINIPEND_OPERATION_READ).Completed, reads->held);
        CHECK_EQ(counters.head().HeldHighWater, reads->held);
        CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
    }
};

std::u16string numbered(int number) {
    std::u16string name = u"f";
    for (const char digit : std::to_string(number)) {
        name += static_cast<char16_t>(digit);
    }
    return name + u"x"; // so that none is the other with a 2 behind it
}

constexpr HRESULT DO_NOT_DETACH = static_cast<HRESULT>(0x801F0010);

} // namespace

SPINE_TEST(a_release_of_a_thousand) {
    Scene scene(executor);
    CHECK_EQ(scene.client->release_all().Released, scene.reads->held);
    CHECK_EQ(scene.client->release_all().Released, 0u);
    scene.check_balance();
}

SPINE_TEST(a_client_that_leaves_releases_a_thousand) {
    Scene scene(executor);
    scene.client.reset();
    scene.check_balance();
}

SPINE_TEST(detach_releases_a_thousand) {
    Scene scene(executor);
    CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
    scene.check_balance();
    CHECK_EQ(scene.watcher->counters().of(0, MINIPEND_OPERATION_READ).Completed, scene.reads->held);
}

/// The instance goes with the volume; what the file system had done is done.
SPINE_TEST(a_dismount_releases_a_thousand) {
    Scene scene(executor);
    int32_t status = -1;
    CHECK_EQ(FltSimDismountVolume(scene.world.number(), "D:", &status), 0);
    CHECK_EQ(status, STATUS_SUCCESS);
    scene.check_balance();
    CHECK_EQ(scene.watcher->counters().head().InstanceCount, 1u);
    scene.reads->close();
}

SPINE_TEST(unload_releases_a_thousand) {
    Scene scene(executor);
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
    scene.reads->all_come_back();
}

/// Vetoed, nothing has changed [UNL-01, UNL-03]; a service stop is not asked [UNL-02].
SPINE_TEST(a_vetoed_unload_keeps_a_thousand_and_a_mandatory_one_releases_them) {
    Scene scene(executor, 1);
    CHECK_EQ(FilterUnload(u"minipend"), DO_NOT_DETACH);
    const Counters counters = scene.watcher->counters();
    CHECK(counters.balanced(false));
    CHECK_EQ(counters.head().HeldNow, scene.reads->held);
    int32_t status = -1;
    CHECK_EQ(FltSimStopService(scene.world.number(), "minipend", &status), 0);
    CHECK_EQ(status, STATUS_SUCCESS);
    scene.reads->all_come_back();
}

/// Once no more is held the veto has no reason.
SPINE_TEST(a_vetoed_unload_succeeds_when_a_thousand_are_released) {
    Scene scene(executor, 1);
    CHECK_EQ(FilterUnload(u"minipend"), DO_NOT_DETACH);
    CHECK_EQ(scene.client->release_all().Released, scene.reads->held);
    scene.check_balance();
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// Synchronous ones on as many threads, released one by one or all together by the client whose gate holds them.
SPINE_TEST(a_client_releases_a_hundred_synchronous_operations_of_its_own) {
    constexpr int count = 100;
    for (const bool one_by_one : {true, false}) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client client(GetCurrentThreadId());
        take(client, {gate()});
        std::vector<std::future<DWORD>> renames;
        for (int i = 0; i < count; ++i) {
            renames.push_back(start_rename(world, numbered(i)));
        }
        const HeldList list = client.held(count);
        if (one_by_one) {
            for (const MINIPEND_HELD_ENTRY &entry : list.entries) {
                CHECK_RELEASED(client.release_one(entry.HeldId, STATUS_DISK_FULL), 1);
            }
        } else {
            CHECK_RELEASED(client.release_all(STATUS_DISK_FULL), count);
        }
        for (auto &renaming : renames) {
            CHECK_EQ(renaming.get(), ERROR_DISK_FULL);
        }
        const Counters counters = client.counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Failed, static_cast<uint64_t>(count));
        CHECK_EQ(counters.head().HeldHighWater, static_cast<uint64_t>(count));
    }
}

} // namespace MINIPEND_TEST_FILE
