// SPDX-License-Identifier: MIT
//
// This module provides: CreateIoCompletionPort, GetQueuedCompletionStatus, GetQueuedCompletionStatusEx, PostQueuedCompletionStatus and
// SetFileCompletionNotificationModes.
//
// A packet comes for every operation of an associated file that was given an OVERLAPPED (whose hEvent's lowest bit is clear), except those that fail
// at once [POST-28], and those that succeed at once on a file with FILE_SKIP_COMPLETION_PORT_ON_SUCCESS.

#include "io/completion_port.hpp"

#include <algorithm>

#include "user/entry.hpp"
#include "user/event.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// Takes up to `most` packets, waiting for the first. Empty: the time is over, or the port was closed (*closed).
std::vector<io::CompletionPacket> take(World &w, io::CompletionPort &port, DWORD timeoutMs, size_t most, bool *closed) {
    std::vector<io::CompletionPacket> taken;
    wait_for(
        w, &port,
        [&] {
            while (!port.packets.empty() && taken.size() < most) {
                taken.push_back(port.packets.front());
                port.packets.pop_front();
            }
            return !taken.empty() || port.closed;
        },
        deadline_after(timeoutMs));
    *closed = taken.empty() && port.closed;
    return taken;
}

/// False with the last error set.
bool dequeue(HANDLE handle, DWORD timeoutMs, size_t most, std::vector<io::CompletionPacket> *packets) {
    const auto world = world_for_handle(handle);
    if (!world) {
        return false;
    }
    NTSTATUS status = STATUS_SUCCESS;
    bool closed = false;
    const bool entered = enter(world, "NtRemoveIoCompletion", [&](World &w) {
        const auto port = w.handles->find_as<io::CompletionPort>(handle);
        if (port) {
            *packets = take(w, *port, timeoutMs, most, &closed);
        } else {
            status = w.handles->find(handle) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
    });
    if (!entered || result(status) == FALSE) {
        return false;
    }
    if (packets->empty()) {
        set_error(closed ? ERROR_ABANDONED_WAIT_0 : static_cast<DWORD>(WAIT_TIMEOUT));
        return false;
    }
    return true;
}

} // namespace

/// A new port (FileHandle INVALID_HANDLE_VALUE), or a file that is tied to one. ERROR_INVALID_PARAMETER: the handle is synchronous or has a port.
FLTSIM_USER HANDLE CreateIoCompletionPort(HANDLE FileHandle, HANDLE ExistingCompletionPort, ULONG_PTR CompletionKey,
                                          DWORD NumberOfConcurrentThreads) {
    const bool makes = ExistingCompletionPort == nullptr;
    if (FileHandle == INVALID_HANDLE_VALUE && !makes) {
        set_error(ERROR_INVALID_PARAMETER);
        return nullptr;
    }
    const auto world = FileHandle == INVALID_HANDLE_VALUE ? world_for_names() : world_for_handle(FileHandle);
    if (!world) {
        return nullptr;
    }
    NTSTATUS status = STATUS_SUCCESS;
    HANDLE handle = ExistingCompletionPort;
    const bool entered = enter(world, "NtSetInformationFile", [&](World &w) {
        std::shared_ptr<io::CompletionPort> port;
        if (makes) {
            port = std::make_shared<io::CompletionPort>();
        } else {
            port = w.handles->find_as<io::CompletionPort>(ExistingCompletionPort);
            if (!port) {
                status = STATUS_INVALID_HANDLE;
                return;
            }
        }
        if (FileHandle != INVALID_HANDLE_VALUE) {
            const auto file = w.handles->find_as<io::FileObject>(FileHandle);
            status = file ? w.io->associate(*file, port, CompletionKey) : STATUS_INVALID_HANDLE;
        }
        if (makes && NT_SUCCESS(status)) {
            handle = w.handles->insert(port);
        }
    });
    if (!entered || result(status) == FALSE) {
        return nullptr;
    }
    return handle;
}

