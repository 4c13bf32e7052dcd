// SPDX-License-Identifier: MIT
//
// This module provides: clocks, processors, IRQL, critical and guarded regions. The performance counter runs at 10 MHz on the world's clock, so
// it and the interrupt time are the same number.
#include <string>

#include "ke/state.hpp"

using namespace fltsim;

namespace {

constexpr LONGLONG PERFORMANCE_FREQUENCY_HZ = 10'000'000;
constexpr USHORT EVERY_GROUP = 0xFFFF;

ULONG processors_in(USHORT group) {
    return group == 0 || group == EVERY_GROUP ? world().options.processor_count : 0;
}

} // namespace

/// Any IRQL. 100 ns.
FLTSIM_KERNEL ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp) {
    KernelCall call("KeQueryInterruptTimePrecise", HIGH_LEVEL);
    const uint64_t now = world().interrupt_time_100ns();
    *QpcTimeStamp = now;
    return now;
}

/// Any IRQL. 100 ns since 1601.
FLTSIM_KERNEL void NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime) {
    KernelCall call("KeQuerySystemTimePrecise", HIGH_LEVEL);
    CurrentTime->QuadPart = static_cast<LONGLONG>(world().system_time_100ns());
}

/// Any IRQL. Ticks of 100 ns.
FLTSIM_KERNEL LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency) {
    KernelCall call("KeQueryPerformanceCounter", HIGH_LEVEL);
    if (PerformanceFrequency != nullptr) {
        PerformanceFrequency->QuadPart = PERFORMANCE_FREQUENCY_HZ;
    }
    LARGE_INTEGER now{};
    now.QuadPart = static_cast<LONGLONG>(world().interrupt_time_100ns());
    return now;
}

/// Any IRQL. 100 ns between two ticks of the clock. Nothing in the model waits for one.
FLTSIM_KERNEL ULONG NTAPI KeQueryTimeIncrement() {
    KernelCall call("KeQueryTimeIncrement", HIGH_LEVEL);
    constexpr ULONG TICK_100NS = 156'250;
    return TICK_100NS;
}

/// Any IRQL. Below DISPATCH_LEVEL the thread may be elsewhere by the time it looks at the answer.
FLTSIM_KERNEL ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber) {
    KernelCall call("KeGetCurrentProcessorNumberEx", HIGH_LEVEL);
    const uint32_t number = world().current_processor();
    if (ProcNumber != nullptr) {
        ProcNumber->Group = 0;
        ProcNumber->Number = static_cast<UCHAR>(number);
        ProcNumber->Reserved = 0;
    }
    return number;
}

/// Any IRQL. 0 for a group that does not exist; the model has one.
FLTSIM_KERNEL ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber) {
    KernelCall call("KeQueryMaximumProcessorCountEx", HIGH_LEVEL);
    return processors_in(GroupNumber);
}

/// Any IRQL.
FLTSIM_KERNEL ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber) {
    KernelCall call("KeQueryActiveProcessorCountEx", HIGH_LEVEL);
    return processors_in(GroupNumber);
}

/// Any IRQL.
FLTSIM_KERNEL KIRQL NTAPI KeGetCurrentIrql() {
    KernelCall call("KeGetCurrentIrql", HIGH_LEVEL);
    return executing().irql;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL void NTAPI KeEnterCriticalRegion() {
    KernelCall call("KeEnterCriticalRegion", APC_LEVEL);
    ++executing().kernel_apc_disable;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL void NTAPI KeLeaveCriticalRegion() {
    KernelCall call("KeLeaveCriticalRegion", APC_LEVEL);
    Thread &self = executing();
    if (self.kernel_apc_disable == ke::thread_state(self).guarded_regions) {
        bugcheck("CRITICAL_REGION left without being entered", "KeLeaveCriticalRegion",
                 "call KeEnterCriticalRegion first");
    }
    --self.kernel_apc_disable;
}

/// IRQL <= APC_LEVEL. Disables what a critical region disables, and special kernel APCs.
FLTSIM_KERNEL void NTAPI KeEnterGuardedRegion() {
    KernelCall call("KeEnterGuardedRegion", APC_LEVEL);
    Thread &self = executing();
    ++self.kernel_apc_disable;
    ++ke::thread_state(self).guarded_regions;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL void NTAPI KeLeaveGuardedRegion() {
    KernelCall call("KeLeaveGuardedRegion", APC_LEVEL);
    Thread &self = executing();
    uint32_t &entered = ke::thread_state(self).guarded_regions;
    if (entered == 0 || self.kernel_apc_disable == 0) {
        bugcheck("CRITICAL_REGION left without being entered", "KeLeaveGuardedRegion",
                 "call KeEnterGuardedRegion first");
    }
    --entered;
    --self.kernel_apc_disable;
}

/// IRQL <= DISPATCH_LEVEL. Whether the thread is in a critical or guarded region, whatever its IRQL.
FLTSIM_KERNEL BOOLEAN NTAPI KeAreApcsDisabled() {
    KernelCall call("KeAreApcsDisabled", DISPATCH_LEVEL);
    return executing().kernel_apc_disable != 0 ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL. By a guarded region, or by the IRQL.
FLTSIM_KERNEL BOOLEAN NTAPI KeAreAllApcsDisabled() {
    KernelCall call("KeAreAllApcsDisabled", DISPATCH_LEVEL);
    Thread &self = executing();
    return self.irql >= APC_LEVEL || ke::thread_state(self).guarded_regions != 0 ? TRUE : FALSE;
}
