// SPDX-License-Identifier: MIT
//
// This module provides: the printf family as ntoskrnl.exe exports it, for Windows images, which the RtlString calls of the headers use too; and
// vDbgPrintEx. Names and conventions as in crt.cpp; formats as in format.hpp. Text beyond ASCII is not converted between narrow and wide.
#include <algorithm>
#include <string>

#include "core/world.hpp"
#include "ke/debug.hpp"
#include "ke/format.hpp"

using namespace fltsim;

namespace {

constexpr size_t TRUNCATE = SIZE_MAX; ///< _TRUNCATE

template <class Char> constexpr bool WIDE = sizeof(Char) > 1;

/// The text that a format makes, in characters of its own kind.
template <class Char>
std::basic_string<Char> formatted(const char *api, const Char *format, KernelArguments &arguments) {
    KernelCall call(api, HIGH_LEVEL);
    std::string narrow_format;
    for (; *format != 0; ++format) {
        if (static_cast<std::make_unsigned_t<Char>>(*format) >= 0x80) {
            unmodelled(api, "a format beyond ASCII");
        }
        narrow_format += static_cast<char>(*format);
    }
    bool unicode = false;
    std::string text = format_kernel(narrow_format.c_str(), arguments, &unicode, WIDE<Char>);
    if constexpr (WIDE<Char>) {
        return utf16_of(api, text);
    } else {
        if (unicode && std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
            unmodelled(api, "wide characters beyond ASCII in a narrow text");
        }
        return text;
    }
}

/// As _snprintf: what does not fit is cut off, without a null, and -1; a null only when there is room for it. Without a buffer the length.
template <class Char> int put_cut(Char *buffer, size_t count, const std::basic_string<Char> &text) {
    if (buffer == nullptr && count == 0) {
        return static_cast<int>(text.size());
    }
    std::copy_n(text.data(), std::min(text.size(), count), buffer);
    if (text.size() < count) {
        buffer[text.size()] = 0;
    }
    return text.size() <= count ? static_cast<int>(text.size()) : -1;
}

/// As _snprintf_s: `size` is that of the buffer, `count` the most characters to write. -1 and an empty text when it does not fit, -1 and what
/// fits when that was asked for.
template <class Char> int put_safe(Char *buffer, size_t size, size_t count, const std::basic_string<Char> &text) {
    if (buffer == nullptr || size == 0) {
        return -1;
    }
    const bool cut = count != TRUNCATE && count < text.size() && count < size;
    const size_t length = cut ? count : text.size();
    if (length >= size && count != TRUNCATE) {
        buffer[0] = 0;
        return -1;
    }
    const size_t written = std::min(length, size - 1);
    std::copy_n(text.data(), written, buffer);
    buffer[written] = 0;
    return written == text.size() ? static_cast<int>(written) : -1;
}

} // namespace

#define PRINTF(Name, Char, Parameters, Put)                                                                            \
    FLTSIM_KERNEL int NTAPI FltSimCrt_##Name Parameters {                                                              \
        KernelArguments arguments;                                                                                     \
        KERNEL_VA_START(arguments, format);                                                                            \
        const std::basic_string<Char> text = formatted<Char>(#Name, format, arguments);                                \
        KERNEL_VA_END(arguments);                                                                                      \
        return Put;                                                                                                    \
    }
#define VPRINTF(Name, Char, Parameters, Put)                                                                           \
    FLTSIM_KERNEL int NTAPI FltSimCrt_##Name Parameters {                                                              \
        const std::basic_string<Char> text = formatted<Char>(#Name, format, arguments);                                \
        return Put;                                                                                                    \
    }

PRINTF(sprintf, char, (char *buffer, const char *format, ...), put_cut(buffer, SIZE_MAX, text))
PRINTF(_snprintf, char, (char *buffer, size_t count, const char *format, ...), put_cut(buffer, count, text))
PRINTF(sprintf_s, char, (char *buffer, size_t size, const char *format, ...), put_safe(buffer, size, size, text))
PRINTF(_snprintf_s, char, (char *buffer, size_t size, size_t count, const char *format, ...),
       put_safe(buffer, size, count, text))
PRINTF(swprintf, WCHAR, (WCHAR * buffer, const WCHAR *format, ...), put_cut(buffer, SIZE_MAX, text))
PRINTF(_snwprintf, WCHAR, (WCHAR * buffer, size_t count, const WCHAR *format, ...), put_cut(buffer, count, text))
PRINTF(swprintf_s, WCHAR, (WCHAR * buffer, size_t size, const WCHAR *format, ...), put_safe(buffer, size, size, text))
PRINTF(_snwprintf_s, WCHAR, (WCHAR * buffer, size_t size, size_t count, const WCHAR *format, ...),
       put_safe(buffer, size, count, text))
VPRINTF(vsprintf, char, (char *buffer, const char *format, KernelArguments arguments), put_cut(buffer, SIZE_MAX, text))
VPRINTF(_vsnprintf, char, (char *buffer, size_t count, const char *format, KernelArguments arguments),
        put_cut(buffer, count, text))
VPRINTF(vsprintf_s, char, (char *buffer, size_t size, const char *format, KernelArguments arguments),
        put_safe(buffer, size, size, text))
VPRINTF(_vsnprintf_s, char, (char *buffer, size_t size, size_t count, const char *format, KernelArguments arguments),
        put_safe(buffer, size, count, text))
VPRINTF(_vsnwprintf, WCHAR, (WCHAR * buffer, size_t count, const WCHAR *format, KernelArguments arguments),
        put_cut(buffer, count, text))
VPRINTF(vswprintf_s, WCHAR, (WCHAR * buffer, size_t size, const WCHAR *format, KernelArguments arguments),
        put_safe(buffer, size, size, text))
VPRINTF(_vsnwprintf_s, WCHAR,
        (WCHAR * buffer, size_t size, size_t count, const WCHAR *format, KernelArguments arguments),
        put_safe(buffer, size, count, text))

/// As DbgPrintEx.
FLTSIM_KERNEL ULONG NTAPI FltSimCrt_vDbgPrintEx(ULONG component, ULONG level, PCCH format, KernelArguments arguments) {
    KernelCall call("vDbgPrintEx", HIGH_LEVEL);
    ke::print_debug("vDbgPrintEx", "", format, arguments);
    return static_cast<ULONG>(STATUS_SUCCESS);
}

/// With a text before the other.
FLTSIM_KERNEL ULONG NTAPI FltSimCrt_vDbgPrintExWithPrefix(PCCH prefix, ULONG component, ULONG level, PCCH format,
                                                          KernelArguments arguments) {
    KernelCall call("vDbgPrintExWithPrefix", HIGH_LEVEL);
    ke::print_debug("vDbgPrintExWithPrefix", prefix, format, arguments);
    return static_cast<ULONG>(STATUS_SUCCESS);
}
