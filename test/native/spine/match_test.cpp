// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of matching: each condition of a rule alone and several together, the order in which rules are asked, and
// status filters. Which rule won is read from the failure that it gives the operation. Sampling: sampling_test.cpp.

#include <cstring>

#include <fltsim_nt.h>

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr NTSTATUS FIRST = STATUS_DISK_FULL;
constexpr NTSTATUS SECOND = STATUS_SHARING_VIOLATION;
constexpr NTSTATUS THIRD = STATUS_FILE_LOCK_CONFLICT;
constexpr DWORD BY_FIRST = ERROR_DISK_FULL;
constexpr DWORD BY_SECOND = ERROR_SHARING_VIOLATION;
constexpr DWORD BY_THIRD = ERROR_LOCK_VIOLATION;

constexpr uint64_t FLUSHES = bit(MINIPEND_OPERATION_FLUSH);

Rule failing(uint64_t operations, NTSTATUS status, std::u16string path = u"") {
    Rule rule;
    rule.operations = operations;
    rule.failStatus = status;
    rule.path = std::move(path);
    return rule;
}

template <class F> Rule changed(Rule rule, F &&change) {
    change(rule);
    return rule;
}

Rule observe(uint64_t operations, uint32_t conditions) {
    Rule rule;
    rule.operations = operations;
    rule.action = MINIPEND_ACTION_OBSERVE;
    rule.conditions = conditions;
    return rule;
}

/// What Rule does to one flush.
DWORD flush_under(const Client &client, const File &file, const Rule &rule) {
    take(client, {rule});
    return file.flush();
}

} // namespace

SPINE_TEST(each_condition_alone_and_together) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\Some.Thing");
    const uint32_t process = GetCurrentProcessId();
    const Rule plain = failing(FLUSHES, FIRST);
    const Rule all = changed(plain, [&](Rule &r) {
        r.volume = u"\\device\\harddiskvolume2";
        r.path = u"\\some.*";
        r.processId = process;
        r.conditions = MINIPEND_CONDITION_USER_MODE;
    });
    CHECK_EQ(flush_under(client, file, plain), BY_FIRST);
    CHECK_EQ(flush_under(client, file, all), BY_FIRST);
    CHECK_EQ(flush_under(client, file, failing(RENAMES, FIRST)), 0u);
    const struct {
        Rule rule;
        bool fits;
    } cases[] = {
        {changed(plain, [](Rule &r) { r.volume = u"\\Device\\HarddiskVolume2"; }), true},
        {changed(plain, [](Rule &r) { r.volume = u"\\Device\\HarddiskVolume1"; }), false},
        {changed(plain, [](Rule &r) { r.volume = u"\\Device\\HarddiskVolume"; }), false},
        {changed(plain, [](Rule &r) { r.path = u"SOME.thing"; }), true},
        {changed(plain, [](Rule &r) { r.path = u"\\some.thin"; }), false},
        {changed(plain, [&](Rule &r) { r.processId = process; }), true},
        {changed(plain, [&](Rule &r) { r.processId = process + 4; }), false},
        {changed(plain, [](Rule &r) { r.conditions = MINIPEND_CONDITION_USER_MODE; }), true},
        {changed(plain, [](Rule &r) { r.conditions = MINIPEND_CONDITION_KERNEL_MODE; }), false},
        {changed(plain, [](Rule &r) { r.conditions = MINIPEND_CONDITION_KERNEL_MODE | MINIPEND_CONDITION_USER_MODE; }),
         true},
        // A flush is no data I/O: it has no kind.
        {changed(plain, [](Rule &r) { r.conditions = MINIPEND_CONDITION_CACHED; }), false},
        {changed(all, [](Rule &r) { r.volume = u"\\Device\\HarddiskVolume3"; }), false},
        {changed(all, [](Rule &r) { r.path = u"\\other.*"; }), false},
        {changed(all, [&](Rule &r) { r.processId = process + 4; }), false},
        {changed(all, [](Rule &r) { r.conditions = MINIPEND_CONDITION_KERNEL_MODE; }), false},
    };
    uint64_t fitted = 2;
    for (const auto &[rule, fits] : cases) {
        CHECK_EQ(flush_under(client, file, rule), fits ? BY_FIRST : 0u);
        fitted += fits ? 1 : 0;
    }
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto flushes = counters.total(MINIPEND_OPERATION_FLUSH);
    CHECK_EQ(flushes.Pended, fitted);
    CHECK_EQ(flushes.Unmatched, flushes.PostOperations - fitted);
    CHECK_EQ(flushes.NameUnavailable, 0u);
}

