// SPDX-License-Identifier: MIT
#include "wdf/locks.hpp"

#include <optional>

#include "core/faults.hpp"
#include "ke/spin_lock.hpp"

namespace fltsim::wdf {
namespace {

template <class T, class Handle>
NTSTATUS create(const char *api, PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, Handle *handle) {
    Client &client = world().wdf->client(api, globals);
    if (handle == nullptr) {
        violation(api, "the place for the handle is null");
    }
    *handle = nullptr;
    Object *parent = nullptr;
    const NTSTATUS status = client.check_attributes(api, attributes, &parent);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (const auto failure = failing(api)) {
        return *failure;
    }
    T *made = client.adopt(std::make_unique<T>(client), parent, attributes);
    if (made == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *handle = static_cast<Handle>(made->handle());
    return STATUS_SUCCESS;
}

template <class T> T &live(const char *api, PWDF_DRIVER_GLOBALS globals, const void *handle, const char *wanted) {
    T &object = world().wdf->client(api, globals).template object<T>(api, handle, wanted);
    if (object.deleted) {
        violation(api, std::string("the ") + wanted + " was deleted");
    }
    return object;
}

} // namespace

void SpinLock::check_deletable(const char *api) {
    if (lock != 0) {
        violation(api, "the spin lock is held");
    }
}

void SpinLock::destroy() {
    ke::check_no_lock("WdfObjectDelete", handle(), 1);
}

void WaitLock::destroy() {
    ke::check_no_lock("WdfObjectDelete", handle(), 1);
}

void WaitLock::check_deletable(const char *api) {
    if (owner != nullptr) {
        violation(api, "the wait lock is held by " + owner->name);
    }
}

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI spin_lock_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, WDFSPINLOCK *lock) {
    KernelCall call("WdfSpinLockCreate", DISPATCH_LEVEL);
    return create<SpinLock>("WdfSpinLockCreate", globals, attributes, lock);
}

/// IRQL <= DISPATCH_LEVEL.
void NTAPI spin_lock_acquire(PWDF_DRIVER_GLOBALS globals, WDFSPINLOCK handle) {
    KernelCall call("WdfSpinLockAcquire", DISPATCH_LEVEL);
    SpinLock &lock = live<SpinLock>("WdfSpinLockAcquire", globals, handle, "WDFSPINLOCK");
    const KIRQL before = ke::acquire_spin_lock("WdfSpinLockAcquire", &lock.lock,
                                               {handle, ke::LockKind::FrameworkSpin, true, FLTSIM_CALLER});
    lock.old_irql = before;
}

/// IRQL = DISPATCH_LEVEL.
void NTAPI spin_lock_release(PWDF_DRIVER_GLOBALS globals, WDFSPINLOCK handle) {
    KernelCall call("WdfSpinLockRelease", DISPATCH_LEVEL);
    SpinLock &lock = live<SpinLock>("WdfSpinLockRelease", globals, handle, "WDFSPINLOCK");
    ke::release_spin_lock("WdfSpinLockRelease", &lock.lock, {handle, ke::LockKind::FrameworkSpin}, lock.old_irql);
}

/// IRQL <= DISPATCH_LEVEL.
NTSTATUS NTAPI wait_lock_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, WDFWAITLOCK *lock) {
    KernelCall call("WdfWaitLockCreate", DISPATCH_LEVEL);
    return create<WaitLock>("WdfWaitLockCreate", globals, attributes, lock);
}

/// IRQL = PASSIVE_LEVEL, with a timeout of 0 <= APC_LEVEL. Timeout in 100 ns as for KeWaitForSingleObject; null: for ever. STATUS_TIMEOUT.
NTSTATUS NTAPI wait_lock_acquire(PWDF_DRIVER_GLOBALS globals, WDFWAITLOCK handle, PLONGLONG timeout_100ns) {
    const bool try_only = timeout_100ns != nullptr && *timeout_100ns == 0;
    KernelCall call("WdfWaitLockAcquire", try_only ? APC_LEVEL : PASSIVE_LEVEL);
    WaitLock &lock = live<WaitLock>("WdfWaitLockAcquire", globals, handle, "WDFWAITLOCK");
    Thread &self = executing();
    if (lock.owner == &self) {
        violation("WdfWaitLockAcquire", "this thread holds the lock already: it would wait for itself");
    }
    const ke::HeldLock wanted{handle, ke::LockKind::FrameworkWait, true, FLTSIM_CALLER};
    if (timeout_100ns == nullptr) {
        ke::ask_for_lock("WdfWaitLockAcquire", wanted);
    }
    ++self.kernel_apc_disable;
    bool acquired = lock.owner == nullptr;
    if (!acquired && !try_only) {
        std::optional<uint64_t> deadline;
        if (timeout_100ns != nullptr) {
            const uint64_t now = world().interrupt_time_100ns();
            const uint64_t system_now = world().system_time_100ns();
            const int64_t timeout = *timeout_100ns;
            const uint64_t wait = timeout < 0 ? uint64_t{0} - static_cast<uint64_t>(timeout)
                                  : static_cast<uint64_t>(timeout) > system_now
                                      ? static_cast<uint64_t>(timeout) - system_now
                                      : 0;
            deadline = wait > UINT64_MAX - now ? UINT64_MAX : now + wait;
        }
        acquired = world().block(&lock, [&lock] { return lock.owner == nullptr; }, deadline);
    }
    if (!acquired) {
        --self.kernel_apc_disable;
        return STATUS_TIMEOUT;
    }
    lock.owner = &self;
    ke::lock_taken("WdfWaitLockAcquire", self, wanted);
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL.
void NTAPI wait_lock_release(PWDF_DRIVER_GLOBALS globals, WDFWAITLOCK handle) {
    KernelCall call("WdfWaitLockRelease", DISPATCH_LEVEL);
    WaitLock &lock = live<WaitLock>("WdfWaitLockRelease", globals, handle, "WDFWAITLOCK");
    Thread &self = executing();
    if (lock.owner != &self) {
        violation("WdfWaitLockRelease",
                  lock.owner == nullptr ? "nobody holds the lock" : "the lock is held by " + lock.owner->name);
    }
    lock.owner = nullptr;
    ke::lock_released(self, handle);
    if (self.kernel_apc_disable == 0) {
        violation("WdfWaitLockRelease", "the critical region of the acquisition was left already");
    }
    --self.kernel_apc_disable;
    world().wake(&lock);
}

} // namespace fltsim::wdf
