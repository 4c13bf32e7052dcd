// SPDX-License-Identifier: MIT
//
// This module provides: what the scenario tests share: a world that checks its own report at the end, files, and a client of the driver's
// port, all through the user-side API.
//
// SPINE_TEST(name) { ... executor ... } makes two tests, name_fibers and name_threads; the second is the one for ThreadSanitizer.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <ntstatus.h>
#include <fltsim_user.h>

#include "fltsim.h"
#include "minipend_protocol.h"

#include "../check.hpp"

#define SPINE_TEST(Name)                                                                                               \
    static void Name##_body(uint32_t executor);                                                                        \
    TEST(Name##_fibers) {                                                                                              \
        Name##_body(FLTSIM_EXECUTOR_FIBERS);                                                                           \
    }                                                                                                                  \
    TEST(Name##_threads) {                                                                                             \
        Name##_body(FLTSIM_EXECUTOR_THREADS);                                                                          \
    }                                                                                                                  \
    static void Name##_body(uint32_t executor)

namespace spine {

using Clock = std::chrono::steady_clock;

uint32_t elapsedMs(Clock::time_point since);

/// Ends the test when going on makes no sense.
void need(bool condition, const std::string &what);

/// Calls `done` until it is true, for ten seconds or `limit_ms` at most. Returns its last answer.
template <class F> bool eventually(F &&done, uint32_t limit_ms = 10'000) {
    const auto start = Clock::now();
    while (!done()) {
        if (elapsedMs(start) > limit_ms) {
            return done();
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

/// A world with the default volumes, selected for the thread that makes it. At its end: when the driver is still there, it holds nothing and its counters are in
/// balance; nothing was broken, nothing leaked.
class TestWorld {
  public:
    explicit TestWorld(uint32_t executor, uint32_t clock = FLTSIM_CLOCK_WALL, uint64_t seed = 1);
    ~TestWorld();
    TestWorld(const TestWorld &) = delete;
    TestWorld &operator=(const TestWorld &) = delete;
    uint32_t number() const { return number_; }
    std::string report() const;
    /// Ends the world now and checks its report.
    void end();
    /// For a test that breaks a rule on purpose.
    void expect_stop() { stop_expected_ = true; }
    /// For a test that leaves something held on purpose.
    void expect_held() { held_expected_ = true; }

    /// Runs `body` on a thread of its own, with this world selected.
    template <class F> auto start(F body) const {
        return std::async(std::launch::async, [number = number_, body = std::move(body)]() mutable {
            FltSimSelectWorld(number);
            return body();
        });
    }

  private:
    uint32_t number_ = 0;
    void check_balance() const;
    bool stop_expected_ = false;
    bool held_expected_ = false;
};

/// A file handle.
class File {
  public:
    struct Options {
        DWORD access = GENERIC_READ | GENERIC_WRITE | DELETE;
        DWORD disposition = OPEN_EXISTING;
        DWORD flags = FILE_ATTRIBUTE_NORMAL;
        DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    };
    File(std::u16string_view path, const Options &options);
    File(File &&other) noexcept : handle_(std::exchange(other.handle_, INVALID_HANDLE_VALUE)), error_(other.error_) {}
    ~File() { close(); }
    static File create(std::u16string_view path, DWORD flags = FILE_ATTRIBUTE_NORMAL);
    static File open(std::u16string_view path, DWORD flags = FILE_ATTRIBUTE_NORMAL);

    bool is_open() const { return handle_ != INVALID_HANDLE_VALUE; }
    HANDLE handle() const { return handle_; }
    DWORD error() const { return error_; } ///< of CreateFileW
    bool close();
    /// At the handle's position. 0, or the Win32 error.
    DWORD write(std::string_view bytes) const;
    DWORD read(std::string *bytes, DWORD length) const;
    DWORD seek(int64_t offset) const;
    DWORD rename(std::u16string_view path, bool replace = false) const;
    DWORD mark_deleted() const;
    DWORD flush() const;

  private:
    HANDLE handle_ = INVALID_HANDLE_VALUE;
    DWORD error_ = 0;
};

bool exists(std::u16string_view path);
/// Names in a directory, "." and ".." left out, in the order the file system gives.
std::vector<std::u16string> list(std::u16string_view directory);

struct Rule {
    uint64_t operations = 0;
    uint32_t action = MINIPEND_ACTION_PEND;
    uint32_t queue = MINIPEND_QUEUE_DELAYED;
    uint32_t delayMs = 0;
    uint32_t flags = 0;
    std::u16string path{};
    std::u16string volume{};
    uint32_t id = 1;
    std::optional<uint32_t> hold{}; ///< none: a delay if delayMs is not 0
    uint32_t conditions = 0;
    uint32_t minorFunctions = 0;
    uint32_t processId = 0;
    uint32_t statusFilter = MINIPEND_STATUS_FILTER_ANY;
    NTSTATUS matchStatus = 0;
    NTSTATUS failStatus = 0;
    uint32_t everyNth = 0;
    uint32_t atMost = 0;
    uint32_t probabilityPpm = 0;
    uint32_t maxHeld = 0;
    uint64_t seed = 0;
};

/// A rule that holds what it takes until it is released, or `deadline_ms` are over.
inline Rule gate_rule(uint64_t operations, uint32_t deadline_ms, std::u16string path = u"") {
    Rule rule;
    rule.operations = operations;
    rule.hold = MINIPEND_HOLD_GATE;
    rule.delayMs = deadline_ms;
    rule.path = std::move(path);
    return rule;
}

constexpr uint64_t bit(MINIPEND_OPERATION operation) {
    return uint64_t{1} << operation;
}

/// One answer of the counters command.
class Counters {
  public:
    explicit Counters(std::vector<uint64_t> words) : words_(std::move(words)) {}
    // Of a temporary by value: a check keeps a reference to what it compares.
    const MINIPEND_COUNTERS_REPLY &head() const &;
    MINIPEND_COUNTERS_REPLY head() && { return std::as_const(*this).head(); }
    const MINIPEND_INSTANCE &instance(size_t index) const &; ///< 0: the sum of those that are gone
    MINIPEND_INSTANCE instance(size_t index) && { return std::as_const(*this).instance(index); }
    const MINIPEND_OPERATION_COUNTERS &of(size_t instance_index, MINIPEND_OPERATION operation) const & {
        return instance(instance_index).Operations[operation];
    }
    MINIPEND_OPERATION_COUNTERS of(size_t instance_index, MINIPEND_OPERATION operation) && {
        return std::as_const(*this).of(instance_index, operation);
    }
    /// Of all instances, gone ones included.
    MINIPEND_OPERATION_COUNTERS total(MINIPEND_OPERATION operation) const;
    /// The identities of the protocol header; `at_rest` also says that nothing is on its way.
    bool balanced(bool at_rest) const;

  private:
    std::vector<uint64_t> words_;
};

/// One answer of the list-held command.
struct HeldList {
    MINIPEND_LIST_HELD_REPLY reply{};
    std::vector<MINIPEND_HELD_ENTRY> entries{};
};

/// One entry of a list-rules reply.
struct ListedRule {
    MINIPEND_RULE_ENTRY entry{};
    std::u16string path{};
    std::u16string volume{};
};

/// One answer of the list-rules command.
struct RuleList {
    MINIPEND_LIST_RULES_REPLY reply{};
    std::vector<ListedRule> rules{};
};

/// One answer of the pull-events command.
struct Events {
    MINIPEND_PULL_EVENTS_REPLY reply{};
    std::vector<MINIPEND_EVENT> events{};
};

/// A name as the driver gives it.
inline std::u16string name_of(const uint16_t *name, size_t chars) {
    return std::u16string(name, name + chars);
}

/// A connection to the driver that has said hello.
class Client {
  public:
    /// The threads named at hello are never held; none by default, so that a test's own thread can be.
    explicit Client(uint32_t control_thread = 0);
    /// For tests in which calls fail: null when it cannot connect or say hello, and no answer is a failed check: a call that fails altogether is an answer whose
    /// Status is the HRESULT.
    static std::unique_ptr<Client> try_connect(uint32_t control_thread = 0);
    ~Client() { close(); }
    Client(const Client &) = delete;
    Client &operator=(const Client &) = delete;
    HANDLE port() const { return port_; }
    const MINIPEND_HELLO_REPLY &hello() const { return hello_; }
    /// The reply's head; Status and Detail say whether the rules were taken.
    MINIPEND_REPLY_HEADER set_rules(const std::vector<Rule> &rules, uint32_t set_id = 0, uint32_t flags = 0) const;
    HeldList list_held(uint32_t flags = 0, uint64_t after_park_sequence = 0,
                       uint32_t max_entries = MINIPEND_MAX_HELD_ENTRIES) const;
    /// A fault is an answer, too.
    RuleList list_rules(uint64_t table_id = 0, uint32_t first = 0, uint32_t max_entries = MINIPEND_MAX_RULE_ENTRIES,
                        size_t reply_bytes_max = 1u << 20) const;
    /// Once at least `count` operations can be released.
    HeldList held(size_t count, uint32_t flags = 0) const;
    MINIPEND_RELEASE_REPLY release(MINIPEND_RELEASE_REQUEST request) const;
    MINIPEND_RELEASE_REPLY release_one(uint64_t held_id, NTSTATUS status = 0, uint32_t flags = 0) const;
    MINIPEND_RELEASE_REPLY release_rule(uint32_t set_id, uint32_t rule_id, NTSTATUS status = 0) const;
    MINIPEND_RELEASE_REPLY release_set(uint32_t set_id, NTSTATUS status = 0) const;
    MINIPEND_RELEASE_REPLY release_all(NTSTATUS status = 0, uint32_t flags = 0) const;
    /// Bit n of `kinds`: MINIPEND_EVENT_KIND n.
    MINIPEND_SUBSCRIBE_REPLY subscribe(uint32_t kinds = (1u << MINIPEND_EVENT_KIND_COUNT) - 1, uint32_t flags = 0,
                                       uint32_t ring_events = 0) const;
    Events pull(uint64_t acknowledge, uint32_t flags = 0, uint32_t max_events = 4096) const;
    Counters counters() const;
    /// Counters once nothing is held or inside a callback any more.
    Counters counters_at_rest() const;
    void close();

  private:
    Client(uint32_t control_thread, bool lenient);
    void expect(bool condition) const;
    std::vector<uint64_t> send(const std::vector<uint64_t> &message, uint32_t message_bytes,
                               size_t reply_bytes_max) const;
    /// Fills in the head and sends it.
    template <class Request> std::vector<uint64_t> ask(Request request, uint16_t command, size_t reply_bytes_max) const;

    class Reply;

    bool lenient_;
    HANDLE port_ = INVALID_HANDLE_VALUE;
    MINIPEND_HELLO_REPLY hello_{};
    mutable std::mutex spare_mutex_;
    mutable std::vector<std::unique_ptr<uint64_t[]>> spare_; ///< reply buffers, REPLY_BYTES_MAX each
};

/// Sends words as they are; returns the HRESULT and resizes the reply to what came back.
HRESULT send_raw(HANDLE port, const std::vector<uint64_t> &message, uint32_t message_bytes,
                 std::vector<uint64_t> *reply);

/// Loads the driver and attaches it to the volumes, in order.
void load_and_attach(std::initializer_list<const char16_t *> volumes);

} // namespace spine
