// SPDX-License-Identifier: MIT
//
// This module provides: scenarios in which a step fails: of loading, of attaching, of a connection, of a message, of a match. Each fails with its
// own status, leaves nothing behind (the world's report says so at the end), and the next attempt works.

#include <memory>

#include "inside.hpp"
#include "ke/pool.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

const HRESULT NO_MEMORY = HRESULT_FROM_WIN32(ERROR_NO_SYSTEM_RESOURCES);

struct Fault {
    const char *function;
    uint32_t skip;
    HRESULT answer = NO_MEMORY; ///< of the call that the fault makes fail
};

void arm(const TestWorld &world, const Fault &fault) {
    CHECK_EQ(FltSimSetFault(world.number(), fault.function, fault.skip, 1), 0);
}

/// Whether the switch has failed a call. Switches it off.
bool fired(const TestWorld &world, const Fault &fault) {
    const std::string note = std::string("fault: ") + fault.function + " fails on request";
    CHECK_EQ(FltSimSetFault(world.number(), fault.function, 0, 0), 0);
    return world.report().find(note) != std::string::npos;
}

uint64_t pended_renames(const Client &client) {
    return client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Pended;
}

} // namespace

SPINE_TEST(a_load_that_fails_leaves_nothing) {
    for (const Fault &fault : {
             Fault{"WdfDriverCreate", 0},
             {"WdfLookasideListCreate", 0},
             {"WdfWaitLockCreate", 0},
             {"WdfWaitLockCreate", 1},
             {"WdfSpinLockCreate", 0},
             {"WdfSpinLockCreate", 1},
             {"WdfMemoryCreate", 0},
             {"PsCreateSystemThread", 0},
             {"PsCreateSystemThread", 1},
             {"PsCreateSystemThread", 2}, // the watching one
             {"PsCreateSystemThread", 3}, // the bell's
             {"EtwRegister", 0, HRESULT_FROM_WIN32(ERROR_NOT_ENOUGH_MEMORY)},
             {"FltRegisterFilter", 0},
             {"FltBuildDefaultSecurityDescriptor", 0},
             {"FltCreateCommunicationPort", 0},
             {"FltStartFiltering", 0},
         }) {
        TestWorld world(executor);
        arm(world, fault);
        const HRESULT answer = FilterLoad(u"minipend");
        if (answer != fault.answer) {
            check::failed(__FILE__, __LINE__, std::string(fault.function) + " answers " + check::shown(answer));
        }
        CHECK(fired(world, fault));
        CHECK_EQ(FilterUnload(u"minipend"), static_cast<HRESULT>(0x801F0013));
        load_and_attach({u"D:"});
        const Client client;
        CHECK_EQ(client.set_rules({pend_renames(1)}).Status, STATUS_SUCCESS);
        CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
        CHECK_EQ(pended_renames(client), 1u);
        CHECK_EQ(FilterUnload(u"minipend"), S_OK);
    }
}

/// What loading can do without: the parameters (then the defaults hold), the boot volume (then every volume counts as it).
SPINE_TEST(a_load_does_without_what_it_can) {
    for (const Fault &fault : {Fault{"WdfDriverOpenParametersRegistryKey", 0},
                               {"WdfRegistryQueryULong", 0},
                               {"ObReferenceObjectByHandle", 0},
                               {"FltGetVolumeFromFileObject", 0}}) {
        TestWorld world(executor);
        set_parameter(world, u"MaxHeld", 5);
        arm(world, fault);
        load_and_attach({u"D:"});
        CHECK(fired(world, fault));
        const Client client;
        const bool boot_unknown =
            std::string_view(fault.function).starts_with("Ob") || std::string_view(fault.function).starts_with("Flt");
        CHECK_EQ(client.hello().MaxHeld, boot_unknown ? 5u : 16384u);
        CHECK_EQ((client.counters().instance(1).Flags & MINIPEND_INSTANCE_BOOT_VOLUME) != 0, boot_unknown);
        CHECK_EQ(client.set_rules({pend_renames(0)}).Status, STATUS_SUCCESS);
        CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
        CHECK_EQ(pended_renames(client), boot_unknown ? 0u : 1u);
    }
}

