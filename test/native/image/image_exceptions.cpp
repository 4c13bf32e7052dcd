// SPDX-License-Identifier: MIT
//
// This module provides: tests of exceptions and mistakes in Windows images: the drivers of test/image/drivers, as `npm run test:image` builds them. It names
// their directory in MINIPEND_TEST_IMAGES; without that there are no such cases.
#include "image/gate.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <cstdlib>
#include <cstring>
#include <string>

#include <fltsim.h>
#include <fltsim_user.h>

#include "check.hpp"

using namespace std::string_literals;

namespace {

const char *directory() {
    return std::getenv("MINIPEND_TEST_IMAGES");
}

/// A case that is there only with the drivers.
struct Registration {
    Registration(const char *name, void (*run)()) {
        if (directory() != nullptr) {
            check::Registration(__FILE__, name, run);
        }
    }
};
#define IMAGE_TEST(name)                                                                                               \
    static void test_##name();                                                                                         \
    static const Registration registration_##name(#name, test_##name);                                                 \
    static void test_##name()

/// The world's report after the driver was loaded, attached to D: and has seen a create there.
std::string report_of_driver(const std::string &name, HRESULT *loaded) {
    const std::string path = directory() + "/"s + name + ".sys";
    FLTSIM_OPTIONS options{};
    options.SizeBytes = sizeof options;
    options.ProcessorCount = 2;
    options.Seed = 1;
    options.Clock = FLTSIM_CLOCK_VIRTUAL;
    options.DriverImage = path.c_str();
    char message[512] = "";
    const FLTSIM_WORLD world = FltSimCreateWorld(&options, message, sizeof message);
    CHECK(world != 0);
    FltSimSelectWorld(world);
    *loaded = FilterLoad(u"minipend");
    if (*loaded == S_OK) {
        FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr);
    }
    const HANDLE file = CreateFileW(u"D:\\a", GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, 0, nullptr);
    if (file != INVALID_HANDLE_VALUE) {
        CloseHandle(file);
    }
    std::string report(FltSimReport(world, nullptr, 0) + 4096, '\0');
    FltSimReport(world, report.data(), report.size());
    report.resize(std::strlen(report.c_str()));
    FltSimDestroyWorld(world);
    return report;
}

/// The driver makes its mistake; the world must stop on `rule` and say `text`.
void expect_stop(const char *name, const char *rule, const char *text) {
    HRESULT loaded = S_OK;
    const std::string report = report_of_driver(name, &loaded);
    if (report.find("\"rule\":\""s + rule) == std::string::npos || report.find(text) == std::string::npos) {
        check::failed(__FILE__, __LINE__, name + ": expected "s + rule + ", " + text + ": " + report);
    }
}

} // namespace

IMAGE_TEST(exceptions_are_handled_as_windows_does) {
    HRESULT loaded = S_OK;
    const std::string report = report_of_driver("seh", &loaded);
    if (loaded != S_OK) {
        check::failed(__FILE__, __LINE__, "status 0xE0000000 + line of seh.c: " + report);
    }
    CHECK(report.find("\"stopped\":false") != std::string::npos);
}

IMAGE_TEST(mistakes_stop_the_world_and_are_located) {
    expect_stop(
        "wrong-unguarded-fault", "KMODE_EXCEPTION_NOT_HANDLED",
        "status 0xC0000005, writing address 0x20 raised outside __try, at wrong-unguarded-fault.sys!MakeMistake+");
    expect_stop("wrong-fault-at-dispatch", "V14 page fault at DISPATCH_LEVEL",
                "reading address 0x20: touch a caller's memory below DISPATCH_LEVEL, at "
                "wrong-fault-at-dispatch.sys!MakeMistake+");
    expect_stop("wrong-corrupt-list", "KERNEL_SECURITY_CHECK_FAILURE",
                "code 3: a list entry is corrupt at wrong-corrupt-list.sys!MakeMistake+");
    expect_stop("wrong-stack-overrun", "KERNEL_SECURITY_CHECK_FAILURE",
                "code 2: the stack cookie was overwritten at wrong-stack-overrun.sys!__security_check_cookie+");
    expect_stop("wrong-privileged", "UNMODELLED",
                "a privileged instruction, bytes 0xfac3 at wrong-privileged.sys!MakeMistake+0x0 < ");
    expect_stop("wrong-discarded-code", "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
                "code that was discarded after DriverEntry is called: wrong-discarded-code.sys!PreCreate+0x0");
    expect_stop("wrong-overlapping-copy", "C4/F0 memcpy of overlapping memory",
                "memmove, or RtlMoveMemory, is for that at wrong-overlapping-copy.sys!MakeMistake+");
    expect_stop("wrong-unguarded-raise", "KMODE_EXCEPTION_NOT_HANDLED",
                "status 0x80000002 raised outside __try, at wrong-unguarded-raise.sys!");
    expect_stop("wrong-writes-code", "KMODE_EXCEPTION_NOT_HANDLED", "raised outside __try, at wrong-writes-code.sys!");
}

#endif
