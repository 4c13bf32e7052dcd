// SPDX-License-Identifier: MIT
//
// This module provides: directory queries [SEQ-16].
//
// The position in a directory is the last name returned, in collation order: entries that come and go meanwhile neither repeat nor hide others.

#include "fs/memfs.hpp"

#include <cstring>

#include "ke/mdl.hpp"

namespace fltsim::fs {

namespace {

constexpr size_t DIRECTORY_ENTRY_ALIGNMENT = 8;

/// One directory entry: "." and ".." as well.
struct Entry {
    std::u16string name;
    const Node *node = nullptr;
    std::u16string short_name;
};

size_t name_offset(FILE_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case FileDirectoryInformation:
        return offsetof(FILE_DIRECTORY_INFORMATION, FileName);
    case FileFullDirectoryInformation:
        return offsetof(FILE_FULL_DIR_INFORMATION, FileName);
    case FileBothDirectoryInformation:
        return offsetof(FILE_BOTH_DIR_INFORMATION, FileName);
    case FileNamesInformation:
        return offsetof(FILE_NAMES_INFORMATION, FileName);
    case FileIdBothDirectoryInformation:
        return offsetof(FILE_ID_BOTH_DIR_INFORMATION, FileName);
    case FileIdFullDirectoryInformation:
        return offsetof(FILE_ID_FULL_DIR_INFORMATION, FileName);
    case FileIdExtdDirectoryInformation:
        return offsetof(FILE_ID_EXTD_DIR_INFORMATION, FileName);
    default:
        return 0;
    }
}

/// The fixed part, up to the name. All classes but FileNamesInformation begin alike.
void fill_fixed(uint8_t *at, FILE_INFORMATION_CLASS information_class, const Entry &entry, size_t fixed_bytes) {
    static_assert(sizeof(FILE_ID_BOTH_DIR_INFORMATION) >= sizeof(FILE_ID_EXTD_DIR_INFORMATION));
    std::array<uint8_t, sizeof(FILE_ID_BOTH_DIR_INFORMATION)> bytes{};
    const auto name_bytes = static_cast<ULONG>(entry.name.size() * sizeof(WCHAR));
    const Node &node = *entry.node;
    if (information_class == FileNamesInformation) {
        FILE_NAMES_INFORMATION information{};
        information.FileNameLength = name_bytes;
        memcpy(bytes.data(), &information, fixed_bytes);
    } else {
        FILE_ID_BOTH_DIR_INFORMATION information{};
        information.CreationTime.QuadPart = node.times.created;
        information.LastAccessTime.QuadPart = node.times.accessed;
        information.LastWriteTime.QuadPart = node.times.written;
        information.ChangeTime.QuadPart = node.times.changed;
        information.EndOfFile.QuadPart = static_cast<int64_t>(node.size);
        information.AllocationSize.QuadPart = static_cast<int64_t>(node.allocation);
        information.FileAttributes = node.visible_attributes();
        information.FileNameLength = name_bytes;
        // A reparse point has no extended attributes: its tag is shown in their place.
        information.EaSize = node.reparse.empty() ? node.ea_bytes() : node.reparse_tag();
        information.ShortNameLength = static_cast<CCHAR>(entry.short_name.size() * sizeof(WCHAR));
        memcpy(information.ShortName, entry.short_name.data(), entry.short_name.size() * sizeof(WCHAR));
        information.FileId.QuadPart = static_cast<int64_t>(node.id);
        memcpy(bytes.data(), &information, sizeof information);
        if (information_class == FileIdFullDirectoryInformation) {
            FILE_ID_FULL_DIR_INFORMATION full{};
            memcpy(&full, &information, offsetof(FILE_ID_FULL_DIR_INFORMATION, FileId));
            full.FileId = information.FileId;
            memcpy(bytes.data(), &full, fixed_bytes);
        } else if (information_class == FileIdExtdDirectoryInformation) {
            FILE_ID_EXTD_DIR_INFORMATION extended{};
            memcpy(&extended, &information, offsetof(FILE_ID_EXTD_DIR_INFORMATION, EaSize));
            extended.EaSize = node.ea_bytes();
            extended.ReparsePointTag = node.reparse_tag();
            memcpy(extended.FileId.Identifier, &node.id, sizeof node.id);
            memcpy(bytes.data(), &extended, fixed_bytes);
        }
    }
    memcpy(at, bytes.data(), fixed_bytes);
}

/// The entry behind the open's position that matches; nothing at the end. Does not move the position.
bool next_entry(const Node &directory, const OpenState &open, Entry *entry, uint32_t *dots, std::u16string *last) {
    *dots = open.dots_listed;
    *last = open.last;
    if (!directory.root) {
        for (; *dots < 2; ++*dots) {
            const std::u16string_view name = *dots == 0 ? u"." : u"..";
            if (name_matches(open.pattern, name)) {
                const Node *parent = directory.links.empty() ? nullptr : directory.links[0]->parent;
                *entry = {std::u16string(name), *dots == 0 || parent == nullptr ? &directory : parent, {}};
                ++*dots;
                return true;
            }
        }
    }
    for (auto at = directory.children.upper_bound(open.last); at != directory.children.end(); ++at) {
        *last = at->first;
        const Link &link = *at->second;
        if (name_matches(open.pattern, link.name) ||
            (!link.short_name.empty() && name_matches(open.pattern, link.short_name))) {
            *entry = {link.name, link.node.get(), link.short_name};
            return true;
        }
    }
    return false;
}

} // namespace

