// SPDX-License-Identifier: MIT
//
// This module provides: file names: comparison, validity, wildcards.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/ddk.hpp"

namespace fltsim::fs {

inline constexpr uint32_t SECTOR_BYTES = 512;

/// The form in which names are compared: upcased.
std::u16string fold(std::u16string_view name);
bool equal_names(std::u16string_view a, std::u16string_view b);

/// A path relative to its volume in parts.
struct ParsedPath {
    bool volume = false; ///< empty: the volume itself
    bool trailing_backslash = false;
    std::vector<std::u16string> components;
};

/// STATUS_OBJECT_NAME_INVALID when the path is not one. Streams (a:b) stop the world on a file system that has them.
NTSTATUS parse_path(std::u16string_view path, bool has_streams, ParsedPath *parsed);
/// One component of a path.
NTSTATUS check_component(std::u16string_view name, bool has_streams);

/// FsRtlIsNameInExpression, case-insensitive: * and ?, and the DOS forms < > and ".
bool name_matches(std::u16string_view expression, std::u16string_view name);

} // namespace fltsim::fs
