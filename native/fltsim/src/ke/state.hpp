// SPDX-License-Identifier: MIT
//
// This module provides: what the kernel calls keep per world and per thread. Only ke/ and wdf/ include it, and flt/ for timeouts.
//
// Invariants: a world's state is touched under its model lock, a thread's by the thread itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/world.hpp"
#include "ke/lock_order.hpp"

namespace fltsim {

namespace pool {
class Pool;
}
namespace ke {
class Trace;
}
namespace io {
class FileObject;
}

namespace ke {

struct ThreadState {
    std::vector<HeldLock> held; ///< locks of all kinds, in the order they were taken
    KIRQL irql_below_locks = 0; ///< IRQL before the first spin lock of them
    std::vector<uint32_t> seh_driver_depth; ///< Thread::driver_depth at which each active __try was entered
    uint32_t guarded_regions = 0; ///< entered; each is a critical region as well
    void *exit_jump = nullptr; ///< sigjmp_buf of a system thread's start: where PsTerminateSystemThread goes
    uint32_t in_process_notify = 0; ///< process notify routines that it is in
};

/// References that the driver holds by pointer on one file object. Together they are one reference of the file object's own count.
struct PointerReferences {
    std::shared_ptr<io::FileObject> file;
    uint64_t count = 0;
};

struct Waiter; // dispatcher.hpp

/// A timer that is set, until it expires for the last time or is cancelled.
struct Timer {
    uint64_t serial = 0; ///< of this setting
    uint64_t due_100ns = 0; ///< interrupt time
};

/// A thread that waits for an ERESOURCE. On that thread's stack; it is its own wake channel.
struct ResourceWaiter {
    uint64_t thread = 0; ///< its id
    bool exclusive = false;
    bool granted = false;
};

/// An ERESOURCE between ExInitializeResourceLite and ExDeleteResourceLite: who owns it, by thread id, and how many times.
struct Resource {
    uint64_t exclusive = 0; ///< the one owner, or 0
    std::map<uint64_t, uint32_t> owners; ///< shared, or that one
    std::deque<ResourceWaiter *> waiters; ///< first come first
};

/// A lock that was taken, until its memory is freed or it is initialised again.
struct LockState {
    HeldLock last; ///< as it was taken last
    uint64_t thread = 0; ///< that did it, by its id
    uint32_t holders = 0; ///< of a recursive lock, the times
};

/// A generic table that was initialised, until its memory is freed or initialised again.
struct GenericTable {
    struct User {
        uint64_t thread = 0; ///< its id
        uint32_t driver_depth = 0; ///< Thread::driver_depth at the call
        bool changes = false;
    };
    bool avl = false;
    std::vector<User> users; ///< calls under way, of one thread the outermost first
    std::string broken; ///< what was done to it that the next call finds
};

/// A routine of PsSetCreateProcessNotifyRoutine, ...Ex or ...Ex2.
struct ProcessNotify {
    enum class Kind { Plain, Extended, Subsystems };
    const void *routine = nullptr;
    Kind kind = Kind::Plain;
    uint32_t running = 0; ///< in how many threads it runs
    bool leaving = false; ///< removed, as soon as it runs nowhere
};

struct WorldState {
    WorldState();
    ~WorldState();
    std::unique_ptr<pool::Pool> pool;
    std::map<const void *, PointerReferences> references; ///< by PFILE_OBJECT
    std::map<const void *, std::deque<Waiter *>> waiters; ///< by object, first come first
    std::map<const void *, Timer> timers; ///< by PKTIMER
    std::map<const void *, uint64_t> dpcs; ///< by PKDPC: those that are queued, and the serial number of that
    std::set<uint64_t> dpcs_under_way; ///< serial numbers: not removed, and the routine has not returned
    uint64_t last_serial = 0;
    std::map<const void *, Resource> resources; ///< by PERESOURCE
    std::map<const volatile void *, LockState> locks; ///< by address, framework locks by handle
    LockOrder lock_order;
    std::set<const void *> lookasides; ///< by PGENERAL_LOOKASIDE: those that were initialised and not deleted
    std::map<const void *, GenericTable> tables; ///< by PRTL_GENERIC_TABLE or PRTL_AVL_TABLE
    std::map<const void *, const void *> table_elements; ///< memory of an element, its table
    std::vector<Thread *> system_threads; ///< made by PsCreateSystemThread and not ended
    std::unique_ptr<Trace> trace;
    std::vector<ProcessNotify> process_notify; ///< in the order of registration
};

/// A kernel timeout (negative: relative, else system time; 100 ns) as interrupt time.
uint64_t deadline_of(int64_t timeout_100ns);

/// Stops the world when a live resource is in memory that is about to be freed.
void check_no_resource(const char *api, const void *memory, size_t bytes);
/// For when the last driver's image is unloaded: reports those that were never deleted, and forgets them.
void report_resource_leaks();
/// The same for lookaside lists.
void check_no_lookaside(const char *api, const void *memory, size_t bytes);
void report_lookaside_leaks();

/// The same for timers that are set and DPCs that are queued.
void check_no_timer(const char *api, const void *memory, size_t bytes);
/// For when the last driver's image is unloaded: stops the world when there is one, or a DPC's routine runs.
void check_no_timers();

/// Forgets the generic tables in memory that is freed. One whose element is freed is broken: the next call that uses it stops the world.
void note_freed_tables(const void *memory, size_t bytes);
void forget_tables();

/// Stops the world in a guarded region: without special kernel APCs no file operation of this thread ends.
void check_special_apcs(const char *api);

/// Of the current world. Model lock held.
WorldState &world_state();
/// Of a thread, which must be the executing one unless it is not running.
ThreadState &thread_state(Thread &thread);

} // namespace ke
} // namespace fltsim
