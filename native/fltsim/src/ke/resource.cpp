// SPDX-License-Identifier: MIT
//
// This module provides: resources (ERESOURCE), locks with one exclusive owner or many shared ones. The structure is the driver's, with its real
// layout; who owns it and who waits is kept here, so its members stay as they were initialised.
//
//      free --shared--> shared --release of the last--> the first exclusive waiter, or free
//      free --exclusive--> exclusive --release of the last--> all shared waiters together, or the first exclusive one, or free
//
// Invariants: an owner's count is above 0; nobody waits for a free resource; who owns it already never waits for more of the same.
#include <algorithm>
#include <string>

#include "ke/locks.hpp"
#include "ke/pool.hpp"
#include "ke/state.hpp"

using namespace fltsim;
using ke::LockKind;

namespace {

std::string resource_text(const void *resource) {
    char text[40];
    std::snprintf(text, sizeof text, "resource %p", resource);
    return text;
}

ke::Resource &checked(const char *api, PERESOURCE resource) {
    auto &all = ke::world_state().resources;
    const auto found = all.find(resource);
    if (found == all.end()) {
        bugcheck("RESOURCE not initialised", api,
                 resource_text(resource) + ": it was never initialised, was moved, or was deleted");
    }
    return found->second;
}

/// A thread that is suspended by an APC while it owns the resource would keep everybody else out.
bool apcs_enabled() {
    const Thread &thread = current_thread();
    return thread.irql < APC_LEVEL && thread.kernel_apc_disable == 0;
}

void check_apcs_disabled(const char *api, const void *resource) {
    if (apcs_enabled()) {
        bugcheck("RESOURCE acquired with normal kernel APCs enabled", api,
                 resource_text(resource) + ": call KeEnterCriticalRegion first, or FltAcquireResource...");
    }
}

void grant(ke::Resource &resource, ke::ResourceWaiter &waiter) {
    ++resource.owners[waiter.thread];
    resource.exclusive = waiter.exclusive ? waiter.thread : 0;
    waiter.granted = true;
    world().wake(&waiter);
}

/// Nobody owns it any more: the next owners. `shared_first`: an exclusive owner has left.
void hand_on(ke::Resource &resource, bool shared_first) {
    auto &waiters = resource.waiters;
    const auto is_shared = [](const ke::ResourceWaiter *waiter) { return !waiter->exclusive; };
    const auto exclusive = std::ranges::find_if_not(waiters, is_shared);
    const bool any_shared = std::ranges::any_of(waiters, is_shared);
    if (exclusive != waiters.end() && !(shared_first && any_shared)) {
        ke::ResourceWaiter &next = **exclusive;
        waiters.erase(exclusive);
        grant(resource, next);
        return;
    }
    for (ke::ResourceWaiter *waiter : waiters) {
        if (!waiter->exclusive) {
            grant(resource, *waiter);
        }
    }
    std::erase_if(waiters, is_shared);
}

bool wait(ke::Resource &resource, bool exclusive) {
    ke::ResourceWaiter waiter{current_thread().id, exclusive, false};
    resource.waiters.push_back(&waiter);
    world().block(&waiter, [&waiter] { return waiter.granted; });
    if (!waiter.granted) { // the world ends
        std::erase(resource.waiters, &waiter);
    }
    return waiter.granted;
}

bool own_exclusive(const char *api, PERESOURCE native, bool may_wait, const void *code) {
    ke::Resource &resource = checked(api, native);
    check_apcs_disabled(api, native);
    const uint64_t self = current_thread().id;
    if (may_wait) {
        ke::ask_for_lock(api, {native, LockKind::Resource, true, code});
    }
    if (resource.owners.empty() || resource.exclusive == self) {
        resource.exclusive = self;
        ++resource.owners[self];
        return true;
    }
    if (!may_wait) {
        return false;
    }
    if (resource.owners.contains(self)) {
        bugcheck("RESOURCE shared, then exclusive", api,
                 resource_text(native) +
                     ": this thread owns it shared already, and would wait for itself to release it");
    }
    return wait(resource, true);
}

bool own_shared(const char *api, PERESOURCE native, bool may_wait, const void *code) {
    ke::Resource &resource = checked(api, native);
    check_apcs_disabled(api, native);
    const uint64_t self = current_thread().id;
    if (may_wait) {
        ke::ask_for_lock(api, {native, LockKind::Resource, false, code});
    }
    const bool somebody_waits = std::ranges::any_of(resource.waiters, &ke::ResourceWaiter::exclusive);
    if (resource.owners.empty() || resource.owners.contains(self) || (resource.exclusive == 0 && !somebody_waits)) {
        ++resource.owners[self];
        return true;
    }
    return may_wait && wait(resource, false);
}

bool acquire(const char *api, PERESOURCE native, bool exclusive, bool may_wait, const void *code) {
    if (!(exclusive ? own_exclusive : own_shared)(api, native, may_wait, code)) {
        return false;
    }
    ke::lock_taken(api, current_thread(), {native, LockKind::Resource, exclusive, code});
    return true;
}

void release(const char *api, PERESOURCE native) {
    ke::Resource &resource = checked(api, native);
    const auto owner = resource.owners.find(current_thread().id);
    if (owner == resource.owners.end()) {
        bugcheck("RESOURCE released by a thread that does not own it", api, resource_text(native));
    }
    if (apcs_enabled()) {
        bugcheck("RESOURCE released with normal kernel APCs enabled", api,
                 resource_text(native) + ": the critical region of its acquisition was left before");
    }
    ke::lock_released(current_thread(), native);
    if (--owner->second != 0) {
        return;
    }
    resource.owners.erase(owner);
    if (resource.owners.empty()) {
        const bool was_exclusive = resource.exclusive != 0;
        resource.exclusive = 0;
        hand_on(resource, was_exclusive);
    }
}

} // namespace

