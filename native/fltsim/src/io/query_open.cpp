// SPDX-License-Identifier: MIT
//
// This module provides: asking for a file's attributes by its name [SEQ-02].
//
//      Basic, NetworkOpen:  NETWORK_QUERY_OPEN (fast I/O)
//      Stat:                QUERY_OPEN (FS-filter operation)
//      turned away by a filter or the file system, or a reparse point on the way:  CREATE, QUERY_INFORMATION, CLEANUP, CLOSE
//
// The file object of the short way lives on the stack on Windows: it has no contexts, cleanup or close.

#include "io/internal.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

FILE_BASIC_INFORMATION basic_of(const FILE_NETWORK_OPEN_INFORMATION &network) {
    FILE_BASIC_INFORMATION basic{};
    basic.CreationTime = network.CreationTime;
    basic.LastAccessTime = network.LastAccessTime;
    basic.LastWriteTime = network.LastWriteTime;
    basic.ChangeTime = network.ChangeTime;
    basic.FileAttributes = network.FileAttributes;
    return basic;
}

NTSTATUS answer(void *buffer, const void *information, size_t bytes, IO_STATUS_BLOCK *iosb) {
    memcpy(buffer, information, bytes);
    iosb->Information = bytes;
    return iosb->Status = STATUS_SUCCESS;
}

/// Nothing: it was turned away.
std::optional<NTSTATUS> ask_at_once(IoManager::Impl &impl, const IoManager::Impl::Open &open, void *buffer,
                                    FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb) {
    const auto file = impl.make_file_object(open);
    const bool stat = information_class == FileStatInformation;
    const auto operation =
        stat ? impl.inline_operation(Form::FsFilter, static_cast<UCHAR>(IRP_MJ_QUERY_OPEN), *file, open.mode)
             : impl.inline_operation(Form::FastIo, static_cast<UCHAR>(IRP_MJ_NETWORK_QUERY_OPEN), *file, open.mode);
    FILE_NETWORK_OPEN_INFORMATION network{};
    FILE_STAT_INFORMATION information{};
    ULONG length = sizeof information;
    if (stat) {
        auto &parameters = operation->parameters.QueryOpen;
        parameters.Irp = operation->irp();
        parameters.FileInformation = &information;
        parameters.Length = &length;
        parameters.FileInformationClass = information_class;
    } else {
        operation->parameters.NetworkQueryOpen.Irp = operation->irp();
        operation->parameters.NetworkQueryOpen.NetworkInformation = &network;
    }
    const bool done = impl.world.flt->call_inline(operation);
    const NTSTATUS status = operation->io_status.Status;
    if (!done || status == STATUS_FLT_DISALLOW_FSFILTER_IO) {
        return std::nullopt;
    }
    if (!NT_SUCCESS(status)) {
        return iosb->Status = status;
    }
    if (stat) {
        return answer(buffer, &information, sizeof information, iosb);
    }
    if (information_class == FileBasicInformation) {
        const FILE_BASIC_INFORMATION basic = basic_of(network);
        return answer(buffer, &basic, sizeof basic, iosb);
    }
    return answer(buffer, &network, sizeof network, iosb);
}

} // namespace

NTSTATUS IoManager::query_by_name(const CreateFile &request, void *buffer, ULONG length,
                                  FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    Impl::Open open;
    open.access = FILE_READ_ATTRIBUTES;
    open.share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    open.disposition = FILE_OPEN;
    open.options = FILE_OPEN_REPARSE_POINT | FILE_OPEN_FOR_BACKUP_INTENT;
    open.mode = request.mode;
    open.below = request.below;
    open.only = request.only;
    const NTSTATUS status = impl_->resolve_name(request.name, request.root, &open);
    if (!NT_SUCCESS(status)) {
        return iosb->Status = status;
    }
    if (open.only != nullptr && open.volume != open.only) {
        return iosb->Status = STATUS_INVALID_DEVICE_OBJECT_PARAMETER;
    }
    if (const auto answered = ask_at_once(*impl_, open, buffer, information_class, iosb)) {
        return *answered;
    }
    std::shared_ptr<FileObject> file;
    ULONG_PTR information = 0;
    const NTSTATUS opened = impl_->open(open, &file, &information);
    if (!NT_SUCCESS(opened)) {
        return iosb->Status = opened;
    }
    const NTSTATUS queried = query_information(*file, buffer, length, information_class, iosb);
    file->last_handle_closed();
    return queried;
}

} // namespace fltsim::io
