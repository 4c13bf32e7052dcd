// SPDX-License-Identifier: MIT
//
// This module provides: what a filter asks and sets of a volume, with a file of it or without, and how it finds volumes and instances by name.
//
// FltQueryVolumeInformation and FltSetVolumeInformation have no file object: the Filter Manager opens the volume for them, below the instance [E].

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "fs/names.hpp"
#include "io/internal.hpp"

namespace fltsim::flt {

namespace {

NTSTATUS open_volume_below(const Instance &instance, std::shared_ptr<io::FileObject> *file) {
    io::IoManager::Impl::Open open;
    open.volume = instance.volume->volume;
    open.access = FILE_READ_ATTRIBUTES | FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE;
    open.share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    open.disposition = FILE_OPEN;
    open.mode = KernelMode;
    open.below = instance.altitude;
    ULONG_PTR information = 0;
    return world().io->impl().open(std::move(open), file, &information);
}

/// The volume itself, open below an instance for as long as this lives.
class OpenVolume {
  public:
    explicit OpenVolume(const Instance &instance) : status_(open_volume_below(instance, &file_)) {}
    ~OpenVolume() {
        if (file_) {
            file_->last_handle_closed();
        }
    }
    OpenVolume(const OpenVolume &) = delete;
    OpenVolume &operator=(const OpenVolume &) = delete;
    NTSTATUS status() const { return status_; }
    io::FileObject &file() const { return *file_; }

  private:
    std::shared_ptr<io::FileObject> file_; // before the status, whose making fills it
    NTSTATUS status_ = STATUS_SUCCESS;
};

NTSTATUS query_own_volume(const std::shared_ptr<Instance> &instance, io::FileObject &file, PVOID buffer, ULONG length,
                          FS_INFORMATION_CLASS information_class, ULONG_PTR *returned) {
    const auto operation =
        own_operation(instance, file, IRP_MJ_QUERY_VOLUME_INFORMATION, io::BUFFERED_IRP | IRP_INPUT_OPERATION);
    operation->system_buffer.assign(std::max<ULONG>(length, 1), 0);
    auto &parameters = operation->parameters.QueryVolumeInformation;
    parameters.Length = length;
    parameters.FsInformationClass = information_class;
    parameters.VolumeBuffer = operation->system_buffer.data();
    const NTSTATUS status = perform_and_wait(instance, operation);
    *returned = operation->io_status.Information;
    if (!NT_ERROR(status)) {
        memcpy(buffer, operation->system_buffer.data(), std::min<size_t>(*returned, length));
    }
    return status;
}

NTSTATUS set_own_volume(const std::shared_ptr<Instance> &instance, io::FileObject &file, PVOID buffer, ULONG length,
                        FS_INFORMATION_CLASS information_class) {
    const auto operation = own_operation(instance, file, IRP_MJ_SET_VOLUME_INFORMATION, io::BUFFERED_IRP);
    const auto *bytes = static_cast<const uint8_t *>(buffer);
    operation->system_buffer.assign(bytes, bytes + length);
    auto &parameters = operation->parameters.SetVolumeInformation;
    parameters.Length = length;
    parameters.FsInformationClass = information_class;
    parameters.VolumeBuffer = operation->system_buffer.data();
    return perform_and_wait(instance, operation);
}

/// Without \??\ or \DosDevices\ in front and a backslash behind: "D:", \Device\HarddiskVolume2.
std::u16string_view plain_volume_name(std::u16string_view name) {
    if (world().io->volume_by_device(name.ends_with(u'\\') ? name.substr(0, name.size() - 1) : name) != nullptr) {
        return name.ends_with(u'\\') ? name.substr(0, name.size() - 1) : name; // \??\Volume{...} is one as it is
    }
    for (const std::u16string_view prefix : {u"\\??\\", u"\\DosDevices\\"}) {
        if (equal_names(name.substr(0, prefix.size()), prefix)) {
            name.remove_prefix(prefix.size());
            break;
        }
    }
    return name.ends_with(u'\\') ? name.substr(0, name.size() - 1) : name;
}

NTSTATUS reference_volume(VolumeState &volume, PFLT_VOLUME *result) {
    if (volume.dismounting) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    ++volume.references;
    *result = reinterpret_cast<PFLT_VOLUME>(&volume);
    return STATUS_SUCCESS;
}

/// Texts behind the structure, as far as there is room.
void put_text(std::u16string_view text, UNICODE_STRING &where, char **next) {
    const size_t bytes = text.size() * sizeof(char16_t);
    memcpy(*next, text.data(), bytes);
    where.Buffer = reinterpret_cast<PWCH>(*next);
    where.Length = where.MaximumLength = static_cast<USHORT>(bytes);
    *next += bytes;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Information of a file's volume. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryVolumeInformationFile(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                            PVOID FsInformation, ULONG Length,
                                                            FS_INFORMATION_CLASS FsInformationClass,
                                                            PULONG LengthReturned) {
    constexpr const char *kApi = "FltQueryVolumeInformationFile";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    const auto file = open_file_of(FileObject, *instance, kApi);
    ULONG_PTR returned = 0;
    const auto failure = failing(kApi);
    const NTSTATUS status =
        failure ? *failure : query_own_volume(instance, *file, FsInformation, Length, FsInformationClass, &returned);
    if (LengthReturned) {
        *LengthReturned = static_cast<ULONG>(returned);
    }
    return status;
}

/// Information of the instance's volume. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueryVolumeInformation(PFLT_INSTANCE Instance, PIO_STATUS_BLOCK Iosb,
                                                        PVOID FsInformation, ULONG Length,
                                                        FS_INFORMATION_CLASS FsInformationClass) {
    constexpr const char *kApi = "FltQueryVolumeInformation";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    *Iosb = {};
    if (const auto failure = failing(kApi)) {
        return Iosb->Status = *failure;
    }
    const OpenVolume volume(*instance);
    return Iosb->Status = NT_SUCCESS(volume.status()) ? query_own_volume(instance, volume.file(), FsInformation, Length,
                                                                         FsInformationClass, &Iosb->Information)
                                                      : volume.status();
}

/// IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetVolumeInformation(PFLT_INSTANCE Instance, PIO_STATUS_BLOCK Iosb,
                                                      PVOID FsInformation, ULONG Length,
                                                      FS_INFORMATION_CLASS FsInformationClass) {
    constexpr const char *kApi = "FltSetVolumeInformation";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const auto instance = instance_of(Instance, kApi);
    *Iosb = {};
    if (const auto failure = failing(kApi)) {
        return Iosb->Status = *failure;
    }
    const OpenVolume volume(*instance);
    return Iosb->Status = NT_SUCCESS(volume.status())
                              ? set_own_volume(instance, volume.file(), FsInformation, Length, FsInformationClass)
                              : volume.status();
}

