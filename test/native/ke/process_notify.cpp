// SPDX-License-Identifier: MIT
//
// This module provides: tests of process notify routines (PsSetCreateProcessNotifyRoutine).

#include "flt/recorder.hpp"

#include <atomic>
#include <fltsim_user.h>

#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

std::string &notes = *new std::string;
std::function<void()> &inside = *new std::function<void()>; ///< called by the routines

uint64_t number_of(HANDLE id) {
    return reinterpret_cast<uintptr_t>(id);
}

void note(const char *who, HANDLE parent, HANDLE process, BOOLEAN create) {
    const bool own = PsGetCurrentProcessId() == (create != FALSE ? parent : process);
    notes += std::string(who) + (create != FALSE ? "+" : "-") + std::to_string(number_of(process)) + "<" +
             std::to_string(number_of(parent)) + (own && KeAreApcsDisabled() ? " " : "! ");
    if (inside) {
        inside();
    }
}
void NTAPI one(HANDLE parent, HANDLE process, BOOLEAN create) {
    note("one", parent, process, create);
}
void NTAPI two(HANDLE parent, HANDLE process, BOOLEAN create) {
    note("two", parent, process, create);
}
template <int Number> void NTAPI numbered(HANDLE, HANDLE, BOOLEAN) {}
template <int... Numbers> std::vector<PCREATE_PROCESS_NOTIFY_ROUTINE> many(std::integer_sequence<int, Numbers...>) {
    return {&numbered<Numbers>...};
}

std::string rule_in(const std::function<void(Bench &)> &fn) {
    notes.clear();
    inside = {};
    return rule_of(run_known(Executor::Fibers, fn));
}

void make_and_end(Bench &bench, uint32_t *id) {
    CHECK_EQ(FltSimCreateProcess(bench.world.number, id), 0);
    CHECK_EQ(FltSimTerminateProcess(bench.world.number, *id), 0);
    CHECK_EQ(FltSimWaitForProcess(bench.world.number, *id, 60'000), 1);
}

} // namespace

TEST(routines_are_told_of_processes) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, FALSE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(two, FALSE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, FALSE), STATUS_INVALID_PARAMETER);
                 uint32_t id = 0;
                 make_and_end(bench, &id);
                 const std::string own = std::to_string(number_of(PsGetCurrentProcessId()));
                 const std::string what = std::to_string(id) + "<" + own + " ";
                 CHECK_EQ(notes, "one+" + what + "two+" + what + "one-" + what + "two-" + what);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, TRUE), STATUS_SUCCESS);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, TRUE), STATUS_PROCEDURE_NOT_FOUND);
                 notes.clear();
                 CHECK_EQ(FltSimCreateProcess(bench.world.number, &id), 0);
                 CHECK_EQ(notes, "two+" + std::to_string(id) + "<" + own + " ");
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(two, TRUE), STATUS_SUCCESS);
             }),
             std::string());
}

TEST(there_are_64_process_notify_routines) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 const auto all = many(std::make_integer_sequence<int, 64>());
                 for (const auto routine : all) {
                     CHECK_EQ(PsSetCreateProcessNotifyRoutine(routine, FALSE), STATUS_SUCCESS);
                 }
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, FALSE), STATUS_INVALID_PARAMETER);
                 for (const auto routine : all) {
                     CHECK_EQ(PsSetCreateProcessNotifyRoutine(routine, TRUE), STATUS_SUCCESS);
                 }
                 CHECK_EQ(FltSimSetFault(bench.world.number, "PsSetCreateProcessNotifyRoutine", 0, 1), 0);
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, FALSE), STATUS_INVALID_PARAMETER);
             }),
             std::string());
}

TEST(a_removed_routine_has_returned) {
    CHECK_EQ(rule_in([](Bench &bench) {
                 std::atomic<bool> entered{false}, go{false}, removed{false};
                 CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, FALSE), STATUS_SUCCESS);
                 inside = [&] {
                     entered = true;
                     bench.wait_until([&] { return go.load(); });
                     CHECK(!removed);
                 };
                 bench.start("creator", [&] {
                     uint32_t id = 0;
                     CHECK_EQ(FltSimCreateProcess(bench.world.number, &id), 0);
                 });
                 CHECK(bench.wait_until([&] { return entered.load(); }));
                 bench.start("remover", [&] {
                     CHECK_EQ(PsSetCreateProcessNotifyRoutine(one, TRUE), STATUS_SUCCESS);
                     removed = true;
                 });
                 LARGE_INTEGER moment{};
                 moment.QuadPart = -10'000;
                 KeDelayExecutionThread(KernelMode, FALSE, &moment);
                 CHECK(!removed);
                 go = true;
                 CHECK(bench.wait_until([&] { return removed.load(); }));
                 inside = {};
             }),
             std::string());
}

TEST(mistakes_with_process_notify_routines) {
    CHECK_EQ(rule_in([](Bench &) { PsSetCreateProcessNotifyRoutine(nullptr, FALSE); }),
             std::string("VER-02 parameter"));
    CHECK_EQ(rule_in([](Bench &bench) {
                 PsSetCreateProcessNotifyRoutine(one, FALSE);
                 inside = [] { PsSetCreateProcessNotifyRoutine(one, TRUE); };
                 uint32_t id = 0;
                 FltSimCreateProcess(bench.world.number, &id);
             }),
             std::string("PROCESS NOTIFY changed by a routine"));
    CHECK_EQ(rule_in([](Bench &bench) {
                 Driver driver(u"one");
                 REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
                 PsSetCreateProcessNotifyRoutine(one, FALSE);
                 bench.unload(driver);
             }),
             std::string("PROCESS NOTIFY routine left"));
    inside = {};
}

} // namespace MINIPEND_TEST_FILE
