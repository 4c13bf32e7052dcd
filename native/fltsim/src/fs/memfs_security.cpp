// SPDX-License-Identifier: MIT
//
// This module provides: security descriptors: kept, given out in parts, inherited. Nothing is checked against them: every caller is an administrator.
//
// FAT keeps none: STATUS_INVALID_DEVICE_REQUEST, which the I/O manager turns into an answer of its own.

#include "fs/memfs.hpp"
#include "io/security.hpp"

#include <cstring>

namespace fltsim::fs {

namespace {

constexpr UCHAR OBJECT_INHERIT = 0x1;
constexpr UCHAR CONTAINER_INHERIT = 0x2;
constexpr UCHAR NO_PROPAGATE = 0x4;
constexpr UCHAR INHERIT_ONLY = 0x8;
constexpr UCHAR INHERITED = 0x10;

std::vector<uint8_t> allow(ACCESS_MASK access, UCHAR flags, const std::vector<uint8_t> &sid) {
    ACE_HEADER header{};
    header.AceFlags = flags;
    header.AceSize = static_cast<USHORT>(sizeof header + sizeof access + sid.size());
    std::vector<uint8_t> ace(header.AceSize);
    memcpy(ace.data(), &header, sizeof header);
    memcpy(ace.data() + sizeof header, &access, sizeof access);
    memcpy(ace.data() + sizeof header + sizeof access, sid.data(), sid.size());
    return ace;
}

} // namespace

/// Administrators and the system everything, users read and execute, for all below.
std::vector<uint8_t> MemFileSystem::root_security() {
    constexpr UCHAR ALL_BELOW = OBJECT_INHERIT | CONTAINER_INHERIT;
    const auto administrators = io::sid_of(5, {32, 544});
    io::SecurityParts parts;
    parts.owner = administrators;
    parts.group = administrators;
    parts.dacl = io::acl_of({allow(FILE_ALL_ACCESS, ALL_BELOW, io::sid_of(5, {18})),
                             allow(FILE_ALL_ACCESS, ALL_BELOW, administrators),
                             allow(FILE_GENERIC_READ | FILE_GENERIC_EXECUTE, ALL_BELOW, io::sid_of(5, {32, 545}))});
    return io::join_security(parts);
}

std::vector<uint8_t> MemFileSystem::inherited_security(const Node &parent, bool directory) const {
    io::SecurityParts parts;
    if (!NT_SUCCESS(io::split_security(parent.security, &parts))) {
        return root_security();
    }
    std::vector<std::vector<uint8_t>> inherited;
    for (std::vector<uint8_t> ace : io::aces_of(parts.dacl)) {
        UCHAR &flags = ace[offsetof(ACE_HEADER, AceFlags)];
        const bool object = (flags & OBJECT_INHERIT) != 0;
        const bool container = (flags & CONTAINER_INHERIT) != 0;
        if (directory ? !(object || container) : !object) {
            continue;
        }
        if (!directory || (flags & NO_PROPAGATE) != 0) {
            flags = INHERITED;
        } else {
            // An entry for files alone only passes through a directory.
            flags = static_cast<UCHAR>((flags & ~INHERIT_ONLY) | INHERITED | (container ? 0 : INHERIT_ONLY));
        }
        inherited.push_back(std::move(ace));
    }
    parts.sacl.reset();
    parts.dacl = io::acl_of(inherited);
    return io::join_security(parts);
}

NTSTATUS MemFileSystem::query_security(io::Operation &operation) {
    const Node *node = owner_of(*operation.file);
    if (!ntfs() || node == nullptr) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    const auto &parameters = operation.parameters.QuerySecurity;
    io::SecurityParts parts;
    const NTSTATUS split = io::split_security(node->security, &parts);
    if (!NT_SUCCESS(split)) {
        return split;
    }
    io::keep_security(parameters.SecurityInformation, &parts);
    const std::vector<uint8_t> answer = io::join_security(parts);
    operation.io_status.Information = answer.size();
    if (answer.size() > parameters.Length) {
        return STATUS_BUFFER_OVERFLOW; // Information says what is needed
    }
    memcpy(parameters.SecurityBuffer, answer.data(), answer.size());
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::set_security(io::Operation &operation) {
    Node *node = owner_of(*operation.file);
    if (!ntfs() || node == nullptr) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    const auto &parameters = operation.parameters.SetSecurity;
    const ULONG wanted = parameters.SecurityInformation;
    io::SecurityParts parts;
    io::SecurityParts changed;
    NTSTATUS status = io::split_security(node->security, &parts);
    if (NT_SUCCESS(status)) {
        status = io::split_security(operation.security_descriptor, &changed);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if ((wanted & OWNER_SECURITY_INFORMATION) != 0) {
        if (changed.owner.empty()) {
            return STATUS_INVALID_OWNER;
        }
        parts.owner = changed.owner;
    }
    if ((wanted & GROUP_SECURITY_INFORMATION) != 0) {
        if (changed.group.empty()) {
            return STATUS_INVALID_SECURITY_DESCR;
        }
        parts.group = changed.group;
    }
    if ((wanted & DACL_SECURITY_INFORMATION) != 0) {
        parts.dacl = changed.dacl;
    }
    if ((wanted & SACL_SECURITY_INFORMATION) != 0) {
        parts.sacl = changed.sacl;
    }
    node->security = io::join_security(parts);
    node->times.changed = now();
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
