// SPDX-License-Identifier: MIT
//
// This module provides: sending operations and waiting for them, paging I/O, the file-object lock, cancellation.
//
// Invariants: a synchronous requestor returns when the operation is COMPLETED, however long a filter holds it [POST-27]; an asynchronous
// one gets STATUS_PENDING when it is not completed at once, and then its status block, event and file object are set at
// completion. An error that is known at once is only returned [POST-28]. Cancelling reaches the file system and filters'
// callback data queues, and no pended post-operation [CANC-06].

#include "io/completion_port.hpp"
#include "io/internal.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fltsim::io {

std::shared_ptr<Operation> IoManager::Impl::irp(UCHAR major, FileObject &file, KPROCESSOR_MODE mode,
                                                ULONG flags) const {
    auto operation = std::make_shared<Operation>();
    operation->form = Form::Irp;
    operation->major = major;
    operation->irp_flags = flags;
    // What a driver's service sends is the kernel's own.
    operation->requestor_mode = executing().in_driver_service ? static_cast<KPROCESSOR_MODE>(KernelMode) : mode;
    operation->file = file.shared_from_this();
    operation->volume = file.volume;
    operation->below = file.below;
    return operation;
}

std::shared_ptr<Operation> IoManager::Impl::inline_operation(Form form, UCHAR major, FileObject &file,
                                                             KPROCESSOR_MODE mode) const {
    auto operation = irp(major, file, mode, 0);
    operation->form = form;
    return operation;
}

namespace {

/// The user's status block: others poll Status, so it is written last.
void write_user_status(IO_STATUS_BLOCK *user, const IO_STATUS_BLOCK &result) {
    user->Information = result.Information;
    __atomic_store_n(&user->Status, result.Status, __ATOMIC_RELEASE);
}

/// A buffered control's answer goes to the caller's memory.
void copy_answer(const Operation &operation) {
    if (operation.user_output == nullptr || NT_ERROR(operation.io_status.Status)) {
        return;
    }
    const size_t bytes = std::min<size_t>(
        {operation.io_status.Information, operation.user_output_bytes, operation.system_buffer.size()});
    if (bytes != 0) {
        memcpy(operation.user_output, operation.system_buffer.data(), bytes);
    }
}

} // namespace

void IoManager::Impl::tell(FileObject &file, const AsyncBlock &async, const IO_STATUS_BLOCK &result, bool at_once) {
    if (async.user_iosb != nullptr) {
        write_user_status(async.user_iosb, result);
    }
    if (async.event) {
        async.event->signal();
    } else if ((file.native.Flags & FO_SKIP_SET_EVENT) == 0) {
        file.signal();
    }
    if (file.port && async.apc_context != nullptr && !(at_once && (file.native.Flags & FO_SKIP_COMPLETION_PORT) != 0)) {
        file.port->post({file.port_key, async.apc_context, result});
    }
    if (async.user_iosb != nullptr) {
        world.wake(async.user_iosb);
    }
}

std::shared_ptr<Request> IoManager::Impl::send(const std::shared_ptr<Operation> &operation, const AsyncBlock *async,
                                               std::function<void(const Operation &)> ended) {
    auto request = std::make_shared<Request>();
    request->operation = operation;
    request->ended = std::move(ended);
    request->sent_100ns = world.interrupt_time_100ns();
    operation->synchronous = async == nullptr && !request->ended;
    if (async != nullptr) {
        request->async = *async;
        if (async->user_iosb != nullptr) {
            __atomic_store_n(&async->user_iosb->Status, STATUS_PENDING, __ATOMIC_RELEASE);
        }
    }
    const bool counted = operation->major != IRP_MJ_CLOSE;
    if (counted) {
        operation->file->reference();
    }
    outstanding.emplace(operation.get(), request);
    operation->on_completed = [this, counted](Operation &done) {
        const auto found = outstanding.find(&done);
        const std::shared_ptr<Request> finished = found->second;
        outstanding.erase(found);
        finished->completed = true;
        copy_answer(done);
        if (finished->async && finished->returned_pending) {
            tell(*done.file, *finished->async, done.io_status, false);
        }
        world.wake(finished.get());
        if (done.requestor != nullptr && done.requestor->process->terminating) {
            world.wake(done.requestor->process); // its end waits for this
        }
        if (finished->ended) {
            finished->ended(done); // may call a driver
        }
        if (counted) {
            done.file->dereference();
        }
    };
    world.flt->call(operation);
    if (async != nullptr) {
        if (!request->completed) {
            request->returned_pending = true;
        } else if (!NT_ERROR(operation->io_status.Status)) {
            tell(*operation->file, *async, operation->io_status, true);
        }
    }
    return request;
}

void IoManager::Impl::wait(const Request &request) {
    world.block(&request, [&request] { return request.completed; });
}

NTSTATUS IoManager::Impl::send_and_wait(const std::shared_ptr<Operation> &operation) {
    const auto request = send(operation, nullptr);
    if (!request->completed) {
        wait(*request);
    }
    return request->completed ? operation->io_status.Status : STATUS_CANCELLED; // not completed: the world ends
}

NTSTATUS IoManager::Impl::issue(FileObject &file, const std::shared_ptr<Operation> &operation, const AsyncBlock *async,
                                IO_STATUS_BLOCK *iosb) {
    const bool asynchronous = !file.synchronous && async != nullptr;
    NTSTATUS status;
    if (asynchronous) {
        const auto request = send(operation, async);
        status = request->completed ? operation->io_status.Status : STATUS_PENDING;
    } else {
        status = send_and_wait(operation);
    }
    if (status != STATUS_PENDING) {
        *iosb = operation->io_status;
        iosb->Status = status;
    }
    return status;
}

