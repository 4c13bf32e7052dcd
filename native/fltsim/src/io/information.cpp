// SPDX-License-Identifier: MIT
//
// This module provides: query and set information, renames with their target's parent [SEQ-15], directory queries [SEQ-16].
//
// The IRP's buffer is a kernel copy; the caller's memory is written when the operation has ended.

#include "io/internal.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

/// Smallest buffer and access of a class; nothing when it cannot be queried (set).
struct ClassRule {
    ULONG least_bytes;
    ACCESS_MASK access;
};

std::optional<ClassRule> query_rule(FILE_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case FileBasicInformation:
        return ClassRule{sizeof(FILE_BASIC_INFORMATION), FILE_READ_ATTRIBUTES};
    case FileStandardInformation:
        return ClassRule{sizeof(FILE_STANDARD_INFORMATION), 0};
    case FileInternalInformation:
        return ClassRule{sizeof(FILE_INTERNAL_INFORMATION), 0};
    case FileEaInformation:
        return ClassRule{sizeof(FILE_EA_INFORMATION), 0};
    case FileAccessInformation:
        return ClassRule{sizeof(FILE_ACCESS_INFORMATION), 0};
    case FileNameInformation:
        return ClassRule{sizeof(FILE_NAME_INFORMATION), 0};
    case FilePositionInformation:
        return ClassRule{sizeof(FILE_POSITION_INFORMATION), FILE_READ_DATA | FILE_WRITE_DATA};
    case FileModeInformation:
        return ClassRule{sizeof(FILE_MODE_INFORMATION), 0};
    case FileIoPriorityHintInformation:
        return ClassRule{sizeof(FILE_IO_PRIORITY_HINT_INFORMATION), 0};
    case FileAlignmentInformation:
        return ClassRule{sizeof(FILE_ALIGNMENT_INFORMATION), 0};
    case FileAllInformation:
        return ClassRule{sizeof(FILE_ALL_INFORMATION), FILE_READ_ATTRIBUTES};
    case FileStreamInformation:
        return ClassRule{sizeof(FILE_STREAM_INFORMATION), 0};
    case FileNetworkOpenInformation:
        return ClassRule{sizeof(FILE_NETWORK_OPEN_INFORMATION), FILE_READ_ATTRIBUTES};
    case FileAttributeTagInformation:
        return ClassRule{sizeof(FILE_ATTRIBUTE_TAG_INFORMATION), FILE_READ_ATTRIBUTES};
    case FileIdInformation:
        return ClassRule{sizeof(FILE_ID_INFORMATION), 0};
    case FileStatInformation:
        return ClassRule{sizeof(FILE_STAT_INFORMATION), FILE_READ_ATTRIBUTES};
    case FileAlternateNameInformation:
    case FileNormalizedNameInformation:
        return ClassRule{sizeof(FILE_NAME_INFORMATION), 0};
    case FileCompressionInformation:
        return ClassRule{sizeof(FILE_COMPRESSION_INFORMATION), 0};
    case FileHardLinkInformation:
        return ClassRule{sizeof(FILE_LINKS_INFORMATION), 0};
    case FileStandardLinkInformation:
        return ClassRule{sizeof(FILE_STANDARD_LINK_INFORMATION), 0};
    default:
        return std::nullopt;
    }
}

std::optional<ClassRule> set_rule(FILE_INFORMATION_CLASS information_class) {
    switch (information_class) {
    case FileBasicInformation:
        return ClassRule{sizeof(FILE_BASIC_INFORMATION), FILE_WRITE_ATTRIBUTES};
    case FileRenameInformation:
    case FileRenameInformationEx:
        return ClassRule{sizeof(FILE_RENAME_INFORMATION), DELETE};
    case FileDispositionInformation:
        return ClassRule{sizeof(FILE_DISPOSITION_INFORMATION), DELETE};
    case FileDispositionInformationEx:
        return ClassRule{sizeof(FILE_DISPOSITION_INFORMATION_EX), DELETE};
    case FilePositionInformation:
        return ClassRule{sizeof(FILE_POSITION_INFORMATION), FILE_READ_DATA | FILE_WRITE_DATA};
    case FileIoPriorityHintInformation:
        return ClassRule{sizeof(FILE_IO_PRIORITY_HINT_INFORMATION), 0};
    case FileAllocationInformation:
        return ClassRule{sizeof(FILE_ALLOCATION_INFORMATION), FILE_WRITE_DATA};
    case FileEndOfFileInformation:
        return ClassRule{sizeof(FILE_END_OF_FILE_INFORMATION), FILE_WRITE_DATA};
    case FileLinkInformation:
    case FileLinkInformationEx:
        return ClassRule{sizeof(FILE_LINK_INFORMATION), 0};
    case FileValidDataLengthInformation:
        return ClassRule{sizeof(FILE_VALID_DATA_LENGTH_INFORMATION), FILE_WRITE_DATA};
    default:
        return std::nullopt;
    }
}

