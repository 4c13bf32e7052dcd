// SPDX-License-Identifier: MIT
//
// This module provides: writing an answer into an operation's buffer, with the status for what does not fit.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "io/operation.hpp"

namespace fltsim::fs {

class Answer {
  public:
    Answer(io::Operation &operation, void *buffer, ULONG bytes)
        : operation_(operation), buffer_(static_cast<uint8_t *>(buffer)), length_(bytes) {}

    template <class T> NTSTATUS fixed(const T &value) {
        if (length_ < sizeof value) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        memcpy(buffer_, &value, sizeof value);
        operation_.io_status.Information = sizeof value;
        return STATUS_SUCCESS;
    }

    /// The buffer as one, or null when it is too small.
    template <class T> T *place() { return length_ < sizeof(T) ? nullptr : reinterpret_cast<T *>(buffer_); }

    /// A FILE_NAME_INFORMATION at `at`; the length says how long the whole name is.
    NTSTATUS name(size_t at, std::u16string_view text) {
        constexpr size_t TEXT_AT = offsetof(FILE_NAME_INFORMATION, FileName);
        const auto bytes = static_cast<ULONG>(text.size() * sizeof(WCHAR));
        if (length_ < at + TEXT_AT) {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        memcpy(buffer_ + at, &bytes, sizeof bytes);
        const size_t room = length_ - at - TEXT_AT;
        const size_t copied = std::min<size_t>(bytes, room & ~size_t{1});
        memcpy(buffer_ + at + TEXT_AT, text.data(), copied);
        operation_.io_status.Information = at + TEXT_AT + copied;
        return copied == bytes ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
    }

  private:
    io::Operation &operation_;
    uint8_t *buffer_;
    size_t length_;
};

/// A chain of entries that begin with NextEntryOffset, each aligned.
class Chain {
  public:
    Chain(void *buffer, size_t bytes, size_t alignment)
        : buffer_(static_cast<uint8_t *>(buffer)), length_(bytes), alignment_(alignment) {}

    /// Room for an entry of so many bytes, zeroed, linked to the one before; null when it does not fit.
    uint8_t *add(size_t bytes) {
        const size_t at = (used_ + alignment_ - 1) / alignment_ * alignment_;
        if (at + bytes > length_) {
            return nullptr;
        }
        memset(buffer_ + used_, 0, at + bytes - used_);
        if (used_ != 0) {
            const auto distance = static_cast<ULONG>(at - previous_);
            memcpy(buffer_ + previous_, &distance, sizeof distance);
        }
        previous_ = at;
        used_ = at + bytes;
        return buffer_ + at;
    }
    size_t used() const { return used_; }

  private:
    uint8_t *buffer_;
    size_t length_;
    size_t alignment_;
    size_t used_ = 0;
    size_t previous_ = 0;
};

} // namespace fltsim::fs
