// SPDX-License-Identifier: MIT
//
// This module provides: the native services that query and set information of files and volumes.
//
// All of them wait for their operation whatever the handle is. Their status blocks get the result, also an error.

#include "user/nt_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// A service of a file with a status block: `body(IoManager &, FileObject &, IO_STATUS_BLOCK *)`.
template <class Body> NTSTATUS nt_query_call(HANDLE handle, const char *api, PIO_STATUS_BLOCK iosb, Body &&body) {
    if (iosb == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_file_call(handle, api, [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        IO_STATUS_BLOCK result{};
        const NTSTATUS status = body(*w.io, *file, &result);
        *iosb = result;
        iosb->Status = status;
        return status;
    });
}

} // namespace

FLTSIM_USER NTSTATUS NtQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                            ULONG Length, ULONG FileInformationClass) {
    return nt_query_call(FileHandle, "NtQueryInformationFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             return io.query_information(file, FileInformation, Length,
                                                         static_cast<FILE_INFORMATION_CLASS>(FileInformationClass),
                                                         iosb);
                         });
}

FLTSIM_USER NTSTATUS NtSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                          ULONG Length, ULONG FileInformationClass) {
    return nt_query_call(FileHandle, "NtSetInformationFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             return io.set_information(file, FileInformation, Length,
                                                       static_cast<FILE_INFORMATION_CLASS>(FileInformationClass), iosb);
                         });
}

FLTSIM_USER NTSTATUS NtQueryVolumeInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock,
                                                  PVOID FsInformation, ULONG Length, ULONG FsInformationClass) {
    return nt_query_call(FileHandle, "NtQueryVolumeInformationFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             return io.query_volume(file, FsInformation, Length,
                                                    static_cast<FS_INFORMATION_CLASS>(FsInformationClass), iosb);
                         });
}

FLTSIM_USER NTSTATUS NtSetVolumeInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FsInformation,
                                                ULONG Length, ULONG FsInformationClass) {
    return nt_query_call(FileHandle, "NtSetVolumeInformationFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             return io.set_volume(file, FsInformation, Length,
                                                  static_cast<FS_INFORMATION_CLASS>(FsInformationClass), iosb);
                         });
}

namespace {

UCHAR scan_flags(BOOLEAN single, BOOLEAN restart, bool index) {
    return static_cast<UCHAR>((single ? SL_RETURN_SINGLE_ENTRY : 0) | (restart ? SL_RESTART_SCAN : 0) |
                              (index ? SL_INDEX_SPECIFIED : 0));
}

} // namespace

FLTSIM_USER NTSTATUS NtQueryEaFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length,
                                   BOOLEAN ReturnSingleEntry, PVOID EaList, ULONG EaListLength, PULONG EaIndex,
                                   BOOLEAN RestartScan) {
    if (Buffer == nullptr && Length != 0) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_query_call(FileHandle, "NtQueryEaFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             io::IoManager::EaQuery query;
                             query.buffer = Buffer;
                             query.length = Length;
                             query.list = EaList;
                             query.list_bytes = EaListLength;
                             query.flags = scan_flags(ReturnSingleEntry, RestartScan, EaIndex != nullptr);
                             query.index = EaIndex != nullptr ? *EaIndex : 0;
                             return io.query_ea(file, query, iosb);
                         });
}

FLTSIM_USER NTSTATUS NtSetEaFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length) {
    if (Buffer == nullptr || Length == 0) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_query_call(FileHandle, "NtSetEaFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             return io.set_ea(file, Buffer, Length, iosb);
                         });
}

FLTSIM_USER NTSTATUS NtQueryQuotaInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer,
                                                 ULONG Length, BOOLEAN ReturnSingleEntry, PVOID SidList,
                                                 ULONG SidListLength, PVOID StartSid, BOOLEAN RestartScan) {
    if (Buffer == nullptr && Length != 0) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_query_call(FileHandle, "NtQueryQuotaInformationFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             io::IoManager::EaQuery query;
                             query.buffer = Buffer;
                             query.length = Length;
                             query.list = SidList;
                             query.list_bytes = SidListLength;
                             query.start_sid = StartSid;
                             query.flags = scan_flags(ReturnSingleEntry, RestartScan, false);
                             return io.query_quota(file, query, iosb);
                         });
}

FLTSIM_USER NTSTATUS NtSetQuotaInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer,
                                               ULONG Length) {
    if (Buffer == nullptr || Length == 0) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_query_call(FileHandle, "NtSetQuotaInformationFile", IoStatusBlock,
                         [&](io::IoManager &io, io::FileObject &file, IO_STATUS_BLOCK *iosb) {
                             return io.set_quota(file, Buffer, Length, iosb);
                         });
}

FLTSIM_USER NTSTATUS NtQuerySecurityObject(HANDLE Handle, ULONG SecurityInformation, PVOID SecurityDescriptor,
                                           ULONG Length, PULONG LengthNeeded) {
    if (LengthNeeded == nullptr || (SecurityDescriptor == nullptr && Length != 0)) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_file_call(Handle, "NtQuerySecurityObject", [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        return w.io->query_security(*file, SecurityInformation, SecurityDescriptor, Length, LengthNeeded);
    });
}

FLTSIM_USER NTSTATUS NtSetSecurityObject(HANDLE Handle, ULONG SecurityInformation, PVOID SecurityDescriptor) {
    if (SecurityDescriptor == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_file_call(Handle, "NtSetSecurityObject", [&](World &w, const std::shared_ptr<io::FileObject> &file) {
        return w.io->set_security(*file, SecurityInformation, SecurityDescriptor);
    });
}
