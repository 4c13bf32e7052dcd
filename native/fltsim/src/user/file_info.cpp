// SPDX-License-Identifier: MIT
//
// This module provides: GetFileInformationByHandleEx and SetFileInformationByHandle.
//
// The structures are the kernel's own (asserted below), but for the name of a rename, which becomes an NT name on its way.

#include <cstring>
#include <optional>
#include <vector>

#include "user/file_call.hpp"
#include "user/path.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

static_assert(sizeof(FILE_BASIC_INFO) == sizeof(FILE_BASIC_INFORMATION));
static_assert(sizeof(FILE_STANDARD_INFO) == sizeof(FILE_STANDARD_INFORMATION));
static_assert(offsetof(FILE_NAME_INFO, FileName) == offsetof(FILE_NAME_INFORMATION, FileName));
static_assert(offsetof(FILE_RENAME_INFO, FileName) == offsetof(FILE_RENAME_INFORMATION, FileName));
static_assert(offsetof(FILE_FULL_DIR_INFO, FileName) == offsetof(FILE_FULL_DIR_INFORMATION, FileName));
static_assert(offsetof(FILE_ID_BOTH_DIR_INFO, FileName) == offsetof(FILE_ID_BOTH_DIR_INFORMATION, FileName));

bool is_class(FILE_INFO_BY_HANDLE_CLASS information_class) {
    return information_class >= FileBasicInfo && information_class < MaximumFileInfoByHandleClass;
}

struct Query {
    FILE_INFORMATION_CLASS information_class;
    bool directory = false;
    bool restart = false;
};

/// Nothing for a class that only sets; stops the world for one that the model does not have.
std::optional<Query> query_of(FILE_INFO_BY_HANDLE_CLASS information_class) {
    switch (information_class) {
    case FileBasicInfo:
        return Query{FileBasicInformation};
    case FileStandardInfo:
        return Query{FileStandardInformation};
    case FileNameInfo:
        return Query{FileNameInformation};
    case FileAttributeTagInfo:
        return Query{FileAttributeTagInformation};
    case FileStreamInfo:
        return Query{FileStreamInformation};
    case FileCompressionInfo:
        return Query{FileCompressionInformation};
    case FileAlignmentInfo:
        return Query{FileAlignmentInformation};
    case FileIdInfo:
        return Query{FileIdInformation};
    case FileIdExtdDirectoryInfo:
        return Query{FileIdExtdDirectoryInformation, true, false};
    case FileIdExtdDirectoryRestartInfo:
        return Query{FileIdExtdDirectoryInformation, true, true};
    case FileFullDirectoryInfo:
        return Query{FileFullDirectoryInformation, true, false};
    case FileFullDirectoryRestartInfo:
        return Query{FileFullDirectoryInformation, true, true};
    case FileIdBothDirectoryInfo:
        return Query{FileIdBothDirectoryInformation, true, false};
    case FileIdBothDirectoryRestartInfo:
        return Query{FileIdBothDirectoryInformation, true, true};
    case FileRenameInfo:
    case FileRenameInfoEx:
    case FileDispositionInfo:
    case FileDispositionInfoEx:
    case FileAllocationInfo:
    case FileEndOfFileInfo:
    case FileIoPriorityHintInfo:
        return std::nullopt;
    default:
        unmodelled("GetFileInformationByHandleEx", "class " + std::to_string(information_class));
    }
}

std::optional<FILE_INFORMATION_CLASS> set_class_of(FILE_INFO_BY_HANDLE_CLASS information_class) {
    switch (information_class) {
    case FileBasicInfo:
        return FileBasicInformation;
    case FileRenameInfo:
        return FileRenameInformation;
    case FileRenameInfoEx:
        return FileRenameInformationEx;
    case FileDispositionInfo:
        return FileDispositionInformation;
    case FileDispositionInfoEx:
        return FileDispositionInformationEx;
    case FileAllocationInfo:
        return FileAllocationInformation;
    case FileEndOfFileInfo:
        return FileEndOfFileInformation;
    case FileIoPriorityHintInfo:
        return FileIoPriorityHintInformation;
    default:
        return std::nullopt;
    }
}

