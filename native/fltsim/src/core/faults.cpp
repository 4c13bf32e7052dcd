// SPDX-License-Identifier: MIT
//
// This module provides: FaultSwitches (faults.hpp), and the list of calls that can fail, with their statuses.

#include "core/faults.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/world.hpp"

namespace fltsim {

namespace {

struct Status {
    std::string_view name;
    NTSTATUS value;
};
#define S(Name)                                                                                                        \
    Status {                                                                                                           \
        #Name, Name                                                                                                    \
    }

constexpr size_t MAX_STATUSES = 5;

struct Fallible {
    std::string_view function;
    std::array<Status, MAX_STATUSES> statuses{}; ///< up to the first without a name; none: FALSE, or NULL
    bool any = true; ///< "*" is for it too
    constexpr size_t ways() const {
        return std::max<size_t>(
            1, static_cast<size_t>(std::ranges::count_if(statuses, [](const Status &s) { return !s.name.empty(); })));
    }
};

/// Every call of the model that asks fault() or failing(). Sorted. The first status is the default. Not for "*": FltGetInstanceContext, whose one failure says
/// that the driver has set none, and the accepted top-level IRP, which is no failure.
constexpr auto FALLIBLE = std::to_array<Fallible>({
    {"EtwRegister", {S(STATUS_NO_MEMORY)}},
    {"EtwWrite", {S(STATUS_NO_MEMORY)}},
    {"ExAllocatePool2", {}},
    {"ExAllocatePoolWithTag", {}},
    {"FltAllocateCallbackData", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltAllocateCallbackDataEx", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltAllocateContext", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_DELETING_OBJECT)}}, // CTX-02
    {"FltAllocateDeferredIoWorkItem", {}},
    {"FltAllocateExtraCreateParameter", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltAllocateExtraCreateParameterFromLookasideList", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltAllocateExtraCreateParameterList", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltAllocateGenericWorkItem", {}},
    {"FltAllocatePoolAlignedWithTag", {}},
    {"FltAttachVolume",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_INSTANCE_NAME_COLLISION), S(STATUS_FLT_DO_NOT_ATTACH),
      S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltAttachVolumeAtAltitude",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_INSTANCE_ALTITUDE_COLLISION),
      S(STATUS_FLT_INSTANCE_NAME_COLLISION), S(STATUS_FLT_DO_NOT_ATTACH), S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltBuildDefaultSecurityDescriptor", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltCreateCommunicationPort",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_COLLISION), S(STATUS_FLT_DELETING_OBJECT)}}, // PORT-01
    {"FltCreateFile",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED),
      S(STATUS_SHARING_VIOLATION)}},
    {"FltCreateFileEx",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED),
      S(STATUS_SHARING_VIOLATION)}},
    {"FltCreateFileEx2",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED),
      S(STATUS_SHARING_VIOLATION)}},
    {"FltDetachVolume", {S(STATUS_FLT_DELETING_OBJECT), S(STATUS_FLT_INSTANCE_NOT_FOUND), S(STATUS_FLT_DO_NOT_DETACH)}},
    {"FltDeviceIoControlFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltDoCompletionProcessingWhenSafe", {}},
    {"FltEnumerateFilters", {S(STATUS_BUFFER_TOO_SMALL)}},
    {"FltEnumerateInstances", {S(STATUS_BUFFER_TOO_SMALL)}},
    {"FltEnumerateVolumes", {S(STATUS_BUFFER_TOO_SMALL)}},
    {"FltFlushBuffers",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_MEDIA_WRITE_PROTECTED), S(STATUS_VOLUME_DISMOUNTED)}},
    {"FltFsControlFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltGetDestinationFileNameInformation",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_INVALID_PARAMETER), S(STATUS_NOT_SAME_DEVICE)}},
    {"FltGetDeviceObject", {S(STATUS_FLT_NO_DEVICE_OBJECT)}},
    {"FltGetDiskDeviceObject", {S(STATUS_FLT_NO_DEVICE_OBJECT)}},
    {"FltGetFileNameInformation",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_INVALID_NAME_REQUEST), S(STATUS_FLT_NAME_CACHE_MISS),
      S(STATUS_NOT_SAME_DEVICE), S(STATUS_ACCESS_DENIED)}}, // NAME-02, NAME-03
    {"FltGetFileNameInformationUnsafe",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_INVALID_NAME_REQUEST), S(STATUS_ACCESS_DENIED)}},
    {"FltGetFilterFromInstance", {S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltGetFilterFromName", {S(STATUS_FLT_FILTER_NOT_FOUND), S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltGetInstanceContext", {S(STATUS_NOT_FOUND)}, false},
    {"FltGetInstanceInformation", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_BUFFER_TOO_SMALL)}},
    {"FltGetStreamHandleContext", {S(STATUS_NOT_FOUND), S(STATUS_NOT_SUPPORTED)}}, // CTX-04
    {"FltGetTunneledName", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltGetVolumeFromFileObject", {S(STATUS_INVALID_PARAMETER), S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltGetVolumeGuidName",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_VOLUME_NOT_FOUND), S(STATUS_INVALID_DEVICE_REQUEST)}},
    {"FltGetVolumeName", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_BUFFER_TOO_SMALL)}},
    {"FltIsDirectory", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltIsVolumeSnapshot", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltIsVolumeWritable", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltLockUserBuffer", {S(STATUS_INSUFFICIENT_RESOURCES)}}, // BUF-02
    {"FltObjectReference", {S(STATUS_FLT_DELETING_OBJECT)}}, // CTX-10
    {"FltOpenVolume", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_ACCESS_DENIED)}},
    {"FltParseFileNameInformation", {S(STATUS_INVALID_PARAMETER)}},
    {"FltPerformAsynchronousIo", {S(STATUS_INSUFFICIENT_RESOURCES)}}, // BUF-05
    {"FltPerformSynchronousIo", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltQueryDirectoryFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltQueryDirectoryFileEx", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltQueryEaFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltQueryInformationByName",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED)}},
    {"FltQueryInformationFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"FltQuerySecurityObject", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltQueryVolumeInformation", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_INVALID_PARAMETER)}},
    {"FltQueryVolumeInformationFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"FltQueueDeferredIoWorkItem", {S(STATUS_FLT_NOT_SAFE_TO_POST_OPERATION), S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltQueueDeferredIoWorkItem:TopLevelIrp", {}, false},
    {"FltQueueGenericWorkItem", {S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltReadFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_END_OF_FILE), S(STATUS_FILE_LOCK_CONFLICT)}},
    {"FltReadFileEx", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_END_OF_FILE), S(STATUS_FILE_LOCK_CONFLICT)}},
    {"FltRegisterFilter",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_INVALID_PARAMETER), S(STATUS_FLT_NOT_INITIALIZED),
      S(STATUS_OBJECT_NAME_NOT_FOUND)}}, // REG-07
    {"FltRequestOperationStatusCallback", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltSendMessage",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_TIMEOUT), S(STATUS_PORT_DISCONNECTED),
      S(STATUS_THREAD_IS_TERMINATING)}}, // MSG-01
    {"FltSetEaFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltSetInformationFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltSetInstanceContext", {S(STATUS_FLT_DELETING_OBJECT), S(STATUS_NOT_SUPPORTED)}}, // CTX-03
    {"FltSetSecurityObject", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltSetStreamHandleContext",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_FLT_DELETING_OBJECT), S(STATUS_NOT_SUPPORTED)}}, // CTX-03
    {"FltSetVolumeInformation", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltStartFiltering",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_INVALID_PARAMETER), S(STATUS_FLT_DELETING_OBJECT)}},
    {"FltSupportsStreamHandleContexts", {}},
    {"FltTagFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltUntagFile", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"FltWriteFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_DISK_FULL), S(STATUS_FILE_LOCK_CONFLICT)}},
    {"FltWriteFileEx", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_DISK_FULL), S(STATUS_FILE_LOCK_CONFLICT)}},
    {"IoAllocateMdl", {}},
    {"IoVolumeDeviceToDosName", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"MmMapLockedPagesSpecifyCache", {}},
    {"ObOpenObjectByPointer", {S(STATUS_ACCESS_DENIED), S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"ObReferenceObjectByHandle", {S(STATUS_ACCESS_DENIED), S(STATUS_INVALID_HANDLE), S(STATUS_OBJECT_TYPE_MISMATCH)}},
    {"PsCreateSystemThread", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"PsLookupProcessByProcessId", {S(STATUS_INVALID_CID)}},
    {"PsLookupThreadByThreadId", {S(STATUS_INVALID_PARAMETER)}},
    {"PsSetCreateProcessNotifyRoutine", {S(STATUS_INVALID_PARAMETER)}},
    {"PsSetCreateProcessNotifyRoutineEx", {S(STATUS_INVALID_PARAMETER), S(STATUS_ACCESS_DENIED)}},
    {"PsSetCreateProcessNotifyRoutineEx2", {S(STATUS_INVALID_PARAMETER), S(STATUS_ACCESS_DENIED)}},
    {"RtlAnsiStringToUnicodeString", {S(STATUS_NO_MEMORY)}},
    {"RtlDowncaseUnicodeString", {S(STATUS_NO_MEMORY)}},
    {"RtlStringFromGUID", {S(STATUS_NO_MEMORY)}},
    {"RtlUnicodeStringToAnsiString", {S(STATUS_NO_MEMORY)}},
    {"RtlUpcaseUnicodeString", {S(STATUS_NO_MEMORY)}},
    {"RtlVolumeDeviceToDosName", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"SeLocateProcessImageName", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"WdfDriverCreate",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_INVALID_PARAMETER), S(STATUS_DRIVER_INTERNAL_ERROR)}},
    {"WdfDriverOpenParametersRegistryKey", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND)}},
    {"WdfLookasideListCreate", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"WdfMemoryCreate", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"WdfMemoryCreateFromLookaside", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"WdfObjectCreate", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"WdfRegistryQueryULong",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_TYPE_MISMATCH), S(STATUS_OBJECT_NAME_NOT_FOUND)}},
    {"WdfSpinLockCreate", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"WdfWaitLockCreate", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"ZwCreateEvent", {S(STATUS_INSUFFICIENT_RESOURCES)}},
    {"ZwCreateFile",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED),
      S(STATUS_SHARING_VIOLATION)}},
    {"ZwDeleteFile",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED),
      S(STATUS_SHARING_VIOLATION)}},
    {"ZwFlushBuffersFile",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_MEDIA_WRITE_PROTECTED), S(STATUS_VOLUME_DISMOUNTED)}},
    {"ZwOpenFile",
     {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_OBJECT_NAME_NOT_FOUND), S(STATUS_ACCESS_DENIED),
      S(STATUS_SHARING_VIOLATION)}},
    {"ZwOpenKey", {S(STATUS_ACCESS_DENIED), S(STATUS_INVALID_HANDLE)}},
    {"ZwOpenProcess", {S(STATUS_ACCESS_DENIED), S(STATUS_INVALID_CID)}},
    {"ZwQueryDirectoryFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"ZwQueryDirectoryFileEx", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"ZwQueryInformationFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"ZwQueryInformationProcess", {S(STATUS_ACCESS_DENIED), S(STATUS_INVALID_HANDLE)}},
    {"ZwQueryValueKey", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_INVALID_HANDLE)}},
    {"ZwQueryVolumeInformationFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"ZwReadFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_END_OF_FILE), S(STATUS_FILE_LOCK_CONFLICT)}},
    {"ZwSetInformationFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_VOLUME_DISMOUNTED)}},
    {"ZwWriteFile", {S(STATUS_INSUFFICIENT_RESOURCES), S(STATUS_DISK_FULL), S(STATUS_FILE_LOCK_CONFLICT)}},
});
#undef S
static_assert(std::ranges::is_sorted(FALLIBLE, {}, &Fallible::function));

