// SPDX-License-Identifier: MIT
//
// This module provides: what the tests of the file system share: names, links, reparse points and controls by the native services.
#pragma once

#include "io/nt_bench.hpp"

namespace fs_bench {

using namespace nt_bench;

inline constexpr ULONG SYNC = FILE_SYNCHRONOUS_IO_NONALERT;

inline NTSTATUS exists(std::u16string_view name) {
    return NtFile(name, {.access = FILE_READ_ATTRIBUTES}).status;
}
inline NTSTATUS make(std::u16string_view name, bool directory = false) {
    return NtFile(name, {.disposition = FILE_CREATE, .options = SYNC | (directory ? FILE_DIRECTORY_FILE : 0u)}).status;
}
inline std::string content(std::u16string_view name) {
    const NtFile file(name, {.access = FILE_GENERIC_READ});
    char text[64] = {};
    DWORD read = 0;
    if (file.status != STATUS_SUCCESS || ReadFile(file, text, sizeof text, &read, nullptr) == FALSE) {
        return "none";
    }
    return {text, read};
}
inline void write(const NtFile &file, std::string_view text) {
    DWORD written = 0;
    CHECK(WriteFile(file, text.data(), static_cast<DWORD>(text.size()), &written, nullptr) != FALSE);
}

/// FILE_RENAME_INFORMATION and FILE_LINK_INFORMATION alike; Ex classes take `flags`.
inline NTSTATUS name_target(const NtFile &file, std::u16string_view to, ULONG information_class, ULONG flags = 0,
                            HANDLE root = nullptr) {
    const std::u16string name =
        root == nullptr && to.find(u':') == 1 ? u"\\??\\" + std::u16string(to) : std::u16string(to);
    std::vector<uint8_t> buffer(sizeof(FILE_RENAME_INFORMATION) + name.size() * sizeof(WCHAR));
    FILE_RENAME_INFORMATION information{};
    information.Flags = flags;
    information.RootDirectory = root;
    information.FileNameLength = static_cast<ULONG>(name.size() * sizeof(WCHAR));
    memcpy(buffer.data(), &information, sizeof information);
    memcpy(buffer.data() + offsetof(FILE_RENAME_INFORMATION, FileName), name.data(), information.FileNameLength);
    IO_STATUS_BLOCK iosb{};
    return NtSetInformationFile(file, &iosb, buffer.data(), static_cast<ULONG>(buffer.size()), information_class);
}

inline NTSTATUS control(const NtFile &file, ULONG code, const std::vector<uint8_t> &input,
                        std::vector<uint8_t> *output = nullptr) {
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status =
        NtFsControlFile(file, nullptr, nullptr, nullptr, &iosb, code, const_cast<uint8_t *>(input.data()),
                        static_cast<ULONG>(input.size()), output != nullptr ? output->data() : nullptr,
                        output != nullptr ? static_cast<ULONG>(output->size()) : 0);
    if (output != nullptr && !NT_ERROR(status)) {
        output->resize(iosb.Information);
    }
    return status;
}

/// A symbolic link's or mount point's REPARSE_DATA_BUFFER.
inline std::vector<uint8_t> reparse_data(ULONG tag, std::u16string_view target, bool relative = false) {
    const bool symlink = tag == IO_REPARSE_TAG_SYMLINK;
    const size_t names_at = symlink ? offsetof(REPARSE_DATA_BUFFER, SymbolicLinkReparseBuffer.PathBuffer)
                                    : offsetof(REPARSE_DATA_BUFFER, MountPointReparseBuffer.PathBuffer);
    const size_t bytes = target.size() * sizeof(WCHAR);
    REPARSE_DATA_BUFFER head{};
    head.ReparseTag = tag;
    auto &names = head.SymbolicLinkReparseBuffer;
    names.SubstituteNameLength = names.PrintNameLength = static_cast<USHORT>(bytes);
    if (symlink) {
        names.Flags = relative ? SYMLINK_FLAG_RELATIVE : 0;
    }
    head.ReparseDataLength =
        static_cast<USHORT>(names_at + bytes - offsetof(REPARSE_DATA_BUFFER, GenericReparseBuffer));
    std::vector<uint8_t> data(names_at + bytes);
    memcpy(data.data(), &head, names_at);
    memcpy(data.data() + names_at, target.data(), bytes);
    return data;
}

inline NTSTATUS make_reparse(std::u16string_view name, ULONG tag, std::u16string_view target, bool directory = false,
                             bool relative = false) {
    const NtFile file(name, {.disposition = FILE_OPEN_IF,
                             .options = SYNC | FILE_OPEN_REPARSE_POINT | (directory ? FILE_DIRECTORY_FILE : 0u)});
    return file.status != STATUS_SUCCESS ? file.status
                                         : control(file, FSCTL_SET_REPARSE_POINT, reparse_data(tag, target, relative));
}

} // namespace fs_bench
