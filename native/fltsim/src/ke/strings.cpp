// SPDX-License-Identifier: MIT
//
// This module provides: the Rtl calls on counted strings. Lengths are bytes; a string with an odd length or one beyond its maximum stops
// the world, since the real calls would read or write past its end.
#include <algorithm>
#include <cstring>
#include <string>

#include "core/world.hpp"
#include "ke/strings.hpp"
#include "ke/upcase.hpp"

using namespace fltsim;

std::u16string_view ke::string_view_of(const char *api, PCUNICODE_STRING text) {
    if (text == nullptr) {
        bugcheck("STRING is null", api, "pass a UNICODE_STRING");
    }
    if (text->Length % sizeof(WCHAR) != 0 || text->Length > text->MaximumLength ||
        (text->Length != 0 && text->Buffer == nullptr)) {
        bugcheck("STRING is malformed", api,
                 "Length " + std::to_string(text->Length) + ", MaximumLength " + std::to_string(text->MaximumLength));
    }
    return {text->Buffer, text->Length / sizeof(WCHAR)};
}

/// IRQL <= DISPATCH_LEVEL. A null source gives an empty string; one longer than a UNICODE_STRING can say is cut at 65,532 bytes.
FLTSIM_KERNEL void NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
    KernelCall call("RtlInitUnicodeString", DISPATCH_LEVEL);
    DestinationString->Length = 0;
    DestinationString->MaximumLength = 0;
    DestinationString->Buffer = const_cast<PWSTR>(SourceString);
    if (SourceString != nullptr) {
        const size_t bytes = std::min<size_t>(std::char_traits<char16_t>::length(SourceString) * sizeof(WCHAR), 0xFFFC);
        DestinationString->Length = static_cast<USHORT>(bytes);
        DestinationString->MaximumLength = static_cast<USHORT>(bytes + sizeof(WCHAR));
    }
}

/// IRQL <= DISPATCH_LEVEL. Copies what fits; terminates when there is room.
FLTSIM_KERNEL void NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString) {
    KernelCall call("RtlCopyUnicodeString", DISPATCH_LEVEL);
    if (SourceString == nullptr) {
        DestinationString->Length = 0;
        return;
    }
    const std::u16string_view source = ke::string_view_of("RtlCopyUnicodeString", SourceString);
    const size_t room = DestinationString->MaximumLength / sizeof(WCHAR);
    const size_t count = std::min(source.size(), room);
    if (count != 0) {
        std::memmove(DestinationString->Buffer, source.data(), count * sizeof(WCHAR));
    }
    DestinationString->Length = static_cast<USHORT>(count * sizeof(WCHAR));
    if (count < room) {
        DestinationString->Buffer[count] = 0;
    }
}

/// IRQL = PASSIVE_LEVEL [IRQL-09].
FLTSIM_KERNEL BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                                  BOOLEAN CaseInSensitive) {
    KernelCall call("RtlEqualUnicodeString", PASSIVE_LEVEL);
    const std::u16string_view a = ke::string_view_of("RtlEqualUnicodeString", String1);
    const std::u16string_view b = ke::string_view_of("RtlEqualUnicodeString", String2);
    return (CaseInSensitive != FALSE ? equal_ignoring_case(a, b) : a == b) ? TRUE : FALSE;
}

/// IRQL = PASSIVE_LEVEL [IRQL-09]. By code unit; negative, 0 or positive.
FLTSIM_KERNEL LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                                 BOOLEAN CaseInSensitive) {
    KernelCall call("RtlCompareUnicodeString", PASSIVE_LEVEL);
    const std::u16string_view a = ke::string_view_of("RtlCompareUnicodeString", String1);
    const std::u16string_view b = ke::string_view_of("RtlCompareUnicodeString", String2);
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const LONG difference = CaseInSensitive != FALSE
                                    ? static_cast<LONG>(upcase(a[i])) - static_cast<LONG>(upcase(b[i]))
                                    : static_cast<LONG>(a[i]) - static_cast<LONG>(b[i]);
        if (difference != 0) {
            return difference;
        }
    }
    return static_cast<LONG>(a.size()) - static_cast<LONG>(b.size());
}

/// IRQL <= APC_LEVEL: the kernel's case table is paged.
FLTSIM_KERNEL WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR SourceCharacter) {
    KernelCall call("RtlUpcaseUnicodeChar", APC_LEVEL);
    return upcase(SourceCharacter);
}

/// IRQL <= APC_LEVEL, as the other way.
FLTSIM_KERNEL WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR SourceCharacter) {
    KernelCall call("RtlDowncaseUnicodeChar", APC_LEVEL);
    return downcase(SourceCharacter);
}
