// SPDX-License-Identifier: MIT
//
// This module provides: Crew (crew.hpp).

#include "crew.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

#include "json.hpp"

namespace explore {

namespace {

using Clock = std::chrono::steady_clock;

/// A worker that has finished no schedule for so long is in one that does not end (shrinking plays schedules too).
constexpr std::chrono::seconds PATIENCE{120};
constexpr int POLL_MS = 50;

volatile std::sig_atomic_t g_stopped = 0;

void on_signal(int) {
    g_stopped = 1;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void print(const std::string &line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

} // namespace

Crew::Crew(std::string image, bool fresh_worlds, int workers)
    : image_(std::move(image)), fresh_(fresh_worlds), workers_(workers), start_(Clock::now()) {
    void *memory =
        mmap(nullptr, sizeof(Progress) * MAX_WORKERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("minipend explore: memory that the workers share");
        std::exit(3);
    }
    progress_ = new (memory) Progress[MAX_WORKERS];
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
}

Crew::~Crew() {
    munmap(progress_, sizeof(Progress) * MAX_WORKERS);
}

bool Crew::stopped() const {
    return g_stopped != 0;
}

void Crew::be_worker(const Scenario &scenario, const Plan &plan, int number, int to, const Work &work) {
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    std::signal(SIGINT, SIG_IGN); // the parent ends it
    std::signal(SIGTERM, SIG_DFL);
    const std::unique_ptr<Stage> stage =
        fresh_ ? make_fresh_stage(scenario, image_) : make_kept_stage(scenario, image_);
    const std::optional<Finding> finding = work(*stage, plan, progress_[number]);
    if (finding) {
        const std::string json = finding_json(scenario, plan, *finding, image_);
        for (size_t written = 0; written < json.size();) {
            const ssize_t more = write(to, json.data() + written, json.size() - written);
            if (more <= 0) {
                _exit(3);
            }
            written += static_cast<size_t>(more);
        }
    }
    progress_[number].done = true;
    _exit(0);
}

void Crew::listen(Worker &worker) const {
    char bytes[4096];
    for (ssize_t got = 1; got > 0;) {
        got = read(worker.pipe, bytes, sizeof(bytes));
        if (got > 0) {
            worker.said.append(bytes, static_cast<size_t>(got));
        } else if (got == 0) {
            close(worker.pipe);
            worker.pipe = -1;
        }
        if (got < static_cast<ssize_t>(sizeof(bytes))) {
            break;
        }
    }
}

std::string Crew::failure_of(Worker &worker, int number, const Scenario &scenario, const Plan &plan) const {
    Progress &progress = progress_[number];
    if (worker.pipe >= 0) {
        if (progress.played != worker.seen_played) {
            worker.seen_played = progress.played;
            worker.moved = Clock::now();
        }
        if (Clock::now() - worker.moved > PATIENCE) {
            return lost_json(scenario, plan, progress.seed, "HANG",
                             "the schedule does not come to its end, nor to a scheduling point");
        }
        return {};
    }
    int status = 0;
    waitpid(worker.process, &status, 0);
    worker.process = 0;
    if (progress.done) {
        return std::exchange(worker.said, {});
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
        std::exit(3); // it has said why
    }
    const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                : "exit code " + std::to_string(WEXITSTATUS(status));
    return lost_json(scenario, plan, progress.seed, "CRASH", "the process ended by " + how);
}

void Crew::end_all() {
    for (Worker &worker : crew_) {
        if (worker.process != 0) {
            kill(worker.process, SIGKILL);
            waitpid(worker.process, nullptr, 0);
        }
        if (worker.pipe >= 0) {
            close(worker.pipe);
        }
    }
    crew_.clear();
}

void Crew::run(const Scenario &scenario, const Plan &plan, int count, const Work &work) {
    const auto start = Clock::now();
    std::fflush(nullptr);
    for (int number = 0; number < count; ++number) {
        new (&progress_[number]) Progress;
        Plan part = plan;
        part.walker = static_cast<uint32_t>(number);
        part.walkers = static_cast<uint32_t>(count);
        int ends[2];
        if (pipe(ends) != 0) {
            std::perror("minipend explore: pipe");
            std::exit(3);
        }
        const pid_t child = fork();
        if (child < 0) {
            std::perror("minipend explore: fork");
            std::exit(3);
        }
        if (child == 0) {
            close(ends[0]);
            be_worker(scenario, part, number, ends[1], work);
        }
        close(ends[1]);
        crew_.push_back({child, ends[0], {}, 0, Clock::now()});
    }
    std::string failure;
    bool running = true;
    while (running && failure.empty() && !stopped()) {
        std::vector<pollfd> wanted;
        for (const Worker &worker : crew_) {
            wanted.push_back({worker.pipe, POLLIN, 0}); // negative ones are passed over
        }
        poll(wanted.data(), wanted.size(), POLL_MS);
        running = false;
        for (size_t i = 0; i < crew_.size() && failure.empty(); ++i) {
            Worker &worker = crew_[i];
            if (worker.process == 0) {
                continue;
            }
            if (wanted[i].revents != 0) {
                listen(worker);
            }
            failure = failure_of(worker, static_cast<int>(i), scenario, plan);
            running = running || worker.process != 0;
        }
    }
    end_all();
    uint64_t played = 0, distinct = 0, points = 0, preemptions = 0, digest = 0;
    int complete = INT32_MAX;
    for (int number = 0; number < count; ++number) {
        played += progress_[number].played;
        distinct += progress_[number].distinct;
        points += progress_[number].points;
        preemptions += progress_[number].preemptions;
        digest += progress_[number].digest;
        complete = std::min(complete, progress_[number].complete.load());
    }
    const double seconds = seconds_since(start);
    ++scenarios_;
    played_ += played;
    failures_ += failure.empty() ? 0 : 1;
    char line[1024];
    std::snprintf(line, sizeof(line),
                  "{\"event\":\"scenario\",\"scenario\":%s,\"strategy\":\"%s\",\"schedules\":%llu,\"distinct\":%llu,"
                  "\"seed\":\"%llu\","
                  "\"pointsPerSchedule\":%.1f,\"preemptionsPerSchedule\":%.1f,\"complete\":%s,\"seconds\":%.2f,"
                  "\"failed\":%s,\"stopped\":%s,\"digest\":\"%016llx\"}",
                  quoted(scenario.name).c_str(), explore::name_of(plan.strategy),
                  static_cast<unsigned long long>(played), static_cast<unsigned long long>(distinct),
                  static_cast<unsigned long long>(plan.seed),
                  played == 0 ? 0.0 : static_cast<double>(points) / static_cast<double>(played),
                  played == 0 ? 0.0 : static_cast<double>(preemptions) / static_cast<double>(played),
                  complete < 0 ? "null" : std::to_string(complete).c_str(), seconds, failure.empty() ? "false" : "true",
                  stopped() ? "true" : "false", static_cast<unsigned long long>(digest));
    print(line);
    if (!failure.empty()) {
        print(failure);
    }
}

void Crew::explore(const Scenario &scenario, const Plan &plan) {
    const auto count = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(workers_), plan.schedules));
    run(scenario, plan, count,
        [](Stage &stage, const Plan &part, Progress &progress) { return explore_scenario(stage, part, progress); });
}

void Crew::replay(const Scenario &scenario, const Plan &plan, const std::vector<fltsim::Deviation> &decisions,
                  bool shrinking) {
    run(scenario, plan, 1, [&](Stage &stage, const Plan &part, Progress &progress) {
        progress.seed = part.seed;
        const std::optional<Finding> finding = explore::replay(stage, part, decisions, shrinking);
        ++progress.played;
        return finding;
    });
}

int Crew::finish() {
    char line[512];
    const double seconds = seconds_since(start_);
    std::snprintf(line, sizeof(line),
                  "{\"event\":\"end\",\"scenarios\":%llu,\"schedules\":%llu,\"failures\":%llu,\"seconds\":%.2f,"
                  "\"perSecond\":%.0f,\"jobs\":%d,\"stopped\":%s}",
                  static_cast<unsigned long long>(scenarios_), static_cast<unsigned long long>(played_),
                  static_cast<unsigned long long>(failures_), seconds,
                  static_cast<double>(played_) / std::max(seconds, 1e-9), workers_, stopped() ? "true" : "false");
    print(line);
    constexpr int INTERRUPTED = 130;
    return stopped() ? INTERRUPTED : failures_ == 0 ? 0 : 1;
}

} // namespace explore
