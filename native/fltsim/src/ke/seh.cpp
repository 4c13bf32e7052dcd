// SPDX-License-Identifier: MIT
#include "ke/seh.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>

#include "core/per_thread.hpp"
#include "core/static_tls.hpp"
#include "image/dispatch.hpp"
#include "ke/state.hpp"

#include <csetjmp>

#include <seh_host.h>

#if defined(_WIN32)
#include "core/host.hpp"
#else
#include <csignal>
#include <sys/mman.h>
#endif

namespace fltsim::seh {

namespace {

FLTSIM_STATIC_TLS thread_local bool prepared = false;
FLTSIM_STATIC_TLS thread_local sigjmp_buf *volatile model_guard = nullptr;

std::string hex(uint64_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llX", static_cast<unsigned long long>(value));
    return text;
}

/// The frame that an exception in the executing driver code goes to, or null.
FLTSIM_SEH_FRAME *innermost_frame(Thread &thread) {
    const auto &depths = ke::thread_state(thread).seh_driver_depth;
    if (thread.seh_top == nullptr || depths.empty() || depths.back() != thread.driver_depth) {
        return nullptr;
    }
    return static_cast<FLTSIM_SEH_FRAME *>(thread.seh_top);
}

/// Who goes on after a fault at `address`: the model's own guarded copy, the driver's guarded block, or nobody of ours (null).
sigjmp_buf *fault_target(void *address) {
    if (!prepared) {
        return nullptr;
    }
    if (model_guard != nullptr) {
        return model_guard;
    }
    if (world_or_null() == nullptr || executing().model_depth != 0) {
        return nullptr;
    }
    Thread &thread = executing();
    FLTSIM_SEH_FRAME *frame = innermost_frame(thread);
    if (frame == nullptr) {
        return nullptr;
    }
    if (thread.irql >= DISPATCH_LEVEL) {
        bugcheck("V14 page fault at DISPATCH_LEVEL", "guarded code",
                 "address " + hex(reinterpret_cast<uintptr_t>(address)) +
                     ": touch a caller's memory below DISPATCH_LEVEL");
    }
    frame->Code = static_cast<ULONG>(STATUS_ACCESS_VIOLATION);
    return &frame->Buffer;
}

#if defined(_WIN32)

void install_handlers() {
    host::handle_faults([](void *address) -> void * { return fault_target(address); });
}

#else

#if FLTSIM_WINDOWS_IMAGES
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
#else
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS};
#endif
struct sigaction previous_action[std::size(SIGNALS)];

bool is_access(int signal) {
    return signal == SIGSEGV || signal == SIGBUS;
}

void hand_on(int signal, siginfo_t *info, void *context) {
    const auto which = std::find(std::begin(SIGNALS), std::end(SIGNALS), signal) - std::begin(SIGNALS);
    const struct sigaction &previous = previous_action[which];
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
        // A fault cannot be ignored. With the default action back, the instruction faults again and ends the process properly.
        struct sigaction action{};
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, nullptr);
    } else {
        previous.sa_handler(signal);
    }
}

void on_fault(int signal, siginfo_t *info, void *context) {
#if FLTSIM_WINDOWS_IMAGES
    // The model's own guarded copy comes first.
    if (prepared && model_guard == nullptr && world_or_null() != nullptr &&
        image::take_signal(signal, info, context, executing().model_depth == 0)) {
        return;
    }
#endif
    if (sigjmp_buf *target = is_access(signal) ? fault_target(info->si_addr) : nullptr; target != nullptr) {
        siglongjmp(*target, 1);
    }
    hand_on(signal, info, context);
}

