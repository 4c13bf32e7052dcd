// SPDX-License-Identifier: MIT
//
// This module provides: opening files [SEQ-01], also the parent of a rename's target [SEQ-15]. What follows STATUS_REPARSE is in reparse.cpp.

#include "io/internal.hpp"
#include "io/security.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

constexpr ULONG SYNCHRONOUS_OPTIONS = FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT;

/// Generic rights as the file rights they stand for.
ACCESS_MASK map_generic(ACCESS_MASK access) {
    const auto has = [access](auto bit) { return (access & static_cast<ACCESS_MASK>(bit)) != 0; };
    const ACCESS_MASK generic = static_cast<ACCESS_MASK>(GENERIC_READ) | static_cast<ACCESS_MASK>(GENERIC_WRITE) |
                                static_cast<ACCESS_MASK>(GENERIC_EXECUTE) | static_cast<ACCESS_MASK>(GENERIC_ALL) |
                                static_cast<ACCESS_MASK>(MAXIMUM_ALLOWED);
    ACCESS_MASK mapped = access & ~generic;
    mapped |= has(GENERIC_READ) ? static_cast<ACCESS_MASK>(FILE_GENERIC_READ) : 0;
    mapped |= has(GENERIC_WRITE) ? static_cast<ACCESS_MASK>(FILE_GENERIC_WRITE) : 0;
    mapped |= has(GENERIC_EXECUTE) ? static_cast<ACCESS_MASK>(FILE_GENERIC_EXECUTE) : 0;
    mapped |= has(GENERIC_ALL) || has(MAXIMUM_ALLOWED) ? static_cast<ACCESS_MASK>(FILE_ALL_ACCESS) : 0;
    return mapped;
}

/// What NtCreateFile refuses before any driver sees it.
bool parameters_valid(ACCESS_MASK access, ULONG share, ULONG disposition, ULONG options) {
    constexpr ULONG DIRECTORY_OPTIONS = FILE_DIRECTORY_FILE | SYNCHRONOUS_OPTIONS | FILE_WRITE_THROUGH |
                                        FILE_OPEN_FOR_BACKUP_INTENT | FILE_DELETE_ON_CLOSE | FILE_OPEN_BY_FILE_ID |
                                        FILE_NO_COMPRESSION | FILE_OPEN_REPARSE_POINT | FILE_OPEN_FOR_FREE_SPACE_QUERY;
    if (disposition > FILE_MAXIMUM_DISPOSITION || (share & ~static_cast<ULONG>(FILE_SHARE_VALID_FLAGS)) != 0 ||
        (options & ~static_cast<ULONG>(FILE_VALID_OPTION_FLAGS)) != 0) {
        return false;
    }
    if ((options & SYNCHRONOUS_OPTIONS) == SYNCHRONOUS_OPTIONS ||
        ((options & SYNCHRONOUS_OPTIONS) != 0 && (access & SYNCHRONIZE) == 0)) {
        return false;
    }
    if ((options & FILE_DELETE_ON_CLOSE) != 0 && (access & DELETE) == 0) {
        return false;
    }
    if ((options & FILE_DIRECTORY_FILE) != 0) {
        const bool makes_or_opens =
            disposition == FILE_CREATE || disposition == FILE_OPEN || disposition == FILE_OPEN_IF;
        return makes_or_opens && (options & ~DIRECTORY_OPTIONS) == 0;
    }
    return (options & FILE_NO_INTERMEDIATE_BUFFERING) == 0 || (access & FILE_APPEND_DATA) == 0 ||
           (access & FILE_WRITE_DATA) != 0;
}

ULONG file_object_flags(ULONG options) {
    ULONG flags = 0;
    flags |= (options & SYNCHRONOUS_OPTIONS) != 0 ? FO_SYNCHRONOUS_IO : 0;
    flags |= (options & FILE_SYNCHRONOUS_IO_ALERT) != 0 ? FO_ALERTABLE_IO : 0;
    flags |= (options & FILE_NO_INTERMEDIATE_BUFFERING) != 0 ? FO_NO_INTERMEDIATE_BUFFERING : 0;
    flags |= (options & FILE_WRITE_THROUGH) != 0 ? FO_WRITE_THROUGH : 0;
    flags |= (options & FILE_SEQUENTIAL_ONLY) != 0 ? FO_SEQUENTIAL_ONLY : 0;
    flags |= (options & FILE_RANDOM_ACCESS) != 0 ? FO_RANDOM_ACCESS : 0;
    return flags;
}

} // namespace

