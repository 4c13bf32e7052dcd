// SPDX-License-Identifier: MIT
//
// This module provides: query and set information of a volume, by any handle on it.

#include "io/internal.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

/// Smallest buffer and access of a class; nothing when it cannot be queried (set).
struct VolumeClassRule {
    ULONG least_bytes;
    ACCESS_MASK access;
};

std::optional<VolumeClassRule> volume_query_rule(FS_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case FileFsVolumeInformation:
        return VolumeClassRule{sizeof(FILE_FS_VOLUME_INFORMATION), 0};
    case FileFsSizeInformation:
        return VolumeClassRule{sizeof(FILE_FS_SIZE_INFORMATION), 0};
    case FileFsDeviceInformation:
        return VolumeClassRule{sizeof(FILE_FS_DEVICE_INFORMATION), 0};
    case FileFsAttributeInformation:
        return VolumeClassRule{sizeof(FILE_FS_ATTRIBUTE_INFORMATION), 0};
    case FileFsControlInformation:
        return VolumeClassRule{sizeof(FILE_FS_CONTROL_INFORMATION), FILE_READ_DATA};
    case FileFsFullSizeInformation:
        return VolumeClassRule{sizeof(FILE_FS_FULL_SIZE_INFORMATION), 0};
    case FileFsObjectIdInformation:
        return VolumeClassRule{sizeof(FILE_FS_OBJECTID_INFORMATION), 0};
    case FileFsSectorSizeInformation:
        return VolumeClassRule{sizeof(FILE_FS_SECTOR_SIZE_INFORMATION), 0};
    default:
        return std::nullopt;
    }
}

std::optional<VolumeClassRule> volume_set_rule(FS_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case FileFsLabelInformation:
        return VolumeClassRule{sizeof(FILE_FS_LABEL_INFORMATION), FILE_WRITE_DATA};
    case FileFsControlInformation:
        return VolumeClassRule{sizeof(FILE_FS_CONTROL_INFORMATION), FILE_WRITE_DATA};
    case FileFsObjectIdInformation:
        return VolumeClassRule{sizeof(FILE_FS_OBJECTID_INFORMATION), FILE_WRITE_DATA};
    default:
        return std::nullopt;
    }
}

NTSTATUS check_volume_class(const FileObject &file, const std::optional<VolumeClassRule> &rule, ULONG length) {
    if (!rule) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (length < rule->least_bytes) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    return rule->access == 0 || has_access(file, rule->access) ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

ULONG flags_for(const FileObject &file, bool query) {
    return BUFFERED_IRP | (query ? IRP_INPUT_OPERATION : 0) | (file.synchronous ? 0 : IRP_SYNCHRONOUS_API);
}

} // namespace

bool set_buffer_fits(FS_INFORMATION_CLASS information_class, ULONG length) {
    const auto rule = volume_set_rule(information_class);
    return !rule || length >= rule->least_bytes;
}

/// The device's type and characteristics are the I/O manager's own answer: no driver is asked.
NTSTATUS IoManager::query_volume(FileObject &file, void *buffer, ULONG length, FS_INFORMATION_CLASS information_class,
                                 IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    const NTSTATUS checked = check_volume_class(file, volume_query_rule(information_class), length);
    if (!NT_SUCCESS(checked)) {
        return iosb->Status = checked;
    }
    const FileLock lock(impl_->world, file);
    if (information_class == FileFsDeviceInformation) {
        const FILE_FS_DEVICE_INFORMATION device{FILE_DEVICE_DISK, FILE_DEVICE_IS_MOUNTED};
        memcpy(buffer, &device, sizeof device);
        iosb->Information = sizeof device;
        return iosb->Status = STATUS_SUCCESS;
    }
    const auto operation = impl_->irp(IRP_MJ_QUERY_VOLUME_INFORMATION, file, UserMode, flags_for(file, true));
    operation->system_buffer.assign(length, 0);
    auto &parameters = operation->parameters.QueryVolumeInformation;
    parameters.Length = length;
    parameters.FsInformationClass = information_class;
    parameters.VolumeBuffer = operation->system_buffer.data();
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    if (!NT_ERROR(status)) {
        memcpy(buffer, operation->system_buffer.data(), std::min<size_t>(iosb->Information, length));
    }
    return iosb->Status = status;
}

NTSTATUS IoManager::set_volume(FileObject &file, const void *buffer, ULONG length,
                               FS_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    const NTSTATUS checked = check_volume_class(file, volume_set_rule(information_class), length);
    if (!NT_SUCCESS(checked)) {
        return iosb->Status = checked;
    }
    const FileLock lock(impl_->world, file);
    const auto operation = impl_->irp(IRP_MJ_SET_VOLUME_INFORMATION, file, UserMode, flags_for(file, false));
    const auto *bytes = static_cast<const uint8_t *>(buffer);
    operation->system_buffer.assign(bytes, bytes + length);
    auto &parameters = operation->parameters.SetVolumeInformation;
    parameters.Length = length;
    parameters.FsInformationClass = information_class;
    parameters.VolumeBuffer = operation->system_buffer.data();
    const NTSTATUS status = impl_->send_and_wait(operation);
    *iosb = operation->io_status;
    return iosb->Status = status;
}

} // namespace fltsim::io
