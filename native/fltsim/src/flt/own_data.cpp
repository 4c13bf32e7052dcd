// SPDX-License-Identifier: MIT
//
// This module provides: data of an open file that a filter reads and writes itself: FltReadFile, FltWriteFile, their Ex forms, FltFlushBuffers. The
// instances below the initiating one and the file system see an IRP, never fast I/O; nothing serialises them on a synchronous file object.

#include "flt/internal.hpp"

#include "core/faults.hpp"
#include "fs/names.hpp"

namespace fltsim::flt {

namespace {

constexpr int64_t kWriteToEnd = -1; // FILE_WRITE_TO_END_OF_FILE
constexpr int64_t kUsePosition = -2; // FILE_USE_FILE_POINTER_POSITION

/// The parameters of FltReadFileEx and FltWriteFileEx.
struct Transfer {
    const char *api;
    bool write;
    PFLT_INSTANCE instance;
    PFILE_OBJECT file;
    PLARGE_INTEGER offset;
    ULONG length;
    PVOID buffer;
    FLT_IO_OPERATION_FLAGS flags;
    PULONG moved;
    PFLT_COMPLETED_ASYNC_IO_CALLBACK routine;
    PVOID context;
    PULONG key = nullptr;
    PMDL mdl = nullptr;
};

bool has_io_flag(const Transfer &transfer, ULONG flag) {
    return (transfer.flags & flag) != 0;
}

ULONG transfer_flags(const Transfer &transfer, const io::FileObject &file) {
    const bool paging = has_io_flag(transfer, FLTFL_IO_OPERATION_PAGING);
    ULONG flags = IRP_DEFER_IO_COMPLETION | (transfer.write ? IRP_WRITE_OPERATION : IRP_READ_OPERATION);
    if (paging) {
        flags = IRP_PAGING_IO | IRP_NOCACHE;
        flags |= has_io_flag(transfer, FLTFL_IO_OPERATION_SYNCHRONOUS_PAGING) ? IRP_SYNCHRONOUS_PAGING_IO : 0;
    } else if (has_io_flag(transfer, FLTFL_IO_OPERATION_NON_CACHED) || file.no_buffering) {
        flags |= IRP_NOCACHE;
    }
    return flags;
}

void check_transfer(const Transfer &transfer) {
    constexpr ULONG kKnown = FLTFL_IO_OPERATION_NON_CACHED | FLTFL_IO_OPERATION_PAGING |
                             FLTFL_IO_OPERATION_DO_NOT_UPDATE_BYTE_OFFSET | FLTFL_IO_OPERATION_SYNCHRONOUS_PAGING;
    const bool paging = has_io_flag(transfer, FLTFL_IO_OPERATION_PAGING);
    if ((transfer.flags & ~kKnown) != 0) {
        bugcheck("VER-02 parameter", transfer.api, "Flags has a bit that is not defined");
    }
    if (has_io_flag(transfer, FLTFL_IO_OPERATION_SYNCHRONOUS_PAGING) && !paging) {
        bugcheck("VER-02 parameter", transfer.api,
                 "FLTFL_IO_OPERATION_SYNCHRONOUS_PAGING without FLTFL_IO_OPERATION_PAGING");
    }
    if (executing().irql > PASSIVE_LEVEL && !paging) {
        bugcheck("V5 IRQL too high", transfer.api,
                 "called at APC_LEVEL, allowed up to PASSIVE_LEVEL but for paging I/O");
    }
    if (transfer.buffer && transfer.mdl) {
        bugcheck("VER-02 parameter", transfer.api, "a buffer and an MDL were given: one of them is null");
    }
    if (!transfer.buffer && !transfer.mdl && transfer.length != 0) {
        bugcheck("VER-02 parameter", transfer.api, "Buffer is null");
    }
}

PVOID transfer_buffer(const Transfer &transfer) {
    return transfer.mdl ? static_cast<char *>(transfer.mdl->StartVa) + transfer.mdl->ByteOffset : transfer.buffer;
}

/// Where it begins; *from_position: the file object says so. STATUS_INVALID_PARAMETER.
NTSTATUS transfer_offset(const Transfer &transfer, const io::FileObject &file, int64_t *offset, bool *from_position) {
    *from_position = !transfer.offset || transfer.offset->QuadPart == kUsePosition;
    if (*from_position && !file.synchronous) {
        return STATUS_INVALID_PARAMETER;
    }
    *offset = *from_position ? file.native.CurrentByteOffset.QuadPart : transfer.offset->QuadPart;
    return *offset >= 0 || (transfer.write && *offset == kWriteToEnd) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

NTSTATUS transfer_data(const Transfer &transfer) {
    const auto instance = instance_of(transfer.instance, transfer.api);
    const auto file = open_file_of(transfer.file, *instance, transfer.api);
    check_transfer(transfer);
    if (transfer.moved && !transfer.routine) {
        *transfer.moved = 0;
    }
    int64_t offset = 0;
    bool from_position = false;
    NTSTATUS status = transfer_offset(transfer, *file, &offset, &from_position);
    const ULONG flags = transfer_flags(transfer, *file);
    const bool aligned = transfer.length % fs::SECTOR_BYTES == 0 && (offset < 0 || offset % fs::SECTOR_BYTES == 0);
    if (NT_SUCCESS(status) && (flags & IRP_NOCACHE) != 0 && !aligned) {
        status = STATUS_INVALID_PARAMETER;
    }
    if (NT_SUCCESS(status)) {
        status = failing(transfer.api).value_or(STATUS_SUCCESS);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    const auto operation = own_operation(instance, *file, transfer.write ? IRP_MJ_WRITE : IRP_MJ_READ, flags);
    operation->keep_position = !from_position || has_io_flag(transfer, FLTFL_IO_OPERATION_DO_NOT_UPDATE_BYTE_OFFSET);
    PMDL mdl = transfer.mdl;
    if (!mdl && (flags & IRP_PAGING_IO) != 0) { // it always has one [FORM-03]
        mdl = operation->describe(transfer.buffer, transfer.length, !transfer.write);
    }
    if (transfer.write) {
        auto &parameters = operation->parameters.Write;
        parameters.Length = transfer.length;
        parameters.Key = transfer.key ? *transfer.key : 0;
        parameters.ByteOffset.QuadPart = offset;
        parameters.WriteBuffer = transfer_buffer(transfer);
        parameters.MdlAddress = mdl;
        operation->operation_flags = file->write_through ? SL_WRITE_THROUGH : 0;
    } else {
        auto &parameters = operation->parameters.Read;
        parameters.Length = transfer.length;
        parameters.Key = transfer.key ? *transfer.key : 0;
        parameters.ByteOffset.QuadPart = offset;
        parameters.ReadBuffer = transfer_buffer(transfer);
        parameters.MdlAddress = mdl;
    }
    if (!transfer.routine) {
        status = perform_and_wait(instance, operation);
        if (transfer.moved) {
            *transfer.moved = static_cast<ULONG>(operation->io_status.Information);
        }
        return status;
    }
    const PFLT_CALLBACK_DATA data = make_generated(instance, transfer.file, transfer.api);
    data->Iopb->MajorFunction = operation->major;
    data->Iopb->IrpFlags = operation->irp_flags;
    data->Iopb->OperationFlags = operation->operation_flags;
    data->Iopb->Parameters = operation->parameters;
    status = perform_asynchronously(instance, operation, {data, transfer.routine, transfer.context});
    return status == STATUS_PENDING ? status : operation->io_status.Status;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Reads from an open file; without CallbackRoutine it waits for the end. The file system's status. ByteOffset null, for a synchronous file object
/// alone: its position, which then moves. With CallbackRoutine: STATUS_PENDING, or it has been called. IRQL PASSIVE_LEVEL, for paging I/O <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltReadFile(PFLT_INSTANCE InitiatingInstance, PFILE_OBJECT FileObject,
                                          PLARGE_INTEGER ByteOffset, ULONG Length, PVOID Buffer,
                                          FLT_IO_OPERATION_FLAGS Flags, PULONG BytesRead,
                                          PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, PVOID CallbackContext) {
    constexpr const char *kApi = "FltReadFile";
    KernelCall call(kApi, APC_LEVEL);
    return transfer_data({kApi, false, InitiatingInstance, FileObject, ByteOffset, Length, Buffer, Flags, BytesRead,
                          CallbackRoutine, CallbackContext});
}

/// The same for a write; ByteOffset may be FILE_WRITE_TO_END_OF_FILE. IRQL PASSIVE_LEVEL, for paging I/O <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltWriteFile(PFLT_INSTANCE InitiatingInstance, PFILE_OBJECT FileObject,
                                           PLARGE_INTEGER ByteOffset, ULONG Length, PVOID Buffer,
                                           FLT_IO_OPERATION_FLAGS Flags, PULONG BytesWritten,
                                           PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, PVOID CallbackContext) {
    constexpr const char *kApi = "FltWriteFile";
    KernelCall call(kApi, APC_LEVEL);
    return transfer_data({kApi, true, InitiatingInstance, FileObject, ByteOffset, Length, Buffer, Flags, BytesWritten,
                          CallbackRoutine, CallbackContext});
}

/// FltReadFile with a key for byte-range locks, and into the memory of an MDL instead of a buffer. IRQL as FltReadFile.
FLTSIM_KERNEL NTSTATUS FLTAPI FltReadFileEx(PFLT_INSTANCE InitiatingInstance, PFILE_OBJECT FileObject,
                                            PLARGE_INTEGER ByteOffset, ULONG Length, PVOID Buffer,
                                            FLT_IO_OPERATION_FLAGS Flags, PULONG BytesRead,
                                            PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, PVOID CallbackContext,
                                            PULONG Key, PMDL Mdl) {
    constexpr const char *kApi = "FltReadFileEx";
    KernelCall call(kApi, APC_LEVEL);
    return transfer_data({kApi, false, InitiatingInstance, FileObject, ByteOffset, Length, Buffer, Flags, BytesRead,
                          CallbackRoutine, CallbackContext, Key, Mdl});
}

/// The same for a write.
FLTSIM_KERNEL NTSTATUS FLTAPI FltWriteFileEx(PFLT_INSTANCE InitiatingInstance, PFILE_OBJECT FileObject,
                                             PLARGE_INTEGER ByteOffset, ULONG Length, PVOID Buffer,
                                             FLT_IO_OPERATION_FLAGS Flags, PULONG BytesWritten,
                                             PFLT_COMPLETED_ASYNC_IO_CALLBACK CallbackRoutine, PVOID CallbackContext,
                                             PULONG Key, PMDL Mdl) {
    constexpr const char *kApi = "FltWriteFileEx";
    KernelCall call(kApi, APC_LEVEL);
    return transfer_data({kApi, true, InitiatingInstance, FileObject, ByteOffset, Length, Buffer, Flags, BytesWritten,
                          CallbackRoutine, CallbackContext, Key, Mdl});
}

/// Has the file system write what it keeps of the file. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltFlushBuffers(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject) {
    constexpr const char *kApi = "FltFlushBuffers";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    const auto file = open_file_of(FileObject, *instance, kApi);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    return perform_and_wait(instance, own_operation(instance, *file, IRP_MJ_FLUSH_BUFFERS, 0));
}
