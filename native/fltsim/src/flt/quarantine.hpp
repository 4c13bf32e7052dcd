// SPDX-License-Identifier: MIT
//
// This module provides: memory that is handed to a driver for a limited time. Every block is fresh; a released one is filled with a
// poison, kept for a while and checked when it is let go, so that a driver that reads or writes it later is caught [POST-24, POST-25, SIM-09].
// Under the address sanitizer a released block is unaddressable, and the first touch reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace fltsim::flt {

class Quarantine {
  public:
    ~Quarantine();
    /// Never null; filled with `fill`.
    void *allocate(size_t bytes, const char *what, unsigned char fill = 0);
    /// Poisons the block. It must come from allocate() and not be released yet. `tag`: what released_tag() shall say of it.
    void release(void *block, uint64_t tag = 0);
    /// Whether the address is a block that was released and is still in quarantine.
    bool released(const void *block) const;
    /// Of a released block; 0: there is none.
    uint64_t released_tag(const void *block) const;
    /// Lets every released block go, and looks at it: a driver goes.
    void check_all();

  private:
    /// In front of each block. What is in use is a list, so that the end of a world finds it.
    struct alignas(std::max_align_t) Header {
        size_t bytes;
        const char *what;
        Header *next;
        Header *previous;
        uint64_t tag;
    };
    /// Blocks of one size that wait for their next use.
    struct Spare {
        size_t bytes;
        std::vector<Header *> blocks;
    };
    /// Null: blocks of this size are not kept.
    std::vector<Header *> *spare(size_t bytes);
    void evict(bool check);
    Header *used_ = nullptr;
    std::deque<Header *> released_; ///< the oldest first
    std::vector<Spare> spare_;
};

} // namespace fltsim::flt
