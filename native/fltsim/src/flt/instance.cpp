// SPDX-License-Identifier: MIT
//
// This module provides: instances: attach by altitude, detach, teardown [LIFE-01..16, SIM-11], and what drivers ask about them.
//
//      ATTACHING -> ACTIVE -> TEARDOWN_START -> DRAINING -> WAIT_OUTSTANDING -> TEARDOWN_COMPLETE -> GONE
//
// From TEARDOWN_START on the instance gets no new pre-operation and can queue nothing. From DRAINING on it gets no normal post-operation
// either: each that was due becomes one draining call on the thread that tears down. Post-operations that execute or are pended
// stay the driver's; TeardownComplete waits for them, without a limit [DRAIN-06, LIFE-13, LIFE-14].

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "core/readings.hpp"
#include "flt/altitude.hpp"

namespace fltsim::flt {

namespace {

/// Where instance definitions live: the place of Windows 11 24H2 first, then the old one [INF-06].
std::vector<std::u16string> definition_keys(std::u16string_view service) {
    const std::u16string key = Registry::service_key(service);
    switch (reading<InstancesKey>()) {
    case InstancesKey::Both:
        break;
    case InstancesKey::Parameters:
        return {key + u"\\Parameters\\Instances"};
    case InstancesKey::Service:
        return {key + u"\\Instances"};
    }
    return {key + u"\\Parameters\\Instances", key + u"\\Instances"};
}

NTSTATUS setup(const std::shared_ptr<Instance> &instance, FLT_INSTANCE_SETUP_FLAGS flags) {
    if (!instance->filter->setup) {
        return STATUS_SUCCESS;
    }
    const auto type = instance->volume->volume->profile == io::FsProfile::Ntfs ? FLT_FSTYPE_NTFS : FLT_FSTYPE_FAT;
    RelatedObjects objects(*instance, nullptr);
    DriverCall driver("InstanceSetup");
    return instance->filter->setup(objects.get(), flags, FILE_DEVICE_DISK_FILE_SYSTEM, type);
}

void remove_from(std::vector<std::shared_ptr<Instance>> &list, const Instance *instance) {
    std::erase_if(list, [&](const auto &item) { return item.get() == instance; });
}

/// Ends the instance's life: contexts go, then the object as soon as nobody refers to it.
void retire(const std::shared_ptr<Instance> &instance) {
    auto &m = manager();
    remove_from(instance->volume->instances, instance.get());
    while (!instance->contexts.empty()) { // its own last: cleanup callbacks of the others may look for it
        const auto other = std::find_if(instance->contexts.begin(), instance->contexts.end(),
                                        [](const Context *context) { return context->type != FLT_INSTANCE_CONTEXT; });
        unlink_context(other != instance->contexts.end() ? **other : *instance->contexts.front(), "teardown");
    }
    const auto &others = instance->volume->instances;
    if (std::none_of(others.begin(), others.end(),
                     [&](const auto &other) { return other->filter == instance->filter; })) {
        unlink_volume_contexts(*instance->volume, *instance->filter, "teardown");
    }
    instance->state = Instance::State::Gone;
    world().wake(instance.get());
    world().wake(instance->filter);
    m.graveyard.push_back(instance);
}

struct Due {
    std::shared_ptr<io::Operation> operation;
    size_t frame;
};

/// The post-operation is due, and need not wait for the operation's end. One that has swapped buffers does [POST-37].
bool can_drain(const Frame &frame) {
    return frame.phase == Frame::Phase::Waiting && !frame.swapped;
}

/// Marks all post-operations that wait for this instance, so that none can come normally any more.
std::vector<Due> take_due(const Instance &instance) {
    std::vector<Due> due;
    for (const auto &operation : manager().operations) {
        auto &frames = state_of(*operation).frames;
        for (size_t i = 0; i < frames.size(); ++i) {
            if (frames[i].instance.get() == &instance && can_drain(frames[i])) {
                frames[i].phase = frames[i].post ? Frame::Phase::Drained : Frame::Phase::Done;
                if (frames[i].post) {
                    due.push_back({operation, i});
                }
            }
        }
    }
    return due;
}

bool any_frame(const Instance &instance, const std::function<bool(const Frame &)> &is_meant) {
    const auto &operations = manager().operations;
    return std::any_of(operations.begin(), operations.end(), [&](const auto &operation) {
        const auto &frames = state_of(*operation).frames;
        return std::any_of(frames.begin(), frames.end(),
                           [&](const Frame &frame) { return frame.instance.get() == &instance && is_meant(frame); });
    });
}

bool any_due(const Instance &instance) {
    return any_frame(instance, can_drain);
}

/// What is below reads or writes the driver's own memory.
bool any_swapped(const Instance &instance) {
    return any_frame(instance,
                     [](const Frame &frame) { return frame.swapped && frame.phase == Frame::Phase::Waiting; });
}

std::string outstanding(const Instance &instance) {
    std::string text = "instance " + describe(instance) + ": teardown waits for " + std::to_string(instance.pended) +
                       " pended post-operation(s) and " + std::to_string(instance.running) + " executing callback(s)";
    for (const auto &operation : manager().operations) {
        for (const Frame &frame : state_of(*operation).frames) {
            if (frame.instance.get() == &instance && frame.phase == Frame::Phase::Waiting && frame.swapped) {
                text += "; has swapped buffers, and has not ended below: " + describe(*operation);
            }
            if (frame.instance.get() == &instance && frame.phase == Frame::Phase::Pended) {
                text += "; pended: " + describe(*operation);
            }
        }
    }
    return text;
}

void call_teardown(const std::shared_ptr<Instance> &instance, PFLT_INSTANCE_TEARDOWN_CALLBACK routine, const char *name,
                   FLT_INSTANCE_TEARDOWN_FLAGS reason) {
    if (routine) {
        RelatedObjects objects(*instance, nullptr);
        DriverCall driver(name);
        routine(objects.get(), reason);
    }
}

} // namespace

std::shared_ptr<Instance> find_instance(const Filter &filter, const io::Volume &volume, std::u16string_view name) {
    std::shared_ptr<Instance> highest;
    for (const auto &instance : filter.instances) {
        if (instance->volume->volume != &volume || instance->state == Instance::State::Gone) {
            continue;
        }
        if (name.empty() ? !highest || compare_altitudes(instance->altitude, highest->altitude) > 0
                         : equal_names(instance->name, name)) {
            highest = instance;
        }
    }
    return highest;
}

std::optional<InstanceDefinition> instance_definition(std::u16string_view service, std::u16string_view name) {
    const Registry &registry = *world().registry;
    for (const std::u16string &key : definition_keys(service)) {
        const auto found = name.empty() ? registry.find_string(key, u"DefaultInstance") : std::u16string(name);
        const auto altitude = found ? registry.find_string(key + u"\\" + *found, u"Altitude") : std::nullopt;
        if (altitude) {
            return InstanceDefinition{*found, *altitude,
                                      registry.find_ulong(key + u"\\" + *found, u"Flags").value_or(0)};
        }
    }
    return std::nullopt;
}

NTSTATUS attach_instance(const std::shared_ptr<Filter> &filter, io::Volume &volume, std::u16string name,
                         std::u16string altitude, FLT_INSTANCE_SETUP_FLAGS flags) {
    auto &m = manager();
    if (filter->unregistering) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (!filter->started) {
        return STATUS_FLT_FILTER_NOT_READY;
    }
    if (!altitude_valid(altitude)) {
        return STATUS_INVALID_PARAMETER;
    }
    VolumeState &state = volume_state(volume);
    if (state.dismounting) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    for (const auto &other : state.instances) {
        if (other->filter == filter.get() && equal_names(other->name, name)) {
            return STATUS_FLT_INSTANCE_NAME_COLLISION;
        }
    }
    for (const auto &other : state.instances) {
        if (compare_altitudes(other->altitude, altitude) == 0) {
            return STATUS_FLT_INSTANCE_ALTITUDE_COLLISION;
        }
    }

    auto instance = std::make_shared<Instance>();
    instance->filter = filter.get();
    instance->volume = &state;
    instance->name = std::move(name);
    instance->altitude = std::move(altitude);
    instance->number = m.next_instance++;
    m.instances.push_back(instance);
    filter->instances.push_back(instance);
    const auto place = std::find_if(state.instances.begin(), state.instances.end(), [&](const auto &other) {
        return compare_altitudes(other->altitude, instance->altitude) < 0;
    });
    state.instances.insert(place, instance);

    const NTSTATUS status = setup(instance, flags);
    if (!NT_SUCCESS(status)) {
        world().note("instance " + describe(*instance) + ": declined by InstanceSetup");
        retire(instance);
        remove_from(filter->instances, instance.get());
        remove_from(m.instances, instance.get());
        return status;
    }
    instance->state = Instance::State::Active;
    world().wake(instance.get());
    world().note("instance " + describe(*instance) + ": attached");
    return STATUS_SUCCESS;
}

void teardown(const std::shared_ptr<Instance> &instance, FLT_INSTANCE_TEARDOWN_FLAGS reason) {
    using State = Instance::State;
    auto &m = manager();
    Filter &filter = *instance->filter;
    world().note("instance " + describe(*instance) + ": teardown starts");
    instance->state = State::TeardownStart;
    call_teardown(instance, filter.teardown_start, "InstanceTeardownStart", reason);

    const auto routines_left = [&] {
        return "instance " + describe(*instance) + ": " + std::to_string(instance->queued) +
               " deferred routine(s) have not returned";
    };
    const auto no_routine = [&] { return instance->queued == 0; };
    if (reading<DrainingWhileQueued>() == DrainingWhileQueued::QueuedFirst &&
        !wait_for(instance.get(), no_routine, routines_left)) {
        return;
    }
    instance->state = State::Draining;
    for (;;) {
        for (const Due &due : take_due(*instance)) {
            run_draining_post(due.operation, due.frame);
        }
        const auto quiet = [&] { return instance->running == 0 && instance->pended == 0 && !any_swapped(*instance); };
        if (!any_due(*instance) && quiet()) {
            break;
        }
        instance->state = State::WaitOutstanding;
        if (!wait_for(
                instance.get(), [&] { return any_due(*instance) || quiet(); },
                [&] { return outstanding(*instance); })) {
            return; // the world ends
        }
        instance->state = State::Draining;
    }
    if (reading<DeferredReference>() == DeferredReference::Teardown &&
        !wait_for(instance.get(), no_routine, routines_left)) {
        return;
    }

    instance->state = State::TeardownComplete;
    call_teardown(instance, filter.teardown_complete, "InstanceTeardownComplete", reason);
    world().note("instance " + describe(*instance) + ": gone");
    retire(instance);
    if (instance->rundown == 0) {
        remove_from(filter.instances, instance.get());
        remove_from(m.instances, instance.get());
    }
}

NTSTATUS attach_manually(const std::shared_ptr<Filter> &filter, io::Volume &volume, std::u16string_view instance_name,
                         std::u16string_view altitude, std::shared_ptr<Instance> *made) {
    InstanceDefinition wanted{std::u16string(instance_name), std::u16string(altitude), 0};
    constexpr uint32_t kNoManualAttach = 2; // INF-02
    if (const auto defined = instance_definition(filter->name, instance_name)) {
        if ((defined->flags & kNoManualAttach) != 0) {
            return STATUS_FLT_DO_NOT_ATTACH;
        }
        if (instance_name.empty()) {
            // The default name belongs to the default altitude; another altitude needs a name of its own.
            wanted.name = altitude.empty() ? defined->name : filter->name + u" " + std::u16string(altitude);
        }
        if (altitude.empty()) {
            wanted.altitude = defined->altitude;
        }
    } else if (instance_name.empty() || altitude.empty()) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    const NTSTATUS status =
        attach_instance(filter, volume, wanted.name, wanted.altitude, FLTFL_INSTANCE_SETUP_MANUAL_ATTACHMENT);
    if (NT_SUCCESS(status)) {
        *made = find_instance(*filter, volume, wanted.name);
    }
    return status;
}

NTSTATUS FilterManager::attach(std::u16string_view filter_name, io::Volume &volume, std::u16string_view instance_name,
                               std::u16string_view altitude, std::u16string *created_name) {
    KernelCall kernel("FltAttachVolume", PASSIVE_LEVEL);
    const auto filter = find_filter(filter_name);
    if (!filter) {
        return STATUS_FLT_FILTER_NOT_FOUND;
    }
    std::shared_ptr<Instance> made;
    const NTSTATUS status = attach_manually(filter, volume, instance_name, altitude, &made);
    if (made && created_name) {
        *created_name = made->name;
    }
    return status;
}

NTSTATUS detach_manually(const std::shared_ptr<Filter> &filter, io::Volume &volume, std::u16string_view instance_name) {
    const auto instance = find_instance(*filter, volume, instance_name);
    if (!instance) {
        return STATUS_FLT_INSTANCE_NOT_FOUND;
    }
    if (instance->state != Instance::State::Active || filter->unregistering) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (!filter->query_teardown) {
        return STATUS_FLT_DO_NOT_DETACH; // LIFE-03
    }
    NTSTATUS status;
    {
        RelatedObjects objects(*instance, nullptr);
        DriverCall driver("InstanceQueryTeardown");
        status = filter->query_teardown(objects.get(), 0);
    }
    if (NT_ERROR(status) || NT_WARNING(status)) {
        world().note("instance " + describe(*instance) + ": detach vetoed");
        return status;
    }
    if (instance->state != Instance::State::Active || filter->unregistering) {
        return STATUS_FLT_DELETING_OBJECT; // somebody else was faster
    }
    teardown(instance, FLTFL_INSTANCE_TEARDOWN_MANUAL);
    return STATUS_SUCCESS;
}

NTSTATUS FilterManager::detach(std::u16string_view filter_name, io::Volume &volume, std::u16string_view instance_name) {
    KernelCall kernel("FltDetachVolume", PASSIVE_LEVEL);
    const auto filter = find_filter(filter_name);
    return filter ? detach_manually(filter, volume, instance_name) : STATUS_FLT_FILTER_NOT_FOUND;
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// The volume's device name. STATUS_BUFFER_TOO_SMALL (also without a buffer), with the bytes needed in *BufferSizeNeeded.
/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeName(PFLT_VOLUME Volume, PUNICODE_STRING VolumeName,
                                               PULONG BufferSizeNeeded) {
    KernelCall call("FltGetVolumeName", APC_LEVEL);
    const std::u16string &name = volume_of(Volume, "FltGetVolumeName")->volume->device_name;
    if (const auto failure = failing("FltGetVolumeName")) {
        return *failure;
    }
    const auto bytes = static_cast<ULONG>(name.size() * sizeof(char16_t));
    if (BufferSizeNeeded) {
        *BufferSizeNeeded = bytes;
    }
    if (!VolumeName || VolumeName->MaximumLength < bytes) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    std::memcpy(VolumeName->Buffer, name.data(), bytes);
    VolumeName->Length = static_cast<USHORT>(bytes);
    return STATUS_SUCCESS;
}

/// The volume of an open file, referenced (FltObjectDereference). IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeFromFileObject(PFLT_FILTER Filter, PFILE_OBJECT FileObject,
                                                         PFLT_VOLUME *RetVolume) {
    KernelCall call("FltGetVolumeFromFileObject", APC_LEVEL);
    filter_of(Filter, "FltGetVolumeFromFileObject");
    *RetVolume = nullptr;
    if (const auto failure = failing("FltGetVolumeFromFileObject")) {
        return *failure;
    }
    const auto file = io::FileObject::from_native(FileObject);
    if (!file || !file->volume) {
        return STATUS_INVALID_PARAMETER;
    }
    VolumeState &state = volume_state(*file->volume);
    ++state.references;
    *RetVolume = reinterpret_cast<PFLT_VOLUME>(&state);
    return STATUS_SUCCESS;
}
