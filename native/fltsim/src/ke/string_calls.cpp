// SPDX-License-Identifier: MIT
//
// This module provides: the Rtl and FsRtl calls of wdm_strings.h: prefixes, appending, conversions, hashes, wildcards; and GUIDs as text. What they allocate is paged pool
// of the tag Strg, and leaks as such. Bytes beyond ASCII are not converted: which they are is a question of the machine's code page.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "core/faults.hpp"
#include "fs/names.hpp"
#include "ke/pool.hpp"
#include "ke/strings.hpp"
#include "ke/upcase.hpp"

using namespace fltsim;
using ke::string_view_of;

namespace {

constexpr uint32_t TAG = 0x67727453; // "Strg"
constexpr unsigned ASCII_END = 0x80;

void *allocate(const char *api, size_t bytes) {
    return fault(api) ? nullptr : pool::allocate(api, PagedPool, std::max<size_t>(bytes, 1), TAG);
}

NTSTATUS append(UNICODE_STRING &destination, std::u16string_view text) {
    const size_t bytes = text.size() * sizeof(WCHAR);
    if (destination.Length + bytes > destination.MaximumLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    char16_t *const end = destination.Buffer + destination.Length / sizeof(WCHAR);
    if (bytes != 0) {
        std::memmove(end, text.data(), bytes);
    }
    destination.Length = static_cast<USHORT>(destination.Length + bytes);
    if (destination.Length + sizeof(WCHAR) <= destination.MaximumLength) {
        end[text.size()] = 0;
    }
    return STATUS_SUCCESS;
}

/// Into the string's own buffer, or into a new one.
NTSTATUS put(const char *api, UNICODE_STRING &destination, std::u16string_view text, BOOLEAN allocates) {
    const auto bytes = static_cast<USHORT>(text.size() * sizeof(WCHAR));
    if (allocates != FALSE) {
        auto *const buffer = static_cast<PWSTR>(allocate(api, bytes));
        if (buffer == nullptr) {
            return STATUS_NO_MEMORY;
        }
        destination = UNICODE_STRING{0, bytes, buffer};
    } else if (bytes > destination.MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    if (bytes != 0) {
        std::memcpy(destination.Buffer, text.data(), bytes);
    }
    destination.Length = bytes;
    return STATUS_SUCCESS;
}

std::optional<ULONG> digit(char16_t c) {
    if (c >= u'0' && c <= u'9') {
        return c - u'0';
    }
    const char16_t upper = upcase(c);
    return upper >= u'A' && upper <= u'Z' ? std::optional<ULONG>(upper - u'A' + 10) : std::nullopt;
}

bool is_base(ULONG base) {
    return base == 2 || base == 8 || base == 10 || base == 16;
}

bool is_wildcard(char16_t c) {
    return std::u16string_view(u"*?<>\"").find(c) != std::u16string_view::npos;
}

} // namespace

/// IRQL = PASSIVE_LEVEL [IRQL-09]. Whether String2 begins with String1.
FLTSIM_KERNEL BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                                   BOOLEAN CaseInSensitive) {
    constexpr const char *kApi = "RtlPrefixUnicodeString";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const std::u16string_view prefix = string_view_of(kApi, String1);
    const std::u16string_view text = string_view_of(kApi, String2).substr(0, prefix.size());
    return (CaseInSensitive != FALSE ? equal_ignoring_case(prefix, text) : prefix == text) ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL. STATUS_BUFFER_TOO_SMALL leaves the destination as it was; terminates when there is room.
FLTSIM_KERNEL NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source) {
    constexpr const char *kApi = "RtlAppendUnicodeStringToString";
    KernelCall call(kApi, DISPATCH_LEVEL);
    string_view_of(kApi, Destination);
    return append(*Destination, string_view_of(kApi, Source));
}

/// The same of a text that a null ends. Null appends nothing.
FLTSIM_KERNEL NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source) {
    constexpr const char *kApi = "RtlAppendUnicodeToString";
    KernelCall call(kApi, DISPATCH_LEVEL);
    string_view_of(kApi, Destination);
    return Source == nullptr ? STATUS_SUCCESS : append(*Destination, std::u16string_view(Source));
}

/// IRQL <= APC_LEVEL. Into the destination's own buffer (STATUS_BUFFER_OVERFLOW when that is too small), or into a new one, which
/// RtlFreeUnicodeString frees.
FLTSIM_KERNEL NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                                    BOOLEAN AllocateDestinationString) {
    constexpr const char *kApi = "RtlUpcaseUnicodeString";
    KernelCall call(kApi, APC_LEVEL);
    return put(kApi, *DestinationString, upcase(string_view_of(kApi, SourceString)), AllocateDestinationString);
}