SPINE_TEST(data_has_a_kind) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    constexpr auto writes = MINIPEND_OPERATION_WRITE;
    const auto observed_of = [&](uint32_t conditions, const auto &body) {
        take(client, {observe(bit(writes) | FLUSHES, conditions)});
        const auto before = client.counters_at_rest().total(writes);
        body();
        const auto after = client.counters_at_rest().total(writes);
        return std::pair{after.Observed - before.Observed, after.PostOperations - before.PostOperations};
    };
    const File cached = File::create(u"D:\\cached");
    const File direct = File::create(u"D:\\direct", FILE_FLAG_NO_BUFFERING);
    const std::string page(4096, 'x');
    // The first comes as an IRP and starts the caching, the second as fast I/O.
    const auto write_cached = [&] { CHECK(cached.write("1") == 0 && cached.write("2") == 0); };
    const auto write_direct = [&] { CHECK(direct.write(page) == 0); };
    const auto flush = [&] {
        CHECK(cached.write("3") == 0);
        CHECK(cached.flush() == 0);
    };
    CHECK_EQ(observed_of(MINIPEND_CONDITION_CACHED, write_cached).first, 2u);
    CHECK_EQ(observed_of(MINIPEND_CONDITION_NON_CACHED, write_cached).first, 0u);
    CHECK_EQ(observed_of(MINIPEND_CONDITION_NON_CACHED, write_direct).first, 1u);
    CHECK_EQ(observed_of(MINIPEND_CONDITION_CACHED | MINIPEND_CONDITION_PAGING, write_direct).first, 0u);
    CHECK(observed_of(MINIPEND_CONDITION_PAGING, flush).first >= 1);
    CHECK_EQ(observed_of(MINIPEND_CONDITION_CACHED, flush).first, 1u);
    CHECK_EQ(observed_of(MINIPEND_CONDITION_NON_CACHED, flush).first, 0u); // paging is a kind of its own
    const auto [seen, came] =
        observed_of(MINIPEND_CONDITION_PAGING | MINIPEND_CONDITION_CACHED | MINIPEND_CONDITION_NON_CACHED, flush);
    CHECK_EQ(seen, came);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_FLUSH).Observed, 0u);
}

SPINE_TEST(closes_come_in_kernel_mode) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    constexpr auto close = MINIPEND_OPERATION_CLOSE;
    take(client, {observe(bit(close), MINIPEND_CONDITION_USER_MODE)});
    CHECK(File::create(u"D:\\a").close());
    CHECK_EQ(client.counters_at_rest().total(close).Observed, 0u);
    take(client, {observe(bit(close), MINIPEND_CONDITION_KERNEL_MODE)});
    CHECK(File::open(u"D:\\a").close());
    CHECK_EQ(client.counters_at_rest().total(close).Observed, 1u);
}

/// After its cleanup a file has no name that could be asked for [NAME-02]: what was kept before is used, or it has none.
SPINE_TEST(a_close_has_the_name_that_was_kept) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    constexpr auto close = MINIPEND_OPERATION_CLOSE;
    Rule rule = observe(bit(close), 0);
    rule.path = u"\\a";
    take(client, {rule});
    CHECK(File::create(u"D:\\a").close());
    auto closes = client.counters_at_rest().total(close);
    CHECK_EQ(closes.Observed, 0u);
    CHECK_EQ(closes.NameUnavailable, 1u);
    rule.operations |= bit(MINIPEND_OPERATION_CLEANUP);
    take(client, {rule});
    CHECK(File::open(u"D:\\a").close());
    closes = client.counters_at_rest().total(close);
    CHECK_EQ(closes.Observed, 1u);
    CHECK_EQ(closes.NameUnavailable, 1u);
}

