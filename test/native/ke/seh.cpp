// SPDX-License-Identifier: MIT
//
// This module provides: tests of exceptions: probes, real faults, nesting, and what must not be caught. C++ has no __try macro, so the frames
// are made by hand.
#include <csetjmp>
#include <sys/mman.h>

#include "ke/seh.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::report_of;
using check::stopped_on;

namespace {

/// The code of the exception that `body` raises, or 0.
__attribute__((noinline)) ULONG guarded(void (*body)(void *), void *argument) {
    FLTSIM_SEH_FRAME frame;
    FltSimSehEnter(&frame);
    ULONG code = 0;
    if (sigsetjmp(frame.Buffer, 0) == 0) {
        body(argument);
    } else {
        code = *static_cast<volatile ULONG *>(&frame.Code);
    }
    FltSimSehLeave(&frame);
    return code;
}

__attribute__((noinline)) void write_to(void *address) {
    *static_cast<volatile char *>(address) = 1;
}

/// A page that nobody may touch.
class Page {
  public:
    Page() : address_(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
    ~Page() { munmap(address_, 4096); }
    void make_readable() { mprotect(address_, 4096, PROT_READ); }
    char *at(size_t offset) { return static_cast<char *>(address_) + offset; }

  private:
    void *address_;
};

} // namespace

TEST(real_faults_are_caught) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        Page page;
        for (int i = 0; i < 3; ++i) {
            CHECK_EQ(guarded(write_to, page.at(8)), static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
        }
        char good = 0;
        CHECK_EQ(guarded(write_to, &good), ULONG{0});
        CHECK_EQ(good, 1);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(faults_go_to_the_innermost_frame) {
    report_of(check::virtual_world(), [](World &) {
        Page page;
        const ULONG outer = guarded(
            [](void *address) {
                CHECK_EQ(guarded(write_to, address), static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
                write_to(address);
            },
            page.at(0));
        CHECK_EQ(outer, static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
    });
}

TEST(probes) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        alignas(8) char buffer[64] = {};
        CHECK_EQ(guarded([](void *a) { ProbeForRead(a, 64, 8); }, buffer), ULONG{0});
        CHECK_EQ(guarded([](void *a) { ProbeForRead(a, 8, 8); }, buffer + 4),
                 static_cast<ULONG>(STATUS_DATATYPE_MISALIGNMENT));
        CHECK_EQ(guarded([](void *a) { ProbeForRead(a, 8, 1); }, reinterpret_cast<void *>(UINTPTR_MAX - 3)),
                 static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
        CHECK_EQ(guarded([](void *a) { ProbeForRead(a, SIZE_MAX, 1); }, buffer),
                 static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
        Page page;
        CHECK_EQ(guarded([](void *a) { ProbeForRead(a, 8, 1); }, page.at(0)), ULONG{0});
        CHECK_EQ(guarded([](void *a) { ProbeForWrite(a, 8, 1); }, page.at(0)),
                 static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
        CHECK_EQ(guarded([](void *a) { ProbeForWrite(a, 64, 1); }, buffer), ULONG{0});
        // The model is in order after all that.
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        LARGE_INTEGER interval{};
        interval.QuadPart = -10;
        CHECK_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(statuses_that_file_systems_expect) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        for (const NTSTATUS wrong : {STATUS_ACCESS_VIOLATION, STATUS_DATATYPE_MISALIGNMENT, STATUS_ILLEGAL_INSTRUCTION,
                                     STATUS_INSTRUCTION_MISALIGNMENT}) {
            CHECK_EQ(FsRtlIsNtstatusExpected(wrong), FALSE);
        }
        for (const NTSTATUS expected : {STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_USER_BUFFER}) {
            CHECK_EQ(FsRtlIsNtstatusExpected(expected), TRUE);
        }
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(pages_that_cannot_be_locked) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        Page page;
        const auto lock_for = [](void *address, LOCK_OPERATION operation, KPROCESSOR_MODE mode = UserMode) {
            MDL mdl;
            MmInitializeMdl(&mdl, address, 8);
            struct Lock {
                PMDL mdl;
                LOCK_OPERATION operation;
                KPROCESSOR_MODE mode;
            } lock{&mdl, operation, mode};
            const ULONG code = guarded(
                [](void *argument) {
                    const Lock &lock = *static_cast<Lock *>(argument);
                    MmProbeAndLockPages(lock.mdl, lock.mode, lock.operation);
                },
                &lock);
            CHECK_EQ((mdl.MdlFlags & MDL_PAGES_LOCKED) != 0, code == 0);
            return code;
        };
        constexpr auto kViolation = static_cast<ULONG>(STATUS_ACCESS_VIOLATION);
        CHECK_EQ(lock_for(page.at(0), IoReadAccess), kViolation);
        CHECK_EQ(lock_for(page.at(0), IoReadAccess, KernelMode), kViolation);
        CHECK_EQ(lock_for(reinterpret_cast<void *>(UINTPTR_MAX - 15), IoReadAccess), kViolation);
        page.make_readable();
        CHECK_EQ(lock_for(page.at(0), IoReadAccess), ULONG{0});
        CHECK_EQ(lock_for(page.at(0), IoWriteAccess), kViolation);
        CHECK_EQ(lock_for(page.at(0), IoModifyAccess), kViolation);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(exceptions_that_nobody_may_catch) {
    CHECK(stopped_on(
        report_of(check::virtual_world(), [](World &) { ProbeForRead(reinterpret_cast<void *>(uintptr_t{1}), 8, 8); }),
        "KMODE_EXCEPTION_NOT_HANDLED"));
    // A frame of the code below a callback is not the callback's.
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   guarded(
                                       [](void *) {
                                           const KernelCall call("test");
                                           DriverCall callback("callback");
                                           ProbeForRead(reinterpret_cast<void *>(uintptr_t{1}), 8, 8);
                                       },
                                       nullptr);
                               }),
                     "KMODE_EXCEPTION_NOT_HANDLED"));
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   Page page;
                                   const IrqlScope dispatch(DISPATCH_LEVEL);
                                   guarded(write_to, page.at(0));
                               }),
                     "V14"));
}

TEST(try_copy_survives_bad_memory) {
    Page page;
    char good[16] = "fifteen letters";
    char copy[16] = {};
    CHECK(seh::try_copy(copy, good, sizeof copy));
    CHECK(std::string(copy) == good);
    CHECK(!seh::try_copy(page.at(0), good, sizeof good));
    CHECK(!seh::try_copy(copy, page.at(0), sizeof copy));
}

TEST(frames_of_two_threads_do_not_mix) {
    report_of(check::virtual_world(), [](World &world) {
        int done = 0;
        for (int i = 0; i < 4; ++i) {
            world.spawn("faulter", nullptr, [&] {
                Page page;
                for (int n = 0; n < 20; ++n) {
                    const ULONG code = guarded(
                        [](void *address) {
                            KeGetCurrentIrql(); // a scheduling point inside the guarded block
                            write_to(address);
                        },
                        page.at(0));
                    CHECK_EQ(code, static_cast<ULONG>(STATUS_ACCESS_VIOLATION));
                }
                const KernelCall call("test");
                ++done;
                fltsim::world().wake(&done);
            });
        }
        const KernelCall call("test");
        world.block(&done, [&] { return done == 4; });
    });
}

} // namespace MINIPEND_TEST_FILE
