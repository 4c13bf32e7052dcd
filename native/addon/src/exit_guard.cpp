// SPDX-License-Identifier: MIT
#include "exit_guard.hpp"

#if defined(_WIN32)

namespace minipend {

// When a DLL's exit handlers run there, the process's other threads are gone already: nothing to end, nobody to wait for.
void end_at_exit(const std::shared_ptr<Environment> &) {}
void forget_at_exit(const Environment &) {}

} // namespace minipend

#else

#include "environment.hpp"

#include <cstdlib>
#include <map>
#include <mutex>

namespace minipend {
namespace {

struct Registry {
    std::mutex mutex;
    std::map<const Environment *, std::weak_ptr<Environment>> environments;
};

Registry &registry() {
    static auto *const instance = new Registry; // never destroyed: threads may come late
    return *instance;
}

void at_exit() {
    std::map<const Environment *, std::weak_ptr<Environment>> environments;
    {
        std::scoped_lock lock(registry().mutex);
        environments.swap(registry().environments);
    }
    for (const auto &[key, weak] : environments) {
        if (auto environment = weak.lock()) {
            environment->end();
        }
    }
}

} // namespace

void end_at_exit(const std::shared_ptr<Environment> &environment) {
    std::scoped_lock lock(registry().mutex);
    if (registry().environments.emplace(environment.get(), environment).second) {
        (void)std::atexit(at_exit); // a failure leaves what there was before
    }
}

void forget_at_exit(const Environment &environment) {
    std::scoped_lock lock(registry().mutex);
    registry().environments.erase(&environment);
}

} // namespace minipend

#endif