std::shared_ptr<FileObject> IoManager::Impl::make_file_object(const Open &open) {
    const auto file = std::make_shared<FileObject>();
    file->volume = open.volume;
    file->mount = open.volume->mounts;
    file->link = link;
    file->granted_access = open.access;
    file->share_access = open.share;
    file->create_options = open.options;
    file->synchronous = (open.options & SYNCHRONOUS_OPTIONS) != 0;
    file->no_buffering = (open.options & FILE_NO_INTERMEDIATE_BUFFERING) != 0;
    file->write_through = (open.options & FILE_WRITE_THROUGH) != 0;
    file->maximum_allowed = open.maximum_allowed;
    file->ignore_share = open.ignore_share;
    file->below = open.below;
    file->related = open.root;
    const bool by_id = (open.options & FILE_OPEN_BY_FILE_ID) != 0;
    FILE_OBJECT &native = file->native;
    if (by_id) {
        file->given_name = open.name;
        if (!NT_SUCCESS(open.volume->file_system->query_id_name(open.name, &file->name))) {
            file->name = open.name; // the file system says what is wrong with it
        }
    } else if (open.root) {
        file->given_name = open.name;
        if (!NT_SUCCESS(open.volume->file_system->query_name(*open.root, &file->name))) {
            file->name = open.root->name;
        }
        if (!open.name.empty() && open.name.front() != u':') {
            file->name += file->name.ends_with(u'\\') ? u"" : u"\\";
        }
        file->name += open.name;
    } else {
        file->name = open.name;
    }
    const bool given = by_id || open.root;
    std::u16string &shown = given ? file->given_name : file->name;
    native.DeviceObject = &open.volume->device;
    native.RelatedFileObject = open.root ? &open.root->native : nullptr;
    const bool volume_open =
        !by_id && open.name.empty() && (!open.root || (open.root->native.Flags & FO_VOLUME_OPEN) != 0);
    native.Flags = file_object_flags(open.options) | (volume_open ? FO_VOLUME_OPEN : 0);
    native.FileName.Buffer = reinterpret_cast<PWCH>(shown.data());
    native.FileName.Length = static_cast<USHORT>(shown.size() * sizeof(WCHAR));
    native.FileName.MaximumLength = native.FileName.Length;
    return file;
}

std::shared_ptr<Operation> IoManager::Impl::create_operation(const Open &open, FileObject &file) const {
    const auto operation =
        irp(IRP_MJ_CREATE, file, open.mode, IRP_CREATE_OPERATION | IRP_SYNCHRONOUS_API | IRP_DEFER_IO_COMPLETION);
    operation->operation_flags = open.operation_flags;
    file.paging_file = (open.operation_flags & SL_OPEN_PAGING_FILE) != 0;
    operation->generated = !open.below.empty();
    operation->ecp_list = open.ecp_list;
    // The extended attributes lie behind the security context.
    const size_t ea_at = sizeof(IO_SECURITY_CONTEXT);
    operation->system_buffer.resize(ea_at + open.ea.size());
    auto *security = reinterpret_cast<IO_SECURITY_CONTEXT *>(operation->system_buffer.data());
    security->DesiredAccess = open.access;
    security->FullCreateOptions = open.options;
    constexpr unsigned DISPOSITION_SHIFT = 24;
    auto &parameters = operation->parameters.Create;
    parameters.SecurityContext = security;
    parameters.Options = (open.disposition << DISPOSITION_SHIFT) | open.options;
    parameters.FileAttributes = static_cast<USHORT>(open.attributes);
    parameters.ShareAccess = static_cast<USHORT>(open.share);
    parameters.AllocationSize.QuadPart = open.allocation;
    if (!open.ea.empty()) {
        memcpy(operation->system_buffer.data() + ea_at, open.ea.data(), open.ea.size());
        parameters.EaBuffer = operation->system_buffer.data() + ea_at;
        parameters.EaLength = static_cast<ULONG>(open.ea.size());
    }
    operation->security_descriptor = open.security_descriptor;
    return operation;
}

