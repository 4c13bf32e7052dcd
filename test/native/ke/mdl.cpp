// SPDX-License-Identifier: MIT
//
// This module provides: tests of MDLs: their states, partial ones, and what a driver does wrongly with them (V26).
#include <cstring>

#include "core/faults.hpp"
#include "ke/pool.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::contains;
using check::report_of;
using check::stopped_on;

namespace {

constexpr ULONG TAG = 0x74657374;
constexpr ULONG BYTES = 3 * PAGE_SIZE;
constexpr ULONG PRIORITY = NormalPagePriority | MdlMappingNoExecute;

char *allocate(POOL_TYPE type = NonPagedPoolNx) {
    return static_cast<char *>(ExAllocatePoolWithTag(type, BYTES, TAG));
}

PMDL describe(void *memory, ULONG bytes = BYTES) {
    return IoAllocateMdl(memory, bytes, FALSE, FALSE, nullptr);
}

/// Nothing is wrong, and nothing is left.
void expect_clean(const std::function<void(World &)> &fn) {
    const std::string report = report_of(check::virtual_world(), [&](World &world) {
        fn(world);
        const KernelCall call("test");
        pool::report_leaks();
    });
    CHECK(contains(report, "\"stopped\":false"));
    CHECK(contains(report, "\"leaks\":[]"));
}

/// What is allocated when the world stops goes with it.
std::string text_of_stop(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

bool stops(const std::string &text, const std::function<void()> &fn) {
    const std::string report = text_of_stop(fn);
    return stopped_on(report, "V26 MDL") && contains(report, text);
}

} // namespace

TEST(mdl_describes_what_it_was_given) {
    expect_clean([](World &) {
        char *const memory = allocate() + 100;
        const PMDL mdl = describe(memory, 5000);
        CHECK_EQ(MmGetMdlByteCount(mdl), 5000u);
        CHECK(MmGetMdlVirtualAddress(mdl) == memory);
        CHECK_EQ(MmGetMdlByteOffset(mdl), BYTE_OFFSET(memory));
        CHECK(MmGetMdlBaseVa(mdl) == PAGE_ALIGN(memory));
        const SIZE_T pages = (BYTE_OFFSET(memory) + SIZE_T{5000} + PAGE_SIZE - 1) / PAGE_SIZE;
        CHECK_EQ(static_cast<SIZE_T>(mdl->Size), sizeof(MDL) + pages * sizeof(PFN_NUMBER));
        CHECK_EQ(MmSizeOfMdl(memory, 5000), sizeof(MDL) + pages * sizeof(PFN_NUMBER));
        CHECK_EQ(mdl->MdlFlags, MDL_ALLOCATED_FIXED_SIZE);
        std::memset(MmGetMdlPfnArray(mdl), 0, pages * sizeof(PFN_NUMBER)); // there is room for them
        IoFreeMdl(mdl);
        CHECK(describe(nullptr, ULONG{0} - 1) == nullptr); // more than 4 GB less a page
        ExFreePoolWithTag(memory - 100, TAG);
    });
}

TEST(mdl_of_nonpaged_pool_has_an_address) {
    expect_clean([](World &) {
        char *const memory = allocate();
        const PMDL mdl = describe(memory);
        MmBuildMdlForNonPagedPool(mdl);
        CHECK(MmGetSystemAddressForMdlSafe(mdl, PRIORITY) == memory);
        CHECK_EQ(mdl->MdlFlags, MDL_ALLOCATED_FIXED_SIZE | MDL_SOURCE_IS_NONPAGED_POOL);
        IoFreeMdl(mdl);
        ExFreePoolWithTag(memory, TAG);
    });
}

TEST(mdl_is_locked_mapped_and_unlocked) {
    expect_clean([](World &world) {
        char *const memory = allocate(PagedPool);
        const PMDL mdl = describe(memory);
        MmProbeAndLockPages(mdl, KernelMode, IoWriteAccess);
        CHECK_EQ(mdl->MdlFlags, MDL_ALLOCATED_FIXED_SIZE | MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
        world.faults->set("MmMapLockedPagesSpecifyCache", 0, 1);
        CHECK(MmGetSystemAddressForMdlSafe(mdl, PRIORITY) == nullptr);
        for (int round = 0; round < 2; ++round) { // the second time it is there already
            CHECK(MmGetSystemAddressForMdlSafe(mdl, PRIORITY) == memory);
            CHECK((mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) != 0);
        }
        MmUnmapLockedPages(memory, mdl);
        CHECK((mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) == 0);
        CHECK(MmGetSystemAddressForMdlSafe(mdl, PRIORITY) == memory);
        MmUnlockPages(mdl); // ends the mapping too
        CHECK_EQ(mdl->MdlFlags, MDL_ALLOCATED_FIXED_SIZE);
        MmProbeAndLockPages(mdl, UserMode, IoReadAccess);
        CHECK_EQ(mdl->MdlFlags, MDL_ALLOCATED_FIXED_SIZE | MDL_PAGES_LOCKED);
        MmUnlockPages(mdl);
        IoFreeMdl(mdl);
        world.faults->set("IoAllocateMdl", 0, 1);
        CHECK(describe(memory) == nullptr);
        ExFreePoolWithTag(memory, TAG);
    });
}

TEST(mdl_of_a_part) {
    expect_clean([](World &) {
        char *const memory = allocate(PagedPool);
        const PMDL whole = describe(memory);
        const PMDL part = describe(memory);
        MmProbeAndLockPages(whole, KernelMode, IoReadAccess);
        IoBuildPartialMdl(whole, part, memory + 10, 20);
        CHECK(MmGetMdlVirtualAddress(part) == memory + 10);
        CHECK_EQ(MmGetMdlByteCount(part), 20u);
        CHECK(MmGetSystemAddressForMdlSafe(part, PRIORITY) == memory + 10); // a mapping of its own
        CHECK((part->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED) != 0);
        MmPrepareMdlForReuse(part);
        CHECK((part->MdlFlags & (MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_MAPPED_TO_SYSTEM_VA)) == 0);
        CHECK(MmGetSystemAddressForMdlSafe(whole, PRIORITY) == memory);
        IoBuildPartialMdl(whole, part, memory + PAGE_SIZE, 0); // what is left
        CHECK_EQ(MmGetMdlByteCount(part), BYTES - PAGE_SIZE);
        CHECK(part->MappedSystemVa == memory + PAGE_SIZE); // the whole one's mapping
        MmPrepareMdlForReuse(part);
        IoFreeMdl(part);
        MmUnlockPages(whole);
        MmProbeAndLockPages(whole, KernelMode, IoReadAccess);
        const PMDL other = describe(memory);
        IoBuildPartialMdl(whole, other, memory, 0);
        CHECK(MmGetSystemAddressForMdlSafe(other, PRIORITY) == memory);
        IoFreeMdl(other); // and its mapping
        MmUnlockPages(whole);
        IoFreeMdl(whole);
        ExFreePoolWithTag(memory, TAG);
    });
}

TEST(mdl_mistakes_of_its_state) {
    CHECK(stops("its pages are locked already", [] {
        const PMDL mdl = describe(allocate());
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    }));
    CHECK(stops("there is nothing to lock", [] {
        const PMDL mdl = describe(allocate());
        MmBuildMdlForNonPagedPool(mdl);
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    }));
    CHECK(stops("MmProbeAndLockPages has not locked its pages", [] {
        const PMDL mdl = describe(allocate());
        MmBuildMdlForNonPagedPool(mdl);
        MmUnlockPages(mdl);
    }));
    CHECK(stops("freed while its pages are locked", [] {
        const PMDL mdl = describe(allocate());
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
        IoFreeMdl(mdl);
    }));
    CHECK(stops("that is paged pool", [] { MmBuildMdlForNonPagedPool(describe(allocate(PagedPool))); }));
    CHECK(stops("there is no memory", [] { MmBuildMdlForNonPagedPool(describe(nullptr)); }));
    CHECK(stops("there is no memory", [] {
        char *const memory = allocate();
        ExFreePoolWithTag(memory, TAG);
        MmBuildMdlForNonPagedPool(describe(memory));
    }));
    CHECK(stops("the MDL is null", [] { IoFreeMdl(nullptr); }));
}

TEST(mdl_mistakes_of_mappings) {
    CHECK(stops("its pages are not locked", [] { MmGetSystemAddressForMdlSafe(describe(allocate()), PRIORITY); }));
    CHECK(stops("an executable mapping", [] {
        const PMDL mdl = describe(allocate());
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
        MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
    }));
    CHECK(stops("it is mapped already", [] {
        const PMDL mdl = describe(allocate());
        MmBuildMdlForNonPagedPool(mdl);
        MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, nullptr, FALSE, PRIORITY);
    }));
    CHECK(stops("is not its mapping", [] {
        char *const memory = allocate();
        const PMDL mdl = describe(memory);
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
        MmUnmapLockedPages(memory, mdl);
    }));
    CHECK(stopped_on(text_of_stop([] {
                         const PMDL mdl = describe(allocate());
                         MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
                         MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, nullptr, TRUE, PRIORITY);
                     }),
                     "VER-02 parameter"));
}

