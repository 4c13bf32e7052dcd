// SPDX-License-Identifier: MIT
//
// This module provides: the fuzz target of the driver's whole life. An input is a program in a world of its own: clients that come and go, rules, file operations,
// releases, instances that are attached, detached and dismounted, the driver unloaded and loaded again, threads terminated, calls that fail.
//
// Checked at the end, when all threads have ended: nothing is held, the counters balance, the driver can be unloaded; and by the model: nothing leaked, no rule
// of the verifier was broken.

#include <memory>

#include "core/faults.hpp"
#include "core/registry.hpp"
#include "port.hpp"
#include "workload.hpp"

using namespace fuzz;

namespace {

constexpr int MOST_STEPS = 96;
constexpr size_t CLIENTS = 3;

/// The driver reads them when it is loaded.
void choose_parameters(fltsim::World &world, Bytes &in) {
    const uint8_t which = in.u8();
    const auto set = [&](std::u16string_view name, uint32_t value) {
        const fltsim::KernelCall call("ZwSetValueKey");
        world.registry->set(fltsim::Registry::service_key(u"minipend") + u"\\Parameters", name, value);
    };
    if ((which & 1) != 0) {
        set(u"MaxHeld", 1 + in.below(4));
    }
    if ((which & 2) != 0) {
        set(u"FaultAllocationEveryNth", 1 + in.below(4));
    }
    if ((which & 4) != 0) {
        set(u"RefuseUnloadWhileHeld", 1);
    }
    if ((which & 8) != 0) {
        set(u"ReleaseThreads", 2 + in.below(4));
    }
}

class Program {
  public:
    Program(fltsim::World &world, Bytes &in) : world_(world), number_(world.number), in_(in), work_(world) {}

    void run() {
        volumes_ = 1 + in_.below(3);
        make_directories(volumes_);
        choose_parameters(world_, in_);
        FilterLoad(u"minipend");
        for (uint32_t i = 0; i < volumes_; ++i) {
            attach(i);
        }
        for (int i = 0; i < MOST_STEPS && !in_.empty(); ++i) {
            step();
        }
        finish();
    }

  private:
    void step() {
        switch (in_.below(20)) {
        case 0:
        case 1:
            connect(in_.below(CLIENTS));
            break;
        case 2:
            ports_[in_.below(CLIENTS)].reset();
            break;
        case 3:
        case 4:
        case 5:
            set_rules(in_.below(CLIENTS));
            break;
        case 6:
        case 7:
        case 8:
            work_.start_io(in_, volumes_);
            break;
        case 9:
        case 10:
            command(in_.below(CLIENTS));
            break;
        case 11:
            nap(world_, in_.u8() * 200u);
            break;
        case 12:
            with_volume("detach", [](uint32_t i) { FilterDetach(u"minipend", VOLUMES[i], nullptr); });
            break;
        case 13:
            with_volume("attach", attach);
            break;
        case 14:
            fault();
            break;
        case 15:
            terminate();
            break;
        case 16:
            unload();
            break;
        case 17:
            either("load", [] { FilterLoad(u"minipend"); });
            break;
        case 18:
            machine();
            break;
        default:
            bell(in_.below(CLIENTS));
            break;
        }
    }

    static void attach(uint32_t i) { FilterAttach(u"minipend", VOLUMES[i], nullptr, 0, nullptr); }

    /// Here, or in a thread of its own at the same time as what comes next.
    void either(const char *name, const std::function<void()> &body) {
        if (in_.below(2) == 0) {
            body();
        } else {
            work_.start(name, body);
        }
    }
    void with_volume(const char *name, void (*body)(uint32_t)) {
        const uint32_t i = in_.below(volumes_);
        either(name, [body, i] { body(i); });
    }

    void connect(uint32_t client) {
        auto port = std::make_unique<Port>();
        if (port->is_open()) {
            const std::vector<uint8_t> ids = in_.take(8);
            Bytes nothing;
            Bytes threads{std::span<const uint8_t>(ids)};
            port->send(make_hello(in_.below(4) == 0 ? threads : nothing));
            ports_[client] = std::move(port);
        }
    }