/// The same for lower case.
FLTSIM_KERNEL NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                                      BOOLEAN AllocateDestinationString) {
    constexpr const char *kApi = "RtlDowncaseUnicodeString";
    KernelCall call(kApi, APC_LEVEL);
    std::u16string lower(string_view_of(kApi, SourceString));
    std::ranges::transform(lower, lower.begin(), downcase);
    return put(kApi, *DestinationString, lower, AllocateDestinationString);
}

/// IRQL <= APC_LEVEL. A string without a buffer stays as it is.
FLTSIM_KERNEL void NTAPI RtlFreeUnicodeString(PUNICODE_STRING UnicodeString) {
    constexpr const char *kApi = "RtlFreeUnicodeString";
    KernelCall call(kApi, APC_LEVEL);
    if (UnicodeString->Buffer != nullptr) {
        pool::release(kApi, UnicodeString->Buffer, 0);
        *UnicodeString = UNICODE_STRING{};
    }
}

/// IRQL <= APC_LEVEL. STATUS_INVALID_PARAMETER for an algorithm other than X65599.
FLTSIM_KERNEL NTSTATUS NTAPI RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, ULONG HashAlgorithm,
                                                  PULONG HashValue) {
    constexpr const char *kApi = "RtlHashUnicodeString";
    KernelCall call(kApi, APC_LEVEL);
    if (HashAlgorithm != HASH_STRING_ALGORITHM_DEFAULT && HashAlgorithm != HASH_STRING_ALGORITHM_X65599) {
        return STATUS_INVALID_PARAMETER;
    }
    constexpr ULONG kFactor = 65599;
    ULONG hash = 0;
    for (const char16_t c : string_view_of(kApi, String)) {
        hash = hash * kFactor + (CaseInSensitive != FALSE ? upcase(c) : c);
    }
    *HashValue = hash;
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. Blanks, a sign, with Base 0 a prefix (0x, 0o, 0b), digits up to the first that is none.
FLTSIM_KERNEL NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value) {
    constexpr const char *kApi = "RtlUnicodeStringToInteger";
    KernelCall call(kApi, PASSIVE_LEVEL);
    std::u16string_view text = string_view_of(kApi, String);
    if (Base != 0 && !is_base(Base)) {
        return STATUS_INVALID_PARAMETER;
    }
    while (!text.empty() && text.front() <= u' ') {
        text.remove_prefix(1);
    }
    const bool negative = text.starts_with(u'-');
    if (negative || text.starts_with(u'+')) {
        text.remove_prefix(1);
    }
    if (Base == 0) {
        Base = text.starts_with(u"0x") ? 16 : text.starts_with(u"0o") ? 8 : text.starts_with(u"0b") ? 2 : 10;
        text.remove_prefix(Base != 10 ? 2 : 0);
    }
    ULONG value = 0;
    for (const char16_t c : text) {
        const std::optional<ULONG> next = digit(c);
        if (!next || *next >= Base) {
            break;
        }
        value = value * Base + *next;
    }
    *Value = negative ? 0 - value : value;
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. Base 0 is 10. STATUS_BUFFER_OVERFLOW when it does not fit; terminates when there is room.
FLTSIM_KERNEL NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String) {
    constexpr const char *kApi = "RtlIntegerToUnicodeString";
    KernelCall call(kApi, PASSIVE_LEVEL);
    Base = Base == 0 ? 10 : Base;
    if (!is_base(Base)) {
        return STATUS_INVALID_PARAMETER;
    }
    std::u16string text;
    do {
        text.insert(text.begin(), u"0123456789ABCDEF"[Value % Base]);
        Value /= Base;
    } while (Value != 0);
    if (text.size() * sizeof(WCHAR) > String->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    String->Length = 0;
    return append(*String, text);
}

/// IRQL <= DISPATCH_LEVEL. A null source gives an empty string.
FLTSIM_KERNEL void NTAPI RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString) {
    KernelCall call("RtlInitAnsiString", DISPATCH_LEVEL);
    const size_t length = SourceString != nullptr ? std::min<size_t>(std::strlen(SourceString), 0xFFFE) : 0;
    DestinationString->Length = static_cast<USHORT>(length);
    DestinationString->MaximumLength = static_cast<USHORT>(SourceString != nullptr ? length + 1 : 0);
    DestinationString->Buffer = const_cast<PCHAR>(SourceString);
}

