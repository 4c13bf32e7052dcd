// SPDX-License-Identifier: MIT
//
// This module provides: the file services that drivers call.

#include "core/faults.hpp"
#include "core/registry.hpp"
#include "io/internal.hpp"

using namespace fltsim;

namespace {

/// What ZwCreateFile and ZwOpenFile share.
NTSTATUS open_file(const char *api, PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes,
                   PIO_STATUS_BLOCK status_block, ULONG file_attributes, ULONG share, ULONG disposition,
                   ULONG options) {
    if (attributes == nullptr || attributes->ObjectName == nullptr || attributes->Length != sizeof(OBJECT_ATTRIBUTES)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (attributes->RootDirectory != nullptr) {
        unmodelled(api, "names relative to a directory handle");
    }
    const UNICODE_STRING &name = *attributes->ObjectName;
    const std::u16string path(reinterpret_cast<const char16_t *>(name.Buffer), name.Length / sizeof(WCHAR));
    std::shared_ptr<io::FileObject> file;
    ULONG_PTR information = 0;
    const NTSTATUS status =
        world().io->create(path, access, file_attributes, share, disposition, options, KernelMode, &file, &information);
    status_block->Status = status;
    status_block->Information = information;
    if (NT_SUCCESS(status)) {
        *handle = world().handles->insert(file, (attributes->Attributes & OBJ_KERNEL_HANDLE) != 0);
    }
    return status;
}

} // namespace

/// Opens an existing file or directory. PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS NTAPI ZwOpenFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess,
                                        POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                        ULONG ShareAccess, ULONG OpenOptions) {
    const KernelCall call("ZwOpenFile", PASSIVE_LEVEL);
    const DriverService service;
    if (const auto failure = failing("ZwOpenFile")) {
        return *failure;
    }
    return open_file("ZwOpenFile", FileHandle, DesiredAccess, ObjectAttributes, IoStatusBlock, 0, ShareAccess,
                     FILE_OPEN, OpenOptions);
}
