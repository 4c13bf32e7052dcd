// SPDX-License-Identifier: MIT
//
// This module provides: IRP_MJ_QUERY_INFORMATION and its fast I/O form.

#include "fs/memfs.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::fs {

namespace {

constexpr ULONGLONG VOLUME_SERIAL_BASE = 0x4D494E4950454E44; // any fixed number

FILE_BASIC_INFORMATION basic(const Node &node) {
    FILE_BASIC_INFORMATION information{};
    information.CreationTime.QuadPart = node.times.created;
    information.LastAccessTime.QuadPart = node.times.accessed;
    information.LastWriteTime.QuadPart = node.times.written;
    information.ChangeTime.QuadPart = node.times.changed;
    information.FileAttributes = node.visible_attributes();
    return information;
}

FILE_STANDARD_INFORMATION standard(const Node &node) {
    FILE_STANDARD_INFORMATION information{};
    information.AllocationSize.QuadPart = static_cast<int64_t>(node.allocation);
    information.EndOfFile.QuadPart = static_cast<int64_t>(node.size);
    information.NumberOfLinks = node.delete_pending || node.unlinked ? 0 : 1;
    information.DeletePending = node.delete_pending || node.unlinked;
    information.Directory = node.directory;
    return information;
}

FILE_NETWORK_OPEN_INFORMATION network_open(const Node &node) {
    FILE_NETWORK_OPEN_INFORMATION information{};
    information.CreationTime.QuadPart = node.times.created;
    information.LastAccessTime.QuadPart = node.times.accessed;
    information.LastWriteTime.QuadPart = node.times.written;
    information.ChangeTime.QuadPart = node.times.changed;
    information.AllocationSize.QuadPart = static_cast<int64_t>(node.allocation);
    information.EndOfFile.QuadPart = static_cast<int64_t>(node.size);
    information.FileAttributes = node.visible_attributes();
    return information;
}

/// Writes into the operation's buffer.
class Answer {
  public:
    Answer(io::Operation &operation)
        : operation_(operation), buffer_(static_cast<uint8_t *>(operation.parameters.QueryFileInformation.InfoBuffer)),
          length_(operation.parameters.QueryFileInformation.Length) {}

    template <class T> NTSTATUS fixed(const T &value) {
        if (length_ < sizeof value) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        memcpy(buffer_, &value, sizeof value);
        operation_.io_status.Information = sizeof value;
        return STATUS_SUCCESS;
    }

    /// A FILE_NAME_INFORMATION at `at`; the length says how long the whole name is.
    NTSTATUS name(size_t at, const std::u16string &text) {
        constexpr size_t TEXT_AT = offsetof(FILE_NAME_INFORMATION, FileName);
        const auto bytes = static_cast<ULONG>(text.size() * sizeof(WCHAR));
        if (length_ < at + TEXT_AT) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        memcpy(buffer_ + at, &bytes, sizeof bytes);
        const size_t room = length_ - at - TEXT_AT;
        const size_t copied = std::min<size_t>(bytes, room & ~size_t{1});
        memcpy(buffer_ + at + TEXT_AT, text.data(), copied);
        operation_.io_status.Information = at + TEXT_AT + copied;
        return copied == bytes ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
    }

    NTSTATUS stream(const Node &node) {
        if (node.directory) {
            return STATUS_SUCCESS; // no unnamed stream, no entry
        }
        constexpr std::u16string_view NAME = u"::$DATA";
        FILE_STREAM_INFORMATION information{};
        information.StreamNameLength = NAME.size() * sizeof(WCHAR);
        information.StreamSize.QuadPart = static_cast<int64_t>(node.size);
        information.StreamAllocationSize.QuadPart = static_cast<int64_t>(node.allocation);
        constexpr size_t TEXT_AT = offsetof(FILE_STREAM_INFORMATION, StreamName);
        if (length_ < TEXT_AT + information.StreamNameLength) {
            return STATUS_BUFFER_OVERFLOW;
        }
        memcpy(buffer_, &information, TEXT_AT);
        memcpy(buffer_ + TEXT_AT, NAME.data(), information.StreamNameLength);
        operation_.io_status.Information = TEXT_AT + information.StreamNameLength;
        return STATUS_SUCCESS;
    }

    /// The I/O manager has written its own parts.
    NTSTATUS all(const Node &node, const io::FileObject &file) {
        constexpr size_t NAME_AT = offsetof(FILE_ALL_INFORMATION, NameInformation);
        if (length_ < sizeof(FILE_ALL_INFORMATION)) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        auto *information = reinterpret_cast<FILE_ALL_INFORMATION *>(buffer_);
        information->BasicInformation = basic(node);
        information->StandardInformation = standard(node);
        information->InternalInformation.IndexNumber.QuadPart = static_cast<int64_t>(node.id);
        information->EaInformation.EaSize = 0;
        information->PositionInformation.CurrentByteOffset = file.native.CurrentByteOffset;
        return name(NAME_AT, node.path());
    }

  private:
    io::Operation &operation_;
    uint8_t *buffer_;
    ULONG length_;
};

} // namespace

NTSTATUS MemFileSystem::query_information(io::Operation &operation) {
    const io::FileObject &file = *operation.file;
    const Node *node = node_of(file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER; // the volume has no file information
    }
    Answer answer(operation);
    switch (operation.parameters.QueryFileInformation.FileInformationClass) {
    case FileBasicInformation:
        return answer.fixed(basic(*node));
    case FileStandardInformation:
        return answer.fixed(standard(*node));
    case FileNetworkOpenInformation:
        return answer.fixed(network_open(*node));
    case FileInternalInformation: {
        FILE_INTERNAL_INFORMATION information{};
        information.IndexNumber.QuadPart = static_cast<int64_t>(node->id);
        return answer.fixed(information);
    }
    case FileEaInformation:
        return answer.fixed(FILE_EA_INFORMATION{0});
    case FilePositionInformation:
        return answer.fixed(FILE_POSITION_INFORMATION{file.native.CurrentByteOffset});
    case FileAttributeTagInformation:
        return answer.fixed(FILE_ATTRIBUTE_TAG_INFORMATION{node->visible_attributes(), 0});
    case FileIdInformation: {
        if (!ntfs()) {
            return STATUS_INVALID_PARAMETER;
        }
        FILE_ID_INFORMATION information{};
        information.VolumeSerialNumber = VOLUME_SERIAL_BASE + static_cast<ULONGLONG>(volume_.device_name.back());
        memcpy(information.FileId.Identifier, &node->id, sizeof node->id);
        return answer.fixed(information);
    }
    case FileNameInformation:
        return answer.name(0, node->path());
    case FileAllInformation:
        return answer.all(*node, file);
    case FileStreamInformation:
        return ntfs() ? answer.stream(*node) : STATUS_INVALID_PARAMETER;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

} // namespace fltsim::fs