constexpr std::string_view ANY = "*";
constexpr size_t FIRED_KEPT = 1000;

const Fallible *fallible(std::string_view function) {
    const auto found = std::ranges::lower_bound(FALLIBLE, function, {}, &Fallible::function);
    return found != FALLIBLE.end() && found->function == function ? &*found : nullptr;
}

/// What a switch's name says: of which function (ANY: of all), and with which of its statuses.
struct Named {
    std::string_view function;
    size_t status = 0;
};

std::optional<Named> parse(std::string_view name) {
    if (name == ANY) {
        return Named{ANY};
    }
    if (name.starts_with("*#")) {
        size_t status = 0;
        const char *const end = name.data() + name.size();
        const auto parsed = std::from_chars(name.data() + 2, end, status);
        return parsed.ec == std::errc() && parsed.ptr == end && status < MAX_STATUSES
                   ? std::optional(Named{ANY, status})
                   : std::nullopt;
    }
    if (const Fallible *whole = fallible(name)) {
        return Named{whole->function};
    }
    const size_t colon = name.find(':');
    const Fallible *const call = fallible(name.substr(0, colon));
    for (size_t i = 0; call != nullptr && i < call->ways(); ++i) {
        if (colon != std::string_view::npos && call->statuses[i].name == name.substr(colon + 1)) {
            return Named{call->function, i};
        }
    }
    return std::nullopt;
}

} // namespace

