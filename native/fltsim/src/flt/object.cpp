// SPDX-License-Identifier: MIT
//
// This module provides: looking up the driver's opaque pointers, references on filters, instances and volumes [CTX-10], and the helpers that
// all files of this folder use.

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"

namespace fltsim::flt {

FilterManager::Impl &manager() {
    return world().flt->impl();
}

std::string narrow(std::u16string_view text) {
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
        uint32_t c = text[i];
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < text.size() && text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (text[++i] - 0xDC00);
        }
        if (c < 0x80) {
            result += static_cast<char>(c);
        } else if (c < 0x800) {
            result += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
        } else if (c < 0x10000) {
            result += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                       static_cast<char>(0x80 | (c & 0x3F))};
        } else {
            result += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
                       static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
        }
    }
    return result;
}

bool equal_names(std::u16string_view a, std::u16string_view b) {
    const auto fold = [](char16_t c) { return c >= u'a' && c <= u'z' ? static_cast<char16_t>(c - 32) : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char16_t x, char16_t y) { return fold(x) == fold(y); });
}

UNICODE_STRING unicode(std::u16string_view text) {
    UNICODE_STRING result{};
    result.Length = static_cast<USHORT>(text.size() * sizeof(char16_t));
    result.MaximumLength = result.Length;
    result.Buffer = const_cast<PWCH>(reinterpret_cast<const WCHAR *>(text.data()));
    return result;
}

std::u16string_view view(const UNICODE_STRING &text) {
    return {reinterpret_cast<const char16_t *>(text.Buffer), text.Length / sizeof(char16_t)};
}

namespace {

template <class T> std::shared_ptr<T> find_object(const std::vector<std::shared_ptr<T>> &list, const void *object) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const auto &item) { return item.get() == object; });
    return found == list.end() ? nullptr : *found;
}

[[noreturn]] void bad_object(const char *type, const char *api) {
    bugcheck("VER-02 bad object", api,
             std::string("the ") + type + " is not one, or it is gone: the driver keeps a pointer too long");
}

} // namespace

std::shared_ptr<Filter> filter_of(PFLT_FILTER filter, const char *api) {
    auto found = find_object(manager().filters, filter);
    return found ? found : (bad_object("PFLT_FILTER", api), nullptr);
}

std::shared_ptr<Instance> instance_of(PFLT_INSTANCE instance, const char *api) {
    auto found = find_object(manager().instances, instance);
    return found ? found : (bad_object("PFLT_INSTANCE", api), nullptr);
}

VolumeState *volume_of(PFLT_VOLUME volume, const char *api) {
    auto found = find_object(manager().volumes, volume);
    return found ? found.get() : (bad_object("PFLT_VOLUME", api), nullptr);
}

VolumeState &volume_state(io::Volume &volume) {
    if (!volume.flt_state) {
        auto state = std::make_shared<VolumeState>();
        state->volume = &volume;
        volume.flt_state = state;
        manager().volumes.push_back(std::move(state));
    }
    return *static_cast<VolumeState *>(volume.flt_state.get());
}

std::string describe(const Instance &instance) {
    return narrow(instance.name) + "@" + narrow(instance.altitude) + " (" + narrow(instance.volume->volume->dos_name) +
           ")";
}

const char *operation_name(UCHAR major) {
    switch (major) {
#define FLTSIM_X_(name)                                                                                                \
    case static_cast<UCHAR>(name):                                                                                     \
        return #name;
        FLTSIM_X_(IRP_MJ_CREATE)
        FLTSIM_X_(IRP_MJ_CLOSE)
        FLTSIM_X_(IRP_MJ_READ)
        FLTSIM_X_(IRP_MJ_WRITE)
        FLTSIM_X_(IRP_MJ_QUERY_INFORMATION)
        FLTSIM_X_(IRP_MJ_SET_INFORMATION)
        FLTSIM_X_(IRP_MJ_QUERY_EA)
        FLTSIM_X_(IRP_MJ_SET_EA)
        FLTSIM_X_(IRP_MJ_FLUSH_BUFFERS)
        FLTSIM_X_(IRP_MJ_QUERY_VOLUME_INFORMATION)
        FLTSIM_X_(IRP_MJ_SET_VOLUME_INFORMATION)
        FLTSIM_X_(IRP_MJ_DIRECTORY_CONTROL)
        FLTSIM_X_(IRP_MJ_FILE_SYSTEM_CONTROL)
        FLTSIM_X_(IRP_MJ_DEVICE_CONTROL)
        FLTSIM_X_(IRP_MJ_LOCK_CONTROL)
        FLTSIM_X_(IRP_MJ_CLEANUP)
        FLTSIM_X_(IRP_MJ_QUERY_SECURITY)
        FLTSIM_X_(IRP_MJ_SET_SECURITY)
        FLTSIM_X_(IRP_MJ_QUERY_QUOTA)
        FLTSIM_X_(IRP_MJ_SET_QUOTA)
        FLTSIM_X_(IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION)
        FLTSIM_X_(IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION)
        FLTSIM_X_(IRP_MJ_ACQUIRE_FOR_MOD_WRITE)
        FLTSIM_X_(IRP_MJ_RELEASE_FOR_MOD_WRITE)
        FLTSIM_X_(IRP_MJ_ACQUIRE_FOR_CC_FLUSH)
        FLTSIM_X_(IRP_MJ_RELEASE_FOR_CC_FLUSH)
        FLTSIM_X_(IRP_MJ_QUERY_OPEN)
        FLTSIM_X_(IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE)
        FLTSIM_X_(IRP_MJ_NETWORK_QUERY_OPEN)
        FLTSIM_X_(IRP_MJ_MDL_READ)
        FLTSIM_X_(IRP_MJ_MDL_READ_COMPLETE)
        FLTSIM_X_(IRP_MJ_PREPARE_MDL_WRITE)
        FLTSIM_X_(IRP_MJ_MDL_WRITE_COMPLETE)
#undef FLTSIM_X_
    default:
        return nullptr;
    }
}

