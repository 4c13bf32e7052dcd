// SPDX-License-Identifier: MIT
//
// This module provides: NtLockFile, NtUnlockFile, NtNotifyChangeDirectoryFile, NtFlushBuffersFileEx, and LockFile, LockFileEx, UnlockFile,
// UnlockFileEx, ReadDirectoryChangesW.

#include "user/nt_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

constexpr ULONG FLUSH_FLAGS_FILE_DATA_ONLY = 1;
constexpr ULONG FLUSH_FLAGS_NO_SYNC = 2;
constexpr ULONG FLUSH_FLAGS_FILE_DATA_SYNC_ONLY = 4;

int64_t join(DWORD low, DWORD high) {
    return static_cast<int64_t>(static_cast<uint64_t>(high) << 32 | low);
}

/// hEvent's lowest bit only says "no completion port".
NtTarget target_of(HANDLE file, LPOVERLAPPED overlapped) {
    const auto event = reinterpret_cast<uintptr_t>(overlapped->hEvent);
    return {file, reinterpret_cast<HANDLE>(event & ~uintptr_t{1}), nullptr, (event & 1) == 0 ? overlapped : nullptr,
            reinterpret_cast<IO_STATUS_BLOCK *>(overlapped)};
}

BOOL win32_result(NTSTATUS status) {
    if (status == STATUS_SYSTEM_SHUTDOWN) {
        return fail(ERROR_SHUTDOWN_IN_PROGRESS);
    }
    if (status == STATUS_PENDING || !NT_SUCCESS(status)) {
        set_status(status);
        return FALSE;
    }
    return TRUE;
}

NTSTATUS lock_file(const NtTarget &target, const io::LockRange &range) {
    return nt_async_call(target, "NtLockFile",
                         [&](World &w, io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
                             return w.io->lock(file, range, async, iosb);
                         });
}

NTSTATUS unlock_file(HANDLE handle, const io::LockRange &range, IO_STATUS_BLOCK *iosb) {
    return nt_file_call(handle, "NtUnlockFile", [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        return w.io->unlock(*file, range, iosb);
    });
}

/// The minor function of an IRP_MJ_FLUSH_BUFFERS; nothing for flags that do not go together.
std::optional<UCHAR> flush_minor(ULONG flags) {
    constexpr UCHAR MN_DATA_ONLY = 2;
    constexpr UCHAR MN_NO_SYNC = 3;
    constexpr UCHAR MN_DATA_SYNC_ONLY = 4;
    switch (flags) {
    case 0:
        return UCHAR{0};
    case FLUSH_FLAGS_FILE_DATA_ONLY:
        return MN_DATA_ONLY;
    case FLUSH_FLAGS_NO_SYNC:
        return MN_NO_SYNC;
    case FLUSH_FLAGS_FILE_DATA_SYNC_ONLY:
        return MN_DATA_SYNC_ONLY;
    default:
        return std::nullopt;
    }
}

} // namespace

FLTSIM_USER NTSTATUS NtLockFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER ByteOffset, PLARGE_INTEGER Length,
                                ULONG Key, BOOLEAN FailImmediately, BOOLEAN ExclusiveLock) {
    if (ByteOffset == nullptr || Length == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    return lock_file({FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock},
                     {ByteOffset->QuadPart, Length->QuadPart, Key, FailImmediately != FALSE, ExclusiveLock != FALSE});
}

FLTSIM_USER NTSTATUS NtUnlockFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER ByteOffset,
                                  PLARGE_INTEGER Length, ULONG Key) {
    if (ByteOffset == nullptr || Length == nullptr || IoStatusBlock == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = unlock_file(FileHandle, {ByteOffset->QuadPart, Length->QuadPart, Key}, &iosb);
    IoStatusBlock->Status = status;
    IoStatusBlock->Information = iosb.Information;
    return status;
}

FLTSIM_USER NTSTATUS NtNotifyChangeDirectoryFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                                 PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length,
                                                 ULONG CompletionFilter, BOOLEAN WatchTree) {
    return nt_async_call({FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock}, "NtNotifyChangeDirectoryFile",
                         [&](World &w, io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
                             return w.io->notify(file, Buffer, Length, CompletionFilter, WatchTree != FALSE, async,
                                                 iosb);
                         });
}

