// SPDX-License-Identifier: MIT
//
// This module provides: what happens to a machine from outside a driver and its client (fltsim.h): a service that is set up and stopped, a volume that is
// dismounted, a thread that is terminated, a trace session.

#include "fltsim.h"

#include "core/faults.hpp"
#include "core/registry.hpp"
#include "flt/filter_manager.hpp"
#include "ke/trace.hpp"
#include "user/entry.hpp"

using namespace fltsim;
using namespace fltsim::user;

extern "C" {

int FltSimSetServiceParameter(FLTSIM_WORLD World, const char *Service, const char *Name, uint32_t Value) {
    if (Service == nullptr || Name == nullptr) {
        return -1;
    }
    return in_world(World, "NtSetValueKey", [&](fltsim::World &w) {
        w.registry->set(Registry::service_key(widen(Service)) + u"\\Parameters", widen(Name), Value);
        return true;
    });
}

int FltSimAddDriver(FLTSIM_WORLD World, const char *Service, const char *Image, const char *Altitude) {
    if (Service == nullptr || Image == nullptr || Altitude == nullptr) {
        return -1;
    }
    return in_world(World, "FltSimAddDriver",
                    [&](fltsim::World &w) { return w.flt->add_driver(widen(Service), Image, widen(Altitude)); });
}

int FltSimStopService(FLTSIM_WORLD World, const char *Service, int32_t *Status) {
    if (Service == nullptr || Status == nullptr) {
        return -1;
    }
    return in_world(World, "NtUnloadDriver", [&](fltsim::World &w) {
        constexpr bool kMandatory = true;
        *Status = w.flt->unload(widen(Service), kMandatory);
        return true;
    });
}

int FltSimDismountVolume(FLTSIM_WORLD World, const char *Volume, int32_t *Status) {
    if (Volume == nullptr || Status == nullptr) {
        return -1;
    }
    return in_world(World, "FltDismountVolume", [&](fltsim::World &w) {
        io::Volume *volume = w.io->volume_by_dos(widen(Volume));
        *Status = volume == nullptr ? STATUS_OBJECT_NAME_NOT_FOUND : w.flt->dismount(*volume);
        return true;
    });
}

int FltSimTerminateThread(FLTSIM_WORLD World, uint32_t ThreadId) {
    return in_world(World, "NtTerminateThread", [&](fltsim::World &w) {
        Thread *thread = w.reference_thread(ThreadId);
        const bool client = thread != nullptr && thread->process == w.client_process() && !thread->ended;
        if (client && !thread->terminating) {
            thread->terminating = true;
            w.note("thread " + std::to_string(thread->id) + ": terminated");
            // Its operations are asked to end; those that a filter holds do not hear it [CANC-06a].
            w.io->cancel_thread(*thread);
            w.flt->cancel_messages(nullptr, nullptr, thread);
            w.wake_thread(*thread);
        }
        if (thread != nullptr) {
            thread->dereference();
        }
        return client;
    });
}

int FltSimEnableTrace(FLTSIM_WORLD World, int Enable, uint8_t Level, uint64_t MatchAnyKeyword) {
    return in_world(World, "EtwEnableTrace", [&](fltsim::World &) {
        ke::trace().enable(Enable != 0 ? std::optional(ke::TraceFilter{Level, MatchAnyKeyword}) : std::nullopt);
        return true;
    });
}

} // extern "C"