/// What is known of a volume without asking it. STATUS_BUFFER_TOO_SMALL (*LengthReturned: what is needed), STATUS_BUFFER_OVERFLOW: the names do not fit.
/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeProperties(PFLT_VOLUME Volume, PFLT_VOLUME_PROPERTIES VolumeProperties,
                                                     ULONG VolumePropertiesLength, PULONG LengthReturned) {
    constexpr const char *kApi = "FltGetVolumeProperties";
    KernelCall call(kApi, APC_LEVEL);
    const io::Volume &volume = *volume_of(Volume, kApi)->volume;
    const bool ntfs = volume.profile == io::FsProfile::Ntfs;
    const std::u16string_view driver = ntfs ? u"\\FileSystem\\Ntfs" : u"\\FileSystem\\fastfat";
    const std::u16string_view device = ntfs ? u"\\Ntfs" : u"\\Fat";
    const size_t texts = (driver.size() + device.size() + volume.device_name.size()) * sizeof(char16_t);
    *LengthReturned = static_cast<ULONG>(sizeof *VolumeProperties + texts);
    if (VolumePropertiesLength < sizeof *VolumeProperties) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    FLT_VOLUME_PROPERTIES properties{};
    properties.DeviceType = FILE_DEVICE_DISK;
    properties.DeviceCharacteristics = FILE_DEVICE_IS_MOUNTED;
    properties.SectorSize = fs::SECTOR_BYTES;
    const bool fits = VolumePropertiesLength >= *LengthReturned;
    if (fits) {
        char *next = reinterpret_cast<char *>(VolumeProperties + 1);
        put_text(driver, properties.FileSystemDriverName, &next);
        put_text(device, properties.FileSystemDeviceName, &next);
        put_text(volume.device_name, properties.RealDeviceName, &next);
    } else {
        *LengthReturned = sizeof properties;
    }
    *VolumeProperties = properties;
    return fits ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

/// A volume by its name ("D:", \??\D:, \Device\HarddiskVolume2), referenced. STATUS_FLT_VOLUME_NOT_FOUND, STATUS_INVALID_PARAMETER,
/// STATUS_FLT_DELETING_OBJECT. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeFromName(PFLT_FILTER Filter, PCUNICODE_STRING VolumeName,
                                                   PFLT_VOLUME *RetVolume) {
    constexpr const char *kApi = "FltGetVolumeFromName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    *RetVolume = nullptr;
    filter_of(Filter, kApi);
    const std::u16string_view name = plain_volume_name(view(*VolumeName));
    if (name.empty()) {
        return STATUS_INVALID_PARAMETER;
    }
    io::Volume *volume = name.front() == u'\\' ? world().io->volume_by_device(name) : world().io->volume_by_dos(name);
    return volume ? reference_volume(volume_state(*volume), RetVolume) : STATUS_FLT_VOLUME_NOT_FOUND;
}

