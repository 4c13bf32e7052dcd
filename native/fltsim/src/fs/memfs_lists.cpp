// SPDX-License-Identifier: MIT
//
// This module provides: the streams and the hard links of a file as chains: as many whole entries as fit, STATUS_BUFFER_OVERFLOW when some did not.

#include "fs/answer.hpp"
#include "fs/memfs.hpp"

namespace fltsim::fs {

namespace {

constexpr size_t LIST_ENTRY_ALIGNMENT = 8;

bool add_stream(Chain &chain, const Node &stream, const std::u16string &name) {
    constexpr size_t TEXT_AT = offsetof(FILE_STREAM_INFORMATION, StreamName);
    FILE_STREAM_INFORMATION information{};
    information.StreamNameLength = static_cast<ULONG>(name.size() * sizeof(WCHAR));
    information.StreamSize.QuadPart = static_cast<int64_t>(stream.size);
    information.StreamAllocationSize.QuadPart = static_cast<int64_t>(stream.allocation);
    uint8_t *at = chain.add(TEXT_AT + information.StreamNameLength);
    if (at == nullptr) {
        return false;
    }
    memcpy(at, &information, TEXT_AT);
    memcpy(at + TEXT_AT, name.data(), information.StreamNameLength);
    return true;
}

} // namespace

NTSTATUS MemFileSystem::list_streams(io::Operation &operation, const Node &file) {
    Chain chain(operation.parameters.QueryFileInformation.InfoBuffer, operation.parameters.QueryFileInformation.Length,
                LIST_ENTRY_ALIGNMENT);
    // A directory has no unnamed stream.
    bool fits = file.directory || add_stream(chain, file, u"::$DATA");
    for (auto at = file.streams.begin(); fits && at != file.streams.end(); ++at) {
        fits = add_stream(chain, *at->second, u":" + at->second->stream_name + u":$DATA");
    }
    operation.io_status.Information = chain.used();
    return fits ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

NTSTATUS MemFileSystem::list_links(io::Operation &operation, const Node &file) {
    constexpr size_t ENTRIES_AT = offsetof(FILE_LINKS_INFORMATION, Entry);
    constexpr size_t TEXT_AT = offsetof(FILE_LINK_ENTRY_INFORMATION, FileName);
    const auto &parameters = operation.parameters.QueryFileInformation;
    if (parameters.Length < ENTRIES_AT) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    auto *buffer = static_cast<uint8_t *>(parameters.InfoBuffer);
    Chain chain(buffer + ENTRIES_AT, parameters.Length - ENTRIES_AT, LIST_ENTRY_ALIGNMENT);
    FILE_LINKS_INFORMATION head{};
    head.BytesNeeded = ENTRIES_AT;
    bool fits = true;
    for (const Link *link : file.links) {
        const size_t name_bytes = link->name.size() * sizeof(WCHAR);
        head.BytesNeeded = static_cast<ULONG>((head.BytesNeeded + LIST_ENTRY_ALIGNMENT - 1) / LIST_ENTRY_ALIGNMENT *
                                                  LIST_ENTRY_ALIGNMENT +
                                              TEXT_AT + name_bytes);
        uint8_t *at = fits ? chain.add(TEXT_AT + name_bytes) : nullptr;
        fits = at != nullptr;
        if (!fits) {
            continue;
        }
        FILE_LINK_ENTRY_INFORMATION entry{};
        entry.ParentFileId = static_cast<int64_t>(link->parent != nullptr ? link->parent->id : file.id);
        entry.FileNameLength = static_cast<ULONG>(link->name.size()); // in characters, alone among all
        memcpy(at + offsetof(FILE_LINK_ENTRY_INFORMATION, ParentFileId),
               reinterpret_cast<const uint8_t *>(&entry) + offsetof(FILE_LINK_ENTRY_INFORMATION, ParentFileId),
               TEXT_AT - offsetof(FILE_LINK_ENTRY_INFORMATION, ParentFileId));
        memcpy(at + TEXT_AT, link->name.data(), name_bytes);
        ++head.EntriesReturned;
    }
    memcpy(buffer, &head, ENTRIES_AT);
    operation.io_status.Information = ENTRIES_AT + chain.used();
    return fits ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

} // namespace fltsim::fs