    void set_rules(uint32_t client) {
        const uint32_t set_id = in_.below(3);
        const uint32_t flags = set_id == 0 && in_.below(8) == 1 ? MINIPEND_SET_RULES_PERSIST : 0;
        const Message message = make_rules(in_, set_id, flags, in_.below(4));
        if (ports_[client]) {
            ports_[client]->send(message);
        }
    }

    void command(uint32_t client) {
        const std::unique_ptr<Port> &port = ports_[client];
        const Message message = make_command(in_, port ? port->known : Known{});
        if (port) {
            port->send(message, {.bytes = 1u << 20});
        }
    }

    /// Asks for the driver's bell; it may ring long after.
    void bell(uint32_t client) {
        if (ports_[client]) {
            bells_.push_back(std::make_unique<Bell>());
            FilterGetMessage(ports_[client]->handle(), &bells_.back()->message.header, sizeof(bells_.back()->message),
                             &bells_.back()->overlapped);
        }
    }

    void fault() {
        const auto names = fltsim::FaultSwitches::names();
        const std::string name(names[in_.u8() % names.size()]);
        const uint32_t skip = in_.below(8);
        if (name == "FltGetInstanceContext") {
            return; // its one failure says that the driver has set none: an assertion of the driver's, not a refusal
        }
        FltSimSetFault(number_, name.c_str(), skip, 1 + in_.below(3));
    }

    void terminate() {
        if (!work_.thread_ids().empty()) {
            FltSimTerminateThread(number_, work_.thread_ids()[in_.u8() % work_.thread_ids().size()]);
        }
    }

    void unload() {
        const bool mandatory = in_.below(2) == 0;
        either("unload", [mandatory, number = number_] {
            int32_t status = 0;
            if (mandatory) {
                FltSimStopService(number, "minipend", &status);
            } else {
                FilterUnload(u"minipend");
            }
        });
    }

    void machine() {
        const uint8_t what = in_.u8();
        switch (what % 3) {
        case 0:
            FltSimSetStorageDelay(number_, what * 16u);
            break;
        case 1:
            FltSimEnableTrace(number_, what & 0x80, what % 6, 0);
            break;
        default:
            with_volume("dismount", [](uint32_t i) {
                static constexpr const char *NAMES[] = {"D:", "E:", "C:"};
                int32_t status = 0;
                FltSimDismountVolume(fltsim::world().number, NAMES[i], &status);
            });
            break;
        }
    }

    void finish() {
        for (const std::string_view name : fltsim::FaultSwitches::names()) {
            FltSimSetFault(number_, std::string(name).c_str(), 0, 0);
        }
        for (auto &port : ports_) {
            port.reset();
        }
        {
            Port cleaner; // nobody is there to connect to when the driver is not loaded
            if (cleaner.is_open()) {
                Bytes nothing;
                cleaner.send(make_hello(nothing));
                cleaner.send(no_persistent_rules());
                cleaner.send(release_everything());
            }
        }
        work_.join();
        if (Port().is_open()) {
            const spine::Client watcher;
            check_at_rest(world_, watcher);
        }
        const HRESULT answer = FilterUnload(u"minipend");
        constexpr auto NOT_LOADED = static_cast<HRESULT>(0x801F0013);
        require(answer == S_OK || answer == NOT_LOADED, "the driver cannot be unloaded");
    }

    struct Bell {
        OVERLAPPED overlapped{};
        struct {
            FILTER_MESSAGE_HEADER header;
            MINIPEND_BELL bell;
        } message{};
    };

    fltsim::World &world_;
    const uint32_t number_;
    Bytes &in_;
    uint32_t volumes_ = 1;
    std::vector<std::unique_ptr<Bell>> bells_;
    std::unique_ptr<Port> ports_[CLIENTS];
    Workload work_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Bytes in(std::span(data, size));
    {
        spine::TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL, in.number<uint16_t>());
        run_inside(world, [&](fltsim::World &here) { Program(here, in).run(); });
    }
    forget_requests();
    return 0;
}
