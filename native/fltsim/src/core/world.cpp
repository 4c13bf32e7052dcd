// SPDX-License-Identifier: MIT
//
// This module provides: World (world.hpp): its parts, its clock, its end.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/faults.hpp"
#include "core/handles.hpp"
#include "core/readings.hpp"
#include "core/registry.hpp"
#include "core/report.hpp"
#include "core/schedule.hpp"
#include "core/scheduler.hpp"
#include "core/thread_impl.hpp"
#include "core/worlds.hpp"
#include "flt/filter_manager.hpp"
#include "fs/file_system.hpp"
#include "image/unwind.hpp"
#include "io/io_manager.hpp"
#include "wdf/framework.hpp"

namespace fltsim {

namespace {

constexpr uint64_t UNIX_EPOCH_AS_FILETIME_100NS = 116'444'736'000'000'000;
/// 2024-01-01 00:00 UTC: what a virtual clock's system time starts at.
constexpr uint64_t VIRTUAL_EPOCH_100NS = 133'485'408'000'000'000;

bool environment_is(const char *name, const char *value) {
    const char *actual = std::getenv(name);
    return actual != nullptr && std::strcmp(actual, value) == 0;
}

} // namespace

uint64_t monotonic_ns() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

void Process::set_image(std::u16string name) {
    image = std::move(name);
    short_name.clear();
    for (const char16_t unit : std::u16string_view(image).substr(image.rfind(u'\\') + 1, SHORT_NAME_CHARACTERS)) {
        short_name += unit < 0x80 ? static_cast<char>(unit) : '?';
    }
}

struct World::Impl {
    explicit Impl(uint64_t seed) : random(seed) {
        system.id = 4;
        system.name = system.short_name = "System";
        system.system = true;
        client.id = 4242 & ~uint64_t{3};
        client.name = "client";
        client.set_image(u"\\Device\\HarddiskVolume1\\Windows\\client.exe");
    }
    Process system;
    Process client;
    std::vector<std::unique_ptr<Process>> more; ///< other client processes
    Random random;
    Report report;
    std::atomic<bool> stopped{false};
    std::atomic<bool> ending{false};
    std::atomic<bool> ended{false}; ///< end() was called
    Thread *outside = nullptr; ///< the context of making and freeing the world
};

World::World(WorldOptions chosen) : options(std::move(chosen)), impl_(std::make_unique<Impl>(options.seed)) {
    number = claim_world_number();
    impl_->outside = new Thread();
    impl_->outside->name = "world";
    impl_->outside->process = &impl_->system;
    const ContextScope scope(this, impl_->outside);
    scheduler = options.threads ? make_thread_scheduler(*this) : make_fiber_scheduler(*this);
    registry = std::make_unique<Registry>();
    registry->add_filter_service(u"minipend", u"minipend", u"370199.5", 1);
    faults = std::make_unique<FaultSwitches>();
    readings = std::make_unique<Readings>();
    handles = std::make_unique<HandleTable>(*this);
    {
        const KernelCall call("world");
        io = std::make_unique<io::IoManager>(*this);
        flt = std::make_unique<flt::FilterManager>(*this);
        wdf = std::make_unique<wdf::Framework>(*this);
    }
    scheduler->start();
}

World::~World() {
    end();
    const ContextScope scope(this, impl_->outside);
    // Open objects (after a stop) refer to volumes and filters, the Filter Manager to volumes, everything to threads.
    handles->forget_all();
    wdf.reset();
    ke_state.reset(); // file objects that the driver still references
    flt.reset();
    io.reset();
    handles.reset();
    faults.reset();
    registry.reset();
    scheduler.reset();
    impl_->outside->dereference();
    release_world_number(number);
}

bool World::end() {
    if (impl_->ended.exchange(true)) {
        return true;
    }
    scheduler->close_door();
    const bool unloaded = scheduler->host_call(
        [this] {
            const KernelCall call("FltSimDestroyWorld", PASSIVE_LEVEL);
            flt->shutdown();
            io->cancel_everything(); // a synchronous handle is not closed while something waits on it
            handles->close_all_user();
            for (const auto &process : impl_->more) {
                process->section.reset();
            }
        },
        true);
    if (unloaded) {
        for (const std::string &line : handles->describe_open(true)) {
            leak("kernel handle: " + line);
        }
        for (const std::string &line : flt->describe()) {
            leak("filter manager: " + line);
        }
    }
    impl_->ending = true; // only now: until everything is unloaded the model's own threads are needed
    const bool gone = scheduler->end();
    if (environment_is("FLTSIM_LEAKS", "print")) {
        for (const std::string &line : impl_->report.leaks()) {
            std::fprintf(stderr, "fltsim: leak: %s\n", line.c_str());
        }
    }
    return gone;
}

Thread *World::spawn(std::string name, Process *process, std::function<void()> main, bool daemon) {
    return scheduler->spawn(std::move(name), process, std::move(main), daemon);
}
bool World::block(const void *channel, const std::function<bool()> &pred, std::optional<uint64_t> deadline_100ns) {
    return scheduler->block(channel, pred, deadline_100ns);
}
void World::wake(const void *channel) {
    scheduler->wake(channel);
}
void World::wake_thread(const Thread &thread) {
    if (thread.impl->channel != nullptr) {
        scheduler->wake(thread.impl->channel);
    }
}
void World::spin_wait(const void *channel, const std::function<bool()> &pred) {
    scheduler->spin_wait(channel, pred);
}
void World::yield() {
    scheduler->yield();
}
void World::plain_access(const void *code) {
    if (schedule == nullptr || !schedule->wants_plain_access()) {
        return;
    }
    Thread &thread = executing();
    thread.at_code = code;
    scheduler->yield();
    thread.at_code = nullptr;
}
void World::reseed(uint64_t seed) {
    impl_->random.seed(seed);
}
void World::queue_dpc(std::function<void()> dpc, uint64_t due_100ns) {
    scheduler->queue_dpc(std::move(dpc), due_100ns);
}
void World::at(uint64_t due_100ns, std::function<void()> fn) {
    scheduler->at(due_100ns, std::move(fn));
}
bool World::host_call(const std::function<void()> &fn) {
    return scheduler->host_call(fn, false);
}
uint32_t World::current_processor() {
    return scheduler->current_processor();
}
Thread *World::reference_thread(uint64_t id) {
    return scheduler->reference_thread(id);
}
std::vector<Thread *> World::reference_threads(const Process &process) {
    return scheduler->reference_threads(process);
}
bool World::is_thread(const void *object) {
    return is_live_thread(object);
}
uint64_t World::random(uint64_t bound) {
    return impl_->random.below(bound);
}

uint64_t World::interrupt_time_100ns() {
    return scheduler->interrupt_time_100ns();
}

uint64_t World::system_time_100ns() {
    if (options.virtual_clock) {
        return VIRTUAL_EPOCH_100NS + interrupt_time_100ns();
    }
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return UNIX_EPOCH_AS_FILETIME_100NS +
           static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count()) / 100;
}

