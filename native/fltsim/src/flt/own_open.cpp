// SPDX-License-Identifier: MIT
//
// This module provides: files that a filter opens itself: FltCreateFile, FltCreateFileEx, FltCreateFileEx2, FltClose.
//
// With an instance the create goes to the instances below it and the file system only. So does all that is done with the file object later: the
// documentation says so of cleanup and close (by IoCreateFileSpecifyDeviceObjectHint), of the rest it is [E].

#include "flt/internal.hpp"

#include <cstring>

#include "core/faults.hpp"

namespace fltsim::flt {

std::shared_ptr<io::FileObject> open_file_of(PFILE_OBJECT file, const Instance &instance, const char *api) {
    auto object = file ? io::FileObject::from_native(file) : nullptr;
    if (!object) {
        bugcheck("VER-02 bad object", api, "the PFILE_OBJECT is not one");
    }
    if (object->volume != instance.volume->volume) {
        bugcheck("VER-02 parameter", api, "the file is not on the volume of the instance " + describe(instance));
    }
    if (!object->opened || object->cleanup_done || (file->Flags & FO_FILE_OPEN_CANCELLED) != 0) {
        bugcheck("V24 file not open", api,
                 object->describe() + (object->opened ? " has been cleaned up: it is open no more"
                                                      : " is not open yet: its create has not succeeded"));
    }
    return object;
}

void check_no_top_level_irp(const char *api) {
    if (current_thread().top_level_irp) {
        bugcheck("V24 under a TopLevelIrp", api,
                 "the thread has a TopLevelIrp: the file system below may hold resources, and this call may deadlock");
    }
}

namespace {

// Of FILE_INFORMATION_CLASS, by name as well.
constexpr int kFileStatLx = 70;
constexpr int kFileCaseSensitive = 71;
constexpr int kFileStatBasic = 77;

/// The parameters of FltCreateFileEx2.
struct OpenRequest {
    const char *api;
    PFLT_FILTER filter;
    PFLT_INSTANCE instance;
    PHANDLE handle;
    PFILE_OBJECT *file;
    ACCESS_MASK access;
    POBJECT_ATTRIBUTES attributes;
    PIO_STATUS_BLOCK iosb;
    PLARGE_INTEGER allocation;
    ULONG file_attributes;
    ULONG share;
    ULONG disposition;
    ULONG options;
    PVOID ea;
    ULONG ea_bytes;
    ULONG flags;
    PIO_DRIVER_CREATE_CONTEXT context;
};

void check_create_context(const OpenRequest &request) {
    const IO_DRIVER_CREATE_CONTEXT *context = request.context;
    if (!context) {
        return;
    }
    if (context->Size != sizeof *context) {
        bugcheck("VER-02 parameter", request.api,
                 "DriverContext was not initialised with IoInitializeDriverCreateContext");
    }
    if (context->DeviceObjectHint) {
        bugcheck("VER-02 parameter", request.api, "DeviceObjectHint is for IoCreateFileEx: pass an instance");
    }
    if (context->TxnParameters || context->SiloContext) {
        unmodelled(request.api, "transactions and silos");
    }
}

/// IO_*: the Flags of FltCreateFile.
void take_create_flags(const OpenRequest &request, io::IoManager::CreateFile *create) {
    constexpr ULONG kKnown = IO_FORCE_ACCESS_CHECK | IO_OPEN_TARGET_DIRECTORY | IO_NO_PARAMETER_CHECKING |
                             IO_CHECK_CREATE_PARAMETERS | IO_IGNORE_SHARE_ACCESS_CHECK;
    if ((request.flags & ~kKnown) != 0) {
        unmodelled(request.api, "Flags " + std::to_string(request.flags));
    }
    create->ignore_share = (request.flags & IO_IGNORE_SHARE_ACCESS_CHECK) != 0;
    create->unchecked = (request.flags & IO_NO_PARAMETER_CHECKING) != 0;
    if ((request.flags & IO_FORCE_ACCESS_CHECK) != 0) {
        create->operation_flags |= SL_FORCE_ACCESS_CHECK; // whoever asks may open everything here
    }
    if ((request.flags & IO_OPEN_TARGET_DIRECTORY) != 0) {
        create->operation_flags |= SL_OPEN_TARGET_DIRECTORY;
    }
}

NTSTATUS take_create_name(const OpenRequest &request, io::IoManager::CreateFile *create) {
    const OBJECT_ATTRIBUTES *attributes = request.attributes;
    if (!io::names_object(attributes)) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((attributes->Attributes & OBJ_KERNEL_HANDLE) == 0 && !current_thread().process->system) {
        bugcheck("V24 handle for a stranger", request.api,
                 "without OBJ_KERNEL_HANDLE the handle belongs to the process of the thread that the filter happens to "
                 "run in");
    }
    create->security_descriptor = attributes->SecurityDescriptor;
    return io::take_object_name(request.api, attributes, create);
}

void send_below(const Instance *instance, io::IoManager::CreateFile *create) {
    if (instance) {
        create->below = instance->altitude;
        create->only = instance->volume->volume;
    }
}

/// Whose the call is, or null: nobody's in particular.
std::shared_ptr<Instance> checked_instance(const OpenRequest &request) {
    const auto filter = filter_of(request.filter, request.api);
    const auto instance = request.instance ? instance_of(request.instance, request.api) : nullptr;
    if (instance && instance->filter != filter.get()) {
        bugcheck("VER-02 parameter", request.api, "the instance is not one of the filter");
    }
    return instance;
}

NTSTATUS open_own(const OpenRequest &request) {
    *request.handle = nullptr;
    if (request.file) {
        *request.file = nullptr;
    }
    const auto instance = checked_instance(request);
    if (instance && instance->state == Instance::State::Gone) {
        return request.iosb->Status = STATUS_FLT_DELETING_OBJECT;
    }
    check_no_top_level_irp(request.api);
    check_create_context(request);
    io::IoManager::CreateFile create;
    take_create_flags(request, &create);
    NTSTATUS status = take_create_name(request, &create);
    if (NT_SUCCESS(status)) {
        status = failing(request.api).value_or(STATUS_SUCCESS);
    }
    ULONG_PTR information = 0;
    std::shared_ptr<io::FileObject> file;
    if (NT_SUCCESS(status)) {
        create.access = request.access;
        create.attributes = request.file_attributes;
        create.share = request.share;
        create.disposition = request.disposition;
        create.options = request.options;
        create.allocation = request.allocation ? request.allocation->QuadPart : 0;
        if (request.ea && request.ea_bytes != 0) {
            const auto *bytes = static_cast<const uint8_t *>(request.ea);
            create.ea.assign(bytes, bytes + request.ea_bytes);
        }
        create.mode = KernelMode;
        create.ecp_list = request.context ? request.context->ExtraCreateParameter : nullptr;
        send_below(instance.get(), &create);
        status = world().io->create_file(create, &file, &information);
    }
    request.iosb->Status = status;
    request.iosb->Information = information;
    if (NT_SUCCESS(status)) {
        *request.handle = world().handles->insert(file, (request.attributes->Attributes & OBJ_KERNEL_HANDLE) != 0);
        if (request.file) {
            ObfReferenceObject(&file->native);
            *request.file = &file->native;
        }
    }
    return status;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Opens or makes a file; with an instance only those below it see that. The handle ends with FltClose, the file object with ObDereferenceObject.
/// The file system's statuses; STATUS_INVALID_DEVICE_OBJECT_PARAMETER, STATUS_MOUNT_POINT_NOT_RESOLVED: the name leads to another volume than
/// the instance's. IRQL PASSIVE_LEVEL, without a TopLevelIrp.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCreateFileEx2(PFLT_FILTER Filter, PFLT_INSTANCE Instance, PHANDLE FileHandle,
                                               PFILE_OBJECT *FileObject, ACCESS_MASK DesiredAccess,
                                               POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                               PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess,
                                               ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer,
                                               ULONG EaLength, ULONG Flags, PIO_DRIVER_CREATE_CONTEXT DriverContext) {
    constexpr const char *kApi = "FltCreateFileEx2";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return open_own({kApi, Filter, Instance, FileHandle, FileObject, DesiredAccess, ObjectAttributes, IoStatusBlock,
                     AllocationSize, FileAttributes, ShareAccess, CreateDisposition, CreateOptions, EaBuffer, EaLength,
                     Flags, DriverContext});
}

/// FltCreateFileEx2 without a create context. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCreateFileEx(PFLT_FILTER Filter, PFLT_INSTANCE Instance, PHANDLE FileHandle,
                                              PFILE_OBJECT *FileObject, ACCESS_MASK DesiredAccess,
                                              POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                              PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess,
                                              ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer,
                                              ULONG EaLength, ULONG Flags) {
    constexpr const char *kApi = "FltCreateFileEx";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return open_own({kApi, Filter, Instance, FileHandle, FileObject, DesiredAccess, ObjectAttributes, IoStatusBlock,
                     AllocationSize, FileAttributes, ShareAccess, CreateDisposition, CreateOptions, EaBuffer, EaLength,
                     Flags, nullptr});
}

/// FltCreateFileEx for the handle alone. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCreateFile(PFLT_FILTER Filter, PFLT_INSTANCE Instance, PHANDLE FileHandle,
                                            ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                                            PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize,
                                            ULONG FileAttributes, ULONG ShareAccess, ULONG CreateDisposition,
                                            ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength, ULONG Flags) {
    constexpr const char *kApi = "FltCreateFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return open_own({kApi, Filter, Instance, FileHandle, nullptr, DesiredAccess, ObjectAttributes, IoStatusBlock,
                     AllocationSize, FileAttributes, ShareAccess, CreateDisposition, CreateOptions, EaBuffer, EaLength,
                     Flags, nullptr});
}

