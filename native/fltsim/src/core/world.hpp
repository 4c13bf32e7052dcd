// SPDX-License-Identifier: MIT
//
// This module provides: the world and the rules by which all of the model's code runs.
//
// The one rule of concurrency. Model code runs under the world's model lock: a KernelCall takes it when the driver (or the
// user-side API) enters the model, a DriverCall gives it up while a driver callback runs, block() gives it up while the thread
// waits. Under the fiber executor the lock costs nothing (one host thread runs all fibers); under the thread executor
// it is a real mutex. Between two such points model state changes are atomic: nobody else sees them half done.
// The lock is recursive in effect (a KernelCall inside a KernelCall is free of charge and no scheduling point).
//
// Scheduling points: entry to and exit from the outermost KernelCall, entry and exit of a DriverCall, block(), yield(). There
// the seeded scheduler may run any other ready fiber.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ddk.hpp"
#include "image/gate.hpp"

namespace fltsim {

class World;
class Thread;
class Scheduler;
class HandleTable;
class Registry;
class FaultSwitches;
class Readings;
class Schedule;
namespace io {
class IoManager;
}
namespace flt {
class FilterManager;
}
namespace wdf {
class Framework;
}

/// A simulated process (EPROCESS). Owned by the world.
struct Process {
    uint64_t id = 0;
    std::string name; ///< "System", "client"
    bool system = false;
    bool terminating = false; ///< its threads end, then its handles are closed [SEQ-24]
    bool ended = false;
    Process *parent = nullptr; ///< that made it; null: it was there from the start
    std::u16string image; ///< full NT name of its executable; empty: System's
    std::string short_name; ///< the same without the path, cut: at most SHORT_NAME_CHARACTERS
    std::shared_ptr<void> section; ///< of its executable, while it runs; null: nobody opened it
    static constexpr size_t SHORT_NAME_CHARACTERS = 14;
    void set_image(std::u16string name);
};

/// A simulated thread (ETHREAD): PETHREAD and PKTHREAD values are Thread pointers. Owned by the scheduler, reference-counted
/// through reference()/dereference() (ObfReferenceObject on a PETHREAD lands there); the memory stays valid until the
/// last reference is gone, also after the thread ended.
class Thread {
  public:
    uint64_t id = 0;
    std::string name;
    Process *process = nullptr;
    KIRQL irql = PASSIVE_LEVEL;
    PVOID top_level_irp = nullptr; ///< IoGetTopLevelIrp
    uint32_t kernel_apc_disable = 0; ///< KeEnterCriticalRegion depth
    bool in_driver_service = false; ///< in a Zw call of a driver: its previous mode is the kernel's
    bool terminating = false; ///< somebody asked it to end; the model lets its present call go on
    bool ended = false;
    bool wait_cut_short = false; ///< a user-mode wait of it ended because it is terminating
    bool daemon = false; ///< a thread of the model: its waits end when the world ends, and it returns then
    uint32_t last_error = 0; ///< GetLastError of a user thread
    int32_t last_status = 0; ///< RtlGetLastNtStatus of a user thread
    std::deque<std::function<void()>> user_apcs; ///< for its next alertable wait, oldest first
    void *seh_top = nullptr; ///< innermost __try frame of this execution context
    int32_t model_depth = 0; ///< nesting of KernelCalls
    uint32_t spin_locks_held =
        0; ///< kept by the Ke/Ex/Wdf spin-lock calls; checked when a driver callback returns (V15)
    uint32_t driver_depth = 0; ///< nesting of DriverCalls: 0 means no driver frame is on this stack
    const char *image_gone = nullptr; ///< it is in code of an image that is gone: what it was called for [UNL-07]
    Thread *borrowed = nullptr; ///< a DPC runs as the thread it interrupted: KeGetCurrentThread gives this one
    std::shared_ptr<void> ke_state; ///< the kernel calls' part: which spin locks it holds
    const char *at_call = nullptr; ///< the scheduling point it is at: before or after this call,
    bool before_call = true;
    const void *at_code = nullptr; ///< or at a plain access of the driver, by the address of its code
    image::GateRecord gate; ///< from where a Windows image's code has called the model
    void reference();
    void dereference();
    struct Impl;
    std::unique_ptr<Impl> impl; ///< the executor's part (fiber, condition variable, wait state)
    explicit Thread();
    ~Thread();
};

/// The execution context that runs now (never null inside the model).
Thread &executing();
/// The thread the kernel API speaks of: executing(), or the thread that a DPC interrupted.
Thread &current_thread();
/// The world of the executing context.
World &world();
/// The same, or null outside any world (host thread that never entered one).
World *world_or_null();

/// What the model does on a broken rule or an unmodelled call: records the report, stops the world, never returns. `rule` is a
/// rule id or bugcheck name ("V3 double FltCompletePendedPostOperation", "UNMODELLED FltFoo"), `call` the API.
[[noreturn]] void bugcheck(std::string_view rule, std::string_view call, std::string_view text);

/// RAII: the driver or user code entered the model through `api`. Checks IRQL, takes the model lock, is a scheduling point when
/// outermost. Every exported kernel function starts with one.
class KernelCall {
  public:
    explicit KernelCall(const char *api, KIRQL irql_max = DISPATCH_LEVEL);
    ~KernelCall();
    KernelCall(const KernelCall &) = delete;
    KernelCall &operator=(const KernelCall &) = delete;

