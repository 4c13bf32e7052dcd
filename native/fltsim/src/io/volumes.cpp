// SPDX-License-Identifier: MIT
//
// This module provides: the volumes of a world and the part of the object name space that leads to them.

#include "fs/memfs.hpp"
#include "fs/names.hpp"
#include "io/internal.hpp"

namespace fltsim::io {

namespace {

struct DefaultVolume {
    const char16_t *dos_name;
    const char16_t *device_name;
    const char16_t *guid_name;
    FsProfile profile;
    bool boot;
};

constexpr DefaultVolume DEFAULT_VOLUMES[] = {
    {u"C:", u"\\Device\\HarddiskVolume1", u"\\??\\Volume{4d696e69-7065-6e64-0000-000000000001}", FsProfile::Ntfs, true},
    {u"D:", u"\\Device\\HarddiskVolume2", u"\\??\\Volume{4d696e69-7065-6e64-0000-000000000002}", FsProfile::Ntfs,
     false},
    {u"E:", u"\\Device\\HarddiskVolume3", u"\\??\\Volume{4d696e69-7065-6e64-0000-000000000003}", FsProfile::Fat, false},
};

constexpr CSHORT IO_TYPE_OF_DEVICE = 3;

bool starts_with_name(std::u16string_view path, std::u16string_view name) {
    return path.size() >= name.size() && fs::equal_names(path.substr(0, name.size()), name) &&
           (path.size() == name.size() || path[name.size()] == u'\\');
}

} // namespace

void IoManager::Impl::make_default_volumes() {
    for (const DefaultVolume &made : DEFAULT_VOLUMES) {
        auto volume = std::make_unique<Volume>();
        volume->dos_name = made.dos_name;
        volume->device_name = made.device_name;
        volume->guid_name = made.guid_name;
        volume->profile = made.profile;
        volume->boot = made.boot;
        volume->device.Type = IO_TYPE_OF_DEVICE;
        volume->device.Size = sizeof(DEVICE_OBJECT);
        volume->device.DeviceType = FILE_DEVICE_DISK_FILE_SYSTEM;
        volume->device.SectorSize = fs::SECTOR_BYTES;
        volume->disk = volume->device;
        volume->disk.DeviceType = FILE_DEVICE_DISK;
        auto file_system = std::make_unique<fs::MemFileSystem>(*this, *volume);
        if (made.boot) {
            file_system->make_directory(u"Windows");
        }
        volume->file_system = std::move(file_system);
        volumes.push_back(std::move(volume));
    }
}

NTSTATUS IoManager::Impl::resolve(std::u16string_view nt_path, Volume **volume, std::u16string *rest) {
    if (nt_path.empty() || nt_path[0] != u'\\') {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    constexpr std::u16string_view SYSTEM_ROOT = u"\\SystemRoot";
    if (starts_with_name(nt_path, SYSTEM_ROOT)) {
        for (const auto &candidate : volumes) {
            if (candidate->boot) {
                *volume = candidate.get();
                *rest = u"\\Windows";
                rest->append(nt_path.substr(SYSTEM_ROOT.size()));
                return STATUS_SUCCESS;
            }
        }
    }
    for (const auto &candidate : volumes) {
        if (starts_with_name(nt_path, candidate->guid_name)) {
            *volume = candidate.get();
            *rest = nt_path.substr(candidate->guid_name.size());
            return STATUS_SUCCESS;
        }
    }
    std::u16string_view dos_path;
    for (const std::u16string_view directory : {u"\\??\\", u"\\DosDevices\\", u"\\GLOBAL??\\"}) {
        if (nt_path.size() >= directory.size() && fs::equal_names(nt_path.substr(0, directory.size()), directory)) {
            dos_path = nt_path.substr(directory.size());
            break;
        }
    }
    for (const auto &candidate : volumes) {
        const std::u16string_view path = dos_path.empty() ? nt_path : dos_path;
        const std::u16string_view name = dos_path.empty() ? candidate->device_name : candidate->dos_name;
        if (starts_with_name(path, name)) {
            *volume = candidate.get();
            *rest = path.substr(name.size());
            return STATUS_SUCCESS;
        }
    }
    // A path below something that does not exist, or only its own name.
    const std::u16string_view tail = dos_path.empty() ? nt_path.substr(1) : dos_path;
    return tail.find(u'\\') == std::u16string_view::npos ? STATUS_OBJECT_NAME_NOT_FOUND : STATUS_OBJECT_PATH_NOT_FOUND;
}

Volume *IoManager::volume_by_device(std::u16string_view device_name) {
    for (const auto &volume : impl_->volumes) {
        if (fs::equal_names(volume->device_name, device_name) || fs::equal_names(volume->guid_name, device_name)) {
            return volume.get();
        }
    }
    return nullptr;
}

Volume *IoManager::volume_by_dos(std::u16string_view dos_name) {
    for (const auto &volume : impl_->volumes) {
        if (fs::equal_names(volume->dos_name, dos_name)) {
            return volume.get();
        }
    }
    return nullptr;
}

const std::vector<std::unique_ptr<Volume>> &IoManager::volumes() const {
    return impl_->volumes;
}

} // namespace fltsim::io