SPINE_TEST(an_attach_that_fails_leaves_nothing) {
    TestWorld world(executor);
    load_and_attach({});
    for (const Fault &fault : {Fault{"FltAllocateContext", 0},
                               {"FltGetVolumeName", 0},
                               {"WdfMemoryCreate", 0},
                               {"FltSetInstanceContext", 0, static_cast<HRESULT>(0x801F000B)}}) {
        arm(world, fault);
        CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), fault.answer);
        CHECK(fired(world, fault));
        CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), static_cast<HRESULT>(0x801F0015));
    }
    const Client client;
    CHECK_EQ(client.counters().head().InstanceCount, 1u);
    // The texts are for people only.
    arm(world, {"FltGetInstanceInformation", 0});
    CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
    CHECK_EQ(client.counters().instance(1).Altitude[0], 0u);
    CHECK(client.counters().instance(1).Volume[0] != 0);
}

SPINE_TEST(a_connection_that_fails_leaves_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    for (const uint32_t skip : {0u, 1u}) {
        HANDLE port = nullptr;
        arm(world, {"WdfMemoryCreate", skip});
        CHECK_EQ(FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port), NO_MEMORY);
    }
    // The protocol has no connection context.
    const std::vector<char> context(0xFFFF, 'x');
    for (const WORD bytes : {WORD{1}, WORD{0xFFFF}}) {
        HANDLE port = nullptr;
        CHECK_EQ(FilterConnectCommunicationPort(u"\\MinipendPort", 0, context.data(), bytes, nullptr, &port),
                 HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER));
    }
    CHECK_EQ(watcher.counters().head().ConnectionCount, 1u);
    // Sixteen at once, and the place of one that left is free.
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 15; ++i) {
        clients.push_back(std::make_unique<Client>());
        CHECK_EQ(clients.back()->set_rules({pend_renames(0)}).Status, STATUS_SUCCESS);
    }
    HANDLE port = nullptr;
    CHECK_EQ(FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port),
             HRESULT_FROM_WIN32(ERROR_CONNECTION_COUNT_LIMIT));
    clients.erase(clients.begin() + 7);
    CHECK_EQ(Client().counters().head().ConnectionCount, 16u);
}

SPINE_TEST(rules_that_find_no_memory_change_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend_renames(0)}).Status, STATUS_SUCCESS);
    const uint64_t generation = client.counters().head().RuleGeneration;
    std::vector<uint64_t> message(sizeof(MINIPEND_SET_RULES_REQUEST) / 8);
    message[0] = sizeof(MINIPEND_SET_RULES_REQUEST) | uint64_t{MINIPEND_PROTOCOL_VERSION} << 32 |
                 uint64_t{MINIPEND_COMMAND_SET_RULES} << 48;
    std::vector<uint64_t> reply(16);
    arm(world, {"WdfMemoryCreate", 0}); // the capture
    CHECK_EQ(send_raw(client.port(), message, sizeof(MINIPEND_SET_RULES_REQUEST), &reply), NO_MEMORY);
    for (const uint32_t skip : {1u, 2u}) { // the set, the table
        arm(world, {"WdfMemoryCreate", skip});
        const MINIPEND_REPLY_HEADER head = client.set_rules({});
        CHECK_EQ(head.Status, STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(head.Detail, static_cast<uint32_t>(MINIPEND_DETAIL_MEMORY));
    }
    CHECK_EQ(client.counters().head().RuleGeneration, generation);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(pended_renames(client), 1u);
}

