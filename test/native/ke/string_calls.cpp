// SPDX-License-Identifier: MIT
//
// This module provides: tests of the calls on counted strings of wdm_strings.h.
#include <cstring>
#include <string>

#include "core/faults.hpp"
#include "kernel_text.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::clean;
using check::of;
using check::stopped_on;
using check::text_of;
using check::with;

namespace {

/// A string with room for some characters, which are 'x'.
struct Room {
    char16_t buffer[16];
    UNICODE_STRING string;
    explicit Room(size_t characters, const char16_t *text = u"") {
        std::fill(std::begin(buffer), std::end(buffer), u'x');
        const size_t length = std::char_traits<char16_t>::length(text);
        std::copy(text, text + length, buffer);
        string = {static_cast<USHORT>(length * 2), static_cast<USHORT>(characters * 2), buffer};
    }
};

} // namespace

TEST(prefixes) {
    CHECK(clean([](World &) {
        const auto prefix = [](const char16_t *a, const char16_t *b, bool ignore) {
            const UNICODE_STRING first = of(a);
            const UNICODE_STRING second = of(b);
            return RtlPrefixUnicodeString(&first, &second, ignore ? TRUE : FALSE) != FALSE;
        };
        CHECK(prefix(u"\\Dir", u"\\Dir\\file", false));
        CHECK(!prefix(u"\\dir", u"\\Dir\\file", false));
        CHECK(prefix(u"\\d\u00E9r", u"\\D\u00C9R\\file", true));
        CHECK(!prefix(u"\\Dir\\file", u"\\Dir", true));
        CHECK(prefix(u"", u"", false) && prefix(u"", u"a", false));
    }));
}

