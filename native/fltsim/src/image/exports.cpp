// SPDX-License-Identifier: MIT
//
// This module provides: find_export and export_for_driver (exports.hpp).

#include "image/exports.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>

#include "core/world.hpp"
#include "image/dispatch.hpp"
#include "image/pe_image.hpp"

#if defined(_WIN32)
// Declared here: windows.h and the driver's headers do not go together.
extern "C" __declspec(dllimport) int __stdcall GetModuleHandleExW(unsigned long, const wchar_t *, void **);
extern "C" __declspec(dllimport) void *__stdcall GetProcAddress(void *, const char *);
#else
#include <dlfcn.h>
#endif

#if FLTSIM_WINDOWS_IMAGES
extern "C" {
// The ends of the section that FLTSIM_KERNEL puts functions into; the linker defines them.
__attribute__((visibility("hidden"))) extern const char __start_fltsim_kernel[];
__attribute__((visibility("hidden"))) extern const char __stop_fltsim_kernel[];
// gate.S
__attribute__((visibility("hidden"))) extern const char fltsim_memcpy[], fltsim_memmove[], fltsim_memset[];
__attribute__((visibility("hidden"))) extern const char fltsim_memcmp[], fltsim_chkstk[];
}
#endif

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

/// Functions of the model's own name in its symbol table.
void *own_symbol(std::string_view name) {
    static void *const self = [] {
        void *module = nullptr;
#if defined(_WIN32)
        constexpr unsigned long OF_ADDRESS_AND_NOT_COUNTED = 4 | 2;
        (void)GetModuleHandleExW(OF_ADDRESS_AND_NOT_COUNTED, reinterpret_cast<const wchar_t *>(&find_export), &module);
#else
        Dl_info info{};
        if (dladdr(reinterpret_cast<const void *>(&find_export), &info) != 0) {
            module = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        }
#endif
        return module;
    }();
    if (self == nullptr) {
        return nullptr;
    }
#if defined(_WIN32)
    return GetProcAddress(self, std::string(name).c_str());
#else
    return dlsym(self, std::string(name).c_str());
#endif
}

/// What neither is a kernel function in C++ nor may be called through the gate.
const void *plain_export(std::string_view name) {
    static const std::pair<std::string_view, const void *> TABLE[] = {
#if FLTSIM_WINDOWS_IMAGES
        {"memcpy", fltsim_memcpy},
        {"memmove", fltsim_memmove},
        {"memset", fltsim_memset},
        {"memcmp", fltsim_memcmp},
        {"__chkstk", fltsim_chkstk},
        {"__C_specific_handler", reinterpret_cast<const void *>(&c_specific_handler)},
#else // drivers are of this host, and so are their C functions
        {"memcpy", reinterpret_cast<const void *>(&std::memcpy)},
        {"memmove", reinterpret_cast<const void *>(&std::memmove)},
        {"memset", reinterpret_cast<const void *>(&std::memset)},
        {"memcmp", reinterpret_cast<const void *>(&std::memcmp)},
#endif
        {"PsThreadType", &PsThreadType},
        {"PsProcessType", &PsProcessType},
        {"IoFileObjectType", &IoFileObjectType},
    };
    const auto found = std::ranges::find(TABLE, name, [](const auto &row) { return row.first; });
    return found != std::end(TABLE) ? found->second : nullptr;
}

/// Whether a symbol of the model is one that drivers import.
bool is_of_kernel([[maybe_unused]] const void *symbol, [[maybe_unused]] std::string_view name) {
#if FLTSIM_WINDOWS_IMAGES
    return symbol >= __start_fltsim_kernel && symbol < __stop_fltsim_kernel;
#else // there is no section to tell it by: by the name, without what programs have of ntdll.dll
    static constexpr std::string_view PREFIXES[] = {"Dbg", "Etw",   "Ex", "Flt", "FsRtl", "Io",  "Ke", "Mm",
                                                    "Ob",  "Probe", "Ps", "Rtl", "Se",    "Wdf", "Zw"};
    static constexpr std::string_view USERS[] = {"RtlGetLastNtStatus", "RtlNtStatusToDosError"};
    return is_of_c(name) || (std::ranges::any_of(PREFIXES, [&](auto prefix) { return name.starts_with(prefix); }) &&
                             std::ranges::find(USERS, name) == std::end(USERS));
#endif
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
    return found != nullptr && is_of_kernel(found, name) ? Export{found, true} : Export{};
}

void *export_for_driver(std::string_view module, std::string_view name, [[maybe_unused]] const char *api) {
    const Export found = find_export(module, name);
#if FLTSIM_WINDOWS_IMAGES
    if (found.gated && called_by_image()) {
        PeImage *caller = image_at(executing().gate.rip);
        if (caller == nullptr) {
            unmodelled(api, "a call that is the last thing a driver's routine does, by a jump");
        }
        return caller->gate_of(name, found.address);
    }
#endif
    return found.address;
}

bool forced_integrity([[maybe_unused]] const void *routine) {
#if FLTSIM_WINDOWS_IMAGES
    const PeImage *image = image_at(reinterpret_cast<uint64_t>(routine));
    return image == nullptr || image->forced_integrity();
#else
    return true;
#endif
}

} // namespace fltsim::image
