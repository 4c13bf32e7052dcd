// SPDX-License-Identifier: MIT
//
// This module provides: a fuzz input as a stream of decisions. After its end everything is 0, so that every input is a program.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace fuzz {

class Bytes {
  public:
    Bytes() = default;
    explicit Bytes(std::span<const uint8_t> bytes) : left_(bytes) {}
    explicit Bytes(std::vector<uint8_t> &&) = delete; ///< It would not live long enough.
    bool empty() const { return left_.empty(); }
    void copy(void *to, size_t bytes) {
        const size_t given = std::min(bytes, left_.size());
        std::memset(to, 0, bytes);
        if (given != 0) {
            std::memcpy(to, left_.data(), given);
        }
        left_ = left_.subspan(given);
    }
    template <class T> T number() {
        T value;
        copy(&value, sizeof(value));
        return value;
    }
    uint8_t u8() { return number<uint8_t>(); }
    /// Below `bound`, which is 256 at most.
    uint32_t below(uint32_t bound) { return u8() % bound; }
    template <class T, size_t N> const T &one_of(const T (&choices)[N]) {
        static_assert(N <= 256);
        return choices[below(N)];
    }
    std::vector<uint8_t> take(size_t bytes) {
        const size_t given = std::min(bytes, left_.size());
        std::vector<uint8_t> taken(left_.begin(), left_.begin() + static_cast<ptrdiff_t>(given));
        left_ = left_.subspan(given);
        return taken;
    }

  private:
    std::span<const uint8_t> left_;
};

} // namespace fuzz
