// SPDX-License-Identifier: MIT
//
// This module provides: tests of events, semaphores, waits, threads and rundown protection.
#include <vector>

#include "core/handles.hpp"
#include "kernel_thread.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::relative_ms;
using check::report_of;
using check::stopped_on;

namespace {

NTSTATUS wait(void *object, LONGLONG ms) {
    LARGE_INTEGER timeout = relative_ms(ms);
    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &timeout);
}

struct Shared {
    KEVENT event{};
    KSEMAPHORE semaphore{};
    EX_RUNDOWN_REF rundown{};
    int woken = 0;
    bool terminated_early = true;
};

void NTAPI waits_for_event(PVOID context) {
    Shared &shared = *static_cast<Shared *>(context);
    if (KeWaitForSingleObject(&shared.event, Executive, KernelMode, FALSE, nullptr) == STATUS_SUCCESS) {
        ++shared.woken;
    }
}

void NTAPI terminates_itself(PVOID context) {
    PsTerminateSystemThread(STATUS_SUCCESS);
    static_cast<Shared *>(context)->terminated_early = false;
}

PETHREAD start(PKSTART_ROUTINE routine, void *context) {
    HANDLE handle = nullptr;
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    CHECK_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, nullptr, nullptr, routine, context),
             STATUS_SUCCESS);
    PVOID thread = nullptr;
    CHECK_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &thread, nullptr),
             STATUS_SUCCESS);
    CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
    return static_cast<PETHREAD>(thread);
}

void join(PETHREAD thread) {
    CHECK_EQ(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
    ObfDereferenceObject(thread);
}

} // namespace

TEST(event_kinds) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        KEVENT event;
        KeInitializeEvent(&event, SynchronizationEvent, FALSE);
        CHECK_EQ(wait(&event, 5), STATUS_TIMEOUT);
        CHECK_EQ(KeSetEvent(&event, 0, FALSE), 0);
        CHECK_EQ(KeSetEvent(&event, 0, FALSE), 1);
        CHECK_EQ(wait(&event, 5), STATUS_SUCCESS);
        CHECK_EQ(KeReadStateEvent(&event), 0);

        KeInitializeEvent(&event, NotificationEvent, TRUE);
        CHECK_EQ(wait(&event, 5), STATUS_SUCCESS);
        CHECK_EQ(wait(&event, 0), STATUS_SUCCESS);
        CHECK_EQ(KeResetEvent(&event), 1);
        CHECK_EQ(wait(&event, 0), STATUS_TIMEOUT);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(timeouts_take_their_time) {
    report_of(check::virtual_world(), [](World &) {
        ULONG64 counter = 0;
        const ULONG64 before = KeQueryInterruptTimePrecise(&counter);
        LARGE_INTEGER interval = relative_ms(25);
        CHECK_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
        const ULONG64 after = KeQueryInterruptTimePrecise(&counter);
        CHECK(after - before >= 250'000);
        LARGE_INTEGER frequency{};
        CHECK(KeQueryPerformanceCounter(&frequency).QuadPart >= static_cast<LONGLONG>(after));
        CHECK_EQ(frequency.QuadPart, 10'000'000);
    });
}

TEST(a_set_event_satisfies_its_waiters_at_once) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const std::string report = report_of(check::virtual_world(seed), [](World &) {
            Shared shared;
            KeInitializeEvent(&shared.event, NotificationEvent, FALSE);
            const PETHREAD one = start(waits_for_event, &shared);
            const PETHREAD two = start(waits_for_event, &shared);
            LARGE_INTEGER interval = relative_ms(1);
            KeDelayExecutionThread(KernelMode, FALSE, &interval);
            // Both wait by now. Nobody may miss a signal that is taken back immediately.
            KeSetEvent(&shared.event, 0, FALSE);
            KeClearEvent(&shared.event);
            join(one);
            join(two);
            CHECK_EQ(shared.woken, 2);
        });
        CHECK(check::contains(report, "\"stopped\":false"));
    }
}

