// SPDX-License-Identifier: MIT
//
// This module provides: minipend_operations SUITE [--threads] [--quick] [--repetitions N] [--operations N] [--form TEXT] [--filter NAME]: runs one suite of benchmarks inside
// the model and prints each result as one line of JSON. bench.mjs runs it and reads the lines; --list names the suites.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "measure.hpp"

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

namespace {

struct Suite {
    const char *name;
    void (*run)(const bench::Plan &plan);
};

const Suite SUITES[] = {
    {"forms", bench::forms_suite},     {"rules", bench::rules_suite},   {"held", bench::held_suite},
    {"clients", bench::clients_suite}, {"memory", bench::memory_suite}, {"worlds", bench::worlds_suite},
};

int usage() {
    std::fputs("usage: minipend_operations --list | SUITE [--threads] [--quick] [--repetitions N] [--operations N] "
               "[--form TEXT] [--filter NAME]\n",
               stderr);
    return 2;
}

/// False: not an option, or without a number from 1 to 10,000,000.
bool parse(bench::Plan *plan, int count, char **arguments) {
    for (int i = 0; i < count; ++i) {
        const std::string_view option = arguments[i];
        if (option == "--threads") {
            plan->executor = FLTSIM_EXECUTOR_THREADS;
        } else if (option == "--quick") {
            plan->quick = true;
        } else if (option == "--form" && i + 1 < count) {
            plan->only_form = arguments[++i];
        } else if (option == "--filter" && i + 1 < count) {
            plan->only_filter = arguments[++i];
        } else if (option == "--repetitions" || option == "--operations") {
            const unsigned long value = i + 1 < count ? std::strtoul(arguments[++i], nullptr, 10) : 0;
            if (value == 0 || value > 10'000'000) {
                return false;
            }
            (option == "--repetitions" ? plan->repetitions : plan->operations) = static_cast<uint32_t>(value);
        } else {
            return false;
        }
    }
    return true;
}

} // namespace

int main(int count, char **arguments) {
    if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
        for (const Suite &suite : SUITES) {
            std::printf("%s\n", suite.name);
        }
        return 0;
    }
    bench::Plan plan;
    if (count < 2 || !parse(&plan, count - 2, arguments + 2)) {
        return usage();
    }
    for (const Suite &suite : SUITES) {
        if (std::strcmp(arguments[1], suite.name) == 0) {
            try {
                suite.run(plan);
            } catch (const std::exception &problem) {
                check::failed(suite.name, 0, problem.what());
            }
            return check::failures() == 0 ? 0 : 1;
        }
    }
    return usage();
}
