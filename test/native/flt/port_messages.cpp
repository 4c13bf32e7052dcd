// SPDX-License-Identifier: MIT
//
// This module provides: tests of messages from the driver to user mode: FltSendMessage and FilterGetMessage [MSG-01..07, USR-03, USR-06, PORT-04].

#include "core/readings.hpp"
#include "flt/internal.hpp"
#include "flt/recorder.hpp"

#include <atomic>
#include <cstring>
#include <fltsim_user.h>

#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

constexpr HRESULT ABORTED = HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED);
constexpr HRESULT PENDING = HRESULT_FROM_WIN32(ERROR_IO_PENDING);
constexpr HRESULT PORT_GONE = HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
constexpr HRESULT TOO_SMALL = HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);

/// A filter with a port that takes one client.
struct Port {
    Driver driver{u"one"};
    PFLT_PORT server = nullptr;
    PFLT_PORT client = nullptr;
    std::atomic<int> senders{0};
    std::atomic<int> disconnects{0};

    explicit Port(Bench &bench);
    NTSTATUS send(const char *text, LONGLONG timeout_100ns = 0) {
        LARGE_INTEGER time{};
        time.QuadPart = timeout_100ns;
        ++senders;
        const NTSTATUS status =
            FltSendMessage(driver.filter, &client, const_cast<char *>(text), static_cast<ULONG>(std::strlen(text)),
                           nullptr, nullptr, timeout_100ns == 0 ? nullptr : &time);
        --senders;
        return status;
    }
};

Port *g_port = nullptr;

NTSTATUS FLTAPI on_connect(PFLT_PORT port, PVOID, PVOID, ULONG, PVOID *cookie) {
    *cookie = nullptr;
    g_port->client = port;
    return STATUS_SUCCESS;
}

void FLTAPI on_disconnect(PVOID) {
    if (g_port->client) {
        const PFLT_PORT closed = g_port->client;
        FltCloseClientPort(g_port->driver.filter, &g_port->client);
        const KernelCall call("look");
        for (const auto &connection : flt::manager().connections) {
            CHECK(connection->handle() != closed || connection->senders == 0); // it has waited for them [PORT-04]
        }
    }
    ++g_port->disconnects;
}

Port::Port(Bench &bench) {
    g_port = this;
    driver.after_register = [this] {
        static char16_t name[] = u"\\BellPort";
        UNICODE_STRING text{sizeof name - 2, sizeof name, reinterpret_cast<PWCH>(name)};
        OBJECT_ATTRIBUTES object{};
        object.Length = sizeof object;
        object.ObjectName = &text;
        object.Attributes = OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE;
        return FltCreateCommunicationPort(driver.filter, &server, &object, nullptr, on_connect, on_disconnect, nullptr,
                                          1);
    };
    driver.unload = [this](ULONG) -> NTSTATUS {
        FltCloseCommunicationPort(server);
        FltUnregisterFilter(driver.filter);
        driver.filter = nullptr;
        return STATUS_SUCCESS;
    };
    CHECK_EQ(driver.load(bench.world), STATUS_SUCCESS);
}

HANDLE connect() {
    HANDLE handle = INVALID_HANDLE_VALUE;
    CHECK_EQ(FilterConnectCommunicationPort(u"\\BellPort", 0, nullptr, 0, nullptr, &handle), S_OK);
    return handle;
}

struct Message {
    FILTER_MESSAGE_HEADER header{};
    char text[32] = {};
};

HRESULT get(HANDLE port, Message &message, OVERLAPPED *overlapped = nullptr, DWORD bytes = sizeof(Message)) {
    return FilterGetMessage(port, &message.header, bytes, overlapped);
}

/// The test with both executors; with fibers under several schedules.
void with_port(const std::function<void(Bench &, Port &)> &fn) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        const Executor executor = seed <= 8 ? Executor::Fibers : Executor::Threads;
        const std::string report = run_known(
            executor,
            [&](Bench &bench) {
                Port port(bench);
                fn(bench, port);
                if (port.driver.filter) {
                    CHECK_EQ(bench.unload(port.driver), STATUS_SUCCESS);
                }
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
}

/// The rule that stops the world.
std::string broken(const std::function<void(Bench &, Port &)> &fn) {
    return rule_of(run_known(Executor::Fibers, [&](Bench &bench) {
        static Port *port; // a world that stops leaves it
        port = new Port(bench);
        connect();
        fn(bench, *port);
    }));
}

} // namespace

