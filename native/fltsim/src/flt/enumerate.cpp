// SPDX-License-Identifier: MIT
//
// This module provides: what is told about instances and volumes: FltGetInstanceInformation, FltGetVolumeInformation, and the searches behind
// FilterInstanceFindFirst.
//
// A search goes by the order of attachment. It holds no instance: one that comes meanwhile is found at the end, one that goes is not.

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "flt/internal.hpp"

namespace fltsim::flt {

namespace {

class InstanceSearch final : public Object {
  public:
    explicit InstanceSearch(std::shared_ptr<Filter> filter) : filter_(std::move(filter)) {}
    const char *type_name() const override { return "instance search"; }
    /// Null at the end.
    const Instance *next() const {
        const Instance *found = nullptr;
        for (const auto &instance : filter_->instances) {
            const bool there =
                instance->state != Instance::State::Attaching && instance->state != Instance::State::Gone;
            if (there && instance->number > last_ && (found == nullptr || instance->number < found->number)) {
                found = instance.get();
            }
        }
        return found;
    }
    void pass(const Instance &instance) { last_ = instance.number; }

  private:
    std::shared_ptr<Filter> filter_;
    uint64_t last_ = 0; ///< Instance::number
};

/// The file system features that the service says its driver supports: where Windows 11 24H2 has them first.
uint32_t supported_features(const Filter &filter) {
    const std::u16string key = Registry::service_key(filter.name);
    const Registry &registry = *world().registry;
    const auto parameters = registry.find_ulong(key + u"\\Parameters", u"SupportedFeatures");
    return parameters ? *parameters : registry.find_ulong(key, u"SupportedFeatures").value_or(0);
}

/// One structure, and behind it the texts that it refers to by their offsets.
class Packer {
  public:
    Packer(void *buffer, size_t structure) : buffer_(static_cast<char *>(buffer)), offset_(structure) {
        std::memset(buffer_, 0, structure);
    }
    void put(std::u16string_view text, USHORT &length, USHORT &where) {
        length = static_cast<USHORT>(text.size() * sizeof(char16_t));
        where = static_cast<USHORT>(offset_);
        std::memcpy(buffer_ + offset_, text.data(), length);
        offset_ += length;
    }

