// SPDX-License-Identifier: MIT
//
// This module provides: memory that is handed to a driver for a limited time. Every block is fresh; a released one is filled with a
// poison, kept for a while and checked when it is let go, so that a driver that reads or writes it later is caught [POST-24, POST-25, SIM-09].
// Under the address sanitizer a released block is unaddressable, and the first touch reports.
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_map>

namespace fltsim::flt {

class Quarantine {
  public:
    ~Quarantine();
    /// Never null; filled with `fill`.
    void *allocate(size_t bytes, const char *what, unsigned char fill = 0);
    /// Poisons the block. It must come from allocate() and not be released yet.
    void release(void *block);
    /// Whether the address is a block that was released and is still in quarantine.
    bool released(const void *block) const;
    /// Lets every released block go, and looks at it: a driver goes.
    void check_all();

  private:
    struct Block {
        size_t bytes = 0;
        const char *what = "";
        bool released = false;
    };
    void evict(bool check);
    std::unordered_map<const void *, Block> blocks_;
    std::deque<void *> released_;
};

} // namespace fltsim::flt