TEST(delivered_when_somebody_gets) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        std::atomic<bool> got{false};
        std::atomic<NTSTATUS> sent{STATUS_PENDING};
        bench.start("sender", [&] {
            const NTSTATUS status = port.send("first");
            CHECK(got);
            sent = status;
        });
        CHECK(bench.wait_until([&] { return port.senders == 1; }));
        bench.wait_until([] { return false; }, 5);
        CHECK_EQ(sent.load(), STATUS_PENDING); // nobody has asked for it yet
        got = true;
        Message message;
        CHECK_EQ(get(handle, message), S_OK);
        CHECK_EQ(message.header.ReplyLength, 0u);
        CHECK(message.header.MessageId != 0);
        CHECK_EQ(std::string(message.text), std::string("first"));
        CHECK(bench.wait_until([&] { return sent == STATUS_SUCCESS; }));

        // The other way round: the get waits, the send returns at once.
        std::atomic<HRESULT> result{1};
        Message second;
        bench.start("getter", [&] { result = get(handle, second); });
        CHECK_EQ(port.send("second"), STATUS_SUCCESS);
        CHECK(bench.wait_until([&] { return result == S_OK; }));
        CHECK_EQ(std::string(second.text), std::string("second"));
        CHECK(second.header.MessageId != message.header.MessageId);
        CloseHandle(handle);
    });
}

TEST(overlapped_gets) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        OVERLAPPED with_event{};
        with_event.hEvent = event;
        OVERLAPPED without{};
        Message one;
        Message two;
        DWORD bytes = 0;
        CHECK_EQ(get(handle, one, &with_event), PENDING);
        CHECK_EQ(get(handle, two, &without), PENDING);
        CHECK(GetOverlappedResult(handle, &with_event, &bytes, FALSE) == FALSE);
        CHECK_EQ(GetLastError(), ERROR_IO_INCOMPLETE);
        CHECK_EQ(port.send("aa"), STATUS_SUCCESS);
        CHECK(GetOverlappedResult(handle, &with_event, &bytes, TRUE) != FALSE);
        CHECK_EQ(bytes, sizeof(FILTER_MESSAGE_HEADER) + 2);
        CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0);
        CHECK_EQ(port.send("bbb"), STATUS_SUCCESS);
        CHECK(GetOverlappedResult(handle, &without, &bytes, TRUE) != FALSE);
        CHECK_EQ(bytes, sizeof(FILTER_MESSAGE_HEADER) + 3);
        CHECK_EQ(std::string(one.text) + two.text, std::string("aabbb"));

        // A message that waits already: pending all the same.
        std::atomic<bool> sent{false};
        bench.start("sender", [&] {
            CHECK_EQ(port.send("c"), STATUS_SUCCESS);
            sent = true;
        });
        CHECK(bench.wait_until([&] { return port.senders == 1; }));
        OVERLAPPED third{};
        Message three;
        CHECK_EQ(get(handle, three, &third), PENDING);
        CHECK(GetOverlappedResult(handle, &third, &bytes, TRUE) != FALSE);
        CHECK_EQ(std::string(three.text), std::string("c"));
        CHECK(bench.wait_until([&] { return sent.load(); }));
        CloseHandle(event);
        CloseHandle(handle);
    });
}

TEST(a_message_that_does_not_fit_stays) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        std::atomic<NTSTATUS> sent{STATUS_PENDING};
        bench.start("sender", [&] { sent = port.send("four"); });
        CHECK(bench.wait_until([&] { return port.senders == 1; }));
        Message message;
        CHECK_EQ(get(handle, message, nullptr, 8), TOO_SMALL); // not even a header
        CHECK_EQ(get(handle, message, nullptr, sizeof(FILTER_MESSAGE_HEADER) + 3), TOO_SMALL);
        CHECK_EQ(sent.load(), STATUS_PENDING);
        CHECK_EQ(get(handle, message, nullptr, sizeof(FILTER_MESSAGE_HEADER) + 4), S_OK);
        CHECK_EQ(std::string(message.text), std::string("four"));
        CHECK(bench.wait_until([&] { return sent == STATUS_SUCCESS; }));
        CloseHandle(handle);
    });
}

TEST(sends_time_out) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        constexpr LONGLONG wait_100ns = 20 * 10'000;
        const uint64_t before = bench.world.interrupt_time_100ns();
        const NTSTATUS status = port.send("nobody", -wait_100ns);
        CHECK_EQ(status, STATUS_TIMEOUT);
        CHECK(NT_SUCCESS(status)); // MSG-03
        CHECK(bench.world.interrupt_time_100ns() - before >= static_cast<uint64_t>(wait_100ns));
        OVERLAPPED overlapped{};
        Message message;
        CHECK_EQ(get(handle, message, &overlapped), PENDING);
        CHECK_EQ(port.send("next", -600'000'000), STATUS_SUCCESS);
        CHECK_EQ(std::string(message.text), std::string("next")); // what timed out was withdrawn
        CloseHandle(handle);
    });
}

