// SPDX-License-Identifier: MIT
//
// This module provides: dismounting a volume under its filters [LIFE-03, LIFE-16, SEQ-23].
//
// Invariant: the mount that goes keeps its PFLT_VOLUME until the world ends, so that references on it stay good; the next use of the volume
// finds a new mount without instances, and its first create attaches the automatic ones.

#include "flt/internal.hpp"

namespace fltsim::flt {

NTSTATUS FilterManager::dismount(io::Volume &volume) {
    KernelCall kernel("FltDismountVolume", PASSIVE_LEVEL);
    if (volume.boot) {
        return STATUS_ACCESS_DENIED;
    }
    VolumeState &state = volume_state(volume);
    if (state.dismounting) {
        return STATUS_VOLUME_DISMOUNTED;
    }
    state.dismounting = true;
    ++volume.mounts; // what is open is open on the old mount
    world().note("volume " + narrow(volume.dos_name) + ": dismounted");
    while (!state.instances.empty()) {
        const auto instance = state.instances.front();
        if (instance->state == Instance::State::Active) {
            teardown(instance, FLTFL_INSTANCE_TEARDOWN_VOLUME_DISMOUNT);
        } else if (!wait_for(
                       instance.get(),
                       [&] {
                           return instance->state == Instance::State::Active ||
                                  instance->state == Instance::State::Gone;
                       },
                       [&] {
                           return "instance " + flt::describe(*instance) +
                                  ": another thread attaches or detaches it and does not end";
                       })) {
            return STATUS_VOLUME_DISMOUNTED; // the world ends
        }
        if (world().ending()) {
            return STATUS_VOLUME_DISMOUNTED;
        }
    }
    unlink_contexts(state.place, "dismount"); // of filters without an instance here
    volume.flt_state.reset(); // the manager keeps the old mount in its list
    volume_state(volume).newly_mounted = true;
    return STATUS_SUCCESS;
}

void attach_to_new_mount(io::Volume &volume) {
    VolumeState &state = volume_state(volume);
    if (!state.newly_mounted) {
        return;
    }
    state.newly_mounted = false;
    const std::vector<std::shared_ptr<Filter>> filters = manager().filters; // setup callbacks give the lock up
    for (const auto &filter : filters) {
        constexpr uint32_t kNoAutomaticAttach = 1; // INF-02
        const auto definition = instance_definition(filter->name, u"");
        if (filter->started && !filter->unregistering && definition && (definition->flags & kNoAutomaticAttach) == 0) {
            // A volume that the filter declines is simply not filtered.
            (void)attach_instance(filter, volume, definition->name, definition->altitude,
                                  FLTFL_INSTANCE_SETUP_AUTOMATIC_ATTACHMENT |
                                      FLTFL_INSTANCE_SETUP_NEWLY_MOUNTED_VOLUME);
        }
    }
}

} // namespace fltsim::flt
