// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_QUERY_INFORMATION and its fast I/O form. Classes that list names or streams are in memfs_lists.cpp.
//
// FAT knows the classes that fastfat knows: STATUS_INVALID_PARAMETER for all others.

#include "fs/answer.hpp"
#include "fs/memfs.hpp"

namespace fltsim::fs {

namespace {

constexpr ULONGLONG VOLUME_SERIAL_BASE = 0x4D494E4950454E44; // any fixed number

FILE_BASIC_INFORMATION basic(const Node &owner) {
    FILE_BASIC_INFORMATION information{};
    information.CreationTime.QuadPart = owner.times.created;
    information.LastAccessTime.QuadPart = owner.times.accessed;
    information.LastWriteTime.QuadPart = owner.times.written;
    information.ChangeTime.QuadPart = owner.times.changed;
    information.FileAttributes = owner.visible_attributes();
    return information;
}

bool deleted(const Node &node, const OpenState &open) {
    if (node.base != nullptr && (node.stream_delete_pending || node.stream_removed)) {
        return true;
    }
    return open.link->delete_pending || (open.link->parent == nullptr && !node.owner().root);
}

FILE_STANDARD_INFORMATION standard(const Node &node, const OpenState &open) {
    FILE_STANDARD_INFORMATION information{};
    information.AllocationSize.QuadPart = static_cast<int64_t>(node.allocation);
    information.EndOfFile.QuadPart = static_cast<int64_t>(node.size);
    information.NumberOfLinks = node.owner().live_links();
    information.DeletePending = deleted(node, open);
    information.Directory = node.directory;
    return information;
}

/// What FAT has not, whatever the rest of the model can do.
bool known_to_fat(FILE_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case FileBasicInformation:
    case FileStandardInformation:
    case FileInternalInformation:
    case FileEaInformation:
    case FileNameInformation:
    case FilePositionInformation:
    case FileAllInformation:
    case FileAlternateNameInformation:
    case FileNetworkOpenInformation:
        return true;
    default:
        return false;
    }
}

/// The file's name, or its stream's.
std::u16string name_of(const Node &node, const OpenState &open) {
    std::u16string name = path_of(*open.link);
    if (node.base != nullptr) {
        name += u":" + node.stream_name;
    }
    return name;
}

/// The I/O manager has written its own parts.
NTSTATUS all(Answer &answer, const Node &node, const io::FileObject &file, const OpenState &open) {
    constexpr size_t NAME_AT = offsetof(FILE_ALL_INFORMATION, NameInformation);
    auto *information = answer.place<FILE_ALL_INFORMATION>();
    if (information == nullptr) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    information->BasicInformation = basic(node.owner());
    information->StandardInformation = standard(node, open);
    information->InternalInformation.IndexNumber.QuadPart = static_cast<int64_t>(node.owner().id);
    information->EaInformation.EaSize = node.owner().ea_bytes();
    information->PositionInformation.CurrentByteOffset = file.native.CurrentByteOffset;
    return answer.name(NAME_AT, name_of(node, open));
}

/// Nothing is ever compressed.
FILE_COMPRESSION_INFORMATION compression(const Node &node) {
    FILE_COMPRESSION_INFORMATION information{};
    information.CompressedFileSize.QuadPart = static_cast<int64_t>(node.allocation);
    information.CompressionFormat = COMPRESSION_FORMAT_NONE;
    return information;
}

FILE_STANDARD_LINK_INFORMATION standard_link(const Node &node, const OpenState &open) {
    FILE_STANDARD_LINK_INFORMATION information{};
    information.NumberOfAccessibleLinks = node.owner().live_links();
    information.TotalNumberOfLinks = static_cast<ULONG>(node.owner().links.size());
    information.DeletePending = deleted(node, open);
    information.Directory = node.directory;
    return information;
}

NTSTATUS alternate_name(Answer &answer, const Link &link) {
    if (!link.short_name.empty()) {
        return answer.name(0, link.short_name);
    }
    return is_short_name(link.name) ? answer.name(0, link.name) : STATUS_OBJECT_NAME_NOT_FOUND;
}

} // namespace

