// SPDX-License-Identifier: MIT
//
// This module provides: what the rest of the model asks of the Filter Manager.
#pragma once

#include <optional>
#include <string>

#include "io/io_manager.hpp"

namespace fltsim::flt {

/// A FilterGetMessage that waits for a message. `done` and wake(this) end it.
struct MessageGet {
    void *buffer = nullptr; ///< FILTER_MESSAGE_HEADER and the message: the caller's memory
    uint32_t bytes = 0;
    std::optional<io::AsyncBlock> async; ///< told when it is done; without it somebody waits
    const Thread *thread = nullptr; ///< who asked
    bool done = false;
    NTSTATUS status = STATUS_PENDING;
};

class FilterManager {
  public:
    explicit FilterManager(World &world);
    ~FilterManager();

    // ---- operations (called by io) -------------------------------------------------------------------------------
    /// Sends an IRP operation down the stack: pre-operations, then the file system (fs::FileSystem::dispatch). STATUS_PENDING when
    /// it has not completed yet; otherwise its final status.
    NTSTATUS call(const std::shared_ptr<io::Operation> &operation);
    /// Fast I/O and FS-filter operations: pre, file system, post, all in this thread. False: turned away (a filter disallowed it or
    /// the file system said no), the caller sends an IRP instead. True: operation->io_status is the result.
    bool call_inline(const std::shared_ptr<io::Operation> &operation);
    /// The file system has finished the operation (io_status is set). Any thread, IRQL <= DISPATCH_LEVEL.
    void complete(const std::shared_ptr<io::Operation> &operation);
    /// An open with extra create parameters (a PECP_LIST that its caller gave) begins.
    void begin_create(void *ecp_list);
    /// It has ended, behind all reparse points: what its caller did not give goes. `given`: of begin_create(), or null; `now`: what it ended with.
    void end_create(void *given, void *now);
    /// IRP_MJ_CLOSE has run: drops the stream-handle contexts of the file object.
    void file_closed(io::FileObject &file);

    // ---- fltlib (called by the user side), all NTSTATUS, PASSIVE_LEVEL, in the caller's simulated thread --------------
    NTSTATUS load(std::u16string_view filter_name);
    /// The service of one more minifilter, with automatic attachment; load() loads its image. False: there is such a service.
    bool add_driver(std::u16string_view service, std::string image, std::u16string_view altitude);
    NTSTATUS unload(std::u16string_view filter_name, bool mandatory = false);
    NTSTATUS attach(std::u16string_view filter_name, io::Volume &volume,
                    std::u16string_view instance_name /* "" = default */,
                    std::u16string_view altitude /* "" = the instance definition's */, std::u16string *created_name);
    NTSTATUS detach(std::u16string_view filter_name, io::Volume &volume,
                    std::u16string_view instance_name /* "" = highest */);
    /// FilterInstanceFindFirst: a search of the filter's instances, before the first one. STATUS_FLT_FILTER_NOT_FOUND.
    NTSTATUS find_instances(std::u16string_view filter_name, std::shared_ptr<Object> *search);
    /// The next instance of a search. STATUS_BUFFER_TOO_SMALL, with the size needed in *returned_bytes: the search stays where it is.
    /// STATUS_NO_MORE_ENTRIES at the end; STATUS_INVALID_HANDLE when the object is no search.
    NTSTATUS next_instance(Object &search, INSTANCE_INFORMATION_CLASS information_class, void *buffer, uint32_t bytes,
                           uint32_t *returned_bytes);
    NTSTATUS connect_port(std::u16string_view port_name, const void *context, uint16_t context_bytes,
                          std::shared_ptr<Object> *port);
    /// Buffers are the caller's own memory, handed to the driver as they are.
    NTSTATUS send_message(Object &port, void *in, uint32_t in_bytes, void *out, uint32_t out_bytes,
                          uint32_t *returned_bytes);
    /// FilterGetMessage, to its end or until it has to wait [MSG-04, USR-03]. STATUS_PENDING: *get is done some time later; any other
    /// status is the end of it, and `async` was not touched.
    NTSTATUS get_message(Object &port, void *buffer, uint32_t bytes, const io::AsyncBlock *async,
                         std::shared_ptr<MessageGet> *get);
    /// Ends FilterGetMessage calls with STATUS_CANCELLED. Null matches all: of every OVERLAPPED, of every thread, and without a port of every
    /// port. How many it ended.
    uint32_t cancel_messages(Object *port, const void *overlapped, const Thread *thread);
    /// The same for the one that this thread waits for without an OVERLAPPED (CancelSynchronousIo).
    uint32_t cancel_synchronous_messages(const Thread &thread);
    /// The volume is dismounted and mounted again: every instance on it is torn down with FLTFL_INSTANCE_TEARDOWN_VOLUME_DISMOUNT, without
    /// being asked [LIFE-03, LIFE-16]. Files that are open on it are cut off. STATUS_ACCESS_DENIED for the boot volume,
    /// STATUS_VOLUME_DISMOUNTED while another dismount of it runs.
    NTSTATUS dismount(io::Volume &volume);

    /// For the report and for destroy: filters loaded, instances, references held.
    std::vector<std::string> describe() const;
    /// Before the world ends: mandatory unload of every filter. Reports what would hang instead of hanging.
    void shutdown();

    /// Loads a driver that is part of the program (a test's recorder): its service is registered with this instance definition
    /// (flags: 1 = no automatic attach), then `entry` runs as a DriverEntry does.
    NTSTATUS load_builtin(std::u16string_view name, std::u16string_view altitude, uint32_t flags,
                          PDRIVER_INITIALIZE entry);

    struct Impl; ///< flt/internal.hpp
    Impl &impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

} // namespace fltsim::flt