void ke::check_no_resource(const char *api, const void *memory, size_t bytes) {
    const auto &all = world_state().resources;
    const auto found = all.lower_bound(memory);
    if (found != all.end() && found->first < static_cast<const char *>(memory) + bytes) {
        bugcheck("RESOURCE in memory that is freed", api,
                 resource_text(found->first) + ": call ExDeleteResourceLite first");
    }
}

void ke::report_resource_leaks() {
    auto &all = world_state().resources;
    for (const auto &[native, resource] : all) {
        world().leak(resource_text(native) + " was never deleted (ExDeleteResourceLite)");
    }
    std::erase_if(all, [](const auto &entry) { return entry.second.waiters.empty(); });
}

/// IRQL <= DISPATCH_LEVEL. Always STATUS_SUCCESS.
FLTSIM_KERNEL NTSTATUS NTAPI ExInitializeResourceLite(PERESOURCE Resource) {
    constexpr const char *kApi = "ExInitializeResourceLite";
    KernelCall call(kApi, DISPATCH_LEVEL);
    if (Resource == nullptr || reinterpret_cast<uintptr_t>(Resource) % alignof(ERESOURCE) != 0) {
        bugcheck("RESOURCE storage", kApi, resource_text(Resource) + ": null or not aligned");
    }
    pool::check_resident(kApi, Resource, "a resource");
    auto &all = ke::world_state().resources;
    if (all.contains(Resource)) {
        bugcheck("RESOURCE initialised again", kApi, resource_text(Resource) + ": delete it first");
    }
    *Resource = ERESOURCE{};
    Resource->SystemResourcesList.Flink = &Resource->SystemResourcesList;
    Resource->SystemResourcesList.Blink = &Resource->SystemResourcesList;
    all.emplace(Resource, ke::Resource{});
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL. Nobody owns it or waits for it. Always STATUS_SUCCESS.
FLTSIM_KERNEL NTSTATUS NTAPI ExDeleteResourceLite(PERESOURCE Resource) {
    constexpr const char *kApi = "ExDeleteResourceLite";
    KernelCall call(kApi, DISPATCH_LEVEL);
    if (!checked(kApi, Resource).owners.empty()) {
        bugcheck("RESOURCE deleted while it is owned", kApi, resource_text(Resource));
    }
    ke::check_no_lock(kApi, Resource, sizeof *Resource);
    ke::world_state().resources.erase(Resource);
    return STATUS_SUCCESS;
}

/// IRQL <= APC_LEVEL, normal kernel APCs disabled. FALSE only without Wait. Recursive; from shared to exclusive never.
FLTSIM_KERNEL BOOLEAN NTAPI ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait) {
    constexpr const char *kApi = "ExAcquireResourceExclusiveLite";
    KernelCall call(kApi, APC_LEVEL);
    return acquire(kApi, Resource, true, Wait != FALSE, FLTSIM_CALLER) ? TRUE : FALSE;
}