/// A stack for the handlers, unless the host thread has one. Fibers have small stacks, and a handler must not depend on what is left.
class AlternateStack {
  public:
    AlternateStack() {
        stack_t current{};
        if (sigaltstack(nullptr, &current) != 0 || (current.ss_flags & SS_DISABLE) == 0) {
            return;
        }
        void *memory = mmap(nullptr, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            std::fprintf(stderr,
                         "fltsim: no memory for a signal stack; exceptions in this thread will end the process\n");
            return;
        }
        stack_t wanted{};
        wanted.ss_sp = memory;
        wanted.ss_size = BYTES;
        if (sigaltstack(&wanted, nullptr) != 0) {
            munmap(memory, BYTES);
            return;
        }
        memory_ = memory;
    }
    ~AlternateStack() {
        if (memory_ == nullptr) {
            return;
        }
        prepared = false;
        stack_t off{};
        off.ss_flags = SS_DISABLE;
        sigaltstack(&off, nullptr);
        munmap(memory_, BYTES);
    }
    AlternateStack(const AlternateStack &) = delete;
    AlternateStack &operator=(const AlternateStack &) = delete;

  private:
    static constexpr size_t BYTES = 256u << 10;
    void *memory_ = nullptr;
};

void install_handlers() {
    struct sigaction action{};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < std::size(SIGNALS); ++i) {
        if (sigaction(SIGNALS[i], &action, &previous_action[i]) != 0) {
            std::perror("fltsim: cannot handle faults");
        }
    }
}

#endif

} // namespace

// Not inlined: a fiber that moved to another host thread must not use thread-local addresses computed before.
__attribute__((noinline)) void prepare_host_thread() {
    if (prepared) {
        return;
    }
    static const bool installed = (install_handlers(), true);
    (void)installed;
#if !defined(_WIN32)
    FLTSIM_PER_THREAD(AlternateStack stack);
#endif
    prepared = true;
}

void raise(NTSTATUS code, const char *api) {
#if FLTSIM_WINDOWS_IMAGES
    if (image::called_by_image()) {
        image::raise_at_gate(code, api);
    }
#endif
    Thread &thread = executing();
    FLTSIM_SEH_FRAME *frame = innermost_frame(thread);
    if (frame == nullptr) {
        bugcheck("KMODE_EXCEPTION_NOT_HANDLED", api,
                 "status " + hex(static_cast<uint32_t>(code)) + " raised outside __try");
    }
    abandon_kernel_calls();
    frame->Code = static_cast<ULONG>(code);
    siglongjmp(frame->Buffer, 1);
}

/// False: `body` met memory that is not accessible. It owns nothing.
template <class Body> __attribute__((noinline)) static bool survives(const Body &body) {
    prepare_host_thread();
    sigjmp_buf guard;
    if (sigsetjmp(guard, 0) != 0) {
        model_guard = nullptr;
        return false;
    }
    model_guard = &guard;
    body();
    model_guard = nullptr;
    return true;
}

bool try_copy(void *to, const void *from, size_t bytes) {
    return survives([=] { std::memcpy(to, from, bytes); });
}

bool try_touch(void *at, bool write) {
    return survives([=] {
        auto *byte = static_cast<volatile unsigned char *>(at); // else a write that changes nothing is left out
        if (write) {
            __atomic_fetch_or(byte, 0, __ATOMIC_RELAXED);
        } else {
            static_cast<void>(__atomic_load_n(byte, __ATOMIC_RELAXED));
        }
    });
}

bool is_user_range(const volatile void *first, size_t bytes) {
#if defined(__aarch64__)
    constexpr uintptr_t USER_LIMIT = uintptr_t{1} << 48;
#else
    constexpr uintptr_t USER_LIMIT = uintptr_t{1} << 47;
#endif
    return bytes <= USER_LIMIT && reinterpret_cast<uintptr_t>(first) <= USER_LIMIT - bytes;
}

} // namespace fltsim::seh

using namespace fltsim;

/// Host calling convention, any IRQL. See seh_host.h.
FLTSIM_KERNEL_HOST void FltSimSehEnter(FLTSIM_SEH_FRAME *Frame) {
    seh::prepare_host_thread();
    Thread &thread = executing();
    Frame->Previous = static_cast<FLTSIM_SEH_FRAME *>(thread.seh_top);
    Frame->Code = 0;
    thread.seh_top = Frame;
    ke::thread_state(thread).seh_driver_depth.push_back(thread.driver_depth);
}

