// SPDX-License-Identifier: MIT
//
// This module provides: what a filter is told of a volume at once: its device objects, its kind of file system, its GUID, whether it can be written.
//
// The volumes of the model are local disks that can be written and that nobody has taken a snapshot of.

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

/// The volume that a volume or an instance stands for; null for a filter.
const VolumeState *volume_behind(PVOID object, const char *api) {
    const auto &m = manager();
    for (const auto &volume : m.volumes) {
        if (volume.get() == object) {
            return volume.get();
        }
    }
    for (const auto &instance : m.instances) {
        if (instance.get() == object) {
            return instance->volume;
        }
    }
    if (std::ranges::none_of(m.filters, [&](const auto &filter) { return filter.get() == object; })) {
        bugcheck("VER-02 bad object", api, "FltObject is no volume and no instance, or it is gone");
    }
    return nullptr;
}

NTSTATUS answer_of_volume(const char *api, PVOID object, PBOOLEAN result, BOOLEAN answer) {
    if (result == nullptr) {
        bugcheck("VER-02 parameter", api, "the answer has no place");
    }
    *result = FALSE;
    if (volume_behind(object, api) == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (const auto failure = failing(api)) {
        return *failure;
    }
    *result = answer;
    return STATUS_SUCCESS;
}

NTSTATUS device_of_volume(const char *api, PFLT_VOLUME handle, DEVICE_OBJECT io::Volume::*which,
                          PDEVICE_OBJECT *result) {
    if (result == nullptr) {
        bugcheck("VER-02 parameter", api, "the device object has no place");
    }
    *result = nullptr;
    const VolumeState &volume = *volume_of(handle, api);
    if (const auto failure = failing(api)) {
        return *failure;
    }
    if (volume.dismounting) {
        return STATUS_FLT_NO_DEVICE_OBJECT;
    }
    PDEVICE_OBJECT device = &(volume.volume->*which);
    ObfReferenceObject(device);
    *result = device;
    return STATUS_SUCCESS;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// The Filter Manager's device object for the volume, which FltGetVolumeFromDeviceObject takes; ObDereferenceObject ends that.
/// STATUS_FLT_NO_DEVICE_OBJECT: it is dismounted [E]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetDeviceObject(PFLT_VOLUME Volume, PDEVICE_OBJECT *DeviceObject) {
    constexpr const char *kApi = "FltGetDeviceObject";
    KernelCall call(kApi);
    return device_of_volume(kApi, Volume, &io::Volume::device, DeviceObject);
}

/// That of the storage under the volume. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetDiskDeviceObject(PFLT_VOLUME Volume, PDEVICE_OBJECT *DiskDeviceObject) {
    constexpr const char *kApi = "FltGetDiskDeviceObject";
    KernelCall call(kApi);
    return device_of_volume(kApi, Volume, &io::Volume::disk, DiskDeviceObject);
}

/// What InstanceSetup is told. STATUS_INVALID_PARAMETER: FltObject is a filter. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetFileSystemType(PVOID FltObject, PFLT_FILESYSTEM_TYPE FileSystemType) {
    constexpr const char *kApi = "FltGetFileSystemType";
    KernelCall call(kApi);
    if (FileSystemType == nullptr) {
        bugcheck("VER-02 parameter", kApi, "FileSystemType is null");
    }
    *FileSystemType = FLT_FSTYPE_UNKNOWN;
    const VolumeState *volume = volume_behind(FltObject, kApi);
    if (volume == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    *FileSystemType = volume->volume->profile == io::FsProfile::Ntfs ? FLT_FSTYPE_NTFS : FLT_FSTYPE_FAT;
    return STATUS_SUCCESS;
}

/// \??\Volume{...}, by which the volume is found as well. STATUS_BUFFER_TOO_SMALL (also without a buffer), with the bytes needed in *BufferSizeNeeded.
/// IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeGuidName(PFLT_VOLUME Volume, PUNICODE_STRING VolumeGuidName,
                                                   PULONG BufferSizeNeeded) {
    constexpr const char *kApi = "FltGetVolumeGuidName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const std::u16string name = volume_of(Volume, kApi)->volume->guid_name;
    if (VolumeGuidName == nullptr && BufferSizeNeeded == nullptr) {
        bugcheck("VER-02 parameter", kApi, "neither VolumeGuidName nor BufferSizeNeeded is given");
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto bytes = static_cast<ULONG>(name.size() * sizeof(char16_t));
    if (BufferSizeNeeded != nullptr) {
        *BufferSizeNeeded = bytes;
    }
    if (VolumeGuidName == nullptr || VolumeGuidName->MaximumLength < bytes) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    std::memcpy(VolumeGuidName->Buffer, name.data(), bytes);
    VolumeGuidName->Length = static_cast<USHORT>(bytes);
    return STATUS_SUCCESS;
}

/// STATUS_INVALID_PARAMETER: FltObject is a filter. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltIsVolumeSnapshot(PVOID FltObject, PBOOLEAN IsSnapshotVolume) {
    constexpr const char *kApi = "FltIsVolumeSnapshot";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return answer_of_volume(kApi, FltObject, IsSnapshotVolume, FALSE);
}

/// STATUS_INVALID_PARAMETER: FltObject is a filter. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltIsVolumeWritable(PVOID FltObject, PBOOLEAN IsWritable) {
    constexpr const char *kApi = "FltIsVolumeWritable";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return answer_of_volume(kApi, FltObject, IsWritable, TRUE);
}