/// The instance's volume, referenced. STATUS_FLT_DELETING_OBJECT. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeFromInstance(PFLT_INSTANCE Instance, PFLT_VOLUME *RetVolume) {
    constexpr const char *kApi = "FltGetVolumeFromInstance";
    KernelCall call(kApi, APC_LEVEL);
    *RetVolume = nullptr;
    return reference_volume(*instance_of(Instance, kApi)->volume, RetVolume);
}

/// The highest instance on a volume: of a filter, if one is given, of a name, if one is given. Referenced. STATUS_FLT_INSTANCE_NOT_FOUND,
/// STATUS_FLT_DELETING_OBJECT. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeInstanceFromName(PFLT_FILTER Filter, PFLT_VOLUME Volume,
                                                           PCUNICODE_STRING InstanceName, PFLT_INSTANCE *RetInstance) {
    constexpr const char *kApi = "FltGetVolumeInstanceFromName";
    KernelCall call(kApi, APC_LEVEL);
    *RetInstance = nullptr;
    const auto filter = Filter ? filter_of(Filter, kApi) : nullptr;
    for (const auto &instance : volume_of(Volume, kApi)->instances) {
        if ((filter && instance->filter != filter.get()) ||
            (InstanceName && !equal_names(instance->name, view(*InstanceName))) ||
            instance->state == Instance::State::Attaching) {
            continue;
        }
        if (instance->deleting()) {
            return STATUS_FLT_DELETING_OBJECT;
        }
        ++instance->rundown;
        *RetInstance = instance->handle();
        return STATUS_SUCCESS;
    }
    return STATUS_FLT_INSTANCE_NOT_FOUND;
}

/// Opens the instance's volume itself: only those below see that. The handle ends with FltClose, the file object with ObDereferenceObject.
/// STATUS_FLT_DELETING_OBJECT, the file system's statuses. IRQL PASSIVE_LEVEL, without a TopLevelIrp.
FLTSIM_KERNEL NTSTATUS FLTAPI FltOpenVolume(PFLT_INSTANCE Instance, PHANDLE VolumeHandle,
                                            PFILE_OBJECT *VolumeFileObject) {
    constexpr const char *kApi = "FltOpenVolume";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (VolumeHandle == nullptr) {
        bugcheck("VER-02 parameter", kApi, "VolumeHandle is null");
    }
    *VolumeHandle = nullptr;
    if (VolumeFileObject) {
        *VolumeFileObject = nullptr;
    }
    const auto instance = instance_of(Instance, kApi);
    check_no_top_level_irp(kApi);
    if (instance->state == Instance::State::Gone) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    std::shared_ptr<io::FileObject> file;
    const NTSTATUS status = open_volume_below(*instance, &file);
    if (NT_SUCCESS(status)) {
        *VolumeHandle = world().handles->insert(file, true);
        if (VolumeFileObject) {
            ObfReferenceObject(&file->native);
            *VolumeFileObject = &file->native;
        }
    }
    return status;
}
