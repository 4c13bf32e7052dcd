// SPDX-License-Identifier: MIT
//
// This module provides: more of C as ntoskrnl.exe exports it, for Windows images: the checked copies (strcpy_s and their like), the rest of the string
// functions, numbers and kinds of characters. Names and conventions as in crt.cpp.
#include <algorithm>
#include <cstring>
#include <string>

#include "core/ddk.hpp"

namespace {

constexpr int NO_ERROR_C = 0;
constexpr int INVALID = 22; ///< EINVAL
constexpr int OUT_OF_RANGE = 34; ///< ERANGE
constexpr int CUT = 80; ///< STRUNCATE
constexpr size_t AS_MUCH_AS_FITS = SIZE_MAX; ///< _TRUNCATE

template <class Char> size_t length_within(const Char *text, size_t limit) {
    size_t length = 0;
    while (length < limit && text[length] != 0) {
        ++length;
    }
    return length;
}

/// At most `count` characters of `source` behind what the text at `to` has already. An error leaves an empty text.
template <class Char> int put_behind(Char *to, size_t size, size_t at, const Char *source, size_t count) {
    if (to == nullptr || size == 0) {
        return INVALID;
    }
    if (source == nullptr || at >= size) { // null, or no text
        to[0] = 0;
        return INVALID;
    }
    const size_t length = length_within(source, std::min(count, size)); // one more than fits says that it does not
    const bool fits = length < size - at;
    if (!fits && count != AS_MUCH_AS_FITS) {
        to[0] = 0;
        return OUT_OF_RANGE;
    }
    const size_t copied = fits ? length : size - at - 1;
    std::memmove(to + at, source, copied * sizeof(Char));
    to[at + copied] = 0;
    return fits ? NO_ERROR_C : CUT;
}

template <class Char> size_t end_of(const Char *to, size_t size) {
    return to != nullptr ? length_within(to, size) : 0;
}

/// How many characters from the begin on are in `set` (or are not).
template <class Char> size_t span_of(const Char *text, const Char *set, bool in) {
    const std::basic_string_view<Char> all(text);
    return std::min(in ? all.find_first_not_of(set) : all.find_first_of(set), all.size());
}

template <class Char> Char *make_lower(Char *text) {
    for (Char *at = text; *at != 0; ++at) {
        *at = *at >= Char{'A'} && *at <= Char{'Z'} ? static_cast<Char>(*at + 0x20) : *at;
    }
    return text;
}

template <class Char> int number_of(const Char *text) {
    while (*text == Char{' '} || (*text >= Char{'\t'} && *text <= Char{'\r'})) {
        ++text;
    }
    const bool negative = *text == Char{'-'};
    text += negative || *text == Char{'+'} ? 1 : 0;
    unsigned value = 0;
    for (; *text >= Char{'0'} && *text <= Char{'9'}; ++text) {
        value = value * 10 + static_cast<unsigned>(*text - Char{'0'});
    }
    return static_cast<int>(negative ? 0 - value : value);
}

} // namespace

