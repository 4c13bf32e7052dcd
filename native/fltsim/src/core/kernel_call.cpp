// SPDX-License-Identifier: MIT
//
// This module provides: the border between the model and the driver: KernelCall, DriverCall (world.hpp), and the bugcheck.

#include <cstdio>
#include <cstdlib>

#include "core/scheduler.hpp"
#include "core/thread_impl.hpp"

namespace fltsim {

namespace {

const char *irql_name(KIRQL irql) {
    switch (irql) {
    case PASSIVE_LEVEL:
        return "PASSIVE_LEVEL";
    case APC_LEVEL:
        return "APC_LEVEL";
    case DISPATCH_LEVEL:
        return "DISPATCH_LEVEL";
    default:
        return "above DISPATCH_LEVEL";
    }
}

} // namespace

KernelCall::KernelCall(const char *api, KIRQL irql_max) : thread_(executing_for(api)) {
    World &here = world();
    if (thread_.model_depth == 0) {
        here.scheduler->lock();
    }
    ++thread_.model_depth;
    if (thread_.image_gone != nullptr) {
        here.stop("UNL-07 code of an unloaded image", api,
                  std::string("called by a ") + thread_.image_gone +
                      ", which nothing has kept in memory since it gave its operation back");
    }
    if (thread_.irql > irql_max) {
        here.stop("V5 IRQL too high", api,
                  std::string("called at ") + irql_name(thread_.irql) + ", allowed up to " + irql_name(irql_max));
    }
    if (thread_.model_depth == 1) {
        thread_.at_call = api;
        thread_.before_call = true;
        here.scheduler->yield();
    }
}

KernelCall::~KernelCall() {
    if (thread_.model_depth == 0) {
        return; // abandon_kernel_calls() ran below this frame and the frame was unwound all the same
    }
    World &here = world();
    if (thread_.model_depth == 1) {
        thread_.before_call = false;
        here.scheduler->yield();
    }
    if (--thread_.model_depth == 0) {
        here.scheduler->unlock();
    }
}

void abandon_kernel_calls() {
    Thread &thread = executing();
    if (thread.model_depth == 0) {
        return;
    }
    thread.model_depth = 0;
    world().scheduler->unlock();
}

DriverCall::DriverCall(const char *callback, Lock lock)
    : callback_(callback), lock_(lock), thread_(executing_for(callback)), depth_(thread_.model_depth),
      irql_(thread_.irql), apc_disable_(thread_.kernel_apc_disable), spin_locks_(thread_.spin_locks_held) {
    World &here = world();
    here.scheduler->yield();
    image::prepare_host_thread();
    if (thread_.gate.rip != 0) { // what is called now may be another driver's code, and may call the model too
        gate_ = thread_.gate;
        thread_.gate.rip = 0;
    }
    ++thread_.driver_depth;
    thread_.model_depth = 0;
    if (depth_ > 0) {
        here.scheduler->unlock();
    }
}

DriverCall::~DriverCall() noexcept(false) {
    World &here = world();
    if (depth_ > 0) {
        here.scheduler->lock();
    }
    thread_.model_depth = depth_;
    --thread_.driver_depth;
    if (gate_.rip != 0) {
        thread_.gate = gate_;
    } else {
        thread_.gate.rip = 0;
    }
    if (lock_ == Lock::Changes) {
        return;
    }
    if (thread_.irql != irql_) {
        here.stop("V5 IRQL changed by a callback", callback_,
                  std::string("entered at ") + irql_name(irql_) + ", returned at " + irql_name(thread_.irql));
    }
    if (thread_.kernel_apc_disable != apc_disable_) {
        here.stop("V15 critical region held across a callback's return", callback_,
                  "entered with " + std::to_string(apc_disable_) + " critical regions, returned with " +
                      std::to_string(thread_.kernel_apc_disable));
    }
    if (thread_.spin_locks_held != spin_locks_) {
        here.stop("V15 spin lock held across a callback's return", callback_,
                  "entered with " + std::to_string(spin_locks_) + " spin locks, returned with " +
                      std::to_string(thread_.spin_locks_held));
    }
    here.scheduler->yield();
}

void bugcheck(std::string_view rule, std::string_view call, std::string_view text) {
    World *here = world_or_null();
    if (here == nullptr) {
        std::fprintf(stderr, "fltsim: stop outside any world: %.*s: %.*s: %.*s\n", static_cast<int>(rule.size()),
                     rule.data(), static_cast<int>(call.size()), call.data(), static_cast<int>(text.size()),
                     text.data());
        std::abort();
    }
    here->stop(rule, call, text);
}

} // namespace fltsim
