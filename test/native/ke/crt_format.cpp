// SPDX-License-Identifier: MIT
//
// This module provides: tests of the printf family and of the checked copies for Windows images.
#include <cstring>
#include <functional>
#include <string>

#include "ke/format.hpp"
#include "world_fixture.hpp"

using namespace fltsim;
using check::report_of;
using check::stopped_on;

extern "C" {
int NTAPI FltSimCrt__snprintf(char *, size_t, const char *, ...);
int NTAPI FltSimCrt_sprintf_s(char *, size_t, const char *, ...);
int NTAPI FltSimCrt__snprintf_s(char *, size_t, size_t, const char *, ...);
int NTAPI FltSimCrt_swprintf(WCHAR *, const WCHAR *, ...);
int NTAPI FltSimCrt__snwprintf(WCHAR *, size_t, const WCHAR *, ...);
int NTAPI FltSimCrt_swprintf_s(WCHAR *, size_t, const WCHAR *, ...);
int NTAPI FltSimCrt__vsnprintf(char *, size_t, const char *, KernelArguments);
int NTAPI FltSimCrt__vsnwprintf(WCHAR *, size_t, const WCHAR *, KernelArguments);
ULONG NTAPI FltSimCrt_vDbgPrintExWithPrefix(PCCH, ULONG, ULONG, PCCH, KernelArguments);
int NTAPI FltSimCrt_strcpy_s(char *, size_t, const char *);
int NTAPI FltSimCrt_strncpy_s(char *, size_t, const char *, size_t);
int NTAPI FltSimCrt_wcscat_s(WCHAR *, size_t, const WCHAR *);
int NTAPI FltSimCrt_wcsncat_s(WCHAR *, size_t, const WCHAR *, size_t);
int NTAPI FltSimCrt_memcpy_s(void *, size_t, const void *, size_t);
int NTAPI FltSimCrt_memmove_s(void *, size_t, const void *, size_t);
char *NTAPI FltSimCrt_strncpy(char *, const char *, size_t);
char *NTAPI FltSimCrt_strncat(char *, const char *, size_t);
size_t NTAPI FltSimCrt_wcsnlen(const WCHAR *, size_t);
size_t NTAPI FltSimCrt_wcsspn(const WCHAR *, const WCHAR *);
size_t NTAPI FltSimCrt_wcscspn(const WCHAR *, const WCHAR *);
WCHAR *NTAPI FltSimCrt__wcslwr(WCHAR *);
int NTAPI FltSimCrt_atoi(const char *);
int NTAPI FltSimCrt__wtoi(const WCHAR *);
}

