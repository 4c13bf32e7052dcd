// SPDX-License-Identifier: MIT
//
// This module provides: check.hpp: running, and shrinking what failed.

#include "check.hpp"

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <sstream>
#include <unistd.h>

#include "generator.hpp"
#include "session.hpp"

namespace reference {

namespace {

/// An empty directory on the host, removed at the end.
class Directory {
  public:
    explicit Directory(const std::string &parent) {
        static std::atomic<uint64_t> next{0};
        path_ = std::filesystem::canonical(parent) /
                ("minipend-" + std::to_string(getpid()) + "-" + std::to_string(next++));
        std::filesystem::create_directory(path_);
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Directory(const Directory &) = delete;
    Directory &operator=(const Directory &) = delete;
    std::string path() const { return path_; }

  private:
    std::filesystem::path path_;
};

std::u16string root_of(Profile profile, uint64_t number) {
    std::u16string root = profile == Profile::fat ? u"E:\\s" : u"D:\\s";
    for (const char digit : std::to_string(number)) {
        root += static_cast<char16_t>(digit);
    }
    return root;
}

uint64_t mixed(uint64_t seed, uint64_t number) {
    Random random(seed * 0x2545F4914F6CDD1D + number);
    return random.next() >> 1;
}

/// One sequence: from `source`, which gives operations until it gives none. What was done goes to `script`.
std::optional<Mismatch> sequence(World &world, const Options &options, uint64_t number, bool no_buffering,
                                 const std::function<std::optional<Operation>(const Host &)> &source,
                                 std::vector<Operation> *script, Counts *counts) {
    const Directory directory(options.directory);
    Host host(directory.path(), options.profile, *counts);
    std::optional<Mismatch> mismatch;
    const auto stopped = world.in([&] {
        Session session(host, root_of(options.profile, number), *counts, options.tamper);
        while (!mismatch) {
            const auto operation = source(host);
            if (!operation) {
                break;
            }
            script->push_back(*operation);
            mismatch = session.step(*operation);
        }
        if (!mismatch) {
            mismatch = session.finish(no_buffering);
        }
    });
    ++counts->sequences;
    return stopped ? stopped : mismatch;
}

std::optional<Mismatch> try_script(const Options &options, const std::vector<Operation> &script, Counts *counts) {
    World world(options, options.seed);
    std::vector<Operation> done;
    size_t at = 0;
    const auto source = [&](const Host &) -> std::optional<Operation> {
        return at < script.size() ? std::optional<Operation>(script[at++]) : std::nullopt;
    };
    auto mismatch = sequence(world, options, 0, true, source, &done, counts);
    const auto ended = world.end(counts);
    ++counts->worlds;
    return mismatch ? mismatch : ended;
}

/// Delta debugging: removes parts of the script, smaller and smaller ones, as long as what is left fails in the same way; then makes the
/// operations that are left simpler.
class Shrinker {
  public:
    Shrinker(const Options &options, std::string what) : options_(options), what_(std::move(what)) {}

    std::vector<Operation> shrink(std::vector<Operation> script) {
        for (size_t part = script.size() / 2; part != 0; part /= 2) {
            for (size_t at = 0; at < script.size();) {
                std::vector<Operation> shorter = script;
                const auto first = shorter.begin() + static_cast<ptrdiff_t>(at);
                shorter.erase(first, first + static_cast<ptrdiff_t>(std::min(part, shorter.size() - at)));
                if (fails(shorter)) {
                    script = std::move(shorter);
                } else {
                    at += part;
                }
            }
        }
        for (size_t at = 0; at < script.size(); ++at) {
            simplify(script, at);
        }
        return script;
    }

    /// The failure again, if it fails in the same way.
    std::optional<Mismatch> fails(const std::vector<Operation> &script) {
        constexpr uint32_t MOST_TRIES = 3000;
        if (++tries_ > MOST_TRIES) {
            return std::nullopt;
        }
        Counts ignored;
        auto mismatch = try_script(options_, script, &ignored);
        return mismatch && mismatch->what == what_ ? mismatch : std::nullopt;
    }

