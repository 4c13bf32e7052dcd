// SPDX-License-Identifier: MIT
//
// This module provides: loading and unloading of filter drivers [UNL-01..04, UNL-06, REG-09], FilterManager's own life, and its shutdown.
//
// Invariants: DriverEntry and FilterUnloadCallback run in a system thread; an image is unloaded only when its filter is unregistered; a driver that
// fails DriverEntry must have undone everything.

#include "flt/internal.hpp"

#include <algorithm>

#include "ke/locks.hpp"
#include "ke/pool.hpp"

namespace fltsim::flt {

namespace {

constexpr size_t kExtensionBytes = 128;
constexpr CSHORT kTypeDriver = 4; // IO_TYPE_DRIVER

Driver *find_driver(std::u16string_view service) {
    for (const auto &driver : manager().drivers) {
        if (equal_names(driver->service, service)) {
            return driver.get();
        }
    }
    return nullptr;
}

/// The file of a service's image; null: there is no such service.
const std::string *image_of(std::u16string_view service) {
    auto &m = manager();
    if (equal_names(service, u"minipend")) {
        return &m.world.options.driver_image;
    }
    for (const auto &[name, path] : m.images) {
        if (equal_names(name, service)) {
            return &path;
        }
    }
    return nullptr;
}

std::string hex(NTSTATUS status) {
    char text[16];
    snprintf(text, sizeof text, "0x%08X", static_cast<unsigned>(status));
    return text;
}

void remove_driver(Driver *driver) {
    auto &m = manager();
    report_item_leaks(*driver);
    ke::forget_locks();
    if (m.drivers.size() == 1) {
        m.memory.check_all();
        pool::report_leaks(); // pool blocks do not tell which driver has them
        for (const auto &volume : m.volumes) { // nor do references on volumes
            if (volume->references != 0) {
                world().leak("volume " + narrow(volume->volume->dos_name) + ": " + std::to_string(volume->references) +
                             " reference(s) without FltObjectDereference [CTX-10]");
                volume->references = 0;
            }
        }
    }
    const auto found =
        std::find_if(m.drivers.begin(), m.drivers.end(), [&](const auto &d) { return d.get() == driver; });
    m.drivers.erase(found);
}

/// Deferred routines that nothing holds any more [UNL-07] are on their way out of the image: it stays for their return, not for another call.
void leave_image(Driver &driver, Filter &filter) {
    filter.image_gone = true;
    for (Thread *thread : driver.routines) {
        thread->image_gone = "deferred routine";
    }
    world().block(&driver, [&] { return driver.routines.empty(); });
}

/// Runs DriverEntry; on failure nothing of the driver may be left [REG-09].
NTSTATUS start(std::unique_ptr<Driver> owned) {
    auto &m = manager();
    Driver *driver = owned.get();
    driver->registry_path = Registry::service_key(driver->service);
    driver->extension.resize(kExtensionBytes);
    driver->object.Type = kTypeDriver;
    driver->object.Size = sizeof(DRIVER_OBJECT);
    driver->object.DriverExtension =
        reinterpret_cast<decltype(driver->object.DriverExtension)>(driver->extension.data());
    driver->object.DriverInit = driver->entry;
    driver->busy = true;
    m.drivers.push_back(std::move(owned));

    NTSTATUS status = STATUS_UNSUCCESSFUL;
    run_in_system_thread("driver load", [&] {
        UNICODE_STRING path = unicode(driver->registry_path);
        DriverCall call("DriverEntry");
        status = driver->entry(&driver->object, &path);
    });
    driver->busy = false;
    if (NT_SUCCESS(status)) {
        if (driver->image) {
            driver->image->initialised();
        }
        world().note("driver " + narrow(driver->service) + ": loaded");
        return STATUS_SUCCESS;
    }
    world().note("driver " + narrow(driver->service) + ": DriverEntry failed with " + hex(status));
    for (const auto &filter : m.filters) {
        if (filter->driver == driver) {
            bugcheck("REG-09 DriverEntry failed and left its filter registered", "DriverEntry",
                     "DriverEntry returned " + hex(status) +
                         " without FltUnregisterFilter: its callbacks would run in an unloaded image");
        }
    }
    remove_driver(driver);
    return status;
}

std::shared_ptr<Filter> filter_by_driver(const Driver *driver) {
    for (const auto &filter : manager().filters) {
        if (filter->driver == driver) {
            return filter;
        }
    }
    return nullptr;
}

} // namespace

FilterManager::FilterManager(World &world) : impl_(std::make_unique<Impl>(world)) {}
FilterManager::~FilterManager() = default;

NTSTATUS FilterManager::load(std::u16string_view filter_name) {
    KernelCall kernel("FltLoadFilter", PASSIVE_LEVEL);
    auto &m = *impl_;
    if (find_driver(filter_name)) {
        return STATUS_IMAGE_ALREADY_LOADED;
    }
    const std::string *path = image_of(filter_name);
    if (path == nullptr || !m.world.registry->key_exists(Registry::service_key(filter_name))) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    auto driver = std::make_unique<Driver>();
    driver->service = filter_name;
    std::string error;
    driver->image = Image::load(*path, &error);
    if (!driver->image) {
        m.world.note("driver " + narrow(filter_name) + ": " + error);
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    driver->entry = driver->image->entry();
    return start(std::move(driver));
}

bool FilterManager::add_driver(std::u16string_view service, std::string image, std::u16string_view altitude) {
    KernelCall kernel("FltAddDriver", PASSIVE_LEVEL);
    if (impl_->world.registry->key_exists(Registry::service_key(service))) {
        return false;
    }
    impl_->world.registry->add_filter_service(service, service, altitude, 0);
    impl_->images[std::u16string(service)] = std::move(image);
    return true;
}

NTSTATUS FilterManager::load_builtin(std::u16string_view name, std::u16string_view altitude, uint32_t flags,
                                     PDRIVER_INITIALIZE entry) {
    KernelCall kernel("FltLoadFilter", PASSIVE_LEVEL);
    if (find_driver(name)) {
        return STATUS_IMAGE_ALREADY_LOADED;
    }
    impl_->world.registry->add_filter_service(name, name, altitude, flags);
    auto driver = std::make_unique<Driver>();
    driver->service = name;
    driver->entry = entry;
    return start(std::move(driver));
}

NTSTATUS FilterManager::unload(std::u16string_view filter_name, bool mandatory) {
    KernelCall kernel("FltUnloadFilter", PASSIVE_LEVEL);
    Driver *driver = find_driver(filter_name);
    const auto filter = driver ? filter_by_driver(driver) : nullptr;
    if (!filter || driver->busy) {
        return driver ? STATUS_FLT_DELETING_OBJECT : STATUS_FLT_FILTER_NOT_FOUND;
    }
    if (!filter->unload) {
        return STATUS_FLT_DO_NOT_DETACH; // no way to unload it at all [UNL-01]
    }
    if (mandatory && (filter->flags & FLTFL_REGISTRATION_DO_NOT_SUPPORT_SERVICE_STOP) != 0) {
        return STATUS_FLT_DO_NOT_DETACH; // UNL-02
    }
    driver->busy = true;
    filter->mandatory_unload = mandatory;
    NTSTATUS status = STATUS_UNSUCCESSFUL;
    run_in_system_thread("driver unload", [&] {
        if (!driver->object.DriverUnload) {
            bugcheck("KMDF-03 DriverUnload overwritten", "FltUnloadFilter",
                     "DriverUnload belongs to the Filter Manager; WdfDriverInitNoDispatchOverride keeps the framework "
                     "away from it");
        }
        DriverCall call("FilterUnloadCallback");
        status = filter->unload(mandatory ? FLTFL_FILTER_UNLOAD_MANDATORY : 0);
    });
    driver->busy = false;
    filter->mandatory_unload = false;
    const bool registered = filter_by_driver(driver) != nullptr;
    if (!NT_SUCCESS(status) && !mandatory) {
        if (!registered) {
            bugcheck("UNL-01 veto after FltUnregisterFilter", "FilterUnloadCallback",
                     "it returned " + hex(status) + ", a veto, but has unregistered the filter");
        }
        world().note("driver " + narrow(driver->service) + ": unload vetoed with " + hex(status));
        return status;
    }
    if (registered) {
        bugcheck(
            mandatory ? "UNL-03 mandatory unload refused" : "UNL-04 unload without FltUnregisterFilter",
            "FilterUnloadCallback",
            "the image goes now, but the filter is still registered: its callbacks would run in an unloaded image");
    }
    world().note("driver " + narrow(driver->service) + ": unloaded");
    leave_image(*driver, *filter);
    remove_driver(driver);
    return STATUS_SUCCESS;
}

std::vector<std::string> FilterManager::describe() const {
    std::vector<std::string> lines;
    for (const auto &filter : impl_->filters) {
        lines.push_back("filter " + narrow(filter->name) + ": " + std::to_string(filter->references) + " reference(s)" +
                        (filter->unregistering ? ", unregistering"
                         : filter->started     ? ""
                                               : ", not started"));
        static constexpr const char *kStates[] = {
            "attaching", "active", "teardown start", "draining", "waits for operations", "teardown complete", "gone"};
        for (const auto &instance : filter->instances) {
            lines.push_back("instance " + flt::describe(*instance) + ": " + kStates[static_cast<int>(instance->state)] +
                            ", " + std::to_string(instance->pended) + " pended, " + std::to_string(instance->rundown) +
                            " reference(s)");
        }
    }
    for (const auto &operation : impl_->operations) {
        for (const Frame &frame : state_of(*operation).frames) {
            if (frame.phase == Frame::Phase::Pended) {
                lines.push_back(flt::describe(*operation) + ": pended by " + flt::describe(*frame.instance));
            }
        }
    }
    for (const auto &connection : impl_->connections) {
        lines.push_back("port " + narrow(connection->port->name) + ": connected");
    }
    return lines;
}

void FilterManager::shutdown() {
    KernelCall kernel("FltShutdown", PASSIVE_LEVEL);
    auto &m = *impl_;
    m.shutting_down = true;
    const std::vector<const void *> waits(m.waits.begin(), m.waits.end());
    for (const void *channel : waits) {
        m.world.wake(channel);
    }
    while (!m.drivers.empty() && !m.world.ending()) {
        Driver *driver = m.drivers.back().get();
        if (driver->busy) {
            // Somebody loads or unloads it; their wait has a limit now.
            m.world.block(driver, [&] { return !driver->busy; }, m.world.interrupt_time_100ns() + 10'000);
            continue;
        }
        const auto filter = filter_by_driver(driver);
        if (!filter) {
            remove_driver(driver); // loaded, but no filter: nothing of it is called any more
            continue;
        }
        if (NT_SUCCESS(unload(driver->service, true))) {
            continue;
        }
        m.world.leak("filter " + narrow(filter->name) +
                     ": it cannot be unloaded (no FilterUnloadCallback, or service stop not supported)");
        unregister_filter(filter);
        remove_driver(driver);
    }
}

} // namespace fltsim::flt
