// SPDX-License-Identifier: MIT
//
// This module provides: the parts of a schedule, and the stage that makes a world for each (stage.hpp).

#include "stage.hpp"

#include <cstring>
#include <mutex>

#include "core/scheduler.hpp"
#include "core/worlds.hpp"

namespace check {

namespace {

char first_failure[512] = "";
std::atomic<int> failure_count{0};

} // namespace

std::atomic<int> &failures() {
    return failure_count;
}

/// Kept, not printed: most of those that are seen while a failing schedule is made shorter are the same.
void failed(const char *file, int line, const std::string &text) {
    if (failure_count++ == 0) {
        const char *const name = std::strrchr(file, '/');
        std::snprintf(first_failure, sizeof(first_failure), "%s:%d: %s", name != nullptr ? name + 1 : file, line,
                      text.c_str());
    }
}

} // namespace check

namespace explore {

void CheckFailures::reset() {
    check::failure_count = 0;
    check::first_failure[0] = '\0';
}

const char *CheckFailures::first() {
    return check::failure_count == 0 ? nullptr : check::first_failure;
}

void set_text(char *to, size_t bytes, std::string_view text) {
    const size_t length = std::min(bytes - 1, text.size());
    std::memcpy(to, text.data(), length);
    to[length] = '\0';
}

namespace {

/// "file.cpp:12" of a failed check.
std::string_view place_of(const Verdict &verdict) {
    const std::string_view text = verdict.text;
    const size_t colon = text.find(": ");
    return text.substr(0, colon);
}

/// The value of a string member, as JSON writes it.
std::string_view member(const std::string &json, std::string_view name, size_t from = 0) {
    const std::string key = "\"" + std::string(name) + "\":\"";
    const size_t found = json.find(key, from);
    if (found == std::string::npos) {
        return {};
    }
    const size_t start = found + key.size();
    size_t end = start;
    while (end < json.size() && json[end] != '"') {
        end += json[end] == '\\' ? 2 : 1;
    }
    return std::string_view(json).substr(start, end - start);
}

} // namespace

bool Verdict::same_as(const Verdict &other) const {
    if (failed != other.failed || std::strcmp(rule, other.rule) != 0 || std::strcmp(call, other.call) != 0) {
        return false;
    }
    return std::strcmp(rule, "CHECK") != 0 || place_of(*this) == place_of(other);
}

std::shared_ptr<fltsim::World> make_explored_world(const std::string &image) {
    fltsim::WorldOptions options;
    options.virtual_clock = true;
    options.inline_loop = true;
    options.driver_image = image;
    auto world = fltsim::make_world(std::move(options));
    FltSimSelectWorld(world->number);
    return world;
}

std::unique_ptr<Scene> set_scene(const Scenario &scenario, fltsim::World &world) {
    std::unique_ptr<Scene> scene = scenario.make(world);
    const bool ran = world.host_call([&] { scene->set_up(); });
    if (!ran || CheckFailures::first() != nullptr) {
        const char *const failure = CheckFailures::first();
        std::fprintf(stderr, "minipend explore: the scene of %s cannot be set up: %s\n%s\n", scenario.name,
                     failure != nullptr ? failure : "the model stopped", world.report_json().c_str());
        std::exit(3);
    }
    return scene;
}

void play_scene(fltsim::World &world, std::unique_ptr<Scene> scene, fltsim::Schedule &schedule, uint64_t seed,
                Verdict &verdict) {
    world.reseed(seed);
    world.schedule = &schedule;
    schedule.begin(seed);
    scene->together = seed % 2 == 0;
    const bool ended = world.host_call([&] {
        schedule.active = true;
        scene->play();
        schedule.active = false;
        scene->check();
        scene.reset(); // its handles are closed in the world
    });
    schedule.active = false;
    if (!ended) {
        scene.release(); // what its threads' stacks refer to; a stopped world runs no destructors
    }
    world.end();
    judge(world, verdict);
}

void judge(fltsim::World &world, Verdict &verdict) {
    const std::string report = world.report_json();
    const char *const failure = CheckFailures::first();
    if (report.find("\"stopped\":true") != std::string::npos) {
        verdict.failed = true;
        set_text(verdict.rule, sizeof(verdict.rule), member(report, "rule"));
        set_text(verdict.call, sizeof(verdict.call), member(report, "call"));
        set_text(verdict.text, sizeof(verdict.text), member(report, "text"));
    } else if (failure != nullptr) {
        verdict.failed = true;
        set_text(verdict.rule, sizeof(verdict.rule), "CHECK");
        set_text(verdict.text, sizeof(verdict.text), failure);
    } else if (report.find("\"leaks\":[]") == std::string::npos) {
        const size_t leaks = report.find("\"leaks\":[") + std::strlen("\"leaks\":[");
        verdict.failed = true;
        set_text(verdict.rule, sizeof(verdict.rule), "LEAK");
        set_text(verdict.text, sizeof(verdict.text),
                 std::string_view(report).substr(leaks, report.find(']', leaks) - leaks));
    }
}

namespace {

class FreshStage final : public Stage {
  public:
    FreshStage(const Scenario &scenario, std::string image) : scenario_(scenario), image_(std::move(image)) {}

    Verdict play(fltsim::Schedule &schedule, uint64_t seed) override {
        Verdict verdict;
        CheckFailures::reset();
        const std::shared_ptr<fltsim::World> world = make_explored_world(image_);
        // The setting up is the same in every schedule: it decides by defaults alone.
        world->schedule = &schedule;
        schedule.active = false;
        play_scene(*world, set_scene(scenario_, *world), schedule, seed, verdict);
        if (verdict.failed) {
            report_ = world->report_json();
        }
        FltSimDestroyWorld(world->number);
        FltSimSelectWorld(0);
        return verdict;
    }

  private:
    const Scenario &scenario_;
    std::string image_;
};

} // namespace

std::unique_ptr<Stage> make_fresh_stage(const Scenario &scenario, const std::string &image) {
    return std::make_unique<FreshStage>(scenario, image);
}

} // namespace explore