/// Parameters is for later use. STATUS_INVALID_PARAMETER for flags that Windows does not know or that exclude each other.
FLTSIM_USER NTSTATUS NtFlushBuffersFileEx(HANDLE FileHandle, ULONG Flags, PVOID Parameters, ULONG ParametersSize,
                                          PIO_STATUS_BLOCK IoStatusBlock) {
    if (IoStatusBlock == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    const auto minor = flush_minor(Flags);
    if (!minor || Parameters != nullptr || ParametersSize != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    return nt_file_call(FileHandle, "NtFlushBuffersFileEx", [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        return w.io->flush(*file, IoStatusBlock, *minor);
    });
}

/// Waits, whatever the handle is, or fails at once with ERROR_LOCK_VIOLATION when dwFlags says so.
FLTSIM_USER BOOL LockFileEx(HANDLE hFile, DWORD dwFlags, DWORD dwReserved, DWORD nNumberOfBytesToLockLow,
                            DWORD nNumberOfBytesToLockHigh, LPOVERLAPPED lpOverlapped) {
    if (dwReserved != 0 || lpOverlapped == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    lpOverlapped->Internal = static_cast<ULONG_PTR>(STATUS_PENDING);
    const io::LockRange range{join(lpOverlapped->Offset, lpOverlapped->OffsetHigh),
                              join(nNumberOfBytesToLockLow, nNumberOfBytesToLockHigh), 0,
                              (dwFlags & LOCKFILE_FAIL_IMMEDIATELY) != 0, (dwFlags & LOCKFILE_EXCLUSIVE_LOCK) != 0};
    return win32_result(lock_file(target_of(hFile, lpOverlapped), range));
}

FLTSIM_USER BOOL LockFile(HANDLE hFile, DWORD dwFileOffsetLow, DWORD dwFileOffsetHigh, DWORD nNumberOfBytesToLockLow,
                          DWORD nNumberOfBytesToLockHigh) {
    const io::LockRange range{join(dwFileOffsetLow, dwFileOffsetHigh),
                              join(nNumberOfBytesToLockLow, nNumberOfBytesToLockHigh), 0, true, true};
    return win32_result(nt_file_call(hFile, "NtLockFile", [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        IO_STATUS_BLOCK iosb{};
        return w.io->lock(*file, range, nullptr, &iosb); // waits for the operation also on an asynchronous handle
    }));
}

FLTSIM_USER BOOL UnlockFileEx(HANDLE hFile, DWORD dwReserved, DWORD nNumberOfBytesToUnlockLow,
                              DWORD nNumberOfBytesToUnlockHigh, LPOVERLAPPED lpOverlapped) {
    if (dwReserved != 0 || lpOverlapped == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    IO_STATUS_BLOCK iosb{};
    return win32_result(unlock_file(hFile,
                                    {join(lpOverlapped->Offset, lpOverlapped->OffsetHigh),
                                     join(nNumberOfBytesToUnlockLow, nNumberOfBytesToUnlockHigh)},
                                    &iosb));
}

FLTSIM_USER BOOL UnlockFile(HANDLE hFile, DWORD dwFileOffsetLow, DWORD dwFileOffsetHigh,
                            DWORD nNumberOfBytesToUnlockLow, DWORD nNumberOfBytesToUnlockHigh) {
    IO_STATUS_BLOCK iosb{};
    return win32_result(unlock_file(
        hFile, {join(dwFileOffsetLow, dwFileOffsetHigh), join(nNumberOfBytesToUnlockLow, nNumberOfBytesToUnlockHigh)},
        &iosb));
}

/// TRUE also for an asynchronous handle whose request waits now, as on Windows. Completion routines are not modelled.
FLTSIM_USER BOOL ReadDirectoryChangesW(HANDLE hDirectory, LPVOID lpBuffer, DWORD nBufferLength, BOOL bWatchSubtree,
                                       DWORD dwNotifyFilter, LPDWORD lpBytesReturned, LPOVERLAPPED lpOverlapped,
                                       LPVOID lpCompletionRoutine) {
    if (lpCompletionRoutine != nullptr) {
        return fail(ERROR_NOT_SUPPORTED);
    }
    NTSTATUS status;
    IO_STATUS_BLOCK iosb{};
    if (lpOverlapped != nullptr) {
        lpOverlapped->Internal = static_cast<ULONG_PTR>(STATUS_PENDING);
        status = nt_async_call(target_of(hDirectory, lpOverlapped), "NtNotifyChangeDirectoryFile",
                               [&](World &w, io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *out) {
                                   return w.io->notify(file, lpBuffer, nBufferLength, dwNotifyFilter,
                                                       bWatchSubtree != FALSE, async, out);
                               });
        if (status == STATUS_PENDING) {
            return TRUE;
        }
    } else {
        status = nt_file_call(hDirectory, "NtNotifyChangeDirectoryFile",
                              [&](World &w, const std::shared_ptr<io::FileObject> &file) {
                                  return w.io->notify(*file, lpBuffer, nBufferLength, dwNotifyFilter,
                                                      bWatchSubtree != FALSE, nullptr, &iosb);
                              });
        if (lpBytesReturned != nullptr && !NT_ERROR(status)) {
            *lpBytesReturned = static_cast<DWORD>(iosb.Information);
        }
    }
    return win32_result(status);
}
