// SPDX-License-Identifier: MIT
//
// This module provides: minipend_explore, the program behind `minipend explore`. It prints one JSON document a line: for each scenario what was played, for each
// failing schedule what failed and how to play it again, at the end the totals. Exit code 0: nothing failed; 1: something did; 2: the command line is
// wrong; 3: it cannot be done here; 130: stopped by SIGINT.
//
//   minipend_explore [--scenario NAME]... [--strategy random|pct|exhaustive] [--schedules N] [--seed S] [--depth D] [--delays K | --preemptions K]
//                    [--jobs N] [--plain N]
//   minipend_explore --replay SCENARIO/SEED/[pN/]DECISIONS [--shrink]
//   minipend_explore --list
//
// More options, for whoever changes minipend: --image FILE (or MINIPEND_DRIVER_IMAGE) explores another driver image; --fresh-worlds makes a world for each
// schedule instead of putting one back.

#include <charconv>
#include <cstring>
#include <string_view>

#include "../native/driver_image.hpp"
#include "crew.hpp"
#include "json.hpp"

using namespace explore;

namespace {

struct Options {
    std::vector<const Scenario *> wanted;
    Plan plan;
    int jobs = 1;
    bool list = false;
    bool shrinking = false;
    bool fresh = false;
    const char *replay = nullptr;
    std::string image;
};

const Scenario *scenario_of(std::string_view name) {
    for (const Scenario &scenario : scenarios()) {
        if (name == scenario.name) {
            return &scenario;
        }
    }
    return nullptr;
}

template <class T> bool number_of(std::string_view text, T least, T most, T *value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size() && *value >= least && *value <= most;
}

bool strategy_of(std::string_view text, Strategy *strategy) {
    for (const Strategy each : {Strategy::Random, Strategy::Pct, Strategy::Exhaustive}) {
        if (text == explore::name_of(each)) {
            *strategy = each;
            return true;
        }
    }
    return false;
}

bool read_option(std::string_view option, const char *value, Options *options) {
    Plan &plan = options->plan;
    if (option == "--scenario") {
        options->wanted.push_back(scenario_of(value));
        return options->wanted.back() != nullptr;
    }
    if (option == "--strategy") {
        return strategy_of(value, &plan.strategy);
    }
    if (option == "--schedules") {
        return number_of<uint64_t>(value, 1, UINT64_MAX, &plan.schedules);
    }
    if (option == "--seed") {
        return number_of<uint64_t>(value, 0, UINT64_MAX, &plan.seed);
    }
    if (option == "--depth") {
        return number_of<uint32_t>(value, 1, fltsim::PctSchedule::MAX_DEPTH, &plan.depth);
    }
    if (option == "--preemptions" || option == "--delays") {
        constexpr uint32_t MOST = 16;
        using Bound = fltsim::ExhaustiveSchedule::Bound;
        plan.of = option == "--delays" ? Bound::Delays : Bound::Preemptions;
        return number_of<uint32_t>(value, 0, MOST, &plan.bound);
    }
    if (option == "--plain") {
        return number_of<uint32_t>(value, 0, 1'000'000, &plan.plain_every);
    }
    if (option == "--jobs") {
        return number_of<int>(value, 1, Crew::MAX_WORKERS, &options->jobs);
    }
    if (option == "--image") {
        options->image = value;
        return true;
    }
    if (option == "--replay") {
        options->replay = value;
        return true;
    }
    return false;
}

bool read_options(int count, char **arguments, Options *options) {
    for (int index = 1; index < count; ++index) {
        const std::string_view option = arguments[index];
        if (option == "--list") {
            options->list = true;
        } else if (option == "--shrink") {
            options->shrinking = true;
        } else if (option == "--fresh-worlds") {
            options->fresh = true;
        } else if (index + 1 == count || !read_option(option, arguments[index + 1], options)) {
            std::fprintf(stderr, "minipend explore: %s: not understood\n", arguments[index]);
            return false;
        } else {
            ++index;
        }
    }
    return true;
}

/// SCENARIO/SEED/[pN/]DECISIONS
bool read_replay(const std::string &text, Options *options, std::vector<fltsim::Deviation> *decisions) {
    const size_t first = text.find('/');
    const size_t second = first == std::string::npos ? first : text.find('/', first + 1);
    if (second == std::string::npos) {
        return false;
    }
    const Scenario *const scenario = scenario_of(text.substr(0, first));
    if (scenario == nullptr ||
        !number_of<uint64_t>(text.substr(first + 1, second - first - 1), 0, UINT64_MAX, &options->plan.seed)) {
        return false;
    }
    options->wanted = {scenario};
    std::string rest = text.substr(second + 1);
    options->plan.plain_every = 0;
    if (const size_t third = rest.find('/'); third != std::string::npos) {
        if (rest[0] != 'p' ||
            !number_of<uint32_t>(rest.substr(1, third - 1), 1, UINT32_MAX, &options->plan.plain_every)) {
            return false;
        }
        rest = rest.substr(third + 1);
    }
    return fltsim::deviations_of(rest, decisions);
}

int list_all() {
    for (const Scenario &scenario : scenarios()) {
        std::printf("{\"event\":\"known\",\"scenario\":%s,\"what\":%s}\n", quoted(scenario.name).c_str(),
                    quoted(scenario.what).c_str());
    }
    return 0;
}

} // namespace

int main(int count, char **arguments) {
    Options options;
    if (!read_options(count, arguments, &options)) {
        return 2;
    }
    if (options.list) {
        return list_all();
    }
    std::vector<fltsim::Deviation> decisions;
    if (options.replay != nullptr && !read_replay(options.replay, &options, &decisions)) {
        std::fprintf(stderr, "minipend explore: --replay: expected SCENARIO/SEED/DECISIONS, got \"%s\"\n",
                     options.replay);
        return 2;
    }
    if (options.image.empty()) {
        const bool plain = options.plan.plain_every != 0 && std::getenv("MINIPEND_DRIVER_IMAGE") == nullptr;
        options.image = plain ? MINIPEND_PLAIN_IMAGE : check::driver_image();
    }
    if (options.plan.plain_every != 0 && options.image.empty()) {
        std::fprintf(stderr, "minipend explore: this build has no driver with plain accesses: a sanitizer has them\n");
        return 3;
    }
    if (options.wanted.empty()) {
        for (const Scenario &scenario : scenarios()) {
            options.wanted.push_back(&scenario);
        }
    }
    Crew crew(options.image, options.fresh, options.replay != nullptr ? 1 : options.jobs);
    for (const Scenario *scenario : options.wanted) {
        if (options.replay != nullptr) {
            crew.replay(*scenario, options.plan, decisions, options.shrinking);
        } else {
            crew.explore(*scenario, options.plan);
        }
        if (crew.stopped()) {
            break;
        }
    }
    return crew.finish();
}
