// SPDX-License-Identifier: MIT
//
// This module provides: what a Windows driver image's code was doing when it called the model: its registers at the call. gate.S writes
// them into the executing thread's record at each call; exceptions that the model raises, and stack traces, start there.
//
// Invariants: `rip` is 0 unless the innermost driver code of the thread is code of a Windows image (DriverCall keeps it so).
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__) && defined(__x86_64__)
/// Windows driver images can be loaded: they are x64 code, run in place.
#define FLTSIM_WINDOWS_IMAGES 1
#else
#define FLTSIM_WINDOWS_IMAGES 0
#endif

namespace fltsim::image {

/// What a called function must preserve under the Windows convention, and where it returns to. gate.S knows the offsets.
struct GateRecord {
    uint64_t rip = 0;
    uint64_t rsp = 0; ///< after the return
    uint64_t rbx = 0;
    uint64_t rbp = 0;
    uint64_t rsi = 0;
    uint64_t rdi = 0;
    uint64_t r12 = 0;
    uint64_t r13 = 0;
    uint64_t r14 = 0;
    uint64_t r15 = 0;
    uint64_t xmm[10][2] = {}; ///< xmm6 to xmm15
};
static_assert(offsetof(GateRecord, xmm) == 80 && sizeof(GateRecord) == 240);

#if FLTSIM_WINDOWS_IMAGES
/// The host thread writes into this record from now on; set_context calls it on each switch.
void set_gate(GateRecord *record);
/// To be called before driver code runs: once an image is loaded, each host thread that runs such code gets what exceptions need.
void prepare_host_thread();
#else
inline void set_gate(GateRecord *) {}
inline void prepare_host_thread() {}
#endif

} // namespace fltsim::image