SPINE_TEST(a_rename_matches_by_either_name) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    take(client, {failing(RENAMES, FIRST, u"\\other"), failing(RENAMES, SECOND, u"*.new")});
    // The failure is the rule's; the rename has happened all the same.
    CHECK_EQ(file.rename(u"D:\\B.New"), BY_SECOND); // target
    CHECK_EQ(file.rename(u"D:\\c"), BY_SECOND); // source
    CHECK_EQ(file.rename(u"D:\\d"), 0u);
    CHECK_EQ(file.rename(u"D:\\Other"), BY_FIRST);
    CHECK(exists(u"D:\\other"));
    CHECK_EQ(file.rename(u"D:\\e.new"), BY_FIRST); // its source fits the first rule
    // Of other operations there is only the one name.
    take(client, {failing(FLUSHES, FIRST, u"\\other")});
    CHECK_EQ(file.flush(), 0u);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).NameUnavailable, 0u);

    // A target that cannot be had does not match; it is asked for once, and counted once.
    take(client, {failing(RENAMES, FIRST, u"\\y"), failing(RENAMES, FIRST, u"\\x")});
    CHECK_EQ(FltSimSetFault(world.number(), "FltGetDestinationFileNameInformation", 0, 1), 0);
    CHECK_EQ(file.rename(u"D:\\x"), 0u);
    CHECK_EQ(FltSimSetFault(world.number(), "FltGetDestinationFileNameInformation", 0, 0), 0);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).NameUnavailable, 1u);
    CHECK_EQ(file.rename(u"D:\\y"), BY_FIRST);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).NameUnavailable, 1u);
}

SPINE_TEST(a_link_matches_by_either_name) {
    constexpr uint64_t LINKS = bit(MINIPEND_OPERATION_LINK);
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    take(client, {failing(LINKS, FIRST, u"\\a"), failing(LINKS, SECOND, u"*.new")});
    const auto link = [](const char16_t *from, const std::u16string &to) {
        std::vector<uint64_t> words(sizeof(FILE_LINK_INFORMATION) / 8 + to.size());
        auto *const information = reinterpret_cast<FILE_LINK_INFORMATION *>(words.data());
        information->FileNameLength = static_cast<ULONG>(to.size() * sizeof(WCHAR));
        std::memcpy(reinterpret_cast<uint8_t *>(words.data()) + offsetof(FILE_LINK_INFORMATION, FileName), to.data(),
                    information->FileNameLength);
        IO_STATUS_BLOCK iosb{};
        return NtSetInformationFile(File::open(from).handle(), &iosb, words.data(),
                                    static_cast<ULONG>(words.size() * 8), FileLinkInformation);
    };
    CHECK_EQ(link(u"D:\\a", u"b"), FIRST); // what is linked; the link is there all the same
    CHECK_EQ(link(u"D:\\b", u"c.New"), SECOND); // the new link
    CHECK_EQ(link(u"D:\\b", u"d"), STATUS_SUCCESS);
    CHECK(exists(u"D:\\c.new"));
    CHECK(client.counters_at_rest().balanced(true));
}

/// A name is matched without regard to case and shown as it is.
SPINE_TEST(a_held_operation_shows_its_name) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK(File::create(u"D:\\MiXed.Txt").is_open());
    Rule rule = gate_rule(FLUSHES, LONG_MS);
    take(client, {rule}, 1);
    const auto held_name = [&] {
        auto flushing = world.start([] { return File::open(u"D:\\mixed.txt").flush(); });
        const HeldList list = client.held(1);
        const MINIPEND_HELD_ENTRY &entry = list.entries.front();
        CHECK_EQ(client.release_one(entry.HeldId).Header.Status, STATUS_SUCCESS);
        CHECK_EQ(flushing.get(), 0u);
        return name_of(entry.Name, entry.NameChars);
    };
    CHECK(held_name().empty()); // nobody asked for it
    rule.flags = MINIPEND_RULE_NAME;
    take(client, {rule}, 1);
    CHECK(held_name() == u"\\MiXed.Txt");
    rule.flags = 0;
    rule.path = u"MIXED.TXT";
    take(client, {rule}, 1);
    CHECK(held_name() == u"\\MiXed.Txt");
}

