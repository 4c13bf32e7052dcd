// SPDX-License-Identifier: MIT
//
// This module provides: a file server's reads and writes in kernel mode [SEQ-26].
//
//      MDL_READ(F), MDL_READ_COMPLETE(F)             or, where the file system turns MDL_READ away, READ(I) with the server's own buffer
//      PREPARE_MDL_WRITE(F), MDL_WRITE_COMPLETE(F)   or WRITE(I)
//
// The server moves the data by the MDLs; here that is the copy to or from the caller's buffer.

#include <algorithm>
#include <cstring>

#include "io/internal.hpp"

namespace fltsim::io {

namespace {

/// Copies between the chain and a buffer. How many bytes the chain holds.
size_t move_data(const MDL *chain, uint8_t *buffer, size_t bytes, bool to_chain) {
    size_t moved = 0;
    for (const MDL *mdl = chain; mdl != nullptr && moved < bytes; mdl = mdl->Next) {
        const size_t part = std::min<size_t>(mdl->ByteCount, bytes - moved);
        if (to_chain) {
            memcpy(MmGetMdlVirtualAddress(mdl), buffer + moved, part);
        } else {
            memcpy(buffer + moved, MmGetMdlVirtualAddress(mdl), part);
        }
        moved += part;
    }
    return moved;
}

} // namespace

NTSTATUS IoManager::server_read(FileObject &file, void *buffer, ULONG length, int64_t offset, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_READ_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    PMDL chain = nullptr;
    const auto read = impl_->inline_operation(Form::FastIo, IRP_MJ_MDL_READ, file, KernelMode);
    read->parameters.MdlRead.FileOffset.QuadPart = offset;
    read->parameters.MdlRead.Length = length;
    read->parameters.MdlRead.MdlChain = &chain;
    if (impl_->world.flt->call_inline(read)) {
        *iosb = read->io_status;
        if (chain != nullptr) {
            move_data(chain, static_cast<uint8_t *>(buffer), iosb->Information, false);
            const auto complete = impl_->inline_operation(Form::FastIo, IRP_MJ_MDL_READ_COMPLETE, file, KernelMode);
            complete->parameters.MdlReadComplete.MdlChain = chain;
            impl_->world.flt->call_inline(complete);
        }
        return iosb->Status;
    }
    const auto operation = impl_->irp(IRP_MJ_READ, file, KernelMode, IRP_READ_OPERATION | IRP_DEFER_IO_COMPLETION);
    operation->parameters.Read.Length = length;
    operation->parameters.Read.ByteOffset.QuadPart = offset;
    operation->parameters.Read.ReadBuffer = buffer;
    return impl_->issue(file, operation, nullptr, iosb);
}

NTSTATUS IoManager::server_write(FileObject &file, const void *buffer, ULONG length, int64_t offset,
                                 IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_WRITE_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    PMDL chain = nullptr;
    const auto prepare = impl_->inline_operation(Form::FastIo, IRP_MJ_PREPARE_MDL_WRITE, file, KernelMode);
    prepare->parameters.PrepareMdlWrite.FileOffset.QuadPart = offset;
    prepare->parameters.PrepareMdlWrite.Length = length;
    prepare->parameters.PrepareMdlWrite.MdlChain = &chain;
    if (impl_->world.flt->call_inline(prepare)) {
        *iosb = prepare->io_status;
        if (chain != nullptr) {
            move_data(chain, static_cast<uint8_t *>(const_cast<void *>(buffer)), length, true);
            const auto complete = impl_->inline_operation(Form::FastIo, IRP_MJ_MDL_WRITE_COMPLETE, file, KernelMode);
            complete->parameters.MdlWriteComplete.FileOffset.QuadPart = offset;
            complete->parameters.MdlWriteComplete.MdlChain = chain;
            impl_->world.flt->call_inline(complete);
            iosb->Status = complete->io_status.Status;
        }
        return iosb->Status;
    }
    const auto operation = impl_->irp(IRP_MJ_WRITE, file, KernelMode, IRP_WRITE_OPERATION | IRP_DEFER_IO_COMPLETION);
    operation->parameters.Write.Length = length;
    operation->parameters.Write.ByteOffset.QuadPart = offset;
    operation->parameters.Write.WriteBuffer = const_cast<void *>(buffer);
    return impl_->issue(file, operation, nullptr, iosb);
}

} // namespace fltsim::io
