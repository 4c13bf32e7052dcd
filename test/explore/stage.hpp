// SPDX-License-Identifier: MIT
//
// This module provides: a stage, on which one scenario is played with one schedule after the other, and the verdict on each.
#pragma once

#include <memory>
#include <string>

#include "core/schedule.hpp"
#include "scene.hpp"

namespace explore {

/// What was found. Plain memory: it is filled in while a world runs.
struct Verdict {
    bool failed = false;
    char rule[128] = ""; ///< the verifier's, or "CHECK", "LEAK", "CRASH"
    char call[64] = "";
    char text[512] = "";
    const void *code = nullptr; ///< of a crash
    /// The same mistake, as far as one can tell.
    bool same_as(const Verdict &other) const;
};

class Stage {
  public:
    virtual ~Stage() = default;
    /// One schedule: the scene is played and checked, everything is unloaded, nothing must be left. Also decides what the world draws. Before the first
    /// choice the schedule is told that it begins, by the seed.
    virtual Verdict play(fltsim::Schedule &schedule, uint64_t seed) = 0;
    /// The world's report on the last failed schedule, JSON.
    const std::string &report() const { return report_; }

  protected:
    std::string report_;
};

/// One world, which is put back after each schedule (heap.hpp says where that can be done; elsewhere this is a fresh stage). One at a time in a process.
std::unique_ptr<Stage> make_kept_stage(const Scenario &scenario, const std::string &image);
/// Every schedule in a world of its own.
std::unique_ptr<Stage> make_fresh_stage(const Scenario &scenario, const std::string &image);

/// For a test's check that failed (check.hpp).
class CheckFailures {
  public:
    static void reset();
    static const char *first(); ///< null: none
};

// ---- for stages ---------------------------------------------------------------------------------------------------------

/// The three parts of a schedule in a world. All run on the calling host thread.
std::shared_ptr<fltsim::World> make_explored_world(const std::string &image);
std::unique_ptr<Scene> set_scene(const Scenario &scenario, fltsim::World &world);
void play_scene(fltsim::World &world, std::unique_ptr<Scene> scene, fltsim::Schedule &schedule, uint64_t seed,
                Verdict &verdict);
void judge(fltsim::World &world, Verdict &verdict);
void set_text(char *to, size_t bytes, std::string_view text);

} // namespace explore