NTSTATUS check(const FileObject &file, const std::optional<ClassRule> &rule, ULONG length) {
    if (!rule) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (length < rule->least_bytes) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    return rule->access == 0 || has_access(file, rule->access) ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

ULONG mode_of(const FileObject &file) {
    constexpr ULONG MODE_BITS = FILE_WRITE_THROUGH | FILE_SEQUENTIAL_ONLY | FILE_NO_INTERMEDIATE_BUFFERING |
                                FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT | FILE_DELETE_ON_CLOSE;
    return file.create_options & MODE_BITS;
}

template <class T> NTSTATUS answer(void *buffer, const T &value, IO_STATUS_BLOCK *iosb) {
    memcpy(buffer, &value, sizeof value);
    iosb->Information = sizeof value;
    return iosb->Status = STATUS_SUCCESS;
}

/// Classes that the I/O manager answers itself. Nothing: the file system has to.
std::optional<NTSTATUS> query_locally(const FileObject &file, void *buffer, FILE_INFORMATION_CLASS information_class,
                                      IO_STATUS_BLOCK *iosb) {
    switch (information_class) {
    case FileAccessInformation:
        return answer(buffer, FILE_ACCESS_INFORMATION{file.granted_access}, iosb);
    case FileModeInformation:
        return answer(buffer, FILE_MODE_INFORMATION{mode_of(file)}, iosb);
    case FileAlignmentInformation:
        return answer(buffer, FILE_ALIGNMENT_INFORMATION{0}, iosb);
    case FileIoPriorityHintInformation:
        return answer(buffer, FILE_IO_PRIORITY_HINT_INFORMATION{file.priority_hint}, iosb);
    case FilePositionInformation:
        if (file.synchronous) {
            FILE_POSITION_INFORMATION position{};
            position.CurrentByteOffset.QuadPart = file.position;
            return answer(buffer, position, iosb);
        }
        return std::nullopt;
    default:
        return std::nullopt;
    }
}

/// FileAllInformation: the I/O manager's part of the answer.
void prefill_all(const FileObject &file, std::vector<uint8_t> &buffer) {
    auto *all = reinterpret_cast<FILE_ALL_INFORMATION *>(buffer.data());
    all->AccessInformation.AccessFlags = file.granted_access;
    all->ModeInformation.Mode = mode_of(file);
    all->AlignmentInformation.AlignmentRequirement = 0;
}

bool fast_query(FILE_INFORMATION_CLASS information_class) {
    return information_class == FileBasicInformation || information_class == FileStandardInformation ||
           information_class == FileNetworkOpenInformation;
}

} // namespace

bool set_buffer_fits(FILE_INFORMATION_CLASS information_class, ULONG length) {
    const auto rule = set_rule(information_class);
    return !rule || length >= rule->least_bytes;
}

NTSTATUS IoManager::query_information(FileObject &file, void *buffer, ULONG length,
                                      FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    const NTSTATUS checked = check(file, query_rule(information_class), length);
    if (!NT_SUCCESS(checked)) {
        return iosb->Status = checked;
    }
    const FileLock lock(impl_->world, file);
    if (const auto local = query_locally(file, buffer, information_class, iosb)) {
        return *local;
    }
    const auto fill = [&](Operation &operation) {
        operation.system_buffer.assign(length, 0);
        auto &parameters = operation.parameters.QueryFileInformation;
        parameters.Length = length;
        parameters.FileInformationClass = information_class;
        parameters.InfoBuffer = operation.system_buffer.data();
    };
    const auto take = [&](const Operation &operation, NTSTATUS status) {
        *iosb = operation.io_status;
        if (!NT_ERROR(status)) {
            memcpy(buffer, operation.system_buffer.data(), std::min<size_t>(iosb->Information, length));
        }
        return iosb->Status = status;
    };
    if (fast_query(information_class)) {
        const auto fast = impl_->inline_operation(Form::FastIo, IRP_MJ_QUERY_INFORMATION, file, UserMode);
        fill(*fast);
        if (impl_->world.flt->call_inline(fast)) {
            return take(*fast, fast->io_status.Status);
        }
    }
    const ULONG flags = BUFFERED_IRP | IRP_INPUT_OPERATION | synchronous_api(file);
    const auto operation = impl_->irp(IRP_MJ_QUERY_INFORMATION, file, UserMode, flags);
    fill(*operation);
    if (information_class == FileAllInformation) {
        prefill_all(file, operation->system_buffer);
    }
    const NTSTATUS status = impl_->send_and_wait(operation);
    return take(*operation, status);
}

