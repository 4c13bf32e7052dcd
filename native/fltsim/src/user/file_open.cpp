// SPDX-License-Identifier: MIT
//
// This module provides: CreateFileW, CreateDirectoryW, CloseHandle and QueryDosDeviceW.

#include <algorithm>
#include <optional>

#include "user/path.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// Generic rights become the file rights they stand for, as the object manager maps them before the file system sees them.
ACCESS_MASK file_access(DWORD desired) {
    ACCESS_MASK access = desired & ~(GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL);
    access |= (desired & GENERIC_READ) != 0 ? FILE_GENERIC_READ : 0;
    access |= (desired & GENERIC_WRITE) != 0 ? FILE_GENERIC_WRITE : 0;
    access |= (desired & GENERIC_EXECUTE) != 0 ? FILE_GENERIC_EXECUTE : 0;
    access |= (desired & GENERIC_ALL) != 0 ? FILE_ALL_ACCESS : 0;
    return access | SYNCHRONIZE | FILE_READ_ATTRIBUTES;
}

ULONG create_options(DWORD flags) {
    ULONG options = (flags & FILE_FLAG_OVERLAPPED) != 0 ? 0 : FILE_SYNCHRONOUS_IO_NONALERT;
    options |= (flags & FILE_FLAG_BACKUP_SEMANTICS) != 0 ? FILE_OPEN_FOR_BACKUP_INTENT : FILE_NON_DIRECTORY_FILE;
    options |= (flags & FILE_FLAG_NO_BUFFERING) != 0 ? FILE_NO_INTERMEDIATE_BUFFERING : 0;
    options |= (flags & FILE_FLAG_WRITE_THROUGH) != 0 ? FILE_WRITE_THROUGH : 0;
    options |= (flags & FILE_FLAG_DELETE_ON_CLOSE) != 0 ? FILE_DELETE_ON_CLOSE : 0;
    options |= (flags & FILE_FLAG_SEQUENTIAL_SCAN) != 0 ? FILE_SEQUENTIAL_ONLY : 0;
    options |= (flags & FILE_FLAG_RANDOM_ACCESS) != 0 ? FILE_RANDOM_ACCESS : 0;
    options |= (flags & FILE_FLAG_OPEN_REPARSE_POINT) != 0 ? FILE_OPEN_REPARSE_POINT : 0;
    return options;
}

std::optional<ULONG> nt_disposition(DWORD disposition, DWORD desired_access) {
    switch (disposition) {
    case CREATE_NEW:
        return FILE_CREATE;
    case CREATE_ALWAYS:
        return FILE_OVERWRITE_IF;
    case OPEN_EXISTING:
        return FILE_OPEN;
    case OPEN_ALWAYS:
        return FILE_OPEN_IF;
    case TRUNCATE_EXISTING:
        // Windows asks for the generic right by its name here.
        return (desired_access & GENERIC_WRITE) != 0 ? std::optional<ULONG>(FILE_OVERWRITE) : std::nullopt;
    default:
        return std::nullopt;
    }
}

HANDLE no_file(DWORD error) {
    set_error(error);
    return INVALID_HANDLE_VALUE;
}

/// Win32 errors that CreateFileW words in its own way.
void set_create_error(NTSTATUS status) {
    set_status(status);
    if (status == STATUS_OBJECT_NAME_COLLISION) {
        set_error(ERROR_FILE_EXISTS);
    }
}

} // namespace

