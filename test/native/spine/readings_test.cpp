// SPDX-License-Identifier: MIT
//
// This module provides: the driver under every reading of the documents (core/readings.inc) that is not the default: the same scenes, and at the end of each world the
// fixture finds nothing held, the counters in balance, nothing leaked, no rule broken.
//
// What a scene may find differs in four readings alone, and each is named where it does.

#include "actions.hpp"
#include "core/readings.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint64_t READS_AND_WRITES = bit(MINIPEND_OPERATION_READ) | bit(MINIPEND_OPERATION_WRITE);

struct Reading {
    std::string name;
    std::string value;
    bool is(const char *other_name, const char *other_value) const {
        return name == other_name && value == other_value;
    }
};

std::vector<Reading> all_readings() {
    std::vector<Reading> all;
    for (const fltsim::ReadingRow &row : fltsim::Readings::rows()) {
        for (size_t i = 1; i < row.count(); ++i) {
            all.push_back({std::string(row.name), std::string(row.values[i])});
        }
    }
    return all;
}

/// A world of this reading with the driver on both kinds of volume.
struct Stage {
    TestWorld world;
    Stage(uint32_t executor, const Reading &reading) : world(executor) {
        char message[1024] = "?";
        CHECK_EQ(FltSimSetReading(world.number(), reading.name.c_str(), reading.value.c_str(), message, sizeof message),
                 0);
        CHECK_EQ(std::string(message), std::string());
        load_and_attach({u"D:", u"E:"});
    }
};

/// Renames, which no reading refuses; then reads and writes, which one does.
void pended_and_refused(const Stage &, const Reading &reading) {
    const Client client;
    Rule reads = rule_of(MINIPEND_ACTION_PEND, READS_AND_WRITES | bit(MINIPEND_OPERATION_FLUSH));
    reads.id = 2;
    take(client, {rule_of(MINIPEND_ACTION_PEND), reads}, 0);
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.write("twelve bytes"), 0u);
    CHECK_EQ(file.flush(), 0u);
    CHECK_EQ(file.seek(0), 0u);
    std::string bytes;
    CHECK_EQ(file.read(&bytes, 64), 0u);
    CHECK_EQ(bytes, std::string("twelve bytes"));
    CHECK_EQ(file.seek(0), 0u);
    CHECK_EQ(file.read(&bytes, 64), 0u); // fast I/O
    CHECK_EQ(read_at_dispatch(3), 0u);
    CHECK_EQ(file.rename(u"D:\\b"), 0u);
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), 0u); // under a top-level IRP
    const Counters counters = client.counters_at_rest();
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 1u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], 1u);
    CHECK(counters.total(MINIPEND_OPERATION_READ).Refused[MINIPEND_REFUSAL_NOT_IRP] != 0u);
    const bool refused = reading.is("read-write-flush", "refused");
    CHECK_EQ(counters.total(MINIPEND_OPERATION_WRITE).Pended != 0u, !refused);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_FLUSH).Pended != 0u, !refused);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_READ).Pended != 0u, !refused);
}

/// A gate, and what a client gives back by itself, with a status of its own or the file system's.
void released_with_a_status(const Stage &stage, const Reading &reading) {
    const Client client;
    take(client, {gate_rule(RENAMES, LONG_MS)});
    auto first = start_rename(stage.world, u"D:\\a", u"D:\\b");
    CHECK_EQ(client.release_one(client.held(1).entries.at(0).HeldId, STATUS_DISK_FULL).Released, 1u);
    CHECK_EQ(first.get(), reading.is("status-changed-by-worker", "ignored") ? 0u : ERROR_DISK_FULL);
    auto second = start_rename(stage.world, u"D:\\c", u"D:\\d");
    client.held(1);
    CHECK_EQ(client.release_set(1).Released, 1u);
    CHECK_EQ(second.get(), 0u);
}

/// What fails without being pended fails under every reading.
void failed_in_the_callback(const Stage &, const Reading &) {
    const Client client;
    Rule synchronised = synchronize(RENAMES);
    synchronised.failStatus = STATUS_DISK_FULL;
    Rule safe = rule_of(MINIPEND_ACTION_WHEN_SAFE, bit(MINIPEND_OPERATION_WRITE));
    safe.failStatus = STATUS_DISK_FULL;
    safe.id = 2;
    take(client, {synchronised, safe}, 0);
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.write("x"), ERROR_DISK_FULL);
    CHECK_EQ(file.rename(u"D:\\b"), ERROR_DISK_FULL);
    CHECK_EQ(File::create(u"E:\\a").rename(u"E:\\b"), ERROR_DISK_FULL);
}

