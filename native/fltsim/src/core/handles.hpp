// SPDX-License-Identifier: MIT
//
// This module provides: kernel objects by handle. A handle is world << 24 | index << 2, so a call with a handle finds its world.
#pragma once

#include <memory>
#include <string>

#include "core/world.hpp"

namespace fltsim {

/// Anything a handle can name: file object, port, event, section, thread, directory of a search.
class Object {
  public:
    virtual ~Object() = default;
    virtual const char *type_name() const = 0;
    /// For leak reports: type and name.
    virtual std::string describe() const { return type_name(); }
    /// The last user-mode handle of it closed (model lock held, may block): IRP_MJ_CLEANUP, port disconnect, ...
    virtual void last_handle_closed() {}
    /// The last handle that `process` had of it closed, whether or not others have one (model lock held, may block). Comes before
    /// last_handle_closed().
    virtual void last_handle_of_process_closed(Process &) {}
    /// Waitable objects (events, and files for asynchronous I/O without an event): become signalled, and wake(this). Model lock held,
    /// any IRQL <= DISPATCH_LEVEL. An asynchronous operation's completion writes *user_iosb first, then calls AsyncBlock::event->signal()
    /// and world().wake(user_iosb).
    virtual void signal() {}
    virtual bool signalled() const { return false; }
};

class HandleTable {
  public:
    explicit HandleTable(World &world);
    ~HandleTable();
    /// A handle that is not the kernel's belongs to `owner` (null: the process of the calling thread), which only matters when that ends or
    /// closes its last one: any thread may use it.
    HANDLE insert(std::shared_ptr<Object> object, bool kernel = false, Process *owner = nullptr);
    /// Null when the handle is not open (or of another world).
    std::shared_ptr<Object> find(HANDLE handle) const;
    /// Whether an open handle is the kernel's.
    bool is_kernel(HANDLE handle) const;
    template <class T> std::shared_ptr<T> find_as(HANDLE handle) const {
        return std::dynamic_pointer_cast<T>(find(handle));
    }
    /// False when it was not open. Runs last_handle_closed() when it was the object's last handle.
    bool close(HANDLE handle);
    /// Closes all that user mode has open (process exit).
    void close_all_user();
    /// Closes all that this process has open (process exit). In a thread of that process.
    void close_all_of(Process &process);
    /// The world is freed: drops everything that is still open, without running anything.
    void forget_all();
    /// For leak reports: "file \\Device\\...", ...
    std::vector<std::string> describe_open(bool kernel) const;
    /// World number of a handle value; 0 when it cannot be one.
    static uint32_t world_of(HANDLE handle);

  private:
    void close_where(const std::function<bool(const void *entry)> &matches);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The world by number, or null. Thread safe; the result stays valid while the returned pointer is held.
std::shared_ptr<World> world_by_number(uint32_t number);
/// The calling host thread's selected world, or null.
std::shared_ptr<World> selected_world();

} // namespace fltsim
