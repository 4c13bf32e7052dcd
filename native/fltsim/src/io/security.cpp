// SPDX-License-Identifier: MIT
//
// This module provides: security.hpp.

#include "io/security.hpp"

#include <cstring>

namespace fltsim::io {

namespace {

constexpr UCHAR REVISION = 1;
constexpr UCHAR ACL_REVISION = 2;
constexpr UCHAR ACL_REVISION_MAX = 4;
constexpr UCHAR SUB_AUTHORITIES_MAX = 15;
constexpr size_t PART_ALIGNMENT = 4;

/// 0: none there, or not a valid one.
size_t acl_bytes(const uint8_t *at, size_t room) {
    ACL acl{};
    if (room < sizeof acl) {
        return 0;
    }
    memcpy(&acl, at, sizeof acl);
    if (acl.AclRevision < ACL_REVISION || acl.AclRevision > ACL_REVISION_MAX || acl.AclSize < sizeof acl ||
        acl.AclSize > room) {
        return 0;
    }
    size_t used = sizeof acl;
    for (unsigned i = 0; i < acl.AceCount; ++i) {
        ACE_HEADER ace{};
        if (acl.AclSize - used < sizeof ace) {
            return 0;
        }
        memcpy(&ace, at + used, sizeof ace);
        if (ace.AceSize < sizeof ace || ace.AceSize > acl.AclSize - used) {
            return 0;
        }
        used += ace.AceSize;
    }
    return acl.AclSize;
}

NTSTATUS take_sid(const std::vector<uint8_t> &bytes, ULONG at, std::vector<uint8_t> *sid) {
    if (at == 0) {
        return STATUS_SUCCESS;
    }
    const size_t length = at < bytes.size() ? sid_bytes(bytes.data() + at, bytes.size() - at) : 0;
    if (length == 0) {
        return STATUS_INVALID_SID;
    }
    sid->assign(bytes.begin() + at, bytes.begin() + at + static_cast<std::ptrdiff_t>(length));
    return STATUS_SUCCESS;
}

NTSTATUS take_acl(const std::vector<uint8_t> &bytes, bool present, ULONG at, std::optional<std::vector<uint8_t>> *acl) {
    if (!present) {
        return STATUS_SUCCESS;
    }
    acl->emplace();
    if (at == 0) {
        return STATUS_SUCCESS;
    }
    const size_t length = at < bytes.size() ? acl_bytes(bytes.data() + at, bytes.size() - at) : 0;
    if (length == 0) {
        return STATUS_INVALID_ACL;
    }
    (*acl)->assign(bytes.begin() + at, bytes.begin() + at + static_cast<std::ptrdiff_t>(length));
    return STATUS_SUCCESS;
}

} // namespace

size_t sid_bytes(const uint8_t *at, size_t room) {
    constexpr size_t HEAD = offsetof(SID, SubAuthority);
    if (room < HEAD || at[0] != REVISION || at[1] > SUB_AUTHORITIES_MAX) {
        return 0;
    }
    const size_t length = HEAD + at[1] * sizeof(ULONG);
    return length <= room ? length : 0;
}

NTSTATUS split_security(const std::vector<uint8_t> &descriptor, SecurityParts *parts) {
    SECURITY_DESCRIPTOR_RELATIVE head{};
    if (descriptor.size() < sizeof head) {
        return STATUS_INVALID_SECURITY_DESCR;
    }
    memcpy(&head, descriptor.data(), sizeof head);
    if (head.Revision != REVISION || (head.Control & SE_SELF_RELATIVE) == 0) {
        return STATUS_INVALID_SECURITY_DESCR;
    }
    NTSTATUS status = take_sid(descriptor, head.Owner, &parts->owner);
    if (NT_SUCCESS(status)) {
        status = take_sid(descriptor, head.Group, &parts->group);
    }
    if (NT_SUCCESS(status)) {
        status = take_acl(descriptor, (head.Control & SE_DACL_PRESENT) != 0, head.Dacl, &parts->dacl);
    }
    if (NT_SUCCESS(status)) {
        status = take_acl(descriptor, (head.Control & SE_SACL_PRESENT) != 0, head.Sacl, &parts->sacl);
    }
    return status;
}

std::vector<uint8_t> join_security(const SecurityParts &parts) {
    SECURITY_DESCRIPTOR_RELATIVE head{};
    head.Revision = REVISION;
    head.Control = SE_SELF_RELATIVE;
    std::vector<uint8_t> bytes(sizeof head);
    const auto append = [&bytes](const std::vector<uint8_t> &part) -> ULONG {
        if (part.empty()) {
            return 0;
        }
        bytes.resize((bytes.size() + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT);
        const auto at = static_cast<ULONG>(bytes.size());
        bytes.insert(bytes.end(), part.begin(), part.end());
        return at;
    };
    if (parts.sacl) {
        head.Control |= SE_SACL_PRESENT;
        head.Sacl = append(*parts.sacl);
    }
    if (parts.dacl) {
        head.Control |= SE_DACL_PRESENT;
        head.Dacl = append(*parts.dacl);
    }
    head.Owner = append(parts.owner);
    head.Group = append(parts.group);
    memcpy(bytes.data(), &head, sizeof head);
    return bytes;
}

void keep_security(ULONG information, SecurityParts *parts) {
    if ((information & OWNER_SECURITY_INFORMATION) == 0) {
        parts->owner.clear();
    }
    if ((information & GROUP_SECURITY_INFORMATION) == 0) {
        parts->group.clear();
    }
    if ((information & DACL_SECURITY_INFORMATION) == 0) {
        parts->dacl.reset();
    }
    if ((information & SACL_SECURITY_INFORMATION) == 0) {
        parts->sacl.reset();
    }
}

NTSTATUS capture_security(const void *descriptor, std::vector<uint8_t> *bytes) {
    constexpr size_t BYTES_MAX = 0x10000;
    SECURITY_DESCRIPTOR_RELATIVE head{};
    const auto *from = static_cast<const uint8_t *>(descriptor);
    memcpy(&head, from, sizeof head);
    if (head.Revision != REVISION || (head.Control & SE_SELF_RELATIVE) == 0) {
        return STATUS_INVALID_SECURITY_DESCR;
    }
    size_t end = sizeof head;
    // The parts say how long they are; a descriptor has no length of its own.
    for (const ULONG sid : {head.Owner, head.Group}) {
        if (sid != 0) {
            const size_t length = sid < BYTES_MAX ? sid_bytes(from + sid, BYTES_MAX - sid) : 0;
            if (length == 0) {
                return STATUS_INVALID_SID;
            }
            end = std::max(end, sid + length);
        }
    }
    for (const ULONG acl : {(head.Control & SE_DACL_PRESENT) != 0 ? head.Dacl : 0,
                            (head.Control & SE_SACL_PRESENT) != 0 ? head.Sacl : 0}) {
        if (acl != 0) {
            const size_t length = acl < BYTES_MAX ? acl_bytes(from + acl, BYTES_MAX - acl) : 0;
            if (length == 0) {
                return STATUS_INVALID_ACL;
            }
            end = std::max(end, acl + length);
        }
    }
    bytes->assign(from, from + end);
    return STATUS_SUCCESS;
}

std::vector<uint8_t> sid_of(uint8_t authority, std::initializer_list<uint32_t> parts) {
    std::vector<uint8_t> sid(offsetof(SID, SubAuthority) + parts.size() * sizeof(ULONG));
    sid[0] = REVISION;
    sid[1] = static_cast<uint8_t>(parts.size());
    sid[offsetof(SID, IdentifierAuthority) + 5] = authority;
    memcpy(sid.data() + offsetof(SID, SubAuthority), parts.begin(), parts.size() * sizeof(ULONG));
    return sid;
}

std::vector<uint8_t> acl_of(const std::vector<std::vector<uint8_t>> &aces) {
    ACL head{};
    head.AclRevision = ACL_REVISION;
    head.AceCount = static_cast<USHORT>(aces.size());
    std::vector<uint8_t> bytes(sizeof head);
    for (const auto &ace : aces) {
        bytes.insert(bytes.end(), ace.begin(), ace.end());
    }
    head.AclSize = static_cast<USHORT>(bytes.size());
    memcpy(bytes.data(), &head, sizeof head);
    return bytes;
}

std::vector<std::vector<uint8_t>> aces_of(const std::optional<std::vector<uint8_t>> &acl) {
    std::vector<std::vector<uint8_t>> aces;
    if (!acl || acl->empty()) {
        return aces;
    }
    ACL head{};
    memcpy(&head, acl->data(), sizeof head);
    size_t at = sizeof head;
    for (unsigned i = 0; i < head.AceCount; ++i) {
        ACE_HEADER ace{};
        memcpy(&ace, acl->data() + at, sizeof ace);
        aces.emplace_back(acl->begin() + static_cast<std::ptrdiff_t>(at),
                          acl->begin() + static_cast<std::ptrdiff_t>(at + ace.AceSize));
        at += ace.AceSize;
    }
    return aces;
}

} // namespace fltsim::io
