// SPDX-License-Identifier: MIT
//
// This module provides: the services on an open file that drivers call: ZwReadFile, ZwWriteFile, ZwFlushBuffersFile, ZwQueryDirectoryFile and its Ex form,
// ZwQueryInformationFile, ZwSetInformationFile, ZwQueryVolumeInformationFile.
//
// All go to the top of the filter stack, with the kernel's previous mode. Of an asynchronous handle the first four may return STATUS_PENDING: then event and
// status block are the I/O manager's until the end. An error that is known at once leaves status block and event alone [POST-28].

#include "core/faults.hpp"
#include "io/io_manager.hpp"
#include "ke/state.hpp"
#include "user/event.hpp"

using namespace fltsim;

namespace {

/// The arguments that services with an event have in common.
struct ZwTarget {
    const char *api;
    HANDLE file;
    HANDLE event;
    PIO_APC_ROUTINE apc_routine;
    PVOID apc_context;
    PIO_STATUS_BLOCK iosb;
};

/// The file behind a handle. Null: *status says why.
std::shared_ptr<io::FileObject> zw_file_of(HANDLE handle, NTSTATUS *status) {
    auto file = world().handles->find_as<io::FileObject>(handle);
    *status = file                            ? STATUS_SUCCESS
              : world().handles->find(handle) ? STATUS_OBJECT_TYPE_MISMATCH
                                              : STATUS_INVALID_HANDLE;
    return file;
}

void check_zw_arguments(const char *api, PIO_STATUS_BLOCK iosb, const void *buffer, ULONG length) {
    ke::check_special_apcs(api);
    if (iosb == nullptr) {
        bugcheck("VER-02 parameter", api, "IoStatusBlock is null");
    }
    if (buffer == nullptr && length != 0) {
        bugcheck("VER-02 parameter", api, "the buffer is null");
    }
}

/// `body(FileObject &, const AsyncBlock *, IO_STATUS_BLOCK *)`: the AsyncBlock is null for a synchronous handle.
template <class Body> NTSTATUS zw_transfer(const ZwTarget &target, Body &&body) {
    if (target.apc_routine != nullptr) {
        unmodelled(target.api, "an APC at the end of an operation");
    }
    NTSTATUS status = STATUS_SUCCESS;
    const auto file = zw_file_of(target.file, &status);
    if (!file) {
        return status;
    }
    io::AsyncBlock async;
    async.user_iosb = target.iosb;
    async.overlapped = target.iosb;
    async.apc_context = target.apc_context;
    if (target.event != nullptr) {
        const auto event = world().handles->find_as<user::Event>(target.event);
        if (!event) {
            return world().handles->find(target.event) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
        event->reset();
        async.event = event;
    }
    if (const auto failure = failing(target.api)) {
        return *failure;
    }
    IO_STATUS_BLOCK result{};
    status = body(*file, file->synchronous ? nullptr : &async, &result);
    if (file->synchronous) {
        *target.iosb = result;
        target.iosb->Status = status;
        if (async.event && !NT_ERROR(status)) {
            async.event->signal();
        }
    }
    return status;
}

/// A service that waits for its operation whatever the handle is: `body(FileObject &, IO_STATUS_BLOCK *)`.
template <class Body> NTSTATUS zw_query(const char *api, HANDLE handle, PIO_STATUS_BLOCK iosb, Body &&body) {
    NTSTATUS status = STATUS_SUCCESS;
    const auto file = zw_file_of(handle, &status);
    if (file) {
        status = failing(api).value_or(STATUS_SUCCESS);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    IO_STATUS_BLOCK result{};
    status = body(*file, &result);
    *iosb = result;
    iosb->Status = status;
    return status;
}

void check_zw_key(const char *api, PULONG key) {
    if (key != nullptr) {
        unmodelled(api, "the key of a byte-range lock");
    }
}

NTSTATUS query_directory_for_driver(const ZwTarget &target, io::IoManager::DirectoryQuery &query,
                                    PUNICODE_STRING pattern) {
    check_zw_arguments(target.api, target.iosb, query.buffer, query.length);
    if (pattern != nullptr &&
        (pattern->Length % sizeof(WCHAR) != 0 || (pattern->Length != 0 && pattern->Buffer == nullptr))) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    if (pattern != nullptr && pattern->Length != 0) {
        query.pattern.emplace(reinterpret_cast<const char16_t *>(pattern->Buffer), pattern->Length / sizeof(WCHAR));
    }
    return zw_transfer(target, [&](io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
        return world().io->query_directory(file, query, async, iosb);
    });
}

} // namespace

/// PASSIVE_LEVEL, outside guarded regions. ByteOffset null or FILE_USE_FILE_POINTER_POSITION: the position of a synchronous handle;
/// STATUS_INVALID_PARAMETER of an asynchronous one. STATUS_END_OF_FILE, STATUS_ACCESS_DENIED by the handle's access.
FLTSIM_KERNEL NTSTATUS NTAPI ZwReadFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                                        PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length,
                                        PLARGE_INTEGER ByteOffset, PULONG Key) {
    constexpr const char *kApi = "ZwReadFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    check_zw_arguments(kApi, IoStatusBlock, Buffer, Length);
    check_zw_key(kApi, Key);
    const int64_t offset = ByteOffset != nullptr ? ByteOffset->QuadPart : 0;
    return zw_transfer({kApi, FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock},
                       [&](io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
                           return world().io->read(file, Buffer, Length, ByteOffset != nullptr ? &offset : nullptr,
                                                   async, iosb);
                       });
}

/// The same; FILE_WRITE_TO_END_OF_FILE, and a handle with FILE_APPEND_DATA alone, write at the end.
FLTSIM_KERNEL NTSTATUS NTAPI ZwWriteFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                                         PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length,
                                         PLARGE_INTEGER ByteOffset, PULONG Key) {
    constexpr const char *kApi = "ZwWriteFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    check_zw_arguments(kApi, IoStatusBlock, Buffer, Length);
    check_zw_key(kApi, Key);
    const int64_t offset = ByteOffset != nullptr ? ByteOffset->QuadPart : 0;
    return zw_transfer({kApi, FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock},
                       [&](io::FileObject &file, const io::AsyncBlock *async, IO_STATUS_BLOCK *iosb) {
                           return world().io->write(file, Buffer, Length, ByteOffset != nullptr ? &offset : nullptr,
                                                    async, iosb);
                       });
}

