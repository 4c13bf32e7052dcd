// SPDX-License-Identifier: MIT
//
// This module provides: operations that a filter begins itself, by callback data that it has allocated [BUF-05].
//
//      FltAllocateCallbackData --> Idle --FltPerform...Io--> InProgress --its end--> Done --FltReuseCallbackData--> Idle
//
// It is freed in Idle or Done; anything else is V23. Only the instances below the initiating one and the file system see the operation. The
// instance stays referenced until the operation has ended and the completion routine has returned: unload waits for that.

#include "flt/internal.hpp"

#include "core/faults.hpp"
#include "io/internal.hpp"

namespace fltsim::flt {

namespace {

using OwnState = GeneratedData::State;

[[noreturn]] void bad_data(const char *api, const std::string &text) {
    bugcheck("V23 callback data of its own", api, text);
}

GeneratedData &generated_of(PFLT_CALLBACK_DATA data, const char *api) {
    auto &m = manager();
    const auto found = m.generated.find(data);
    if (found == m.generated.end()) {
        bad_data(api, m.calls.contains(data) ? describe(*m.calls.at(data)->operation) +
                                                   ": the callback data is that of an operation sent to the filter, "
                                                   "and not allocated with FltAllocateCallbackData"
                      : m.memory.released(data)
                          ? "it was freed already"
                          : "the pointer is not callback data allocated with FltAllocateCallbackData");
    }
    if (found->second.owner) {
        bad_data(api, std::string("it belongs to ") + found->second.owner + ", which frees it");
    }
    return found->second;
}

void reset_generated(DataBlock &block, PFLT_INSTANCE instance, PFILE_OBJECT file) {
    block = {};
    block.iopb.TargetInstance = instance;
    block.iopb.TargetFileObject = file;
    block.data.Flags = FLTFL_CALLBACK_DATA_IRP_OPERATION | FLTFL_CALLBACK_DATA_GENERATED_IO;
    const_cast<PETHREAD &>(block.data.Thread) = reinterpret_cast<PETHREAD>(&current_thread());
    const_cast<PFLT_IO_PARAMETER_BLOCK &>(block.data.Iopb) = &block.iopb;
    block.data.RequestorMode = KernelMode;
}

/// What a filter cannot send by itself, or the model cannot.
void check_own_major(const char *api, UCHAR major) {
    if (major > IRP_MJ_MAXIMUM_FUNCTION) {
        bugcheck("VER-02 parameter", api,
                 "only IRP-based operations can be begun: no fast I/O, no FS-filter operation");
    }
    if (major == IRP_MJ_CREATE || major == IRP_MJ_CLEANUP || major == IRP_MJ_CLOSE) {
        unmodelled(api, operation_name(major));
    }
}

/// The operation that the data describes; its parameters are checked.
std::shared_ptr<io::Operation> described_operation(PFLT_CALLBACK_DATA data, const GeneratedData &own, const char *api) {
    const FLT_IO_PARAMETER_BLOCK &iopb = *data->Iopb;
    check_own_major(api, iopb.MajorFunction);
    if (iopb.TargetInstance != own.instance->handle()) {
        unmodelled(api, "another TargetInstance than the one that the data was allocated for");
    }
    const auto file = iopb.TargetFileObject ? io::FileObject::from_native(iopb.TargetFileObject) : nullptr;
    if (!file) {
        bugcheck("VER-02 bad object", api, "TargetFileObject is not a file object");
    }
    if (file->volume != own.instance->volume->volume) {
        bugcheck("VER-02 parameter", api, "the file is not on the volume of the initiating instance");
    }
    const auto operation = own_operation(own.instance, *file, iopb.MajorFunction, iopb.IrpFlags);
    operation->minor = iopb.MinorFunction;
    operation->operation_flags = iopb.OperationFlags;
    operation->parameters = iopb.Parameters;
    operation->requestor_mode = data->RequestorMode;
    return operation;
}

void begin_use(GeneratedData &own, const char *api) {
    if (own.state == OwnState::InProgress) {
        bad_data(api, "its operation is still in progress");
    }
    if (own.state == OwnState::Done) {
        bad_data(api, "it was used already: FltReuseCallbackData comes first");
    }
    own.state = OwnState::InProgress;
}

/// The operation has ended with `result`.
void end_use(PFLT_CALLBACK_DATA data, const IO_STATUS_BLOCK &result) {
    data->IoStatus = result;
    manager().generated.at(data).state = OwnState::Done;
}

void hold_instance(Instance &instance) {
    ++instance.rundown;
}

void let_go_of(Instance &instance) {
    --instance.rundown;
    world().wake(instance.filter);
}

/// The completion routine is called whatever happens; it may free the data.
void tell_end(const AsyncEnd &end, const IO_STATUS_BLOCK &result) {
    end_use(end.data, result);
    {
        DriverCall driver("completion routine of a filter's own operation");
        end.routine(end.data, end.context);
    }
    auto &m = manager();
    const auto left = m.generated.find(end.data);
    if (left != m.generated.end() && left->second.owner) {
        m.generated.erase(left);
        m.memory.release(end.data);
    }
}

NTSTATUS allocate_generated(const char *api, PFLT_INSTANCE instance_handle, PFILE_OBJECT file,
                            PFLT_CALLBACK_DATA *result) {
    *result = nullptr;
    const auto instance = instance_of(instance_handle, api);
    if (file && !io::FileObject::from_native(file)) {
        bugcheck("VER-02 bad object", api, "the PFILE_OBJECT is not one");
    }
    if (const auto failure = failing(api)) {
        return *failure;
    }
    if (instance->state == Instance::State::Gone) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    *result = make_generated(instance, file, nullptr);
    return STATUS_SUCCESS;
}

} // namespace

PFLT_CALLBACK_DATA make_generated(const std::shared_ptr<Instance> &instance, PFILE_OBJECT file, const char *owner) {
    auto &m = manager();
    auto *block = static_cast<DataBlock *>(m.memory.allocate(sizeof(DataBlock), "FLT_CALLBACK_DATA"));
    reset_generated(*block, instance->handle(), file);
    m.generated[&block->data] = GeneratedData{OwnState::Idle, instance, owner};
    return &block->data;
}

std::shared_ptr<io::Operation> own_operation(const std::shared_ptr<Instance> &instance, io::FileObject &file,
                                             UCHAR major, ULONG irp_flags) {
    auto operation = world().io->impl().irp(major, file, KernelMode, irp_flags);
    operation->generated = true;
    operation->below = instance->altitude;
    return operation;
}

NTSTATUS perform_and_wait(const std::shared_ptr<Instance> &instance, const std::shared_ptr<io::Operation> &operation) {
    if ((operation->irp_flags & IRP_PAGING_IO) == 0) {
        operation->irp_flags |= IRP_SYNCHRONOUS_API;
    }
    hold_instance(*instance);
    const NTSTATUS status = world().io->impl().send_and_wait(operation);
    let_go_of(*instance);
    return status;
}

NTSTATUS set_and_wait(const std::shared_ptr<Instance> &instance, const std::shared_ptr<io::Operation> &operation,
                      const void *buffer, ULONG length, FILE_INFORMATION_CLASS information_class) {
    operation->irp_flags |= IRP_SYNCHRONOUS_API;
    hold_instance(*instance);
    const NTSTATUS status = world().io->impl().send_set_information(operation, buffer, length, information_class);
    let_go_of(*instance);
    return status;
}

NTSTATUS perform_asynchronously(const std::shared_ptr<Instance> &instance,
                                const std::shared_ptr<io::Operation> &operation, AsyncEnd end) {
    hold_instance(*instance);
    const auto request = world().io->impl().send(operation, nullptr, [instance, end](const io::Operation &done) {
        tell_end(end, done.io_status);
        let_go_of(*instance);
    });
    return request->completed ? STATUS_SUCCESS : STATUS_PENDING;
}

void report_generated_leaks(const Filter &filter) {
    auto &m = manager();
    const size_t leaked = std::erase_if(m.generated, [&](const auto &entry) {
        if (entry.second.instance->filter != &filter) {
            return false;
        }
        m.memory.release(entry.first);
        return true;
    });
    if (leaked != 0) {
        world().leak("filter " + narrow(filter.name) + ": " + std::to_string(leaked) +
                     " callback data were not freed (V23)");
    }
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Callback data for an operation of the caller's own, which the instances below Instance will see. STATUS_INSUFFICIENT_RESOURCES. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAllocateCallbackData(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                      PFLT_CALLBACK_DATA *RetNewCallbackData) {
    constexpr const char *kApi = "FltAllocateCallbackData";
    KernelCall call(kApi, APC_LEVEL);
    return allocate_generated(kApi, Instance, FileObject, RetNewCallbackData);
}

/// The same; with FLT_ALLOCATE_CALLBACK_DATA_PREALLOCATE_ALL_MEMORY the Filter Manager needs no more memory afterwards. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAllocateCallbackDataEx(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                        FLT_ALLOCATE_CALLBACK_DATA_FLAGS Flags,
                                                        PFLT_CALLBACK_DATA *RetNewCallbackData) {
    constexpr const char *kApi = "FltAllocateCallbackDataEx";
    KernelCall call(kApi, APC_LEVEL);
    if ((Flags & ~static_cast<ULONG>(FLT_ALLOCATE_CALLBACK_DATA_PREALLOCATE_ALL_MEMORY)) != 0) {
        bugcheck("VER-02 parameter", kApi, "Flags has a bit that is not defined");
    }
    return allocate_generated(kApi, Instance, FileObject, RetNewCallbackData);
}

