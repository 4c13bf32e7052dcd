// SPDX-License-Identifier: MIT
//
// This module provides: Fiber (fiber.hpp): stacks, their pool, the sanitizers' view of a switch, exception state per fiber.

#include "core/fiber.hpp"

#include "core/static_tls.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <mutex>
#include <utility>
#include <vector>

#if defined(_WIN32)
#define FLTSIM_FIBER_WIN32 1
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__aarch64__)
#define FLTSIM_FIBER_ASM 1
#else
#define FLTSIM_FIBER_UCONTEXT 1
#include <ucontext.h>
#endif
#endif

#if defined(__has_feature)
#define FLTSIM_HAS_FEATURE(x) __has_feature(x)
#else
#define FLTSIM_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || FLTSIM_HAS_FEATURE(address_sanitizer)
#define FLTSIM_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#else
#define FLTSIM_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || FLTSIM_HAS_FEATURE(thread_sanitizer)
#define FLTSIM_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define FLTSIM_TSAN 0
#endif

#if FLTSIM_FIBER_ASM
extern "C" void fltsim_fiber_switch(void **save, void *load);
extern "C" void fltsim_fiber_start();
#endif

namespace fltsim {

namespace {

/// Sanitizers make frames several times larger.
constexpr size_t STACK_BYTES = (FLTSIM_ASAN || FLTSIM_TSAN) ? 1024 * 1024 : 256 * 1024;

#if !FLTSIM_FIBER_WIN32
struct Stack {
    void *base = nullptr; ///< of the mapping: the guard page
    size_t guard_bytes = 0;
    void *low() const { return static_cast<char *>(base) + guard_bytes; }
    char *high() const { return static_cast<char *>(low()) + STACK_BYTES; }
};

/// Stacks are reused: making one costs two system calls and a page fault for each page touched.
class StackPool {
  public:
    Stack take() {
        {
            const std::lock_guard guard(mutex_);
            if (!free_.empty()) {
                const Stack stack = free_.back();
                free_.pop_back();
                return stack;
            }
        }
        Stack stack;
        stack.guard_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        stack.base =
            mmap(nullptr, stack.guard_bytes + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack.base == MAP_FAILED || mprotect(stack.base, stack.guard_bytes, PROT_NONE) != 0) {
            std::perror("fltsim: no memory for a simulated thread's stack");
            std::abort();
        }
        return stack;
    }

    void give(Stack stack) {
#if FLTSIM_ASAN
        ASAN_UNPOISON_MEMORY_REGION(stack.low(), STACK_BYTES);
#endif
        const std::lock_guard guard(mutex_);
        if (free_.size() < KEPT) {
            free_.push_back(stack);
        } else {
            munmap(stack.base, stack.guard_bytes + STACK_BYTES);
        }
    }

