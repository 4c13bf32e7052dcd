// SPDX-License-Identifier: MIT
//
// This module provides: a connection of a fuzz target to the driver's port. Whatever is sent, and into whatever buffer, the answer keeps the
// protocol's promises; that is checked here (port.cpp).
#pragma once

#include <optional>
#include <vector>

#include "encoder.hpp"
#include "world.hpp"

namespace fuzz {

/// Where the reply goes.
struct Room {
    size_t bytes = 1u << 16;
    size_t misaligned = 0; ///< of the reply buffer
    size_t message_misaligned = 0;
    /// The reply buffer ends behind so many bytes; memory that is not there follows.
    std::optional<size_t> cut{};
};
Room make_room(Bytes &in);

class Port {
  public:
    Port();
    ~Port() { close(); }
    Port(const Port &) = delete;
    Port &operator=(const Port &) = delete;
    bool is_open() const { return handle_ != INVALID_HANDLE_VALUE; }
    HANDLE handle() const { return handle_; }
    void close();
    /// The reply, or nothing when there was none. Learns what there is to name from listings and events.
    std::optional<MINIPEND_REPLY_HEADER> send(const Message &message, const Room &room = {});
    Known known{};

  private:
    void check_reply(const Message &message, const std::vector<uint8_t> &reply, size_t room);
    HANDLE handle_ = INVALID_HANDLE_VALUE;
};

} // namespace fuzz