/// PASSIVE_LEVEL, outside guarded regions. Waits whatever the handle is.
FLTSIM_KERNEL NTSTATUS NTAPI ZwFlushBuffersFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock) {
    constexpr const char *kApi = "ZwFlushBuffersFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    check_zw_arguments(kApi, IoStatusBlock, nullptr, 0);
    return zw_query(kApi, FileHandle, IoStatusBlock,
                    [](io::FileObject &file, IO_STATUS_BLOCK *iosb) { return world().io->flush(file, iosb); });
}

/// PASSIVE_LEVEL, outside guarded regions. STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_INFO_CLASS.
FLTSIM_KERNEL NTSTATUS NTAPI ZwQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock,
                                                    PVOID FileInformation, ULONG Length,
                                                    FILE_INFORMATION_CLASS FileInformationClass) {
    constexpr const char *kApi = "ZwQueryInformationFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    check_zw_arguments(kApi, IoStatusBlock, FileInformation, Length);
    return zw_query(kApi, FileHandle, IoStatusBlock, [&](io::FileObject &file, IO_STATUS_BLOCK *iosb) {
        return world().io->query_information(file, FileInformation, Length, FileInformationClass, iosb);
    });
}

/// PASSIVE_LEVEL, outside guarded regions. STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_INFO_CLASS; what the file system says of it.
FLTSIM_KERNEL NTSTATUS NTAPI ZwSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock,
                                                  PVOID FileInformation, ULONG Length,
                                                  FILE_INFORMATION_CLASS FileInformationClass) {
    constexpr const char *kApi = "ZwSetInformationFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    check_zw_arguments(kApi, IoStatusBlock, FileInformation, Length);
    return zw_query(kApi, FileHandle, IoStatusBlock, [&](io::FileObject &file, IO_STATUS_BLOCK *iosb) {
        return world().io->set_information(file, FileInformation, Length, FileInformationClass, iosb);
    });
}

/// PASSIVE_LEVEL, outside guarded regions. STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_INFO_CLASS.
FLTSIM_KERNEL NTSTATUS NTAPI ZwQueryVolumeInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock,
                                                          PVOID FsInformation, ULONG Length,
                                                          FS_INFORMATION_CLASS FsInformationClass) {
    constexpr const char *kApi = "ZwQueryVolumeInformationFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    check_zw_arguments(kApi, IoStatusBlock, FsInformation, Length);
    return zw_query(kApi, FileHandle, IoStatusBlock, [&](io::FileObject &file, IO_STATUS_BLOCK *iosb) {
        return world().io->query_volume(file, FsInformation, Length, FsInformationClass, iosb);
    });
}

/// PASSIVE_LEVEL, outside guarded regions. STATUS_NO_SUCH_FILE, STATUS_NO_MORE_FILES, STATUS_BUFFER_OVERFLOW.
FLTSIM_KERNEL NTSTATUS NTAPI ZwQueryDirectoryFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine,
                                                  PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock,
                                                  PVOID FileInformation, ULONG Length,
                                                  FILE_INFORMATION_CLASS FileInformationClass,
                                                  BOOLEAN ReturnSingleEntry, PUNICODE_STRING FileName,
                                                  BOOLEAN RestartScan) {
    constexpr const char *kApi = "ZwQueryDirectoryFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    io::IoManager::DirectoryQuery query;
    query.buffer = FileInformation;
    query.length = Length;
    query.information_class = FileInformationClass;
    query.flags = static_cast<UCHAR>((ReturnSingleEntry != FALSE ? SL_RETURN_SINGLE_ENTRY : 0) |
                                     (RestartScan != FALSE ? SL_RESTART_SCAN : 0));
    return query_directory_for_driver({kApi, FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock}, query,
                                      FileName);
}

/// The same by flags. STATUS_INVALID_PARAMETER for others than SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY, SL_INDEX_SPECIFIED and
/// SL_RETURN_ON_DISK_ENTRIES_ONLY, which changes nothing here.
FLTSIM_KERNEL NTSTATUS NTAPI ZwQueryDirectoryFileEx(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine,
                                                    PVOID ApcContext, PIO_STATUS_BLOCK IoStatusBlock,
                                                    PVOID FileInformation, ULONG Length,
                                                    FILE_INFORMATION_CLASS FileInformationClass, ULONG QueryFlags,
                                                    PUNICODE_STRING FileName) {
    constexpr const char *kApi = "ZwQueryDirectoryFileEx";
    constexpr ULONG kKnown =
        SL_RESTART_SCAN | SL_RETURN_SINGLE_ENTRY | SL_INDEX_SPECIFIED | SL_RETURN_ON_DISK_ENTRIES_ONLY;
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    if ((QueryFlags & ~kKnown) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    io::IoManager::DirectoryQuery query;
    query.buffer = FileInformation;
    query.length = Length;
    query.information_class = FileInformationClass;
    query.flags = static_cast<UCHAR>(QueryFlags);
    return query_directory_for_driver({kApi, FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock}, query,
                                      FileName);
}
