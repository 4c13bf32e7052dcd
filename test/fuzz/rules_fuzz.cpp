// SPDX-License-Identifier: MIT
//
// This module provides: the fuzz target of the rule compiler and the matcher. An input is one set of rules and one rename. Rules that the driver takes are
// also read by the few lines below, which say in the plainest way what the rename has to be counted as.

#include "port.hpp"
#include "workload.hpp"

using namespace fuzz;

namespace {

constexpr uint32_t MOST_RULES = 8;
constexpr size_t MOST_CANDIDATES = 4; ///< Rules that are kept in mind for one operation (docs/DRIVER.md).
constexpr const char16_t *NAMES[] = {u"\\a", u"\\b.txt", u"\\dir1\\a", u"\\dir1\\ab", u"\\aab.tx", u"\\dir1\\x.txt"};

char16_t upper(char16_t unit) {
    return unit >= u'a' && unit <= u'z' ? static_cast<char16_t>(unit - (u'a' - u'A')) : unit;
}

bool matches(std::u16string_view pattern, std::u16string_view name) {
    if (pattern.empty()) {
        return name.empty();
    }
    if (pattern[0] == u'*') {
        return matches(pattern.substr(1), name) || (!name.empty() && matches(pattern, name.substr(1)));
    }
    return !name.empty() && (pattern[0] == u'?' || upper(pattern[0]) == upper(name[0])) &&
           matches(pattern.substr(1), name.substr(1));
}

struct Read {
    MINIPEND_RULE rule{};
    std::u16string path;
    std::u16string volume;
};

std::vector<Read> read_rules(const Message &message) {
    std::vector<Read> rules(message.as<MINIPEND_SET_RULES_REQUEST>().Count);
    size_t at = sizeof(MINIPEND_SET_RULES_REQUEST);
    for (Read &read : rules) {
        std::memcpy(&read.rule, message.bytes.data() + at, sizeof(read.rule));
        const auto *const texts = message.bytes.data() + at + sizeof(read.rule);
        read.path.resize(read.rule.PathBytes / sizeof(char16_t));
        std::memcpy(read.path.data(), texts, read.rule.PathBytes);
        read.volume.resize(read.rule.VolumeBytes / sizeof(char16_t));
        std::memcpy(read.volume.data(), texts + read.rule.PathBytes, read.rule.VolumeBytes);
        at += read.rule.SizeBytes;
    }
    return rules;
}

bool names(const MINIPEND_RULE &rule, MINIPEND_OPERATION operation) {
    return (rule.Operations >> operation & 1) != 0;
}

/// Letters beyond ASCII and probabilities are not foretold here, nor is which operation is a sampling rule's nth when it also names others: a rename opens
/// the directory it moves to and closes it.
bool foreseeable(const std::vector<Read> &rules) {
    return std::all_of(rules.begin(), rules.end(), [](const Read &read) {
        const auto plain = [](char16_t unit) { return unit < 0x80; };
        return std::all_of(read.path.begin(), read.path.end(), plain) &&
               std::all_of(read.volume.begin(), read.volume.end(), plain) &&
               (read.rule.ProbabilityPpm == 0 || read.rule.ProbabilityPpm == 1'000'000) &&
               ((read.rule.EveryNth <= 1 && read.rule.AtMost == 0) ||
                read.rule.Operations == 1u << MINIPEND_OPERATION_RENAME);
    });
}

bool same_text(std::u16string_view a, std::u16string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char16_t x, char16_t y) { return upper(x) == upper(y); });
}

bool path_fits(const std::u16string &path, std::u16string_view name) {
    if (path.empty()) {
        return true;
    }
    const bool anywhere = path[0] != u'\\' && path[0] != u'*';
    return matches(anywhere ? u"*\\" + path : path, name);
}

/// Of a rename by user-mode code of this process on `volume`, before it is known how it ends.
bool fits(const Read &read, std::u16string_view volume, std::u16string_view from, std::u16string_view to) {
    const uint32_t mode = read.rule.Conditions & (MINIPEND_CONDITION_USER_MODE | MINIPEND_CONDITION_KERNEL_MODE);
    const bool mode_fits = mode == 0 || (mode & MINIPEND_CONDITION_USER_MODE) != 0;
    const bool kind_fits = (read.rule.Conditions & ~mode) == 0; // a rename is no data I/O
    return mode_fits && kind_fits && (read.rule.ProcessId == 0 || read.rule.ProcessId == GetCurrentProcessId()) &&
           (read.volume.empty() || same_text(read.volume, volume)) &&
           (path_fits(read.path, from) || path_fits(read.path, to));
}

bool needs_post(const MINIPEND_RULE &rule) {
    return rule.StatusFilter != MINIPEND_STATUS_FILTER_ANY || rule.EveryNth > 1 || rule.AtMost != 0;
}

