// SPDX-License-Identifier: MIT
//
// This module provides: tests of event tracing: registration, the session's switch, what is written, and what a driver may not leave behind.

#include "ke/trace.hpp"

#include <cstring>
#include <utility>

#include "flt/recorder.hpp"
#include "fltsim.h"
#include "kernel_thread.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;
using check::stopped_on;

namespace {

constexpr GUID PROVIDER{0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};

struct Session {
    int calls = 0;
    ULONG code = 99;
    UCHAR level = 0;
    ULONGLONG keyword = 0;
};

void NTAPI on_enable(LPCGUID id, ULONG code, UCHAR level, ULONGLONG any, ULONGLONG, PEVENT_FILTER_DESCRIPTOR,
                     PVOID context) {
    CHECK(id != nullptr && id->Data1 == 0); // the session's id, not the provider's
    CHECK_EQ(executing().irql, PASSIVE_LEVEL);
    auto &session = *static_cast<Session *>(context);
    ++session.calls;
    session.code = code;
    session.level = level;
    session.keyword = any;
}

EVENT_DESCRIPTOR event_of(UCHAR level, ULONGLONG keyword) {
    EVENT_DESCRIPTOR event{};
    EventDescCreate(&event, 7, 1, 16, level, 3, 2, keyword);
    return event;
}

size_t logged() {
    KernelCall call("log");
    return ke::trace().log.size();
}

} // namespace

TEST(sessions_switch_providers) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        Session session;
        REGHANDLE handle = 0;
        CHECK_EQ(EtwRegister(&PROVIDER, on_enable, &session, &handle), STATUS_SUCCESS);
        CHECK(handle != 0);
        CHECK_EQ(session.calls, 0);
        const EVENT_DESCRIPTOR verbose = event_of(5, 0x10);
        const EVENT_DESCRIPTOR error = event_of(2, 0x20);
        const EVENT_DESCRIPTOR always = event_of(0, 0);
        CHECK(!EtwEventEnabled(handle, &error));
        CHECK(!EtwProviderEnabled(handle, 0, 0));
        CHECK_EQ(EtwWrite(handle, &error, nullptr, 0, nullptr), STATUS_SUCCESS); // nobody listens
        CHECK_EQ(logged(), 0u);

        CHECK_EQ(FltSimEnableTrace(bench.world.number, 1, 4, 0x20), 0);
        CHECK_EQ(session.calls, 1);
        CHECK_EQ(session.code, 1u);
        CHECK_EQ(session.level, 4);
        CHECK_EQ(session.keyword, 0x20u);
        CHECK(EtwEventEnabled(handle, &error));
        CHECK(EtwEventEnabled(handle, &always));
        CHECK(!EtwEventEnabled(handle, &verbose));
        CHECK(EtwProviderEnabled(handle, 4, 0x30));
        CHECK(!EtwProviderEnabled(handle, 4, 0x10));
        CHECK(!EtwProviderEnabled(handle, 5, 0x20));

        Session late;
        REGHANDLE second = 0;
        CHECK_EQ(EtwRegister(&PROVIDER, on_enable, &late, &second), STATUS_SUCCESS);
        CHECK_EQ(late.calls, 1); // the session is on already
        CHECK_EQ(EtwUnregister(second), STATUS_SUCCESS);
        CHECK_EQ(FltSimEnableTrace(bench.world.number, 0, 0, 0), 0);
        CHECK_EQ(session.calls, 2);
        CHECK_EQ(session.code, 0u);
        CHECK_EQ(late.calls, 1);
        CHECK(!EtwEventEnabled(handle, &error));
        CHECK_EQ(EtwUnregister(handle), STATUS_SUCCESS);
        CHECK_EQ(FltSimEnableTrace(0, 1, 0, 0), -1);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(events_are_logged) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        REGHANDLE handle = 0;
        CHECK_EQ(FltSimEnableTrace(bench.world.number, 1, 0, 0), 0);
        CHECK_EQ(EtwRegister(&PROVIDER, nullptr, nullptr, &handle), STATUS_SUCCESS);
        const EVENT_DESCRIPTOR event = event_of(4, 1);
        ULONG number = 0x01020304;
        char text[] = "abc";
        EVENT_DATA_DESCRIPTOR pieces[2];
        EventDataDescCreate(&pieces[0], &number, sizeof number);
        EventDataDescCreate(&pieces[1], text, 3);
        {
            KernelCall call("dpc");
            bool written = false;
            bench.world.queue_dpc([&] {
                CHECK_EQ(EtwWrite(handle, &event, nullptr, 2, pieces), STATUS_SUCCESS); // at any IRQL
                written = true;
            });
            bench.world.block(&written, [&] { return written; }, bench.world.interrupt_time_100ns() + 10'000'000);
        }
        number = 0; // the log has a copy
        CHECK_EQ(logged(), 1u);
        {
            KernelCall call("log");
            const ke::TraceEvent &logged_event = ke::trace().log.front();
            CHECK_EQ(logged_event.provider.Data1, PROVIDER.Data1);
            CHECK_EQ(logged_event.descriptor.Id, 7);
            CHECK_EQ(logged_event.irql, DISPATCH_LEVEL);
            CHECK(logged_event.data == std::vector<uint8_t>({4, 3, 2, 1, 'a', 'b', 'c'}));
        }
        EVENT_DATA_DESCRIPTOR large{};
        EventDataDescCreate(&large, text, 65 * 1024);
        CHECK_EQ(EtwWrite(handle, &event, nullptr, 1, &large), STATUS_INTEGER_OVERFLOW);
        CHECK_EQ(EtwWrite(handle, &event, nullptr, 129, &large), STATUS_INVALID_PARAMETER);
        CHECK_EQ(EtwWrite(handle, &event, nullptr, 1, nullptr), STATUS_INVALID_PARAMETER);
        CHECK_EQ(EtwWrite(0, &event, nullptr, 0, nullptr), STATUS_INVALID_HANDLE);
        CHECK(!EtwEventEnabled(0, &event));
        CHECK_EQ(logged(), 1u);
        CHECK_EQ(EtwUnregister(handle), STATUS_SUCCESS);
        CHECK_EQ(EtwUnregister(0), STATUS_INVALID_HANDLE);
        CHECK_EQ(FltSimSetFault(bench.world.number, "EtwRegister", 0, 1), 0);
        CHECK_EQ(EtwRegister(&PROVIDER, nullptr, nullptr, &handle), STATUS_NO_MEMORY);
        CHECK_EQ(handle, 0u);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(trace_rules) {
    CHECK(stopped_on(run([](Bench &) {
                         REGHANDLE handle = 0;
                         EtwRegister(&PROVIDER, nullptr, nullptr, &handle);
                         EtwUnregister(handle);
                         const EVENT_DESCRIPTOR event = event_of(4, 1);
                         EtwWrite(handle, &event, nullptr, 0, nullptr);
                     }),
                     "VER-02 parameter"));
    CHECK(stopped_on(run([](Bench &) {
                         REGHANDLE handle = 0;
                         EtwRegister(&PROVIDER, nullptr, nullptr, &handle);
                         const EVENT_DESCRIPTOR event = event_of(4, 1);
                         EVENT_DATA_DESCRIPTOR piece{};
                         EventDataDescCreate(&piece, &event, 4);
                         piece.Reserved = 1;
                         EtwWrite(handle, &event, nullptr, 1, &piece);
                     }),
                     "VER-02 parameter"));
    CHECK(stopped_on(run([](Bench &bench) {
                         static Driver *driver; // a world that stops leaves it
                         driver = new Driver(u"one");
                         REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
                         REGHANDLE handle = 0;
                         EtwRegister(&PROVIDER, nullptr, nullptr, &handle);
                         bench.unload(*driver);
                     }),
                     "C4/DD EtwUnregister missing"));
}