TEST(semaphore_counts) {
    report_of(check::virtual_world(), [](World &) {
        KSEMAPHORE semaphore;
        KeInitializeSemaphore(&semaphore, 1, 3);
        CHECK_EQ(wait(&semaphore, 0), STATUS_SUCCESS);
        CHECK_EQ(wait(&semaphore, 0), STATUS_TIMEOUT);
        CHECK_EQ(KeReleaseSemaphore(&semaphore, 0, 2, FALSE), 0);
        CHECK_EQ(KeReleaseSemaphore(&semaphore, 0, 1, FALSE), 2);
        CHECK_EQ(wait(&semaphore, 0), STATUS_SUCCESS);
    });
    const std::string report = report_of(check::virtual_world(), [](World &) {
        KSEMAPHORE semaphore;
        KeInitializeSemaphore(&semaphore, 0, 1);
        KeReleaseSemaphore(&semaphore, 0, 2, FALSE);
    });
    CHECK(stopped_on(report, "STATUS_SEMAPHORE_LIMIT_EXCEEDED"));
}

TEST(broken_waits_stop_the_world) {
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   KEVENT event{};
                                   KeSetEvent(&event, 0, FALSE);
                               }),
                     "WAIT object was never initialised"));
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   KEVENT event;
                                   KeInitializeEvent(&event, NotificationEvent, FALSE);
                                   KEVENT copy = event;
                                   wait(&copy, 1);
                               }),
                     "WAIT object was never initialised"));
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   KEVENT event;
                                   KeInitializeEvent(&event, NotificationEvent, FALSE);
                                   const IrqlScope dispatch(DISPATCH_LEVEL);
                                   wait(&event, 1);
                               }),
                     "V5"));
    CHECK(check::contains(report_of(check::virtual_world(),
                                    [](World &) {
                                        KEVENT event;
                                        KeInitializeEvent(&event, NotificationEvent, TRUE);
                                        const IrqlScope dispatch(DISPATCH_LEVEL);
                                        CHECK_EQ(wait(&event, 0), STATUS_SUCCESS);
                                    }),
                          "\"stopped\":false"));
}