SPINE_TEST(gates_before_rules_and_first_before_later) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const File file = File::create(u"D:\\a");
    const Client older;
    const Client newer;
    const auto gate = [](NTSTATUS status) {
        Rule rule = gate_rule(FLUSHES, 1); // its deadline ends it
        rule.failStatus = status;
        return rule;
    };
    // Within a set, the first that fits.
    take(older, {failing(FLUSHES, SECOND, u"\\b"), failing(FLUSHES, FIRST, u"\\a"), failing(FLUSHES, SECOND)});
    CHECK_EQ(file.flush(), BY_FIRST);
    // Of connections, the one whose set came first, also after it was replaced.
    take(newer, {failing(FLUSHES, SECOND)});
    CHECK_EQ(file.flush(), BY_FIRST);
    take(older, {failing(FLUSHES, THIRD)});
    CHECK_EQ(file.flush(), BY_THIRD);
    // Removed and set again, it is the latest.
    take(older, {});
    CHECK_EQ(file.flush(), BY_SECOND);
    take(older, {failing(FLUSHES, FIRST)});
    CHECK_EQ(file.flush(), BY_SECOND);
    // A gate goes before the rules of all connections, whenever it came; of two gates, the first.
    take(older, {gate(THIRD)}, 7);
    CHECK_EQ(file.flush(), BY_THIRD);
    take(newer, {gate(FIRST)}, 3);
    CHECK_EQ(file.flush(), BY_THIRD);
    take(older, {}, 7);
    CHECK_EQ(file.flush(), BY_FIRST);
    // Also inside one set, and only for what it fits.
    take(newer, {}, 3);
    Rule elsewhere = gate(THIRD);
    elsewhere.path = u"\\b";
    take(newer, {failing(FLUSHES, SECOND), elsewhere, gate(FIRST)});
    CHECK_EQ(file.flush(), BY_FIRST);
    take(newer, {failing(FLUSHES, SECOND), elsewhere});
    CHECK_EQ(file.flush(), BY_SECOND);
    CHECK(older.counters_at_rest().balanced(true));
}

SPINE_TEST(a_status_filter_is_asked_afterwards) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK(File::create(u"D:\\taken").is_open());
    const File file = File::create(u"D:\\a");
    const auto filtered = [](uint32_t filter, NTSTATUS status, NTSTATUS match = 0) {
        return changed(failing(RENAMES, status), [&](Rule &r) { r.statusFilter = filter, r.matchStatus = match; });
    };
    const auto collide = [&] { return file.rename(u"D:\\taken"); };
    int renames = 0;
    const auto succeed = [&] { return file.rename(renames++ % 2 == 0 ? u"D:\\b" : u"D:\\a"); };
    const DWORD collision = ERROR_ALREADY_EXISTS;
    CHECK_EQ(collide(), collision);

    take(client, {filtered(MINIPEND_STATUS_FILTER_FAILURE, FIRST), filtered(MINIPEND_STATUS_FILTER_SUCCESS, SECOND)});
    CHECK_EQ(collide(), BY_FIRST);
    CHECK_EQ(succeed(), BY_SECOND);
    take(client, {filtered(MINIPEND_STATUS_FILTER_EXACT, FIRST, STATUS_ACCESS_DENIED),
                  filtered(MINIPEND_STATUS_FILTER_EXACT, SECOND, STATUS_OBJECT_NAME_COLLISION),
                  filtered(MINIPEND_STATUS_FILTER_EXACT, THIRD, STATUS_SUCCESS)});
    CHECK_EQ(collide(), BY_SECOND);
    CHECK_EQ(succeed(), BY_THIRD);
    const uint64_t unmatched = client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Unmatched;
    take(client, {filtered(MINIPEND_STATUS_FILTER_FAILURE, FIRST)});
    CHECK_EQ(succeed(), 0u);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Unmatched, unmatched + 1);
    // The first rule without a filter ends the list; an observing one counts.
    Rule observing = filtered(MINIPEND_STATUS_FILTER_SUCCESS, 0);
    observing.action = MINIPEND_ACTION_OBSERVE;
    take(client, {observing, failing(RENAMES, SECOND), failing(RENAMES, THIRD)});
    CHECK_EQ(succeed(), 0u);
    CHECK_EQ(collide(), BY_SECOND);
    Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Observed, 1u);
    // So many undecided rules are asked and no more, whatever comes behind them.
    std::vector<Rule> rules(3, filtered(MINIPEND_STATUS_FILTER_FAILURE, FIRST));
    rules.push_back(failing(RENAMES, SECOND));
    take(client, rules);
    CHECK_EQ(succeed(), BY_SECOND);
    rules.insert(rules.begin(), rules.front());
    take(client, rules);
    CHECK_EQ(succeed(), 0u);
    counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
}

} // namespace MINIPEND_TEST_FILE
