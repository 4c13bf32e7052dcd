// SPDX-License-Identifier: MIT
//
// This module provides: small filter drivers for the tests of the Filter Manager, scripted with lambdas, and a volume whose file system
// completes operations when the test says so. The drivers are loaded with FilterManager::load_builtin and call the exports as a driver does.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "flt/filter_manager.hpp"
#include "fs/file_system.hpp"
#include "world_fixture.hpp"

namespace recorder {

using namespace fltsim;

using Pre = std::function<FLT_PREOP_CALLBACK_STATUS(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *)>;
using Post = std::function<FLT_POSTOP_CALLBACK_STATUS(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID,
                                                      FLT_POST_OPERATION_FLAGS)>;
using Deferred = std::function<void(PFLT_DEFERRED_IO_WORKITEM, PFLT_CALLBACK_DATA)>;

/// A filter driver. Register its address under its name by making it; load() loads it.
class Driver {
  public:
    explicit Driver(std::u16string name, std::u16string altitude = u"100000");
    ~Driver();
    NTSTATUS load(World &world, uint32_t flags = 1);

    std::u16string name;
    std::u16string altitude;
    PFLT_FILTER filter = nullptr;
    Pre pre;
    Post post;
    std::function<NTSTATUS()> setup;
    std::function<NTSTATUS()> query_teardown = [] { return STATUS_SUCCESS; };
    std::function<void(PCFLT_RELATED_OBJECTS, ULONG)> teardown_start;
    std::function<void(PCFLT_RELATED_OBJECTS, ULONG)> teardown_complete;
    std::function<NTSTATUS(ULONG)> unload;
    std::function<NTSTATUS()> after_register; ///< between FltRegisterFilter and FltStartFiltering
    std::vector<FLT_CONTEXT_REGISTRATION> contexts;
    PFLT_TRANSACTION_NOTIFICATION_CALLBACK transaction = nullptr;
    bool with_query_teardown = true;
    bool with_unload = true;
    bool with_post = true;
    FLT_OPERATION_REGISTRATION_FLAGS operation_flags = 0;
    USHORT version = FLT_REGISTRATION_VERSION;
    NTSTATUS entry(PDRIVER_OBJECT object);
};

/// FltQueueDeferredIoWorkItem with a lambda. On refusal the item is freed.
NTSTATUS defer(PFLT_CALLBACK_DATA data, Deferred routine, WORK_QUEUE_TYPE queue = DelayedWorkQueue);

/// A file system that completes inline, or when complete() is called.
class TestFileSystem : public fs::FileSystem {
  public:
    NTSTATUS dispatch(const std::shared_ptr<io::Operation> &operation) override;
    bool dispatch_inline(const std::shared_ptr<io::Operation> &operation) override;
    NTSTATUS query_name(io::FileObject &file, std::u16string *name) override;
    void complete_next(NTSTATUS status = STATUS_SUCCESS);

    bool hold = false; ///< operations stay below until complete_next()
    bool fast_io = true;
    PVOID top_level_irp = nullptr; ///< as the FAT file system: set while it completes inline
    NTSTATUS status = STATUS_SUCCESS;
    std::deque<std::shared_ptr<io::Operation>> below;
};

/// One world with one test volume; `body` runs inside, outside the model lock.
struct Bench {
    World &world;
    io::Volume volume;
    TestFileSystem *fs;
    std::shared_ptr<io::FileObject> file;

    explicit Bench(World &world);
    ~Bench();
    NTSTATUS attach(Driver &driver, std::u16string_view instance = u"", std::u16string_view altitude = u"");
    NTSTATUS detach(Driver &driver, std::u16string_view instance = u"");
    NTSTATUS unload(Driver &driver, bool mandatory = false);
    std::shared_ptr<io::Operation> operation(UCHAR major, io::Form form = io::Form::Irp, ULONG irp_flags = 0);
    /// FilterManager::call.
    NTSTATUS send(const std::shared_ptr<io::Operation> &operation);
    bool send_inline(const std::shared_ptr<io::Operation> &operation);
    /// call, then waits for completion as a synchronous requestor.
    NTSTATUS send_and_wait(const std::shared_ptr<io::Operation> &operation);
    bool wait_until(const std::function<bool()> &pred, uint64_t limit_ms = 60'000);
    void start(const char *name, std::function<void()> fn);
};

/// Makes a world, runs `fn` in it, shuts it down; the report.
std::string run(const std::function<void(Bench &)> &fn, uint64_t seed = 1);

/// A world that host programs know (fltsim.h), so that the user-side calls work inside: fibers on a virtual clock, or real threads, where a broken
/// rule ends the process.
enum class Executor { Fibers, Threads };
std::string run_known(Executor executor, const std::function<void(Bench &)> &fn, uint64_t seed = 1);
/// "rule: text" of the stop, or "" (for messages).
std::string rule_of(const std::string &report);

} // namespace recorder
