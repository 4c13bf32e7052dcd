// SPDX-License-Identifier: MIT
//
// This module provides: self-relative security descriptors, taken apart and put together.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "core/ddk.hpp"

namespace fltsim::io {

struct SecurityParts {
    std::vector<uint8_t> owner; ///< a SID; empty: none
    std::vector<uint8_t> group;
    std::optional<std::vector<uint8_t>> dacl; ///< nothing: not present; empty: present and null, everything is allowed
    std::optional<std::vector<uint8_t>> sacl;
};

/// STATUS_INVALID_SECURITY_DESCR, STATUS_INVALID_SID or STATUS_INVALID_ACL for what is none.
NTSTATUS split_security(const std::vector<uint8_t> &descriptor, SecurityParts *parts);
std::vector<uint8_t> join_security(const SecurityParts &parts);
/// Leaves the parts that SECURITY_INFORMATION names.
void keep_security(ULONG information, SecurityParts *parts);
/// The bytes of a caller's self-relative descriptor, whose length it tells itself.
NTSTATUS capture_security(const void *descriptor, std::vector<uint8_t> *bytes);

/// S-1-authority-...
std::vector<uint8_t> sid_of(uint8_t authority, std::initializer_list<uint32_t> parts);
/// Bytes of a valid SID at the front of the buffer; 0 for none.
size_t sid_bytes(const uint8_t *at, size_t room);
std::vector<uint8_t> acl_of(const std::vector<std::vector<uint8_t>> &aces);
std::vector<std::vector<uint8_t>> aces_of(const std::optional<std::vector<uint8_t>> &acl);

} // namespace fltsim::io
