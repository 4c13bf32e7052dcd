// SPDX-License-Identifier: MIT
//
// This module provides: a range of zeroed memory that is reserved in one piece and costs only what is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace fltsim::io {

class PageRegion {
  public:
    /// Null when the system has no room for it.
    static std::unique_ptr<PageRegion> make(size_t bytes);
    ~PageRegion();
    PageRegion(const PageRegion &) = delete;
    PageRegion &operator=(const PageRegion &) = delete;
    uint8_t *data() const { return data_; }
    size_t bytes() const { return bytes_; }

  private:
    PageRegion(uint8_t *data, size_t bytes) : data_(data), bytes_(bytes) {}
    uint8_t *data_;
    size_t bytes_;
};

} // namespace fltsim::io
