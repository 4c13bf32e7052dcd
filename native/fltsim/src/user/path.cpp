// SPDX-License-Identifier: MIT
//
// This module provides: path.hpp.

#include "user/path.hpp"

#include <algorithm>
#include <vector>

namespace fltsim::user {

namespace {

constexpr std::u16string_view DOS_DEVICES = u"\\??\\";
constexpr std::u16string_view GLOBAL_ROOT = u"GLOBALROOT\\";
constexpr size_t PATH_CHARS_MAX = 32767;

bool is_letter(char16_t c) {
    return (c >= u'A' && c <= u'Z') || (c >= u'a' && c <= u'z');
}

bool is_drive(std::u16string_view path) {
    return path.size() >= 2 && is_letter(path[0]) && path[1] == u':';
}

bool starts_with_ignoring_case(std::u16string_view path, std::u16string_view upper) {
    return path.size() >= upper.size() &&
           std::equal(upper.begin(), upper.end(), path.begin(), [](char16_t u, char16_t c) {
               return u == (c >= u'a' && c <= u'z' ? static_cast<char16_t>(c - u'a' + u'A') : c);
           });
}

/// Resolves "." and ".." below the root, keeps a trailing backslash (it asks for a directory).
std::u16string resolve(std::u16string_view path) {
    std::vector<std::u16string_view> parts;
    size_t at = 0;
    while (at < path.size()) {
        const size_t end = std::min(path.find(u'\\', at), path.size());
        const auto part = path.substr(at, end - at);
        if (part == u"..") {
            if (!parts.empty()) {
                parts.pop_back();
            }
        } else if (!part.empty() && part != u".") {
            parts.push_back(part);
        }
        at = end + 1;
    }
    const bool directory = !path.empty() && path.back() == u'\\';
    if (!directory && !parts.empty()) {
        const size_t last = parts.back().find_last_not_of(u". ");
        parts.back() = parts.back().substr(0, last == std::u16string_view::npos ? 0 : last + 1);
        if (parts.back().empty()) {
            parts.pop_back();
        }
    }
    std::u16string resolved;
    for (const auto part : parts) {
        resolved.append(u"\\").append(part);
    }
    if (directory || parts.empty()) {
        resolved.append(u"\\");
    }
    return resolved;
}

} // namespace

std::optional<std::u16string> nt_path(std::u16string_view path, DWORD *error) {
    const auto refuse = [&](DWORD why) {
        *error = why;
        return std::nullopt;
    };
    if (path.size() > PATH_CHARS_MAX) {
        return refuse(ERROR_FILENAME_EXCED_RANGE);
    }
    const bool literal = path.starts_with(u"\\\\?\\") || path.starts_with(DOS_DEVICES);
    std::u16string name(path);
    if (!literal) {
        std::ranges::replace(name, u'/', u'\\');
    }
    const bool device = !literal && name.starts_with(u"\\\\.\\");
    if (!literal && !device) {
        if (name.starts_with(u"\\\\")) {
            return refuse(ERROR_BAD_NETPATH);
        }
        if (!is_drive(name) || name.size() < 3 || name[2] != u'\\') {
            return refuse(ERROR_PATH_NOT_FOUND);
        }
        return std::u16string(DOS_DEVICES) + name.substr(0, 2) + resolve(std::u16string_view(name).substr(2));
    }
    const auto rest = std::u16string_view(name).substr(4);
    if (rest.empty()) {
        return refuse(ERROR_INVALID_NAME);
    }
    if (starts_with_ignoring_case(rest, GLOBAL_ROOT)) {
        return std::u16string(rest.substr(GLOBAL_ROOT.size() - 1));
    }
    if (device && is_drive(rest) && rest.size() > 2 && rest[2] == u'\\') {
        return std::u16string(DOS_DEVICES) + std::u16string(rest.substr(0, 2)) + resolve(rest.substr(2));
    }
    return std::u16string(DOS_DEVICES) + std::u16string(rest);
}

io::Volume *volume_by_user_name(io::IoManager &io, std::u16string_view name) {
    for (const std::u16string_view prefix : {u"\\\\?\\", u"\\\\.\\", u"\\??\\"}) {
        if (name.starts_with(prefix)) {
            name.remove_prefix(prefix.size());
            break;
        }
    }
    if (name.size() > 1 && (name.back() == u'\\' || name.back() == u'/')) {
        name.remove_suffix(1);
    }
    return is_drive(name) ? (name.size() == 2 ? io.volume_by_dos(name) : nullptr) : io.volume_by_device(name);
}

} // namespace fltsim::user
