// SPDX-License-Identifier: MIT
//
// This module provides: ReadFile, WriteFile, FlushFileBuffers and SetFilePointerEx.
//
// Invariant: once a transfer has returned STATUS_PENDING its OVERLAPPED belongs to the I/O manager; nothing here touches it again.

#include "user/entry.hpp"
#include "user/event.hpp"
#include "user/file_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

static_assert(sizeof(IO_STATUS_BLOCK) == 2 * sizeof(ULONG_PTR),
              "Internal and InternalHigh are the operation's IO_STATUS_BLOCK");

struct Transfer {
    bool write;
    void *buffer;
    DWORD bytes;
};

NTSTATUS perform(World &w, const std::shared_ptr<io::FileObject> &file, const Transfer &transfer,
                 OVERLAPPED *overlapped, IO_STATUS_BLOCK *iosb) {
    if (overlapped == nullptr && !file->synchronous) {
        return STATUS_INVALID_PARAMETER; // there is no position to read at
    }
    if (transfer.buffer == nullptr && transfer.bytes != 0) {
        return STATUS_ACCESS_VIOLATION;
    }
    const auto run = [&](const int64_t *offset, const io::AsyncBlock *async) {
        return transfer.write ? w.io->write(*file, transfer.buffer, transfer.bytes, offset, async, iosb)
                              : w.io->read(*file, transfer.buffer, transfer.bytes, offset, async, iosb);
    };
    if (overlapped == nullptr) {
        return run(nullptr, nullptr);
    }
    std::shared_ptr<Event> event;
    if (event_handle(*overlapped) != nullptr) {
        event = w.handles->find_as<Event>(event_handle(*overlapped));
        if (!event) {
            return STATUS_INVALID_HANDLE;
        }
        event->reset();
    }
    const auto offset = static_cast<int64_t>(static_cast<uint64_t>(overlapped->OffsetHigh) << 32 | overlapped->Offset);
    overlapped->Internal = static_cast<ULONG_PTR>(STATUS_PENDING);
    io::AsyncBlock async{reinterpret_cast<IO_STATUS_BLOCK *>(overlapped), event, overlapped};
    async.apc_context = event_handle(*overlapped) == overlapped->hEvent ? overlapped : nullptr;
    const NTSTATUS status = run(&offset, file->synchronous ? nullptr : &async);
    // A call that fails at once leaves the OVERLAPPED and the event alone, as the I/O manager does. What an asynchronous handle's call has done at
    // once is told already.
    if (file->synchronous && !NT_ERROR(status)) {
        overlapped->InternalHigh = iosb->Information;
        overlapped->Internal = static_cast<ULONG_PTR>(static_cast<ULONG>(status));
        if (event) {
            event->signal();
        }
    }
    return status;
}

BOOL transfer_file(const char *api, HANDLE handle, const Transfer &transfer, LPDWORD transferred,
                   LPOVERLAPPED overlapped) {
    if (transferred != nullptr) {
        *transferred = 0;
    } else if (overlapped == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    IO_STATUS_BLOCK iosb{};
    bool synchronous = false;
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = file_call(handle, api, &status, [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        synchronous = file->synchronous;
        return perform(w, file, transfer, overlapped, &iosb);
    });
    if (!entered) {
        return FALSE;
    }
    if (status == STATUS_PENDING) {
        set_status(status);
        return FALSE;
    }
    if (transferred != nullptr && !NT_ERROR(status)) {
        *transferred = static_cast<DWORD>(iosb.Information);
    }
    // At the end of the file a read without OVERLAPPED succeeds with nothing.
    if (status == STATUS_END_OF_FILE && synchronous && overlapped == nullptr) {
        return TRUE;
    }
    return result(status);
}

NTSTATUS move_position(World &w, io::FileObject &file, int64_t distance, DWORD method, int64_t *position) {
    IO_STATUS_BLOCK iosb{};
    int64_t base = 0;
    NTSTATUS status = STATUS_SUCCESS;
    if (method == FILE_CURRENT) {
        FILE_POSITION_INFORMATION current{};
        status = w.io->query_information(file, &current, sizeof(current), FilePositionInformation, &iosb);
        base = current.CurrentByteOffset.QuadPart;
    } else if (method == FILE_END) {
        FILE_STANDARD_INFORMATION standard{};
        status = w.io->query_information(file, &standard, sizeof(standard), FileStandardInformation, &iosb);
        base = standard.EndOfFile.QuadPart;
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    FILE_POSITION_INFORMATION target{};
    if (__builtin_add_overflow(base, distance, &target.CurrentByteOffset.QuadPart)) {
        return STATUS_INVALID_PARAMETER;
    }
    *position = target.CurrentByteOffset.QuadPart;
    if (*position < 0) {
        return STATUS_SUCCESS; // the caller says ERROR_NEGATIVE_SEEK, which no status maps to
    }
    return w.io->set_information(file, &target, sizeof(target), FilePositionInformation, &iosb);
}

} // namespace

FLTSIM_USER BOOL ReadFile(HANDLE hFile, LPVOID lpBuffer, DWORD nNumberOfBytesToRead, LPDWORD lpNumberOfBytesRead,
                          LPOVERLAPPED lpOverlapped) {
    return transfer_file("NtReadFile", hFile, {false, lpBuffer, nNumberOfBytesToRead}, lpNumberOfBytesRead,
                         lpOverlapped);
}

FLTSIM_USER BOOL WriteFile(HANDLE hFile, LPCVOID lpBuffer, DWORD nNumberOfBytesToWrite, LPDWORD lpNumberOfBytesWritten,
                           LPOVERLAPPED lpOverlapped) {
    // Only IoManager::write sees the pointer, and takes it as const again.
    return transfer_file("NtWriteFile", hFile, {true, const_cast<void *>(lpBuffer), nNumberOfBytesToWrite},
                         lpNumberOfBytesWritten, lpOverlapped);
}

FLTSIM_USER BOOL FlushFileBuffers(HANDLE hFile) {
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered =
        file_call(hFile, "NtFlushBuffersFile", &status, [](World &w, const std::shared_ptr<io::FileObject> &file) {
            IO_STATUS_BLOCK iosb{};
            return w.io->flush(*file, &iosb);
        });
    return entered ? result(status) : FALSE;
}

FLTSIM_USER BOOL SetFilePointerEx(HANDLE hFile, LARGE_INTEGER liDistanceToMove, PLARGE_INTEGER lpNewFilePointer,
                                  DWORD dwMoveMethod) {
    if (dwMoveMethod > FILE_END) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    NTSTATUS status = STATUS_SUCCESS;
    int64_t position = 0;
    const bool entered =
        file_call(hFile, "NtSetInformationFile", &status, [&](World &w, const std::shared_ptr<io::FileObject> &file) {
            return move_position(w, *file, liDistanceToMove.QuadPart, dwMoveMethod, &position);
        });
    if (!entered || result(status) == FALSE) {
        return FALSE;
    }
    if (position < 0) {
        return fail(ERROR_NEGATIVE_SEEK);
    }
    if (lpNewFilePointer != nullptr) {
        lpNewFilePointer->QuadPart = position;
    }
    return TRUE;
}
