// SPDX-License-Identifier: MIT
//
// This module provides: extended attributes, quotas and security of open files.
//
// A file system that keeps no security descriptors says STATUS_INVALID_DEVICE_REQUEST; the I/O manager then answers itself: everybody may do
// everything, and a descriptor that is set is dropped with success.

#include "io/internal.hpp"
#include "io/security.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

constexpr ACCESS_MASK READ_SECURITY = 0x00020000; // READ_CONTROL
constexpr ACCESS_MASK WRITE_DACL = 0x00040000; // WRITE_DAC
constexpr ACCESS_MASK WRITE_OWNER_SECURITY = 0x00080000; // WRITE_OWNER
constexpr ACCESS_MASK SYSTEM_SECURITY = 0x01000000; // ACCESS_SYSTEM_SECURITY

ULONG flags_for(const FileObject &file) {
    return IRP_DEFER_IO_COMPLETION | (file.synchronous ? 0 : IRP_SYNCHRONOUS_API);
}

/// The list's copy and the answer's buffer, one behind the other.
constexpr size_t LIST_ALIGNMENT = 8;

size_t list_room(ULONG bytes) {
    return (bytes + LIST_ALIGNMENT - 1) / LIST_ALIGNMENT * LIST_ALIGNMENT;
}

/// Access to each part of a descriptor that is set.
bool may_set(const FileObject &file, ULONG information) {
    const auto granted = [&](ACCESS_MASK access) { return (file.granted_access & access) != 0; };
    return ((information & (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION)) == 0 ||
            granted(WRITE_OWNER_SECURITY)) &&
           ((information & DACL_SECURITY_INFORMATION) == 0 || granted(WRITE_DACL)) &&
           ((information & SACL_SECURITY_INFORMATION) == 0 || granted(SYSTEM_SECURITY));
}

bool may_query(const FileObject &file, ULONG information) {
    constexpr ULONG OTHERS = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    return ((information & OTHERS) == 0 || has_access(file, READ_SECURITY)) &&
           ((information & SACL_SECURITY_INFORMATION) == 0 || has_access(file, SYSTEM_SECURITY));
}

/// Owner, group and everybody are "Everyone".
std::vector<uint8_t> world_security(ULONG information) {
    const auto everyone = sid_of(1, {0});
    ACE_HEADER header{};
    const ACCESS_MASK access = FILE_ALL_ACCESS;
    header.AceSize = static_cast<USHORT>(sizeof header + sizeof access + everyone.size());
    std::vector<uint8_t> ace(header.AceSize);
    memcpy(ace.data(), &header, sizeof header);
    memcpy(ace.data() + sizeof header, &access, sizeof access);
    memcpy(ace.data() + sizeof header + sizeof access, everyone.data(), everyone.size());
    SecurityParts parts;
    parts.owner = everyone;
    parts.group = everyone;
    parts.dacl = acl_of({ace});
    keep_security(information, &parts);
    return join_security(parts);
}

} // namespace

NTSTATUS IoManager::query_ea(FileObject &file, const EaQuery &query, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_READ_EA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_QUERY_EA, file, UserMode, flags_for(file));
    operation->operation_flags = query.flags;
    auto &parameters = operation->parameters.QueryEa;
    parameters.Length = query.length;
    parameters.EaBuffer = query.buffer;
    parameters.EaIndex = query.index;
    if (query.list != nullptr && query.list_bytes != 0) {
        const auto *bytes = static_cast<const uint8_t *>(query.list);
        operation->system_buffer.assign(bytes, bytes + query.list_bytes);
        parameters.EaList = operation->system_buffer.data();
        parameters.EaListLength = query.list_bytes;
    }
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    return iosb->Status = status;
}

NTSTATUS IoManager::set_ea(FileObject &file, const void *buffer, ULONG length, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_WRITE_EA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_SET_EA, file, UserMode, flags_for(file));
    const auto *bytes = static_cast<const uint8_t *>(buffer);
    operation->system_buffer.assign(bytes, bytes + length);
    operation->parameters.SetEa.Length = length;
    operation->parameters.SetEa.EaBuffer = operation->system_buffer.data();
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    return iosb->Status = status;
}

