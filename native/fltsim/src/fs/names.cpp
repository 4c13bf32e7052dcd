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

NTSTATUS check_component(std::u16string_view name, bool has_streams) {
    if (name.empty() || name.size() > MAX_COMPONENT_CHARS || name == u"." || name == u"..") {
        return STATUS_OBJECT_NAME_INVALID;
    }
    for (const char16_t c : name) {
        if (c < u' ' || std::u16string_view(u"\"*/<>?|").find(c) != std::u16string_view::npos) {
            return STATUS_OBJECT_NAME_INVALID;
        }
        if (c == u':') {
            if (has_streams) {
                unmodelled("IRP_MJ_CREATE", "named streams");
            }
            return STATUS_OBJECT_NAME_INVALID;
        }
    }
    return STATUS_SUCCESS;
}

NTSTATUS parse_path(std::u16string_view path, bool has_streams, ParsedPath *parsed) {
    if (path.empty()) {
        parsed->volume = true;
        return STATUS_SUCCESS;
    }
    if (path.front() != u'\\') {
        return STATUS_OBJECT_NAME_INVALID;
    }
    path.remove_prefix(1);
    while (!path.empty()) {
        const size_t end = path.find(u'\\');
        const auto component = path.substr(0, end);
        const NTSTATUS status = check_component(component, has_streams);
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

bool name_matches(std::u16string_view expression, std::u16string_view name) {
    return expression.empty() || matches(fold(expression), fold(name));
}

} // namespace fltsim::fs