/// Where no name is to be had a rule with a path does not match, and that is counted; where it only cannot be kept it does.
SPINE_TEST(names_that_are_not_to_be_had) {
    struct Case {
        Fault fault;
        bool matches;
    };
    for (const auto &[fault, matches] :
         {Case{{"FltGetFileNameInformation", 0}, false}, Case{{"FltParseFileNameInformation", 0}, false},
          Case{{"FltAllocateContext", 0}, true}, Case{{"FltSetStreamHandleContext", 0}, true}}) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client client;
        CHECK_EQ(client.set_rules({pend_renames(0, u"a")}).Status, STATUS_SUCCESS);
        const File file = File::create(u"D:\\a");
        arm(world, fault);
        CHECK_EQ(file.rename(u"D:\\b"), 0u);
        CHECK(fired(world, fault));
        CHECK_EQ(file.rename(u"D:\\c"), 0u); // was \b: no match, by name
        CHECK_EQ(file.rename(u"D:\\a"), 0u); // by its target
        const auto renames = client.counters_at_rest().total(MINIPEND_OPERATION_RENAME);
        CHECK_EQ(renames.Pended, matches ? 2u : 1u);
        CHECK_EQ(renames.Unmatched, matches ? 1u : 2u);
        CHECK_EQ(renames.NameUnavailable, matches ? 0u : 1u);
    }
}

/// Case does not count; a pattern without a leading backslash matches at any depth, in whole components from its start on.
SPINE_TEST(patterns) {
    const struct {
        const char16_t *pattern;
        uint64_t matches; ///< of \a.txt, \dir\a.txt, \dir\xa.txt
    } expected[] = {
        {u"*", 3},      {u"\\*", 3},       {u"\\A.TXT", 1},    {u"a.txt", 2},    {u"?a.txt", 1},
        {u"dir\\*", 2}, {u"\\dir\\*", 2},  {u"\\dir\\a.*", 1}, {u"*a.txt", 3},   {u"*\\a.t?t", 2},
        {u"*.doc", 0},  {u"ir\\a.txt", 0}, {u"\\*\\a.txt", 1}, {u"*dir*t*t", 2}, {u"\\", 0},
    };
    for (const auto &[pattern, matches] : expected) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        CHECK(CreateDirectoryW(u"D:\\dir", nullptr) != FALSE);
        const Client client;
        CHECK_EQ(client.set_rules({pend_renames(0, pattern)}).Status, STATUS_SUCCESS);
        CHECK_EQ(File::create(u"D:\\a.txt").rename(u"D:\\1"), 0u);
        CHECK_EQ(File::create(u"D:\\dir\\a.txt").rename(u"D:\\2"), 0u);
        CHECK_EQ(File::create(u"D:\\dir\\xa.txt").rename(u"D:\\3"), 0u);
        if (const uint64_t pended = pended_renames(client); pended != matches) {
            std::string text;
            for (const char16_t *at = pattern; *at != 0; ++at) {
                text += static_cast<char>(*at);
            }
            check::failed(__FILE__, __LINE__, text + " matches " + std::to_string(pended));
        }
    }
}

