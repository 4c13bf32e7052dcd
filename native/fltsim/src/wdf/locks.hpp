// SPDX-License-Identifier: MIT
//
// This module provides: the framework's spin lock and wait lock. A wait lock is not recursive and disables normal kernel APCs while it is held.
#pragma once

#include "wdf/object.hpp"

namespace fltsim::wdf {

class SpinLock final : public Object {
  public:
    using Object::Object;
    const char *type_name() const override { return "WDFSPINLOCK"; }
    void check_deletable(const char *api) override;
    void destroy() override;
    KSPIN_LOCK lock = 0;
    KIRQL old_irql = PASSIVE_LEVEL; ///< of the owner
};

class WaitLock final : public Object {
  public:
    using Object::Object;
    const char *type_name() const override { return "WDFWAITLOCK"; }
    void check_deletable(const char *api) override;
    void destroy() override;
    Thread *owner = nullptr;
};

NTSTATUS NTAPI spin_lock_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, WDFSPINLOCK *lock);
void NTAPI spin_lock_acquire(PWDF_DRIVER_GLOBALS globals, WDFSPINLOCK lock);
void NTAPI spin_lock_release(PWDF_DRIVER_GLOBALS globals, WDFSPINLOCK lock);
NTSTATUS NTAPI wait_lock_create(PWDF_DRIVER_GLOBALS globals, PWDF_OBJECT_ATTRIBUTES attributes, WDFWAITLOCK *lock);
NTSTATUS NTAPI wait_lock_acquire(PWDF_DRIVER_GLOBALS globals, WDFWAITLOCK lock, PLONGLONG timeout_100ns);
void NTAPI wait_lock_release(PWDF_DRIVER_GLOBALS globals, WDFWAITLOCK lock);

} // namespace fltsim::wdf