NTSTATUS IoManager::Impl::fs_filter(UCHAR major, FileObject &file) {
    const auto operation = inline_operation(Form::FsFilter, major, file, KernelMode);
    if (!world.flt->call_inline(operation)) {
        return STATUS_SUCCESS; // nobody has anything to say: the default is to go on
    }
    return operation->io_status.Status;
}

NTSTATUS IoManager::Impl::paging_io(UCHAR major, FileObject &file, uint64_t offset, void *buffer, uint32_t length) {
    const auto operation = irp(major, file, KernelMode, IRP_NOCACHE | IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO);
    auto &parameters = operation->parameters;
    if (major == IRP_MJ_READ) {
        parameters.Read.Length = length;
        parameters.Read.ByteOffset.QuadPart = static_cast<int64_t>(offset);
        parameters.Read.ReadBuffer = buffer;
        parameters.Read.MdlAddress = operation->describe(buffer, length, true);
    } else {
        parameters.Write.Length = length;
        parameters.Write.ByteOffset.QuadPart = static_cast<int64_t>(offset);
        parameters.Write.WriteBuffer = buffer;
        parameters.Write.MdlAddress = operation->describe(buffer, length, false);
    }
    if (major == IRP_MJ_READ) {
        const IrqlScope apc(APC_LEVEL); // the pager is not interrupted by APCs [IRQL-11, FORM-03]
        return send_and_wait(operation);
    }
    Thread &thread = executing();
    ++thread.kernel_apc_disable;
    const NTSTATUS status = send_and_wait(operation);
    --thread.kernel_apc_disable;
    return status;
}

std::shared_ptr<Request> IoManager::Impl::paging_write_asynchronous(FileObject &file, uint64_t offset,
                                                                    const void *buffer, uint32_t length) {
    const auto operation = irp(IRP_MJ_WRITE, file, KernelMode, IRP_NOCACHE | IRP_PAGING_IO);
    auto &parameters = operation->parameters.Write;
    parameters.Length = length;
    parameters.ByteOffset.QuadPart = static_cast<int64_t>(offset);
    parameters.WriteBuffer = const_cast<void *>(buffer);
    parameters.MdlAddress = operation->describe(parameters.WriteBuffer, length, false); // [FORM-03]
    return send(operation, nullptr);
}

namespace {

/// Operations that a filter has begun are in no thread's list; creates come from the I/O manager all the same [E].
bool of_no_thread(const Operation &operation) {
    return operation.generated && operation.major != IRP_MJ_CREATE;
}

/// `everything`: those of no thread too.
template <class Matches>
uint32_t cancel_all(const IoManager::Impl &manager, const Matches &matches, bool everything = false) {
    std::vector<std::shared_ptr<Operation>> found;
    for (const auto &[operation, request] : manager.outstanding) {
        if ((operation->irp_flags & IRP_PAGING_IO) == 0 && (!of_no_thread(*operation) || everything) &&
            matches(*request)) {
            found.push_back(request->operation);
        }
    }
    for (const auto &operation : found) {
        operation->cancel_requested = true;
        if (operation->state == Operation::State::Below) {
            operation->volume->file_system->cancel(operation);
        } else if (operation->state == Operation::State::Pre || operation->state == Operation::State::PendedPre) {
            if (const auto routine = std::exchange(operation->cancel_routine, nullptr)) {
                routine(); // a filter's queue has it
            }
        }
    }
    return static_cast<uint32_t>(found.size());
}

} // namespace

uint32_t IoManager::cancel(FileObject &file, const void *overlapped) {
    return cancel_all(*impl_, [&](const Request &request) {
        return request.operation->file.get() == &file &&
               (overlapped == nullptr || (request.async && request.async->overlapped == overlapped));
    });
}

uint32_t IoManager::cancel_synchronous(const Thread &thread) {
    return cancel_all(
        *impl_, [&](const Request &request) { return request.operation->requestor == &thread && !request.async; });
}

void IoManager::cancel_everything() {
    cancel_all(*impl_, [](const Request &) { return true; }, true);
}

uint32_t IoManager::cancel_thread(const Thread &thread) {
    return cancel_all(*impl_, [&](const Request &request) { return request.operation->requestor == &thread; });
}

uint32_t IoManager::outstanding_of(const Process &process) const {
    return static_cast<uint32_t>(std::ranges::count_if(impl_->outstanding, [&](const auto &entry) {
        const Thread *requestor = entry.first->requestor;
        return requestor != nullptr && requestor->process == &process && !of_no_thread(*entry.first);
    }));
}

FileLock::FileLock(World &world, FileObject &file) : world_(world) {
    if (!file.synchronous) {
        return;
    }
    file_ = file.shared_from_this();
    ++file_->native.Waiters;
    while (file_->lock_owner != nullptr) {
        if (!world.block(&file_->lock_owner, [this] { return file_->lock_owner == nullptr; }) && world.ending()) {
            break;
        }
    }
    --file_->native.Waiters;
    file_->lock_owner = &executing();
    file_->native.Busy = 1;
}

FileLock::~FileLock() {
    if (file_) {
        file_->lock_owner = nullptr;
        file_->native.Busy = 0;
        world_.wake(&file_->lock_owner);
    }
}

} // namespace fltsim::io