  private:
    Thread &thread_;
};

/// RAII: the model calls a driver callback. Gives the model lock up (all levels) and takes it again; checks on return that
/// the callback restored the IRQL and the critical-region depth and holds no spin lock.
class DriverCall {
  public:
    /// Changes: the callback takes a lock that it returns with, or gives one back; IRQL and critical regions go with it.
    enum class Lock { Kept, Changes };
    explicit DriverCall(const char *callback, Lock lock = Lock::Kept);
    ~DriverCall() noexcept(false);
    DriverCall(const DriverCall &) = delete;
    DriverCall &operator=(const DriverCall &) = delete;

  private:
    const char *callback_;
    Lock lock_;
    Thread &thread_;
    int32_t depth_;
    KIRQL irql_;
    uint32_t apc_disable_;
    uint32_t spin_locks_;
    image::GateRecord gate_;
};

/// For a raised exception that is about to jump to a driver's __except: ends every KernelCall between here and the driver
/// (their destructors will not run) and gives the model lock up.
void abandon_kernel_calls();

/// RAII: raises (or sets) the executing context's IRQL for a stretch of model code.
class IrqlScope {
  public:
    explicit IrqlScope(KIRQL irql) : thread_(executing()), before_(thread_.irql) { thread_.irql = irql; }
    ~IrqlScope() { thread_.irql = before_; }

  private:
    Thread &thread_;
    KIRQL before_;
};

/// RAII: a driver calls a system service, for the stretch of which the thread's previous mode is the kernel's.
class DriverService {
  public:
    DriverService() : thread_(executing()), before_(thread_.in_driver_service) { thread_.in_driver_service = true; }
    ~DriverService() { thread_.in_driver_service = before_; }

  private:
    Thread &thread_;
    bool before_;
};

struct WorldOptions {
    uint32_t processor_count = 2;
    uint64_t seed = 1;
    bool virtual_clock = false;
    bool threads = false; ///< thread executor
    bool inline_loop =
        false; ///< fibers on a virtual clock: the host thread that calls in runs the world while it waits. One at a time
    std::string driver_image;
};

class World {
  public:
    explicit World(WorldOptions options);
    ~World();

    const WorldOptions options;
    uint32_t number = 0; ///< FLTSIM_WORLD; also the top bits of its handles

