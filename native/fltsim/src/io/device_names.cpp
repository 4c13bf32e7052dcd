// SPDX-License-Identifier: MIT
//
// This module provides: IoVolumeDeviceToDosName and RtlVolumeDeviceToDosName.

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "io/io_manager.hpp"
#include "ke/pool.hpp"

namespace fltsim::io {

namespace {

constexpr uint32_t DOS_NAME_TAG = 0x6D4E6F44; // "DoNm"

NTSTATUS dos_name_of_device(const char *api, const void *device, PUNICODE_STRING result) {
    if (result == nullptr) {
        bugcheck("VER-02 parameter", api, "DosName is null");
    }
    *result = {};
    if (KeAreAllApcsDisabled() != FALSE) {
        bugcheck("VER-02 parameter", api, "all APCs are disabled: the mount manager's answer would never come");
    }
    if (const auto failure = failing(api)) {
        return *failure;
    }
    const auto &volumes = world().io->volumes();
    const auto found = std::ranges::find_if(
        volumes, [&](const auto &volume) { return &volume->disk == device || &volume->device == device; });
    if (found == volumes.end()) {
        return STATUS_INVALID_PARAMETER;
    }
    const std::u16string &name = (*found)->dos_name;
    const size_t bytes = name.size() * sizeof(char16_t);
    auto *const buffer = static_cast<PWSTR>(pool::allocate(api, PagedPool, bytes + sizeof(char16_t), DOS_NAME_TAG));
    if (buffer == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    std::memcpy(buffer, name.c_str(), bytes + sizeof(char16_t));
    result->Buffer = buffer;
    result->Length = static_cast<USHORT>(bytes);
    result->MaximumLength = static_cast<USHORT>(bytes + sizeof(char16_t));
    return STATUS_SUCCESS;
}

} // namespace

} // namespace fltsim::io

using namespace fltsim;

/// The drive of a volume ("D:") by the device object of its storage, or by that of its files [E]. The caller frees the buffer with ExFreePool.
/// STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES. IRQL PASSIVE_LEVEL, with APCs not all disabled.
FLTSIM_KERNEL NTSTATUS NTAPI IoVolumeDeviceToDosName(PVOID VolumeDeviceObject, PUNICODE_STRING DosName) {
    constexpr const char *kApi = "IoVolumeDeviceToDosName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return io::dos_name_of_device(kApi, VolumeDeviceObject, DosName);
}

/// The older name of the same.
FLTSIM_KERNEL NTSTATUS NTAPI RtlVolumeDeviceToDosName(PVOID VolumeDeviceObject, PUNICODE_STRING DosName) {
    constexpr const char *kApi = "RtlVolumeDeviceToDosName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return io::dos_name_of_device(kApi, VolumeDeviceObject, DosName);
}
