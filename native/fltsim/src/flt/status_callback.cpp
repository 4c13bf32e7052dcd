// SPDX-License-Identifier: MIT
//
// This module provides: FltRequestOperationStatusCallback: what a call of the driver below has returned is told to a filter that asked in its pre-operation.
//
// The routine is called after the operation has been passed on and the call has come back: with STATUS_PENDING where the operation has not ended below by
// then. Where a filter further down completes the operation, nobody below is called, and so the routine is not either [E]. The instance is
// referenced until then [E]. Of several, the lowest instance's comes first [E].

#include "flt/internal.hpp"

#include <cstring>

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

void let_request_go(const StatusRequest &request) {
    --request.instance->rundown;
    world().wake(request.instance->filter);
}

void tell_status(io::Operation &operation, const StatusRequest &request, NTSTATUS status) {
    auto &m = manager();
    auto *snapshot = static_cast<PFLT_IO_PARAMETER_BLOCK>(
        m.memory.allocate(sizeof(FLT_IO_PARAMETER_BLOCK), "FLT_IO_PARAMETER_BLOCK of an operation status"));
    std::memcpy(snapshot, &request.iopb, sizeof *snapshot);
    ++request.instance->running;
    {
        RelatedObjects objects(*request.instance, operation.file.get());
        DriverCall driver("operation status callback");
        request.routine(objects.get(), snapshot, status, request.context);
    }
    --request.instance->running;
    m.memory.release(snapshot);
    world().wake(request.instance.get());
}

} // namespace

void tell_statuses(io::Operation &operation) {
    OperationState &state = state_of(operation);
    std::vector<StatusRequest> requests;
    requests.swap(state.status_requests);
    const bool below = operation.state == io::Operation::State::Below;
    const NTSTATUS status = below ? STATUS_PENDING : state.original_status;
    for (auto request = requests.rbegin(); request != requests.rend(); ++request) {
        tell_status(operation, *request, status);
        let_request_go(*request);
    }
}

void drop_requests(std::vector<StatusRequest> &requests) {
    for (const StatusRequest &request : requests) {
        let_request_go(request);
    }
    requests.clear();
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Has CallbackRoutine called with the status that the call of the driver below returns. STATUS_INVALID_PARAMETER: not in the pre-operation callback of this
/// operation, an IRP_MJ_CLOSE, or no IRP; STATUS_FLT_DELETING_OBJECT. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltRequestOperationStatusCallback(PFLT_CALLBACK_DATA Data,
                                                                PFLT_GET_OPERATION_STATUS_CALLBACK CallbackRoutine,
                                                                PVOID RequesterContext) {
    constexpr const char *kApi = "FltRequestOperationStatusCallback";
    KernelCall kernel(kApi);
    const auto call = call_of(Data, kApi);
    if (CallbackRoutine == nullptr) {
        bugcheck("VER-02 parameter", kApi, "CallbackRoutine is null");
    }
    if (call->kind != CallRecord::Kind::Pre || !call->running || call->thread != &executing() ||
        call->operation->form != io::Form::Irp || call->operation->major == IRP_MJ_CLOSE) {
        return STATUS_INVALID_PARAMETER;
    }
    if (call->instance->deleting()) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    ++call->instance->rundown;
    call->status_requests.push_back({call->instance, CallbackRoutine, RequesterContext, {}});
    return STATUS_SUCCESS;
}
