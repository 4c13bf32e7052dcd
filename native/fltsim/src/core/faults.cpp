// SPDX-License-Identifier: MIT
//
// This module provides: FaultSwitches (faults.hpp) and the set of calls that have one.

#include "core/faults.hpp"

#include <algorithm>
#include <array>

#include "core/world.hpp"

namespace fltsim {

namespace {

/// Every call of the model that asks fault("..."). Sorted.
constexpr auto KNOWN = std::to_array<std::string_view>({
    "EtwRegister",
    "ExAllocatePoolWithTag",
    "FltAllocateContext",
    "FltAllocateDeferredIoWorkItem",
    "FltBuildDefaultSecurityDescriptor",
    "FltCreateCommunicationPort",
    "FltDoCompletionProcessingWhenSafe",
    "FltGetDestinationFileNameInformation",
    "FltGetFileNameInformation",
    "FltGetInstanceContext",
    "FltGetInstanceInformation",
    "FltGetStreamHandleContext",
    "FltGetVolumeFromFileObject",
    "FltGetVolumeName",
    "FltObjectReference",
    "FltParseFileNameInformation",
    "FltQueueDeferredIoWorkItem",
    "FltQueueDeferredIoWorkItem:TopLevelIrp",
    "FltRegisterFilter",
    "FltSendMessage",
    "FltSetInstanceContext",
    "FltSetStreamHandleContext",
    "FltStartFiltering",
    "ObReferenceObjectByHandle",
    "PsCreateSystemThread",
    "PsLookupThreadByThreadId",
    "WdfDriverCreate",
    "WdfDriverOpenParametersRegistryKey",
    "WdfLookasideListCreate",
    "WdfMemoryCreate",
    "WdfMemoryCreateFromLookaside",
    "WdfObjectCreate",
    "WdfRegistryQueryULong",
    "WdfSpinLockCreate",
    "WdfWaitLockCreate",
    "ZwOpenFile",
});
static_assert(std::ranges::is_sorted(KNOWN));

} // namespace

bool FaultSwitches::known(std::string_view function) {
    return std::ranges::binary_search(KNOWN, function);
}

bool FaultSwitches::set(std::string_view function, uint32_t skip, uint32_t count) {
    const auto name = std::ranges::lower_bound(KNOWN, function);
    if (name == KNOWN.end() || *name != function) {
        return false;
    }
    const std::lock_guard guard(mutex_);
    if (count == 0) {
        switches_.erase(*name);
    } else {
        switches_[*name] = Switch{skip, count};
    }
    armed_ = static_cast<uint32_t>(switches_.size());
    return true;
}

bool FaultSwitches::fires(std::string_view function) {
    if (armed_.load(std::memory_order_relaxed) == 0) {
        return false;
    }
    const std::lock_guard guard(mutex_);
    const auto found = switches_.find(function);
    if (found == switches_.end()) {
        return false;
    }
    if (found->second.skip != 0) {
        --found->second.skip;
        return false;
    }
    if (--found->second.count == 0) {
        switches_.erase(found);
        armed_ = static_cast<uint32_t>(switches_.size());
    }
    return true;
}

bool fault(const char *function) {
    World &here = world();
    if (!FaultSwitches::known(function)) {
        bugcheck("UNMODELLED", function, "asks for a fault switch that core/faults.cpp does not list");
    }
    if (!here.faults->fires(function)) {
        return false;
    }
    here.note(std::string("fault: ") + function + " fails on request");
    return true;
}

} // namespace fltsim