  private:
    static constexpr size_t KEPT = 64;
    std::mutex mutex_;
    std::vector<Stack> free_;
};

/// Never destroyed: a world may end after static destructors began.
StackPool &stack_pool() {
    static StackPool &pool = *new StackPool;
    return pool;
}
#endif

/// The C++ runtime keeps caught exceptions per host thread; a fiber that switches inside a handler must take its own along.
struct ExceptionState {
    void *caught = nullptr;
    unsigned int uncaught = 0;
};

} // namespace

struct Fiber::Impl {
    Impl();
    ~Impl();
    Impl(const Impl &) = delete;
    Impl &operator=(const Impl &) = delete;
#if !FLTSIM_FIBER_WIN32
    /// From here up its stack holds something. All of it if that is not known, as for a fiber that was left in a signal handler, which has another stack.
    char *used() const;
#endif
    Impl *next = nullptr; ///< of all that there are
    Impl *previous = nullptr;
    std::function<void()> entry;
    ExceptionState exceptions;
#if FLTSIM_FIBER_WIN32
    void *native = nullptr;
    bool converted = false;
#else
    Stack stack;
#endif
#if FLTSIM_FIBER_ASM
    void *stack_pointer = nullptr;
#elif FLTSIM_FIBER_UCONTEXT
    ucontext_t context{};
#endif
#if FLTSIM_ASAN
    void *fake_stack = nullptr;
    const void *asan_low = nullptr; ///< bounds, which for a host thread are learnt when it is left
    size_t asan_bytes = 0;
#endif
#if FLTSIM_TSAN
    void *tsan = nullptr;
    bool tsan_owned = false;
#endif
};

namespace {

std::mutex &g_all_mutex = *new std::mutex; // never destroyed: some libraries have a destructor for it
Fiber::Impl *g_all = nullptr;

FLTSIM_STATIC_TLS thread_local Fiber::Impl *t_previous = nullptr; ///< who switched to the fiber that runs now

void arrived(Fiber::Impl &self) {
#if FLTSIM_ASAN
    const void *low = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(self.fake_stack, &low, &bytes);
    if (t_previous != nullptr && t_previous->asan_low == nullptr) {
        t_previous->asan_low = low;
        t_previous->asan_bytes = bytes;
    }
#endif
    std::memcpy(static_cast<void *>(abi::__cxa_get_globals()), &self.exceptions, sizeof(self.exceptions));
}

#if FLTSIM_FIBER_WIN32
void __stdcall fiber_main(void *argument) {
#else
[[maybe_unused]] void fiber_main(void *argument) {
#endif
    auto *self = static_cast<Fiber::Impl *>(argument);
    arrived(*self);
    self->entry();
    std::fputs("fltsim: a fiber's entry function returned\n", stderr);
    std::abort();
}

#if FLTSIM_FIBER_UCONTEXT
void ucontext_main(unsigned int high, unsigned int low) {
    fiber_main(reinterpret_cast<void *>((static_cast<uintptr_t>(high) << 16 << 16) | low));
}
#endif

void leave(Fiber::Impl &from, Fiber::Impl &to, bool for_good) {
    std::memcpy(static_cast<void *>(&from.exceptions), abi::__cxa_get_globals(), sizeof(from.exceptions));
    t_previous = &from;
#if FLTSIM_ASAN
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.asan_low, to.asan_bytes);
#endif
#if FLTSIM_TSAN
    __tsan_switch_to_fiber(to.tsan, 0);
#endif
#if FLTSIM_FIBER_ASM
    fltsim_fiber_switch(&from.stack_pointer, to.stack_pointer);
#elif FLTSIM_FIBER_UCONTEXT
    swapcontext(&from.context, &to.context);
#else
    SwitchToFiber(to.native);
#endif
    arrived(from);
}

} // namespace

Fiber::Impl::Impl() {
    const std::lock_guard guard(g_all_mutex);
    next = g_all;
    if (next != nullptr) {
        next->previous = this;
    }
    g_all = this;
}

Fiber::Impl::~Impl() {
    const std::lock_guard guard(g_all_mutex);
    (previous != nullptr ? previous->next : g_all) = next;
    if (next != nullptr) {
        next->previous = previous;
    }
}

#if !FLTSIM_FIBER_WIN32
char *Fiber::Impl::used() const {
#if FLTSIM_FIBER_ASM
    auto *const top = static_cast<char *>(stack_pointer);
    if (top >= static_cast<char *>(stack.low()) && top < stack.high()) {
        return top;
    }
#endif
    return static_cast<char *>(stack.low());
}
#endif

void Fiber::for_each_stack([[maybe_unused]] const std::function<void(char *used, char *high)> &look) {
#if FLTSIM_FIBER_ASM
    const std::lock_guard guard(g_all_mutex);
    for (const Impl *fiber = g_all; fiber != nullptr; fiber = fiber->next) {
        if (fiber->stack.base != nullptr) {
            look(fiber->used(), fiber->stack.high());
        }
    }
#endif
}

bool Fiber::has_on_stack([[maybe_unused]] const void *address) const {
#if FLTSIM_FIBER_WIN32
    return false;
#else
    return impl_->stack.base != nullptr && address >= impl_->stack.low() && address < impl_->stack.high();
#endif
}

Fiber::Fiber() : impl_(std::make_unique<Impl>()) {}

Fiber::Fiber(std::function<void()> entry) : Fiber() {
    impl_->entry = std::move(entry);
#if FLTSIM_FIBER_WIN32
    impl_->native = CreateFiber(STACK_BYTES, fiber_main, impl_.get());
    if (impl_->native == nullptr) {
        std::fputs("fltsim: no memory for a simulated thread's stack\n", stderr);
        std::abort();
    }
#else
    impl_->stack = stack_pool().take();
#if FLTSIM_ASAN
    impl_->asan_low = impl_->stack.low();
    impl_->asan_bytes = STACK_BYTES;
#endif
#endif
#if FLTSIM_FIBER_ASM && defined(__x86_64__)
    // From the top: padding so that fltsim_fiber_start begins 16-byte aligned, return address, rbp rbx r12 r13 r14 r15, mxcsr + x87.
    auto *top = reinterpret_cast<uint64_t *>(impl_->stack.high()) - 2;
    *--top = reinterpret_cast<uint64_t>(&fltsim_fiber_start);
    *--top = 0;
    *--top = 0;
    *--top = reinterpret_cast<uint64_t>(&fiber_main);
    *--top = reinterpret_cast<uint64_t>(impl_.get());
    *--top = 0;
    *--top = 0;
    *--top = 0x1F80u | (uint64_t{0x037F} << 32);
    impl_->stack_pointer = top;
#elif FLTSIM_FIBER_ASM && defined(__aarch64__)
    auto *frame = reinterpret_cast<uint64_t *>(impl_->stack.high()) - 20;
    std::memset(frame, 0, 160);
    frame[0] = reinterpret_cast<uint64_t>(&fiber_main);
    frame[1] = reinterpret_cast<uint64_t>(impl_.get());
    frame[11] = reinterpret_cast<uint64_t>(&fltsim_fiber_start);
    impl_->stack_pointer = frame;
#elif FLTSIM_FIBER_UCONTEXT
    getcontext(&impl_->context);
    impl_->context.uc_stack.ss_sp = impl_->stack.low();
    impl_->context.uc_stack.ss_size = STACK_BYTES;
    const auto self = reinterpret_cast<uintptr_t>(impl_.get());
    makecontext(&impl_->context, reinterpret_cast<void (*)()>(ucontext_main), 2,
                static_cast<unsigned int>(self >> 16 >> 16), static_cast<unsigned int>(self));
#endif
#if FLTSIM_TSAN
    impl_->tsan = __tsan_create_fiber(0);
    impl_->tsan_owned = true;
#endif
}

std::unique_ptr<Fiber> Fiber::of_host_thread() {
    std::unique_ptr<Fiber> fiber(new Fiber());
#if FLTSIM_FIBER_WIN32
    fiber->impl_->native = ConvertThreadToFiber(nullptr);
    fiber->impl_->converted = true;
#endif
#if FLTSIM_TSAN
    fiber->impl_->tsan = __tsan_get_current_fiber();
#endif
    return fiber;
}

Fiber::~Fiber() {
#if FLTSIM_TSAN
    if (impl_->tsan_owned) {
        __tsan_destroy_fiber(impl_->tsan);
    }
#endif
#if FLTSIM_FIBER_WIN32
    if (impl_->converted) {
        ConvertFiberToThread();
    } else if (impl_->native != nullptr) {
        DeleteFiber(impl_->native);
    }
#else
    if (impl_->stack.base != nullptr) {
        stack_pool().give(impl_->stack);
    }
#endif
}

void Fiber::switch_to(Fiber &from, Fiber &to) {
    leave(*from.impl_, *to.impl_, false);
}

void Fiber::exit_to(Fiber &from, Fiber &to) {
    leave(*from.impl_, *to.impl_, true);
    std::abort();
}

void Fiber::abandon(std::unique_ptr<Fiber> fiber) {
#if FLTSIM_ASAN
    // Objects that only this stack refers to are not freed; they must not be reported as leaks of the program either.
    static std::mutex mutex;
    static auto &abandoned = *new std::vector<std::unique_ptr<Fiber>>;
    const std::lock_guard guard(mutex);
    // What is below has never been touched, for the most part, and would be by the look for leaks.
    const char *used = fiber->impl_->used();
    __lsan_register_root_region(used, static_cast<size_t>(fiber->impl_->stack.high() - used));
    abandoned.push_back(std::move(fiber));
#else
    fiber.reset();
#endif
}

} // namespace fltsim