namespace {

/// What a driver has while it is registered.
struct Loaded {
    bool loaded = true;
    int calls = 0;
    REGHANDLE unregisters = 0; ///< in its callback
};

void NTAPI needs_its_driver(LPCGUID, ULONG, UCHAR, ULONGLONG, ULONGLONG, PEVENT_FILTER_DESCRIPTOR, PVOID context) {
    auto &driver = *static_cast<Loaded *>(context);
    CHECK(driver.loaded);
    KeGetCurrentIrql(); // a scheduling point
    CHECK(driver.loaded);
    ++driver.calls;
    if (const REGHANDLE handle = std::exchange(driver.unregisters, 0)) {
        CHECK_EQ(EtwUnregister(handle), STATUS_SUCCESS); // does not wait for itself
    }
}

} // namespace

TEST(a_provider_s_callback_ends_before_it_is_unregistered) {
    int calls = 0;
    int without = 0;
    for (uint64_t seed = 1; seed <= 100; ++seed) {
        const std::string report = check::report_of(check::virtual_world(seed), [&](World &) {
            Loaded driver;
            check::Body switches = [] {
                for (int i = 0; i < 3; ++i) {
                    const KernelCall call("EtwEnableTrace");
                    ke::trace().enable(i % 2 == 0 ? std::optional(ke::TraceFilter{}) : std::nullopt);
                }
            };
            REGHANDLE handle = 0;
            CHECK_EQ(EtwRegister(&PROVIDER, needs_its_driver, &driver, &handle), STATUS_SUCCESS);
            const check::Started one(switches);
            const check::Started two(switches);
            CHECK_EQ(EtwUnregister(handle), STATUS_SUCCESS);
            driver.loaded = false;
            calls += driver.calls;
            without += driver.calls == 0 ? 1 : 0;
        });
        CHECK(check::contains(report, "\"stopped\":false"));
    }
    CHECK(calls > 0);
    CHECK(without > 0); // both orders were played
}

TEST(a_provider_unregisters_in_its_callback) {
    const std::string report = check::report_of(check::virtual_world(), [&](World &) {
        Loaded driver;
        CHECK_EQ(EtwRegister(&PROVIDER, needs_its_driver, &driver, &driver.unregisters), STATUS_SUCCESS);
        const KernelCall call("EtwEnableTrace");
        ke::trace().enable(ke::TraceFilter{});
        CHECK_EQ(driver.calls, 1);
        CHECK(ke::trace().providers.empty());
        ke::trace().enable(std::nullopt);
        CHECK_EQ(driver.calls, 1);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

} // namespace MINIPEND_TEST_FILE