/// Frees callback data that the caller has allocated; not while its operation is in progress. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreeCallbackData(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltFreeCallbackData";
    KernelCall call(kApi);
    if (generated_of(CallbackData, kApi).state == OwnState::InProgress) {
        bad_data(kApi, "its operation is still in progress");
    }
    manager().generated.erase(CallbackData);
    manager().memory.release(CallbackData);
}

/// Makes it ready for another operation; the target instance and file stay. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltReuseCallbackData(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltReuseCallbackData";
    KernelCall call(kApi, APC_LEVEL);
    GeneratedData &own = generated_of(CallbackData, kApi);
    if (own.state == OwnState::InProgress) {
        bad_data(kApi, "its operation is still in progress");
    }
    own.state = OwnState::Idle;
    auto &block = *reinterpret_cast<DataBlock *>(CallbackData);
    reset_generated(block, block.iopb.TargetInstance, block.iopb.TargetFileObject);
}

/// Sends the operation to the filters below and waits for its end: IoStatus. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltPerformSynchronousIo(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltPerformSynchronousIo";
    KernelCall call(kApi, APC_LEVEL);
    GeneratedData &own = generated_of(CallbackData, kApi);
    const auto instance = own.instance;
    begin_use(own, kApi);
    const auto operation = described_operation(CallbackData, own, kApi);
    if (const auto failure = failing(kApi)) {
        end_use(CallbackData, {{*failure}, 0});
        return;
    }
    const NTSTATUS status = perform_and_wait(instance, operation);
    end_use(CallbackData, {{status}, operation->io_status.Information});
}