/// Host calling convention, any IRQL.
FLTSIM_KERNEL_HOST void FltSimSehLeave(FLTSIM_SEH_FRAME *Frame) {
    Thread &thread = executing();
    if (thread.seh_top != Frame) {
        bugcheck("SEH frame left out of order", "__except",
                 "a guarded block was left by a jump that the model did not see");
    }
    thread.seh_top = Frame->Previous;
    ke::thread_state(thread).seh_driver_depth.pop_back();
}

namespace {

/// What the probes check before they look at memory. User addresses are plain process addresses here, so a kernel address of the model is
/// not told from a user's.
NTSTATUS check_range(const char *api, volatile void *address, SIZE_T length, ULONG alignment) {
    KernelCall call(api, APC_LEVEL);
    if (alignment == 0 || alignment > 16 || (alignment & (alignment - 1)) != 0) {
        bugcheck("PROBE alignment", api, "alignment " + std::to_string(alignment) + ": 1, 2, 4, 8 or 16 are possible");
    }
    const uintptr_t first = reinterpret_cast<uintptr_t>(address);
    if (length == 0) {
        return STATUS_SUCCESS;
    }
    if (first % alignment != 0) {
        return STATUS_DATATYPE_MISALIGNMENT;
    }
    return seh::is_user_range(address, length) ? STATUS_SUCCESS : STATUS_ACCESS_VIOLATION;
}

} // namespace

/// IRQL <= APC_LEVEL. Raises STATUS_DATATYPE_MISALIGNMENT or STATUS_ACCESS_VIOLATION. As on Windows it does not touch the memory: that a
/// range passes says nothing about its pages.
FLTSIM_KERNEL void NTAPI ProbeForRead(volatile void *Address, SIZE_T Length, ULONG Alignment) {
    const NTSTATUS status = check_range("ProbeForRead", Address, Length, Alignment);
    if (!NT_SUCCESS(status)) {
        seh::raise(status, "ProbeForRead");
    }
}

/// IRQL <= APC_LEVEL. As ProbeForRead, and touches every page for writing.
FLTSIM_KERNEL void NTAPI ProbeForWrite(volatile void *Address, SIZE_T Length, ULONG Alignment) {
    const NTSTATUS status = check_range("ProbeForWrite", Address, Length, Alignment);
    if (!NT_SUCCESS(status)) {
        seh::raise(status, "ProbeForWrite");
    }
    if (Length == 0) {
        return;
    }
    // Outside the KernelCall: a fault here goes to the driver's frame.
    const uintptr_t last = reinterpret_cast<uintptr_t>(Address) + Length - 1;
    for (uintptr_t at = reinterpret_cast<uintptr_t>(Address); at <= last; at = (at / PAGE_SIZE + 1) * PAGE_SIZE) {
        __atomic_fetch_or(reinterpret_cast<volatile unsigned char *>(at), 0, __ATOMIC_RELAXED);
    }
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL DECLSPEC_NORETURN VOID NTAPI ExRaiseStatus(NTSTATUS Status) {
    seh::raise(Status, "ExRaiseStatus");
}

/// Whether an exception is one that file systems expect: FALSE for those that say that code is wrong. Any IRQL.
FLTSIM_KERNEL BOOLEAN NTAPI FsRtlIsNtstatusExpected(NTSTATUS Exception) {
    KernelCall call("FsRtlIsNtstatusExpected", HIGH_LEVEL);
    switch (Exception) {
    case STATUS_DATATYPE_MISALIGNMENT:
    case STATUS_ACCESS_VIOLATION:
    case STATUS_ILLEGAL_INSTRUCTION:
    case STATUS_INSTRUCTION_MISALIGNMENT:
        return FALSE;
    default:
        return TRUE;
    }
}