/// FALSE with *lpOverlapped set: a packet of an operation that failed. FALSE without: no packet (WAIT_TIMEOUT, ERROR_ABANDONED_WAIT_0).
FLTSIM_USER BOOL GetQueuedCompletionStatus(HANDLE CompletionPort, LPDWORD lpNumberOfBytesTransferred,
                                           ULONG_PTR *lpCompletionKey, LPOVERLAPPED *lpOverlapped,
                                           DWORD dwMilliseconds) {
    if (lpNumberOfBytesTransferred == nullptr || lpCompletionKey == nullptr || lpOverlapped == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    *lpOverlapped = nullptr;
    std::vector<io::CompletionPacket> packets;
    if (!dequeue(CompletionPort, dwMilliseconds, 1, &packets)) {
        return FALSE;
    }
    const io::CompletionPacket &packet = packets.front();
    *lpOverlapped = static_cast<LPOVERLAPPED>(packet.apc_context);
    *lpCompletionKey = packet.key;
    *lpNumberOfBytesTransferred = static_cast<DWORD>(packet.status.Information);
    return result(packet.status.Status);
}

/// Alertable waits end early for user APCs, of which the model has none.
FLTSIM_USER BOOL GetQueuedCompletionStatusEx(HANDLE CompletionPort, LPOVERLAPPED_ENTRY lpCompletionPortEntries,
                                             ULONG ulCount, PULONG ulNumEntriesRemoved, DWORD dwMilliseconds,
                                             BOOL fAlertable) {
    if (lpCompletionPortEntries == nullptr || ulCount == 0 || ulNumEntriesRemoved == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    std::vector<io::CompletionPacket> packets;
    if (!dequeue(CompletionPort, dwMilliseconds, ulCount, &packets)) {
        return FALSE;
    }
    for (size_t i = 0; i < packets.size(); ++i) {
        lpCompletionPortEntries[i] = {packets[i].key, static_cast<LPOVERLAPPED>(packets[i].apc_context),
                                      static_cast<ULONG_PTR>(static_cast<ULONG>(packets[i].status.Status)),
                                      static_cast<DWORD>(packets[i].status.Information)};
    }
    *ulNumEntriesRemoved = static_cast<ULONG>(packets.size());
    return TRUE;
}

FLTSIM_USER BOOL PostQueuedCompletionStatus(HANDLE CompletionPort, DWORD dwNumberOfBytesTransferred,
                                            ULONG_PTR dwCompletionKey, LPOVERLAPPED lpOverlapped) {
    const auto world = world_for_handle(CompletionPort);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtSetIoCompletion", [&](World &w) {
        if (const auto port = w.handles->find_as<io::CompletionPort>(CompletionPort)) {
            io::CompletionPacket packet{dwCompletionKey, lpOverlapped, {}};
            packet.status.Information = dwNumberOfBytesTransferred;
            port->post(packet);
        } else {
            status = STATUS_INVALID_HANDLE;
        }
    });
    return entered ? result(status) : FALSE;
}

/// Flags: FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE. They cannot be taken back.
FLTSIM_USER BOOL SetFileCompletionNotificationModes(HANDLE FileHandle, UCHAR Flags) {
    if ((Flags & ~(FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE)) != 0) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    const auto world = world_for_handle(FileHandle);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtSetInformationFile", [&](World &w) {
        const auto file = w.handles->find_as<io::FileObject>(FileHandle);
        if (!file || file->synchronous) {
            status = file ? STATUS_INVALID_PARAMETER : STATUS_INVALID_HANDLE;
            return;
        }
        file->native.Flags |= ((Flags & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != 0 ? FO_SKIP_COMPLETION_PORT : 0) |
                              ((Flags & FILE_SKIP_SET_EVENT_ON_HANDLE) != 0 ? FO_SKIP_SET_EVENT : 0);
    });
    return entered ? result(status) : FALSE;
}
