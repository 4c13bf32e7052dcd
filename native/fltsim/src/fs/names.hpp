// SPDX-License-Identifier: MIT
//
// This module provides: file names: comparison, validity, wildcards.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ddk.hpp"

namespace fltsim::fs {

inline constexpr uint32_t SECTOR_BYTES = 512;

/// The form in which names are compared: upcased.
std::u16string fold(std::u16string_view name);
bool equal_names(std::u16string_view a, std::u16string_view b);

/// A path in parts: relative to its volume, or to a directory.
struct ParsedPath {
    bool empty = false; ///< the volume itself, or the file that it is relative to
    bool trailing_backslash = false;
    std::vector<std::u16string> components;
    std::u16string stream; ///< of the last component; empty: the unnamed one
    bool data_type = false; ///< ":...:$DATA" was given: no directory
    bool directory_type = false; ///< "::$INDEX_ALLOCATION" or ":$I30:$INDEX_ALLOCATION" was given
    size_t stream_chars = 0; ///< of the stream's part, the colon included
};

/// `relative`: it begins with no backslash. STATUS_OBJECT_NAME_INVALID when the path is not one.
NTSTATUS parse_path(std::u16string_view path, bool relative, bool has_streams, ParsedPath *parsed);
/// One component of a path, without a stream.
NTSTATUS check_component(std::u16string_view name);
/// The stream's part of a name, from its colon on.
NTSTATUS parse_stream(std::u16string_view text, ParsedPath *parsed);

/// Whether the name is of the 8.3 form already.
bool is_short_name(std::u16string_view name);
/// An upper-case 8.3 name for a long one (LONGNA~1.TXT) that `taken` does not know.
std::u16string make_short_name(std::u16string_view name, const std::function<bool(const std::u16string &)> &taken);

/// FsRtlIsNameInExpression, case-insensitive unless `exactly`: * and ?, and the DOS forms < > and ".
bool name_matches(std::u16string_view expression, std::u16string_view name, bool exactly = false);

} // namespace fltsim::fs
