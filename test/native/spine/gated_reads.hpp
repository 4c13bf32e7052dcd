// SPDX-License-Identifier: MIT
//
// This module provides: overlapped reads that a gate of the driver's holds, with the memory that they are done into.
//
// Invariant: that memory outlives the reads. Whoever lets this object go, by an exception too, has them released first, and waited for: the I/O
// manager writes into a read's OVERLAPPED and buffer when it is completed, whoever has that memory by then.
#pragma once

#include <optional>
#include <vector>

#include "inside.hpp"

namespace spine {

class GatedReads {
  public:
    /// The longest that the driver can be told to hold. allow() makes it a gate's deadline.
    static constexpr uint32_t GATE_MS = 600'000;
    struct Read {
        OVERLAPPED place{};
        char bytes[8] = {};
    };

    /// Lets gates be that long. Before the driver is loaded.
    static void allow(const TestWorld &world) { set_parameter(world, u"MaxDelayMs", GATE_MS); }
    /// Issues `count` reads of a file on D:, in the world that is selected, and returns once the driver holds all of them. Takes the client's rule
    /// set 1. Throws when it holds fewer.
    GatedReads(const TestWorld &world, const Client &client, uint32_t count);
    ~GatedReads();
    GatedReads(const GatedReads &) = delete;
    GatedReads &operator=(const GatedReads &) = delete;
    /// Throws unless all of them are held still.
    void check_held() const;
    /// Releases all that the client's rules hold, and waits for these reads. Throws when one has failed, or the world has stopped.
    void release();

  private:
    GatedReads(const TestWorld &world, const Client &client) : world_(world), client_(client) {}
    void open();
    void issue(uint32_t count);
    const TestWorld &world_;
    const Client &client_;
    std::optional<File> file_;
    std::vector<Read> reads_;
    size_t issued_ = 0; ///< the first ones, which are not done yet
};

} // namespace spine
