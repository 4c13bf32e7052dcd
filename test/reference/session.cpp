// SPDX-License-Identifier: MIT
//
// This module provides: session.hpp.

#include "core/handles.hpp" // the kernel's headers come before user mode's
#include "core/world.hpp"

#include "session.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "../native/driver_image.hpp"
#include "../native/spine/spine.hpp"

namespace reference {

namespace {

constexpr uint32_t LAZY_WRITER_MS = 3000; ///< later than it comes
constexpr uint64_t WHOLE_BYTES_MAX = 256 * 1024; ///< larger files are compared where they have content
constexpr uint32_t PIECE_BYTES = 64 * 1024;
constexpr uint64_t SECTOR_BYTES = 512;

constexpr uint64_t EVERY_OPERATION = (uint64_t{1} << MINIPEND_OPERATION_COUNT) - 1;

std::vector<spine::Rule> rules_for(Filter filter) {
    spine::Rule rule;
    rule.operations = EVERY_OPERATION;
    if (filter == Filter::observe) {
        rule.action = MINIPEND_ACTION_OBSERVE;
        return {rule};
    }
    rule.action = MINIPEND_ACTION_PEND;
    if (filter == Filter::delay) {
        rule.delayMs = 1;
        rule.everyNth = 7;
        spine::Rule rest = rule;
        rest.delayMs = 0;
        rest.everyNth = 0;
        rest.id = 2;
        return {rule, rest};
    }
    return {rule};
}

/// The name on the host of a name that was listed.
std::string host_name(const std::u16string &listed) {
    for (const Name &name : names()) {
        if (listed == name.lower || listed == name.upper) {
            return utf8(name.lower);
        }
    }
    return utf8(listed);
}

} // namespace

World::World(const Options &options, uint64_t seed) {
    FLTSIM_OPTIONS world{};
    world.SizeBytes = sizeof world;
    world.ProcessorCount = 2;
    world.Seed = seed;
    world.Clock = FLTSIM_CLOCK_VIRTUAL;
    world.Executor = FLTSIM_EXECUTOR_FIBERS;
    world.DriverImage = check::driver_image();
    char message[512] = "";
    number_ = FltSimCreateWorld(&world, message, sizeof message);
    if (number_ == 0) {
        throw std::runtime_error(std::string("no world: ") + message);
    }
    FltSimSelectWorld(number_);
    if (options.filter != Filter::none) {
        if (const auto stopped = in([&] { load(options.filter); })) {
            throw std::runtime_error("the driver cannot be loaded: " + stopped->model);
        }
    }
}

World::~World() {
    end(nullptr);
}

void World::load(Filter filter) {
    spine::load_and_attach({u"D:", u"E:"});
    client_ = std::make_unique<spine::Client>();
    const auto reply = client_->set_rules(rules_for(filter));
    if (reply.Status != STATUS_SUCCESS) {
        throw std::runtime_error("the driver refuses the rules: " + status_text(reply.Status));
    }
}

std::optional<Mismatch> World::in(const std::function<void()> &body) {
    const auto world = fltsim::world_by_number(number_);
    std::exception_ptr thrown;
    const bool came_back = world->host_call([&] {
        try {
            body();
        } catch (...) {
            thrown = std::current_exception();
        }
    });
    if (thrown) {
        std::rethrow_exception(thrown);
    }
    return came_back ? std::nullopt : std::optional<Mismatch>({"the world stopped", report(), ""});
}

std::string World::report() const {
    std::string json(FltSimReport(number_, nullptr, 0) + 4096, '\0');
    FltSimReport(number_, json.data(), json.size());
    json.resize(std::strlen(json.c_str()));
    return json;
}

std::optional<Mismatch> World::end(Counts *counts) {
    if (number_ == 0) {
        return std::nullopt;
    }
    std::optional<Mismatch> stopped;
    if (client_) {
        stopped = in([&] {
            Model::pause(LAZY_WRITER_MS);
            const spine::Counters counters = client_->counters();
            for (uint32_t i = 0; counts != nullptr && i < MINIPEND_OPERATION_COUNT; ++i) {
                const auto total = counters.total(static_cast<MINIPEND_OPERATION>(i));
                counts->observed += total.Observed;
                counts->pended += total.Pended;
                for (const auto refused : total.Refused) {
                    counts->refused += refused;
                }
            }
            client_.reset();
        });
        if (client_) {
            (void)client_.release(); // its destructor would wait in a world that has stopped
        }
    }
    FltSimDestroyWorld(number_);
    FltSimSelectWorld(0);
    const std::string words = report();
    number_ = 0;
    if (!stopped && words.find("\"stopped\":true") != std::string::npos) {
        stopped = {"the world stopped", words, ""};
    }
    if (!stopped && words.find("\"leaks\":[]") == std::string::npos) {
        stopped = {"the world leaked", words, ""};
    }
    return stopped;
}

std::optional<Mismatch> Session::step(const Operation &operation) {
    const std::optional<Outcome> expected = host_.run(operation);
    if (!expected) {
        return std::nullopt; // counted by the host's side
    }
    Outcome seen = model_.run(operation);
    if (tamper_) {
        tamper_(operation, &seen);
    }
    const std::string what = difference_of(seen, *expected);
    if (!what.empty()) {
        return Mismatch{std::string(name_of(operation.kind)) + ": " + what, text_of(seen), text_of(*expected)};
    }
    if (seen.skipped) {
        ++counts_.skipped;
        return std::nullopt;
    }
    ++counts_.operations;
    ++(NT_SUCCESS(seen.status) ? counts_.succeeded : counts_.failed)[static_cast<size_t>(operation.kind)];
    return std::nullopt;
}

std::optional<Mismatch> Session::finish(bool no_buffering) {
    host_.close_all();
    model_.close_all();
    Model::pause(LAZY_WRITER_MS);
    no_buffering_ = no_buffering;
    return compare_directory(u"", "");
}

std::optional<Mismatch> Session::compare(const std::string &what, const std::string &path, const Outcome &model,
                                         const Outcome &host) const {
    const std::string difference = difference_of(model, host);
    if (difference.empty()) {
        return std::nullopt;
    }
    return Mismatch{"at the end, " + what + ": " + difference, path + ": " + text_of(model), text_of(host)};
}

std::optional<Mismatch> Session::compare_directory(const std::u16string &model_path, const std::string &host_path) {
    const Outcome listed = host_.list(host_path);
    if (auto mismatch = compare("list", host_path, model_.list(model_path), listed)) {
        return mismatch;
    }
    for (const Entry &entry : listed.entries) {
        const std::u16string below = model_path + u"\\" + entry.name;
        const std::string host_below = host_path + "/" + host_name(entry.name);
        auto mismatch = compare("stat", host_below, model_.stat(below), host_.stat(host_below));
        if (!mismatch) {
            mismatch =
                entry.directory ? compare_directory(below, host_below) : compare_file(below, host_below, entry.size);
        }
        if (mismatch) {
            return mismatch;
        }
    }
    return std::nullopt;
}

std::optional<Mismatch> Session::compare_file(const std::u16string &model_path, const std::string &host_path,
                                              uint64_t size) {
    std::vector<std::pair<uint64_t, uint64_t>> parts{{0, size}};
    if (size > WHOLE_BYTES_MAX) {
        parts = host_.extents(host_path);
        parts.emplace_back((size - 1) / SECTOR_BYTES * SECTOR_BYTES, SECTOR_BYTES);
        parts.emplace_back(size / 2 / SECTOR_BYTES * SECTOR_BYTES, SECTOR_BYTES);
    }
    for (const auto &[start, bytes] : parts) {
        for (uint64_t at = start; at < start + bytes; at += PIECE_BYTES) {
            const uint64_t wanted = std::min<uint64_t>(PIECE_BYTES, start + bytes - at);
            const auto length = static_cast<uint32_t>((wanted + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES);
            const Outcome expected = host_.read(host_path, at, length);
            if (no_buffering_) {
                if (auto mismatch = compare("disk", host_path, model_.read(model_path, at, length, true), expected)) {
                    return mismatch;
                }
            }
            if (auto mismatch = compare("content", host_path, model_.read(model_path, at, length, false), expected)) {
                return mismatch;
            }
        }
    }
    ++counts_.files_compared;
    return std::nullopt;
}

} // namespace reference
