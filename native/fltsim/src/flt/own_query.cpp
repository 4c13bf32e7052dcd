// SPDX-License-Identifier: MIT
//
// This module provides: what a filter asks and sets itself of an open file: information, directories, security, extended attributes, controls. An IRP
// to the instances below and the file system each time; the I/O manager's own answers (access, mode, alignment) are not in it.

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "io/internal.hpp"
#include "io/security.hpp"

namespace fltsim::flt {

namespace {

/// What each of these calls begins with. A refusal: the status to return.
struct OwnTarget {
    std::shared_ptr<Instance> instance;
    std::shared_ptr<io::FileObject> file;
    NTSTATUS refusal = STATUS_SUCCESS;

    OwnTarget(const char *api, PFLT_INSTANCE instance_handle, PFILE_OBJECT file_object, PULONG returned) {
        instance = instance_of(instance_handle, api);
        file = open_file_of(file_object, *instance, api);
        if (returned) {
            *returned = 0;
        }
        refusal = failing(api).value_or(STATUS_SUCCESS);
    }
    std::shared_ptr<io::Operation> operation(UCHAR major, ULONG irp_flags = IRP_DEFER_IO_COMPLETION) const {
        return own_operation(instance, *file, major, irp_flags);
    }
    NTSTATUS perform(const std::shared_ptr<io::Operation> &operation, PULONG returned) const {
        const NTSTATUS status = perform_and_wait(instance, operation);
        if (returned) {
            *returned = static_cast<ULONG>(operation->io_status.Information);
        }
        return status;
    }
};

/// The answer in the system buffer goes to the caller.
void take_own_answer(const io::Operation &operation, NTSTATUS status, PVOID buffer, ULONG length) {
    if (!NT_ERROR(status) && buffer) {
        memcpy(buffer, operation.system_buffer.data(),
               std::min<size_t>({operation.io_status.Information, length, operation.system_buffer.size()}));
    }
}

std::shared_ptr<io::Operation> own_query_operation(const OwnTarget &target, ULONG length,
                                                   FILE_INFORMATION_CLASS information_class) {
    auto operation = target.operation(IRP_MJ_QUERY_INFORMATION, io::BUFFERED_IRP | IRP_INPUT_OPERATION);
    operation->system_buffer.assign(std::max<ULONG>(length, 1), 0);
    auto &parameters = operation->parameters.QueryFileInformation;
    parameters.Length = length;
    parameters.FileInformationClass = information_class;
    parameters.InfoBuffer = operation->system_buffer.data();
    return operation;
}

NTSTATUS own_query_directory(const char *api, PFLT_INSTANCE instance, PFILE_OBJECT file, PVOID buffer, ULONG length,
                             FILE_INFORMATION_CLASS information_class, ULONG query_flags, PUNICODE_STRING pattern,
                             PULONG returned) {
    const OwnTarget target(api, instance, file, returned);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation = target.operation(IRP_MJ_DIRECTORY_CONTROL);
    operation->minor = IRP_MN_QUERY_DIRECTORY;
    operation->operation_flags = static_cast<UCHAR>(query_flags);
    auto &parameters = operation->parameters.DirectoryControl.QueryDirectory;
    parameters.Length = length;
    parameters.FileInformationClass = information_class;
    parameters.DirectoryBuffer = buffer;
    parameters.FileName = pattern;
    return target.perform(operation, returned);
}

NTSTATUS own_control(const char *api, PFLT_INSTANCE instance, PFILE_OBJECT file, const io::IoManager::Control &control,
                     PULONG returned) {
    const OwnTarget target(api, instance, file, returned);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation =
        target.operation(control.device ? IRP_MJ_DEVICE_CONTROL : IRP_MJ_FILE_SYSTEM_CONTROL, IRP_DEFER_IO_COMPLETION);
    operation->minor = control.device ? 0 : IRP_MN_USER_FS_REQUEST;
    io::fill_control(*operation, control); // the I/O manager's end copies a buffered answer
    return target.perform(operation, returned);
}

constexpr ULONG kMicrosoftTag = 0x80000000u;

/// A reparse point's structure, with its owner's GUID where the tag is none of Microsoft's.
std::vector<uint8_t> reparse_buffer(ULONG tag, const GUID *guid, const void *data, USHORT bytes) {
    const bool microsoft = (tag & kMicrosoftTag) != 0;
    const size_t head = microsoft ? offsetof(REPARSE_DATA_BUFFER, GenericReparseBuffer)
                                  : offsetof(REPARSE_GUID_DATA_BUFFER, GenericReparseBuffer);
    std::vector<uint8_t> buffer(head + bytes);
    memcpy(buffer.data() + offsetof(REPARSE_DATA_BUFFER, ReparseTag), &tag, sizeof tag);
    memcpy(buffer.data() + offsetof(REPARSE_DATA_BUFFER, ReparseDataLength), &bytes, sizeof bytes);
    if (!microsoft) {
        memcpy(buffer.data() + offsetof(REPARSE_GUID_DATA_BUFFER, ReparseGuid), guid, sizeof *guid);
    }
    if (bytes != 0) {
        memcpy(buffer.data() + head, data, bytes);
    }
    return buffer;
}

NTSTATUS control_tag(const char *api, PFLT_INSTANCE instance, PFILE_OBJECT file, ULONG code, ULONG tag,
                     const GUID *guid, const void *data, USHORT bytes) {
    if ((tag & kMicrosoftTag) == 0 && !guid) {
        return STATUS_INVALID_PARAMETER;
    }
    if (bytes != 0 && !data) {
        bugcheck("VER-02 parameter", api, "DataBuffer is null, and its length is not 0");
    }
    const std::vector<uint8_t> buffer = reparse_buffer(tag, guid, data, bytes);
    return own_control(api, instance, file, {false, code, buffer.data(), static_cast<ULONG>(buffer.size()), nullptr, 0},
                       nullptr);
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Information of an open file, as the file system answers. IRQL PASSIVE_LEVEL, without a TopLevelIrp.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryInformationFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                      PVOID FileInformation, ULONG Length,
                                                      FILE_INFORMATION_CLASS FileInformationClass,
                                                      PULONG LengthReturned) {
    constexpr const char *kApi = "FltQueryInformationFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, LengthReturned);
    check_no_top_level_irp(kApi);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation = own_query_operation(target, Length, FileInformationClass);
    const NTSTATUS status = target.perform(operation, LengthReturned);
    take_own_answer(*operation, status, FileInformation, Length);
    return status;
}

/// Sets information of an open file; a rename's target has to be on its volume. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetInformationFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                    PVOID FileInformation, ULONG Length,
                                                    FILE_INFORMATION_CLASS FileInformationClass) {
    constexpr const char *kApi = "FltSetInformationFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, nullptr);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    if (!io::set_buffer_fits(FileInformationClass, Length)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    return set_and_wait(target.instance, target.operation(IRP_MJ_SET_INFORMATION, io::BUFFERED_IRP), FileInformation,
                        Length, FileInformationClass);
}

