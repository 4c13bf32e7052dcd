// SPDX-License-Identifier: MIT
//
// This module provides: control codes, and the structures they carry, that native/ddk does not declare (user mode's winioctl.h), with their
// values on every Windows; and the shape of the disk that a volume pretends to lie on.
#pragma once

#include <cstdint>

#include "core/ddk.hpp"

namespace fltsim::fs {

// ---- the disk ----------------------------------------------------------------------------------------------------------------

inline constexpr uint64_t VOLUME_BYTES = uint64_t{1} << 40;
inline constexpr uint64_t VOLUME_STARTS_AT = uint64_t{1} << 20; ///< on its disk, one disk for each volume
inline constexpr uint32_t CLUSTER_BYTES = 4096;
inline constexpr ULONG PARTITION_NUMBER = 1;

// ---- IOCTL_* -----------------------------------------------------------------------------------------------------------------

inline constexpr ULONG IOCTL_DISK_GET_DRIVE_GEOMETRY = 0x00070000;
inline constexpr ULONG IOCTL_DISK_IS_WRITABLE = 0x00070024;
inline constexpr ULONG IOCTL_DISK_GET_PARTITION_INFO_EX = 0x00070048;
inline constexpr ULONG IOCTL_DISK_GET_DRIVE_GEOMETRY_EX = 0x000700A0;
inline constexpr ULONG IOCTL_DISK_GET_LENGTH_INFO = 0x0007405C;
inline constexpr ULONG IOCTL_STORAGE_CHECK_VERIFY = 0x002D4800;
inline constexpr ULONG IOCTL_STORAGE_CHECK_VERIFY2 = 0x002D0800;
inline constexpr ULONG IOCTL_STORAGE_GET_HOTPLUG_INFO = 0x002D0C14;
inline constexpr ULONG IOCTL_STORAGE_GET_DEVICE_NUMBER = 0x002D1080;
inline constexpr ULONG IOCTL_STORAGE_QUERY_PROPERTY = 0x002D1400;
inline constexpr ULONG IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS = 0x00560000;
inline constexpr ULONG IOCTL_VOLUME_GET_GPT_ATTRIBUTES = 0x00560038;
inline constexpr ULONG IOCTL_MOUNTDEV_QUERY_DEVICE_NAME = 0x004D0008;

inline constexpr ULONG FIXED_MEDIA = 12;

struct DiskGeometry { ///< DISK_GEOMETRY
    int64_t cylinders;
    uint32_t media_type;
    uint32_t tracks_per_cylinder;
    uint32_t sectors_per_track;
    uint32_t bytes_per_sector;
};
static_assert(sizeof(DiskGeometry) == 24);

struct DiskGeometryEx { ///< DISK_GEOMETRY_EX without its variable data
    DiskGeometry geometry;
    int64_t disk_bytes;
};
static_assert(sizeof(DiskGeometryEx) == 32);

struct PartitionInformationEx { ///< PARTITION_INFORMATION_EX of a GPT partition
    uint32_t style;
    uint32_t reserved0;
    int64_t starting_offset;
    int64_t partition_bytes;
    uint32_t partition_number;
    uint8_t rewrite;
    uint8_t service;
    uint8_t reserved1[2];
    GUID type;
    GUID id;
    uint64_t attributes;
    char16_t name[36];
};
static_assert(sizeof(PartitionInformationEx) == 144);

struct StorageDeviceNumber { ///< STORAGE_DEVICE_NUMBER
    uint32_t device_type;
    uint32_t device_number;
    uint32_t partition_number;
};
static_assert(sizeof(StorageDeviceNumber) == 12);

struct StorageHotplugInfo { ///< STORAGE_HOTPLUG_INFO
    uint32_t size;
    uint8_t media_removable;
    uint8_t media_hotplug;
    uint8_t device_hotplug;
    uint8_t write_cache_enable_override;
};
static_assert(sizeof(StorageHotplugInfo) == 8);

struct StoragePropertyQuery { ///< STORAGE_PROPERTY_QUERY without its variable data
    uint32_t property_id;
    uint32_t query_type;
};

struct SeekPenaltyDescriptor { ///< DEVICE_SEEK_PENALTY_DESCRIPTOR
    uint32_t version;
    uint32_t size;
    uint8_t incurs_seek_penalty;
    uint8_t reserved[3];
};
static_assert(sizeof(SeekPenaltyDescriptor) == 12);

struct VolumeDiskExtents { ///< VOLUME_DISK_EXTENTS of one extent
    uint32_t number_of_extents;
    uint32_t reserved0;
    uint32_t disk_number;
    uint32_t reserved1;
    int64_t starting_offset;
    int64_t extent_bytes;
};
static_assert(sizeof(VolumeDiskExtents) == 32);

} // namespace fltsim::fs
