// SPDX-License-Identifier: MIT
//
// This module provides: explorer.hpp.

#include "explorer.hpp"

namespace explore {

namespace {

std::vector<fltsim::Deviation> list_of(std::span<const fltsim::Deviation> deviations) {
    return {deviations.begin(), deviations.end()};
}

/// The schedule without any decision; how many choices there are in it.
uint32_t points_of_default(Stage &stage, uint32_t plain_every) {
    fltsim::ReplaySchedule schedule;
    schedule.plain_every = plain_every;
    schedule.decisions({});
    stage.play(schedule, 0);
    return schedule.points();
}

/// Two explorations that decided the same have the same sum of these.
uint64_t digest_of(const fltsim::Schedule &schedule, const Verdict &verdict, uint64_t seed) {
    uint64_t digest = fltsim::Random(seed ^ schedule.points()).next() + (verdict.failed ? 1 : 0);
    for (const fltsim::Deviation &deviation : schedule.deviations()) {
        digest = fltsim::Random(digest ^ (uint64_t{deviation.point} << 32 | deviation.option)).next();
    }
    return digest;
}

/// Not more than so many schedules for one shrinking.
constexpr uint64_t MAX_TRIES = 5'000;

/// Whether the schedule that was just played is the finding with fewer decisions; then it is kept.
bool keep_if_shorter(const fltsim::Schedule &schedule, const Verdict &verdict, Finding &finding) {
    const bool better = verdict.same_as(finding.verdict) && schedule.deviations().size() < finding.shrunk.size();
    if (better) {
        finding.shrunk = list_of(schedule.deviations());
    }
    return better;
}

/// Decisions depend on each other: without one of them the others may mean something else. So all schedules with one decision and with two are tried as well, as
/// far as that goes, and then some by priorities, which need few.
void find_shorter(Stage &stage, const Plan &plan, Finding &finding) {
    constexpr uint64_t SCHEDULES = 4'000;
    constexpr size_t DECISIONS = 2;
    fltsim::ExhaustiveSchedule walk;
    walk.plain_every = plan.plain_every;
    walk.start(static_cast<uint32_t>(std::min(DECISIONS, finding.shrunk.size() - 1)),
               fltsim::ExhaustiveSchedule::Bound::Delays);
    for (uint64_t played = 0; played < SCHEDULES && walk.next(); ++played) {
        ++finding.tries;
        if (keep_if_shorter(walk, stage.play(walk, finding.seed), finding)) {
            return;
        }
    }
    fltsim::PctSchedule pct;
    pct.plain_every = plan.plain_every;
    for (uint64_t seed = 0; seed < SCHEDULES && finding.shrunk.size() > DECISIONS; ++seed) {
        ++finding.tries;
        pct.seed(seed, 2 + static_cast<uint32_t>(seed % 2), walk.points());
        keep_if_shorter(pct, stage.play(pct, finding.seed), finding);
    }
}

void make_shorter(Stage &stage, const Plan &plan, Finding &finding) {
    fltsim::ReplaySchedule schedule;
    schedule.plain_every = plan.plain_every;
    uint64_t tries_left = MAX_TRIES;
    const auto fails = [&](const std::vector<fltsim::Deviation> &decisions) {
        if (tries_left == 0) {
            return false;
        }
        --tries_left;
        ++finding.tries;
        schedule.decisions(decisions);
        return stage.play(schedule, finding.seed).same_as(finding.verdict);
    };
    // Decisions that still fail when they are played again; a schedule that does not is shown as it was found.
    finding.shrunk = finding.decisions;
    if (fails(finding.decisions)) {
        finding.shrunk = shrink(finding.decisions, fails);
    }
    if (const size_t before = finding.shrunk.size(); before > 1) {
        find_shorter(stage, plan, finding);
        if (finding.shrunk.size() < before) {
            tries_left = MAX_TRIES;
            finding.shrunk = shrink(finding.shrunk, fails);
        }
    }
    schedule.noting = true;
    schedule.decisions(finding.shrunk);
    const Verdict again = stage.play(schedule, finding.seed);
    if (again.same_as(finding.verdict)) {
        finding.verdict = again;
        finding.report = stage.report();
        finding.shrunk = list_of(schedule.deviations());
        finding.notes.assign(schedule.notes().begin(), schedule.notes().end());
    }
}

} // namespace

std::optional<Finding> explore_scenario(Stage &stage, const Plan &plan, Progress &progress) {
    fltsim::RandomSchedule random;
    fltsim::PctSchedule pct;
    fltsim::ExhaustiveSchedule exhaustive;
    fltsim::Schedule *schedule = &random;
    uint32_t expected_points = 0;
    if (plan.strategy == Strategy::Pct) {
        schedule = &pct;
        expected_points = points_of_default(stage, plan.plain_every);
    } else if (plan.strategy == Strategy::Exhaustive) {
        schedule = &exhaustive;
        exhaustive.start(plan.bound, plan.of, plan.walker, plan.walkers);
    }
    schedule->plain_every = plan.plain_every;
    const bool walk = plan.strategy == Strategy::Exhaustive;
    for (uint64_t number = plan.walker; number < plan.schedules; number += plan.walkers) {
        const uint64_t seed = walk ? plan.seed : plan.seed + number;
        if (plan.strategy == Strategy::Pct) {
            pct.seed(seed, plan.depth, expected_points);
        } else if (plan.strategy == Strategy::Random) {
            random.seed(seed);
        } else if (!exhaustive.next()) {
            break;
        }
        progress.seed = seed;
        const Verdict verdict = stage.play(*schedule, seed);
        ++progress.played;
        progress.points += schedule->points();
        progress.preemptions += schedule->preemptions();
        progress.distinct += !walk || exhaustive.is_new() ? 1 : 0;
        progress.digest += digest_of(*schedule, verdict, seed);
        progress.complete = walk ? exhaustive.complete() : -1;
        if (verdict.failed) {
            Finding finding;
            finding.seed = seed;
            finding.verdict = verdict;
            finding.report = stage.report();
            finding.decisions = list_of(schedule->deviations());
            make_shorter(stage, plan, finding);
            return finding;
        }
    }
    progress.complete = walk ? exhaustive.complete() : -1;
    return std::nullopt;
}

std::optional<Finding> replay(Stage &stage, const Plan &plan, const std::vector<fltsim::Deviation> &decisions,
                              bool shrinking) {
    fltsim::ReplaySchedule schedule;
    schedule.plain_every = plan.plain_every;
    schedule.noting = true;
    schedule.decisions(decisions);
    Finding finding;
    finding.seed = plan.seed;
    finding.verdict = stage.play(schedule, plan.seed);
    if (!finding.verdict.failed) {
        return std::nullopt;
    }
    finding.report = stage.report();
    finding.decisions = finding.shrunk = list_of(schedule.deviations());
    finding.notes.assign(schedule.notes().begin(), schedule.notes().end());
    if (shrinking) {
        make_shorter(stage, plan, finding);
    }
    return finding;
}

} // namespace explore