/// Whether an open file is a directory. It is asked once for each file object. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltIsDirectory(PFILE_OBJECT FileObject, PFLT_INSTANCE Instance, PBOOLEAN IsDirectory) {
    constexpr const char *kApi = "FltIsDirectory";
    KernelCall call(kApi, APC_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, nullptr);
    NTSTATUS status = target.refusal;
    *IsDirectory = FALSE;
    if (NT_SUCCESS(status) && !target.file->is_directory) {
        const auto operation = own_query_operation(target, sizeof(FILE_STANDARD_INFORMATION), FileStandardInformation);
        FILE_STANDARD_INFORMATION standard{};
        status = target.perform(operation, nullptr);
        take_own_answer(*operation, status, &standard, sizeof standard);
        if (NT_SUCCESS(status)) {
            target.file->is_directory = standard.Directory != 0;
        }
    }
    if (NT_SUCCESS(status)) {
        *IsDirectory = *target.file->is_directory ? TRUE : FALSE;
    }
    return status;
}

/// Lists a directory; FileName is a pattern. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryDirectoryFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                    PVOID FileInformation, ULONG Length,
                                                    FILE_INFORMATION_CLASS FileInformationClass,
                                                    BOOLEAN ReturnSingleEntry, PUNICODE_STRING FileName,
                                                    BOOLEAN RestartScan, PULONG LengthReturned) {
    constexpr const char *kApi = "FltQueryDirectoryFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const ULONG flags = (ReturnSingleEntry ? SL_RETURN_SINGLE_ENTRY : 0u) | (RestartScan ? SL_RESTART_SCAN : 0u);
    return own_query_directory(kApi, Instance, FileObject, FileInformation, Length, FileInformationClass, flags,
                               FileName, LengthReturned);
}

/// The same with the flags in one. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryDirectoryFileEx(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                      PVOID FileInformation, ULONG Length,
                                                      FILE_INFORMATION_CLASS FileInformationClass, ULONG QueryFlags,
                                                      PUNICODE_STRING FileName, PULONG LengthReturned) {
    constexpr const char *kApi = "FltQueryDirectoryFileEx";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if ((QueryFlags & ~static_cast<ULONG>(SL_RETURN_SINGLE_ENTRY | SL_RESTART_SCAN)) != 0) {
        unmodelled(kApi, "QueryFlags " + std::to_string(QueryFlags));
    }
    return own_query_directory(kApi, Instance, FileObject, FileInformation, Length, FileInformationClass, QueryFlags,
                               FileName, LengthReturned);
}

/// The security descriptor, self-relative. STATUS_BUFFER_TOO_SMALL, with the length that is needed. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQuerySecurityObject(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                     SECURITY_INFORMATION SecurityInformation,
                                                     PSECURITY_DESCRIPTOR SecurityDescriptor, ULONG Length,
                                                     PULONG LengthNeeded) {
    constexpr const char *kApi = "FltQuerySecurityObject";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, LengthNeeded);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation = target.operation(IRP_MJ_QUERY_SECURITY);
    auto &parameters = operation->parameters.QuerySecurity;
    parameters.SecurityInformation = SecurityInformation;
    parameters.Length = SecurityDescriptor ? Length : 0;
    parameters.SecurityBuffer = SecurityDescriptor;
    const NTSTATUS status = target.perform(operation, LengthNeeded);
    return status == STATUS_BUFFER_OVERFLOW ? STATUS_BUFFER_TOO_SMALL : status;
}

/// IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetSecurityObject(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                   SECURITY_INFORMATION SecurityInformation,
                                                   PSECURITY_DESCRIPTOR SecurityDescriptor) {
    constexpr const char *kApi = "FltSetSecurityObject";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, nullptr);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation = target.operation(IRP_MJ_SET_SECURITY);
    const NTSTATUS captured = io::capture_security(SecurityDescriptor, &operation->security_descriptor);
    if (!NT_SUCCESS(captured)) {
        return captured;
    }
    operation->parameters.SetSecurity.SecurityInformation = SecurityInformation;
    operation->parameters.SetSecurity.SecurityDescriptor =
        reinterpret_cast<PSECURITY_DESCRIPTOR>(operation->security_descriptor.data());
    return target.perform(operation, nullptr);
}

/// Extended attributes: all, from an index, or those of a list. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryEaFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject, PVOID ReturnedEaData,
                                             ULONG Length, BOOLEAN ReturnSingleEntry, PVOID EaList, ULONG EaListLength,
                                             PULONG EaIndex, BOOLEAN RestartScan, PULONG LengthReturned) {
    constexpr const char *kApi = "FltQueryEaFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, LengthReturned);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation = target.operation(IRP_MJ_QUERY_EA);
    operation->operation_flags =
        static_cast<UCHAR>((ReturnSingleEntry ? SL_RETURN_SINGLE_ENTRY : 0) | (RestartScan ? SL_RESTART_SCAN : 0) |
                           (EaIndex ? SL_INDEX_SPECIFIED : 0));
    auto &parameters = operation->parameters.QueryEa;
    parameters.Length = Length;
    parameters.EaBuffer = ReturnedEaData;
    parameters.EaIndex = EaIndex ? *EaIndex : 0;
    parameters.EaList = EaList;
    parameters.EaListLength = EaListLength;
    return target.perform(operation, LengthReturned);
}

/// IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetEaFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject, PVOID EaBuffer,
                                           ULONG Length) {
    constexpr const char *kApi = "FltSetEaFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const OwnTarget target(kApi, Instance, FileObject, nullptr);
    if (!NT_SUCCESS(target.refusal)) {
        return target.refusal;
    }
    const auto operation = target.operation(IRP_MJ_SET_EA);
    operation->parameters.SetEa.Length = Length;
    operation->parameters.SetEa.EaBuffer = EaBuffer;
    return target.perform(operation, nullptr);
}

/// IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltFsControlFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject, ULONG FsControlCode,
                                               PVOID InputBuffer, ULONG InputBufferLength, PVOID OutputBuffer,
                                               ULONG OutputBufferLength, PULONG LengthReturned) {
    constexpr const char *kApi = "FltFsControlFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return own_control(kApi, Instance, FileObject,
                       {false, FsControlCode, InputBuffer, InputBuffer ? InputBufferLength : 0, OutputBuffer,
                        OutputBuffer ? OutputBufferLength : 0},
                       LengthReturned);
}

/// IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeviceIoControlFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                     ULONG IoControlCode, PVOID InputBuffer, ULONG InputBufferLength,
                                                     PVOID OutputBuffer, ULONG OutputBufferLength,
                                                     PULONG LengthReturned) {
    constexpr const char *kApi = "FltDeviceIoControlFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return own_control(kApi, Instance, FileObject,
                       {true, IoControlCode, InputBuffer, InputBuffer ? InputBufferLength : 0, OutputBuffer,
                        OutputBuffer ? OutputBufferLength : 0},
                       LengthReturned);
}

/// Makes a reparse point of the file, or changes its data. STATUS_INVALID_PARAMETER: the tag is none of Microsoft's, and there is no Guid [E]; the file
/// system's statuses. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltTagFile(PFLT_INSTANCE InitiatingInstance, PFILE_OBJECT FileObject, ULONG FileTag,
                                         GUID *Guid, PVOID DataBuffer, USHORT DataBufferLength) {
    constexpr const char *kApi = "FltTagFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return control_tag(kApi, InitiatingInstance, FileObject, FSCTL_SET_REPARSE_POINT, FileTag, Guid, DataBuffer,
                       DataBufferLength);
}

/// Removes that. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltUntagFile(PFLT_INSTANCE InitiatingInstance, PFILE_OBJECT FileObject, ULONG FileTag,
                                           GUID *Guid) {
    constexpr const char *kApi = "FltUntagFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return control_tag(kApi, InitiatingInstance, FileObject, FSCTL_DELETE_REPARSE_POINT, FileTag, Guid, nullptr, 0);
}
