// SPDX-License-Identifier: MIT
//
// This module provides: clocks, processors, IRQL and critical regions. The performance counter runs at 10 MHz on the world's clock, so
// it and the interrupt time are the same number.
#include <string>

#include "core/world.hpp"

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
    if (executing().kernel_apc_disable == 0) {
        bugcheck("CRITICAL_REGION left without being entered", "KeLeaveCriticalRegion",
                 "call KeEnterCriticalRegion first");
    }
    --executing().kernel_apc_disable;
}

/// IRQL <= DISPATCH_LEVEL. The model has no guarded regions, so only the IRQL can disable all APCs.
FLTSIM_KERNEL BOOLEAN NTAPI KeAreAllApcsDisabled() {
    KernelCall call("KeAreAllApcsDisabled", DISPATCH_LEVEL);
    return executing().irql >= APC_LEVEL ? TRUE : FALSE;
}