NTSTATUS MemFileSystem::query_directory(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    const Node *directory = node_of(file);
    if (directory == nullptr || !directory->directory) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto &parameters = operation.parameters.DirectoryControl.QueryDirectory;
    const size_t fixed_bytes = name_offset(parameters.FileInformationClass);
    if (fixed_bytes == 0 || (!ntfs() && parameters.FileInformationClass == FileIdExtdDirectoryInformation)) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (parameters.Length < fixed_bytes) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    OpenState &open = *open_of(file);
    const bool first_query = !open.listing;
    const bool from_index = (operation.operation_flags & SL_INDEX_SPECIFIED) != 0 && parameters.FileName != nullptr;
    if (from_index) {
        // Resumes behind the name that the caller saw last: indexes say nothing here, as on NTFS.
        open.dots_listed = 2;
        open.last = fold({reinterpret_cast<const char16_t *>(parameters.FileName->Buffer),
                          parameters.FileName->Length / sizeof(WCHAR)});
    } else if (first_query && parameters.FileName != nullptr) {
        open.pattern.assign(reinterpret_cast<const char16_t *>(parameters.FileName->Buffer),
                            parameters.FileName->Length / sizeof(WCHAR));
    }
    open.listing = true;
    if ((operation.operation_flags & SL_RESTART_SCAN) != 0) {
        open.dots_listed = 0;
        open.last.clear();
    }
    auto *buffer = static_cast<uint8_t *>(ke::data_memory("IRP_MN_QUERY_DIRECTORY", parameters.MdlAddress,
                                                          parameters.DirectoryBuffer, parameters.Length));
    size_t used = 0;
    size_t previous = 0;
    Entry entry;
    uint32_t dots = 0;
    std::u16string last;
    while (next_entry(*directory, open, &entry, &dots, &last)) {
        const size_t at =
            (used + DIRECTORY_ENTRY_ALIGNMENT - 1) / DIRECTORY_ENTRY_ALIGNMENT * DIRECTORY_ENTRY_ALIGNMENT;
        const size_t name_bytes = entry.name.size() * sizeof(WCHAR);
        if (at + fixed_bytes + name_bytes > parameters.Length) {
            if (used != 0) {
                break;
            }
            // Not even one fits: its fixed part and what there is room for.
            fill_fixed(buffer, parameters.FileInformationClass, entry, fixed_bytes);
            memcpy(buffer + fixed_bytes, entry.name.data(), parameters.Length - fixed_bytes);
            operation.io_status.Information = parameters.Length;
            return STATUS_BUFFER_OVERFLOW;
        }
        memset(buffer + used, 0, at - used);
        fill_fixed(buffer + at, parameters.FileInformationClass, entry, fixed_bytes);
        memcpy(buffer + at + fixed_bytes, entry.name.data(), name_bytes);
        if (used != 0) {
            const auto distance = static_cast<ULONG>(at - previous);
            memcpy(buffer + previous, &distance, sizeof distance);
        }
        previous = at;
        used = at + fixed_bytes + name_bytes;
        open.dots_listed = dots;
        open.last = last;
        if ((operation.operation_flags & SL_RETURN_SINGLE_ENTRY) != 0) {
            break;
        }
    }
    operation.io_status.Information = used;
    if (used != 0) {
        return STATUS_SUCCESS;
    }
    return first_query ? STATUS_NO_SUCH_FILE : STATUS_NO_MORE_FILES;
}

} // namespace fltsim::fs