/// A simple new name stays in its directory, everything else is a full NT path, or one relative to RootDirectory.
NTSTATUS IoManager::Impl::open_rename_target(const Operation &operation, std::shared_ptr<FileObject> *parent) {
    const FileObject &file = *operation.file;
    const void *const buffer = operation.system_buffer.data();
    const auto length = static_cast<ULONG>(operation.system_buffer.size());
    FILE_RENAME_INFORMATION rename;
    memcpy(&rename, buffer, sizeof rename);
    constexpr ULONG NAME_AT = offsetof(FILE_RENAME_INFORMATION, FileName);
    if (rename.FileNameLength == 0 || rename.FileNameLength % sizeof(WCHAR) != 0 ||
        rename.FileNameLength > length - NAME_AT) {
        return STATUS_INVALID_PARAMETER;
    }
    std::u16string name(rename.FileNameLength / sizeof(WCHAR), u'\0');
    memcpy(name.data(), static_cast<const uint8_t *>(buffer) + NAME_AT, rename.FileNameLength);
    if (name.front() == u':' || (name.front() != u'\\' && rename.RootDirectory == nullptr)) {
        return STATUS_SUCCESS;
    }
    Open open;
    std::shared_ptr<FileObject> root;
    if (rename.RootDirectory != nullptr) {
        root = world.handles->find_as<FileObject>(rename.RootDirectory);
        if (!root) {
            return world.handles->find(rename.RootDirectory) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
    }
    NTSTATUS status = resolve_name(name, root, &open);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    open.access = FILE_WRITE_DATA | SYNCHRONIZE;
    open.share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    open.disposition = FILE_OPEN;
    open.options = FILE_OPEN_FOR_BACKUP_INTENT;
    open.operation_flags = SL_OPEN_TARGET_DIRECTORY | SL_FORCE_ACCESS_CHECK;
    open.mode = KernelMode;
    open.below = operation.below;
    ULONG_PTR information = 0;
    status = this->open(std::move(open), parent, &information);
    if (NT_SUCCESS(status) && (*parent)->volume != file.volume) {
        (*parent)->last_handle_closed(); // Windows compares the devices when it has both file objects
        return STATUS_NOT_SAME_DEVICE;
    }
    return status;
}

namespace {

/// A rename or a hard link: their structures are laid out alike.
bool names_a_target(FILE_INFORMATION_CLASS information_class) {
    return information_class == FileRenameInformation || information_class == FileRenameInformationEx ||
           information_class == FileLinkInformation || information_class == FileLinkInformationEx;
}

bool is_ex(FILE_INFORMATION_CLASS information_class) {
    return information_class == FileRenameInformationEx || information_class == FileLinkInformationEx;
}

} // namespace

NTSTATUS IoManager::Impl::send_set_information(const std::shared_ptr<Operation> &operation, const void *buffer,
                                               ULONG length, FILE_INFORMATION_CLASS information_class) {
    const auto *bytes = static_cast<const uint8_t *>(buffer);
    operation->system_buffer.assign(bytes, bytes + length);
    auto &parameters = operation->parameters.SetFileInformation;
    parameters.Length = length;
    parameters.FileInformationClass = information_class;
    parameters.InfoBuffer = operation->system_buffer.data();
    std::shared_ptr<FileObject> target; ///< the new name's directory
    if (names_a_target(information_class)) {
        const NTSTATUS opened = open_rename_target(*operation, &target);
        if (!NT_SUCCESS(opened)) {
            return opened;
        }
        parameters.ParentOfTarget = target ? &target->native : nullptr;
        FILE_RENAME_INFORMATION rename;
        memcpy(&rename, buffer, sizeof rename);
        parameters.ReplaceIfExists = is_ex(information_class)
                                         ? static_cast<BOOLEAN>((rename.Flags & FILE_RENAME_REPLACE_IF_EXISTS) != 0)
                                         : rename.ReplaceIfExists;
    }
    const NTSTATUS status = send_and_wait(operation);
    if (target) {
        target->last_handle_closed();
    }
    return status;
}

NTSTATUS IoManager::set_information(FileObject &file, const void *buffer, ULONG length,
                                    FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    const NTSTATUS checked = check(file, set_rule(information_class), length);
    if (!NT_SUCCESS(checked)) {
        return iosb->Status = checked;
    }
    const FileLock lock(impl_->world, file);
    if (information_class == FileIoPriorityHintInformation) {
        ULONG hint = 0;
        memcpy(&hint, buffer, sizeof hint);
        if (hint > IoPriorityNormal) {
            return iosb->Status = STATUS_INVALID_PARAMETER; // the higher ones are the system's
        }
        file.priority_hint = static_cast<IO_PRIORITY_HINT>(hint);
        return iosb->Status = STATUS_SUCCESS;
    }
    if (information_class == FilePositionInformation) {
        FILE_POSITION_INFORMATION position;
        memcpy(&position, buffer, sizeof position);
        if (position.CurrentByteOffset.QuadPart < 0) {
            return iosb->Status = STATUS_INVALID_PARAMETER;
        }
        if (file.synchronous) {
            file.position = position.CurrentByteOffset.QuadPart;
            file.native.CurrentByteOffset.QuadPart = file.position;
            return iosb->Status = STATUS_SUCCESS;
        }
    }
    const auto operation = impl_->irp(IRP_MJ_SET_INFORMATION, file, UserMode, BUFFERED_IRP | synchronous_api(file));
    const NTSTATUS status = impl_->send_set_information(operation, buffer, length, information_class);
    *iosb = operation->io_status;
    return iosb->Status = status;
}

NTSTATUS IoManager::query_directory(FileObject &file, const DirectoryQuery &query, const AsyncBlock *async,
                                    IO_STATUS_BLOCK *iosb) {
    *iosb = {};
    if (!has_access(file, FILE_LIST_DIRECTORY)) {
        return iosb->Status = STATUS_ACCESS_DENIED;
    }
    const FileLock lock(impl_->world, file);
    const bool asynchronous = async != nullptr && !file.synchronous;
    const auto operation = impl_->irp(IRP_MJ_DIRECTORY_CONTROL, file, UserMode,
                                      IRP_DEFER_IO_COMPLETION | (asynchronous ? 0 : synchronous_api(file)));
    operation->minor = IRP_MN_QUERY_DIRECTORY;
    operation->operation_flags = query.flags;
    auto &parameters = operation->parameters.DirectoryControl.QueryDirectory;
    parameters.Length = query.length;
    parameters.FileInformationClass = query.information_class;
    parameters.FileIndex = query.index;
    parameters.DirectoryBuffer = query.buffer;
    if (query.pattern) {
        // The pattern's kernel copy lives behind its UNICODE_STRING.
        operation->system_buffer.resize(sizeof(UNICODE_STRING) + query.pattern->size() * sizeof(WCHAR));
        auto *name = reinterpret_cast<UNICODE_STRING *>(operation->system_buffer.data());
        name->Buffer = reinterpret_cast<PWCH>(name + 1);
        name->Length = static_cast<USHORT>(query.pattern->size() * sizeof(WCHAR));
        name->MaximumLength = name->Length;
        memcpy(name->Buffer, query.pattern->data(), name->Length);
        parameters.FileName = name;
    }
    NTSTATUS status;
    if (asynchronous) {
        const auto request = impl_->send(operation, async);
        status = request->completed ? operation->io_status.Status : STATUS_PENDING;
    } else {
        status = impl_->send_and_wait(operation);
    }
    if (status != STATUS_PENDING) {
        *iosb = operation->io_status;
    }
    return iosb->Status = status;
}

NTSTATUS IoManager::query_directory(FileObject &file, void *buffer, ULONG length,
                                    FILE_INFORMATION_CLASS information_class, bool single, std::u16string_view pattern,
                                    bool restart, IO_STATUS_BLOCK *iosb) {
    DirectoryQuery query;
    query.buffer = buffer;
    query.length = length;
    query.information_class = information_class;
    query.flags = static_cast<UCHAR>((single ? SL_RETURN_SINGLE_ENTRY : 0) | (restart ? SL_RESTART_SCAN : 0));
    if (!pattern.empty()) {
        query.pattern = pattern;
    }
    return query_directory(file, query, nullptr, iosb);
}

} // namespace fltsim::io
