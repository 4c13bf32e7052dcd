// SPDX-License-Identifier: MIT
//
// This module provides: EtwRegister, EtwUnregister, EtwEventEnabled, EtwProviderEnabled, EtwWrite, and the switch and log behind them.

#include "ke/trace.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/faults.hpp"
#include "ke/state.hpp"

namespace fltsim::ke {

namespace {

constexpr size_t EVENTS_KEPT = 65'536;
constexpr ULONG CONTROL_CODE_DISABLE = 0;
constexpr ULONG CONTROL_CODE_ENABLE = 1;

bool wants(const std::optional<TraceFilter> &filter, uint8_t level, uint64_t keyword) {
    return filter && (filter->level == 0 || level <= filter->level) &&
           (filter->any_keyword == 0 || keyword == 0 || (keyword & filter->any_keyword) != 0);
}

/// Null for a handle of 0, which a driver whose registration failed may keep using.
Trace::Provider *provider_of(REGHANDLE handle, const char *api) {
    if (handle == 0) {
        return nullptr;
    }
    auto &providers = trace().providers;
    const auto found = providers.find(handle);
    if (found == providers.end()) {
        bugcheck("VER-02 parameter", api, "the REGHANDLE is not registered, or not any more");
    }
    return &found->second;
}

} // namespace

Trace &trace() {
    return *world_state().trace;
}

void Trace::notify(REGHANDLE handle) {
    const auto found = providers.find(handle);
    if (found == providers.end() || found->second.leaving || !found->second.callback) {
        return;
    }
    const Provider provider = found->second; // its callback may unregister it
    const TraceFilter filter = provider.enabled.value_or(TraceFilter{});
    const uint64_t self = executing().id;
    running_.emplace_back(handle, self);
    {
        DriverCall driver("EnableCallback");
        constexpr GUID SOURCE{}; // a session that was started without naming itself
        provider.callback(&SOURCE, provider.enabled ? CONTROL_CODE_ENABLE : CONTROL_CODE_DISABLE, filter.level,
                          filter.any_keyword, 0, nullptr, provider.context);
    }
    running_.erase(std::ranges::find(running_, std::pair(handle, self)));
    world().wake(&running_);
}

void Trace::unregister(REGHANDLE handle) {
    providers.at(handle).leaving = true;
    world().block(&running_, [&] {
        return std::ranges::none_of(running_, [&](const auto &callback) {
            return callback.first == handle && callback.second != executing().id;
        });
    });
    providers.erase(handle);
}

void Trace::enable(std::optional<TraceFilter> filter) {
    filter_ = filter;
    std::vector<REGHANDLE> handles;
    for (auto &[handle, provider] : providers) {
        provider.enabled = filter;
        handles.push_back(handle);
    }
    for (const REGHANDLE handle : handles) {
        notify(handle);
    }
}

void Trace::check_none_registered() const {
    if (!providers.empty()) {
        bugcheck("C4/DD EtwUnregister missing", "unload",
                 std::to_string(providers.size()) +
                     " event provider(s) are still registered: the next trace session calls into the unloaded image");
    }
}

} // namespace fltsim::ke

using namespace fltsim;