FLTSIM_USER HANDLE CreateFileW(LPCWSTR lpFileName, DWORD dwDesiredAccess, DWORD dwShareMode,
                               LPSECURITY_ATTRIBUTES lpSecurityAttributes, DWORD dwCreationDisposition,
                               DWORD dwFlagsAndAttributes, HANDLE hTemplateFile) {
    if (hTemplateFile != nullptr) {
        return no_file(ERROR_NOT_SUPPORTED); // extended attributes are not modelled
    }
    const auto disposition = nt_disposition(dwCreationDisposition, dwDesiredAccess);
    if (!disposition || (dwShareMode & ~(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)) != 0) {
        return no_file(ERROR_INVALID_PARAMETER);
    }
    DWORD error = ERROR_SUCCESS;
    const auto path = nt_path(text(lpFileName), &error);
    if (!path) {
        return no_file(error);
    }
    const auto world = world_for_names();
    if (!world) {
        return INVALID_HANDLE_VALUE;
    }
    ACCESS_MASK access = file_access(dwDesiredAccess);
    if ((dwFlagsAndAttributes & FILE_FLAG_DELETE_ON_CLOSE) != 0) {
        access |= DELETE;
    }
    const ULONG attributes =
        dwFlagsAndAttributes & FILE_ATTRIBUTE_VALID_FLAGS & ~static_cast<ULONG>(FILE_ATTRIBUTE_DIRECTORY);
    NTSTATUS status = STATUS_SUCCESS;
    ULONG_PTR information = 0;
    HANDLE handle = INVALID_HANDLE_VALUE;
    const bool entered = enter(world, "NtCreateFile", [&](World &w) {
        std::shared_ptr<io::FileObject> file;
        status = w.io->create(*path, access, attributes, dwShareMode, *disposition,
                              create_options(dwFlagsAndAttributes), UserMode, &file, &information);
        if (NT_SUCCESS(status)) {
            handle = w.handles->insert(std::move(file));
        }
    });
    if (!entered) {
        return INVALID_HANDLE_VALUE;
    }
    if (!NT_SUCCESS(status)) {
        set_create_error(status);
        return INVALID_HANDLE_VALUE;
    }
    const bool existed = (dwCreationDisposition == CREATE_ALWAYS && information == FILE_OVERWRITTEN) ||
                         (dwCreationDisposition == OPEN_ALWAYS && information == FILE_OPENED);
    set_error(existed ? ERROR_ALREADY_EXISTS : ERROR_SUCCESS);
    return handle;
}

FLTSIM_USER BOOL CreateDirectoryW(LPCWSTR lpPathName, LPSECURITY_ATTRIBUTES lpSecurityAttributes) {
    DWORD error = ERROR_SUCCESS;
    const auto path = nt_path(text(lpPathName), &error);
    if (!path) {
        return fail(error);
    }
    const auto world = world_for_names();
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtCreateFile", [&](World &w) {
        std::shared_ptr<io::FileObject> file;
        ULONG_PTR information = 0;
        status = w.io->create(*path, FILE_LIST_DIRECTORY | SYNCHRONIZE, FILE_ATTRIBUTE_NORMAL,
                              FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_CREATE,
                              FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_FOR_BACKUP_INTENT,
                              UserMode, &file, &information);
        if (NT_SUCCESS(status)) {
            // Through a handle, so that cleanup and close are seen as for any other file.
            w.handles->close(w.handles->insert(std::move(file)));
        }
    });
    return entered ? result(status) : FALSE;
}

/// Runs the object's cleanup in the calling thread: a held IRP_MJ_CLEANUP makes this wait.
FLTSIM_USER BOOL CloseHandle(HANDLE hObject) {
    const auto world = world_for_handle(hObject);
    if (!world) {
        return FALSE;
    }
    bool closed = false;
    if (!enter(world, "NtClose", [&](World &w) { closed = w.handles->close(hObject); })) {
        return FALSE;
    }
    return closed ? TRUE : result(STATUS_INVALID_HANDLE);
}

/// Writes a list of one text (or, without a name, the names of all drives), ended by an empty text. Returns the characters with both terminators.
FLTSIM_USER DWORD QueryDosDeviceW(LPCWSTR lpDeviceName, LPWSTR lpTargetPath, DWORD ucchMax) {
    const auto world = world_for_names();
    if (!world) {
        return 0;
    }
    std::u16string list;
    const bool entered = enter(world, "QueryDosDevice", [&](World &w) {
        if (lpDeviceName == nullptr) {
            for (const auto &volume : w.io->volumes()) {
                list.append(volume->dos_name).push_back(u'\0');
            }
        } else if (const io::Volume *volume = w.io->volume_by_dos(text(lpDeviceName))) {
            list.append(volume->device_name).push_back(u'\0');
        }
    });
    if (!entered) {
        return 0;
    }
    if (list.empty()) {
        set_status(STATUS_OBJECT_NAME_NOT_FOUND);
        return 0;
    }
    list.push_back(u'\0');
    if (lpTargetPath == nullptr || list.size() > ucchMax) {
        set_error(ERROR_INSUFFICIENT_BUFFER);
        return 0;
    }
    std::ranges::copy(list, lpTargetPath);
    return static_cast<DWORD>(list.size());
}
