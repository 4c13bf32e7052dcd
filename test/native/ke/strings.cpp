// SPDX-License-Identifier: MIT
//
// This module provides: tests of counted strings, upper case and the kernel's printf.
#include "ke/upcase.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::report_of;
using check::stopped_on;

namespace {

UNICODE_STRING counted(const char16_t *text) {
    UNICODE_STRING string{};
    RtlInitUnicodeString(&string, text);
    return string;
}

} // namespace

TEST(upper_case) {
    CHECK_EQ(upcase(u'a'), u'A');
    CHECK_EQ(upcase(u'\u00E9'), u'\u00C9');
    CHECK_EQ(upcase(u'\u00FF'), u'\u0178');
    CHECK_EQ(upcase(u'\u0101'), u'\u0100');
    CHECK_EQ(upcase(u'\u0100'), u'\u0100');
    CHECK_EQ(upcase(u'\u03C2'), u'\u03A3');
    CHECK_EQ(upcase(u'\u0436'), u'\u0416');
    CHECK_EQ(upcase(u'\uFF41'), u'\uFF21');
    // No capital of its own, or one that NT does not use.
    CHECK_EQ(upcase(u'\u00DF'), u'\u00DF');
    CHECK_EQ(upcase(u'\u0131'), u'\u0131');
    CHECK_EQ(upcase(u'\u017F'), u'\u017F');
    CHECK_EQ(upcase(u'\u00B5'), u'\u00B5');
    CHECK_EQ(upcase(static_cast<char16_t>(0xD83D)), static_cast<char16_t>(0xD83D));
    for (uint32_t c = 0; c < 0x10000; ++c) {
        const char16_t up = upcase(static_cast<char16_t>(c));
        if (upcase(up) != up) {
            CHECK_EQ(c, 0u); // what is upper case stays so
        }
    }
}

TEST(counted_strings) {
    report_of(check::virtual_world(), [](World &) {
        UNICODE_STRING a = counted(u"\\Dir\\\u00E4.LOG");
        UNICODE_STRING b = counted(u"\\dIR\\\u00C4.log");
        CHECK_EQ(a.Length, 20);
        CHECK_EQ(a.MaximumLength, 22);
        CHECK_EQ(RtlEqualUnicodeString(&a, &b, TRUE), TRUE);
        CHECK_EQ(RtlEqualUnicodeString(&a, &b, FALSE), FALSE);
        CHECK_EQ(RtlCompareUnicodeString(&a, &b, TRUE), 0);
        CHECK(RtlCompareUnicodeString(&a, &b, FALSE) < 0);
        UNICODE_STRING shorter = counted(u"\\Dir");
        CHECK(RtlCompareUnicodeString(&shorter, &a, TRUE) < 0);
        CHECK_EQ(RtlUpcaseUnicodeChar(u'q'), u'Q');

        char16_t room[4] = {u'x', u'x', u'x', u'x'};
        UNICODE_STRING target{0, sizeof room, room};
        RtlCopyUnicodeString(&target, &a);
        CHECK_EQ(target.Length, 8);
        CHECK_EQ(room[3], u'r');
        UNICODE_STRING two = counted(u"ab");
        RtlCopyUnicodeString(&target, &two);
        CHECK_EQ(target.Length, 4);
        CHECK_EQ(room[2], u'\0');
        UNICODE_STRING none = counted(nullptr);
        CHECK_EQ(none.Length, 0);
    });
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   UNICODE_STRING a = counted(u"a");
                                   const IrqlScope dispatch(DISPATCH_LEVEL);
                                   (void)RtlEqualUnicodeString(&a, &a, TRUE);
                               }),
                     "V5"));
}

TEST(debug_print) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        UNICODE_STRING name = counted(u"\\a\u00E9");
        DbgPrintEx(0, 0, "%d|%5u|%-4d|%08X|%I64u|%lld|%s|%wZ|%ws|%p|%%|%c\n", -7, 42u, 3, 0xBEEFu, 123456789012345ull,
                   -5ll, "text", &name, u"wide", reinterpret_cast<void *>(uintptr_t{0x1000}), 'c');
        KeBugCheckEx(0xE2, 1, 2, 3, 0xFFFFFFFFFFFFFFFFull);
    });
    CHECK(check::contains(
        report, "driver: -7|   42|3   |0000BEEF|123456789012345|-5|text|\\\\a\u00E9|wide|0000000000001000|%|c"));
    CHECK(stopped_on(report, "BUGCHECK 0xE2"));
    CHECK(stopped_on(report_of(check::virtual_world(),
                               [](World &) {
                                   const IrqlScope dispatch(DISPATCH_LEVEL);
                                   DbgPrintEx(0, 0, "%ws", u"wide");
                               }),
                     "V5"));
}

} // namespace MINIPEND_TEST_FILE