/// Sends the operation to the filters below. CallbackRoutine is called at its end, in any thread, at IRQL <= DISPATCH_LEVEL, also when this call fails;
/// from then on the data may be freed or reused. STATUS_SUCCESS: it has been called. STATUS_PENDING, STATUS_FLT_INVALID_ASYNCHRONOUS_REQUEST (creates).
/// IRQL PASSIVE_LEVEL, for paging I/O <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltPerformAsynchronousIo(PFLT_CALLBACK_DATA CallbackData,
                                                       PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine,
                                                       PVOID CallbackContext) {
    constexpr const char *kApi = "FltPerformAsynchronousIo";
    KernelCall call(kApi, APC_LEVEL);
    GeneratedData &own = generated_of(CallbackData, kApi);
    if (!CallbackRoutine) {
        bugcheck("VER-02 parameter", kApi, "CallbackRoutine is null");
    }
    if (executing().irql > PASSIVE_LEVEL && (CallbackData->Iopb->IrpFlags & IRP_PAGING_IO) == 0) {
        bugcheck("V5 IRQL too high", kApi, "called at APC_LEVEL, allowed up to PASSIVE_LEVEL but for paging I/O");
    }
    const auto instance = own.instance;
    begin_use(own, kApi);
    const AsyncEnd end{CallbackData, CallbackRoutine, CallbackContext};
    NTSTATUS refused =
        CallbackData->Iopb->MajorFunction == IRP_MJ_CREATE ? STATUS_FLT_INVALID_ASYNCHRONOUS_REQUEST : STATUS_SUCCESS;
    if (NT_SUCCESS(refused)) {
        refused = failing(kApi).value_or(STATUS_SUCCESS);
    }
    if (!NT_SUCCESS(refused)) {
        tell_end(end, {{refused}, 0});
        return refused;
    }
    return perform_asynchronously(instance, described_operation(CallbackData, own, kApi), end);
}
