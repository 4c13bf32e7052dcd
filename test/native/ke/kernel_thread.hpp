// SPDX-License-Identifier: MIT
//
// This module provides: system threads and times for tests of kernel calls. Inside a world only.
#pragma once

#include <functional>

#include "check.hpp"
#include "core/ddk.hpp"

namespace check {

using Body = std::function<void()>;

/// A system thread that is waited for when this goes. `body` outlives it.
class Started {
  public:
    explicit Started(Body &body) {
        HANDLE handle = nullptr;
        OBJECT_ATTRIBUTES attributes;
        InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
        CHECK_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, nullptr, nullptr, run, &body),
                 STATUS_SUCCESS);
        CHECK_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &thread_, nullptr),
                 STATUS_SUCCESS);
        CHECK_EQ(ZwClose(handle), STATUS_SUCCESS);
    }
    Started(const Started &) = delete;
    Started &operator=(const Started &) = delete;
    ~Started() {
        KeWaitForSingleObject(thread_, Executive, KernelMode, FALSE, nullptr);
        ObfDereferenceObject(thread_);
    }
    PVOID object() const { return thread_; }

  private:
    static void NTAPI run(PVOID context) { (*static_cast<Body *>(context))(); }
    PVOID thread_ = nullptr;
};

inline LARGE_INTEGER relative_ms(LONGLONG ms) {
    LARGE_INTEGER time{};
    time.QuadPart = -ms * 10'000;
    return time;
}

inline void sleep_ms(LONGLONG ms) {
    LARGE_INTEGER interval = relative_ms(ms);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

} // namespace check
