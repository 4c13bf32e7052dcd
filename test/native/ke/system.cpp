// SPDX-License-Identifier: MIT
//
// This module provides: tests of the calls about the system and the caller: routines by name, the version, guarded regions, the previous mode, random
// numbers, lower case, GUIDs.
#include <string>

#include "core/faults.hpp"
#include "image/exports.hpp"
#include "kernel_text.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::clean;
using check::of;
using check::stopped_on;
using check::text_of;
using check::with;

namespace {

void *system_routine(const char16_t *name) {
    UNICODE_STRING string = of(name);
    return MmGetSystemRoutineAddress(&string);
}

} // namespace

TEST(routines_are_found_by_name) {
    CHECK(clean([](World &) {
        using Increment = ULONG(NTAPI *)(void);
        const auto increment = reinterpret_cast<Increment>(system_routine(u"KeQueryTimeIncrement"));
        REQUIRE(increment != nullptr);
        CHECK_EQ(increment(), KeQueryTimeIncrement());
        CHECK(reinterpret_cast<void *>(increment) == reinterpret_cast<void *>(&KeQueryTimeIncrement));
        CHECK(system_routine(u"PsThreadType") == &PsThreadType);
        CHECK(system_routine(u"KeQueryPerformanceCounter") != nullptr);
        using Length = size_t(NTAPI *)(const WCHAR *);
        const auto length = reinterpret_cast<Length>(system_routine(u"wcslen"));
        REQUIRE(length != nullptr);
        CHECK_EQ(length(u"four"), 4u);
        CHECK(system_routine(u"memcpy") != nullptr);
        CHECK(FltGetRoutineAddress("FltGetRoutineAddress") == reinterpret_cast<void *>(&FltGetRoutineAddress));
    }));
}

