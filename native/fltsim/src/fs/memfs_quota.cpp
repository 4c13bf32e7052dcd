// SPDX-License-Identifier: MIT
//
// This module provides: disk quotas: limits by SID, kept and listed, not enforced. What an owner uses is counted when it is asked for.
//
// FAT has none: STATUS_INVALID_DEVICE_REQUEST.

#include "fs/answer.hpp"
#include "fs/memfs.hpp"
#include "io/security.hpp"

namespace fltsim::fs {

namespace {

constexpr size_t QUOTA_ENTRY_ALIGNMENT = 8;
constexpr size_t SID_AT = offsetof(FILE_QUOTA_INFORMATION, Sid);
constexpr int64_t NO_LIMIT = -1;
constexpr int64_t REMOVE = -2;

int64_t used_by(const Node &node, const std::vector<uint8_t> &sid) {
    int64_t bytes = 0;
    io::SecurityParts parts;
    if (NT_SUCCESS(io::split_security(node.security, &parts)) && parts.owner == sid) {
        bytes += static_cast<int64_t>(node.allocation);
        for (const auto &[name, stream] : node.streams) {
            bytes += static_cast<int64_t>(stream->allocation);
        }
    }
    for (const auto &[name, child] : node.children) {
        bytes += used_by(*child->node, sid);
    }
    return bytes;
}

/// The SIDs of a chain whose entries have them at `sid_at`.
NTSTATUS listed_sids(const void *list, size_t bytes, std::vector<std::vector<uint8_t>> *sids) {
    constexpr size_t LIST_SID_AT = offsetof(FILE_GET_QUOTA_INFORMATION, Sid);
    const auto *buffer = static_cast<const uint8_t *>(list);
    for (size_t at = 0;;) {
        FILE_GET_QUOTA_INFORMATION entry{};
        if (bytes - at < LIST_SID_AT) {
            return STATUS_INVALID_PARAMETER;
        }
        memcpy(&entry, buffer + at, LIST_SID_AT);
        const size_t length = io::sid_bytes(buffer + at + LIST_SID_AT, bytes - at - LIST_SID_AT);
        if (length == 0 || length != entry.SidLength) {
            return STATUS_INVALID_SID;
        }
        sids->emplace_back(buffer + at + LIST_SID_AT, buffer + at + LIST_SID_AT + length);
        if (entry.NextEntryOffset == 0) {
            return STATUS_SUCCESS;
        }
        if (at + entry.NextEntryOffset >= bytes) {
            return STATUS_INVALID_PARAMETER;
        }
        at += entry.NextEntryOffset;
    }
}

} // namespace

NTSTATUS MemFileSystem::query_quota(io::Operation &operation) {
    if (!ntfs()) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    const auto &parameters = operation.parameters.QueryQuota;
    OpenState &open = *open_of(*operation.file);
    Chain chain(parameters.QuotaBuffer, parameters.Length, QUOTA_ENTRY_ALIGNMENT);
    const bool single = (operation.operation_flags & SL_RETURN_SINGLE_ENTRY) != 0;
    const auto add = [&](const std::vector<uint8_t> &sid, const Quota &quota) {
        uint8_t *at = chain.add(SID_AT + sid.size());
        if (at == nullptr) {
            return false;
        }
        FILE_QUOTA_INFORMATION entry{};
        entry.SidLength = static_cast<ULONG>(sid.size());
        entry.ChangeTime.QuadPart = quota.changed;
        entry.QuotaUsed.QuadPart = used_by(*root_, sid);
        entry.QuotaThreshold.QuadPart = quota.threshold;
        entry.QuotaLimit.QuadPart = quota.limit;
        memcpy(at, &entry, SID_AT);
        memcpy(at + SID_AT, sid.data(), sid.size());
        return true;
    };
    bool fits = true;
    if (parameters.SidList != nullptr) {
        std::vector<std::vector<uint8_t>> sids;
        const NTSTATUS status = listed_sids(parameters.SidList, parameters.SidListLength, &sids);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        for (const auto &sid : sids) {
            const auto found = quotas_.find(sid);
            fits = add(sid, found != quotas_.end() ? found->second : Quota{});
            if (!fits || single) {
                break;
            }
        }
    } else {
        if ((operation.operation_flags & SL_RESTART_SCAN) != 0) {
            open.quota_position = 0;
        }
        if (parameters.StartSid != nullptr) {
            const auto *sid = static_cast<const uint8_t *>(parameters.StartSid);
            const auto start = quotas_.find({sid, sid + io::sid_bytes(sid, SIZE_MAX)});
            if (start == quotas_.end()) {
                unmodelled("IRP_MJ_QUERY_QUOTA", "a start SID that has no entry");
            }
            open.quota_position = static_cast<size_t>(std::distance(quotas_.begin(), start));
        }
        if (open.quota_position >= quotas_.size()) {
            return STATUS_NO_MORE_ENTRIES;
        }
        auto at = std::next(quotas_.begin(), static_cast<std::ptrdiff_t>(open.quota_position));
        for (; at != quotas_.end(); ++at) {
            fits = add(at->first, at->second);
            if (!fits) {
                break;
            }
            ++open.quota_position;
            if (single) {
                break;
            }
        }
    }
    operation.io_status.Information = chain.used();
    return fits || chain.used() != 0 ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL;
}

NTSTATUS MemFileSystem::set_quota(io::Operation &operation) {
    if (!ntfs()) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    const auto &parameters = operation.parameters.SetQuota;
    const auto *buffer = static_cast<const uint8_t *>(parameters.QuotaBuffer);
    for (size_t at = 0;;) {
        FILE_QUOTA_INFORMATION entry{};
        if (parameters.Length - at < SID_AT) {
            return STATUS_QUOTA_LIST_INCONSISTENT;
        }
        memcpy(&entry, buffer + at, SID_AT);
        const size_t length = io::sid_bytes(buffer + at + SID_AT, parameters.Length - at - SID_AT);
        if (length == 0 || length != entry.SidLength) {
            return STATUS_QUOTA_LIST_INCONSISTENT;
        }
        const std::vector<uint8_t> sid(buffer + at + SID_AT, buffer + at + SID_AT + length);
        const int64_t limit = entry.QuotaLimit.QuadPart;
        if (limit < REMOVE || entry.QuotaThreshold.QuadPart < NO_LIMIT) {
            return STATUS_INVALID_PARAMETER;
        }
        if (limit == REMOVE) {
            if (used_by(*root_, sid) != 0) {
                return STATUS_CANNOT_DELETE; // who has files keeps the entry
            }
            quotas_.erase(sid);
        } else {
            quotas_[sid] = {now(), entry.QuotaThreshold.QuadPart, limit};
        }
        if (entry.NextEntryOffset == 0) {
            return STATUS_SUCCESS;
        }
        if (at + entry.NextEntryOffset >= parameters.Length) {
            return STATUS_QUOTA_LIST_INCONSISTENT;
        }
        at += entry.NextEntryOffset;
    }
}

} // namespace fltsim::fs
