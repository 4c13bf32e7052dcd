// SPDX-License-Identifier: MIT
//
// This module provides: host.hpp. In a file of its own: the system's headers and the driver's do not go together.

#include "core/host.hpp"

#if defined(_WIN32)

#include <windows.h>

#include <csetjmp>

namespace fltsim::host {

namespace {

FaultTarget fault_target = nullptr;

[[noreturn]] void jump(void *buffer) {
    longjmp(*static_cast<jmp_buf *>(buffer), 1);
}

LONG CALLBACK on_exception(EXCEPTION_POINTERS *exception) {
    const EXCEPTION_RECORD &record = *exception->ExceptionRecord;
    if (record.ExceptionCode != EXCEPTION_ACCESS_VIOLATION && record.ExceptionCode != EXCEPTION_IN_PAGE_ERROR) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    void *address = record.NumberParameters >= 2 ? reinterpret_cast<void *>(record.ExceptionInformation[1]) : nullptr;
    void *buffer = fault_target(address);
    if (buffer == nullptr) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    // The thread goes on as if it had called jump(): not from here, where the system still has frames of its own on the stack.
    CONTEXT &context = *exception->ContextRecord;
    context.Rip = reinterpret_cast<DWORD64>(&jump);
    context.Rcx = reinterpret_cast<DWORD64>(buffer);
    context.Rsp = ((context.Rsp - 128) & ~DWORD64{15}) - 40;
    return EXCEPTION_CONTINUE_EXECUTION;
}

} // namespace

uint32_t last_error() {
    return GetLastError();
}

uint32_t thread_id() {
    return GetCurrentThreadId();
}

uint32_t process_id() {
    return GetCurrentProcessId();
}

void handle_faults(FaultTarget target) {
    fault_target = target;
    AddVectoredExceptionHandler(1, on_exception);
}

} // namespace fltsim::host

#else

#include <unistd.h>

namespace fltsim::host {

uint32_t thread_id() {
    return static_cast<uint32_t>(::gettid());
}

uint32_t process_id() {
    return static_cast<uint32_t>(::getpid());
}

} // namespace fltsim::host

#endif