TEST(mdl_mistakes_of_parts) {
    CHECK(stops("the source's pages are not locked", [] {
        char *const memory = allocate();
        IoBuildPartialMdl(describe(memory), describe(memory), memory, 10);
    }));
    CHECK(stops("are not all in what it describes", [] {
        char *const memory = allocate();
        const PMDL whole = describe(memory, 100);
        MmBuildMdlForNonPagedPool(whole);
        IoBuildPartialMdl(whole, describe(memory), memory + 50, 51);
    }));
    CHECK(stops("room for fewer pages", [] {
        char *const memory = allocate();
        const PMDL whole = describe(memory);
        MmBuildMdlForNonPagedPool(whole);
        IoBuildPartialMdl(whole, describe(memory, 1), memory, 0);
    }));
    CHECK(stops("the target is in use", [] {
        char *const memory = allocate();
        const PMDL whole = describe(memory);
        const PMDL part = describe(memory);
        MmProbeAndLockPages(whole, KernelMode, IoReadAccess);
        IoBuildPartialMdl(whole, part, memory, 0);
        MmGetSystemAddressForMdlSafe(part, PRIORITY);
        IoBuildPartialMdl(whole, part, memory, 0);
    }));
}

TEST(mdl_mistakes_of_whose_it_is) {
    CHECK(stopped_on(text_of_stop([] {
                         const PMDL mdl = describe(allocate());
                         IoFreeMdl(mdl);
                         IoFreeMdl(mdl);
                     }),
                     "V20 pool: double free"));
    const std::string wrong_call = text_of_stop([] { ExFreePoolWithTag(describe(allocate()), 0); });
    CHECK(stopped_on(wrong_call, "V20 pool: freed with the wrong call"));
    CHECK(contains(wrong_call, "it comes from IoAllocateMdl: IoFreeMdl frees it"));
    CHECK(stopped_on(text_of_stop([] {
                         const auto mdl = static_cast<PMDL>(ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG));
                         MmInitializeMdl(mdl, mdl, 10);
                         IoFreeMdl(mdl);
                     }),
                     "V20 pool: freed with the wrong call"));
    CHECK(stopped_on(text_of_stop([] {
                         const PMDL mdl = describe(allocate(PagedPool));
                         KIRQL before = PASSIVE_LEVEL;
                         KSPIN_LOCK lock = 0;
                         before = KeAcquireSpinLockRaiseToDpc(&lock);
                         MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
                         KeReleaseSpinLock(&lock, before);
                     }),
                     "V5 IRQL too high"));
    const std::string left = text_of_stop([] {
        describe(allocate());
        const KernelCall call("test");
        pool::report_leaks();
    });
    CHECK(contains(left, "Mdl "));
}

} // namespace MINIPEND_TEST_FILE
