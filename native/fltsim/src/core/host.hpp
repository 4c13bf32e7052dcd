// SPDX-License-Identifier: MIT
//
// This module provides: what the model needs of the system that it runs on and that each has its own way for.
#pragma once

#include <cstdint>

namespace fltsim::host {

uint32_t thread_id();
uint32_t process_id();

#if defined(_WIN32)
uint32_t last_error();
/// Who goes on after a fault: a jmp_buf, or null when it is not the model's. Runs in the thread that faulted, on its stack.
using FaultTarget = void *(*)(void *address);
/// Once for the process.
void handle_faults(FaultTarget target);
#endif

} // namespace fltsim::host