  private:
    char *buffer_;
    size_t offset_;
};

struct Layout {
    size_t structure = 0;
    size_t texts = 0; ///< how many of name, altitude, volume, filter follow it
};

Layout layout_of(INSTANCE_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case InstanceBasicInformation:
        return {sizeof(INSTANCE_BASIC_INFORMATION), 1};
    case InstancePartialInformation:
        return {sizeof(INSTANCE_PARTIAL_INFORMATION), 2};
    case InstanceFullInformation:
        return {sizeof(INSTANCE_FULL_INFORMATION), 4};
    case InstanceAggregateStandardInformation:
        return {sizeof(INSTANCE_AGGREGATE_STANDARD_INFORMATION), 4};
    }
    return {};
}

FLT_FILESYSTEM_TYPE type_of(const io::Volume &volume) {
    return volume.profile == io::FsProfile::Ntfs ? FLT_FSTYPE_NTFS : FLT_FSTYPE_FAT;
}

void fill_aggregate(const Instance &instance, INSTANCE_AGGREGATE_STANDARD_INFORMATION &information) {
    information.Flags = FLTFL_IASI_IS_MINIFILTER;
    auto &minifilter = information.Type.MiniFilter;
    minifilter.FrameID = 0; // one frame: there are no legacy filters between minifilters
    minifilter.VolumeFileSystemType = type_of(*instance.volume->volume);
    minifilter.SupportedFeatures = supported_features(*instance.filter);
}

NTSTATUS instance_information(const Instance &instance, INSTANCE_INFORMATION_CLASS information_class, void *buffer,
                              uint32_t bytes, uint32_t *returned) {
    *returned = 0;
    const Layout layout = layout_of(information_class);
    if (layout.structure == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    const std::u16string_view texts[] = {instance.name, instance.altitude, instance.volume->volume->device_name,
                                         instance.filter->name};
    size_t needed = layout.structure;
    for (size_t i = 0; i < layout.texts; ++i) {
        needed += texts[i].size() * sizeof(char16_t);
    }
    *returned = static_cast<uint32_t>(needed);
    if (buffer == nullptr || bytes < needed) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    Packer packer(buffer, layout.structure);
    if (information_class == InstanceAggregateStandardInformation) {
        auto &aggregate = *static_cast<PINSTANCE_AGGREGATE_STANDARD_INFORMATION>(buffer);
        fill_aggregate(instance, aggregate);
        auto &minifilter = aggregate.Type.MiniFilter;
        packer.put(texts[0], minifilter.InstanceNameLength, minifilter.InstanceNameBufferOffset);
        packer.put(texts[1], minifilter.AltitudeLength, minifilter.AltitudeBufferOffset);
        packer.put(texts[2], minifilter.VolumeNameLength, minifilter.VolumeNameBufferOffset);
        packer.put(texts[3], minifilter.FilterNameLength, minifilter.FilterNameBufferOffset);
        return STATUS_SUCCESS;
    }
    // Each of these three begins with the one before it.
    auto &full = *static_cast<PINSTANCE_FULL_INFORMATION>(buffer);
    packer.put(texts[0], full.InstanceNameLength, full.InstanceNameBufferOffset);
    if (layout.texts > 1) {
        packer.put(texts[1], full.AltitudeLength, full.AltitudeBufferOffset);
    }
    if (layout.texts > 2) {
        packer.put(texts[2], full.VolumeNameLength, full.VolumeNameBufferOffset);
        packer.put(texts[3], full.FilterNameLength, full.FilterNameBufferOffset);
    }
    return STATUS_SUCCESS;
}

} // namespace

NTSTATUS FilterManager::find_instances(std::u16string_view filter_name, std::shared_ptr<Object> *search) {
    KernelCall kernel("FilterInstanceFindFirst", PASSIVE_LEVEL);
    auto filter = find_filter(filter_name);
    if (!filter) {
        return STATUS_FLT_FILTER_NOT_FOUND;
    }
    *search = std::make_shared<InstanceSearch>(std::move(filter));
    return STATUS_SUCCESS;
}

NTSTATUS FilterManager::next_instance(Object &search, INSTANCE_INFORMATION_CLASS information_class, void *buffer,
                                      uint32_t bytes, uint32_t *returned_bytes) {
    KernelCall kernel("FilterInstanceFindNext", PASSIVE_LEVEL);
    *returned_bytes = 0;
    auto *found = dynamic_cast<InstanceSearch *>(&search);
    if (found == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    if (layout_of(information_class).structure == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    const Instance *instance = found->next();
    if (instance == nullptr) {
        return STATUS_NO_MORE_ENTRIES;
    }
    const NTSTATUS status = instance_information(*instance, information_class, buffer, bytes, returned_bytes);
    if (NT_SUCCESS(status)) {
        found->pass(*instance);
    }
    return status;
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// STATUS_BUFFER_TOO_SMALL (also without a buffer) with the size needed in *BytesReturned, STATUS_INVALID_PARAMETER for an unknown
/// class. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetInstanceInformation(PFLT_INSTANCE Instance,
                                                        INSTANCE_INFORMATION_CLASS InformationClass, PVOID Buffer,
                                                        ULONG BufferSize, PULONG BytesReturned) {
    KernelCall call("FltGetInstanceInformation", APC_LEVEL);
    const auto instance = instance_of(Instance, "FltGetInstanceInformation");
    if (const auto failure = failing("FltGetInstanceInformation")) {
        *BytesReturned = 0;
        return *failure;
    }
    uint32_t returned = 0;
    const NTSTATUS status = instance_information(*instance, InformationClass, Buffer, BufferSize, &returned);
    *BytesReturned = returned;
    return status;
}

/// As FltGetInstanceInformation. The name is the volume's device name. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeInformation(PFLT_VOLUME Volume,
                                                      FILTER_VOLUME_INFORMATION_CLASS InformationClass, PVOID Buffer,
                                                      ULONG BufferSize, PULONG BytesReturned) {
    constexpr const char *kApi = "FltGetVolumeInformation";
    KernelCall call(kApi, APC_LEVEL);
    const io::Volume &volume = *volume_of(Volume, kApi)->volume;
    if (BytesReturned == nullptr) {
        bugcheck("VER-02 parameter", kApi, "BytesReturned is null");
    }
    *BytesReturned = 0;
    const bool standard = InformationClass == FilterVolumeStandardInformation;
    if (!standard && InformationClass != FilterVolumeBasicInformation) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto name_bytes = static_cast<USHORT>(volume.device_name.size() * sizeof(char16_t));
    const size_t name_at = standard ? offsetof(FILTER_VOLUME_STANDARD_INFORMATION, FilterVolumeName)
                                    : offsetof(FILTER_VOLUME_BASIC_INFORMATION, FilterVolumeName);
    *BytesReturned = static_cast<ULONG>(name_at + name_bytes);
    if (Buffer == nullptr || BufferSize < *BytesReturned) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (standard) {
        auto &information = *static_cast<PFILTER_VOLUME_STANDARD_INFORMATION>(Buffer);
        information.NextEntryOffset = 0;
        information.Flags = 0; // it is attached
        information.FrameID = 0; // as that of instances
        information.FileSystemType = type_of(volume);
        information.FilterVolumeNameLength = name_bytes;
    } else {
        static_cast<PFILTER_VOLUME_BASIC_INFORMATION>(Buffer)->FilterVolumeNameLength = name_bytes;
    }
    std::memcpy(static_cast<char *>(Buffer) + name_at, volume.device_name.data(), name_bytes);
    return STATUS_SUCCESS;
}
