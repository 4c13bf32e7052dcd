// SPDX-License-Identifier: MIT
//
// This module provides: GetOverlappedResult(Ex), CancelIoEx, CancelSynchronousIo, OpenThread, GetCurrentThreadId and GetCurrentProcessId.

#include "core/host.hpp"
#include "core/per_thread.hpp"
#include "flt/filter_manager.hpp"
#include "user/apc.hpp"
#include "user/event.hpp"
#include "user/file_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

bool is_pending(const OVERLAPPED *overlapped) {
    // The I/O manager writes it as the status of an IO_STATUS_BLOCK: 32 bits.
    return static_cast<NTSTATUS>(overlapped->Internal) == STATUS_PENDING;
}

/// False: the time is over, or `interrupted`, and the operation still runs.
bool wait_for_operation(World &w, const OVERLAPPED *overlapped, DWORD timeoutMs,
                        const std::function<bool()> &interrupted, NTSTATUS *status) {
    if (!is_pending(overlapped)) {
        return true;
    }
    if (timeoutMs == 0) {
        return false;
    }
    const auto deadline = deadline_after(timeoutMs);
    const auto event_value = reinterpret_cast<uintptr_t>(overlapped->hEvent) & ~uintptr_t{1};
    if (event_value == 0) {
        wait_for(w, overlapped, [&] { return !is_pending(overlapped) || interrupted(); }, deadline);
        return !is_pending(overlapped);
    }
    const auto event = w.handles->find_as<Event>(reinterpret_cast<HANDLE>(event_value));
    if (!event) {
        *status = STATUS_INVALID_HANDLE;
        return true;
    }
    return event->wait(deadline, interrupted);
}

BOOL overlapped_result(HANDLE handle, LPOVERLAPPED overlapped, LPDWORD transferred, DWORD timeoutMs, bool alertable) {
    if (overlapped == nullptr || transferred == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    const auto world = world_for_handle(handle);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    bool ready = false;
    bool alerted = false;
    const bool entered = enter(world, "NtWaitForSingleObject", [&](World &w) {
        const auto interrupted = [alertable] { return alertable && apc_pending(); };
        ready = wait_for_operation(w, overlapped, timeoutMs, interrupted, &status);
        alerted = !ready && interrupted();
        if (ready && NT_SUCCESS(status)) {
            status = static_cast<NTSTATUS>(overlapped->Internal);
            *transferred = static_cast<DWORD>(overlapped->InternalHigh);
        }
    });
    if (!entered) {
        return FALSE;
    }
    if (alerted) {
        run_apcs(world);
        return fail(WAIT_IO_COMPLETION);
    }
    if (!ready) {
        return fail(timeoutMs == 0 ? ERROR_IO_INCOMPLETE : static_cast<DWORD>(WAIT_TIMEOUT));
    }
    return result(status);
}

/// The calling host thread's id in the world it asked last: asking again must not cost a call.
struct KnownThread {
    std::weak_ptr<World> world;
    DWORD id = 0;
};
FLTSIM_PER_THREAD(KnownThread t_known);

} // namespace

FLTSIM_USER BOOL GetOverlappedResult(HANDLE hFile, LPOVERLAPPED lpOverlapped, LPDWORD lpNumberOfBytesTransferred,
                                     BOOL bWait) {
    return overlapped_result(hFile, lpOverlapped, lpNumberOfBytesTransferred, bWait != FALSE ? INFINITE : 0, false);
}

/// WAIT_IO_COMPLETION: user APCs were run, and the operation is still under way.
FLTSIM_USER BOOL GetOverlappedResultEx(HANDLE hFile, LPOVERLAPPED lpOverlapped, LPDWORD lpNumberOfBytesTransferred,
                                       DWORD dwMilliseconds, BOOL bAlertable) {
    return overlapped_result(hFile, lpOverlapped, lpNumberOfBytesTransferred, dwMilliseconds, bAlertable != FALSE);
}

/// Of a file's operations or a port's FilterGetMessage calls. ERROR_NOT_FOUND: nothing that could still be cancelled. An operation that a post-operation callback holds is beyond that [CANC-06].
FLTSIM_USER BOOL CancelIoEx(HANDLE hFile, LPOVERLAPPED lpOverlapped) {
    const auto world = world_for_handle(hFile);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtCancelIoFileEx", [&](World &w) {
        const auto object = w.handles->find(hFile);
        if (!object) {
            status = STATUS_INVALID_HANDLE;
            return;
        }
        const auto file = std::dynamic_pointer_cast<io::FileObject>(object);
        const uint32_t found =
            file ? w.io->cancel(*file, lpOverlapped) : w.flt->cancel_messages(object.get(), lpOverlapped, nullptr);
        status = found == 0 ? STATUS_NOT_FOUND : STATUS_SUCCESS;
    });
    return entered ? result(status) : FALSE;
}

FLTSIM_USER BOOL CancelSynchronousIo(HANDLE hThread) {
    const auto world = world_for_handle(hThread);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtCancelSynchronousIoFile", [&](World &w) {
        const auto target = w.handles->find_as<ThreadHandle>(hThread);
        if (!target) {
            status = w.handles->find(hThread) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
            return;
        }
        const uint32_t found =
            w.io->cancel_synchronous(*target->thread()) + w.flt->cancel_synchronous_messages(*target->thread());
        status = found == 0 ? STATUS_NOT_FOUND : STATUS_SUCCESS;
    });
    return entered ? result(status) : FALSE;
}

FLTSIM_USER HANDLE OpenThread(DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwThreadId) {
    const auto world = world_for_names();
    if (!world) {
        return nullptr;
    }
    HANDLE handle = nullptr;
    const bool entered = enter(world, "NtOpenThread", [&](World &w) {
        if (Thread *thread = w.reference_thread(dwThreadId)) {
            handle = w.handles->insert(std::make_shared<ThreadHandle>(thread));
        }
    });
    if (!entered) {
        return nullptr;
    }
    if (handle == nullptr) {
        set_error(ERROR_INVALID_PARAMETER); // what Windows answers for a thread id that does not exist
    }
    return handle;
}

/// The id by which a driver of the selected world knows the calling thread. Without a world: an id of the host's.
FLTSIM_USER DWORD GetCurrentThreadId(void) {
    if (world_or_null() != nullptr) {
        return static_cast<DWORD>(executing().id);
    }
    const auto world = selected_world();
    if (!world) {
        return static_cast<DWORD>(host::thread_id());
    }
    if (t_known.world.lock() == world) {
        return t_known.id;
    }
    DWORD id = 0;
    // A world that has stopped has no thread for the caller any more; 0 names none.
    if (world->host_call([&] { id = static_cast<DWORD>(executing().id); })) {
        t_known = {world, id};
    }
    return id;
}

/// The process that the calling thread belongs to in the selected world (FltSimEnterProcess). Without a world: the host's.
FLTSIM_USER DWORD GetCurrentProcessId(void) {
    if (world_or_null() != nullptr) {
        return static_cast<DWORD>(executing().process->id);
    }
    const auto selected = selected_world();
    if (!selected) {
        return static_cast<DWORD>(host::process_id());
    }
    auto id = static_cast<DWORD>(selected->client_process()->id);
    // A world that has stopped has no thread for the caller any more.
    selected->host_call([&] { id = static_cast<DWORD>(executing().process->id); });
    return id;
}