/// Of the first operation that it fits, which succeeds.
bool selects(const MINIPEND_RULE &rule) {
    const bool status = rule.StatusFilter != MINIPEND_STATUS_FILTER_FAILURE &&
                        (rule.StatusFilter != MINIPEND_STATUS_FILTER_EXACT || rule.MatchStatus == 0);
    return status && rule.EveryNth <= 1;
}

struct Foretold {
    const MINIPEND_RULE *rule = nullptr; ///< that wins; null: none
    bool synchronized = false; ///< for one that may win the rename waits in its own thread, whichever does
};

Foretold foretell(const std::vector<Read> &rules, std::u16string_view volume, std::u16string_view from,
                  std::u16string_view to) {
    std::vector<const MINIPEND_RULE *> candidates;
    for (const bool gates : {true, false}) {
        for (const Read &read : rules) {
            if (!names(read.rule, MINIPEND_OPERATION_RENAME) || (read.rule.Hold == MINIPEND_HOLD_GATE) != gates ||
                candidates.size() == MOST_CANDIDATES || (!candidates.empty() && !needs_post(*candidates.back())) ||
                !fits(read, volume, from, to)) {
                continue;
            }
            candidates.push_back(&read.rule);
        }
    }
    const auto found = std::find_if(candidates.begin(), candidates.end(),
                                    [](const MINIPEND_RULE *rule) { return !needs_post(*rule) || selects(*rule); });
    const bool synchronized = std::any_of(candidates.begin(), candidates.end(), [](const MINIPEND_RULE *rule) {
        return rule->Action == MINIPEND_ACTION_SYNCHRONIZE;
    });
    return {found == candidates.end() ? nullptr : *found, synchronized};
}

uint64_t count_of(const MINIPEND_OPERATION_COUNTERS &counters, const Foretold &foretold) {
    if (foretold.rule == nullptr) {
        return counters.Unmatched;
    }
    switch (foretold.rule->Action) {
    case MINIPEND_ACTION_OBSERVE:
        return counters.Observed;
    case MINIPEND_ACTION_PEND:
        return foretold.synchronized ? counters.Synchronized : counters.Pended;
    case MINIPEND_ACTION_WHEN_SAFE:
        return counters.WhenSafe;
    default:
        return counters.Synchronized;
    }
}

std::u16string device_of(const char16_t *drive) {
    char16_t device[64];
    require(QueryDosDeviceW(drive, device, std::size(device)) != 0, "the volume has no device");
    return device;
}

void check_rename(fltsim::World &world, const spine::Client &watcher, const std::vector<Read> &rules,
                  const spine::File &file, std::u16string from, std::u16string to) {
    const Foretold foretold = foretell(rules, device_of(u"D:"), from, to);
    const auto before = watcher.counters().total(MINIPEND_OPERATION_RENAME);
    const DWORD error = file.rename(u"D:" + to);
    for (int i = 0; i < 100 && !watcher.counters().balanced(true); ++i) {
        nap(world, 1000);
    }
    const auto after = watcher.counters().total(MINIPEND_OPERATION_RENAME);
    const bool directory_may_fail = std::any_of(rules.begin(), rules.end(), [](const Read &read) {
        return names(read.rule, MINIPEND_OPERATION_CREATE) && read.rule.FailStatus != 0;
    });
    if (error != 0 && directory_may_fail && after.PostOperations == before.PostOperations) {
        return; // the directory to move to could not be opened
    }
    require(after.PostOperations == before.PostOperations + 1, "the rename has no post-operation");
    if (foreseeable(rules)) {
        require(count_of(after, foretold) == count_of(before, foretold) + 1, "another rule won, or none");
        require((error != 0) == (foretold.rule != nullptr && foretold.rule->FailStatus != 0),
                "the rename's status is not the rule's");
    }
}

void run(fltsim::World &world, Bytes &in) {
    make_directories(1);
    const spine::Client watcher;
    const std::u16string from = in.one_of(NAMES);
    const std::u16string to = in.one_of(NAMES);
    const bool renames = in.below(4) != 0 && from != to;
    const uint32_t count = in.below(MOST_RULES + 1);
    Message message = make_rules(in, in.below(2), 0, count);
    if (in.below(4) == 1) {
        message.bytes[in.number<uint16_t>() % message.bytes.size()] = in.u8();
    }
    spine::File file(u"D:" + from, {.disposition = CREATE_ALWAYS});
    {
        Port port;
        Bytes nothing;
        port.send(make_hello(nothing));
        const auto reply = port.send(message);
        if (reply && reply->Status >= 0 && reply->Command == MINIPEND_COMMAND_SET_RULES && renames) {
            check_rename(world, watcher, read_rules(message), file, from, to);
        }
        port.send(release_everything());
    }
    file.mark_deleted();
    file.close();
    check_at_rest(world, watcher);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static SharedWorld &world = *new SharedWorld;
    world.run([&](fltsim::World &here) {
        Bytes in(std::span(data, size));
        run(here, in);
    });
    return 0;
}