TEST(closing_the_handle_ends_both_sides) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        std::atomic<NTSTATUS> sent{STATUS_PENDING};
        bench.start("sender", [&] { sent = port.send("late"); });
        CHECK(bench.wait_until([&] { return port.senders == 1; }));
        CHECK(CloseHandle(handle) != FALSE);
        CHECK_EQ(port.disconnects.load(), 1);
        CHECK(bench.wait_until([&] { return sent == STATUS_PORT_DISCONNECTED; }));
        CHECK_EQ(port.send("later"), STATUS_PORT_DISCONNECTED); // the variable is null

        const HANDLE again = connect();
        OVERLAPPED overlapped{};
        overlapped.hEvent = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        Message message;
        Message blocked;
        std::atomic<HRESULT> result{1};
        CHECK_EQ(get(again, message, &overlapped), PENDING);
        bench.start("getter", [&] { result = get(again, blocked); });
        bench.wait_until([] { return false; }, 5);
        CHECK(CloseHandle(again) != FALSE);
        CHECK(bench.wait_until([&] { return result != 1; }));
        CHECK(result == ABORTED || result == PORT_GONE); // the second when it came after the close
        CHECK_EQ(WaitForSingleObject(overlapped.hEvent, INFINITE), WAIT_OBJECT_0);
        CHECK_EQ(static_cast<NTSTATUS>(overlapped.Internal), STATUS_CANCELLED);
        CHECK_EQ(get(again, message), PORT_GONE);
        CloseHandle(overlapped.hEvent);
    });
}

TEST(the_driver_disconnects) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        std::atomic<HRESULT> result{1};
        Message message;
        bench.start("getter", [&] { result = get(handle, message); });
        bench.wait_until([] { return false; }, 5);
        FltCloseClientPort(port.driver.filter, &port.client);
        CHECK(bench.wait_until([&] { return result == PORT_GONE; }));
        CHECK_EQ(get(handle, message), PORT_GONE);
        CHECK_EQ(port.send("x"), STATUS_PORT_DISCONNECTED);
        CloseHandle(handle);

        const HANDLE again = connect(); // and unloading does the same
        OVERLAPPED overlapped{};
        CHECK_EQ(get(again, message, &overlapped), PENDING);
        CHECK_EQ(bench.unload(port.driver), STATUS_SUCCESS);
        CHECK_EQ(static_cast<NTSTATUS>(overlapped.Internal), STATUS_PORT_DISCONNECTED);
        CloseHandle(again);
    });
}

TEST(gets_are_cancelled) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        OVERLAPPED first{};
        OVERLAPPED second{};
        Message one;
        Message two;
        CHECK_EQ(get(handle, one, &first), PENDING);
        CHECK_EQ(get(handle, two, &second), PENDING);
        CHECK(CancelIoEx(handle, &first) != FALSE);
        CHECK_EQ(static_cast<NTSTATUS>(first.Internal), STATUS_CANCELLED);
        DWORD bytes = 0;
        CHECK(GetOverlappedResult(handle, &first, &bytes, TRUE) == FALSE);
        CHECK_EQ(GetLastError(), ERROR_OPERATION_ABORTED);
        CHECK(CancelIoEx(handle, &first) == FALSE);
        CHECK_EQ(GetLastError(), ERROR_NOT_FOUND);
        CHECK_EQ(port.send("two"), STATUS_SUCCESS); // goes to the one that is left
        CHECK_EQ(std::string(two.text), std::string("two"));

        std::atomic<HRESULT> result{1};
        std::atomic<DWORD> id{0};
        bench.start("getter", [&] {
            id = GetCurrentThreadId();
            result = get(handle, one);
        });
        CHECK(bench.wait_until([&] { return id != 0; }));
        const HANDLE thread = OpenThread(1, FALSE, id);
        bool cancelled = false;
        CHECK(bench.wait_until([&] { return cancelled = cancelled || CancelSynchronousIo(thread) != FALSE; }));
        CHECK(bench.wait_until([&] { return result == ABORTED; }));
        CloseHandle(thread);
        CloseHandle(handle);
    });
}

TEST(terminated_threads_stop_waiting) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        std::atomic<DWORD> id{0};
        std::atomic<NTSTATUS> sent{STATUS_PENDING};
        bench.start("sender", [&] {
            id = GetCurrentThreadId();
            sent = port.send("x");
        });
        CHECK(bench.wait_until([&] { return port.senders == 1; }));
        CHECK_EQ(FltSimTerminateThread(bench.world.number, id), 0);
        CHECK(bench.wait_until([&] { return sent == STATUS_THREAD_IS_TERMINATING; }));
        CloseHandle(handle);
    });
}

