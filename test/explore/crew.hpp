// SPDX-License-Identifier: MIT
//
// This module provides: processes that explore a scenario side by side. The first one that finds something ends it for all. One that dies in a schedule, or does
// not come to its end, has found something too.
#pragma once

#include <chrono>
#include <string>
#include <sys/types.h>

#include "explorer.hpp"

namespace explore {

class Crew {
  public:
    static constexpr int MAX_WORKERS = 64;
    Crew(std::string image, bool fresh_worlds, int workers);
    ~Crew();
    Crew(const Crew &) = delete;
    Crew &operator=(const Crew &) = delete;

    /// Prints what came of it.
    void explore(const Scenario &scenario, const Plan &plan);
    void replay(const Scenario &scenario, const Plan &plan, const std::vector<fltsim::Deviation> &decisions,
                bool shrinking);
    /// By SIGINT or SIGTERM.
    bool stopped() const;
    /// Prints the totals. The exit code.
    int finish();

  private:
    struct Worker {
        pid_t process = 0;
        int pipe = -1;
        std::string said;
        uint64_t seen_played = 0;
        std::chrono::steady_clock::time_point moved;
    };
    using Work = std::function<std::optional<Finding>(Stage &, const Plan &, Progress &)>;
    void run(const Scenario &scenario, const Plan &plan, int count, const Work &work);
    [[noreturn]] void be_worker(const Scenario &scenario, const Plan &plan, int number, int to, const Work &work);
    void listen(Worker &worker) const;
    /// The failure that a worker tells, or is; empty: none (yet).
    std::string failure_of(Worker &worker, int number, const Scenario &scenario, const Plan &plan) const;
    void end_all();

    std::string image_;
    bool fresh_;
    int workers_;
    std::vector<Worker> crew_;
    Progress *progress_;
    std::chrono::steady_clock::time_point start_;
    uint64_t played_ = 0;
    uint64_t failures_ = 0;
    uint64_t scenarios_ = 0;
};

} // namespace explore
