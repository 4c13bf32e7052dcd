// SPDX-License-Identifier: MIT
//
// This module provides: format_kernel (format.hpp).
#include "ke/format.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "core/world.hpp"

namespace fltsim {
namespace {

struct Conversion {
    std::string flags;
    int width = -1;
    int precision = -1;
    int bits = 32; ///< of an integer argument
    bool wide = false; ///< l or w before s, c, Z
    bool narrow = false;
    char kind = 0;
};

#define NEXT(type) __builtin_va_arg(arguments, type)

void append_utf8(std::string &out, std::u16string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
        uint32_t c = text[i];
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < text.size() && text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (text[++i] - 0xDC00u);
        }
        if (c < 0x80) {
            out += static_cast<char>(c);
        } else if (c < 0x800) {
            out += static_cast<char>(0xC0 | (c >> 6));
            out += static_cast<char>(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            out += static_cast<char>(0xE0 | (c >> 12));
            out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
            out += static_cast<char>(0x80 | (c & 0x3F));
        } else {
            out += static_cast<char>(0xF0 | (c >> 18));
            out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
            out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
            out += static_cast<char>(0x80 | (c & 0x3F));
        }
    }
}

/// How many UTF-16 code units this is.
size_t units_of(const std::string &text) {
    size_t units = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        units += (byte & 0xC0) == 0x80 ? 0u : byte >= 0xF0 ? 2u : 1u;
    }
    return units;
}

/// `wide`: the text was of wide characters, which the width counts.
void append_padded(std::string &out, const Conversion &c, const std::string &text, bool wide = false) {
    const size_t width = c.width > 0 ? static_cast<size_t>(c.width) : 0;
    const size_t units = wide ? units_of(text) : text.size();
    const size_t pad = units < width ? width - units : 0;
    const bool left = c.flags.find('-') != std::string::npos;
    out += left ? text + std::string(pad, ' ') : std::string(pad, ' ') + text;
}

/// Everything between % and the conversion's letter, the letter included.
const char *parse(const char *at, Conversion &c, KernelArguments &arguments) {
    while (*at != 0 && std::strchr("-+ #0", *at) != nullptr) {
        c.flags += *at++;
    }
    const auto number = [&]() -> int {
        if (*at == '*') {
            ++at;
            return NEXT(int);
        }
        int value = 0;
        while (*at >= '0' && *at <= '9' && value < 100000) {
            value = value * 10 + (*at++ - '0');
        }
        return value;
    };
    if (*at == '*' || (*at >= '0' && *at <= '9')) {
        c.width = number();
        if (c.width < 0) {
            c.flags += '-';
            c.width = -c.width;
        }
    }
    if (*at == '.') {
        ++at;
        c.precision = number();
    }
    for (;;) {
        if (std::strncmp(at, "I64", 3) == 0) {
            c.bits = 64;
            at += 3;
        } else if (std::strncmp(at, "I32", 3) == 0) {
            at += 3;
        } else if (std::strncmp(at, "ll", 2) == 0) {
            c.bits = 64;
            at += 2;
        } else if (*at == 'I' || *at == 'z' || *at == 'j' || *at == 't') {
            c.bits = 64;
            ++at;
        } else if (*at == 'l' || *at == 'w') {
            c.wide = true;
            ++at;
        } else if (*at == 'h') {
            c.narrow = true;
            ++at;
        } else {
            break;
        }
    }
    c.kind = *at;
    return *at == 0 ? at : at + 1;
}

/// Whether an argument of s, S, c, C or Z is one of wide characters.
bool is_wide(const Conversion &c, bool wide_format) {
    const bool other = c.kind == 'S' || c.kind == 'C';
    return c.wide || (!c.narrow && other != wide_format);
}

void append_integer(std::string &out, const Conversion &c, KernelArguments &arguments) {
    unsigned long long value = 0;
    if (c.bits == 64) {
        value = NEXT(unsigned long long);
    } else {
        const unsigned int low = NEXT(unsigned int);
        const bool is_signed = c.kind == 'd' || c.kind == 'i';
        value = is_signed ? static_cast<unsigned long long>(static_cast<long long>(static_cast<int>(low))) : low;
    }
    std::string host_format = "%" + c.flags;
    if (c.width >= 0) {
        host_format += std::to_string(c.width);
    }
    if (c.precision >= 0) {
        host_format += "." + std::to_string(c.precision);
    }
    host_format += "ll";
    host_format += c.kind;
    char text[512];
    const int length = std::snprintf(text, sizeof text, host_format.c_str(), value);
    out.append(text, length < 0 ? 0 : std::min<size_t>(static_cast<size_t>(length), sizeof text - 1));
}

