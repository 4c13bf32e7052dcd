// SPDX-License-Identifier: MIT
//
// This module provides: the C library's string functions as ntoskrnl.exe exports them, for Windows images: characters of 16 bits, and the kernel's calling
// convention. Their names here begin with FltSimCrt_, since the host has functions of the same names (image/exports.cpp). What ignores the case knows
// that of ASCII.
#include <algorithm>
#include <string>
#include <string_view>

#include "core/ddk.hpp"

namespace {

template <class Char> Char lower(Char c) {
    return c >= Char{'A'} && c <= Char{'Z'} ? static_cast<Char>(c + 0x20) : c;
}

template <class Char> Char upper(Char c) {
    return c >= Char{'a'} && c <= Char{'z'} ? static_cast<Char>(c - 0x20) : c;
}

/// Of unsigned code units, as the C standard has it.
template <class Char> int compare(const Char *a, const Char *b, size_t count, bool ignore_case) {
    using Unit = std::conditional_t<sizeof(Char) == 1, unsigned char, char16_t>;
    for (; count != 0; --count, ++a, ++b) {
        const auto x = static_cast<Unit>(ignore_case ? lower(*a) : *a);
        const auto y = static_cast<Unit>(ignore_case ? lower(*b) : *b);
        if (x != y || x == 0) {
            return static_cast<int>(x) - static_cast<int>(y);
        }
    }
    return 0;
}

template <class Char> Char *find(const Char *text, Char c, bool last) {
    const std::basic_string_view<Char> view(text,
                                            std::char_traits<Char>::length(text) + 1); // the null is found as well
    const size_t at = last ? view.rfind(c) : view.find(c);
    return at == view.npos ? nullptr : const_cast<Char *>(text + at);
}

template <class Char> Char *find(const Char *text, const Char *part) {
    const size_t at = std::basic_string_view<Char>(text).find(part);
    return at == std::basic_string_view<Char>::npos ? nullptr : const_cast<Char *>(text + at);
}

template <class Char> Char *make_upper(Char *text) {
    std::transform(text, text + std::char_traits<Char>::length(text), text, [](Char c) { return upper(c); });
    return text;
}

template <class Char> void copy(Char *destination, const Char *source) {
    std::char_traits<Char>::move(destination, source, std::char_traits<Char>::length(source) + 1);
}

constexpr size_t ALL = SIZE_MAX;

} // namespace

FLTSIM_KERNEL size_t NTAPI FltSimCrt_strlen(const char *text) {
    return std::char_traits<char>::length(text);
}
FLTSIM_KERNEL size_t NTAPI FltSimCrt_wcslen(const WCHAR *text) {
    return std::char_traits<WCHAR>::length(text);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_strcmp(const char *a, const char *b) {
    return compare(a, b, ALL, false);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_strncmp(const char *a, const char *b, size_t count) {
    return compare(a, b, count, false);
}
FLTSIM_KERNEL int NTAPI FltSimCrt__stricmp(const char *a, const char *b) {
    return compare(a, b, ALL, true);
}
FLTSIM_KERNEL int NTAPI FltSimCrt__strnicmp(const char *a, const char *b, size_t count) {
    return compare(a, b, count, true);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_wcscmp(const WCHAR *a, const WCHAR *b) {
    return compare(a, b, ALL, false);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_wcsncmp(const WCHAR *a, const WCHAR *b, size_t count) {
    return compare(a, b, count, false);
}
FLTSIM_KERNEL int NTAPI FltSimCrt__wcsicmp(const WCHAR *a, const WCHAR *b) {
    return compare(a, b, ALL, true);
}
FLTSIM_KERNEL int NTAPI FltSimCrt__wcsnicmp(const WCHAR *a, const WCHAR *b, size_t count) {
    return compare(a, b, count, true);
}
FLTSIM_KERNEL char *NTAPI FltSimCrt_strchr(const char *text, int c) {
    return find(text, static_cast<char>(c), false);
}
FLTSIM_KERNEL char *NTAPI FltSimCrt_strrchr(const char *text, int c) {
    return find(text, static_cast<char>(c), true);
}
FLTSIM_KERNEL char *NTAPI FltSimCrt_strstr(const char *text, const char *part) {
    return find(text, part);
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcschr(const WCHAR *text, WCHAR c) {
    return find(text, c, false);
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcsrchr(const WCHAR *text, WCHAR c) {
    return find(text, c, true);
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcsstr(const WCHAR *text, const WCHAR *part) {
    return find(text, part);
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcscpy(WCHAR *destination, const WCHAR *source) {
    copy(destination, source);
    return destination;
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcscat(WCHAR *destination, const WCHAR *source) {
    copy(destination + std::char_traits<WCHAR>::length(destination), source);
    return destination;
}
/// As many characters as that, nulls at the end; none when the source is as long or longer.
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcsncpy(WCHAR *destination, const WCHAR *source, size_t count) {
    const size_t length = std::min(std::char_traits<WCHAR>::length(source), count);
    std::copy_n(source, length, destination);
    std::fill_n(destination + length, count - length, WCHAR{0});
    return destination;
}
FLTSIM_KERNEL char *NTAPI FltSimCrt__strupr(char *text) {
    return make_upper(text);
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt__wcsupr(WCHAR *text) {
    return make_upper(text);
}
FLTSIM_KERNEL WCHAR NTAPI FltSimCrt_towupper(WCHAR c) {
    return upper(c);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_toupper(int c) {
    return upper(static_cast<char>(c));
}
FLTSIM_KERNEL int NTAPI FltSimCrt_tolower(int c) {
    return lower(static_cast<char>(c));
}
