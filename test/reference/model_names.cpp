// SPDX-License-Identifier: MIT
//
// This module provides: renames and hard links on the model's side (model.hpp).

#include "core/handles.hpp" // the kernel's headers come before user mode's

#include "model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <fltsim_nt.h>

namespace reference {

namespace {

static_assert(offsetof(FILE_RENAME_INFO, FileName) == offsetof(FILE_RENAME_INFORMATION, FileName));
static_assert(offsetof(FILE_LINK_INFORMATION, FileName) == offsetof(FILE_RENAME_INFORMATION, FileName));

bool posix(const Operation &operation) {
    return (operation.flags & POSIX) != 0;
}

/// What renames and links take, Win32's and the native ones alike: their structures are laid out alike.
std::vector<uint64_t> information_for(const Operation &operation, const std::u16string &name) {
    constexpr ULONG REPLACE_IF_EXISTS = 1;
    constexpr ULONG POSIX_SEMANTICS = 2;
    const size_t bytes = offsetof(FILE_RENAME_INFORMATION, FileName) + name.size() * sizeof(WCHAR);
    std::vector<uint64_t> buffer(std::max(bytes, sizeof(FILE_RENAME_INFORMATION)) / sizeof(uint64_t) + 1);
    FILE_RENAME_INFORMATION head{};
    const bool replace = (operation.flags & REPLACE) != 0;
    if (posix(operation)) {
        head.Flags = POSIX_SEMANTICS | (replace ? REPLACE_IF_EXISTS : 0);
    } else {
        head.ReplaceIfExists = replace;
    }
    head.FileNameLength = static_cast<ULONG>(name.size() * sizeof(WCHAR));
    std::memcpy(buffer.data(), &head, sizeof head);
    std::memcpy(reinterpret_cast<uint8_t *>(buffer.data()) + offsetof(FILE_RENAME_INFORMATION, FileName), name.data(),
                head.FileNameLength);
    return buffer;
}

} // namespace

Outcome Model::rename(HANDLE handle, const Operation &operation) const {
    std::vector<uint64_t> buffer = information_for(operation, full(operation.to));
    const bool good =
        SetFileInformationByHandle(handle, posix(operation) ? FileRenameInfoEx : FileRenameInfo, buffer.data(),
                                   static_cast<DWORD>(buffer.size() * sizeof(uint64_t))) != FALSE;
    return good ? Outcome{} : Outcome::failure(RtlGetLastNtStatus());
}

Outcome Model::link(HANDLE handle, const Operation &operation) const {
    std::vector<uint64_t> buffer = information_for(operation, u"\\??\\" + full(operation.to));
    IO_STATUS_BLOCK iosb{};
    Outcome outcome;
    outcome.status =
        NtSetInformationFile(handle, &iosb, buffer.data(), static_cast<ULONG>(buffer.size() * sizeof(uint64_t)),
                             posix(operation) ? FileLinkInformationEx : FileLinkInformation);
    return outcome;
}

} // namespace reference