FILE_NETWORK_OPEN_INFORMATION MemFileSystem::network_open(const Node &node) {
    FILE_NETWORK_OPEN_INFORMATION information{};
    const Node &owner = node.owner();
    information.CreationTime.QuadPart = owner.times.created;
    information.LastAccessTime.QuadPart = owner.times.accessed;
    information.LastWriteTime.QuadPart = owner.times.written;
    information.ChangeTime.QuadPart = owner.times.changed;
    information.AllocationSize.QuadPart = static_cast<int64_t>(node.allocation);
    information.EndOfFile.QuadPart = static_cast<int64_t>(node.size);
    information.FileAttributes = owner.visible_attributes();
    return information;
}

FILE_STAT_INFORMATION MemFileSystem::stat(const Node &node, ACCESS_MASK access) {
    FILE_STAT_INFORMATION information{};
    const FILE_NETWORK_OPEN_INFORMATION network = network_open(node);
    information.FileId.QuadPart = static_cast<int64_t>(node.owner().id);
    information.CreationTime = network.CreationTime;
    information.LastAccessTime = network.LastAccessTime;
    information.LastWriteTime = network.LastWriteTime;
    information.ChangeTime = network.ChangeTime;
    information.AllocationSize = network.AllocationSize;
    information.EndOfFile = network.EndOfFile;
    information.FileAttributes = network.FileAttributes;
    information.ReparseTag = node.owner().reparse_tag();
    information.NumberOfLinks = node.owner().live_links();
    information.EffectiveAccess = access;
    return information;
}

NTSTATUS MemFileSystem::query_information(io::Operation &operation) {
    const io::FileObject &file = *operation.file;
    const Node *node = node_of(file);
    const auto information_class = operation.parameters.QueryFileInformation.FileInformationClass;
    if (node == nullptr || (!ntfs() && !known_to_fat(information_class))) {
        return STATUS_INVALID_PARAMETER; // the volume has no file information
    }
    const Node &owner = node->owner();
    const OpenState &open = *open_of(file);
    Answer answer(operation, operation.parameters.QueryFileInformation.InfoBuffer,
                  operation.parameters.QueryFileInformation.Length);
    switch (information_class) {
    case FileBasicInformation:
        return answer.fixed(basic(owner));
    case FileStandardInformation:
        return answer.fixed(standard(*node, open));
    case FileNetworkOpenInformation:
        return answer.fixed(network_open(*node));
    case FileInternalInformation:
        return answer.fixed(FILE_INTERNAL_INFORMATION{{.QuadPart = static_cast<int64_t>(owner.id)}});
    case FileEaInformation:
        return answer.fixed(FILE_EA_INFORMATION{owner.ea_bytes()});
    case FilePositionInformation:
        return answer.fixed(FILE_POSITION_INFORMATION{file.native.CurrentByteOffset});
    case FileAttributeTagInformation:
        return answer.fixed(FILE_ATTRIBUTE_TAG_INFORMATION{owner.visible_attributes(), owner.reparse_tag()});
    case FileIdInformation: {
        FILE_ID_INFORMATION information{};
        information.VolumeSerialNumber = VOLUME_SERIAL_BASE + static_cast<ULONGLONG>(volume_.device_name.back());
        memcpy(information.FileId.Identifier, &owner.id, sizeof owner.id);
        return answer.fixed(information);
    }
    case FileStatInformation:
        return answer.fixed(stat(*node, file.granted_access));
    case FileCompressionInformation:
        return answer.fixed(compression(*node));
    case FileStandardLinkInformation:
        return answer.fixed(standard_link(*node, open));
    case FileNameInformation:
    case FileNormalizedNameInformation:
        return answer.name(0, name_of(*node, open));
    case FileAlternateNameInformation:
        return alternate_name(answer, *open.link);
    case FileAllInformation:
        return all(answer, *node, file, open);
    case FileStreamInformation:
        return list_streams(operation, owner);
    case FileHardLinkInformation:
        return list_links(operation, owner);
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

} // namespace fltsim::fs