bool World::stopped() const {
    return impl_->stopped;
}
bool World::ending() const {
    return impl_->ending;
}
Process *World::system_process() {
    return &impl_->system;
}
Process *World::client_process() {
    return &impl_->client;
}
Process *World::make_process(std::string name) {
    constexpr uint64_t ID_STEP = 4;
    auto made = std::make_unique<Process>();
    made->name = std::move(name);
    made->id = impl_->client.id + (impl_->more.size() + 1) * ID_STEP;
    impl_->more.push_back(std::move(made));
    return impl_->more.back().get();
}
Process *World::process_by_id(uint64_t id) {
    if (id == impl_->client.id) {
        return &impl_->client;
    }
    for (const auto &process : impl_->more) {
        if (process->id == id) {
            return process.get();
        }
    }
    return nullptr;
}
bool World::is_process(const void *object) {
    return object == &impl_->system || object == &impl_->client ||
           std::ranges::any_of(impl_->more, [object](const auto &process) { return process.get() == object; });
}
std::string World::report_json() {
    std::string json = impl_->report.json(options.seed, waiting_for_storage);
    json.insert(json.size() - 1, ",\"faults\":" + faults->json() + ",\"readings\":" + readings->json());
    return json;
}
void World::note(std::string line) {
    impl_->report.note(std::move(line));
}
void World::absent_routine(std::string name) {
    impl_->report.absent_routine(std::move(name));
}
void World::leak(std::string what) {
    impl_->report.leak(std::move(what));
}

void World::stop(std::string_view rule, std::string_view call, std::string_view text) {
    const Thread &thread = executing();
    Report::Stop stop;
    stop.rule = rule;
    stop.call = call;
    stop.text = text;
    stop.thread = thread.name;
    if (thread.borrowed != nullptr) {
        stop.thread += " on top of " + thread.borrowed->name;
    }
    stop.thread_id = thread.borrowed != nullptr ? thread.borrowed->id : thread.id;
    stop.processor = scheduler ? scheduler->current_processor() : 0;
    stop.irql = thread.irql;
    stop.stack = current_stack();
#if FLTSIM_WINDOWS_IMAGES
    const std::vector<std::string> image_frames = image::stack_at_gate();
    stop.stack.frames.insert(stop.stack.frames.begin(), image_frames.begin(), image_frames.end());
    if (stop.stack.call_site.empty() && !image_frames.empty()) {
        stop.stack.call_site = image_frames.front();
    }
#endif
    const bool first = impl_->report.stop(std::move(stop));
    if (first && (rule == "HANG" || rule == "DEADLOCK") && io) {
        for (std::string &line : io->describe_outstanding()) {
            note("outstanding: " + line);
        }
        for (std::string &line : scheduler->describe_threads()) {
            note("thread: " + line);
        }
    }
    impl_->stopped = true;
    // Outside the loop, and with real threads, there is nobody to hand a report to: it must not get lost.
    if (options.threads || thread.impl == impl_->outside->impl || environment_is("FLTSIM_BUGCHECK", "print")) {
        std::fputs(impl_->report.text(options.seed).c_str(), stderr);
    }
    if (scheduler) {
        scheduler->halt();
    }
    std::abort();
}

} // namespace fltsim
