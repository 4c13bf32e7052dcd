// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_DEVICE_CONTROL: what the volume's device below the file system answers to a handle of the volume.
//
// A file system passes device controls of a volume handle down and refuses those of files and directories with STATUS_INVALID_PARAMETER. A code
// that the device does not know is STATUS_INVALID_DEVICE_REQUEST. Each volume is one partition of one fixed disk.

#include "fs/control_codes.hpp"
#include "fs/memfs.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

constexpr uint32_t SECTORS_PER_TRACK = 63;
constexpr uint32_t TRACKS_PER_CYLINDER = 255;
constexpr uint64_t DISK_BYTES = VOLUME_BYTES + 2 * VOLUME_STARTS_AT;

template <class T> NTSTATUS answer(io::Operation &operation, void *output, ULONG output_bytes, const T &value) {
    if (output_bytes < sizeof value) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    memcpy(output, &value, sizeof value);
    operation.io_status.Information = sizeof value;
    return STATUS_SUCCESS;
}

DiskGeometry geometry() {
    constexpr uint64_t CYLINDER_BYTES = uint64_t{SECTORS_PER_TRACK} * TRACKS_PER_CYLINDER * SECTOR_BYTES;
    return {static_cast<int64_t>(DISK_BYTES / CYLINDER_BYTES), FIXED_MEDIA, TRACKS_PER_CYLINDER, SECTORS_PER_TRACK,
            SECTOR_BYTES};
}

/// The number at the end of \Device\HarddiskVolumeN, from 0.
uint32_t disk_number(const io::Volume &volume) {
    return static_cast<uint32_t>(volume.device_name.back() - u'1');
}

PartitionInformationEx partition(const io::Volume &volume) {
    constexpr uint32_t PARTITION_STYLE_GPT = 1;
    PartitionInformationEx information{};
    information.style = PARTITION_STYLE_GPT;
    information.starting_offset = static_cast<int64_t>(VOLUME_STARTS_AT);
    information.partition_bytes = static_cast<int64_t>(VOLUME_BYTES);
    information.partition_number = PARTITION_NUMBER;
    // PARTITION_BASIC_DATA_GUID
    information.type = {0xEBD0A0A2, 0xB9E5, 0x4433, {0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7}};
    information.id = {disk_number(volume) + 1, 0, 0, {}};
    constexpr char16_t NAME[] = u"Basic data partition";
    static_assert(sizeof NAME <= sizeof information.name);
    memcpy(information.name, NAME, sizeof NAME);
    return information;
}

NTSTATUS query_property(io::Operation &operation, const void *input, ULONG input_bytes, void *output, ULONG bytes) {
    constexpr uint32_t SEEK_PENALTY_PROPERTY = 7;
    StoragePropertyQuery query{};
    if (input_bytes < sizeof query) {
        return STATUS_INVALID_PARAMETER;
    }
    memcpy(&query, input, sizeof query);
    if (query.property_id != SEEK_PENALTY_PROPERTY || query.query_type > 1) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    constexpr uint32_t EXISTS_QUERY = 1;
    if (query.query_type == EXISTS_QUERY) {
        return STATUS_SUCCESS;
    }
    return answer(operation, output, bytes,
                  SeekPenaltyDescriptor{sizeof(SeekPenaltyDescriptor), sizeof(SeekPenaltyDescriptor), 0, {}});
}

/// MOUNTDEV_NAME: the length in bytes, then the name; a short buffer gets the length.
NTSTATUS device_name(io::Operation &operation, const io::Volume &volume, void *output, ULONG bytes) {
    const auto name_bytes = static_cast<USHORT>(volume.device_name.size() * sizeof(char16_t));
    if (bytes < sizeof name_bytes + sizeof(char16_t)) {
        return STATUS_INVALID_PARAMETER;
    }
    memcpy(output, &name_bytes, sizeof name_bytes);
    if (bytes < sizeof name_bytes + name_bytes) {
        operation.io_status.Information = sizeof name_bytes + sizeof(char16_t);
        return STATUS_BUFFER_OVERFLOW;
    }
    memcpy(static_cast<uint8_t *>(output) + sizeof name_bytes, volume.device_name.data(), name_bytes);
    operation.io_status.Information = sizeof name_bytes + name_bytes;
    return STATUS_SUCCESS;
}

} // namespace

NTSTATUS MemFileSystem::device_control(io::Operation &operation) {
    if ((operation.file->native.Flags & FO_VOLUME_OPEN) == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto &parameters = operation.parameters.DeviceIoControl;
    void *buffer = parameters.Buffered.SystemBuffer; // every code below is METHOD_BUFFERED
    const ULONG bytes = parameters.Common.OutputBufferLength;
    switch (parameters.Common.IoControlCode) {
    case IOCTL_DISK_GET_DRIVE_GEOMETRY:
        return answer(operation, buffer, bytes, geometry());
    case IOCTL_DISK_GET_DRIVE_GEOMETRY_EX:
        return answer(operation, buffer, bytes, DiskGeometryEx{geometry(), static_cast<int64_t>(DISK_BYTES)});
    case IOCTL_DISK_GET_LENGTH_INFO:
        return answer(operation, buffer, bytes, static_cast<int64_t>(VOLUME_BYTES));
    case IOCTL_DISK_GET_PARTITION_INFO_EX:
        return answer(operation, buffer, bytes, partition(volume_));
    case IOCTL_DISK_IS_WRITABLE:
    case IOCTL_STORAGE_CHECK_VERIFY:
    case IOCTL_STORAGE_CHECK_VERIFY2:
        return STATUS_SUCCESS;
    case IOCTL_STORAGE_GET_DEVICE_NUMBER:
        return answer(operation, buffer, bytes,
                      StorageDeviceNumber{FILE_DEVICE_DISK, disk_number(volume_), PARTITION_NUMBER});
    case IOCTL_STORAGE_GET_HOTPLUG_INFO:
        return answer(operation, buffer, bytes, StorageHotplugInfo{sizeof(StorageHotplugInfo), 0, 0, 0, 0});
    case IOCTL_STORAGE_QUERY_PROPERTY:
        return query_property(operation, buffer, parameters.Common.InputBufferLength, buffer, bytes);
    case IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS:
        return answer(operation, buffer, bytes,
                      VolumeDiskExtents{1, 0, disk_number(volume_), 0, static_cast<int64_t>(VOLUME_STARTS_AT),
                                        static_cast<int64_t>(VOLUME_BYTES)});
    case IOCTL_VOLUME_GET_GPT_ATTRIBUTES:
        return answer(operation, buffer, bytes, uint64_t{0});
    case IOCTL_MOUNTDEV_QUERY_DEVICE_NAME:
        return device_name(operation, volume_, buffer, bytes);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

} // namespace fltsim::fs
