// SPDX-License-Identifier: MIT
//
// This module provides: file names (names.hpp).

#include "fs/names.hpp"

#include "core/world.hpp"
#include "ke/upcase.hpp"

namespace fltsim::fs {

namespace {

constexpr size_t MAX_COMPONENT_CHARS = 255;
constexpr char16_t DOS_STAR = u'<';
constexpr char16_t DOS_QM = u'>';
constexpr char16_t DOS_DOT = u'"';

bool matches(std::u16string_view expression, std::u16string_view name);

/// A star takes any number of characters. DOS_STAR stops before the name's last dot.
bool match_star(std::u16string_view rest, std::u16string_view name, bool dos) {
    const size_t last_dot = name.rfind(u'.');
    for (size_t taken = 0; taken <= name.size(); ++taken) {
        if (dos && last_dot != std::u16string_view::npos && taken > last_dot) {
            break;
        }
        if (matches(rest, name.substr(taken))) {
            return true;
        }
    }
    return false;
}

bool matches(std::u16string_view expression, std::u16string_view name) {
    while (!expression.empty()) {
        const char16_t wanted = expression.front();
        const auto rest = expression.substr(1);
        if (wanted == u'*' || wanted == DOS_STAR) {
            return match_star(rest, name, wanted == DOS_STAR);
        }
        if (wanted == DOS_QM && (name.empty() || name.front() == u'.')) {
            expression = rest; // takes nothing before a dot and at the end
            continue;
        }
        if (wanted == DOS_DOT && name.empty()) {
            expression = rest;
            continue;
        }
        if (name.empty()) {
            return false;
        }
        const bool any = wanted == u'?' || wanted == DOS_QM;
        const char16_t literal = wanted == DOS_DOT ? u'.' : wanted;
        if (!any && literal != name.front()) {
            return false;
        }
        expression = rest;
        name = name.substr(1);
    }
    return name.empty();
}

} // namespace

std::u16string fold(std::u16string_view name) {
    return upcase(name);
}

bool equal_names(std::u16string_view a, std::u16string_view b) {
    return equal_ignoring_case(a, b);
}

NTSTATUS check_component(std::u16string_view name) {
    if (name.empty() || name.size() > MAX_COMPONENT_CHARS || name == u"." || name == u"..") {
        return STATUS_OBJECT_NAME_INVALID;
    }
    for (const char16_t c : name) {
        if (c < u' ' || std::u16string_view(u"\"*/<>?|:").find(c) != std::u16string_view::npos) {
            return STATUS_OBJECT_NAME_INVALID;
        }
    }
    return STATUS_SUCCESS;
}

NTSTATUS parse_stream(std::u16string_view text, ParsedPath *parsed) {
    parsed->stream_chars = text.size();
    text.remove_prefix(1);
    const size_t colon = text.find(u':');
    const auto name = text.substr(0, colon);
    const auto type = colon == std::u16string_view::npos ? std::u16string_view{} : text.substr(colon + 1);
    if (name.size() > MAX_COMPONENT_CHARS || (name.empty() && type.empty()) ||
        (colon != std::u16string_view::npos && type.empty())) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    for (const char16_t c : name) {
        if (c == u'\0' || c == u'/' || c == u'\\') {
            return STATUS_OBJECT_NAME_INVALID;
        }
    }
    if (equal_names(type, u"$INDEX_ALLOCATION") && (name.empty() || equal_names(name, u"$I30"))) {
        parsed->directory_type = true;
        return STATUS_SUCCESS;
    }
    if (!type.empty() && !equal_names(type, u"$DATA")) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    parsed->stream = name;
    parsed->data_type = true;
    return STATUS_SUCCESS;
}

NTSTATUS parse_path(std::u16string_view path, bool relative, bool has_streams, ParsedPath *parsed) {
    if (path.empty()) {
        parsed->empty = true;
        return STATUS_SUCCESS;
    }
    if ((path.front() != u'\\') != relative) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    if (!relative) {
        path.remove_prefix(1);
    }
    if (relative && has_streams && path.front() == u':') {
        parsed->empty = true;
        return parse_stream(path, parsed);
    }
    while (!path.empty()) {
        const size_t end = path.find(u'\\');
        auto component = path.substr(0, end);
        const size_t colon = has_streams ? component.find(u':') : std::u16string_view::npos;
        if (colon != std::u16string_view::npos && colon != 0) {
            // Only the last one names a stream.
            const NTSTATUS status = end == std::u16string_view::npos ? parse_stream(component.substr(colon), parsed)
                                                                     : STATUS_OBJECT_NAME_INVALID;
            if (!NT_SUCCESS(status)) {
                return status;
            }
            component = component.substr(0, colon);
        }
        const NTSTATUS status = check_component(component);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        parsed->components.emplace_back(component);
        if (end == std::u16string_view::npos) {
            break;
        }
        path.remove_prefix(end + 1);
        parsed->trailing_backslash = path.empty();
    }
    return STATUS_SUCCESS;
}

namespace {

constexpr size_t SHORT_BASE_CHARS = 8;
constexpr size_t SHORT_EXTENSION_CHARS = 3;

bool short_char(char16_t c) {
    return (c >= u'A' && c <= u'Z') || (c >= u'a' && c <= u'z') || (c >= u'0' && c <= u'9') ||
           (c != 0 && std::u16string_view(u"!#$%&'()-@^_`{}~").find(c) != std::u16string_view::npos);
}

/// What of a name's part an 8.3 name can keep, at most `most` characters.
std::u16string short_part(std::u16string_view part, size_t most) {
    std::u16string kept;
    for (const char16_t c : part) {
        if (kept.size() == most) {
            break;
        }
        if (c != u' ' && c != u'.') {
            kept.push_back(short_char(c) ? c : u'_');
        }
    }
    return fold(kept);
}

} // namespace

bool is_short_name(std::u16string_view name) {
    const size_t dot = name.find(u'.');
    const auto base = name.substr(0, dot);
    const auto extension = dot == std::u16string_view::npos ? std::u16string_view{} : name.substr(dot + 1);
    const auto all_short = [](std::u16string_view part) {
        for (const char16_t c : part) {
            if (!short_char(c)) {
                return false;
            }
        }
        return true;
    };
    return !base.empty() && base.size() <= SHORT_BASE_CHARS && extension.size() <= SHORT_EXTENSION_CHARS &&
           (dot == std::u16string_view::npos || !extension.empty()) && all_short(base) && all_short(extension);
}

std::u16string make_short_name(std::u16string_view name, const std::function<bool(const std::u16string &)> &taken) {
    const size_t dot = name.rfind(u'.');
    const bool has_extension = dot != std::u16string_view::npos && dot != 0;
    const std::u16string extension =
        has_extension ? short_part(name.substr(dot + 1), SHORT_EXTENSION_CHARS) : std::u16string{};
    const auto base = has_extension ? name.substr(0, dot) : name;
    for (unsigned number = 1;; ++number) {
        const std::string digits = std::to_string(number);
        std::u16string text = short_part(base, SHORT_BASE_CHARS - 1 - std::min<size_t>(digits.size(), 6));
        text += u"~" + std::u16string(digits.begin(), digits.end());
        if (!extension.empty()) {
            text += u"." + extension;
        }
        if (!taken(text)) {
            return text;
        }
    }
}

bool name_matches(std::u16string_view expression, std::u16string_view name, bool exactly) {
    if (exactly) {
        return matches(expression, name);
    }
    return expression.empty() || matches(fold(expression), fold(name));
}

} // namespace fltsim::fs
