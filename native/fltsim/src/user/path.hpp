// SPDX-License-Identifier: MIT
//
// This module provides: Win32 path names as NT names.
//
//      D:\dir\file   \\?\D:\dir\file   \\.\D:\dir\file      ->  \??\D:\dir\file
//      D:\           \\?\D:\                                ->  \??\D:\          (the root directory)
//      \\.\D:        \\?\D:                                 ->  \??\D:           (the volume)
//      \\?\GLOBALROOT\Device\HarddiskVolume2\file           ->  \Device\HarddiskVolume2\file
//
// Without the \\?\ prefix, slashes become backslashes, "." and ".." are resolved and trailing dots and spaces of the last part are dropped.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "user/entry.hpp"

namespace fltsim::user {

/// The NT name, or nothing with `*error` set: ERROR_PATH_NOT_FOUND for an empty or relative path (a world has no current directory),
/// ERROR_BAD_NETPATH for \\server\share, ERROR_INVALID_NAME for \\.\ or \\?\ with nothing behind it,
/// ERROR_FILENAME_EXCED_RANGE for more than 32,767 characters.
std::optional<std::u16string> nt_path(std::u16string_view path, DWORD *error);

/// The volume that a user names: "D:", "D:\", "\\?\D:", "\\.\D:\", "\Device\HarddiskVolume2". Null when there is none.
io::Volume *volume_by_user_name(io::IoManager &io, std::u16string_view name);

} // namespace fltsim::user
