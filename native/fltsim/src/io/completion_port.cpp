// SPDX-License-Identifier: MIT
//
// This module provides: completion_port.hpp, and what ties a file to a port.

#include "io/completion_port.hpp"

#include "io/internal.hpp"

namespace fltsim::io {

void CompletionPort::post(const CompletionPacket &packet) {
    packets.push_back(packet);
    world().wake(this);
}

void CompletionPort::last_handle_closed() {
    closed = true;
    world().wake(this);
}

/// A synchronous handle has none, and nobody has two.
NTSTATUS IoManager::associate(FileObject &file, const std::shared_ptr<CompletionPort> &port, ULONG_PTR key) {
    if (file.synchronous || file.port) {
        return STATUS_INVALID_PARAMETER;
    }
    file.port = port;
    file.port_key = key;
    return STATUS_SUCCESS;
}

} // namespace fltsim::io