/// IRQL <= APC_LEVEL, normal kernel APCs disabled. FALSE only without Wait. An owner gets more of what it has at once, exclusive or shared;
/// others wait behind an exclusive waiter.
FLTSIM_KERNEL BOOLEAN NTAPI ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait) {
    constexpr const char *kApi = "ExAcquireResourceSharedLite";
    KernelCall call(kApi, APC_LEVEL);
    return acquire(kApi, Resource, false, Wait != FALSE, FLTSIM_CALLER) ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL. By the thread that has acquired it.
FLTSIM_KERNEL void NTAPI ExReleaseResourceLite(PERESOURCE Resource) {
    constexpr const char *kApi = "ExReleaseResourceLite";
    KernelCall call(kApi, DISPATCH_LEVEL);
    release(kApi, Resource);
}

/// IRQL <= DISPATCH_LEVEL. Whether the current thread owns it exclusively.
FLTSIM_KERNEL BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource) {
    constexpr const char *kApi = "ExIsResourceAcquiredExclusiveLite";
    KernelCall call(kApi, DISPATCH_LEVEL);
    return checked(kApi, Resource).exclusive == current_thread().id ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL. How many times the current thread has acquired it, shared or exclusively.
FLTSIM_KERNEL ULONG NTAPI ExIsResourceAcquiredSharedLite(PERESOURCE Resource) {
    constexpr const char *kApi = "ExIsResourceAcquiredSharedLite";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const auto &owners = checked(kApi, Resource).owners;
    const auto found = owners.find(current_thread().id);
    return found == owners.end() ? 0 : found->second;
}

/// IRQL <= APC_LEVEL. Enters a critical region, then waits for the resource.
FLTSIM_KERNEL void FLTAPI FltAcquireResourceExclusive(PERESOURCE Resource) {
    constexpr const char *kApi = "FltAcquireResourceExclusive";
    KernelCall call(kApi, APC_LEVEL);
    ++executing().kernel_apc_disable;
    acquire(kApi, Resource, true, true, FLTSIM_CALLER);
}

/// IRQL <= APC_LEVEL. Enters a critical region, then waits for the resource.
FLTSIM_KERNEL void FLTAPI FltAcquireResourceShared(PERESOURCE Resource) {
    constexpr const char *kApi = "FltAcquireResourceShared";
    KernelCall call(kApi, APC_LEVEL);
    ++executing().kernel_apc_disable;
    acquire(kApi, Resource, false, true, FLTSIM_CALLER);
}

/// IRQL <= DISPATCH_LEVEL. Releases the resource and leaves the critical region.
FLTSIM_KERNEL void FLTAPI FltReleaseResource(PERESOURCE Resource) {
    constexpr const char *kApi = "FltReleaseResource";
    KernelCall call(kApi, DISPATCH_LEVEL);
    release(kApi, Resource);
    if (executing().kernel_apc_disable == 0) {
        bugcheck("CRITICAL_REGION left without being entered", kApi,
                 "the resource was acquired with FltAcquireResource..., and the region was left before");
    }
    --executing().kernel_apc_disable;
}
