// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_QUERY_VOLUME_INFORMATION and IRP_MJ_SET_VOLUME_INFORMATION.
//
// FAT has no control and no object id information, as fastfat: STATUS_INVALID_PARAMETER. Only a handle of the volume itself may set anything.

#include "fs/control_codes.hpp"
#include "fs/memfs.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::fs {

namespace {

constexpr uint32_t CLUSTER = CLUSTER_BYTES;
constexpr uint64_t VOLUME_CLUSTERS = VOLUME_BYTES / CLUSTER;
constexpr size_t NTFS_LABEL_CHARS = 32;
constexpr size_t FAT_LABEL_CHARS = 11;
constexpr ULONG NAME_CHARS = 255;

constexpr ULONG FAT_ATTRIBUTES = FILE_CASE_PRESERVED_NAMES | FILE_UNICODE_ON_DISK;
/// What is modelled of NTFS: no compression, no encryption, no transactions, no change journal.
constexpr ULONG NTFS_ATTRIBUTES =
    FAT_ATTRIBUTES | FILE_PERSISTENT_ACLS | FILE_VOLUME_QUOTAS | FILE_SUPPORTS_SPARSE_FILES |
    FILE_SUPPORTS_REPARSE_POINTS | FILE_SUPPORTS_POSIX_UNLINK_RENAME | FILE_SUPPORTS_OBJECT_IDS | FILE_NAMED_STREAMS |
    FILE_SUPPORTS_HARD_LINKS | FILE_SUPPORTS_EXTENDED_ATTRIBUTES | FILE_SUPPORTS_OPEN_BY_FILE_ID;

class VolumeAnswer {
  public:
    explicit VolumeAnswer(io::Operation &operation)
        : operation_(operation),
          buffer_(static_cast<uint8_t *>(operation.parameters.QueryVolumeInformation.VolumeBuffer)),
          length_(operation.parameters.QueryVolumeInformation.Length) {}

    template <class T> NTSTATUS fixed(const T &value) {
        memcpy(buffer_, &value, sizeof value); // the I/O manager has checked the length
        operation_.io_status.Information = sizeof value;
        return STATUS_SUCCESS;
    }
    /// A structure that ends in a name.
    template <class T> NTSTATUS named(const T &value, size_t name_at, std::u16string_view name) {
        memcpy(buffer_, &value, name_at);
        const size_t bytes = name.size() * sizeof(WCHAR);
        const size_t copied = std::min(bytes, (length_ - name_at) & ~size_t{1});
        memcpy(buffer_ + name_at, name.data(), copied);
        operation_.io_status.Information = name_at + copied;
        return copied == bytes ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
    }

  private:
    io::Operation &operation_;
    uint8_t *buffer_;
    size_t length_;
};

FILE_FS_SECTOR_SIZE_INFORMATION sector_sizes() {
    FILE_FS_SECTOR_SIZE_INFORMATION information{};
    information.LogicalBytesPerSector = SECTOR_BYTES;
    information.PhysicalBytesPerSectorForAtomicity = SECTOR_BYTES;
    information.PhysicalBytesPerSectorForPerformance = SECTOR_BYTES;
    information.FileSystemEffectivePhysicalBytesPerSectorForAtomicity = SECTOR_BYTES;
    information.Flags =
        SSINFO_FLAGS_ALIGNED_DEVICE | SSINFO_FLAGS_PARTITION_ALIGNED_ON_DEVICE | SSINFO_FLAGS_NO_SEEK_PENALTY;
    return information;
}

} // namespace

uint64_t MemFileSystem::clusters_of(const Node &node) {
    uint64_t bytes = node.allocation;
    for (const auto &[name, child] : node.children) {
        bytes +=
            clusters_of(*child->node) * CLUSTER; // a file with two names counts twice: the free space is an estimate
    }
    for (const auto &[name, stream] : node.streams) {
        bytes += stream->allocation;
    }
    return (bytes + CLUSTER - 1) / CLUSTER;
}

ULONG MemFileSystem::serial_number() const {
    constexpr ULONG SERIAL_BASE = 0x4D500000; // any fixed number
    return SERIAL_BASE + static_cast<ULONG>(volume_.device_name.back());
}

