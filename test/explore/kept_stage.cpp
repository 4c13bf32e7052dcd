// SPDX-License-Identifier: MIT
//
// This module provides: the stage that sets a scene up once and puts everything back after each schedule (snapshot.hpp). A schedule in which the program crashes is
// a failed one; the stage goes on with the next.

#include "stage.hpp"

#include "heap.hpp"

#if MINIPEND_EXPLORE_SNAPSHOT

#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <cxxabi.h>
#include <ucontext.h>

#include "core/fiber.hpp"
#include "core/kept_images.hpp"
#include "core/scheduler.hpp"
#include "core/strategies.hpp"
#include "core/symbols.hpp"
#include "snapshot.hpp"

namespace explore {

namespace {

struct FatalSignal {
    int number;
    const char *name;
};
constexpr FatalSignal FATAL[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"}};
/// Threads that a schedule may have at most, without mapping another stack.
constexpr size_t STACKS = 48;

/// In the explorer's heap: putting back leaves it alone.
struct Landing {
    sigjmp_buf where;
    bool wanted = false;
    int signal = 0;
    void *address = nullptr;
    void *code = nullptr;
};
Landing *g_landing = nullptr;

void on_fatal(int signal, siginfo_t *info, void *context) {
    Landing &landing = *g_landing;
    if (!landing.wanted) {
        std::signal(signal, SIG_DFL);
        raise(signal);
        return;
    }
    landing.wanted = false;
    landing.signal = signal;
    landing.address = info->si_addr;
#if defined(__x86_64__)
    landing.code = reinterpret_cast<void *>(static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    landing.code = reinterpret_cast<void *>(static_cast<ucontext_t *>(context)->uc_mcontext.pc);
#endif
    siglongjmp(landing.where, 1);
}

void catch_crashes() {
    g_landing = new Landing;
    struct sigaction action{};
    action.sa_sigaction = on_fatal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (const FatalSignal &signal : FATAL) {
        sigaction(signal.number, &action, nullptr);
    }
}

class KeptStage final : public Stage {
  public:
    KeptStage(const Scenario &scenario, std::string image) : scenario_(scenario) {
        static bool once = false;
        if (!once) {
            once = true;
            catch_crashes(); // before the model's own handler, which passes on what is not its own
            fltsim::keep_images_mapped();
        }
        const heap::Worlds worlds;
        prepare(image);
        world_ = make_explored_world(image).get();
        world_->schedule = &defaults_;
        scene_ = set_scene(scenario, *world_).release();
        heap::use_worlds_heap(false);
        snapshot_.take();
    }

    Verdict play(fltsim::Schedule &schedule, uint64_t seed) override {
        Verdict verdict;
        verdict_ = &verdict;
        schedule_ = &schedule;
        seed_ = seed;
        g_landing->wanted = true;
        if (sigsetjmp(g_landing->where, 0) == 0) {
            const heap::Worlds worlds;
            CheckFailures::reset();
            play_scene(*world_, std::unique_ptr<Scene>(scene_), *schedule_, seed_, *verdict_);
            if (verdict_->failed) {
                const std::string report = world_->report_json();
                heap::use_worlds_heap(false);
                report_ = report;
            }
        } else {
            crashed();
        }
        g_landing->wanted = false;
        snapshot_.put_back();
        schedule_->active = false;
        return *verdict_;
    }

  private:
    /// Once everything has happened: what libraries make at first use is made before the snapshot.
    void prepare(const std::string &image) const {
        {
            std::vector<std::unique_ptr<fltsim::Fiber>> stacks;
            for (size_t i = 0; i < STACKS; ++i) {
                stacks.push_back(std::make_unique<fltsim::Fiber>([] {}));
            }
        }
        fltsim::current_stack();
        fltsim::ReplaySchedule schedule;
        const std::unique_ptr<Stage> fresh = make_fresh_stage(scenario_, image);
        fresh->play(schedule, 0);
    }

    void crashed() {
        heap::use_worlds_heap(false);
        std::memset(static_cast<void *>(abi::__cxa_get_globals()), 0, sizeof(void *) + sizeof(unsigned int));
        fltsim::set_context(nullptr, nullptr);
        verdict_->failed = true;
        set_text(verdict_->rule, sizeof(verdict_->rule), "CRASH");
        for (const FatalSignal &signal : FATAL) {
            if (signal.number == g_landing->signal) {
                set_text(verdict_->call, sizeof(verdict_->call), signal.name);
            }
        }
        std::snprintf(verdict_->text, sizeof(verdict_->text), "address %p", g_landing->address);
        verdict_->code = g_landing->code;
        report_.clear();
    }

    const Scenario &scenario_;
    fltsim::World *world_ = nullptr;
    Scene *scene_ = nullptr;
    Snapshot snapshot_;
    fltsim::ReplaySchedule defaults_;
    // What play() still needs after a crash, whose jump leaves local variables behind.
    Verdict *verdict_ = nullptr;
    fltsim::Schedule *schedule_ = nullptr;
    uint64_t seed_ = 0;
};

} // namespace

std::unique_ptr<Stage> make_kept_stage(const Scenario &scenario, const std::string &image) {
    return std::make_unique<KeptStage>(scenario, image);
}

} // namespace explore

#else

namespace explore {

std::unique_ptr<Stage> make_kept_stage(const Scenario &scenario, const std::string &image) {
    return make_fresh_stage(scenario, image);
}

} // namespace explore

#endif
