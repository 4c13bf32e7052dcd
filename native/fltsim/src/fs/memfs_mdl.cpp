// SPDX-License-Identifier: MIT
//
// This module provides: the MDL operations of kernel clients that move data without copying it themselves, such as a file server [SEQ-26].
//
//      MDL_READ: MDLs of cached data             PREPARE_MDL_WRITE: MDLs to fill in
//      MDL_READ_COMPLETE: given back             MDL_WRITE_COMPLETE: what is in them is the file's now
//
// The memory behind a chain is a copy, as a file's pages may move here: a write counts when it is completed. Both need caching to be initialised
// and no lock or oplock in the way; otherwise the caller is turned away, and sends an IRP.

#include "fs/memfs.hpp"
#include "fs/waits.hpp"
#include "ke/mdl.hpp"

#include <algorithm>

namespace fltsim::fs {

namespace {

PMDL chain_of(VolumeWaits &waits, const io::FileObject &file, size_t bytes) {
    MdlChain chain;
    chain.bytes.resize(bytes);
    chain.file = &file;
    chain.mdl = ke::describe_locked(chain.bytes.data(), static_cast<uint32_t>(bytes), true);
    waits.chains.push_back(std::move(chain));
    return waits.chains.back().mdl.get();
}

/// Takes the chain out; nothing when it is none of ours.
std::optional<MdlChain> take_chain(VolumeWaits &waits, const MDL *mdl) {
    const auto found = std::ranges::find(waits.chains, mdl, [](const MdlChain &chain) { return chain.mdl.get(); });
    if (found == waits.chains.end()) {
        return std::nullopt;
    }
    MdlChain chain = std::move(*found);
    waits.chains.erase(found);
    return chain;
}

} // namespace

bool MemFileSystem::mdl_io(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    Node *node = node_of(file);
    if (node == nullptr || !node->cache) {
        return false;
    }
    const io::TopLevelScope top_level(io::top_level_value(FSRTL_FAST_IO_TOP_LEVEL_IRP));
    const bool plain = !node->waits || (node->waits->locks.empty() && node->waits->oplocks.empty());
    switch (operation.major) {
    case IRP_MJ_MDL_READ: {
        const auto &parameters = operation.parameters.MdlRead;
        const auto offset = static_cast<uint64_t>(parameters.FileOffset.QuadPart);
        if (!file.cache_initialised || !plain || offset >= node->size) {
            return false;
        }
        const auto length = static_cast<uint32_t>(std::min<uint64_t>(parameters.Length, node->size - offset));
        std::vector<uint8_t> data(length);
        operation.io_status.Status = node->cache->read(file, offset, data.data(), length);
        if (NT_SUCCESS(operation.io_status.Status)) {
            PMDL mdl = chain_of(*waits_, file, length);
            std::ranges::copy(data, static_cast<uint8_t *>(MmGetMdlVirtualAddress(mdl)));
            *parameters.MdlChain = mdl;
            operation.io_status.Information = length;
        }
        return true;
    }
    case IRP_MJ_PREPARE_MDL_WRITE: {
        const auto &parameters = operation.parameters.PrepareMdlWrite;
        if (!file.cache_initialised || !plain || parameters.Length == 0) {
            return false;
        }
        *parameters.MdlChain = chain_of(*waits_, file, parameters.Length);
        operation.io_status.Information = parameters.Length;
        return true;
    }
    case IRP_MJ_MDL_READ_COMPLETE:
        return take_chain(*waits_, operation.parameters.MdlReadComplete.MdlChain).has_value();
    default: { // IRP_MJ_MDL_WRITE_COMPLETE
        const auto complete = operation.parameters.MdlWriteComplete;
        const auto chain = take_chain(*waits_, complete.MdlChain);
        if (!chain) {
            return false;
        }
        operation.parameters.Write.Length = static_cast<ULONG>(chain->bytes.size());
        operation.parameters.Write.ByteOffset = complete.FileOffset;
        operation.parameters.Write.WriteBuffer = const_cast<uint8_t *>(chain->bytes.data());
        operation.parameters.Write.MdlAddress = nullptr;
        operation.io_status.Status = cached_write(operation);
        operation.parameters.MdlWriteComplete = complete;
        return true;
    }
    }
}

} // namespace fltsim::fs
