// SPDX-License-Identifier: MIT
//
// This module provides: Thread objects and the execution context of the calling host thread.

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unordered_set>

#include "core/scheduler.hpp"
#include "core/static_tls.hpp"
#include "core/thread_impl.hpp"

namespace fltsim {

namespace {

FLTSIM_STATIC_TLS thread_local World *t_world = nullptr;
FLTSIM_STATIC_TLS thread_local Thread *t_thread = nullptr;

/// Every Thread object there is: a driver may hold a reference on one that ended long ago, and what it passes has to be recognised.
struct LiveThreads {
    std::mutex mutex;
    std::unordered_set<const void *> set;
};

LiveThreads &live_threads() {
    static LiveThreads &live = *new LiveThreads; // outlives static destructors: worlds may too
    return live;
}

[[noreturn]] void no_context(const char *what) {
    std::fprintf(stderr,
                 "fltsim: %s was used on a host thread that is not inside a model world. Kernel functions are for "
                 "driver code; call the "
                 "user-side API, which enters a world by itself.\n",
                 what);
    std::abort();
}

} // namespace

Thread::Thread() : impl(std::make_unique<Impl>()) {
    LiveThreads &live = live_threads();
    const std::lock_guard guard(live.mutex);
    live.set.insert(this);
}

Thread::~Thread() {
    LiveThreads &live = live_threads();
    const std::lock_guard guard(live.mutex);
    live.set.erase(this);
}

void Thread::reference() {
    impl->references.fetch_add(1, std::memory_order_relaxed);
}

void Thread::dereference() {
    if (impl->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

bool is_live_thread(const void *object) {
    LiveThreads &live = live_threads();
    const std::lock_guard guard(live.mutex);
    return live.set.contains(object);
}

Thread &executing() {
    if (t_thread == nullptr) {
        no_context("executing()");
    }
    return *t_thread;
}

Thread &executing_for(const char *api) {
    if (t_thread == nullptr) {
        no_context(api);
    }
    return *t_thread;
}

Thread &current_thread() {
    Thread &thread = executing();
    return thread.borrowed != nullptr ? *thread.borrowed : thread;
}

World &world() {
    if (t_world == nullptr) {
        no_context("world()");
    }
    return *t_world;
}

World *world_or_null() {
    return t_thread != nullptr ? t_world : nullptr;
}

void set_context(World *world, Thread *thread) {
    t_world = world;
    t_thread = thread;
    image::set_gate(thread != nullptr ? &thread->gate : nullptr);
}

bool has_context() {
    return t_thread != nullptr;
}

ContextScope::ContextScope(World *world, Thread *thread) : world_before_(t_world), thread_before_(t_thread) {
    set_context(world, thread);
}

ContextScope::~ContextScope() {
    set_context(world_before_, thread_before_);
}

const char *state_name(Thread::Impl::State state) {
    switch (state) {
    case Thread::Impl::State::Ready:
        return "ready";
    case Thread::Impl::State::Running:
        return "running";
    case Thread::Impl::State::Blocked:
        return "waiting";
    case Thread::Impl::State::Spinning:
        return "spinning";
    case Thread::Impl::State::Idle:
        return "idle";
    case Thread::Impl::State::Ended:
        return "ended";
    }
    return "?";
}

std::string describe(const Thread &thread) {
    std::string line = thread.name + " (thread " + std::to_string(thread.id) + ", IRQL " + std::to_string(thread.irql) +
                       ") " + state_name(thread.impl->state);
    if (thread.impl->channel != nullptr) {
        char text[32];
        std::snprintf(text, sizeof(text), " on %p", thread.impl->channel);
        line += text;
    }
    if (thread.impl->deadline_100ns) {
        line += " until " + std::to_string(*thread.impl->deadline_100ns) + " x 100 ns";
    }
    return line;
}

} // namespace fltsim
