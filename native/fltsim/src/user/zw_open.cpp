// SPDX-License-Identifier: MIT
//
// This module provides: the services by which drivers open, make and delete files by name, and make events: ZwCreateFile, ZwOpenFile, ZwDeleteFile, ZwCreateEvent.
//
// They go through the whole filter stack, with the kernel's previous mode and no access checks. An open that fails leaves the handle alone.

#include "core/faults.hpp"
#include "io/io_manager.hpp"
#include "ke/process_object.hpp"
#include "ke/state.hpp"
#include "user/event.hpp"

using namespace fltsim;

namespace {

/// What stands in the arguments before anything is opened: as take_object_name.
NTSTATUS take_zw_name(const char *api, const OBJECT_ATTRIBUTES *attributes, io::IoManager::CreateFile *request) {
    const NTSTATUS status = io::take_object_name(api, attributes, request);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    request->security_descriptor = attributes->SecurityDescriptor;
    request->mode = KernelMode;
    if ((attributes->Attributes & OBJ_FORCE_ACCESS_CHECK) != 0) {
        request->operation_flags |= SL_FORCE_ACCESS_CHECK;
    }
    return STATUS_SUCCESS;
}

/// Opens what `request` says, and puts a handle of it into the table.
NTSTATUS open_for_driver(const char *api, PHANDLE handle, const OBJECT_ATTRIBUTES *attributes,
                         PIO_STATUS_BLOCK status_block, io::IoManager::CreateFile &request) {
    if (handle == nullptr || status_block == nullptr) {
        bugcheck("VER-02 parameter", api, "FileHandle or IoStatusBlock is null");
    }
    ke::check_special_apcs(api);
    NTSTATUS status = take_zw_name(api, attributes, &request);
    if (NT_SUCCESS(status)) {
        ke::check_not_for_stranger(api, attributes->Attributes);
        status = failing(api).value_or(STATUS_SUCCESS);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    std::shared_ptr<io::FileObject> file;
    ULONG_PTR information = 0;
    status = world().io->create_file(request, &file, &information);
    status_block->Status = status;
    status_block->Information = information;
    if (NT_SUCCESS(status)) {
        *handle = world().handles->insert(file, (attributes->Attributes & OBJ_KERNEL_HANDLE) != 0);
    }
    return status;
}

} // namespace

/// Opens or makes a file or directory. PASSIVE_LEVEL, outside guarded regions. The file system's statuses.
FLTSIM_KERNEL NTSTATUS NTAPI ZwCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess,
                                          POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                          PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess,
                                          ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer,
                                          ULONG EaLength) {
    constexpr const char *kApi = "ZwCreateFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    if (AllocationSize != nullptr && AllocationSize->QuadPart < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    io::IoManager::CreateFile request;
    request.access = DesiredAccess;
    request.allocation = AllocationSize != nullptr ? AllocationSize->QuadPart : 0;
    request.attributes = FileAttributes;
    request.share = ShareAccess;
    request.disposition = CreateDisposition;
    request.options = CreateOptions;
    if (EaBuffer != nullptr && EaLength != 0) {
        const auto *bytes = static_cast<const uint8_t *>(EaBuffer);
        request.ea.assign(bytes, bytes + EaLength);
    }
    return open_for_driver(kApi, FileHandle, ObjectAttributes, IoStatusBlock, request);
}

/// Opens an existing file or directory. PASSIVE_LEVEL, outside guarded regions.
FLTSIM_KERNEL NTSTATUS NTAPI ZwOpenFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess,
                                        POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                        ULONG ShareAccess, ULONG OpenOptions) {
    constexpr const char *kApi = "ZwOpenFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    io::IoManager::CreateFile request;
    request.access = DesiredAccess;
    request.share = ShareAccess;
    request.options = OpenOptions;
    return open_for_driver(kApi, FileHandle, ObjectAttributes, IoStatusBlock, request);
}

/// Opens the file to be deleted on close, and closes it. PASSIVE_LEVEL, outside guarded regions. The statuses of that open.
FLTSIM_KERNEL NTSTATUS NTAPI ZwDeleteFile(POBJECT_ATTRIBUTES ObjectAttributes) {
    constexpr const char *kApi = "ZwDeleteFile";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    ke::check_special_apcs(kApi);
    io::IoManager::CreateFile request;
    NTSTATUS status = take_zw_name(kApi, ObjectAttributes, &request);
    if (NT_SUCCESS(status)) {
        status = failing(kApi).value_or(STATUS_SUCCESS);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    request.access = DELETE;
    request.share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    request.options = FILE_DELETE_ON_CLOSE;
    std::shared_ptr<io::FileObject> file;
    ULONG_PTR information = 0;
    status = world().io->create_file(request, &file, &information);
    if (NT_SUCCESS(status)) {
        constexpr bool kKernel = true;
        world().handles->close(world().handles->insert(std::move(file), kKernel));
    }
    return status;
}

/// For the calls that set one when they are done, and to be waited for by handle. PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess,
                                           POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType,
                                           BOOLEAN InitialState) {
    constexpr const char *kApi = "ZwCreateEvent";
    const KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    if (EventHandle == nullptr) {
        bugcheck("VER-02 parameter", kApi, "EventHandle is null");
    }
    if (ObjectAttributes != nullptr && ObjectAttributes->ObjectName != nullptr) {
        unmodelled(kApi, "an event with a name");
    }
    const ULONG attributes = ObjectAttributes != nullptr ? ObjectAttributes->Attributes : 0;
    ke::check_not_for_stranger(kApi, attributes);
    if (EventType != NotificationEvent && EventType != SynchronizationEvent) {
        return STATUS_INVALID_PARAMETER;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto event = std::make_shared<user::Event>(EventType == NotificationEvent, InitialState != FALSE);
    *EventHandle = world().handles->insert(event, (attributes & OBJ_KERNEL_HANDLE) != 0);
    return STATUS_SUCCESS;
}