TEST(appending) {
    CHECK(clean([](World &) {
        Room room(6, u"ab");
        UNICODE_STRING more = of(u"cd");
        CHECK_EQ(RtlAppendUnicodeStringToString(&room.string, &more), STATUS_SUCCESS);
        CHECK(text_of(room.string) == u"abcd" && room.buffer[4] == 0 && room.buffer[5] == u'x');
        CHECK_EQ(RtlAppendUnicodeToString(&room.string, u"ef"), STATUS_SUCCESS); // no room for a null
        CHECK(text_of(room.string) == u"abcdef" && room.buffer[6] == u'x');
        CHECK_EQ(RtlAppendUnicodeToString(&room.string, u"g"), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(RtlAppendUnicodeStringToString(&room.string, &more), STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(RtlAppendUnicodeToString(&room.string, nullptr), STATUS_SUCCESS);
        CHECK(text_of(room.string) == u"abcdef");
    }));
    CHECK(stopped_on(with([](World &) {
                         Room room(4, u"ab");
                         room.string.Length = 3;
                         RtlAppendUnicodeToString(&room.string, u"c");
                     }),
                     "STRING is malformed"));
}

TEST(upper_case_and_what_it_allocates) {
    CHECK(clean([](World &world) {
        const UNICODE_STRING source = of(u"a\u00E9Z");
        UNICODE_STRING made{};
        CHECK_EQ(RtlUpcaseUnicodeString(&made, &source, TRUE), STATUS_SUCCESS);
        CHECK(text_of(made) == u"A\u00C9Z" && made.MaximumLength == made.Length);
        RtlFreeUnicodeString(&made);
        CHECK(made.Buffer == nullptr && made.Length == 0);
        RtlFreeUnicodeString(&made); // of nothing
        Room room(3);
        CHECK_EQ(RtlUpcaseUnicodeString(&room.string, &source, FALSE), STATUS_SUCCESS);
        CHECK(text_of(room.string) == u"A\u00C9Z");
        Room small(2);
        CHECK_EQ(RtlUpcaseUnicodeString(&small.string, &source, FALSE), STATUS_BUFFER_OVERFLOW);
        world.faults->set("RtlUpcaseUnicodeString", 0, 1);
        CHECK_EQ(RtlUpcaseUnicodeString(&made, &source, TRUE), STATUS_NO_MEMORY);
    }));
    CHECK(stopped_on(with([](World &) {
                         UNICODE_STRING constant = of(u"constant");
                         RtlFreeUnicodeString(&constant);
                     }),
                     "V20 pool: not a block"));
}

TEST(ansi_and_unicode) {
    CHECK(clean([](World &world) {
        ANSI_STRING ansi{};
        RtlInitAnsiString(&ansi, "file.txt");
        CHECK_EQ(ansi.Length, 8);
        CHECK_EQ(ansi.MaximumLength, 9);
        UNICODE_STRING wide{};
        CHECK_EQ(RtlAnsiStringToUnicodeString(&wide, &ansi, TRUE), STATUS_SUCCESS);
        CHECK(text_of(wide) == u"file.txt" && wide.Buffer[8] == 0);
        ANSI_STRING back{};
        CHECK_EQ(RtlUnicodeStringToAnsiString(&back, &wide, TRUE), STATUS_SUCCESS);
        CHECK(std::strcmp(back.Buffer, "file.txt") == 0);
        RtlFreeAnsiString(&back);
        RtlFreeUnicodeString(&wide);
        Room room(8); // one too few: the null
        CHECK_EQ(RtlAnsiStringToUnicodeString(&room.string, &ansi, FALSE), STATUS_BUFFER_OVERFLOW);
        Room fits(9);
        CHECK_EQ(RtlAnsiStringToUnicodeString(&fits.string, &ansi, FALSE), STATUS_SUCCESS);
        char bytes[5];
        ANSI_STRING cut{0, sizeof bytes, bytes};
        CHECK_EQ(RtlUnicodeStringToAnsiString(&cut, &fits.string, FALSE), STATUS_BUFFER_OVERFLOW);
        CHECK(std::strcmp(bytes, "file") == 0 && cut.Length == 4);
        for (const char *name : {"RtlAnsiStringToUnicodeString", "RtlUnicodeStringToAnsiString"}) {
            world.faults->set(name, 0, 1);
        }
        CHECK_EQ(RtlAnsiStringToUnicodeString(&wide, &ansi, TRUE), STATUS_NO_MEMORY);
        CHECK_EQ(RtlUnicodeStringToAnsiString(&back, &fits.string, TRUE), STATUS_NO_MEMORY);
        RtlInitAnsiString(&ansi, nullptr);
        CHECK(ansi.Length == 0 && ansi.MaximumLength == 0);
    }));
    CHECK(stopped_on(with([](World &) {
                         ANSI_STRING ansi{};
                         RtlInitAnsiString(&ansi, "\xE9");
                         UNICODE_STRING wide{};
                         RtlAnsiStringToUnicodeString(&wide, &ansi, TRUE);
                     }),
                     "UNMODELLED"));
    CHECK(stopped_on(with([](World &) {
                         const UNICODE_STRING wide = of(u"\u00E9");
                         ANSI_STRING ansi{};
                         RtlUnicodeStringToAnsiString(&ansi, &wide, TRUE);
                     }),
                     "UNMODELLED"));
}

TEST(hashes_and_integers) {
    CHECK(clean([](World &) {
        const auto hash = [](const char16_t *text, bool ignore) {
            const UNICODE_STRING string = of(text);
            ULONG value = 0;
            CHECK_EQ(RtlHashUnicodeString(&string, ignore ? TRUE : FALSE, HASH_STRING_ALGORITHM_DEFAULT, &value),
                     STATUS_SUCCESS);
            return value;
        };
        CHECK_EQ(hash(u"", true), 0u);
        CHECK_EQ(hash(u"AB", false), 65u * 65599u + 66u);
        CHECK_EQ(hash(u"ab", true), hash(u"AB", false));
        CHECK(hash(u"ab", false) != hash(u"AB", false));
        const UNICODE_STRING string = of(u"a");
        ULONG value = 0;
        CHECK_EQ(RtlHashUnicodeString(&string, FALSE, 7, &value), STATUS_INVALID_PARAMETER);
        const auto number = [](const char16_t *text, ULONG base) {
            const UNICODE_STRING digits = of(text);
            ULONG result = 0;
            CHECK_EQ(RtlUnicodeStringToInteger(&digits, base, &result), STATUS_SUCCESS);
            return result;
        };
        CHECK_EQ(number(u" 123x", 0), 123u);
        CHECK_EQ(number(u"-5", 10), 0xFFFFFFFBu);
        CHECK_EQ(number(u"0x1f", 0), 31u);
        CHECK_EQ(number(u"0o17", 0), 15u);
        CHECK_EQ(number(u"0b101", 0), 5u);
        CHECK_EQ(number(u"ff", 16), 255u);
        CHECK_EQ(number(u"", 0), 0u);
        CHECK_EQ(RtlUnicodeStringToInteger(&string, 3, &value), STATUS_INVALID_PARAMETER);
        Room room(5);
        CHECK_EQ(RtlIntegerToUnicodeString(1234, 0, &room.string), STATUS_SUCCESS);
        CHECK(text_of(room.string) == u"1234" && room.buffer[4] == 0);
        CHECK_EQ(RtlIntegerToUnicodeString(0xBEEF, 16, &room.string), STATUS_SUCCESS);
        CHECK(text_of(room.string) == u"BEEF");
        CHECK_EQ(RtlIntegerToUnicodeString(123456, 10, &room.string), STATUS_BUFFER_OVERFLOW);
        CHECK_EQ(RtlIntegerToUnicodeString(1, 7, &room.string), STATUS_INVALID_PARAMETER);
        CHECK_EQ(RtlCompareMemory("abcd", "abxd", 4), 2u);
        CHECK_EQ(RtlCompareMemory("abcd", "abcd", 4), 4u);
    }));
}

TEST(names_in_expressions) {
    CHECK(clean([](World &) {
        const auto matches = [](const char16_t *expression, const char16_t *name, bool ignore = true) {
            UNICODE_STRING pattern = of(expression);
            UNICODE_STRING text = of(name);
            return FsRtlIsNameInExpression(&pattern, &text, ignore ? TRUE : FALSE, nullptr) != FALSE;
        };
        CHECK(matches(u"*.TXT", u"a.txt"));
        CHECK(!matches(u"*.TXT", u"a.txt", false));
        CHECK(matches(u"*.txt", u"a.txt", false));
        CHECK(matches(u"A?C", u"abc") && !matches(u"A?C", u"ac"));
        CHECK(matches(u"A>>", u"ab") && matches(u"<.TXT", u"a.b.txt") && matches(u"A\"", u"a"));
        CHECK(!matches(u"*", u"")); // as the page says
        CHECK(!matches(u"", u"a"));
        CHECK(matches(u"", u""));
        UNICODE_STRING name = of(u"a*b");
        CHECK(FsRtlDoesNameContainWildCards(&name) != FALSE);
        name = of(u"a.b");
        CHECK(FsRtlDoesNameContainWildCards(&name) == FALSE);
        UNICODE_STRING first{};
        UNICODE_STRING rest{};
        FsRtlDissectName(of(u"\\dir\\sub\\file"), &first, &rest);
        CHECK(text_of(first) == u"dir" && text_of(rest) == u"sub\\file");
        FsRtlDissectName(of(u"file"), &first, &rest);
        CHECK(text_of(first) == u"file" && rest.Length == 0);
        FsRtlDissectName(of(u""), &first, &rest);
        CHECK(first.Length == 0 && rest.Length == 0);
    }));
    CHECK(stopped_on(with([](World &) {
                         UNICODE_STRING pattern = of(u"*.txt");
                         UNICODE_STRING name = of(u"a.txt");
                         FsRtlIsNameInExpression(&pattern, &name, TRUE, nullptr);
                     }),
                     "FSRTL expression in lower case"));
    CHECK(stopped_on(with([](World &) {
                         const UNICODE_STRING string = of(u"a");
                         IrqlScope apc(APC_LEVEL);
                         RtlPrefixUnicodeString(&string, &string, FALSE);
                     }),
                     "V5 IRQL too high"));
}

TEST(debug_text_of_the_short_call) {
    const std::string report = with([](World &) { CHECK_EQ(DbgPrint("%d of %s\n", 3, "them"), 0u); });
    CHECK(check::contains(report, "driver: 3 of them"));
}

} // namespace MINIPEND_TEST_FILE