    // ---- threads ------------------------------------------------------------------------------------------------
    /// Starts a simulated thread in `process` (null: System). Runs `main` at PASSIVE_LEVEL, outside the model lock (model code in it uses KernelCall).
    /// Model lock held. The result is the executor's reference: take one to keep it. wake(thread) happens when it has ended.
    Thread *spawn(std::string name, Process *process, std::function<void()> main, bool daemon = false);
    /// Waits until `pred` holds or the deadline (interrupt time, 100 ns) passes. Call with the model lock held, below
    /// DISPATCH_LEVEL; pred runs with the lock held. Returns pred()'s last value. `channel` is any address; wake(channel) makes the
    /// waiters look again.
    bool block(const void *channel, const std::function<bool()> &pred, std::optional<uint64_t> deadline_100ns = {});
    void wake(const void *channel);
    /// Makes that thread look again, whatever it waits for.
    void wake_thread(const Thread &thread);
    /// Waits for `pred` as a spin lock does: at DISPATCH_LEVEL, the processor stays with the caller, other processors go on. Woken by
    /// wake(channel). When every processor waits like this the world stops ("DEADLOCK"). Model lock held.
    void spin_wait(const void *channel, const std::function<bool()> &pred);
    /// A scheduling point. Callable at any IRQL (at DISPATCH_LEVEL the processor stays with the caller).
    void yield();
    /// The driver is about to load or store something: a scheduling point if the schedule says so.
    void plain_access(const void *code);
    /// Runs `dpc` at DISPATCH_LEVEL on some processor, as the thread that processor was running, not before `due_100ns`.
    void queue_dpc(std::function<void()> dpc, uint64_t due_100ns = 0);
    /// Runs `fn` once at interrupt time `due_100ns` on the clock (model lock held, must not block).
    void at(uint64_t due_100ns, std::function<void()> fn);
    /// From a host thread outside the world: runs `fn` as that host thread's own simulated thread in the client process and
    /// returns when it has returned. False when the world stopped or is being destroyed first; then `fn` may never have run.
    bool host_call(const std::function<void()> &fn);
    uint32_t current_processor();
    /// The live thread with this id, with a reference added for the caller; null when there is none. Model lock held.
    Thread *reference_thread(uint64_t id);
    /// The live threads of a process, each with a reference added for the caller. Model lock held.
    std::vector<Thread *> reference_threads(const Process &process);
    /// Whether `object` (a PVOID that the driver passed) is a thread of this world. Model lock held.
    bool is_thread(const void *object);
    /// Uniform number below `bound` from the world's seeded generator.
    uint64_t random(uint64_t bound);

    // ---- clock --------------------------------------------------------------------------------------------------
    uint64_t interrupt_time_100ns();
    uint64_t system_time_100ns();

    // ---- state --------------------------------------------------------------------------------------------------
    bool stopped() const; ///< a bugcheck happened
    /// The world is being destroyed and everything is unloaded: block() in a daemon thread returns at once, the thread shall return.
    bool ending() const;
    /// Destroys what the world runs: unload, close, end of all threads. From a host thread outside the world. False (thread executor only)
    /// when threads are still inside after ten seconds: then the world's memory has to stay.
    bool end();
    /// bugcheck() with this world given.
    [[noreturn]] void stop(std::string_view rule, std::string_view call, std::string_view text);
    std::string report_json();
    /// Adds a line to the history that a report shows (kept short: the last few hundred).
    void note(std::string line);
    /// A driver has asked for this routine by name and got NULL: "ntoskrnl.exe!KeOfTomorrow".
    void absent_routine(std::string name);
    /// Reported as a leak by report_json() and, at destroy, on stderr when FLTSIM_LEAKS=print.
    void leak(std::string what);

    // ---- schedules ------------------------------------------------------------------------------------------------
    /// Decides what runs next, in place of the seed (schedule.hpp). Fibers on a virtual clock only; set while nothing runs.
    Schedule *schedule = nullptr;
    /// From now on the world draws as if it had been made with this seed.
    void reseed(uint64_t seed);

    // ---- storage, set and read from host threads too --------------------------------------------------------------
    std::atomic<uint64_t> storage_delay_100ns{0}; ///< of each non-cached request; 0: a default spread
    std::atomic<uint32_t> waiting_for_storage{0}; ///< non-cached requests that the storage has

    Process *system_process();
    Process *client_process(); ///< the one that host threads act for at first
    /// One more client process. Model lock held; lives as long as the world.
    Process *make_process(std::string name);
    /// A client process. Null when there is none. Model lock held.
    Process *process_by_id(uint64_t id);
    /// Whether `object` (a PVOID that the driver passed) is a process of this world. Model lock held.
    bool is_process(const void *object);

    std::unique_ptr<Scheduler> scheduler;
    std::unique_ptr<HandleTable> handles;
    std::unique_ptr<Registry> registry;
    std::unique_ptr<FaultSwitches> faults;
    std::unique_ptr<Readings> readings; ///< of the documents, core/readings.hpp
    std::unique_ptr<io::IoManager> io;
    std::unique_ptr<flt::FilterManager> flt;
    std::unique_ptr<wdf::Framework> wdf;
    std::shared_ptr<void>
        ke_state; ///< the kernel calls' part: pool, references to objects by pointer. Made at first use

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The switch for `function` fires now: the caller fails in its documented way. Counts the call.
bool fault(const char *function);

/// For anything that a caller may ask for and that the model does not do.
[[noreturn]] inline void unmodelled(const char *api, std::string_view what = "") {
    bugcheck("UNMODELLED", api, what);
}

} // namespace fltsim
