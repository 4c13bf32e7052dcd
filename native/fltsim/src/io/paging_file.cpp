// SPDX-License-Identifier: MIT
//
// This module provides: the paging file [SEQ-13]: made and opened by the memory manager with SL_OPEN_PAGING_FILE, read and written by paging I/O with
// memory that no user has, never closed.
//
// A machine has it from the start; here it is made when somebody asks for its I/O, so that filters may see the create.

#include <cstring>

#include "io/internal.hpp"

namespace fltsim::io {

namespace {

constexpr int64_t PAGING_FILE_BYTES = int64_t{16} << 20;

NTSTATUS make_paging_file(IoManager::Impl &impl) {
    IoManager::Impl::Open open;
    NTSTATUS status = impl.resolve(u"\\SystemRoot", &open.volume, &open.name);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    open.name = u"\\pagefile.sys";
    open.access = FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE;
    open.attributes = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM;
    open.disposition = FILE_SUPERSEDE;
    open.options = FILE_NO_INTERMEDIATE_BUFFERING | FILE_NO_COMPRESSION | FILE_DELETE_ON_CLOSE;
    open.access |= DELETE;
    open.operation_flags = SL_OPEN_PAGING_FILE;
    open.mode = KernelMode;
    std::shared_ptr<FileObject> file;
    ULONG_PTR information = 0;
    status = impl.open(open, &file, &information);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    const auto operation = impl.irp(IRP_MJ_SET_INFORMATION, *file, KernelMode,
                                    IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER | IRP_SYNCHRONOUS_API);
    FILE_END_OF_FILE_INFORMATION end{};
    end.EndOfFile.QuadPart = PAGING_FILE_BYTES;
    operation->system_buffer.resize(sizeof end);
    memcpy(operation->system_buffer.data(), &end, sizeof end);
    auto &parameters = operation->parameters.SetFileInformation;
    parameters.Length = sizeof end;
    parameters.FileInformationClass = FileEndOfFileInformation;
    parameters.InfoBuffer = operation->system_buffer.data();
    status = impl.send_and_wait(operation);
    if (NT_SUCCESS(status)) {
        impl.paging_file = std::move(file);
    }
    return status;
}

} // namespace

NTSTATUS IoManager::paging_file_io(bool write, uint64_t offset, void *buffer, ULONG bytes) {
    constexpr ULONG PAGE = 4096;
    if (offset % PAGE != 0 || bytes % PAGE != 0 || bytes == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!impl_->paging_file) {
        const NTSTATUS made = make_paging_file(*impl_);
        if (!NT_SUCCESS(made)) {
            return made;
        }
    }
    return impl_->paging_io(write ? IRP_MJ_WRITE : IRP_MJ_READ, *impl_->paging_file, offset, buffer, bytes);
}

} // namespace fltsim::io