/// Creates that are held, and one that a rule fails: it has to be cancelled in the callback.
void creates(const Stage &, const Reading &reading) {
    const Client client;
    Rule rule = rule_of(MINIPEND_ACTION_PEND, bit(MINIPEND_OPERATION_CREATE));
    rule.delayMs = 5;
    rule.path = u"\\held*";
    Rule failing = rule;
    failing.id = 2;
    failing.path = u"\\failed*";
    failing.failStatus = STATUS_ACCESS_DENIED;
    take(client, {rule, failing}, 0);
    CHECK(File::create(u"D:\\held").is_open());
    CHECK_EQ(File::create(u"D:\\failed").error(), ERROR_ACCESS_DENIED);
    CHECK(exists(u"D:\\held"));
    const Counters counters = client.counters_at_rest();
    const bool refused = reading.is("pended-create", "refused");
    CHECK_EQ(counters.total(MINIPEND_OPERATION_CREATE).Pended != 0u, !refused);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_CREATE).Failed, 1u);
}

/// Detached and unloaded with operations held, queued, and below; with nobody there to release them; and loaded again.
void torn_down(const Stage &stage, const Reading &) {
    for (const bool detach : {true, false}) {
        Client client;
        const uint64_t closes = bit(MINIPEND_OPERATION_CLEANUP) | bit(MINIPEND_OPERATION_CLOSE);
        Rule rule = gate_rule(RENAMES | READS_AND_WRITES | closes, LONG_MS);
        rule.flags = MINIPEND_RULE_KERNEL_MODE;
        take(client, {rule, synchronize_gate(bit(MINIPEND_OPERATION_SET_INFORMATION))});
        const File file = File::create(u"D:\\a");
        std::vector<std::future<DWORD>> waiting;
        for (int i = 0; i < 4; ++i) {
            const std::u16string name =
                (detach ? u"D:\\r" : u"D:\\s") + std::u16string(1, static_cast<char16_t>(u'0' + i));
            waiting.push_back(start_rename(stage.world, name, name + u"x"));
        }
        client.held(3);
        if (detach) {
            CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
        } else {
            client.close();
            CHECK_EQ(FilterUnload(u"minipend"), S_OK);
        }
        for (auto &one : waiting) {
            CHECK_EQ(one.get(), 0u);
        }
        if (detach) {
            take(client, {});
            CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
        }
    }
    load_and_attach({u"D:"});
}

/// One client more than there may be is told what the reading says, and there is room again afterwards.
void too_many_clients(const Stage &, const Reading &reading) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 16; ++i) {
        clients.push_back(std::make_unique<Client>());
    }
    HANDLE port = INVALID_HANDLE_VALUE;
    const DWORD expected = reading.is("connection-limit", "refused")         ? DWORD{1225}
                           : reading.is("connection-limit", "access-denied") ? ERROR_ACCESS_DENIED
                                                                             : ERROR_CONNECTION_COUNT_LIMIT;
    CHECK_EQ(FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port),
             HRESULT_FROM_WIN32(expected));
    clients.pop_back();
    clients.push_back(std::make_unique<Client>());
}

} // namespace

SPINE_TEST(every_reading) {
    using Scene = void (*)(const Stage &, const Reading &);
    for (const Reading &reading : all_readings()) {
        for (const Scene scene : {pended_and_refused, released_with_a_status, failed_in_the_callback, creates,
                                  torn_down, too_many_clients}) {
            const int before = check::failures();
            {
                const Stage stage(executor, reading);
                scene(stage, reading);
            }
            if (check::failures() != before) {
                check::failed(__FILE__, __LINE__, "under " + reading.name + "=" + reading.value);
                return;
            }
        }
    }
}

/// The unload comes at any moment of a deferred routine: nothing but the driver's own rundown protection keeps the image there for it.
TEST(an_unload_at_any_moment_when_nothing_else_protects_the_image) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_WALL, seed);
        CHECK_EQ(FltSimSetReading(world.number(), "deferred-reference", "given-back", nullptr, 0), 0);
        load_and_attach({u"D:"});
        const Client client;
        take(client, {rule_of(MINIPEND_ACTION_PEND)}, 0);
        std::vector<std::future<DWORD>> waiting;
        for (const char16_t *name : {u"D:\\a", u"D:\\b"}) {
            waiting.push_back(start_rename(world, name, name + std::u16string(u"x")));
        }
        CHECK_EQ(FilterUnload(u"minipend"), S_OK);
        for (auto &one : waiting) {
            CHECK_EQ(one.get(), 0u);
        }
    }
}

} // namespace MINIPEND_TEST_FILE