std::string describe(io::Operation &operation) {
    const char *form = operation.form == io::Form::Irp      ? "irp"
                       : operation.form == io::Form::FastIo ? "fast"
                                                            : "fsfilter";
    const char *name = operation_name(operation.major);
    std::string text = "op ";
    if (operation.flt_state) {
        text += std::to_string(state_of(operation).number) + " ";
    }
    text += name ? name + 7 : "major " + std::to_string(operation.major); // without IRP_MJ_
    text += std::string(" ") + form;
    if ((operation.irp_flags & IRP_PAGING_IO) != 0) {
        text += " paging";
    }
    if (operation.volume) {
        text += " " + narrow(operation.volume->dos_name);
    }
    return operation.file ? text + narrow(operation.file->name) : text;
}

RelatedObjects::RelatedObjects(Instance &instance, io::FileObject *file) {
    // The members are const for drivers.
    FLT_RELATED_OBJECTS objects = {sizeof(FLT_RELATED_OBJECTS),
                                   0,
                                   instance.filter->handle(),
                                   reinterpret_cast<PFLT_VOLUME>(instance.volume),
                                   instance.handle(),
                                   file ? &file->native : nullptr,
                                   nullptr};
    objects_ = static_cast<PFLT_RELATED_OBJECTS>(manager().memory.allocate(sizeof objects, "FLT_RELATED_OBJECTS"));
    std::memcpy(static_cast<void *>(objects_), &objects, sizeof objects);
}

RelatedObjects::~RelatedObjects() {
    manager().memory.release(const_cast<PFLT_RELATED_OBJECTS>(objects_));
}

bool wait_for(const void *channel, const std::function<bool()> &pred, const std::function<std::string()> &what,
              uint64_t patience_seconds) {
    auto &m = manager();
    const auto entry = m.waits.insert(channel);
    bool done = m.shutting_down ? pred() : world().block(channel, [&] { return pred() || m.shutting_down; }) && pred();
    if (!done && m.shutting_down) {
        constexpr uint64_t kSecond100ns = 10'000'000;
        done = world().block(channel, pred, world().interrupt_time_100ns() + patience_seconds * kSecond100ns);
        if (!done && !world().ending()) {
            const std::string text = what();
            world().leak(text);
            bugcheck("V18 operation still outstanding at unload", "FltUnregisterFilter", text);
        }
    }
    m.waits.erase(entry);
    return done;
}

void run_in_system_thread(const char *name, const std::function<void()> &fn) {
    struct Shared {
        bool done = false;
    };
    auto shared = std::make_shared<Shared>();
    world().spawn(name, nullptr, [shared, fn, name] {
        KernelCall call(name);
        fn();
        shared->done = true;
        world().wake(shared.get());
    });
    // More patient than the waits inside, which know better what is missing.
    constexpr uint64_t kPatienceSeconds = 20;
    wait_for(
        shared.get(), [&] { return shared->done; },
        [&] {
            std::string text = std::string("the system thread \"") + name + "\" does not come back from the driver";
            for (const std::string &line : world().flt->describe()) {
                text += "; " + line;
            }
            return text;
        },
        kPatienceSeconds);
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Adds a reference to a filter, instance or volume. STATUS_FLT_DELETING_OBJECT when it is going away [CTX-10]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltObjectReference(PVOID FltObject) {
    KernelCall call("FltObjectReference");
    if (const auto failure = failing("FltObjectReference")) {
        return *failure;
    }
    auto &m = manager();
    if (auto filter = find_object(m.filters, FltObject)) {
        if (filter->unregistering) {
            return STATUS_FLT_DELETING_OBJECT;
        }
        ++filter->references;
    } else if (auto instance = find_object(m.instances, FltObject)) {
        if (instance->deleting()) {
            return STATUS_FLT_DELETING_OBJECT;
        }
        ++instance->rundown;
    } else if (auto volume = find_object(m.volumes, FltObject)) {
        if (volume->dismounting) {
            return STATUS_FLT_DELETING_OBJECT;
        }
        ++volume->references;
    } else {
        bad_object("FltObject", "FltObjectReference");
    }
    return STATUS_SUCCESS;
}

/// Drops a reference that FltObjectReference or a Flt...From... call added. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltObjectDereference(PVOID FltObject) {
    KernelCall call("FltObjectDereference");
    auto &m = manager();
    int *references = nullptr;
    const void *channel = nullptr;
    if (auto filter = find_object(m.filters, FltObject)) {
        references = &filter->references;
        channel = filter.get();
    } else if (auto instance = find_object(m.instances, FltObject)) {
        references = &instance->rundown;
        channel = instance->filter;
    } else if (auto volume = find_object(m.volumes, FltObject)) {
        references = &volume->references;
    } else {
        bad_object("FltObject", "FltObjectDereference");
    }
    if (*references == 0) {
        bugcheck("VER-02 reference", "FltObjectDereference", "the object has no reference left to drop");
    }
    --*references;
    if (channel) {
        world().wake(channel);
    }
}
