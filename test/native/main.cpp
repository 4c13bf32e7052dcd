// SPDX-License-Identifier: MIT
//
// This module provides: the runner of the native tests: all of them, or those that --filter names; --brief for one line for each area (file); --results for a
// file with one line for each case, its name and "ok", "FAILED" or "skipped". Exit code 0: all passed, 1: some failed, 2: bad usage or no test selected.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string_view>

#include "check.hpp"

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

/// Runs the cases of one area after the other and says how they went.
class Run {
  public:
    explicit Run(const Options &options) : options_(options) {}
    void one(const check::Case &test) {
        if (area_of(test) != area_) {
            end_area();
            area_ = area_of(test);
            start_ = std::chrono::steady_clock::now();
        }
        const auto matches = [&](std::string_view skip) { return test.name.find(skip) != std::string::npos; };
        if (std::ranges::any_of(options_.skips, matches)) {
            say(test, "skipped");
            ++skipped;
            return;
        }
        if (!options_.brief) {
            std::printf("%s ", test.name.c_str());
            std::fflush(stdout);
        }
        const int before = check::failures();
        try {
            test.run();
        } catch (const std::exception &exception) {
            check::failed(test.name.c_str(), 0, std::string("exception: ") + exception.what());
        }
        const bool good = check::failures() == before;
        say(test, good ? "ok" : "FAILED");
        (good ? passed : failed) += 1;
        (good ? area_passed_ : area_failed_) += 1;
    }
    void end_area() {
        if (options_.brief && area_passed_ + area_failed_ > 0) {
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
            std::printf("  %-24.*s %3d passed%s, %.1f s\n", static_cast<int>(area_.size()), area_.data(), area_passed_,
                        area_failed_ > 0 ? (", " + std::to_string(area_failed_) + " FAILED").c_str() : "",
                        took.count());
            std::fflush(stdout);
        }
        area_passed_ = area_failed_ = 0;
    }
    int passed = 0;
    int failed = 0;
    int skipped = 0;

  private:
    void say(const check::Case &test, const char *how) const {
        if (!options_.brief) {
            std::printf("%s%s\n", std::string_view(how) == "skipped" ? (test.name + " ").c_str() : "", how);
        } else if (std::string_view(how) == "FAILED") {
            std::printf("  %s FAILED\n", test.name.c_str());
        }
        std::fflush(stdout);
        if (options_.results != nullptr) {
            std::fprintf(options_.results, "%s %s\n", test.name.c_str(), how);
            std::fflush(options_.results);
        }
    }
    const Options &options_;
    std::string_view area_;
    std::chrono::steady_clock::time_point start_;
    int area_passed_ = 0;
    int area_failed_ = 0;
};

} // namespace

int main(int count, char **arguments) {
    Options options;
    if (!read_options(count, arguments, &options)) {
        std::fprintf(
            stderr, "usage: %s [--list] [--brief] [--filter TEXT] [--test NAME]... [--skip TEXT]... [--results FILE]\n",
            arguments[0]);
        return 2;
    }
    Run run(options);
    int listed = 0;
    for (const check::Case &test : check::cases()) {
        if (test.name.find(options.filter) == std::string::npos ||
            (!options.names.empty() && std::ranges::find(options.names, test.name) == options.names.end())) {
            continue;
        }
        if (options.list) {
            std::printf("%s\n", test.name.c_str());
            ++listed;
        } else {
            run.one(test);
        }
    }
    run.end_area();
    if (!options.list) {
        std::printf("%d passed, %d failed, %d skipped\n", run.passed, run.failed, run.skipped);
    }
    if (options.results != nullptr) {
        std::fclose(options.results);
    }
    if (listed + run.passed + run.failed == 0) {
        std::fprintf(stderr, "no test matches \"%.*s\"\n", static_cast<int>(options.filter.size()),
                     options.filter.data());
        return 2;
    }
    return run.failed == 0 ? 0 : 1;
}