namespace {

constexpr int INVALID = 22, OUT_OF_RANGE = 34, CUT = 80;
constexpr size_t TRUNCATE = SIZE_MAX;

std::string with(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

bool clean(const std::function<void()> &fn) {
    return check::contains(with(fn), "\"stopped\":false");
}

/// What a driver's own wrapper with ... does.
int NTAPI through_all(const std::function<int(KernelArguments)> *call, ...) {
#if defined(__x86_64__) && !defined(_WIN32)
    KernelArguments arguments;
    __builtin_ms_va_start(arguments, call);
    const int result = (*call)(arguments);
    __builtin_ms_va_end(arguments);
#else
    KernelArguments arguments;
    va_start(arguments, call);
    const int result = (*call)(arguments);
    va_end(arguments);
#endif
    return result;
}

template <class... Values> int through(const std::function<int(KernelArguments)> &call, Values... values) {
    return through_all(&call, values...);
}

struct Narrow {
    char text[16];
    Narrow() { std::memset(text, 'x', sizeof text); }
};
struct Wide {
    WCHAR text[16];
    Wide() { std::fill(std::begin(text), std::end(text), u'x'); }
};

} // namespace

TEST(narrow_text_from_a_format) {
    CHECK(clean([] {
        Narrow n;
        CHECK_EQ(FltSimCrt__snprintf(n.text, 16, "%d-%s-%x", -5, "ab", 255), 8);
        CHECK_EQ(std::string(n.text), std::string("-5-ab-ff"));
        n = {};
        CHECK_EQ(FltSimCrt__snprintf(n.text, 4, "%s", "abcd"), 4); // without a null
        CHECK(std::memcmp(n.text, "abcdx", 5) == 0);
        CHECK_EQ(FltSimCrt__snprintf(n.text, 3, "%s", "efgh"), -1);
        CHECK(std::memcmp(n.text, "efgdx", 5) == 0);
        CHECK_EQ(FltSimCrt__snprintf(nullptr, 0, "%05d", 3), 5);
        const UNICODE_STRING name{6, 6, const_cast<PWCH>(u"abc")};
        CHECK_EQ(FltSimCrt__snprintf(n.text, 16, "%5wZ|%-3ls|", &name, u"z"), 10);
        CHECK_EQ(std::string(n.text), std::string("  abc|z  |"));
        CHECK_EQ(through([&](KernelArguments a) { return FltSimCrt__vsnprintf(n.text, 16, "%I64u %c", a); },
                         0x100000000ULL, 'q'),
                 12);
        CHECK_EQ(std::string(n.text), std::string("4294967296 q"));
    }));
}

TEST(wide_text_from_a_format) {
    CHECK(clean([] {
        Wide w;
        CHECK_EQ(FltSimCrt__snwprintf(w.text, 16, u"%s|%S|%hs|%ls", u"a\u00E9", "b", "c", u"d"), 8);
        CHECK(std::u16string(w.text) == u"a\u00E9|b|c|d");
        CHECK_EQ(FltSimCrt__snwprintf(w.text, 16, u"%5s%c%C", u"\u00E9\U0001F600", u'\u20AC', 'n'), 7);
        CHECK(std::u16string(w.text) == u"  \u00E9\U0001F600\u20ACn");
        const UNICODE_STRING name{4, 4, const_cast<PWCH>(u"\u00FCz")};
        CHECK_EQ(FltSimCrt_swprintf(w.text, u"%wZ%u%%", &name, 7u), 4);
        CHECK(std::u16string(w.text) == u"\u00FCz7%");
        w = {};
        CHECK_EQ(through([&](KernelArguments a) { return FltSimCrt__vsnwprintf(w.text, 2, u"%s", a); }, u"abc"), -1);
        CHECK(w.text[0] == u'a' && w.text[1] == u'b' && w.text[2] == u'x');
    }));
    CHECK(stopped_on(with([] {
                         Wide w;
                         FltSimCrt__snwprintf(w.text, 16, u"%S", "\xE9");
                     }),
                     "UNMODELLED"));
    CHECK(stopped_on(with([] {
                         Narrow n;
                         FltSimCrt__snprintf(n.text, 16, "%S", u"\u00E9");
                     }),
                     "UNMODELLED"));
    CHECK(stopped_on(with([] {
                         Wide w;
                         FltSimCrt__snwprintf(w.text, 16, u"\u00E9");
                     }),
                     "UNMODELLED"));
}

TEST(checked_text_from_a_format) {
    CHECK(clean([] {
        Narrow n;
        CHECK_EQ(FltSimCrt_sprintf_s(n.text, 4, "%s", "abc"), 3);
        CHECK_EQ(std::string(n.text), std::string("abc"));
        CHECK_EQ(FltSimCrt_sprintf_s(n.text, 4, "%s", "abcd"), -1);
        CHECK_EQ(n.text[0], '\0');
        CHECK_EQ(FltSimCrt__snprintf_s(n.text, 8, 2, "%s", "abc"), -1);
        CHECK_EQ(std::string(n.text), std::string("ab"));
        CHECK_EQ(FltSimCrt__snprintf_s(n.text, 3, TRUNCATE, "%s", "abc"), -1);
        CHECK_EQ(std::string(n.text), std::string("ab"));
        CHECK_EQ(FltSimCrt__snprintf_s(n.text, 3, 5, "%s", "abc"), -1);
        CHECK_EQ(n.text[0], '\0');
        CHECK_EQ(FltSimCrt_sprintf_s(nullptr, 4, "a"), -1);
        Wide w;
        CHECK_EQ(FltSimCrt_swprintf_s(w.text, 8, u"%u", 12u), 2);
        CHECK(std::u16string(w.text) == u"12");
    }));
}

TEST(debug_text_with_a_prefix) {
    const std::string report = with([] {
        CHECK_EQ(through(
                     [](KernelArguments a) {
                         return static_cast<int>(FltSimCrt_vDbgPrintExWithPrefix("mine: ", 77, 3, "%d of %s\n", a));
                     },
                     4, "five"),
                 0);
    });
    CHECK(check::contains(report, "driver: mine: 4 of five\""));
}

TEST(checked_copies) {
    Narrow n;
    CHECK_EQ(FltSimCrt_strcpy_s(n.text, 4, "abc"), 0);
    CHECK_EQ(std::string(n.text), std::string("abc"));
    CHECK_EQ(FltSimCrt_strcpy_s(n.text, 3, "abc"), OUT_OF_RANGE);
    CHECK(n.text[0] == 0 && FltSimCrt_strcpy_s(nullptr, 3, "a") == INVALID);
    CHECK_EQ(FltSimCrt_strcpy_s(n.text, 3, nullptr), INVALID);
    CHECK_EQ(FltSimCrt_strncpy_s(n.text, 3, "abc", 2), 0);
    CHECK_EQ(std::string(n.text), std::string("ab"));
    CHECK_EQ(FltSimCrt_strncpy_s(n.text, 3, "xyz", TRUNCATE), CUT);
    CHECK_EQ(std::string(n.text), std::string("xy"));
    WCHAR wide[6] = u"ab";
    CHECK_EQ(FltSimCrt_wcscat_s(wide, 6, u"cd"), 0);
    CHECK_EQ(FltSimCrt_wcsncat_s(wide, 6, u"efg", 1), 0);
    CHECK(std::u16string(wide) == u"abcde");
    CHECK_EQ(FltSimCrt_wcscat_s(wide, 6, u"f"), OUT_OF_RANGE);
    CHECK_EQ(wide[0], u'\0');
    std::fill(std::begin(wide), std::end(wide), u'x');
    CHECK_EQ(FltSimCrt_wcscat_s(wide, 6, u"f"), INVALID); // there is no text
    int number = 5;
    const int other = 7;
    CHECK_EQ(FltSimCrt_memcpy_s(&number, sizeof number, &other, sizeof other), 0);
    CHECK_EQ(number, 7);
    CHECK_EQ(FltSimCrt_memmove_s(&number, 2, &other, sizeof other), OUT_OF_RANGE);
    CHECK_EQ(number, 7);
    CHECK_EQ(FltSimCrt_memcpy_s(&number, sizeof number, nullptr, 4), INVALID);
    CHECK_EQ(number, 0);
}

TEST(more_c_strings_of_the_kernel) {
    Narrow n;
    FltSimCrt_strncpy(n.text, "ab", 4);
    CHECK(std::memcmp(n.text, "ab\0\0x", 5) == 0);
    CHECK_EQ(std::string(FltSimCrt_strncat(n.text, "cde", 2)), std::string("abcd"));
    CHECK(FltSimCrt_wcsnlen(u"abc", 2) == 2 && FltSimCrt_wcsnlen(u"abc", 9) == 3);
    CHECK(FltSimCrt_wcsspn(u"aabc", u"ab") == 3 && FltSimCrt_wcsspn(u"aa", u"a") == 2);
    CHECK(FltSimCrt_wcscspn(u"dir\\x", u"\\/") == 3 && FltSimCrt_wcscspn(u"ab", u"x") == 2);
    WCHAR upper[] = u"A\u00C9Z";
    CHECK(std::u16string(FltSimCrt__wcslwr(upper)) == u"a\u00C9z");
    CHECK(FltSimCrt_atoi(" \t-12x") == -12 && FltSimCrt__wtoi(u"+7") == 7 && FltSimCrt_atoi("x") == 0);
}
