// SPDX-License-Identifier: MIT
//
// This module provides: the runner of the native tests: all of them, or those that --filter names; --jobs N for N processes at once; --brief for one line for
// each area (file); --results for a file with one line for each case, its name and "ok", "FAILED" or "skipped". Exit code 0: all passed, 1: some failed, 2: bad
// usage or no test selected.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string_view>

#include "check.hpp"
#include "workers.hpp"

namespace check {

std::vector<Case> &cases() {
    static std::vector<Case> all;
    return all;
}

std::atomic<int> &failures() {
    static std::atomic<int> count{0};
    return count;
}

void failed(const char *file, int line, const std::string &text) {
    static std::mutex mutex;
    const std::lock_guard guard(mutex);
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, text.c_str());
}

Registration::Registration(const char *file, const char *name, std::function<void()> run) {
    std::string_view stem = file;
    stem = stem.substr(stem.find_last_of('/') + 1);
    stem = stem.substr(0, stem.find('.'));
    cases().push_back({std::string(stem) + "." + name, std::move(run)});
}

} // namespace check

namespace {

struct Options {
    std::string_view filter;
    std::vector<std::string_view> skips;
    std::vector<std::string_view> names;
    bool list = false;
    bool brief = false; ///< one line for each area, and what fails
    int jobs = 0; ///< processes; 0: this one
    std::FILE *results = nullptr;
};

bool read_options(int count, char **arguments, Options *options) {
    for (int index = 1; index < count; ++index) {
        const std::string_view option = arguments[index];
        if (option == "--list") {
            options->list = true;
        } else if (option == "--brief") {
            options->brief = true;
        } else if (index + 1 == count) {
            return false;
        } else if (option == "--filter") {
            options->filter = arguments[++index];
        } else if (option == "--test") {
            options->names.emplace_back(arguments[++index]);
        } else if (option == "--skip") {
            options->skips.emplace_back(arguments[++index]);
        } else if (option == "--jobs") {
            const std::string_view number = arguments[++index];
            const auto [end, error] = std::from_chars(number.begin(), number.end(), options->jobs);
            if (error != std::errc() || end != number.end() || options->jobs < 1 || options->jobs > 64) {
                return false;
            }
        } else if (option == "--results") {
            options->results = std::fopen(arguments[++index], "w");
            if (options->results == nullptr) {
                return false;
            }
        } else {
            return false;
        }
    }
    return true;
}

std::string_view area_of(const check::Case &test) {
    return std::string_view(test.name).substr(0, test.name.find('.'));
}

bool skipped_by(const Options &options, const check::Case &test) {
    return std::ranges::any_of(options.skips,
                               [&](std::string_view skip) { return test.name.find(skip) != std::string::npos; });
}

workers::Outcome run_case(const Options &options, const check::Case &test) {
    if (skipped_by(options, test)) {
        return workers::Outcome::Skipped;
    }
    const int before = check::failures();
    try {
        test.run();
    } catch (const std::exception &exception) {
        check::failed(test.name.c_str(), 0, std::string("exception: ") + exception.what());
    }
    return check::failures() == before ? workers::Outcome::Passed : workers::Outcome::Failed;
}

/// Says how the cases went, one after the other, and counts them.
class Report {
  public:
    explicit Report(const Options &options) : options_(options) {}
    void begins(const check::Case &test) const {
        if (!options_.brief && !skipped_by(options_, test)) {
            std::printf("%s ", test.name.c_str());
            std::fflush(stdout);
        }
    }
    void ends(const check::Case &test, workers::Outcome outcome, double seconds, bool begun) {
        if (area_of(test) != area_) {
            end_area();
            area_ = area_of(test);
        }
        const bool good = outcome == workers::Outcome::Passed;
        const bool left_out = outcome == workers::Outcome::Skipped;
        const char *how = good ? "ok" : left_out ? "skipped" : "FAILED";
        if (!options_.brief) {
            std::printf("%s%s\n", begun && !left_out ? "" : (test.name + " ").c_str(), how);
        } else if (!good && !left_out) {
            std::printf("  %s FAILED\n", test.name.c_str());
        }
        std::fflush(stdout);
        if (options_.results != nullptr) {
            std::fprintf(options_.results, "%s %s %.3f\n", test.name.c_str(), how, seconds);
            std::fflush(options_.results);
        }
        if (left_out) {
            ++skipped;
            return;
        }
        area_seconds_ += seconds;
        (good ? passed : failed) += 1;
        (good ? area_passed_ : area_failed_) += 1;
    }
    void end_area() {
        if (options_.brief && area_passed_ + area_failed_ > 0) {
            std::printf("  %-24.*s %3d passed%s, %.1f s\n", static_cast<int>(area_.size()), area_.data(), area_passed_,
                        area_failed_ > 0 ? (", " + std::to_string(area_failed_) + " FAILED").c_str() : "",
                        area_seconds_);
            std::fflush(stdout);
        }
        area_passed_ = area_failed_ = 0;
        area_seconds_ = 0;
    }
    int passed = 0;
    int failed = 0;
    int skipped = 0;

  private:
    const Options &options_;
    std::string_view area_;
    double area_seconds_ = 0;
    int area_passed_ = 0;
    int area_failed_ = 0;
};

void run_here(const Options &options, const std::vector<const check::Case *> &tests, Report *report) {
    for (const check::Case *test : tests) {
        report->begins(*test);
        const auto start = std::chrono::steady_clock::now();
        const workers::Outcome outcome = run_case(options, *test);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        report->ends(*test, outcome, took.count(), true);
    }
}

void run_in_workers(const Options &options, const std::vector<const check::Case *> &tests, Report *report) {
    workers::run_all(
        tests.size(), options.jobs, [&](size_t index) { return run_case(options, *tests[index]); },
        [&](size_t index, const workers::Slot &slot) {
            if (index == tests.size()) {
                ++report->failed;
            } else {
                report->ends(*tests[index], slot.outcome, slot.seconds, false);
            }
        });
}

} // namespace

int main(int count, char **arguments) {
    Options options;
    if (!read_options(count, arguments, &options)) {
        std::fprintf(stderr,
                     "usage: %s [--list] [--brief] [--jobs 1..64] [--filter TEXT] [--test NAME]... [--skip TEXT]... "
                     "[--results FILE]\n",
                     arguments[0]);
        return 2;
    }
    std::vector<const check::Case *> tests;
    for (const check::Case &test : check::cases()) {
        if (test.name.find(options.filter) != std::string::npos &&
            (options.names.empty() || std::ranges::find(options.names, test.name) != options.names.end())) {
            tests.push_back(&test);
        }
    }
    Report report(options);
    if (options.list) {
        for (const check::Case *test : tests) {
            std::printf("%s\n", test->name.c_str());
        }
    } else {
        (options.jobs == 0 ? run_here : run_in_workers)(options, tests, &report);
        report.end_area();
        std::printf("%d passed, %d failed, %d skipped\n", report.passed, report.failed, report.skipped);
    }
    if (options.results != nullptr) {
        std::fclose(options.results);
    }
    if (options.list ? tests.empty() : report.passed + report.failed == 0) {
        std::fprintf(stderr, "no test matches \"%.*s\"\n", static_cast<int>(options.filter.size()),
                     options.filter.data());
        return 2;
    }
    return report.failed == 0 ? 0 : 1;
}
