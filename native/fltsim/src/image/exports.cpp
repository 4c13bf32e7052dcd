// SPDX-License-Identifier: MIT
//
// This module provides: find_export (exports.hpp).

#include "image/exports.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "core/ddk.hpp"
#include "image/dispatch.hpp"

extern "C" {
// The ends of the section that FLTSIM_KERNEL puts functions into; the linker defines them.
__attribute__((visibility("hidden"))) extern const char __start_fltsim_kernel[];
__attribute__((visibility("hidden"))) extern const char __stop_fltsim_kernel[];
// gate.S
__attribute__((visibility("hidden"))) extern const char fltsim_memcpy[], fltsim_memmove[], fltsim_memset[];
__attribute__((visibility("hidden"))) extern const char fltsim_memcmp[], fltsim_chkstk[];
}

namespace fltsim::image {

namespace {

bool equal_without_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view module_of(std::string_view name) {
    return name.starts_with("Flt") ? "fltmgr.sys" : name.starts_with("Wdf") ? "wdfldr.sys" : "ntoskrnl.exe";
}

/// What hal.dll exported while it was a module of its own; it passes these on to ntoskrnl.exe.
bool is_of_hal(std::string_view name) {
    static constexpr std::string_view NAMES[] = {"KeQueryPerformanceCounter"};
    return std::ranges::find(NAMES, name) != std::end(NAMES);
}

/// C functions, which have other names in the model (ke/crt.cpp): those of the kernel interface begin with a capital.
bool is_of_c(std::string_view name) {
    return !name.empty() && (name[0] == '_' || std::islower(static_cast<unsigned char>(name[0])) != 0);
}

/// Functions of the model's own name in its symbol table: dlsym in this library.
void *own_symbol(std::string_view name) {
    static void *const self = [] {
        Dl_info info{};
        void *handle = nullptr;
        if (dladdr(reinterpret_cast<const void *>(&find_export), &info) != 0) {
            handle = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        }
        return handle;
    }();
    return self != nullptr ? dlsym(self, std::string(name).c_str()) : nullptr;
}

/// What neither is a kernel function in C++ nor may be called through the gate.
const void *plain_export(std::string_view name) {
    static const std::pair<std::string_view, const void *> TABLE[] = {
        {"memcpy", fltsim_memcpy},       {"memmove", fltsim_memmove},
        {"memset", fltsim_memset},       {"memcmp", fltsim_memcmp},
        {"__chkstk", fltsim_chkstk},     {"__C_specific_handler", reinterpret_cast<const void *>(&c_specific_handler)},
        {"PsThreadType", &PsThreadType}, {"IoFileObjectType", &IoFileObjectType},
    };
    const auto found = std::ranges::find(TABLE, name, [](const auto &row) { return row.first; });
    return found != std::end(TABLE) ? found->second : nullptr;
}

} // namespace

Export find_export(std::string_view module, std::string_view name) {
    const bool right_module =
        equal_without_case(module, module_of(name)) || (equal_without_case(module, "hal.dll") && is_of_hal(name));
    if (!right_module || name.starts_with("FltSim")) {
        return {};
    }
    if (const void *plain = plain_export(name)) {
        return {const_cast<void *>(plain), false};
    }
    void *found = own_symbol(is_of_c(name) ? "FltSimCrt_" + std::string(name) : std::string(name));
    const bool kernel = found >= __start_fltsim_kernel && found < __stop_fltsim_kernel;
    return kernel ? Export{found, true} : Export{};
}

} // namespace fltsim::image

#endif