NTSTATUS IoManager::Impl::open_by_name(Open *open, std::shared_ptr<FileObject> *opened, ULONG_PTR *information) {
    constexpr size_t MAX_NAME_CHARS = 0x7FFE;
    constexpr unsigned MAX_REPARSES = 63;
    *information = 0;
    for (unsigned reparses = 0;; ++reparses) {
        if (open->name.size() > MAX_NAME_CHARS) {
            return STATUS_OBJECT_NAME_INVALID;
        }
        if (open->only != nullptr && open->volume != open->only) {
            return reparses == 0 ? STATUS_INVALID_DEVICE_OBJECT_PARAMETER : STATUS_MOUNT_POINT_NOT_RESOLVED;
        }
        const auto file = make_file_object(*open);
        const auto operation = create_operation(*open, *file);
        file->references = 1; // the handle's
        const NTSTATUS status = send_and_wait(operation);
        open->ecp_list = operation->ecp_list; // a filter may have given it one
        FILE_OBJECT &native = file->native;
        native.RelatedFileObject = nullptr; // means something during the create only
        file->related.reset();
        if (status == STATUS_REPARSE) {
            if (reparses == MAX_REPARSES) {
                return STATUS_REPARSE_POINT_NOT_RESOLVED;
            }
            const NTSTATUS followed = follow(*operation, open);
            if (!NT_SUCCESS(followed)) {
                return followed;
            }
            continue;
        }
        if (!NT_SUCCESS(status)) {
            if ((native.Flags & FO_FILE_OPEN_CANCELLED) != 0) {
                file->close_sent = true; // FltCancelFileOpen has cleaned it up and closed it
            } else if (file->opened) {
                // A filter turned the status and did not call FltCancelFileOpen: on Windows the open stays behind in the file system.
                world.note("create of " + file->describe() +
                           " failed above the file system without FltCancelFileOpen; it is cleaned up and closed");
                cleanup(file);
            }
            return status;
        }
        if (!file->opened) {
            bugcheck("INVALID_CREATE_STATUS", "IRP_MJ_CREATE",
                     "a filter completed the create of " + file->describe() +
                         " with success, but no file system opened it");
        }
        native.Flags |= FO_HANDLE_CREATED;
        *information = operation->io_status.Information;
        *opened = file;
        return status;
    }
}

NTSTATUS IoManager::Impl::open(Open open, std::shared_ptr<FileObject> *opened, ULONG_PTR *information) {
    void *const given = open.ecp_list;
    if (given != nullptr) {
        world.flt->begin_create(given);
    }
    const NTSTATUS status = open_by_name(&open, opened, information);
    if (open.ecp_list != nullptr) {
        world.flt->end_create(given, open.ecp_list);
    }
    return status;
}

NTSTATUS IoManager::Impl::resolve_name(const std::u16string &name, const std::shared_ptr<FileObject> &root,
                                       Open *open) {
    if (!root) {
        return resolve(name, &open->volume, &open->name);
    }
    const bool by_id = (open->options & FILE_OPEN_BY_FILE_ID) != 0;
    if (!by_id && !name.empty() && name.front() == u'\\') {
        return STATUS_INVALID_PARAMETER;
    }
    open->volume = root->volume;
    open->name = name;
    open->root = root;
    return STATUS_SUCCESS;
}

NTSTATUS IoManager::create_file(const CreateFile &request, std::shared_ptr<FileObject> *file, ULONG_PTR *information) {
    *information = 0;
    if (!request.unchecked && !parameters_valid(request.access, request.share, request.disposition, request.options)) {
        return STATUS_INVALID_PARAMETER;
    }
    Impl::Open open;
    open.options = request.options;
    const NTSTATUS status = impl_->resolve_name(request.name, request.root, &open);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    open.access = map_generic(request.access);
    open.maximum_allowed = (request.access & static_cast<ACCESS_MASK>(MAXIMUM_ALLOWED)) != 0;
    open.attributes = request.attributes;
    open.share = request.share;
    open.disposition = request.disposition;
    open.allocation = request.allocation;
    open.ea = request.ea;
    if (request.security_descriptor != nullptr) {
        const NTSTATUS captured = capture_security(request.security_descriptor, &open.security_descriptor);
        if (!NT_SUCCESS(captured)) {
            return captured;
        }
    }
    open.mode = request.mode;
    open.operation_flags = request.operation_flags;
    open.ignore_share = request.ignore_share;
    open.below = request.below;
    open.only = request.only;
    open.ecp_list = request.ecp_list;
    return impl_->open(std::move(open), file, information);
}

NTSTATUS IoManager::create(std::u16string_view nt_path, ACCESS_MASK access, ULONG attributes, ULONG share,
                           ULONG disposition, ULONG options, KPROCESSOR_MODE mode, std::shared_ptr<FileObject> *file,
                           ULONG_PTR *information) {
    CreateFile request;
    request.name = nt_path;
    request.access = access;
    request.attributes = attributes;
    request.share = share;
    request.disposition = disposition;
    request.options = options;
    request.mode = mode;
    return create_file(request, file, information);
}

} // namespace fltsim::io