  private:
    void simplify(std::vector<Operation> &script, size_t at) {
        const auto attempt = [&](auto &&change) {
            std::vector<Operation> simpler = script;
            change(simpler[at]);
            if (simpler[at] != script[at] && fails(simpler)) {
                script = std::move(simpler);
            }
        };
        for (uint32_t bit = 1; bit <= UNDO; bit <<= 1) {
            attempt([bit](Operation &operation) { operation.flags &= ~bit; });
        }
        for (const uint64_t offset : {uint64_t{0}, script[at].offset / 4096 * 4096}) {
            attempt([offset](Operation &operation) { operation.offset = std::min(offset, operation.offset); });
        }
        for (const uint32_t length : {1u, 512u, 4096u}) {
            attempt([length](Operation &operation) { operation.length = std::min(length, operation.length); });
        }
        attempt([](Operation &operation) { operation.data = 0; });
    }

    Options options_;
    std::string what_;
    uint32_t tries_ = 0;
};

Failure failure_of(const Options &options, uint64_t world_seed, const Mismatch &mismatch,
                   std::vector<Operation> script) {
    Options again = options;
    again.seed = world_seed;
    Failure failure{world_seed, script, script.size(), mismatch.what, mismatch.model, mismatch.host};
    Shrinker shrinker(again, mismatch.what);
    if (!shrinker.fails(script)) {
        failure.what += " (does not come again without the world's earlier sequences: not shrunk)";
        return failure;
    }
    failure.script = shrinker.shrink(std::move(script));
    Counts ignored;
    if (const auto last = try_script(again, failure.script, &ignored)) {
        failure.model = last->model;
        failure.host = last->host;
    }
    return failure;
}

} // namespace

std::string usual_directory() {
    constexpr const char *MEMORY = "/dev/shm";
    return access(MEMORY, W_OK) == 0 ? MEMORY : std::filesystem::temp_directory_path().string();
}

std::optional<Failure> run(const Options &options, Counts *counts,
                           const std::function<void(const Counts &)> &progress) {
    const uint64_t goal = counts->operations + options.operations;
    for (uint64_t number = 0; counts->operations < goal;) {
        const uint64_t world_seed = mixed(options.seed, counts->worlds);
        World world(options, world_seed);
        ++counts->worlds;
        std::vector<Operation> script;
        for (uint32_t i = 0; i < options.world_sequences && counts->operations < goal; ++i, ++number) {
            Generator generator(mixed(world_seed, number));
            script.clear();
            const auto source = [&](const Host &host) -> std::optional<Operation> {
                return script.size() < options.sequence_operations ? std::optional(generator.next(host)) : std::nullopt;
            };
            if (const auto mismatch = sequence(world, options, number, number % 4 == 0, source, &script, counts)) {
                world.end(nullptr);
                return failure_of(options, world_seed, *mismatch, std::move(script));
            }
        }
        if (const auto mismatch = world.end(counts)) {
            return failure_of(options, world_seed, *mismatch, std::move(script));
        }
        progress(*counts);
    }
    return std::nullopt;
}

std::optional<Failure> replay(const Options &options, const std::vector<Operation> &script, Counts *counts) {
    if (const auto mismatch = try_script(options, script, counts)) {
        return Failure{options.seed, script, script.size(), mismatch->what, mismatch->model, mismatch->host};
    }
    return std::nullopt;
}

std::string_view name_of(Profile profile) {
    return profile == Profile::fat ? "fat" : "ntfs";
}

std::string_view name_of(Filter filter) {
    constexpr std::string_view NAMES[] = {"none", "observe", "pend", "delay"};
    return NAMES[static_cast<size_t>(filter)];
}

std::string text_of(const Failure &failure, const Options &options) {
    std::ostringstream text;
    text << "# difference: " << failure.what << "\n# model: " << failure.model << "\n# host:  " << failure.host
         << "\n# " << failure.script.size() << " of " << failure.operations_before
         << " operations are left; to run them again: --replay FILE --profile " << name_of(options.profile)
         << " --filter " << name_of(options.filter) << " --seed " << failure.seed << "\n";
    for (const Operation &operation : failure.script) {
        text << text_of(operation) << "\n";
    }
    return text.str();
}

} // namespace reference
