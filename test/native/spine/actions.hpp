// SPDX-License-Identifier: MIT
//
// This module provides: what the tests of the actions share (synchronize_test.cpp, actions_test.cpp).
#pragma once

#include "inside.hpp"

namespace spine {

constexpr uint64_t MS_100NS = 10'000;
constexpr DWORD PAGE = 4096;

inline Rule rule_of(uint32_t action, uint64_t operations = RENAMES) {
    Rule rule;
    rule.action = action;
    rule.operations = operations;
    return rule;
}

inline Rule synchronize(uint64_t operations, uint32_t delay_ms = 0) {
    Rule rule = rule_of(MINIPEND_ACTION_SYNCHRONIZE, operations);
    rule.delayMs = delay_ms;
    return rule;
}

inline Rule synchronize_gate(uint64_t operations = RENAMES) {
    Rule rule = gate_rule(operations, LONG_MS);
    rule.action = MINIPEND_ACTION_SYNCHRONIZE;
    return rule;
}

inline std::future<DWORD> start_rename(const TestWorld &world, std::u16string from, std::u16string to) {
    return world.start([from = std::move(from), to = std::move(to)] { return File::create(from).rename(to); });
}

/// An operation of which the user side has no call, sent to D: as the I/O manager would, until it has ended.
inline void send(fltsim::World &here, const File &file, UCHAR major, UCHAR minor, ULONG code = 0, UCHAR flags = 0) {
    const fltsim::KernelCall call("NtFsControlFile", PASSIVE_LEVEL);
    auto operation = std::make_shared<fltsim::io::Operation>();
    operation->major = major;
    operation->minor = minor;
    operation->operation_flags = flags;
    operation->file = here.handles->find_as<fltsim::io::FileObject>(file.handle());
    operation->volume = operation->file->volume;
    operation->requestor = &fltsim::current_thread();
    operation->parameters.FileSystemControl.Common.FsControlCode = code;
    here.flt->call(operation);
    here.block(operation.get(), [&] { return operation->state == fltsim::io::Operation::State::Completed; });
}

/// Kind and cause of each event so far.
inline std::vector<std::pair<uint32_t, uint32_t>> events_of(const Client &client) {
    std::vector<std::pair<uint32_t, uint32_t>> found;
    for (const MINIPEND_EVENT &event : client.pull(0).events) {
        found.emplace_back(event.Kind, event.Cause);
    }
    return found;
}

using Kinds = std::vector<std::pair<uint32_t, uint32_t>>;

inline Kinds held_until(uint32_t cause) {
    return {{MINIPEND_EVENT_KIND_TAKEN, 0},
            {MINIPEND_EVENT_KIND_PARKED, 0},
            {MINIPEND_EVENT_KIND_RELEASED, cause},
            {MINIPEND_EVENT_KIND_COMPLETED, cause}};
}

/// Reads of an uncached file through an overlapped handle: they end in the storage's DPC, at DISPATCH_LEVEL.
inline uint64_t read_at_dispatch(DWORD count, const std::u16string &name = u"D:\\big") {
    alignas(PAGE) static char buffer[PAGE];
    CHECK_EQ(File::create(name).write(std::string(PAGE, 'x')), 0u);
    const File file(name, {.access = GENERIC_READ, .flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING});
    std::vector<OVERLAPPED> overlapped(count);
    uint64_t failed = 0;
    for (OVERLAPPED &one : overlapped) {
        ReadFile(file.handle(), buffer, PAGE, nullptr, &one);
    }
    for (OVERLAPPED &one : overlapped) {
        DWORD bytes = 0;
        if (GetOverlappedResult(file.handle(), &one, &bytes, TRUE) == FALSE) {
            failed++;
        } else {
            CHECK_EQ(bytes, PAGE);
        }
    }
    return failed;
}

} // namespace spine
