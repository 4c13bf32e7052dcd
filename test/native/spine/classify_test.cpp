// SPDX-License-Identifier: MIT
//
// This module provides: set-information requests that are counted as an operation of their own, by the class that the driver sees; and operations that only the
// kernel sends.

#include "spine.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

SPINE_TEST(set_information_is_told_apart_by_its_class) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    const auto posts = [&](MINIPEND_OPERATION operation) {
        return client.counters_at_rest().total(operation).PostOperations;
    };
    FILE_ALLOCATION_INFO allocation{};
    allocation.AllocationSize.QuadPart = 4096;
    CHECK(SetFileInformationByHandle(file.handle(), FileAllocationInfo, &allocation, sizeof(allocation)) != FALSE);
    CHECK_EQ(posts(MINIPEND_OPERATION_SET_ALLOCATION), 1u);
    FILE_DISPOSITION_INFO_EX deletion{FILE_DISPOSITION_FLAG_DELETE};
    CHECK(SetFileInformationByHandle(file.handle(), FileDispositionInfoEx, &deletion, sizeof(deletion)) != FALSE);
    CHECK_EQ(posts(MINIPEND_OPERATION_DELETE), 1u);
    CHECK_EQ(file.mark_deleted(), 0u);
    CHECK_EQ(posts(MINIPEND_OPERATION_DELETE), 2u);
    CHECK_EQ(posts(MINIPEND_OPERATION_SET_INFORMATION), 0u);
}

/// The mapped page writer's brackets and a file server's MDL calls: seen and counted, never pended.
SPINE_TEST(what_only_the_kernel_sends) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.write(std::string(4096, 'x')), 0u);
    CHECK_EQ(file.flush(), 0u);
    Rule rule;
    rule.operations = bit(MINIPEND_OPERATION_MOD_WRITE) | bit(MINIPEND_OPERATION_MDL_IO);
    rule.flags = MINIPEND_RULE_KERNEL_MODE;
    for (const uint32_t action : {MINIPEND_ACTION_OBSERVE, MINIPEND_ACTION_PEND}) {
        const bool observe = action == MINIPEND_ACTION_OBSERVE;
        rule.action = action;
        rule.queue = observe ? MINIPEND_QUEUE_NONE : MINIPEND_QUEUE_DELAYED;
        CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
        const Counters before = client.counters_at_rest();
        const HANDLE section = CreateFileMappingW(file.handle(), nullptr, PAGE_READWRITE, 0, 0, nullptr);
        auto *const view = static_cast<char *>(MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0));
        need(view != nullptr, "a view");
        view[0] = observe ? 'y' : 'z';
        CHECK_EQ(FltSimWriteMappedPages(world.number()), 0);
        char buffer[4];
        int32_t status = 1;
        uint32_t bytes = 0;
        CHECK_EQ(FltSimServerTransfer(world.number(), file.handle(), 0, 0, buffer, sizeof(buffer), &bytes, &status), 0);
        CHECK_EQ(status, STATUS_SUCCESS);
        CHECK_EQ(bytes, sizeof(buffer));
        CHECK(UnmapViewOfFile(view) != FALSE && CloseHandle(section) != FALSE);
        for (const MINIPEND_OPERATION operation : {MINIPEND_OPERATION_MOD_WRITE, MINIPEND_OPERATION_MDL_IO}) {
            const auto was = before.total(operation);
            CHECK(eventually(
                [&] { return client.counters().total(operation).PostOperations >= was.PostOperations + 2; }));
            const auto now = client.counters_at_rest().total(operation);
            const uint64_t came = now.PostOperations - was.PostOperations;
            CHECK_EQ(now.Observed - was.Observed, observe ? came : 0u);
            CHECK_EQ(now.Refused[MINIPEND_REFUSAL_NOT_IRP] - was.Refused[MINIPEND_REFUSAL_NOT_IRP],
                     observe ? 0u : came);
            CHECK_EQ(now.Pended, 0u);
        }
    }
}

} // namespace MINIPEND_TEST_FILE
