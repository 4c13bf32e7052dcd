// SPDX-License-Identifier: MIT
//
// This module provides: reading the arguments of a call from JavaScript, strictly.
// Invariants: the first bad argument throws a TypeError that names it and what was expected; ok() is then false, later reads
// give zeros, and the method returns without doing anything.
#pragma once

#include "api.hpp"
#include "environment.hpp"

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

namespace minipend {

/// UTF-16 as the system wants it: always ended by a zero, never with one inside.
class SystemString {
  public:
    SystemString() = default;
    explicit SystemString(std::u16string text) : text_(std::move(text)) {}
    bool empty() const { return text_.empty(); }
    const WCHAR *data() const {
        static_assert(sizeof(WCHAR) == sizeof(char16_t));
        return reinterpret_cast<const WCHAR *>(text_.c_str());
    }
    /// The text, or null when it is empty: how the system's optional names are left out.
    const WCHAR *or_null() const { return empty() ? nullptr : data(); }

  private:
    std::u16string text_;
};

class Arguments {
  public:
    explicit Arguments(const Napi::CallbackInfo &info) : info_(info) {}

    Napi::Env env() const { return info_.Env(); }
    bool ok() const { return ok_; }

    std::u16string utf16(size_t index);
    SystemString text(size_t index) { return SystemString(utf16(index)); }
    std::string utf8(size_t index);
    uint32_t u32(size_t index);
    /// A non-negative integer that fits both a size and a JavaScript number.
    size_t size(size_t index);
    bool boolean(size_t index);
    int64_t i64(size_t index);
    /// A Uint8Array of at most `limit` bytes. Empty when it is not one.
    std::optional<Napi::Uint8Array> bytes(size_t index, size_t limit);

    /// A BigUint64Array of exactly `count` numbers; empty when it is not one.
    std::optional<std::vector<uint64_t>> words(size_t index, size_t count);
    uint64_t u64(size_t index);
    bool undefined(size_t index) const { return info_[index].IsUndefined(); }
    Napi::Value value(size_t index) const { return info_[index]; }

    /// Throws a TypeError about argument `index` (counted from 1 in the text).
    void refuse(size_t index, const std::string &expected);

  private:
    Napi::Value at(size_t index) const { return info_[index]; }

    const Napi::CallbackInfo &info_;
    bool ok_ = true;
};

/// Bytes of our own with the contents of `view`.
SharedBytes copy_in(const Napi::Uint8Array &view);

} // namespace minipend