NTSTATUS IoManager::query_quota(FileObject &file, const EaQuery &query, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_READ_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    constexpr size_t SECURITY_MAX_SID_SIZE = 68;
    const auto *start_sid = static_cast<const uint8_t *>(query.start_sid);
    const size_t start_bytes = start_sid == nullptr ? 0 : sid_bytes(start_sid, SECURITY_MAX_SID_SIZE);
    if (start_sid != nullptr && start_bytes == 0) {
        return iosb->Status = STATUS_INVALID_SID;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_QUERY_QUOTA, file, UserMode, flags_for(file));
    operation->operation_flags = query.flags;
    const size_t list = list_room(query.list_bytes);
    const size_t start = list_room(list + query.length);
    operation->system_buffer.assign(start + start_bytes, 0);
    auto &parameters = operation->parameters.QueryQuota;
    parameters.Length = query.length;
    parameters.QuotaBuffer = operation->system_buffer.data() + list;
    if (query.list != nullptr && query.list_bytes != 0) {
        memcpy(operation->system_buffer.data(), query.list, query.list_bytes);
        parameters.SidList = reinterpret_cast<PFILE_GET_QUOTA_INFORMATION>(operation->system_buffer.data());
        parameters.SidListLength = query.list_bytes;
    }
    if (start_bytes != 0) {
        parameters.StartSid = operation->system_buffer.data() + start;
        memcpy(parameters.StartSid, start_sid, start_bytes);
    }
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    if (!NT_ERROR(status) && iosb->Information != 0) {
        memcpy(query.buffer, parameters.QuotaBuffer, std::min<size_t>(iosb->Information, query.length));
    }
    return iosb->Status = status;
}

NTSTATUS IoManager::set_quota(FileObject &file, const void *buffer, ULONG length, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_WRITE_DATA)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_SET_QUOTA, file, UserMode, flags_for(file));
    const auto *bytes = static_cast<const uint8_t *>(buffer);
    operation->system_buffer.assign(bytes, bytes + length);
    operation->parameters.SetQuota.Length = length;
    operation->parameters.SetQuota.QuotaBuffer = operation->system_buffer.data();
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    return iosb->Status = status;
}

NTSTATUS IoManager::query_security(FileObject &file, ULONG information, void *buffer, ULONG length, ULONG *needed) {
    *needed = 0;
    if (!may_query(file, information)) {
        return STATUS_ACCESS_DENIED;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_QUERY_SECURITY, file, UserMode, flags_for(file));
    auto &parameters = operation->parameters.QuerySecurity;
    parameters.SecurityInformation = information;
    parameters.Length = length;
    parameters.SecurityBuffer = buffer;
    NTSTATUS status = impl_->send_and_wait(operation);
    if (status == STATUS_INVALID_DEVICE_REQUEST) {
        const std::vector<uint8_t> answer = world_security(information);
        *needed = static_cast<ULONG>(answer.size());
        if (answer.size() > length) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        memcpy(buffer, answer.data(), answer.size());
        return STATUS_SUCCESS;
    }
    *needed = static_cast<ULONG>(operation->io_status.Information);
    return status == STATUS_BUFFER_OVERFLOW ? STATUS_BUFFER_TOO_SMALL : status;
}

NTSTATUS IoManager::set_security(FileObject &file, ULONG information, const void *descriptor) {
    if (!may_set(file, information)) {
        return STATUS_ACCESS_DENIED;
    }
    std::vector<uint8_t> captured;
    NTSTATUS status = capture_security(descriptor, &captured);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_SET_SECURITY, file, UserMode, flags_for(file));
    operation->security_descriptor = std::move(captured);
    operation->parameters.SetSecurity.SecurityInformation = information;
    operation->parameters.SetSecurity.SecurityDescriptor =
        reinterpret_cast<PSECURITY_DESCRIPTOR>(operation->security_descriptor.data());
    status = impl_->send_and_wait(operation);
    return status == STATUS_INVALID_DEVICE_REQUEST ? STATUS_SUCCESS : status;
}

} // namespace fltsim::io
