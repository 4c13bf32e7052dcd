// SPDX-License-Identifier: MIT
//
// This module provides: MmGetSystemRoutineAddress and FltGetRoutineAddress: what the model exports, by name. A driver that asks for what the model
// does not have is told what an older Windows would tell it, null, and the world's report has the name.
#include <algorithm>
#include <initializer_list>
#include <string>

#include "core/world.hpp"
#include "image/exports.hpp"
#include "ke/strings.hpp"

using namespace fltsim;

namespace {

constexpr char16_t NAMES_END = 0x80; ///< names of exports are ASCII

void *routine_of(const char *api, std::initializer_list<const char *> modules, const std::string &name) {
    for (const char *module : modules) {
        if (void *found = image::export_for_driver(module, name, api)) {
            return found;
        }
    }
    const std::string absent = std::string(*modules.begin()) + "!" + name;
    world().note(std::string(api) + ": the model has no " + absent + ", the driver got NULL");
    world().absent_routine(absent);
    return nullptr;
}

} // namespace

/// IRQL = PASSIVE_LEVEL. Routines and variables of ntoskrnl.exe and hal.dll; names are case-sensitive.
FLTSIM_KERNEL PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName) {
    constexpr const char *kApi = "MmGetSystemRoutineAddress";
    KernelCall call(kApi, PASSIVE_LEVEL);
    std::string name;
    for (const char16_t c : ke::string_view_of(kApi, SystemRoutineName)) {
        name += c < NAMES_END ? static_cast<char>(c) : '?';
    }
    return routine_of(kApi, {"ntoskrnl.exe", "hal.dll"}, name);
}

/// IRQL <= DISPATCH_LEVEL. Of fltmgr.sys alone.
FLTSIM_KERNEL PVOID FLTAPI FltGetRoutineAddress(PCSTR FltMgrRoutineName) {
    constexpr const char *kApi = "FltGetRoutineAddress";
    KernelCall call(kApi);
    if (FltMgrRoutineName == nullptr) {
        bugcheck("VER-02 parameter", kApi, "FltMgrRoutineName is null");
    }
    return routine_of(kApi, {"fltmgr.sys"}, FltMgrRoutineName);
}
