// SPDX-License-Identifier: MIT
//
// This module provides: what the Filter Manager keeps of the I/O that filters begin themselves: callback data that they have allocated, extra create
// parameters. For this folder alone; all of it changes under the model lock.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/io_manager.hpp"

namespace fltsim::flt {

struct Filter;
struct Instance;

/// A FLT_CALLBACK_DATA and its parameters: one block, so that both are poisoned together.
struct DataBlock {
    FLT_CALLBACK_DATA data;
    FLT_IO_PARAMETER_BLOCK iopb;
};

/// Callback data for an operation that a filter begins itself.
struct GeneratedData {
    enum class State { Idle, InProgress, Done };
    State state = State::Idle;
    std::shared_ptr<Instance> instance; ///< the initiating one
    const char *owner = nullptr; ///< null: the driver; else the call whose operation it is
};

/// An extra create parameter.
struct Ecp {
    Filter *filter = nullptr; ///< that allocated it
    GUID type{};
    ULONG size = 0;
    PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK cleanup = nullptr;
    PVOID lookaside = nullptr;
    PECP_LIST list = nullptr; ///< that it is in
    bool of_create = false; ///< inserted while a create used the list: it goes with the create
    bool held = false; ///< the filter is referenced for it
    bool acknowledged = false;
    bool going = false; ///< its cleanup callback runs
};

struct EcpList {
    Filter *filter = nullptr; ///< that allocated it
    std::vector<PVOID> entries;
    int creates = 0; ///< that use it
    bool held = false; ///< it belongs to a create; the filter is referenced for it
};

struct EcpLookaside {
    Filter *filter = nullptr;
    ULONG flags = 0;
};

// ---- generated_data.cpp -----------------------------------------------------------------------------------------------
/// Callback data of an operation that `instance` begins; `owner` as in GeneratedData.
PFLT_CALLBACK_DATA make_generated(const std::shared_ptr<Instance> &instance, PFILE_OBJECT file, const char *owner);
/// A filter's own operation on `file`, which only the filters below `instance` see.
std::shared_ptr<io::Operation> own_operation(const std::shared_ptr<Instance> &instance, io::FileObject &file,
                                             UCHAR major, ULONG irp_flags);
/// Sends it and waits for its end.
NTSTATUS perform_and_wait(const std::shared_ptr<Instance> &instance, const std::shared_ptr<io::Operation> &operation);
/// The same of an IRP_MJ_SET_INFORMATION; the length is at least the class's.
NTSTATUS set_and_wait(const std::shared_ptr<Instance> &instance, const std::shared_ptr<io::Operation> &operation,
                      const void *buffer, ULONG length, FILE_INFORMATION_CLASS information_class);
/// Where an asynchronous one tells its end.
struct AsyncEnd {
    PFLT_CALLBACK_DATA data;
    PFLT_COMPLETED_ASYNC_IO_CALLBACK routine;
    PVOID context;
};
/// Sends it; `end` is told in the thread that completes it, before the return or after it. STATUS_PENDING: it is not completed yet.
NTSTATUS perform_asynchronously(const std::shared_ptr<Instance> &instance,
                                const std::shared_ptr<io::Operation> &operation, AsyncEnd end);
/// V23: callback data that the filter has allocated and never freed.
void report_generated_leaks(const Filter &filter);

// ---- ecp.cpp ----------------------------------------------------------------------------------------------------------
[[noreturn]] void bad_ecp(const char *api, const std::string &text);
void check_ecp_flags(const char *api, ULONG flags, ULONG known);
Ecp &ecp_of(PVOID context, const char *api);
/// One in no list, which nobody is freeing.
Ecp &ecp_alone(PVOID context, const char *api, const char *in_a_list);
/// The filter is not referenced for it any more.
void let_ecp_filter_go(Ecp &ecp);
/// It is in no list (any more): its cleanup callback runs, then its memory goes.
void delete_ecp(PVOID context);
/// V25: what the filter has allocated and never freed.
void report_ecp_leaks(const Filter &filter);

// ---- own_open.cpp -------------------------------------------------------------------------------------------------------
/// The file of a call, open on the volume of the instance; V24 when it is not open (any more), VER-02 when it is none.
std::shared_ptr<io::FileObject> open_file_of(PFILE_OBJECT file, const Instance &instance, const char *api);
/// What may deadlock under a TopLevelIrp.
void check_no_top_level_irp(const char *api);

} // namespace fltsim::flt
