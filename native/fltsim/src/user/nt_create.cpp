// SPDX-License-Identifier: MIT
//
// This module provides: NtCreateFile, NtQueryAttributesFile, NtQueryFullAttributesFile and NtQueryInformationByName.
//
// A name is an NT path (\??\D:\dir\file), or relative to an open directory. Their status blocks are written when something was opened or answered; a
// call that fails leaves them alone.

#include "user/nt_call.hpp"

#include <cstring>

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// What services with a name have in common: the name by itself, or below the handle that it is relative to.
struct NamedTarget {
    std::u16string name;
    HANDLE root = nullptr;
    bool case_sensitive = false;
};

NTSTATUS target_of(POBJECT_ATTRIBUTES attributes, NamedTarget *target) {
    if (attributes == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    if (attributes->Length != sizeof(OBJECT_ATTRIBUTES) || attributes->ObjectName == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    const UNICODE_STRING &name = *attributes->ObjectName;
    if (name.Length % sizeof(WCHAR) != 0 || (name.Length != 0 && name.Buffer == nullptr)) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    target->root = attributes->RootDirectory;
    if (name.Length != 0) {
        target->name.assign(reinterpret_cast<const char16_t *>(name.Buffer), name.Length / sizeof(WCHAR));
    }
    return STATUS_SUCCESS;
}

/// Runs `body(World &, root)` in the world of the root handle, or, without one, in the calling thread's.
template <class Body> NTSTATUS named_call(const NamedTarget &target, const char *api, Body &&body) {
    if (target.root != nullptr) {
        return nt_file_call(target.root, api,
                            [&](World &w, const std::shared_ptr<io::FileObject> &root) { return body(w, root); });
    }
    World *inside = world_or_null();
    const auto world = inside != nullptr ? world_by_number(inside->number) : selected_world();
    if (!world) {
        return STATUS_DEVICE_NOT_READY;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const NTSTATUS entered = enter_native(world, api, [&](World &w) { status = body(w, nullptr); });
    return NT_SUCCESS(entered) ? status : entered;
}

/// Asks for attributes by name; `information` has the class's size.
NTSTATUS query_by_name(const char *api, POBJECT_ATTRIBUTES attributes, void *information, ULONG length,
                       FILE_INFORMATION_CLASS information_class, IO_STATUS_BLOCK *iosb) {
    NamedTarget target;
    const NTSTATUS named = target_of(attributes, &target);
    if (!NT_SUCCESS(named)) {
        return named;
    }
    return named_call(target, api, [&](World &w, const std::shared_ptr<io::FileObject> &root) {
        io::IoManager::CreateFile request;
        request.name = target.name;
        request.root = root;
        return w.io->query_by_name(request, information, length, information_class, iosb);
    });
}

} // namespace

FLTSIM_USER NTSTATUS NtCreateFile(PHANDLE FileHandle, ULONG DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                                  PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes,
                                  ULONG ShareAccess, ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer,
                                  ULONG EaLength) {
    if (FileHandle == nullptr || IoStatusBlock == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    NamedTarget target;
    const NTSTATUS named = target_of(ObjectAttributes, &target);
    if (!NT_SUCCESS(named)) {
        return named;
    }
    if (AllocationSize != nullptr && AllocationSize->QuadPart < 0) {
        return STATUS_INVALID_PARAMETER;
    }
    return named_call(target, "NtCreateFile", [&](World &w, const std::shared_ptr<io::FileObject> &root) {
        io::IoManager::CreateFile request;
        request.name = target.name;
        request.root = root;
        request.access = DesiredAccess;
        request.attributes = FileAttributes;
        request.share = ShareAccess;
        request.disposition = CreateDisposition;
        request.options = CreateOptions;
        request.allocation = AllocationSize != nullptr ? AllocationSize->QuadPart : 0;
        request.security_descriptor = ObjectAttributes->SecurityDescriptor;
        if (EaBuffer != nullptr && EaLength != 0) {
            const auto *bytes = static_cast<const uint8_t *>(EaBuffer);
            request.ea.assign(bytes, bytes + EaLength);
        }
        std::shared_ptr<io::FileObject> file;
        ULONG_PTR information = 0;
        const NTSTATUS status = w.io->create_file(request, &file, &information);
        if (NT_SUCCESS(status)) {
            *FileHandle = w.handles->insert(std::move(file));
            IoStatusBlock->Status = status;
            IoStatusBlock->Information = information;
        }
        return status;
    });
}

FLTSIM_USER NTSTATUS NtQueryAttributesFile(POBJECT_ATTRIBUTES ObjectAttributes, PVOID FileInformation) {
    if (FileInformation == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    IO_STATUS_BLOCK iosb{};
    return query_by_name("NtQueryAttributesFile", ObjectAttributes, FileInformation, sizeof(FILE_BASIC_INFORMATION),
                         FileBasicInformation, &iosb);
}

FLTSIM_USER NTSTATUS NtQueryFullAttributesFile(POBJECT_ATTRIBUTES ObjectAttributes, PVOID FileInformation) {
    if (FileInformation == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    IO_STATUS_BLOCK iosb{};
    return query_by_name("NtQueryFullAttributesFile", ObjectAttributes, FileInformation,
                         sizeof(FILE_NETWORK_OPEN_INFORMATION), FileNetworkOpenInformation, &iosb);
}

FLTSIM_USER NTSTATUS NtQueryInformationByName(POBJECT_ATTRIBUTES ObjectAttributes, PIO_STATUS_BLOCK IoStatusBlock,
                                              PVOID FileInformation, ULONG Length, ULONG FileInformationClass) {
    if (IoStatusBlock == nullptr || FileInformation == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    if (FileInformationClass != FileStatInformation) {
        return STATUS_INVALID_INFO_CLASS;
    }
    if (Length < sizeof(FILE_STAT_INFORMATION)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = query_by_name("NtQueryInformationByName", ObjectAttributes, FileInformation, Length,
                                          FileStatInformation, &iosb);
    if (!NT_ERROR(status)) {
        *IoStatusBlock = iosb;
    }
    return status;
}