TEST(routines_that_are_not_there_are_null_and_noted) {
    const std::string report = with([](World &) {
        CHECK(system_routine(u"KeNoSuchRoutine") == nullptr);
        CHECK(system_routine(u"KeNoSuchRoutine") == nullptr);
        CHECK(system_routine(u"kequerytimeincrement") == nullptr); // names are case-sensitive
        CHECK(system_routine(u"KeQuery\u00E9") == nullptr);
        CHECK(system_routine(u"FltRegisterFilter") == nullptr); // each finds its own module's
        CHECK(system_routine(u"WdfVersionBind") == nullptr);
        CHECK(system_routine(u"") == nullptr);
        CHECK(FltGetRoutineAddress("FltNoSuchRoutine") == nullptr);
        CHECK(FltGetRoutineAddress("KeQueryTimeIncrement") == nullptr);
        // Nor what the model has for programs and for itself.
        for (const char16_t *name : {u"CreateFileW", u"RtlNtStatusToDosError", u"NtCreateFile", u"FilterLoad",
                                     u"FltSimCreateWorld", u"FltSimCrt_wcslen", u"malloc", u"printf"}) {
            CHECK(system_routine(name) == nullptr);
        }
        CHECK(FltGetRoutineAddress("FltSimCreateWorld") == nullptr);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK(check::contains(report, "MmGetSystemRoutineAddress: the model has no ntoskrnl.exe!KeNoSuchRoutine, the "
                                  "driver got NULL"));
    CHECK(check::contains(report, "FltGetRoutineAddress: the model has no fltmgr.sys!FltNoSuchRoutine"));
    CHECK(check::contains(report, "ntoskrnl.exe!KeQuery?,"));
    // Each once, in the order of asking.
    CHECK(check::contains(report, "\"absentRoutines\":[\"ntoskrnl.exe!KeNoSuchRoutine\","));
    CHECK(!check::contains(report, "NoSuchRoutine\",\"ntoskrnl.exe!KeNoSuchRoutine\""));
}

TEST(routines_are_asked_for_correctly) {
    CHECK(stopped_on(with([](World &) {
                         const IrqlScope raised(APC_LEVEL);
                         system_routine(u"KeSetEvent");
                     }),
                     "V5"));
    CHECK(clean([](World &) {
        const IrqlScope raised(DISPATCH_LEVEL);
        CHECK(FltGetRoutineAddress("FltRegisterFilter") != nullptr);
    }));
    CHECK(stopped_on(with([](World &) { MmGetSystemRoutineAddress(nullptr); }), "STRING is null"));
    CHECK(stopped_on(with([](World &) { (void)FltGetRoutineAddress(nullptr); }), "VER-02"));
}

TEST(the_version_of_windows) {
    CHECK(clean([](World &) {
        RTL_OSVERSIONINFOEXW version{};
        version.dwOSVersionInfoSize = sizeof(RTL_OSVERSIONINFOW);
        version.wProductType = 0xAA;
        auto *const shorter = reinterpret_cast<PRTL_OSVERSIONINFOW>(&version);
        CHECK_EQ(RtlGetVersion(shorter), STATUS_SUCCESS);
        CHECK(version.dwMajorVersion == 10 && version.dwMinorVersion == 0 && version.dwBuildNumber == 26100);
        CHECK_EQ(version.dwPlatformId, static_cast<ULONG>(VER_PLATFORM_WIN32_NT));
        CHECK_EQ(version.dwOSVersionInfoSize, sizeof(RTL_OSVERSIONINFOW));
        CHECK_EQ(version.wProductType, 0xAA); // the shorter structure ends before it
        version.dwOSVersionInfoSize = sizeof version;
        CHECK_EQ(RtlGetVersion(shorter), STATUS_SUCCESS);
        CHECK_EQ(version.wProductType, VER_NT_WORKSTATION);
        CHECK_EQ(version.wServicePackMajor, 0);
        ULONG major = 0, build = 0;
        UNICODE_STRING pack = of(u"x");
        CHECK(!PsGetVersion(&major, nullptr, &build, &pack));
        CHECK(major == 10 && build == version.dwBuildNumber && pack.Length == 0);
        CHECK(!PsGetVersion(nullptr, nullptr, nullptr, nullptr));
    }));
    CHECK(stopped_on(with([](World &) { RtlGetVersion(nullptr); }), "VER-02"));
}

TEST(guarded_regions) {
    CHECK(clean([](World &) {
        CHECK(!KeAreApcsDisabled() && !KeAreAllApcsDisabled());
        KeEnterCriticalRegion();
        CHECK(KeAreApcsDisabled() && !KeAreAllApcsDisabled());
        KeEnterGuardedRegion();
        KeEnterGuardedRegion();
        KeLeaveGuardedRegion();
        CHECK(KeAreApcsDisabled() && KeAreAllApcsDisabled());
        KeLeaveGuardedRegion();
        CHECK(KeAreApcsDisabled() && !KeAreAllApcsDisabled());
        KeLeaveCriticalRegion();
        CHECK(!KeAreApcsDisabled());
        const IrqlScope raised(APC_LEVEL);
        CHECK(!KeAreApcsDisabled() && KeAreAllApcsDisabled());
    }));
    CHECK(stopped_on(with([](World &) { KeLeaveGuardedRegion(); }), "CRITICAL_REGION left without being entered"));
    for (const bool guarded : {true, false}) { // each is left as it was entered
        CHECK(stopped_on(with([guarded](World &) {
                             guarded ? KeEnterGuardedRegion() : KeEnterCriticalRegion();
                             guarded ? KeLeaveCriticalRegion() : KeLeaveGuardedRegion();
                         }),
                         "CRITICAL_REGION left without being entered"));
    }
    CHECK(stopped_on(with([](World &) {
                         const DriverCall callback("callback");
                         KeEnterGuardedRegion();
                     }),
                     "V15 critical region held"));
}

TEST(the_previous_mode) {
    CHECK(clean([](World &world) {
        CHECK_EQ(ExGetPreviousMode(), static_cast<KPROCESSOR_MODE>(UserMode)); // a program's thread
        KPROCESSOR_MODE of_system = UserMode;
        {
            const KernelCall call("test");
            Thread *thread =
                world.spawn("driver", world.system_process(), [&of_system] { of_system = ExGetPreviousMode(); });
            thread->reference();
            world.block(thread, [thread] { return thread->ended; });
            thread->dereference();
        }
        CHECK_EQ(of_system, static_cast<KPROCESSOR_MODE>(KernelMode));
        {
            const DriverService service;
            CHECK_EQ(ExGetPreviousMode(), static_cast<KPROCESSOR_MODE>(KernelMode));
        }
        CHECK_EQ(ExGetPreviousMode(), static_cast<KPROCESSOR_MODE>(UserMode));
    }));
}

TEST(processes_are_found_by_id) {
    CHECK(clean([](World &world) {
        Process *other = nullptr;
        {
            const KernelCall call("test");
            other = world.make_process("other");
        }
        const auto handle = [](uint64_t id) { return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id)); };
        PEPROCESS process = nullptr;
        CHECK_EQ(PsLookupProcessByProcessId(PsGetCurrentProcessId(), &process), STATUS_SUCCESS);
        CHECK(process == IoGetCurrentProcess());
        ObDereferenceObject(process);
        for (Process *each : {other, world.system_process()}) {
            CHECK_EQ(PsLookupProcessByProcessId(handle(each->id), &process), STATUS_SUCCESS);
            CHECK(process == reinterpret_cast<PEPROCESS>(each));
            CHECK(PsGetProcessId(process) == handle(each->id));
            ObReferenceObject(process);
            ObDereferenceObject(process);
            ObDereferenceObject(process);
        }
        CHECK_EQ(PsLookupProcessByProcessId(handle(0xFFFFFF0), &process), STATUS_INVALID_CID);
        CHECK(process == nullptr);
        other->ended = true;
        CHECK_EQ(PsLookupProcessByProcessId(handle(other->id), &process), STATUS_INVALID_CID);
        world.faults->set("PsLookupProcessByProcessId", 0, 1);
        CHECK_EQ(PsLookupProcessByProcessId(PsGetCurrentProcessId(), &process), STATUS_INVALID_CID);
    }));
    CHECK(stopped_on(with([](World &world) { PsGetProcessId(reinterpret_cast<PEPROCESS>(&world)); }),
                     "OBJECT is not a process"));
}

