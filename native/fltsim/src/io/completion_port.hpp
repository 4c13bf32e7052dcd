// SPDX-License-Identifier: MIT
//
// This module provides: I/O completion ports.
//
// Packets leave in the order in which they came. A thread that waits for one waits on the channel `this`.
#pragma once

#include <deque>

#include "io/io_manager.hpp"

namespace fltsim::io {

struct CompletionPacket {
    ULONG_PTR key = 0;
    void *apc_context = nullptr; ///< the OVERLAPPED
    IO_STATUS_BLOCK status{};
};

class CompletionPort final : public Object {
  public:
    const char *type_name() const override { return "completion port"; }
    void last_handle_closed() override;
    /// Model lock held, IRQL <= DISPATCH_LEVEL.
    void post(const CompletionPacket &packet);

    std::deque<CompletionPacket> packets;
    bool closed = false; ///< no handle is left: waits end with ERROR_ABANDONED_WAIT_0
};

} // namespace fltsim::io
