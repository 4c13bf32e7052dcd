// SPDX-License-Identifier: MIT
//
// This module provides: random operations for the reference check: weighted, with few names so that they meet, and aimed at what is open.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "host.hpp"
#include "operation.hpp"

namespace reference {

/// The same numbers on every machine.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next();
    /// 0 .. bound - 1.
    uint64_t below(uint64_t bound) { return next() % bound; }
    bool one_in(uint64_t n) { return below(n) == 0; }

  private:
    uint64_t state_;
};

class Generator {
  public:
    explicit Generator(uint64_t seed) : random_(seed) {}
    /// The next operation, given what is open on the host's side.
    Operation next(const Host &host);

  private:
    Kind kind(const Host &host);
    /// Often one that was used lately: most others are not there.
    std::string path();
    std::string new_path();
    uint64_t offset();
    uint32_t length();
    void open_flags(Operation *operation);

    Random random_;
    std::array<std::string, 8> recent_;
    size_t next_recent_ = 0;
    std::pair<std::string, std::string> linked_; ///< the last link_name's names
    size_t beginning_ = 0; ///< directories made so far
};

} // namespace reference
