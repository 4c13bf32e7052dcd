// SPDX-License-Identifier: MIT
#include "ke/locks.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>

#include "core/symbols.hpp"
#include "image/pe_image.hpp"
#include "ke/state.hpp"

namespace fltsim::ke {

namespace {

const char *kind_text(LockKind kind) {
    switch (kind) {
    case LockKind::Spin:
        return "spin lock";
    case LockKind::QueuedSpin:
        return "queued spin lock";
    case LockKind::ListSpin:
        return "spin lock of an interlocked list";
    case LockKind::ReaderWriterSpin:
        return "reader/writer spin lock";
    case LockKind::FrameworkSpin:
        return "WDFSPINLOCK";
    case LockKind::FrameworkWait:
        return "WDFWAITLOCK";
    case LockKind::FastMutex:
        return "fast mutex";
    case LockKind::Mutex:
        return "mutex";
    case LockKind::Resource:
        return "resource";
    case LockKind::PushLock:
        return "push lock";
    }
    return "lock";
}

std::string place_text(const void *code) {
#if FLTSIM_WINDOWS_IMAGES
    const auto address = reinterpret_cast<uint64_t>(code);
    if (const image::PeImage *image = image::image_at(address)) {
        return image->describe(address);
    }
#endif
    return name_of_call(code);
}

/// 'A' for the lock from which the circle's first step goes, and so on.
std::string letter(size_t number) {
    std::string text(1, static_cast<char>('A' + number % 26));
    return number < 26 ? text : text + std::to_string(number / 26);
}

std::string circle_text(const std::vector<LockOrder::Step> &circle) {
    std::string text = "threads can come to wait for each other for ever: ";
    std::string legend;
    for (size_t i = 0; i < circle.size(); ++i) {
        const LockOrder::Step &step = circle[i];
        text += (i == 0 ? "" : "; before, ") + step.thread + (i == 0 ? " has " : " had ") + letter(i) + ", taken at " +
                place_text(step.first.code) + (i == 0 ? ", and waits for " : ", and asked for ") +
                letter((i + 1) % circle.size()) + " at " + place_text(step.wanted.code);
        legend += (i == 0 ? ". " : ", ") + letter(i) + " is " + lock_text(step.first);
    }
    return text + legend;
}

bool is_kernel_spin_lock(LockKind kind) {
    return kind == LockKind::Spin || kind == LockKind::QueuedSpin || kind == LockKind::ListSpin;
}

/// Stops the world when a lock in there is held, and forgets those that are not.
void forget_free_locks(const char *rule, const char *api, const volatile void *memory, size_t bytes) {
    WorldState &state = world_state();
    const auto begin = state.locks.lower_bound(memory);
    const auto end = state.locks.lower_bound(static_cast<const volatile char *>(memory) + bytes);
    for (auto lock = begin; lock != end; ++lock) {
        if (lock->second.holders != 0) {
            const HeldLock &last = lock->second.last;
            Thread *thread = world().reference_thread(lock->second.thread);
            const std::string name = thread != nullptr ? thread->name : "a thread that has ended";
            if (thread != nullptr) {
                thread->dereference();
            }
            bugcheck(rule, api, lock_text(last) + " is held by " + name + ", taken at " + place_text(last.code));
        }
    }
    state.locks.erase(begin, end);
    state.lock_order.forget(memory, bytes);
}

} // namespace

const void *caller(const void *return_address) {
    const uint64_t image_code = executing().gate.rip;
    return image_code != 0 ? reinterpret_cast<const void *>(image_code) : return_address;
}

std::string lock_text(const HeldLock &lock) {
    char address[24];
    std::snprintf(address, sizeof address, " %p", const_cast<const void *>(lock.lock));
    return kind_text(lock.kind) + std::string(address) + (lock.exclusive ? "" : " (shared)");
}

const HeldLock *held_lock(const volatile void *lock) {
    const auto &held = thread_state(executing()).held;
    const auto found = std::ranges::find(held, lock, &HeldLock::lock);
    return found == held.end() ? nullptr : &*found;
}

void ask_for_lock(const char *api, const HeldLock &wanted) {
    Thread &self = executing();
    const auto &held = thread_state(self).held;
    if (held.empty() || held_lock(wanted.lock) != nullptr) {
        return;
    }
    const auto circle = world_state().lock_order.ask(held, wanted, self.name);
    if (!circle.empty()) {
        bugcheck(circle.size() == 2 ? "V27 two locks in both orders" : "V27 locks in a circle", api,
                 circle_text(circle));
    }
}

void lock_taken(const char *api, Thread &thread, const HeldLock &lock) {
    auto &held = thread_state(thread).held;
    const auto again = std::ranges::find(held, lock.lock, &HeldLock::lock);
    if (again != held.end()) {
        ++again->times;
    } else {
        held.push_back(lock);
    }
    LockState &state = world_state().locks[lock.lock];
    if (state.last.lock != nullptr && state.last.kind != lock.kind && is_kernel_spin_lock(state.last.kind) &&
        is_kernel_spin_lock(lock.kind)) {
        bugcheck("V27 spin lock taken by calls of two kinds", api,
                 lock_text(lock) + " was taken as a " + kind_text(state.last.kind) + " at " +
                     place_text(state.last.code) +
                     ": ordinary, in-stack queued and ExInterlocked...List calls each need a lock of their own");
    }
    ++state.holders;
    state.last = lock;
    state.thread = thread.id;
}

void lock_released(Thread &thread, const volatile void *lock) {
    auto &held = thread_state(thread).held;
    const auto found = std::ranges::find(held, lock, &HeldLock::lock);
    if (found == held.end()) {
        return; // the lock's own rule has looked
    }
    if (--found->times == 0) {
        held.erase(found);
    }
    const auto state = world_state().locks.find(lock);
    if (state != world_state().locks.end()) {
        --state->second.holders;
    }
}

void check_no_lock(const char *api, const volatile void *memory, size_t bytes) {
    forget_free_locks("V27 lock in memory that is freed", api, memory, bytes);
}

void lock_initialised(const char *api, const volatile void *lock, size_t bytes) {
    forget_free_locks("V27 lock initialised while it is held", api, lock, bytes);
}

void event_initialised(const char *api, const KEVENT *event) {
    const auto &locks = world_state().locks;
    const auto *mutex = reinterpret_cast<const char *>(event) - offsetof(FAST_MUTEX, Event);
    const auto found = locks.find(mutex);
    if (found != locks.end() && found->second.last.kind == LockKind::FastMutex) {
        lock_initialised(api, mutex, sizeof(FAST_MUTEX));
    }
}

void check_no_lock_held(const char *api) {
    const auto &held = thread_state(executing()).held;
    if (!held.empty()) {
        bugcheck("V27 thread ends with a lock", api,
                 lock_text(held.back()) + ", taken at " + place_text(held.back().code));
    }
}

void forget_locks() {
    WorldState &state = world_state();
    state.lock_order = {};
    std::erase_if(state.locks, [](const auto &lock) { return lock.second.holders == 0; });
}

} // namespace fltsim::ke