bool FaultSwitches::known(std::string_view function) {
    return fallible(function) != nullptr;
}

std::span<const std::string_view> FaultSwitches::names() {
    static constexpr auto NAMES = [] {
        std::array<std::string_view, FALLIBLE.size()> names;
        std::ranges::transform(FALLIBLE, names.begin(), &Fallible::function);
        return names;
    }();
    return NAMES;
}

bool FaultSwitches::set(std::string_view name, uint32_t skip, uint32_t count) {
    const std::optional<Named> named = parse(name);
    if (!named) {
        return false;
    }
    const std::lock_guard guard(mutex_);
    if (count == 0) {
        switches_.erase(named->function);
    } else {
        switches_[named->function] = Switch{skip, count, named->status};
    }
    armed_ = static_cast<uint32_t>(switches_.size());
    return true;
}

std::optional<NTSTATUS> FaultSwitches::fires(std::string_view function) {
    if (armed_.load(std::memory_order_relaxed) == 0) {
        return std::nullopt;
    }
    const Fallible &call = *fallible(function);
    const std::lock_guard guard(mutex_);
    std::optional<size_t> status;
    for (const std::string_view name : {call.function, ANY}) {
        const auto found = switches_.find(name);
        if (found == switches_.end() || (name == ANY && !call.any)) {
            continue;
        }
        if (found->second.skip != 0) {
            --found->second.skip;
            continue;
        }
        // "*#3" of a function with two ways to fail takes the last.
        status = std::min(found->second.status, call.ways() - 1);
        if (--found->second.count == 0) {
            switches_.erase(found);
        }
        break;
    }
    armed_ = static_cast<uint32_t>(switches_.size());
    if (!status) {
        return std::nullopt;
    }
    const Status &chosen = call.statuses[*status];
    if (fired_.size() < FIRED_KEPT) {
        fired_.push_back({std::string(function), std::string(chosen.name), static_cast<uint32_t>(call.ways())});
    }
    return chosen.name.empty() ? STATUS_UNSUCCESSFUL : chosen.value;
}

std::vector<FaultSwitches::Fired> FaultSwitches::fired() const {
    const std::lock_guard guard(mutex_);
    return fired_;
}

std::string FaultSwitches::json() const {
    std::string json = "[";
    for (const Fired &one : fired()) {
        json += (json.size() > 1 ? ",{\"function\":\"" : "{\"function\":\"") + one.function + "\",\"status\":\"" +
                one.status + "\",\"statuses\":" + std::to_string(one.statuses) + "}";
    }
    return json + "]";
}

std::optional<NTSTATUS> failing(const char *function) {
    World &here = world();
    if (!FaultSwitches::known(function)) {
        bugcheck("UNMODELLED", function, "asks for a fault switch that core/faults.cpp does not list");
    }
    const std::optional<NTSTATUS> status = here.faults->fires(function);
    if (status) {
        here.note(std::string("fault: ") + function + " fails on request");
    }
    return status;
}

bool fault(const char *function) {
    return failing(function).has_value();
}

} // namespace fltsim
