// SPDX-License-Identifier: MIT
//
// This module provides: NtFsControlFile, NtDeviceIoControlFile and DeviceIoControl.

#include "user/file_call.hpp"
#include "user/nt_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

NTSTATUS nt_control(const char *api, const NtTarget &target, const io::IoManager::Control &control) {
    return nt_async_call(target, api,
                         [&](World &w, io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
                             return w.io->control(file, control, async, iosb);
                         });
}

} // namespace

FLTSIM_USER NTSTATUS NtFsControlFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                     PIO_STATUS_BLOCK IoStatusBlock, ULONG FsControlCode, PVOID InputBuffer,
                                     ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength) {
    return nt_control("NtFsControlFile", {FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock},
                      {false, FsControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength});
}

FLTSIM_USER NTSTATUS NtDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                           PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer,
                                           ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength) {
    return nt_control("NtDeviceIoControlFile", {FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock},
                      {true, IoControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength});
}

/// File-system controls go to NtFsControlFile, all others to NtDeviceIoControlFile, as in kernel32.
FLTSIM_USER BOOL DeviceIoControl(HANDLE hDevice, DWORD dwIoControlCode, LPVOID lpInBuffer, DWORD nInBufferSize,
                                 LPVOID lpOutBuffer, DWORD nOutBufferSize, LPDWORD lpBytesReturned,
                                 LPOVERLAPPED lpOverlapped) {
    constexpr unsigned device_type_shift = 16;
    const bool device = (dwIoControlCode >> device_type_shift) != FILE_DEVICE_FILE_SYSTEM;
    if (lpOverlapped == nullptr && lpBytesReturned == nullptr) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    const char *api = device ? "NtDeviceIoControlFile" : "NtFsControlFile";
    const io::IoManager::Control control{device,        dwIoControlCode, lpInBuffer,
                                         nInBufferSize, lpOutBuffer,     nOutBufferSize};
    IO_STATUS_BLOCK local{};
    NTSTATUS status;
    if (lpOverlapped == nullptr) {
        // Waits for its end whatever the handle is, as kernel32 does.
        status = nt_file_call(hDevice, api, [&](World &w, const std::shared_ptr<io::FileObject> &file) {
            return w.io->control(*file, control, nullptr, &local);
        });
    } else {
        const auto event = reinterpret_cast<uintptr_t>(lpOverlapped->hEvent);
        lpOverlapped->Internal = static_cast<ULONG_PTR>(STATUS_PENDING);
        const NtTarget target{hDevice, reinterpret_cast<HANDLE>(event & ~uintptr_t{1}), nullptr,
                              (event & 1) == 0 ? lpOverlapped : nullptr,
                              reinterpret_cast<IO_STATUS_BLOCK *>(lpOverlapped)};
        status = nt_control(api, target, control);
        if (status != STATUS_PENDING && !NT_ERROR(status)) {
            local.Information = lpOverlapped->InternalHigh; // nobody else touches it any more
        }
    }
    if (lpBytesReturned != nullptr && status != STATUS_PENDING) {
        *lpBytesReturned = NT_ERROR(status) ? 0 : static_cast<DWORD>(local.Information);
    }
    if (status == STATUS_PENDING || !NT_SUCCESS(status)) {
        if (status == STATUS_SYSTEM_SHUTDOWN) {
            return fail(ERROR_SHUTDOWN_IN_PROGRESS);
        }
        set_status(status);
        return FALSE;
    }
    return TRUE;
}