/// Of one connection's rules the first that fits decides; a second connection's come after those of the one that set rules first.
SPINE_TEST(the_first_rule_that_fits_decides) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const auto observe = [](std::u16string path) {
        Rule rule = pend_renames(0, std::move(path));
        rule.action = MINIPEND_ACTION_OBSERVE;
        return rule;
    };
    const Client oldest;
    const Client newest;
    CHECK_EQ(oldest
                 .set_rules({observe(u"\\x"), observe(u"\\a"), pend_renames(0, u"\\a"), pend_renames(0, u"\\b"),
                             observe(u"\\b")})
                 .Status,
             STATUS_SUCCESS);
    const File file = File::create(u"D:\\a");
    const auto renames = [&] { return newest.counters_at_rest().total(MINIPEND_OPERATION_RENAME); };
    CHECK_EQ(file.rename(u"D:\\b"), 0u);
    CHECK_EQ(renames().Observed, 1u);
    CHECK_EQ(file.rename(u"D:\\c"), 0u);
    CHECK_EQ(renames().Pended, 1u);
    CHECK_EQ(file.rename(u"D:\\d"), 0u);
    CHECK_EQ(renames().Unmatched, 1u);
    CHECK_EQ(file.rename(u"D:\\e"), 0u);
    CHECK_EQ(renames().Unmatched, 2u);
    // What the one leaves over the other gets.
    CHECK_EQ(newest.set_rules({observe(u"\\e"), pend_renames(0)}).Status, STATUS_SUCCESS);
    CHECK_EQ(file.rename(u"D:\\f"), 0u);
    CHECK_EQ(renames().Observed, 2u);
    CHECK_EQ(file.rename(u"D:\\c"), 0u);
    CHECK_EQ(renames().Pended, 2u);
    CHECK_EQ(file.rename(u"D:\\d"), 0u);
    CHECK_EQ(renames().Pended, 3u);
}

/// The name is kept for the handle; a rename through another one makes it stale.
SPINE_TEST(a_kept_name_does_not_outlive_a_rename) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    CHECK(CreateDirectoryW(u"D:\\old", nullptr) != FALSE);
    const Client client;
    Rule rule;
    rule.operations = bit(MINIPEND_OPERATION_FLUSH);
    rule.path = u"\\old\\*";
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    const File file = File::create(u"D:\\old\\a");
    const File other = File::open(u"D:\\old\\a");
    CHECK_EQ(file.flush(), 0u);
    CHECK_EQ(file.flush(), 0u);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_FLUSH).Pended, 2u);
    CHECK_EQ(other.rename(u"D:\\b"), 0u);
    CHECK_EQ(file.flush(), 0u);
    const auto flushes = client.counters_at_rest().total(MINIPEND_OPERATION_FLUSH);
    CHECK_EQ(flushes.Pended, 2u);
    CHECK_EQ(flushes.Unmatched, 1u);
}

/// What is replaced, given back or left behind is freed then, and not only when the driver is unloaded.
SPINE_TEST(nothing_grows_while_the_driver_stays_loaded) {
    constexpr int rounds = 20;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    const File file = File::create(u"D:\\a");
    const auto live_blocks = [&] {
        size_t blocks = 0;
        inside(world, [&](fltsim::World &) {
            const fltsim::KernelCall call("ExAllocatePoolWithTag");
            blocks = fltsim::pool::live_blocks();
        });
        return blocks;
    };
    size_t before = 0;
    for (int i = 0; i < rounds; ++i) {
        {
            const Client client(GetCurrentThreadId() + 1); // no thread of that number
            CHECK_EQ(client.subscribe().Header.Status, STATUS_SUCCESS);
            CHECK_EQ(client.subscribe(1, 0, MINIPEND_MAX_EVENT_RING).Header.Status, STATUS_SUCCESS);
            CHECK_EQ(client.set_rules({pend_renames(0, u"a"), pend_renames(1)}).Status, STATUS_SUCCESS);
            CHECK_EQ(client.set_rules({pend_renames(0, u"\\a")}).Status, STATUS_SUCCESS);
            CHECK_EQ(file.rename(u"D:\\b"), 0u);
            CHECK_EQ(file.rename(u"D:\\a"), 0u);
            CHECK_EQ(client.set_rules({pend_renames(0), Rule{}}).Status, STATUS_INVALID_PARAMETER);
            CHECK(client.counters_at_rest().balanced(true));
        }
        CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
        CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
        CHECK(watcher.counters_at_rest().balanced(true));
        if (i == 0) {
            before = live_blocks();
        }
    }
    // A record is freed just after its requestor went on: so those of the first round may have been counted, too.
    CHECK(eventually([&] { return live_blocks() <= before; }));
}

} // namespace MINIPEND_TEST_FILE
