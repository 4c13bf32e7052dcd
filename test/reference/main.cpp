// SPDX-License-Identifier: MIT
//
// This module provides: the program minipend_reference (npm run reference). Exit code 0: no difference that is not explained; 1: one, with its
// script on stdout; 2: bad usage.

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "../native/check.hpp"
#include "check.hpp"

namespace check {

std::atomic<int> &failures() {
    static std::atomic<int> count{0};
    return count;
}

void failed(const char *file, int line, const std::string &text) {
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, text.c_str());
}

} // namespace check

using namespace reference;

namespace {

struct Part {
    Profile profile;
    Filter filter;
    uint32_t percent;
};
constexpr Part PARTS[] = {
    {Profile::ntfs, Filter::none, 35}, {Profile::fat, Filter::none, 20},  {Profile::ntfs, Filter::observe, 15},
    {Profile::ntfs, Filter::pend, 15}, {Profile::ntfs, Filter::delay, 5}, {Profile::fat, Filter::pend, 10},
};

struct Arguments {
    uint64_t operations = 200'000;
    uint64_t seed = 1;
    std::string profile = "all";
    std::string filter = "all";
    std::string replay;
    std::string directory;
};

[[noreturn]] void usage(const std::string &problem) {
    std::fprintf(
        stderr,
        "minipend_reference: %s\nusage: minipend_reference [--operations N] [--seed S] [--profile ntfs|fat|all]\n"
        "         [--filter none|observe|pend|delay|all] [--directory DIR] [--replay FILE]\n",
        problem.c_str());
    std::exit(2);
}

uint64_t number(const std::string &option, std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        usage(option + " takes a number, not \"" + std::string(text) + "\"");
    }
    return value;
}

Arguments parse_arguments(int count, char **texts) {
    Arguments arguments;
    for (int i = 1; i < count; i += 2) {
        const std::string option = texts[i];
        if (i + 1 == count) {
            usage(option + " takes a value");
        }
        const std::string value = texts[i + 1];
        if (option == "--operations") {
            arguments.operations = number(option, value);
        } else if (option == "--seed") {
            arguments.seed = number(option, value);
        } else if (option == "--profile" && (value == "ntfs" || value == "fat" || value == "all")) {
            arguments.profile = value;
        } else if (option == "--filter") {
            arguments.filter = value;
        } else if (option == "--replay") {
            arguments.replay = value;
        } else if (option == "--directory") {
            arguments.directory = value;
        } else {
            usage("no option " + option + " " + value);
        }
    }
    if (arguments.directory.empty()) {
        arguments.directory = usual_directory();
    }
    return arguments;
}

std::vector<Part> parts_of(const Arguments &arguments) {
    std::vector<Part> parts;
    for (const Part &part : PARTS) {
        const bool profile = arguments.profile == "all" || arguments.profile == name_of(part.profile);
        const bool filter = arguments.filter == "all" || arguments.filter == name_of(part.filter);
        if (profile && filter) {
            parts.push_back(part);
        }
    }
    if (parts.empty()) {
        usage("no such combination of --profile and --filter");
    }
    return parts;
}

std::vector<Operation> read_script(const std::string &file) {
    std::ifstream stream(file);
    if (!stream) {
        usage("cannot read " + file);
    }
    std::vector<Operation> script;
    std::string line;
    for (int at = 1; std::getline(stream, line); ++at) {
        if (line.empty() || line.front() == '#') {
            continue;
        }
        std::string error;
        const auto operation = parse(line, &error);
        if (!operation) {
            usage(file + ", line " + std::to_string(at) + ": " + error);
        }
        script.push_back(*operation);
    }
    return script;
}

void print(const Counts &counts, double seconds) {
    const auto count = [](uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf("operations that agree on both sides\n  %-16s %12s %12s\n", "", "succeeded", "failed alike");
    for (size_t i = 0; i < KINDS; ++i) {
        std::printf("  %-16s %12llu %12llu\n", std::string(name_of(static_cast<Kind>(i))).c_str(),
                    count(counts.succeeded[i]), count(counts.failed[i]));
    }
    std::printf("deliberate differences, each met so often\n");
    for (size_t i = 0; i < DIFFERENCES; ++i) {
        const auto which = static_cast<Difference>(i);
        std::printf("  %-20s %10llu  %s\n", std::string(name_of(which)).c_str(), count(counts.differences[i]),
                    std::string(explanation_of(which)).c_str());
    }
    std::printf("left out\n");
    for (size_t i = 0; i < OMISSIONS; ++i) {
        const auto which = static_cast<Omission>(i);
        std::printf("  %-20s %10llu  %s\n", std::string(name_of(which)).c_str(), count(counts.omissions[i]),
                    std::string(explanation_of(which)).c_str());
    }
    std::printf("the driver observed %llu, pended %llu, could not pend %llu\n", count(counts.observed),
                count(counts.pended), count(counts.refused));
    std::printf("%llu operations in %llu sequences and %llu worlds, %llu files compared whole, %.0f operations/s\n",
                count(counts.operations), count(counts.sequences), count(counts.worlds), count(counts.files_compared),
                static_cast<double>(counts.operations) / seconds);
}

int run_all(const Arguments &arguments) {
    Options options;
    options.directory = arguments.directory;
    const std::vector<Part> parts = parts_of(arguments);
    uint32_t percents = 0;
    for (const Part &part : parts) {
        percents += part.percent;
    }
    Counts total;
    const auto start = std::chrono::steady_clock::now();
    for (const Part &part : parts) {
        options.profile = part.profile;
        options.filter = part.filter;
        options.seed = arguments.seed;
        options.operations = arguments.operations * part.percent / percents;
        Counts counts;
        const auto progress = [&](const Counts &so_far) {
            if (so_far.worlds % 32 == 0) {
                std::fprintf(stderr, "%s, filter %s: %llu\n", std::string(name_of(part.profile)).c_str(),
                             std::string(name_of(part.filter)).c_str(),
                             static_cast<unsigned long long>(so_far.operations));
            }
        };
        if (const auto failure = run(options, &counts, progress)) {
            std::printf("%s", text_of(*failure, options).c_str());
            return 1;
        }
        total.add(counts);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    print(total, took.count());
    std::printf("differences that are not explained: 0\n");
    return check::failures() == 0 ? 0 : 1;
}

int replay_script(const Arguments &arguments) {
    Options options;
    options.directory = arguments.directory;
    options.seed = arguments.seed;
    const std::vector<Operation> script = read_script(arguments.replay);
    bool differs = false;
    for (const Part &part : parts_of(arguments)) {
        options.profile = part.profile;
        options.filter = part.filter;
        Counts counts;
        const auto failure = replay(options, script, &counts);
        std::printf("%s, filter %s: %s\n", std::string(name_of(part.profile)).c_str(),
                    std::string(name_of(part.filter)).c_str(), failure ? "differs" : "no difference");
        if (failure) {
            std::printf("%s", text_of(*failure, options).c_str());
        }
        differs = differs || failure;
    }
    return differs ? 1 : 0;
}

} // namespace

int main(int count, char **texts) {
    try {
        const Arguments arguments = parse_arguments(count, texts);
        return arguments.replay.empty() ? run_all(arguments) : replay_script(arguments);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "minipend_reference: %s\n", problem.what());
        return 1;
    }
}
