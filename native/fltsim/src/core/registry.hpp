// SPDX-License-Identifier: MIT
//
// This module provides: the world's registry, a small key/value store. Keys and value names are case-insensitive; a key exists when it was
// created or when a key below it was. Invariant: what is read is what was set, with its type; nothing is converted.
// Not synchronised by itself: used under the model lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fltsim {

class Registry {
  public:
    using Value = std::variant<uint32_t, std::u16string>; ///< REG_DWORD, REG_SZ

    /// \Registry\Machine\System\CurrentControlSet\Services\<service>
    static std::u16string service_key(std::u16string_view service);

    void create_key(std::u16string_view path);
    bool key_exists(std::u16string_view path) const;
    void set(std::u16string_view path, std::u16string_view name, Value value);
    /// False when there was no such value.
    bool remove(std::u16string_view path, std::u16string_view name);

    /// Null when the key or the value does not exist.
    const Value *find(std::u16string_view path, std::u16string_view name) const;
    /// Nothing when the value does not exist or has another type.
    std::optional<uint32_t> find_ulong(std::u16string_view path, std::u16string_view name) const;
    std::optional<std::u16string> find_string(std::u16string_view path, std::u16string_view name) const;
    /// Names of the keys directly below, in their first spelling.
    std::vector<std::u16string> subkeys(std::u16string_view path) const;

    /// A file-system filter's service as an INF leaves it: Instances under the service key and under Parameters [INF-02, INF-06].
    void add_filter_service(std::u16string_view service, std::u16string_view instance, std::u16string_view altitude,
                            uint32_t flags);

  private:
    struct Key {
        std::u16string path; ///< first spelling
        std::map<std::u16string, Value> values;
    };
    std::map<std::u16string, Key> keys_; ///< by folded path
};

} // namespace fltsim
