// SPDX-License-Identifier: MIT
//
// This module provides: recorder.hpp.

#include "flt/recorder.hpp"

#include "fltsim.h"

#include <map>
#include <memory>
#include <mutex>

namespace recorder {

namespace {

std::map<std::u16string, Driver *> g_drivers;

Driver &driver_of(PFLT_FILTER filter) {
    for (const auto &[name, driver] : g_drivers) {
        if (driver->filter == filter) {
            return *driver;
        }
    }
    std::abort();
}

FLT_PREOP_CALLBACK_STATUS FLTAPI on_pre(PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *context) {
    Driver &driver = driver_of(objects->Filter);
    return driver.pre ? driver.pre(data, objects, context) : FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

FLT_POSTOP_CALLBACK_STATUS FLTAPI on_post(PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID context,
                                          FLT_POST_OPERATION_FLAGS flags) {
    Driver &driver = driver_of(objects->Filter);
    return driver.post ? driver.post(data, objects, context, flags) : FLT_POSTOP_FINISHED_PROCESSING;
}

NTSTATUS FLTAPI on_setup(PCFLT_RELATED_OBJECTS objects, FLT_INSTANCE_SETUP_FLAGS, ULONG, FLT_FILESYSTEM_TYPE) {
    Driver &driver = driver_of(objects->Filter);
    return driver.setup ? driver.setup() : STATUS_SUCCESS;
}

NTSTATUS FLTAPI on_query(PCFLT_RELATED_OBJECTS objects, FLT_INSTANCE_QUERY_TEARDOWN_FLAGS) {
    return driver_of(objects->Filter).query_teardown();
}

void FLTAPI on_start(PCFLT_RELATED_OBJECTS objects, FLT_INSTANCE_TEARDOWN_FLAGS reason) {
    Driver &driver = driver_of(objects->Filter);
    if (driver.teardown_start) {
        driver.teardown_start(objects, reason);
    }
}

void FLTAPI on_complete(PCFLT_RELATED_OBJECTS objects, FLT_INSTANCE_TEARDOWN_FLAGS reason) {
    Driver &driver = driver_of(objects->Filter);
    if (driver.teardown_complete) {
        driver.teardown_complete(objects, reason);
    }
}

/// The unload callback is told no filter: tests that unload have one driver with a script, or the last that was asked.
Driver *g_unloading = nullptr;

NTSTATUS FLTAPI on_unload(FLT_FILTER_UNLOAD_FLAGS flags) {
    Driver *driver = g_unloading ? g_unloading : g_drivers.begin()->second;
    if (!driver->filter) { // shutdown: whoever is left
        for (const auto &[name, other] : g_drivers) {
            if (other->filter) {
                driver = other;
            }
        }
    }
    if (driver->unload) {
        return driver->unload(flags);
    }
    const PFLT_FILTER filter = driver->filter;
    FltUnregisterFilter(filter);
    driver->filter = nullptr;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI on_entry(PDRIVER_OBJECT object, PUNICODE_STRING path) {
    const std::u16string text(reinterpret_cast<const char16_t *>(path->Buffer), path->Length / sizeof(char16_t));
    return g_drivers.at(text.substr(text.rfind(u'\\') + 1))->entry(object);
}

/// What is deferred and has not run. A world that stops on a broken rule never runs it: it stays here.
class DeferredRoutines {
  public:
    PVOID add(Deferred routine) {
        const std::lock_guard lock(mutex_);
        auto kept = std::make_unique<Deferred>(std::move(routine));
        const PVOID context = kept.get();
        routines_.emplace(context, std::move(kept));
        return context;
    }
    std::unique_ptr<Deferred> take(PVOID context) {
        const std::lock_guard lock(mutex_);
        return std::move(routines_.extract(context).mapped());
    }

  private:
    std::mutex mutex_; ///< Of routines_; a leaf.
    std::map<PVOID, std::unique_ptr<Deferred>> routines_;
};
DeferredRoutines g_deferred;

void FLTAPI on_deferred(PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data, PVOID context) {
    const auto routine = g_deferred.take(context);
    (*routine)(item, data);
}

} // namespace

Driver::Driver(std::u16string name, std::u16string altitude) : name(std::move(name)), altitude(std::move(altitude)) {
    g_drivers[this->name] = this;
}

Driver::~Driver() {
    if (filter) {
        KernelCall call("FilterUnload");
        g_unloading = this;
        world().flt->unload(name, true);
        g_unloading = nullptr;
    }
    g_drivers.erase(name);
}

NTSTATUS Driver::load(World &world, uint32_t flags) {
    KernelCall call("FilterLoad");
    return world.flt->load_builtin(name, altitude, flags, on_entry);
}

NTSTATUS Driver::entry(PDRIVER_OBJECT object) {
    std::vector<FLT_OPERATION_REGISTRATION> operations;
    for (const UCHAR major : std::initializer_list<UCHAR>{
             IRP_MJ_CREATE, IRP_MJ_CLOSE, IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_QUERY_INFORMATION, IRP_MJ_SET_INFORMATION,
             IRP_MJ_CLEANUP, IRP_MJ_DIRECTORY_CONTROL, IRP_MJ_FLUSH_BUFFERS, IRP_MJ_LOCK_CONTROL,
             IRP_MJ_FILE_SYSTEM_CONTROL, static_cast<UCHAR>(IRP_MJ_ACQUIRE_FOR_CC_FLUSH),
             static_cast<UCHAR>(IRP_MJ_QUERY_OPEN)}) {
        FLT_OPERATION_REGISTRATION entry{};
        entry.MajorFunction = static_cast<UCHAR>(major);
        entry.Flags = operation_flags;
        entry.PreOperation = on_pre;
        entry.PostOperation = with_post ? on_post : nullptr;
        operations.push_back(entry);
    }
    FLT_OPERATION_REGISTRATION end{};
    end.MajorFunction = static_cast<UCHAR>(IRP_MJ_OPERATION_END);
    operations.push_back(end);
    std::vector<FLT_CONTEXT_REGISTRATION> all = contexts;
    FLT_CONTEXT_REGISTRATION last{};
    last.ContextType = FLT_CONTEXT_END;
    all.push_back(last);

    FLT_REGISTRATION registration{};
    registration.Size = sizeof registration;
    registration.Version = version;
    registration.ContextRegistration = all.data();
    registration.OperationRegistration = operations.data();
    registration.FilterUnloadCallback = with_unload ? on_unload : nullptr;
    registration.InstanceSetupCallback = on_setup;
    registration.InstanceQueryTeardownCallback = with_query_teardown ? on_query : nullptr;
    registration.InstanceTeardownStartCallback = on_start;
    registration.InstanceTeardownCompleteCallback = on_complete;
    registration.TransactionNotificationCallback = transaction;
    NTSTATUS status = FltRegisterFilter(object, &registration, &filter);
    if (NT_SUCCESS(status) && after_register) {
        status = after_register();
    }
    return NT_SUCCESS(status) ? FltStartFiltering(filter) : status;
}

NTSTATUS defer(PFLT_CALLBACK_DATA data, Deferred routine, WORK_QUEUE_TYPE queue) {
    const PFLT_DEFERRED_IO_WORKITEM item = FltAllocateDeferredIoWorkItem();
    if (!item) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    const PVOID context = g_deferred.add(std::move(routine));
    const NTSTATUS status = FltQueueDeferredIoWorkItem(item, data, on_deferred, queue, context);
    if (!NT_SUCCESS(status)) {
        static_cast<void>(g_deferred.take(context));
        FltFreeDeferredIoWorkItem(item);
    }
    return status;
}

NTSTATUS TestFileSystem::dispatch(const std::shared_ptr<io::Operation> &operation) {
    if (hold) {
        below.push_back(operation);
        return STATUS_PENDING;
    }
    operation->io_status.Status = status;
    operation->io_status.Information = 0;
    if (top_level_irp) {
        executing().top_level_irp = top_level_irp;
    }
    world().flt->complete(operation);
    if (top_level_irp) {
        executing().top_level_irp = nullptr;
    }
    return operation->state == io::Operation::State::Completed ? operation->io_status.Status : STATUS_PENDING;
}

bool TestFileSystem::dispatch_inline(const std::shared_ptr<io::Operation> &operation) {
    if (!fast_io) {
        return false;
    }
    operation->io_status.Status = status;
    operation->io_status.Information = 0;
    return true;
}

NTSTATUS TestFileSystem::query_name(io::FileObject &file, std::u16string *name) {
    *name = file.name;
    return STATUS_SUCCESS;
}

void TestFileSystem::complete_next(NTSTATUS final_status) {
    KernelCall call("storage");
    const auto operation = below.front();
    below.pop_front();
    operation->io_status.Status = final_status;
    operation->io_status.Information = 0;
    world().flt->complete(operation);
}

Bench::Bench(World &world) : world(world) {
    volume.device_name = u"\\Device\\TestVolume";
    volume.dos_name = u"T:";
    auto owned = std::make_unique<TestFileSystem>();
    fs = owned.get();
    volume.file_system = std::move(owned);
    file = std::make_shared<io::FileObject>();
    file->volume = &volume;
    file->name = u"\\dir\\file.txt";
}

Bench::~Bench() = default;

NTSTATUS Bench::attach(Driver &driver, std::u16string_view instance, std::u16string_view altitude) {
    KernelCall call("FilterAttach");
    return world.flt->attach(driver.name, volume, instance, altitude, nullptr);
}

NTSTATUS Bench::detach(Driver &driver, std::u16string_view instance) {
    KernelCall call("FilterDetach");
    return world.flt->detach(driver.name, volume, instance);
}

NTSTATUS Bench::unload(Driver &driver, bool mandatory) {
    KernelCall call("FilterUnload");
    g_unloading = &driver;
    const NTSTATUS status = world.flt->unload(driver.name, mandatory);
    g_unloading = nullptr;
    return status;
}

std::shared_ptr<io::Operation> Bench::operation(UCHAR major, io::Form form, ULONG irp_flags) {
    auto operation = std::make_shared<io::Operation>();
    operation->form = form;
    operation->major = major;
    operation->irp_flags = irp_flags;
    operation->file = file;
    operation->volume = &volume;
    return operation;
}

NTSTATUS Bench::send(const std::shared_ptr<io::Operation> &operation) {
    KernelCall call("NtReadFile");
    return world.flt->call(operation);
}

bool Bench::send_inline(const std::shared_ptr<io::Operation> &operation) {
    KernelCall call("NtReadFile");
    return world.flt->call_inline(operation);
}

NTSTATUS Bench::send_and_wait(const std::shared_ptr<io::Operation> &operation) {
    KernelCall call("NtReadFile");
    world.flt->call(operation);
    world.block(operation.get(), [&] { return operation->state == io::Operation::State::Completed; });
    return operation->io_status.Status;
}

bool Bench::wait_until(const std::function<bool()> &pred, uint64_t limit_ms) {
    KernelCall call("wait", APC_LEVEL);
    constexpr uint64_t kMs100ns = 10'000;
    const uint64_t end = world.interrupt_time_100ns() + limit_ms * kMs100ns;
    while (!pred() && world.interrupt_time_100ns() < end) {
        world.block(&pred, [] { return false; }, world.interrupt_time_100ns() + kMs100ns);
    }
    return pred();
}

void Bench::start(const char *name, std::function<void()> fn) {
    KernelCall call("spawn");
    world.spawn(name, world.client_process(), std::move(fn));
}

namespace {

/// A world that stopped never left its test body: what its drivers left here goes, before and after.
struct Forget {
    Forget() { now(); }
    ~Forget() { now(); }
    Forget(const Forget &) = delete;
    Forget &operator=(const Forget &) = delete;
    static void now() {
        g_drivers.clear();
        g_unloading = nullptr;
    }
};

} // namespace

std::string run(const std::function<void(Bench &)> &fn, uint64_t seed) {
    const Forget forget;
    std::unique_ptr<Bench> bench; // outlives the world's operations
    World world(check::virtual_world(seed));
    world.host_call([&] {
        bench = std::make_unique<Bench>(world);
        fn(*bench);
    });
    if (!world.stopped()) {
        world.host_call([&] {
            KernelCall call("shutdown");
            world.flt->shutdown();
        });
    }
    return world.report_json();
}

std::string run_known(Executor executor, const std::function<void(Bench &)> &fn, uint64_t seed) {
    const Forget forget;
    std::unique_ptr<Bench> bench;
    const bool threads = executor == Executor::Threads;
    FLTSIM_OPTIONS options{sizeof(FLTSIM_OPTIONS),
                           2,
                           seed,
                           static_cast<uint32_t>(threads ? FLTSIM_CLOCK_WALL : FLTSIM_CLOCK_VIRTUAL),
                           static_cast<uint32_t>(threads ? FLTSIM_EXECUTOR_THREADS : FLTSIM_EXECUTOR_FIBERS),
                           ""};
    char message[200] = {};
    const FLTSIM_WORLD number = FltSimCreateWorld(&options, message, sizeof message);
    if (number == 0) {
        check::failed(__FILE__, __LINE__, message);
        return "";
    }
    std::string report;
    {
        const auto world = world_by_number(number);
        world->host_call([&] {
            bench = std::make_unique<Bench>(*world);
            fn(*bench);
        });
        if (!world->stopped()) {
            world->host_call([&] {
                KernelCall call("shutdown");
                world->flt->shutdown();
            });
        }
        report = world->report_json();
    }
    FltSimDestroyWorld(number);
    return report;
}

std::string rule_of(const std::string &report) {
    const size_t at = report.find("\"rule\":\"");
    return at == std::string::npos ? "" : report.substr(at + 8, report.find('"', at + 8) - at - 8);
}

} // namespace recorder