/// IRQL = PASSIVE_LEVEL. With a null at the end, for which there has to be room: STATUS_BUFFER_OVERFLOW.
FLTSIM_KERNEL NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, PCANSI_STRING SourceString,
                                                          BOOLEAN AllocateDestinationString) {
    constexpr const char *kApi = "RtlAnsiStringToUnicodeString";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const std::string_view source(SourceString->Buffer, SourceString->Length);
    if (std::ranges::any_of(source, [](char c) { return static_cast<unsigned char>(c) >= ASCII_END; })) {
        unmodelled(kApi, "bytes beyond ASCII");
    }
    const size_t bytes = (source.size() + 1) * sizeof(WCHAR);
    if (bytes > MAXUSHORT) {
        return STATUS_INVALID_PARAMETER_2;
    }
    if (AllocateDestinationString != FALSE) {
        auto *const buffer = static_cast<PWSTR>(allocate(kApi, bytes));
        if (buffer == nullptr) {
            return STATUS_NO_MEMORY;
        }
        *DestinationString = UNICODE_STRING{0, static_cast<USHORT>(bytes), buffer};
    } else if (bytes > DestinationString->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    std::ranges::copy(source, DestinationString->Buffer);
    DestinationString->Buffer[source.size()] = 0;
    DestinationString->Length = static_cast<USHORT>(bytes - sizeof(WCHAR));
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. With a null at the end; what does not fit is cut off, with STATUS_BUFFER_OVERFLOW.
FLTSIM_KERNEL NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, PCUNICODE_STRING SourceString,
                                                          BOOLEAN AllocateDestinationString) {
    constexpr const char *kApi = "RtlUnicodeStringToAnsiString";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const std::u16string_view source = string_view_of(kApi, SourceString);
    if (std::ranges::any_of(source, [](char16_t c) { return c >= ASCII_END; })) {
        unmodelled(kApi, "characters beyond ASCII");
    }
    if (AllocateDestinationString != FALSE) {
        auto *const buffer = static_cast<PCHAR>(allocate(kApi, source.size() + 1));
        if (buffer == nullptr) {
            return STATUS_NO_MEMORY;
        }
        *DestinationString = ANSI_STRING{0, static_cast<USHORT>(source.size() + 1), buffer};
    } else if (DestinationString->MaximumLength == 0) {
        return STATUS_BUFFER_OVERFLOW;
    }
    const size_t count = std::min<size_t>(source.size(), DestinationString->MaximumLength - 1u);
    std::ranges::transform(source.substr(0, count), DestinationString->Buffer,
                           [](char16_t c) { return static_cast<char>(c); });
    DestinationString->Buffer[count] = 0;
    DestinationString->Length = static_cast<USHORT>(count);
    return count == source.size() ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

/// IRQL <= APC_LEVEL. A string without a buffer stays as it is.
FLTSIM_KERNEL void NTAPI RtlFreeAnsiString(PANSI_STRING AnsiString) {
    constexpr const char *kApi = "RtlFreeAnsiString";
    KernelCall call(kApi, APC_LEVEL);
    if (AnsiString->Buffer != nullptr) {
        pool::release(kApi, AnsiString->Buffer, 0);
        *AnsiString = ANSI_STRING{};
    }
}

/// Any IRQL.
FLTSIM_KERNEL SIZE_T NTAPI RtlCompareMemory(const void *Source1, const void *Source2, SIZE_T Length) {
    KernelCall call("RtlCompareMemory", HIGH_LEVEL);
    const auto *const a = static_cast<const unsigned char *>(Source1);
    return static_cast<SIZE_T>(std::mismatch(a, a + Length, static_cast<const unsigned char *>(Source2)).first - a);
}

/// IRQL = PASSIVE_LEVEL. With IgnoreCase the expression is in upper case already, and the name need not be.
FLTSIM_KERNEL BOOLEAN NTAPI FsRtlIsNameInExpression(PUNICODE_STRING Expression, PUNICODE_STRING Name,
                                                    BOOLEAN IgnoreCase, PWCH UpcaseTable) {
    constexpr const char *kApi = "FsRtlIsNameInExpression";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const std::u16string_view expression = string_view_of(kApi, Expression);
    const std::u16string_view name = string_view_of(kApi, Name);
    if (UpcaseTable != nullptr) {
        unmodelled(kApi, "an UpcaseTable");
    }
    if (IgnoreCase != FALSE && upcase(expression) != expression) {
        bugcheck("FSRTL expression in lower case", kApi,
                 "with IgnoreCase the expression must be upper-case: RtlUpcaseUnicodeString");
    }
    if (expression.empty() || name.empty()) {
        return expression.empty() && name.empty() ? TRUE : FALSE;
    }
    return fs::name_matches(expression, name, IgnoreCase == FALSE) ? TRUE : FALSE;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN NTAPI FsRtlDoesNameContainWildCards(PUNICODE_STRING Name) {
    constexpr const char *kApi = "FsRtlDoesNameContainWildCards";
    KernelCall call(kApi, APC_LEVEL);
    return std::ranges::any_of(string_view_of(kApi, Name), is_wildcard) ? TRUE : FALSE;
}

/// IRQL = PASSIVE_LEVEL. The first part of a path, and what comes after its backslash; a backslash at the beginning is skipped.
FLTSIM_KERNEL void NTAPI FsRtlDissectName(UNICODE_STRING Path, PUNICODE_STRING FirstName,
                                          PUNICODE_STRING RemainingName) {
    constexpr const char *kApi = "FsRtlDissectName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    std::u16string_view path = string_view_of(kApi, &Path);
    const auto string_of = [](std::u16string_view part) {
        const auto bytes = static_cast<USHORT>(part.size() * sizeof(WCHAR));
        return part.empty() ? UNICODE_STRING{} : UNICODE_STRING{bytes, bytes, const_cast<PWSTR>(part.data())};
    };
    path.remove_prefix(path.starts_with(u'\\') ? 1 : 0);
    const size_t end = std::min(path.find(u'\\'), path.size());
    *FirstName = string_of(path.substr(0, end));
    *RemainingName = string_of(path.substr(std::min(end + 1, path.size())));
}

/// IRQL = PASSIVE_LEVEL. "{01234567-89AB-CDEF-0123-456789ABCDEF}", with a null behind it, in a new buffer.
FLTSIM_KERNEL NTSTATUS NTAPI RtlStringFromGUID(const GUID *const Guid, PUNICODE_STRING GuidString) {
    constexpr const char *kApi = "RtlStringFromGUID";
    KernelCall call(kApi, PASSIVE_LEVEL);
    std::u16string text;
    const auto hex = [&text](uint64_t value, int digits) {
        for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
            text += u"0123456789ABCDEF"[value >> shift & 0xF];
        }
    };
    text += u'{';
    hex(Guid->Data1, 8);
    text += u'-';
    hex(Guid->Data2, 4);
    text += u'-';
    hex(Guid->Data3, 4);
    for (size_t i = 0; i < sizeof Guid->Data4; ++i) {
        text += i == 0 || i == 2 ? u"-" : u"";
        hex(Guid->Data4[i], 2);
    }
    text += u'}';
    text += u'\0';
    const NTSTATUS status = put(kApi, *GuidString, text, TRUE);
    if (NT_SUCCESS(status)) {
        GuidString->Length = static_cast<USHORT>(GuidString->Length - sizeof(WCHAR));
    }
    return status;
}

/// IRQL = PASSIVE_LEVEL. STATUS_INVALID_PARAMETER for anything else than what RtlStringFromGUID gives, in either case.
FLTSIM_KERNEL NTSTATUS NTAPI RtlGUIDFromString(PCUNICODE_STRING GuidString, GUID *Guid) {
    constexpr const char *kApi = "RtlGUIDFromString";
    KernelCall call(kApi, PASSIVE_LEVEL);
    constexpr std::u16string_view kForm = u"{00000000-0000-0000-0000-000000000000}";
    const std::u16string_view text = string_view_of(kApi, GuidString);
    if (text.size() != kForm.size()) {
        return STATUS_INVALID_PARAMETER;
    }
    std::array<UCHAR, sizeof(GUID)> bytes{}; // as they are written
    size_t digits = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const std::optional<ULONG> value = digit(text[i]);
        if (kForm[i] == u'0' ? !value || *value > 0xF : text[i] != kForm[i]) {
            return STATUS_INVALID_PARAMETER;
        }
        if (kForm[i] == u'0') {
            UCHAR &byte = bytes[digits++ / 2];
            byte = static_cast<UCHAR>(byte << 4 | *value);
        }
    }
    Guid->Data1 = static_cast<ULONG>(bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
    Guid->Data2 = static_cast<USHORT>(bytes[4] << 8 | bytes[5]);
    Guid->Data3 = static_cast<USHORT>(bytes[6] << 8 | bytes[7]);
    std::ranges::copy(std::span(bytes).subspan(8), Guid->Data4);
    return STATUS_SUCCESS;
}