TEST(send_rules) {
    CHECK_EQ(broken([](Bench &, Port &port) {
                 KSPIN_LOCK lock{};
                 KeInitializeSpinLock(&lock);
                 KIRQL irql = 0;
                 KeAcquireSpinLock(&lock, &irql);
                 port.send("x");
             }),
             std::string("V16 FltSendMessage with a lock held"));
    CHECK_EQ(broken([](Bench &bench, Port &port) {
                 KernelCall call("dpc");
                 bench.world.queue_dpc([&] { port.send("x"); });
                 bench.world.block(&port, [] { return false; }, bench.world.interrupt_time_100ns() + 10'000'000);
             }),
             std::string("V5 IRQL too high"));
    CHECK_EQ(broken([](Bench &, Port &port) {
                 LARGE_INTEGER zero{};
                 char text[] = "x";
                 FltSendMessage(port.driver.filter, &port.client, text, 1, nullptr, nullptr, &zero);
             }),
             std::string("MSG-02 timeout of zero"));
    CHECK_EQ(broken([](Bench &bench, Port &port) {
                 const PFLT_FILTER filter = port.driver.filter;
                 bench.unload(port.driver);
                 port.driver.filter = filter;
                 port.send("x");
             }),
             std::string("VER-02 bad object"));
    CHECK_EQ(broken([](Bench &, Port &port) {
                 PFLT_PORT copy = port.client; // FltCloseClientPort does not null it
                 FltCloseClientPort(port.driver.filter, &port.client);
                 char text[] = "x";
                 CHECK_EQ(FltSendMessage(port.driver.filter, &copy, text, 1, nullptr, nullptr, nullptr),
                          STATUS_PORT_DISCONNECTED);
                 FltCloseClientPort(port.driver.filter, &copy);
             }),
             std::string("VER-02 bad object"));
    CHECK_EQ(broken([](Bench &, Port &port) {
                 char text[8] = "x";
                 ULONG length = sizeof text;
                 FltSendMessage(port.driver.filter, &port.client, text, 1, text, &length, nullptr);
             }),
             std::string("UNMODELLED"));
}

/// MSG-02.
TEST(a_timeout_of_zero_by_each_reading) {
    const auto send = [](const char *value, bool somebody_gets) {
        NTSTATUS status = STATUS_UNSUCCESSFUL;
        bool waited = false;
        run_known(Executor::Fibers, [&](Bench &bench) {
            CHECK_EQ(bench.world.readings->set("send-timeout-zero", value), std::string());
            Port port(bench);
            const HANDLE handle = connect();
            if (somebody_gets) {
                bench.start("getter", [&] {
                    waited = bench.wait_until([] { return false; }, 5'000) || port.senders == 1;
                    alignas(8) char buffer[64] = {};
                    FilterGetMessage(handle, reinterpret_cast<PFILTER_MESSAGE_HEADER>(buffer), sizeof buffer, nullptr);
                });
            }
            LARGE_INTEGER zero{};
            char text[] = "x";
            ++port.senders;
            status = FltSendMessage(port.driver.filter, &port.client, text, 1, nullptr, nullptr, &zero);
            --port.senders;
            CloseHandle(handle);
            bench.unload(port.driver);
        });
        return std::pair(status, waited);
    };
    CHECK(send("returns", false) == std::pair(NTSTATUS{STATUS_TIMEOUT}, false));
    CHECK(send("waits", true) == std::pair(NTSTATUS{STATUS_SUCCESS}, true));
}

TEST(send_fault_switch) {
    with_port([](Bench &bench, Port &port) {
        const HANDLE handle = connect();
        CHECK_EQ(FltSimSetFault(bench.world.number, "FltSendMessage", 0, 1), 0);
        CHECK_EQ(port.send("x"), STATUS_INSUFFICIENT_RESOURCES);
        OVERLAPPED overlapped{};
        Message message;
        CHECK_EQ(get(handle, message, &overlapped), PENDING);
        CHECK_EQ(port.send("x"), STATUS_SUCCESS);
        CHECK_EQ(FilterGetMessage(handle, nullptr, 100, nullptr), HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER));
        CHECK_EQ(get(overlapped.hEvent, message), PORT_GONE); // null
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        CHECK(get(event, message) != S_OK); // not a port
        CloseHandle(event);
        CloseHandle(handle);
    });
}

} // namespace MINIPEND_TEST_FILE
