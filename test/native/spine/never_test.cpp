// SPDX-License-Identifier: MIT
//
// This module provides: what the hazard table says is never to be held, whatever a rule allows; and what only a rule that names it may hold.

#include <optional>

#include "actions.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t EVERYTHING = MINIPEND_RULE_KERNEL_MODE | MINIPEND_RULE_BOOT_VOLUME | MINIPEND_RULE_PAGING_FILE;

Rule held_for_long(uint64_t operations, uint32_t flags, uint32_t action) {
    Rule rule = rule_of(action, operations);
    rule.flags = flags;
    return rule;
}

} // namespace

/// Volume control by user or kernel, mount and verify: held neither by pending nor by synchronising nor by a gate, with every permission that there is.
SPINE_TEST(volume_control_is_never_held) {
    struct Case {
        UCHAR minor;
        ULONG code;
        bool never;
    };
    constexpr ULONG plain_code = 0x900A8; // FSCTL_GET_REPARSE_POINT
    const Case cases[] = {
        {IRP_MN_USER_FS_REQUEST, FSCTL_LOCK_VOLUME, true},
        {IRP_MN_USER_FS_REQUEST, FSCTL_UNLOCK_VOLUME, true},
        {IRP_MN_USER_FS_REQUEST, FSCTL_DISMOUNT_VOLUME, true},
        {IRP_MN_KERNEL_CALL, FSCTL_LOCK_VOLUME, true},
        {IRP_MN_KERNEL_CALL, FSCTL_DISMOUNT_VOLUME, true},
        {IRP_MN_MOUNT_VOLUME, 0, true},
        {IRP_MN_VERIFY_VOLUME, 0, true},
        {IRP_MN_USER_FS_REQUEST, plain_code, false},
    };
    constexpr auto operation = MINIPEND_OPERATION_FS_CONTROL;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        Neighbour below(world, u"below", BELOW);
        below.driver.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction != IRP_MJ_FILE_SYSTEM_CONTROL) {
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            }
            data->IoStatus.Status = STATUS_SUCCESS;
            data->IoStatus.Information = 0;
            return FLT_PREOP_COMPLETE;
        };
        const Client client;
        const File file = File::create(u"D:\\a");
        for (const uint32_t action : {MINIPEND_ACTION_PEND, MINIPEND_ACTION_WHEN_SAFE, MINIPEND_ACTION_SYNCHRONIZE}) {
            take(client, {held_for_long(bit(operation), EVERYTHING, action)});
            for (const Case &one : cases) {
                const auto before = client.counters_at_rest().total(operation);
                inside(world,
                       [&](fltsim::World &here) { send(here, file, IRP_MJ_FILE_SYSTEM_CONTROL, one.minor, one.code); });
                const auto after = client.counters_at_rest().total(operation);
                CHECK_EQ(after.Refused[MINIPEND_REFUSAL_POLICY] - before.Refused[MINIPEND_REFUSAL_POLICY],
                         one.never ? 1u : 0u);
                CHECK_EQ(after.Pended + after.WhenSafe + after.Synchronized - before.Pended - before.WhenSafe -
                             before.Synchronized,
                         one.never ? 0u : 1u);
            }
        }
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// Each of the three permissions lets through what it names, and nothing else.
SPINE_TEST(what_a_rule_must_name) {
    TestWorld world(executor);
    load_and_attach({u"D:", u"C:"});
    const Client client;
    const auto creates = MINIPEND_OPERATION_CREATE;
    const auto cleanups = MINIPEND_OPERATION_CLEANUP;
    for (const uint32_t flag : {0u, MINIPEND_RULE_KERNEL_MODE, MINIPEND_RULE_BOOT_VOLUME, MINIPEND_RULE_PAGING_FILE}) {
        take(client, {held_for_long(bit(creates) | bit(cleanups), flag, MINIPEND_ACTION_PEND)});
        const auto delta = [&](MINIPEND_OPERATION operation, const auto &act) {
            const auto before = client.counters_at_rest().total(operation);
            act();
            const auto after = client.counters_at_rest().total(operation);
            return std::pair{after.Pended - before.Pended,
                             after.Refused[MINIPEND_REFUSAL_POLICY] - before.Refused[MINIPEND_REFUSAL_POLICY]};
        };
        const auto expected = [&](bool named) { return std::pair<uint64_t, uint64_t>{named ? 1 : 0, named ? 0 : 1}; };
        std::optional<File> file;
        // A cleanup comes in kernel mode.
        CHECK(delta(creates, [&] {
                  file.emplace(u"D:\\",
                               File::Options{.access = FILE_READ_ATTRIBUTES, .flags = FILE_FLAG_BACKUP_SEMANTICS});
              }) == (std::pair<uint64_t, uint64_t>{1, 0}));
        CHECK(delta(cleanups, [&] { file.reset(); }) == expected(flag == MINIPEND_RULE_KERNEL_MODE));
        CHECK(delta(creates, [&] {
                  file.emplace(u"C:\\",
                               File::Options{.access = FILE_READ_ATTRIBUTES, .flags = FILE_FLAG_BACKUP_SEMANTICS});
              }) == expected(flag == MINIPEND_RULE_BOOT_VOLUME));
        file.reset();
    }
    CHECK(client.counters_at_rest().balanced(true));
}

/// Only the opening says that it is one; a filter above plays the memory manager's part.
SPINE_TEST(a_paging_file_is_left_alone) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        Neighbour above(world, u"above", ABOVE);
        above.driver.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                data->Iopb->OperationFlags |= SL_OPEN_PAGING_FILE;
                FltSetCallbackDataDirty(data);
            }
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        const Client client;
        for (const uint32_t flags : {0u, MINIPEND_RULE_PAGING_FILE}) {
            take(client, {held_for_long(bit(MINIPEND_OPERATION_CREATE), flags, MINIPEND_ACTION_PEND)});
            const auto before = client.counters_at_rest().total(MINIPEND_OPERATION_CREATE);
            CHECK(!exists(u"D:\\nothing"));
            const auto after = client.counters_at_rest().total(MINIPEND_OPERATION_CREATE);
            CHECK_EQ(after.Pended - before.Pended, flags == 0 ? 0u : 1u);
            CHECK_EQ(after.Refused[MINIPEND_REFUSAL_POLICY] - before.Refused[MINIPEND_REFUSAL_POLICY],
                     flags == 0 ? 1u : 0u);
        }
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

} // namespace MINIPEND_TEST_FILE
