// SPDX-License-Identifier: MIT
//
// This module provides: the worlds of this process by number, and the host API that makes and steers them (fltsim.h).

#include "core/worlds.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>

#include "core/faults.hpp"
#include "core/handles.hpp"
#include "core/readings.hpp"
#include "core/scheduler.hpp"
#include "fltsim.h"

namespace fltsim {

namespace {

constexpr uint32_t MAX_WORLDS = 127;
constexpr size_t LAST_WORDS_KEPT = 16;

struct Worlds {
    Worlds() {
        for (uint32_t number = 1; number <= MAX_WORLDS; ++number) {
            free_numbers.push_back(number);
        }
    }
    std::mutex mutex;
    std::deque<uint32_t> free_numbers;
    std::map<uint32_t, std::shared_ptr<World>> live;
    std::deque<std::shared_ptr<World>> lost; ///< destroyed, but real threads would not leave them
    std::deque<std::pair<uint32_t, std::string>> last_words; ///< reports of destroyed worlds, newest last

    std::shared_ptr<World> find(uint32_t number) {
        const std::lock_guard guard(mutex);
        const auto found = live.find(number);
        return found == live.end() ? nullptr : found->second;
    }
};

Worlds &worlds() {
    static Worlds &all = *new Worlds; // never destroyed: a world that is still live at exit is left as it is
    return all;
}

thread_local uint32_t t_selected = 0;

void say(std::string_view text, char *message, size_t message_bytes) {
    if (message == nullptr || message_bytes == 0) {
        return;
    }
    const size_t length = std::min(text.size(), message_bytes - 1);
    std::memcpy(message, text.data(), length);
    message[length] = '\0';
}

/// Empty when the options are good.
std::string check(const FLTSIM_OPTIONS *options) {
    if (options == nullptr) {
        return "Options is null";
    }
    if (options->SizeBytes != sizeof(FLTSIM_OPTIONS)) {
        return "Options.SizeBytes is " + std::to_string(options->SizeBytes) + ", expected " +
               std::to_string(sizeof(FLTSIM_OPTIONS)) + ": the caller was built for another fltsim";
    }
    if (options->ProcessorCount < 2 || options->ProcessorCount > MAX_PROCESSORS) {
        return "Options.ProcessorCount is " + std::to_string(options->ProcessorCount) + ", expected 2 to " +
               std::to_string(MAX_PROCESSORS);
    }
    if (options->Clock > FLTSIM_CLOCK_VIRTUAL) {
        return "Options.Clock is " + std::to_string(options->Clock) + ", expected FLTSIM_CLOCK_*";
    }
    if (options->Executor > FLTSIM_EXECUTOR_THREADS) {
        return "Options.Executor is " + std::to_string(options->Executor) + ", expected FLTSIM_EXECUTOR_*";
    }
    if (options->Executor == FLTSIM_EXECUTOR_THREADS && options->Clock == FLTSIM_CLOCK_VIRTUAL) {
        return "Options.Clock: the virtual clock needs the fiber executor";
    }
    return {};
}

} // namespace

uint32_t claim_world_number() {
    Worlds &all = worlds();
    const std::lock_guard guard(all.mutex);
    if (all.free_numbers.empty()) {
        throw std::runtime_error("127 worlds exist in this process; destroy one first");
    }
    const uint32_t number = all.free_numbers.front();
    all.free_numbers.pop_front();
    return number;
}

void release_world_number(uint32_t number) {
    Worlds &all = worlds();
    const std::lock_guard guard(all.mutex);
    all.free_numbers.push_back(number);
}

std::shared_ptr<World> make_world(WorldOptions options) {
    auto made = std::make_shared<World>(std::move(options));
    Worlds &all = worlds();
    const std::lock_guard guard(all.mutex);
    all.live.emplace(made->number, made);
    return made;
}

std::shared_ptr<World> world_by_number(uint32_t number) {
    return worlds().find(number);
}

std::shared_ptr<World> selected_world() {
    // A simulated thread's own world goes first: code that runs inside a world means that one.
    World *own = world_or_null();
    return worlds().find(own != nullptr ? own->number : t_selected);
}

} // namespace fltsim