TEST(system_threads_end_both_ways) {
    const std::string report = report_of(check::virtual_world(), [](World &world) {
        Shared shared;
        KeInitializeEvent(&shared.event, SynchronizationEvent, TRUE);
        join(start(waits_for_event, &shared));
        CHECK_EQ(shared.woken, 1);
        join(start(terminates_itself, &shared));
        CHECK(shared.terminated_early);
        CHECK_EQ(PsTerminateSystemThread(STATUS_SUCCESS), STATUS_INVALID_PARAMETER);
        const KernelCall call("test");
        CHECK(world.handles->describe_open(true).empty());
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

namespace {

void NTAPI ends_at_once(PVOID) {}

/// A handle of a thread, referenced in this mode; in a program's thread or one of the system.
std::string rule_of_handle(bool kernel_handle, KPROCESSOR_MODE mode, bool system, NTSTATUS expected) {
    std::string rule;
    check::Body reference = [=] {
        OBJECT_ATTRIBUTES attributes;
        InitializeObjectAttributes(&attributes, nullptr, kernel_handle ? OBJ_KERNEL_HANDLE : 0ul, nullptr, nullptr);
        HANDLE handle = nullptr;
        CHECK_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, nullptr, nullptr, ends_at_once, nullptr),
                 STATUS_SUCCESS);
        PVOID object = nullptr;
        CHECK_EQ(ObReferenceObjectByHandle(handle, 0, *PsThreadType, mode, &object, nullptr), expected);
        if (object != nullptr) {
            ObfDereferenceObject(object);
        }
        CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
    };
    return report_of(check::virtual_world(), [&](World &) {
        if (system) {
            const check::Started thread(reference);
        } else {
            reference();
        }
    });
}

} // namespace

TEST(whose_handles_a_driver_references) {
    const auto goes = [](bool kernel_handle, KPROCESSOR_MODE mode, bool system, NTSTATUS expected) {
        return check::contains(rule_of_handle(kernel_handle, mode, system, expected), "\"stopped\":false");
    };
    CHECK(goes(true, KernelMode, false, STATUS_SUCCESS));
    CHECK(goes(true, KernelMode, true, STATUS_SUCCESS));
    CHECK(goes(false, UserMode, false, STATUS_SUCCESS));
    CHECK(goes(true, UserMode, false, STATUS_INVALID_HANDLE));
    CHECK(stopped_on(rule_of_handle(false, KernelMode, false, STATUS_SUCCESS), "OBJECT handle of user mode"));
    CHECK(stopped_on(rule_of_handle(true, UserMode, true, STATUS_SUCCESS), "OBJECT handle of the kernel"));
    for (const uintptr_t value : {uintptr_t{0}, uintptr_t{0x44}}) {
        CHECK(stopped_on(report_of(check::virtual_world(),
                                   [=](World &) {
                                       PVOID object = nullptr;
                                       ObReferenceObjectByHandle(reinterpret_cast<HANDLE>(value), 0, *PsThreadType,
                                                                 KernelMode, &object, nullptr);
                                   }),
                         "OBJECT handle is not open"));
    }
}

TEST(thread_identity) {
    report_of(check::virtual_world(), [](World &world) {
        const PETHREAD self = PsGetCurrentThread();
        CHECK(PsGetThreadId(self) == PsGetCurrentThreadId());
        CHECK(PsGetThreadProcessId(self) == PsGetCurrentProcessId());
        CHECK(PsGetProcessId(IoThreadToProcess(self)) == PsGetCurrentProcessId());
        CHECK(IoGetCurrentProcess() == IoThreadToProcess(self));
        CHECK_EQ(PsIsThreadTerminating(self), FALSE);
        CHECK(IoGetTopLevelIrp() == nullptr);
        PVOID object = nullptr;
        CHECK_EQ(ObReferenceObjectByHandle(reinterpret_cast<HANDLE>(uintptr_t{0x44}), 0, *PsThreadType, UserMode,
                                           &object, nullptr),
                 STATUS_INVALID_HANDLE);
        CHECK_EQ(ObReferenceObjectByHandle(reinterpret_cast<HANDLE>(intptr_t{-2}), 0, *IoFileObjectType, KernelMode,
                                           &object, nullptr),
                 STATUS_OBJECT_TYPE_MISMATCH);
        CHECK_EQ(KeQueryMaximumProcessorCountEx(0xFFFF), world.options.processor_count);
        CHECK(KeGetCurrentProcessorNumberEx(nullptr) < world.options.processor_count);
    });
    CHECK(stopped_on(
        report_of(check::virtual_world(), [](World &) { PsGetThreadId(reinterpret_cast<PETHREAD>(&stopped_on)); }),
        "OBJECT is not a thread"));
}

namespace {

void NTAPI releases_rundown(PVOID context) {
    Shared &shared = *static_cast<Shared *>(context);
    LARGE_INTEGER interval = relative_ms(3);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    shared.woken = 1;
    ExReleaseRundownProtection(&shared.rundown);
}

} // namespace

TEST(rundown_waits_for_references) {
    report_of(check::virtual_world(), [](World &) {
        Shared shared;
        ExInitializeRundownProtection(&shared.rundown);
        CHECK_EQ(ExAcquireRundownProtection(&shared.rundown), TRUE);
        const PETHREAD thread = start(releases_rundown, &shared);
        ExWaitForRundownProtectionRelease(&shared.rundown);
        CHECK_EQ(shared.woken, 1);
        CHECK_EQ(ExAcquireRundownProtection(&shared.rundown), FALSE);
        ExWaitForRundownProtectionRelease(&shared.rundown);
        ExReInitializeRundownProtection(&shared.rundown);
        CHECK_EQ(ExAcquireRundownProtection(&shared.rundown), TRUE);
        join(thread);
    });
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   EX_RUNDOWN_REF rundown;
                                   ExInitializeRundownProtection(&rundown);
                                   ExReleaseRundownProtection(&rundown);
                               }),
                     "RUNDOWN released too often"));
}

TEST(critical_regions_balance) {
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   KeEnterCriticalRegion();
                                   KeLeaveCriticalRegion();
                                   KeLeaveCriticalRegion();
                               }),
                     "CRITICAL_REGION"));
}

} // namespace MINIPEND_TEST_FILE