TEST(random_numbers_follow_from_their_seed) {
    CHECK(clean([](World &) {
        ULONG one = 7, other = 7, zero = 0;
        ULONG last = 0;
        for (int i = 0; i < 1000; ++i) {
            const ULONG value = RtlRandomEx(&one);
            CHECK_EQ(value, RtlRandomEx(&other));
            CHECK(value < static_cast<ULONG>(MAXLONG) && (i == 0 || value != last));
            last = value;
        }
        RtlRandomEx(&zero);
        CHECK(zero != 0 && one == other && one != 7);
    }));
}

TEST(lower_case) {
    CHECK(clean([](World &world) {
        const UNICODE_STRING source = of(u"A\u00C9z\u03A3\u00DF");
        UNICODE_STRING made{};
        CHECK_EQ(RtlDowncaseUnicodeString(&made, &source, TRUE), STATUS_SUCCESS);
        CHECK(text_of(made) == u"a\u00E9z\u03C3\u00DF");
        RtlFreeUnicodeString(&made);
        char16_t buffer[5];
        UNICODE_STRING small{0, 8, buffer};
        CHECK_EQ(RtlDowncaseUnicodeString(&small, &source, FALSE), STATUS_BUFFER_OVERFLOW);
        small.MaximumLength = 10;
        CHECK_EQ(RtlDowncaseUnicodeString(&small, &source, FALSE), STATUS_SUCCESS);
        CHECK_EQ(small.Length, 10);
        world.faults->set("RtlDowncaseUnicodeString", 0, 1);
        CHECK_EQ(RtlDowncaseUnicodeString(&made, &source, TRUE), STATUS_NO_MEMORY);
        for (unsigned c = 0; c < 0x10000; ++c) { // there and back; only the final sigma comes back as the other
            const auto unit = static_cast<WCHAR>(c);
            const WCHAR upper = RtlUpcaseUnicodeChar(unit);
            if (upper != unit && unit != u'\u03C2') {
                CHECK_EQ(RtlDowncaseUnicodeChar(upper), unit);
            }
        }
    }));
}

TEST(guids_as_text) {
    CHECK(clean([](World &world) {
        const GUID guid{0x01234567, 0x89AB, 0xCDEF, {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF}};
        UNICODE_STRING text{};
        CHECK_EQ(RtlStringFromGUID(&guid, &text), STATUS_SUCCESS);
        CHECK(text_of(text) == u"{01234567-89AB-CDEF-0123-456789ABCDEF}");
        CHECK(text.MaximumLength == text.Length + 2 && text.Buffer[38] == 0);
        GUID back{};
        CHECK_EQ(RtlGUIDFromString(&text, &back), STATUS_SUCCESS);
        CHECK(RtlCompareMemory(&guid, &back, sizeof guid) == sizeof guid);
        RtlFreeUnicodeString(&text);
        const UNICODE_STRING lower = of(u"{01234567-89ab-cdef-0123-456789abcdef}");
        back = {};
        CHECK_EQ(RtlGUIDFromString(&lower, &back), STATUS_SUCCESS);
        CHECK(RtlCompareMemory(&guid, &back, sizeof guid) == sizeof guid);
        for (const char16_t *wrong :
             {u"", u"01234567-89ab-cdef-0123-456789abcdef", u"{01234567-89ab-cdef-0123-456789abcdeg}",
              u"{01234567-89ab-cdef-0123-456789abcdef", u"(01234567-89ab-cdef-0123-456789abcdef)",
              u"{0123456789ab-cdef-0123-456789abcdef00}"}) {
            const UNICODE_STRING string = of(wrong);
            CHECK_EQ(RtlGUIDFromString(&string, &back), STATUS_INVALID_PARAMETER);
        }
        world.faults->set("RtlStringFromGUID", 0, 1);
        CHECK_EQ(RtlStringFromGUID(&guid, &text), STATUS_NO_MEMORY);
    }));
}

} // namespace MINIPEND_TEST_FILE