/// A copy of the caller's FILE_RENAME_INFO with the NT form of its name; nothing with `*error` set when the structure or the name is bad.
std::optional<std::vector<uint8_t>> nt_rename(const void *information, DWORD bytes, DWORD *error) {
    constexpr size_t head = offsetof(FILE_RENAME_INFO, FileName);
    const auto refuse = [&](DWORD why) {
        *error = why;
        return std::nullopt;
    };
    if (bytes < sizeof(FILE_RENAME_INFO)) {
        return refuse(ERROR_BAD_LENGTH);
    }
    const auto *const caller = static_cast<const FILE_RENAME_INFO *>(information);
    const DWORD name_bytes = caller->FileNameLength;
    if (name_bytes == 0 || name_bytes % sizeof(WCHAR) != 0 || name_bytes > bytes - head) {
        return refuse(ERROR_INVALID_PARAMETER);
    }
    std::u16string name(caller->FileName, name_bytes / sizeof(WCHAR));
    // Callers often count the terminator in; Win32 names end at it.
    name.resize(std::min(name.find(u'\0'), name.size()));
    // A name below an open directory, and the name of a stream, are NT names already.
    if (caller->RootDirectory == nullptr && !name.starts_with(u':')) {
        auto path = nt_path(name, error);
        if (!path) {
            return std::nullopt;
        }
        name = std::move(*path);
    }
    std::vector<uint8_t> copy(std::max(head + name.size() * sizeof(WCHAR), sizeof(FILE_RENAME_INFO)));
    std::memcpy(copy.data(), caller, head);
    const auto copied_bytes = static_cast<DWORD>(name.size() * sizeof(WCHAR));
    std::memcpy(copy.data() + offsetof(FILE_RENAME_INFO, FileNameLength), &copied_bytes, sizeof(copied_bytes));
    std::memcpy(copy.data() + head, name.data(), copied_bytes);
    return copy;
}

} // namespace

FLTSIM_USER BOOL GetFileInformationByHandleEx(HANDLE hFile, FILE_INFO_BY_HANDLE_CLASS FileInformationClass,
                                              LPVOID lpFileInformation, DWORD dwBufferSize) {
    if (!is_class(FileInformationClass)) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    if (lpFileInformation == nullptr) {
        return fail(dwBufferSize == 0 ? ERROR_BAD_LENGTH : ERROR_NOACCESS);
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = file_call(
        hFile, "NtQueryInformationFile", &status,
        [&](World &w, const std::shared_ptr<io::FileObject> &file) -> NTSTATUS {
            const auto query = query_of(FileInformationClass);
            if (!query) {
                return STATUS_INVALID_PARAMETER;
            }
            IO_STATUS_BLOCK iosb{};
            if (query->directory) {
                return w.io->query_directory(*file, lpFileInformation, dwBufferSize, query->information_class, false,
                                             u"", query->restart, &iosb);
            }
            return w.io->query_information(*file, lpFileInformation, dwBufferSize, query->information_class, &iosb);
        });
    return entered ? result(status) : FALSE;
}

FLTSIM_USER BOOL SetFileInformationByHandle(HANDLE hFile, FILE_INFO_BY_HANDLE_CLASS FileInformationClass,
                                            LPVOID lpFileInformation, DWORD dwBufferSize) {
    if (!is_class(FileInformationClass)) {
        return fail(ERROR_INVALID_PARAMETER);
    }
    if (lpFileInformation == nullptr) {
        return fail(dwBufferSize == 0 ? ERROR_BAD_LENGTH : ERROR_NOACCESS);
    }
    const void *information = lpFileInformation;
    DWORD bytes = dwBufferSize;
    std::optional<std::vector<uint8_t>> renamed;
    if (FileInformationClass == FileRenameInfo || FileInformationClass == FileRenameInfoEx) {
        DWORD error = ERROR_SUCCESS;
        renamed = nt_rename(lpFileInformation, dwBufferSize, &error);
        if (!renamed) {
            return fail(error);
        }
        information = renamed->data();
        bytes = static_cast<DWORD>(renamed->size());
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = file_call(
        hFile, "NtSetInformationFile", &status, [&](World &w, const std::shared_ptr<io::FileObject> &file) -> NTSTATUS {
            const auto information_class = set_class_of(FileInformationClass);
            if (!information_class) {
                return STATUS_INVALID_PARAMETER;
            }
            IO_STATUS_BLOCK iosb{};
            return w.io->set_information(*file, information, bytes, *information_class, &iosb);
        });
    return entered ? result(status) : FALSE;
}
