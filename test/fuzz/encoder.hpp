// SPDX-License-Identifier: MIT
//
// This module provides: messages to the driver, made from an input's bytes. Most are what a client would send, so that what lies behind the checks is
// reached; the input's bytes are the fields' bytes, so that the fuzzer can change them to what the driver compares them with. Others are
// damaged on purpose, or are no messages at all. Layouts and lists are those of minipend_protocol.h.
#pragma once

#include <cstdint>
#include <vector>

#include "bytes.hpp"
#include "minipend_protocol.h"

namespace fuzz {

struct Message {
    std::vector<uint8_t> bytes;
    bool has_head() const { return bytes.size() >= sizeof(MINIPEND_MESSAGE_HEADER); }
    MINIPEND_MESSAGE_HEADER head() const {
        MINIPEND_MESSAGE_HEADER head;
        std::memcpy(&head, bytes.data(), sizeof(head));
        return head;
    }
    template <class T> T as() const {
        T value{};
        std::memcpy(&value, bytes.data(), std::min(sizeof(value), bytes.size()));
        return value;
    }
};

/// What a message may name that exists.
struct Known {
    std::vector<uint64_t> held_ids; ///< as the last listing had them
    uint64_t sequence = 0; ///< of the last event that was pulled
    uint64_t rule_table = 0; ///< as the last listing had it
};

/// One rule that the driver takes, or nearly; its texts and padding follow it.
void append_rule(Bytes &in, std::vector<uint8_t> *out);
/// A set-rules message that is well formed.
Message make_rules(Bytes &in, uint32_t set_id, uint32_t flags, uint32_t rules);
/// Any command but hello, well formed.
Message make_command(Bytes &in, const Known &known);
Message make_hello(Bytes &in);
/// No message, or a well-formed one that was damaged.
Message make_wrong(Bytes &in, const Known &known);

/// Removes the persistent rules, whoever's they are.
Message no_persistent_rules();
Message release_everything();

} // namespace fuzz