NTSTATUS MemFileSystem::query_volume_information(io::Operation &operation) {
    VolumeAnswer answer(operation);
    switch (operation.parameters.QueryVolumeInformation.FsInformationClass) {
    case FileFsVolumeInformation: {
        FILE_FS_VOLUME_INFORMATION information{};
        information.VolumeCreationTime.QuadPart = ntfs() ? root_->times.created : 0;
        information.VolumeSerialNumber = serial_number();
        information.VolumeLabelLength = static_cast<ULONG>(label_.size() * sizeof(WCHAR));
        information.SupportsObjects = ntfs();
        return answer.named(information, offsetof(FILE_FS_VOLUME_INFORMATION, VolumeLabel), label_);
    }
    case FileFsSizeInformation: {
        const auto free = static_cast<LONGLONG>(VOLUME_CLUSTERS - clusters_of(*root_));
        return answer.fixed(FILE_FS_SIZE_INFORMATION{
            {.QuadPart = VOLUME_CLUSTERS}, {.QuadPart = free}, CLUSTER / SECTOR_BYTES, SECTOR_BYTES});
    }
    case FileFsFullSizeInformation: {
        const auto free = static_cast<LONGLONG>(VOLUME_CLUSTERS - clusters_of(*root_));
        return answer.fixed(FILE_FS_FULL_SIZE_INFORMATION{{.QuadPart = VOLUME_CLUSTERS},
                                                          {.QuadPart = free},
                                                          {.QuadPart = free},
                                                          CLUSTER / SECTOR_BYTES,
                                                          SECTOR_BYTES});
    }
    case FileFsAttributeInformation: {
        const std::u16string_view name = ntfs() ? u"NTFS" : u"FAT32";
        FILE_FS_ATTRIBUTE_INFORMATION information{};
        information.FileSystemAttributes = ntfs() ? NTFS_ATTRIBUTES : FAT_ATTRIBUTES;
        information.MaximumComponentNameLength = NAME_CHARS;
        information.FileSystemNameLength = static_cast<ULONG>(name.size() * sizeof(WCHAR));
        return answer.named(information, offsetof(FILE_FS_ATTRIBUTE_INFORMATION, FileSystemName), name);
    }
    case FileFsDeviceInformation: { // of a filter alone: to others the I/O manager answers
        return answer.fixed(FILE_FS_DEVICE_INFORMATION{FILE_DEVICE_DISK, FILE_DEVICE_IS_MOUNTED});
    }
    case FileFsSectorSizeInformation:
        return answer.fixed(sector_sizes());
    case FileFsControlInformation:
        return ntfs() ? answer.fixed(control_) : STATUS_INVALID_PARAMETER;
    case FileFsObjectIdInformation:
        if (!ntfs()) {
            return STATUS_INVALID_PARAMETER;
        }
        return object_id_ ? answer.fixed(*object_id_) : STATUS_OBJECT_NAME_NOT_FOUND;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

NTSTATUS MemFileSystem::set_label(io::Operation &operation) {
    const auto &parameters = operation.parameters.SetVolumeInformation;
    constexpr size_t NAME_AT = offsetof(FILE_FS_LABEL_INFORMATION, VolumeLabel);
    FILE_FS_LABEL_INFORMATION information;
    memcpy(&information, parameters.VolumeBuffer, sizeof information);
    const ULONG bytes = information.VolumeLabelLength;
    if (bytes % sizeof(WCHAR) != 0 || bytes > parameters.Length - NAME_AT) {
        return STATUS_INVALID_PARAMETER;
    }
    std::u16string label(bytes / sizeof(WCHAR), u'\0');
    memcpy(label.data(), static_cast<const uint8_t *>(parameters.VolumeBuffer) + NAME_AT, bytes);
    if (label.size() > (ntfs() ? NTFS_LABEL_CHARS : FAT_LABEL_CHARS) ||
        (!ntfs() && label.find_first_of(u"*?/\\|.,;:+=[]<>\"&^()") != std::u16string::npos)) {
        return STATUS_INVALID_VOLUME_LABEL;
    }
    label_ = ntfs() ? label : fold(label);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_volume_information(io::Operation &operation) {
    if ((operation.file->native.Flags & FO_VOLUME_OPEN) == 0) {
        return STATUS_ACCESS_DENIED;
    }
    const auto &parameters = operation.parameters.SetVolumeInformation;
    if (!io::set_buffer_fits(parameters.FsInformationClass, parameters.Length)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    switch (parameters.FsInformationClass) {
    case FileFsLabelInformation:
        return set_label(operation);
    case FileFsControlInformation: {
        if (!ntfs()) {
            return STATUS_INVALID_PARAMETER;
        }
        FILE_FS_CONTROL_INFORMATION wanted;
        memcpy(&wanted, parameters.VolumeBuffer, sizeof wanted);
        if ((wanted.FileSystemControlFlags & ~static_cast<ULONG>(FILE_VC_VALID_MASK)) != 0) {
            return STATUS_INVALID_PARAMETER;
        }
        control_ = wanted;
        return STATUS_SUCCESS;
    }
    case FileFsObjectIdInformation:
        if (!ntfs()) {
            return STATUS_INVALID_PARAMETER;
        }
        object_id_.emplace();
        memcpy(&*object_id_, parameters.VolumeBuffer, sizeof *object_id_);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

} // namespace fltsim::fs
