// SPDX-License-Identifier: MIT
//
// This module provides: test cases run by several processes at once. Each is forked before anything has been run, takes the next case that nobody has, and
// leaves its outcome in memory that all share. One that dies in a case has failed that case only: another is forked for the rest.
#pragma once

#include <sys/mman.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <thread>
#include <vector>

namespace workers {

enum class Outcome : int { Waiting, Running, Passed, Failed, Skipped, Died };

/// What is known of one case; written by the process that runs it, then by nobody.
struct Slot {
    std::atomic<Outcome> outcome{Outcome::Waiting};
    std::atomic<pid_t> worker{0};
    double seconds = 0; ///< Set before the outcome is.
};

class Board {
  public:
    explicit Board(size_t count) : bytes_(sizeof(Slot) * count + sizeof(std::atomic<size_t>)), count_(count) {
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) {
            std::perror("native tests: memory that the workers share");
            std::exit(2);
        }
        next_ = new (memory_) std::atomic<size_t>(0);
        slots_ = new (next_ + 1) Slot[count];
    }
    ~Board() { munmap(memory_, bytes_); }
    Board(const Board &) = delete;
    Board &operator=(const Board &) = delete;

    Slot &operator[](size_t index) { return slots_[index]; }
    /// The next case that nobody has taken; count() when there is none.
    size_t take() {
        const size_t index = next_->fetch_add(1, std::memory_order_relaxed);
        return index < count_ ? index : count_;
    }
    [[nodiscard]] size_t count() const { return count_; }

  private:
    size_t bytes_;
    size_t count_;
    void *memory_;
    std::atomic<size_t> *next_;
    Slot *slots_;
};

/// Runs the cases 0..count-1 in `jobs` processes. `run` says how one went; `report` is called in this process, in the order of the cases.
inline void run_all(size_t count, int jobs, const std::function<Outcome(size_t)> &run,
                    const std::function<void(size_t, const Slot &)> &report) {
    static_assert(std::atomic<Outcome>::is_always_lock_free && std::atomic<size_t>::is_always_lock_free);
    Board board(count);
    const auto start_worker = [&] {
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child < 0) {
            std::perror("native tests: fork");
            std::exit(2);
        }
        if (child > 0) {
            return;
        }
#if defined(__linux__)
        prctl(PR_SET_PDEATHSIG, SIGKILL); // who runs the tests may be killed
#endif
        for (size_t index = board.take(); index < count; index = board.take()) {
            Slot &slot = board[index];
            slot.worker.store(getpid(), std::memory_order_relaxed);
            slot.outcome.store(Outcome::Running, std::memory_order_release);
            const auto start = std::chrono::steady_clock::now();
            const Outcome outcome = run(index);
            slot.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            slot.outcome.store(outcome, std::memory_order_release);
        }
        std::exit(0); // not _exit: the sanitizers look for leaks now
    };
    int alive = 0;
    for (; alive < jobs; ++alive) {
        start_worker();
    }
    size_t reported = 0;
    const auto report_what_is_known = [&] {
        for (; reported < count; ++reported) {
            const Outcome outcome = board[reported].outcome.load(std::memory_order_acquire);
            if (outcome == Outcome::Waiting || outcome == Outcome::Running) {
                break;
            }
            report(reported, board[reported]);
        }
    };
    while (alive > 0) {
        int status = 0;
        const pid_t child = waitpid(-1, &status, WNOHANG);
        if (child > 0) {
            --alive;
            bool in_a_case = false; // whatever it ended by: a case may also leave by exit(0)
            for (size_t index = 0; index < count; ++index) {
                Slot &slot = board[index];
                if (slot.worker == child && slot.outcome == Outcome::Running) {
                    slot.outcome = Outcome::Died;
                    in_a_case = true;
                }
            }
            if (in_a_case || status != 0) {
                std::fprintf(stderr, "native tests: a worker ended by %s %d %s\n",
                             WIFSIGNALED(status) ? "signal" : "exit code",
                             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                             in_a_case ? "in a case" : "after its last case");
            }
            if (in_a_case) {
                start_worker();
                ++alive;
            } else if (status != 0) { // at its exit: a leak, or a destructor
                report(count, Slot{});
            }
        } else if (child < 0 && errno != EINTR) {
            break;
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        report_what_is_known();
    }
    for (size_t index = reported; index < count; ++index) {
        if (board[index].outcome == Outcome::Waiting) {
            board[index].outcome = Outcome::Died; // taken by a worker that ended before it said so
        }
    }
    report_what_is_known();
}

} // namespace workers
