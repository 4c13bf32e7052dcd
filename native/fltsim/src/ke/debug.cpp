// SPDX-License-Identifier: MIT
//
// This module provides: DbgPrint and DbgPrintEx (into the world's history; every component and level is shown) and KeBugCheckEx.
#include <cstdio>
#include <string>

#include "core/world.hpp"
#include "ke/debug.hpp"

using namespace fltsim;

void ke::print_debug(const char *api, const char *prefix, PCSTR format, KernelArguments &arguments) {
    bool unicode = false;
    std::string text = prefix + format_kernel(format, arguments, &unicode);
    if (unicode && executing().irql > PASSIVE_LEVEL) {
        bugcheck("V5 IRQL too high", api, "formats of wide characters need PASSIVE_LEVEL");
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
        text.pop_back();
    }
    world().note("driver: " + text);
}

/// Any IRQL up to DISPATCH_LEVEL here; formats of wide characters at PASSIVE_LEVEL only [V5].
FLTSIM_KERNEL ULONG NTAPI DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...) {
    KernelCall call("DbgPrintEx", HIGH_LEVEL);
    KernelArguments arguments;
    KERNEL_VA_START(arguments, Format);
    ke::print_debug("DbgPrintEx", "", Format, arguments);
    KERNEL_VA_END(arguments);
    return static_cast<ULONG>(STATUS_SUCCESS);
}

/// The same without a component.
FLTSIM_KERNEL ULONG NTAPI DbgPrint(PCSTR Format, ...) {
    KernelCall call("DbgPrint", HIGH_LEVEL);
    KernelArguments arguments;
    KERNEL_VA_START(arguments, Format);
    ke::print_debug("DbgPrint", "", Format, arguments);
    KERNEL_VA_END(arguments);
    return static_cast<ULONG>(STATUS_SUCCESS);
}

/// Any IRQL. Stops the world.
FLTSIM_KERNEL void NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                                      ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4) {
    KernelCall call("KeBugCheckEx", HIGH_LEVEL);
    char rule[32];
    char text[128];
    std::snprintf(rule, sizeof rule, "BUGCHECK 0x%X", BugCheckCode);
    std::snprintf(
        text, sizeof text, "0x%llX, 0x%llX, 0x%llX, 0x%llX", static_cast<unsigned long long>(BugCheckParameter1),
        static_cast<unsigned long long>(BugCheckParameter2), static_cast<unsigned long long>(BugCheckParameter3),
        static_cast<unsigned long long>(BugCheckParameter4));
    bugcheck(rule, "KeBugCheckEx", text);
}
