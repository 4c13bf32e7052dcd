// SPDX-License-Identifier: MIT
//
// This module provides: what instructions.mjs counts the instructions of: minipend_bench SCENARIO OPERATIONS makes a world, has so many uncached
// writes pass the driver one after another, and prints the driver's counters as one line of JSON. --list names the scenarios.
// Invariant: with one seed and the virtual clock two runs differ in nothing but the number of writes, so that the difference of their
// instruction counts is that of the writes alone. `polls` says how often the counters were asked for; runs are comparable when it agrees.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../native/spine/spine.hpp"

namespace check {

std::atomic<int> &failures() {
    static std::atomic<int> count{0};
    return count;
}

void failed(const char *file, int line, const std::string &text) {
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, text.c_str());
}

} // namespace check

using namespace spine;

namespace {

/// The writes are as large as a sector, which uncached I/O has to be.
constexpr DWORD WRITE_BYTES = 4096;

struct Scenario {
    const char *name;
    std::vector<Rule> rules;
};

Rule rule_for(MINIPEND_OPERATION operation, uint32_t action, std::u16string path = u"", uint32_t delayMs = 0) {
    Rule rule;
    rule.operations = bit(operation);
    rule.action = action;
    rule.path = std::move(path);
    rule.delayMs = delayMs;
    return rule;
}

std::vector<Scenario> scenarios() {
    return {
        {"unmatched-no-rules", {}},
        {"unmatched-other-operation", {rule_for(MINIPEND_OPERATION_RENAME, MINIPEND_ACTION_PEND, u"\\inbox\\*")}},
        {"unmatched-other-path", {rule_for(MINIPEND_OPERATION_WRITE, MINIPEND_ACTION_PEND, u"\\outbox\\*")}},
        {"observed", {rule_for(MINIPEND_OPERATION_WRITE, MINIPEND_ACTION_OBSERVE)}},
        {"pended", {rule_for(MINIPEND_OPERATION_WRITE, MINIPEND_ACTION_PEND)}},
        {"pended-path", {rule_for(MINIPEND_OPERATION_WRITE, MINIPEND_ACTION_PEND, u"\\inbox\\*")}},
        {"pended-delay", {rule_for(MINIPEND_OPERATION_WRITE, MINIPEND_ACTION_PEND, u"", 1)}},
    };
}

void write_often(uint32_t operations) {
    CHECK(CreateDirectoryW(u"D:\\inbox", nullptr) != FALSE);
    const File file = File::create(u"D:\\inbox\\a.bin", FILE_FLAG_NO_BUFFERING);
    need(file.is_open(), "the file cannot be made");
    alignas(WRITE_BYTES) static const char bytes[WRITE_BYTES] = {};
    for (uint32_t i = 0; i < operations; ++i) {
        OVERLAPPED place{}; // offset 0
        DWORD written = 0;
        need(WriteFile(file.handle(), bytes, WRITE_BYTES, &written, &place) != FALSE && written == WRITE_BYTES,
             "a write failed");
    }
}

void run(const Scenario &scenario, uint32_t operations) {
    TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL);
    load_and_attach({u"D:"});
    const Client client;
    if (!scenario.rules.empty()) {
        CHECK(client.set_rules(scenario.rules).Status == STATUS_SUCCESS);
    }
    write_often(operations);
    unsigned polls = 0;
    need(eventually([&] {
             ++polls;
             return client.counters().balanced(true);
         }),
         "the driver does not come to rest");
    const MINIPEND_OPERATION_COUNTERS writes = client.counters().total(MINIPEND_OPERATION_WRITE);
    std::printf("{\"scenario\":\"%s\",\"operations\":%u,\"polls\":%u,\"postOperations\":%llu,\"unmatched\":%llu,"
                "\"observed\":%llu,\"completed\":%llu}\n",
                scenario.name, operations, polls, static_cast<unsigned long long>(writes.PostOperations),
                static_cast<unsigned long long>(writes.Unmatched), static_cast<unsigned long long>(writes.Observed),
                static_cast<unsigned long long>(writes.Completed));
}

} // namespace

int main(int count, char **arguments) {
    const std::vector<Scenario> all = scenarios();
    if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
        for (const Scenario &scenario : all) {
            std::printf("%s\n", scenario.name);
        }
        return 0;
    }
    const unsigned long operations = count == 3 ? std::strtoul(arguments[2], nullptr, 10) : 0;
    for (const Scenario &scenario : all) {
        if (operations != 0 && operations <= 1'000'000 && std::strcmp(arguments[1], scenario.name) == 0) {
            try {
                run(scenario, static_cast<uint32_t>(operations));
            } catch (const std::exception &problem) {
                check::failed(scenario.name, 0, problem.what());
            }
            return check::failures() == 0 ? 0 : 1;
        }
    }
    std::fprintf(stderr, "usage: %s --list | SCENARIO OPERATIONS (1 to 1,000,000)\n", arguments[0]);
    return 2;
}