void append_text(std::string &out, const Conversion &c, KernelArguments &arguments, bool wide) {
    const size_t limit = c.precision >= 0 ? static_cast<size_t>(c.precision) : SIZE_MAX;
    std::string text;
    if (wide) {
        const char16_t *source = NEXT(const char16_t *);
        size_t length = 0;
        while (source != nullptr && length < limit && source[length] != 0) {
            ++length;
        }
        source != nullptr ? append_utf8(text, {source, length}) : static_cast<void>(text = "(null)");
    } else {
        const char *source = NEXT(const char *);
        source != nullptr ? text.assign(source, strnlen(source, limit)) : text.assign("(null)");
    }
    append_padded(out, c, text, wide);
}

void append_counted(std::string &out, const Conversion &c, KernelArguments &arguments) {
    std::string text;
    // ANSI_STRING and UNICODE_STRING have the same shape; only what Buffer points at differs.
    const UNICODE_STRING *source = NEXT(const UNICODE_STRING *);
    if (source == nullptr || source->Buffer == nullptr) {
        text = "(null)";
    } else if (c.wide) {
        append_utf8(text, {source->Buffer, source->Length / sizeof(WCHAR)});
    } else {
        text.assign(reinterpret_cast<const char *>(source->Buffer), source->Length);
    }
    append_padded(out, c, text, c.wide);
}

} // namespace

std::u16string utf16_of(const char *api, const std::string &text) {
    std::u16string out;
    for (size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i++]);
        const size_t more = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : SIZE_MAX;
        uint32_t c = more == 0 ? first : first & (0x3Fu >> std::min<size_t>(more, 3));
        for (size_t n = 0; n < more; ++n, ++i) {
            if (more == SIZE_MAX || i == text.size() || (text[i] & 0xC0) != 0x80) {
                unmodelled(api, "bytes beyond ASCII in a wide text");
            }
            c = c << 6 | (text[i] & 0x3Fu);
        }
        if (c >= 0x10000) {
            out += static_cast<char16_t>(0xD800 + ((c - 0x10000) >> 10));
            c = 0xDC00 + (c & 0x3FF);
        }
        out += static_cast<char16_t>(c);
    }
    return out;
}

std::string format_kernel(const char *format, KernelArguments &arguments, bool *unicode, bool wide_format) {
    std::string out;
    *unicode = false;
    for (const char *at = format; *at != 0;) {
        if (*at != '%') {
            out += *at++;
            continue;
        }
        const char *start = at;
        Conversion c;
        at = parse(at + 1, c, arguments);
        switch (c.kind) {
        case '%':
            out += '%';
            break;
        case 'd':
        case 'i':
        case 'u':
        case 'x':
        case 'X':
        case 'o':
            append_integer(out, c, arguments);
            break;
        case 'p': {
            char text[32];
            std::snprintf(text, sizeof text, "%016llX", NEXT(unsigned long long));
            append_padded(out, c, text);
            break;
        }
        case 'c':
        case 'C': {
            const bool wide = is_wide(c, wide_format);
            const int value = NEXT(int);
            std::string text;
            const char16_t unit = static_cast<char16_t>(value);
            wide ? append_utf8(text, {&unit, 1}) : text.push_back(static_cast<char>(value));
            *unicode = *unicode || wide;
            append_padded(out, c, text, wide);
            break;
        }
        case 's':
        case 'S': {
            const bool wide = is_wide(c, wide_format);
            *unicode = *unicode || wide;
            append_text(out, c, arguments, wide);
            break;
        }
        case 'Z':
            c.wide = is_wide(c, wide_format);
            *unicode = *unicode || c.wide;
            append_counted(out, c, arguments);
            break;
        default:
            out.append(start, at);
            break;
        }
    }
    return out;
}

} // namespace fltsim