FLTSIM_KERNEL char *NTAPI FltSimCrt_strcpy(char *destination, const char *source) {
    std::memmove(destination, source, std::strlen(source) + 1);
    return destination;
}
FLTSIM_KERNEL char *NTAPI FltSimCrt_strcat(char *destination, const char *source) {
    std::memmove(destination + std::strlen(destination), source, std::strlen(source) + 1);
    return destination;
}
/// As many characters as that, nulls at the end; no null when the source is as long or longer.
FLTSIM_KERNEL char *NTAPI FltSimCrt_strncpy(char *destination, const char *source, size_t count) {
    const size_t length = length_within(source, count);
    std::copy_n(source, length, destination);
    std::fill_n(destination + length, count - length, '\0');
    return destination;
}
FLTSIM_KERNEL char *NTAPI FltSimCrt_strncat(char *destination, const char *source, size_t count) {
    char *const end = destination + std::strlen(destination);
    *std::copy_n(source, length_within(source, count), end) = 0;
    return destination;
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt_wcsncat(WCHAR *destination, const WCHAR *source, size_t count) {
    WCHAR *const end = destination + std::char_traits<WCHAR>::length(destination);
    *std::copy_n(source, length_within(source, count), end) = 0;
    return destination;
}
FLTSIM_KERNEL size_t NTAPI FltSimCrt_strnlen(const char *text, size_t limit) {
    return length_within(text, limit);
}
FLTSIM_KERNEL size_t NTAPI FltSimCrt_wcsnlen(const WCHAR *text, size_t limit) {
    return length_within(text, limit);
}
FLTSIM_KERNEL size_t NTAPI FltSimCrt_strspn(const char *text, const char *set) {
    return span_of(text, set, true);
}
FLTSIM_KERNEL size_t NTAPI FltSimCrt_wcsspn(const WCHAR *text, const WCHAR *set) {
    return span_of(text, set, true);
}
FLTSIM_KERNEL size_t NTAPI FltSimCrt_wcscspn(const WCHAR *text, const WCHAR *set) {
    return span_of(text, set, false);
}
FLTSIM_KERNEL char *NTAPI FltSimCrt__strlwr(char *text) {
    return make_lower(text);
}
FLTSIM_KERNEL WCHAR *NTAPI FltSimCrt__wcslwr(WCHAR *text) {
    return make_lower(text);
}
FLTSIM_KERNEL WCHAR NTAPI FltSimCrt_towlower(WCHAR c) {
    return c >= u'A' && c <= u'Z' ? static_cast<WCHAR>(c + 0x20) : c;
}
FLTSIM_KERNEL int NTAPI FltSimCrt_atoi(const char *text) {
    return number_of(text);
}
FLTSIM_KERNEL int NTAPI FltSimCrt__wtoi(const WCHAR *text) {
    return number_of(text);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_isdigit(int c) {
    return c >= '0' && c <= '9' ? 4 : 0; // _DIGIT
}
FLTSIM_KERNEL int NTAPI FltSimCrt_isspace(int c) {
    return c == ' ' || (c >= '\t' && c <= '\r') ? 8 : 0; // _SPACE
}
FLTSIM_KERNEL int NTAPI FltSimCrt_isupper(int c) {
    return c >= 'A' && c <= 'Z' ? 1 : 0; // _UPPER
}
FLTSIM_KERNEL int NTAPI FltSimCrt_islower(int c) {
    return c >= 'a' && c <= 'z' ? 2 : 0; // _LOWER
}

FLTSIM_KERNEL int NTAPI FltSimCrt_strcpy_s(char *to, size_t size, const char *source) {
    return put_behind(to, size, 0, source, SIZE_MAX - 1);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_wcscpy_s(WCHAR *to, size_t size, const WCHAR *source) {
    return put_behind(to, size, 0, source, SIZE_MAX - 1);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_strcat_s(char *to, size_t size, const char *source) {
    return put_behind(to, size, end_of(to, size), source, SIZE_MAX - 1);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_wcscat_s(WCHAR *to, size_t size, const WCHAR *source) {
    return put_behind(to, size, end_of(to, size), source, SIZE_MAX - 1);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_strncpy_s(char *to, size_t size, const char *source, size_t count) {
    return put_behind(to, size, 0, source, count);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_wcsncpy_s(WCHAR *to, size_t size, const WCHAR *source, size_t count) {
    return put_behind(to, size, 0, source, count);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_strncat_s(char *to, size_t size, const char *source, size_t count) {
    return put_behind(to, size, end_of(to, size), source, count);
}
FLTSIM_KERNEL int NTAPI FltSimCrt_wcsncat_s(WCHAR *to, size_t size, const WCHAR *source, size_t count) {
    return put_behind(to, size, end_of(to, size), source, count);
}
/// An error leaves the destination zero.
FLTSIM_KERNEL int NTAPI FltSimCrt_memcpy_s(void *to, size_t size, const void *source, size_t count) {
    if (count == 0) {
        return NO_ERROR_C;
    }
    if (to == nullptr) {
        return INVALID;
    }
    if (source == nullptr || size < count) {
        std::memset(to, 0, size);
        return source == nullptr ? INVALID : OUT_OF_RANGE;
    }
    std::memcpy(to, source, count);
    return NO_ERROR_C;
}
/// An error leaves the destination as it is.
FLTSIM_KERNEL int NTAPI FltSimCrt_memmove_s(void *to, size_t size, const void *source, size_t count) {
    if (count == 0) {
        return NO_ERROR_C;
    }
    if (to == nullptr || source == nullptr) {
        return INVALID;
    }
    if (size < count) {
        return OUT_OF_RANGE;
    }
    std::memmove(to, source, count);
    return NO_ERROR_C;
}