extern "C" {

FLTSIM_WORLD FltSimCreateWorld(const FLTSIM_OPTIONS *Options, char *Message, size_t MessageBytes) {
    using namespace fltsim;
    const std::string problem = check(Options);
    if (!problem.empty()) {
        say(problem, Message, MessageBytes);
        return 0;
    }
    try {
        WorldOptions options;
        options.processor_count = Options->ProcessorCount;
        options.seed = Options->Seed;
        options.virtual_clock = Options->Clock == FLTSIM_CLOCK_VIRTUAL;
        options.threads = Options->Executor == FLTSIM_EXECUTOR_THREADS;
        options.driver_image = Options->DriverImage != nullptr ? Options->DriverImage : "";
        return make_world(std::move(options))->number;
    } catch (const std::exception &exception) {
        say(std::string("the world cannot be made: ") + exception.what(), Message, MessageBytes);
    } catch (...) {
        say("the world cannot be made", Message, MessageBytes);
    }
    return 0;
}

int FltSimDestroyWorld(FLTSIM_WORLD World) {
    using namespace fltsim;
    if (fltsim::World *own = world_or_null(); own != nullptr && own->number == World) {
        return -1; // from inside: it cannot wait for itself
    }
    Worlds &all = worlds();
    std::shared_ptr<fltsim::World> world;
    {
        const std::lock_guard guard(all.mutex);
        const auto found = all.live.find(World);
        if (found == all.live.end()) {
            return -1;
        }
        world = std::move(found->second);
        all.live.erase(found);
    }
    const bool gone = world->end();
    const std::lock_guard guard(all.mutex);
    if (!gone) {
        all.lost.push_back(world);
    }
    all.last_words.emplace_back(World, world->report_json());
    if (all.last_words.size() > LAST_WORDS_KEPT) {
        all.last_words.pop_front();
    }
    return 0;
}

int FltSimSelectWorld(FLTSIM_WORLD World) {
    using namespace fltsim;
    if (World != 0 && !worlds().find(World)) {
        return -1;
    }
    t_selected = World;
    return 0;
}

size_t FltSimReport(FLTSIM_WORLD World, char *Json, size_t Bytes) {
    using namespace fltsim;
    std::string json = "{\"stopped\":false,\"rule\":null,\"call\":null,\"text\":\"no such "
                       "world\",\"history\":[],\"seed\":\"0\",\"leaks\":[],\"waitingForStorage\":0}";
    if (const auto world = worlds().find(World)) {
        json = world->report_json();
    } else {
        Worlds &all = worlds();
        const std::lock_guard guard(all.mutex);
        for (const auto &[number, words] : all.last_words) {
            if (number == World) {
                json = words; // the newest wins
            }
        }
    }
    if (Json != nullptr && Bytes > json.size()) {
        std::memcpy(Json, json.c_str(), json.size() + 1);
    }
    return json.size() + 1;
}

int FltSimSetFault(FLTSIM_WORLD World, const char *Function, uint32_t Skip, uint32_t Count) {
    using namespace fltsim;
    const auto world = worlds().find(World);
    return world && Function != nullptr && world->faults->set(Function, Skip, Count) ? 0 : -1;
}

int FltSimSetReading(FLTSIM_WORLD World, const char *Name, const char *Value, char *Message, size_t MessageBytes) {
    using namespace fltsim;
    const auto world = worlds().find(World);
    const std::string problem = !world                                ? "there is no such world"
                                : Name == nullptr || Value == nullptr ? "Name or Value is null"
                                                                      : world->readings->set(Name, Value);
    say(problem, Message, MessageBytes);
    return problem.empty() ? 0 : -1;
}

int FltSimSetStorageDelay(FLTSIM_WORLD World, uint32_t DelayMicroseconds) {
    using namespace fltsim;
    const auto world = worlds().find(World);
    if (!world) {
        return -1;
    }
    constexpr uint64_t PER_MICROSECOND_100NS = 10;
    world->storage_delay_100ns = DelayMicroseconds * PER_MICROSECOND_100NS;
    return 0;
}

} // extern "C"