/// IRQL = PASSIVE_LEVEL. STATUS_NO_MEMORY when the fault switch fires. When a session has the provider on already, the callback runs before this
/// returns.
FLTSIM_KERNEL NTSTATUS NTAPI EtwRegister(LPCGUID ProviderId, PETWENABLECALLBACK EnableCallback, PVOID CallbackContext,
                                         PREGHANDLE RegHandle) {
    KernelCall call("EtwRegister", PASSIVE_LEVEL);
    *RegHandle = 0;
    if (ProviderId == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (const auto failure = failing("EtwRegister")) {
        return *failure;
    }
    ke::Trace &trace = ke::trace();
    const REGHANDLE handle = trace.next_handle++;
    trace.providers.emplace(handle, ke::Trace::Provider{*ProviderId, EnableCallback, CallbackContext, trace.enabled()});
    *RegHandle = handle;
    if (trace.enabled()) {
        trace.notify(handle);
    }
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. STATUS_INVALID_HANDLE for 0. Waits for callbacks of the provider in other threads [E]: what they are code of may go next.
FLTSIM_KERNEL NTSTATUS NTAPI EtwUnregister(REGHANDLE RegHandle) {
    KernelCall call("EtwUnregister", PASSIVE_LEVEL);
    if (ke::provider_of(RegHandle, "EtwUnregister") == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    ke::trace().unregister(RegHandle);
    return STATUS_SUCCESS;
}

/// Any IRQL. FALSE for a handle of 0.
FLTSIM_KERNEL BOOLEAN NTAPI EtwProviderEnabled(REGHANDLE RegHandle, UCHAR Level, ULONGLONG Keyword) {
    KernelCall call("EtwProviderEnabled", HIGH_LEVEL);
    const auto *provider = ke::provider_of(RegHandle, "EtwProviderEnabled");
    return provider != nullptr && ke::wants(provider->enabled, Level, Keyword) ? TRUE : FALSE;
}

/// Any IRQL. FALSE for a handle of 0.
FLTSIM_KERNEL BOOLEAN NTAPI EtwEventEnabled(REGHANDLE RegHandle, PCEVENT_DESCRIPTOR EventDescriptor) {
    KernelCall call("EtwEventEnabled", HIGH_LEVEL);
    const auto *provider = ke::provider_of(RegHandle, "EtwEventEnabled");
    return provider != nullptr && ke::wants(provider->enabled, EventDescriptor->Level, EventDescriptor->Keyword)
               ? TRUE
               : FALSE;
}

/// Any IRQL. STATUS_INVALID_HANDLE for 0, STATUS_INVALID_PARAMETER for more than 128 pieces, STATUS_INTEGER_OVERFLOW for more than 64 KB. An event that no
/// session wants is a success.
FLTSIM_KERNEL NTSTATUS NTAPI EtwWrite(REGHANDLE RegHandle, PCEVENT_DESCRIPTOR EventDescriptor, LPCGUID ActivityId,
                                      ULONG UserDataCount, PEVENT_DATA_DESCRIPTOR UserData) {
    constexpr ULONG MAX_PIECES = 128;
    constexpr size_t MAX_BYTES = 64 * 1024;
    KernelCall call("EtwWrite", HIGH_LEVEL);
    const auto *provider = ke::provider_of(RegHandle, "EtwWrite");
    if (provider == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    if (UserDataCount > MAX_PIECES || (UserDataCount != 0 && UserData == nullptr)) {
        return STATUS_INVALID_PARAMETER;
    }
    size_t bytes = 0;
    for (ULONG i = 0; i < UserDataCount; ++i) {
        if (UserData[i].Reserved != 0) {
            bugcheck("VER-02 parameter", "EtwWrite",
                     "EVENT_DATA_DESCRIPTOR.Reserved is not 0: make descriptors with EventDataDescCreate");
        }
        bytes += UserData[i].Size;
    }
    if (bytes > MAX_BYTES) {
        return STATUS_INTEGER_OVERFLOW;
    }
    if (!ke::wants(provider->enabled, EventDescriptor->Level, EventDescriptor->Keyword)) {
        return STATUS_SUCCESS;
    }
    if (const auto failure = failing("EtwWrite")) {
        return *failure;
    }
    ke::TraceEvent event;
    event.provider = provider->id;
    event.descriptor = *EventDescriptor;
    event.irql = executing().irql;
    event.thread_id = current_thread().id;
    event.data.reserve(bytes);
    for (ULONG i = 0; i < UserDataCount; ++i) {
        const auto *piece = reinterpret_cast<const uint8_t *>(static_cast<uintptr_t>(UserData[i].Ptr));
        event.data.insert(event.data.end(), piece, piece + UserData[i].Size);
    }
    auto &log = ke::trace().log;
    if (log.size() == ke::EVENTS_KEPT) {
        log.pop_front();
    }
    log.push_back(std::move(event));
    return STATUS_SUCCESS;
}