/// Closes a handle of FltCreateFile: cleanup and close go where the create went. STATUS_INVALID_HANDLE. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltClose(HANDLE FileHandle) {
    KernelCall call("FltClose", PASSIVE_LEVEL);
    if (!world().handles->find_as<io::FileObject>(FileHandle)) {
        return STATUS_INVALID_HANDLE;
    }
    return world().handles->close(FileHandle) ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
}

/// Information of a file by its name: what is asked is QUERY_OPEN below the instance, and where that is turned away an open [SEQ-02].
/// STATUS_INVALID_INFO_CLASS: a class that is not told by name; STATUS_INFO_LENGTH_MISMATCH, or the statuses of an open. IRQL PASSIVE_LEVEL, without a
/// TopLevelIrp.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryInformationByName(PFLT_FILTER Filter, PFLT_INSTANCE Instance,
                                                        POBJECT_ATTRIBUTES ObjectAttributes,
                                                        PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                                        ULONG Length, FILE_INFORMATION_CLASS FileInformationClass,
                                                        PIO_DRIVER_CREATE_CONTEXT DriverContext) {
    constexpr const char *kApi = "FltQueryInformationByName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    OpenRequest request{};
    request.api = kApi;
    request.filter = Filter;
    request.instance = Instance;
    request.context = DriverContext;
    *IoStatusBlock = {};
    const auto instance = checked_instance(request);
    check_no_top_level_irp(kApi);
    check_create_context(request);
    if (DriverContext && DriverContext->ExtraCreateParameter) {
        unmodelled(kApi, "extra create parameters");
    }
    const int number = FileInformationClass;
    if (number == kFileStatLx || number == kFileCaseSensitive || number == kFileStatBasic) {
        unmodelled(kApi, "FileInformationClass " + std::to_string(number));
    }
    NTSTATUS status = instance && instance->state == Instance::State::Gone ? STATUS_FLT_DELETING_OBJECT
                      : !io::names_object(ObjectAttributes)                ? STATUS_INVALID_PARAMETER
                      : FileInformationClass != FileStatInformation        ? STATUS_INVALID_INFO_CLASS
                      : Length < sizeof(FILE_STAT_INFORMATION)             ? STATUS_INFO_LENGTH_MISMATCH
                                                                           : failing(kApi).value_or(STATUS_SUCCESS);
    io::IoManager::CreateFile target;
    if (NT_SUCCESS(status)) {
        status = io::take_object_name(kApi, ObjectAttributes, &target);
    }
    if (!NT_SUCCESS(status)) {
        return IoStatusBlock->Status = status;
    }
    target.mode = KernelMode;
    send_below(instance.get(), &target);
    return world().io->query_by_name(target, FileInformation, Length, FileInformationClass, IoStatusBlock);
}
