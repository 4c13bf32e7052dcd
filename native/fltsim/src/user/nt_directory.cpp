// SPDX-License-Identifier: MIT
//
// This module provides: NtQueryDirectoryFileEx.

#include "user/nt_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

/// QueryFlags other than SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY and SL_INDEX_SPECIFIED are STATUS_INVALID_PARAMETER, but for
/// SL_RETURN_ON_DISK_ENTRIES_ONLY, which changes nothing here.
FLTSIM_USER NTSTATUS NtQueryDirectoryFileEx(HANDLE FileHandle, HANDLE Event, PVOID ApcRoutine, PVOID ApcContext,
                                            PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation, ULONG Length,
                                            ULONG FileInformationClass, ULONG QueryFlags, PUNICODE_STRING FileName) {
    constexpr ULONG known_flags =
        SL_RESTART_SCAN | SL_RETURN_SINGLE_ENTRY | SL_INDEX_SPECIFIED | SL_RETURN_ON_DISK_ENTRIES_ONLY;
    if ((QueryFlags & ~known_flags) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (FileInformation == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    if (FileName != nullptr &&
        (FileName->Length % sizeof(WCHAR) != 0 || (FileName->Length != 0 && !FileName->Buffer))) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    io::IoManager::DirectoryQuery query;
    query.buffer = FileInformation;
    query.length = Length;
    query.information_class = static_cast<FILE_INFORMATION_CLASS>(FileInformationClass);
    query.flags = static_cast<UCHAR>(QueryFlags);
    if (FileName != nullptr && FileName->Length != 0) {
        query.pattern.emplace(reinterpret_cast<const char16_t *>(FileName->Buffer), FileName->Length / sizeof(WCHAR));
    }
    return nt_async_call({FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock}, "NtQueryDirectoryFileEx",
                         [&](World &w, io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
                             return w.io->query_directory(file, query, async, iosb);
                         });
}
