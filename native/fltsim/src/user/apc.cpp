// SPDX-License-Identifier: MIT
//
// This module provides: apc.hpp, ReadFileEx, WriteFileEx, SleepEx and Sleep.

#include "user/apc.hpp"

#include "user/event.hpp"
#include "user/file_call.hpp"

namespace fltsim::user {

ApcAtEnd::ApcAtEnd(Thread &thread, LPOVERLAPPED_COMPLETION_ROUTINE routine, LPOVERLAPPED overlapped)
    : thread_(&thread), routine_(routine), overlapped_(overlapped) {
    thread_->reference();
}

ApcAtEnd::~ApcAtEnd() {
    thread_->dereference();
}

void ApcAtEnd::signal() {
    thread_->user_apcs.push_back([routine = routine_, overlapped = overlapped_] {
        const auto status = static_cast<NTSTATUS>(overlapped->Internal);
        const bool failed = NT_ERROR(status);
        routine(failed ? dos_error(status) : ERROR_SUCCESS, failed ? 0 : static_cast<DWORD>(overlapped->InternalHigh),
                overlapped);
    });
    world().wake_thread(*thread_);
}

bool apc_pending() {
    return !executing().user_apcs.empty();
}

void run_apcs(const std::shared_ptr<World> &world) {
    for (;;) {
        std::function<void()> apc;
        const NTSTATUS status = enter_native(world, "NtTestAlert", [&](World &) {
            auto &queue = executing().user_apcs;
            if (!queue.empty()) {
                apc = std::move(queue.front());
                queue.pop_front();
            }
        });
        if (status != STATUS_SUCCESS || !apc) {
            return;
        }
        apc();
    }
}

} // namespace fltsim::user

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// hEvent is the caller's own. A success, or STATUS_PENDING: the routine is queued at the end of the operation, also when that was at once.
BOOL transfer_with_apc(const char *api, HANDLE handle, void *buffer, DWORD bytes, bool write, LPOVERLAPPED overlapped,
                       LPOVERLAPPED_COMPLETION_ROUTINE routine) {
    if (overlapped == nullptr || routine == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    NTSTATUS status = STATUS_SUCCESS;
    const auto body = [&](World &w, const std::shared_ptr<io::FileObject> &file) -> NTSTATUS {
        if (file->synchronous) {
            unmodelled(write ? "WriteFileEx" : "ReadFileEx", "a handle without FILE_FLAG_OVERLAPPED");
        }
        if (file->port) {
            return STATUS_INVALID_PARAMETER; // one of the two tells of the end
        }
        if (buffer == nullptr && bytes != 0) {
            return STATUS_ACCESS_VIOLATION;
        }
        const auto offset =
            static_cast<int64_t>(static_cast<uint64_t>(overlapped->OffsetHigh) << 32 | overlapped->Offset);
        overlapped->Internal = static_cast<ULONG_PTR>(STATUS_PENDING);
        const io::AsyncBlock async{reinterpret_cast<IO_STATUS_BLOCK *>(overlapped),
                                   std::make_shared<ApcAtEnd>(executing(), routine, overlapped), overlapped};
        IO_STATUS_BLOCK iosb{};
        return write ? w.io->write(*file, buffer, bytes, &offset, &async, &iosb)
                     : w.io->read(*file, buffer, bytes, &offset, &async, &iosb);
    };
    if (!file_call(handle, api, &status, body)) {
        return FALSE;
    }
    if (NT_ERROR(status)) {
        return result(status);
    }
    set_error(ERROR_SUCCESS);
    return TRUE;
}

} // namespace

FLTSIM_USER BOOL ReadFileEx(HANDLE hFile, LPVOID lpBuffer, DWORD nNumberOfBytesToRead, LPOVERLAPPED lpOverlapped,
                            LPOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine) {
    return transfer_with_apc("NtReadFile", hFile, lpBuffer, nNumberOfBytesToRead, false, lpOverlapped,
                             lpCompletionRoutine);
}

FLTSIM_USER BOOL WriteFileEx(HANDLE hFile, LPCVOID lpBuffer, DWORD nNumberOfBytesToWrite, LPOVERLAPPED lpOverlapped,
                             LPOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine) {
    return transfer_with_apc("NtWriteFile", hFile, const_cast<void *>(lpBuffer), nNumberOfBytesToWrite, true,
                             lpOverlapped, lpCompletionRoutine);
}

/// WAIT_IO_COMPLETION: routines were run, and it did not sleep on. 0: the time is over.
FLTSIM_USER DWORD SleepEx(DWORD dwMilliseconds, BOOL bAlertable) {
    const auto world = world_for_names();
    if (!world) {
        return 0;
    }
    bool alerted = false;
    const bool entered = enter(world, "NtDelayExecution", [&](World &w) {
        const auto due = [&] { return bAlertable != FALSE && apc_pending(); };
        alerted = due();
        if (!alerted && dwMilliseconds == 0) {
            w.yield();
        } else if (!alerted) {
            alerted = wait_for(w, &alerted, due, deadline_after(dwMilliseconds)) && due();
        }
    });
    if (!entered || !alerted) {
        return 0;
    }
    run_apcs(world);
    return WAIT_IO_COMPLETION;
}

FLTSIM_USER void Sleep(DWORD dwMilliseconds) {
    SleepEx(dwMilliseconds, FALSE);
}
