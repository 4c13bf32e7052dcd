// SPDX-License-Identifier: MIT
//
// This module provides: the runner of the native tests. Exit code 0: all passed, 1: some failed, 2: bad usage or no test selected.

#include <algorithm>
#include <cstdio>
#include <cstring>
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

int main(int count, char **arguments) {
    std::string_view filter;
    std::vector<std::string_view> skips;
    bool list = false;
    for (int index = 1; index < count; ++index) {
        if (std::strcmp(arguments[index], "--list") == 0) {
            list = true;
        } else if (std::strcmp(arguments[index], "--filter") == 0 && index + 1 < count) {
            filter = arguments[++index];
        } else if (std::strcmp(arguments[index], "--skip") == 0 && index + 1 < count) {
            skips.emplace_back(arguments[++index]);
        } else {
            std::fprintf(stderr, "usage: %s [--list] [--filter TEXT] [--skip TEXT]...\n", arguments[0]);
            return 2;
        }
    }
    int passed = 0;
    int failed = 0;
    int skipped = 0;
    for (const check::Case &test : check::cases()) {
        if (test.name.find(filter) == std::string::npos) {
            continue;
        }
        if (list) {
            std::printf("%s\n", test.name.c_str());
            ++passed;
            continue;
        }
        if (std::any_of(skips.begin(), skips.end(),
                        [&](std::string_view skip) { return test.name.find(skip) != std::string::npos; })) {
            std::printf("%s skipped\n", test.name.c_str());
            ++skipped;
            continue;
        }
        const int before = check::failures();
        std::printf("%s ", test.name.c_str());
        std::fflush(stdout);
        try {
            test.run();
        } catch (const std::exception &exception) {
            check::failed(test.name.c_str(), 0, std::string("exception: ") + exception.what());
        }
        const bool good = check::failures() == before;
        std::printf("%s\n", good ? "ok" : "FAILED");
        std::fflush(stdout);
        (good ? passed : failed) += 1;
    }
    if (!list) {
        std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    }
    if (passed + failed == 0) {
        std::fprintf(stderr, "no test matches \"%.*s\"\n", static_cast<int>(filter.size()), filter.data());
        return 2;
    }
    return failed == 0 ? 0 : 1;
}
