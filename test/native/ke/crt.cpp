// SPDX-License-Identifier: MIT
//
// This module provides: tests of the C library's string functions for Windows images.
#include <cstring>
#include <string>

#include "core/ddk.hpp"
#include "image/exports.hpp"
#include "world_fixture.hpp"

extern "C" {
size_t NTAPI FltSimCrt_wcslen(const WCHAR *);
int NTAPI FltSimCrt_strcmp(const char *, const char *);
int NTAPI FltSimCrt_strncmp(const char *, const char *, size_t);
int NTAPI FltSimCrt__stricmp(const char *, const char *);
int NTAPI FltSimCrt_wcscmp(const WCHAR *, const WCHAR *);
int NTAPI FltSimCrt_wcsncmp(const WCHAR *, const WCHAR *, size_t);
int NTAPI FltSimCrt__wcsicmp(const WCHAR *, const WCHAR *);
int NTAPI FltSimCrt__wcsnicmp(const WCHAR *, const WCHAR *, size_t);
char *NTAPI FltSimCrt_strchr(const char *, int);
char *NTAPI FltSimCrt_strrchr(const char *, int);
char *NTAPI FltSimCrt_strstr(const char *, const char *);
WCHAR *NTAPI FltSimCrt_wcsrchr(const WCHAR *, WCHAR);
WCHAR *NTAPI FltSimCrt_wcsstr(const WCHAR *, const WCHAR *);
WCHAR *NTAPI FltSimCrt_wcscpy(WCHAR *, const WCHAR *);
WCHAR *NTAPI FltSimCrt_wcscat(WCHAR *, const WCHAR *);
WCHAR *NTAPI FltSimCrt_wcsncpy(WCHAR *, const WCHAR *, size_t);
WCHAR *NTAPI FltSimCrt__wcsupr(WCHAR *);
char *NTAPI FltSimCrt__strupr(char *);
}

TEST(c_strings_of_the_kernel) {
    CHECK_EQ(FltSimCrt_wcslen(u"abc"), 3u);
    CHECK(FltSimCrt_strcmp("ab", "abc") < 0 && FltSimCrt_strcmp("b", "abc") > 0 && FltSimCrt_strcmp("a", "a") == 0);
    CHECK(FltSimCrt_strcmp("\x80", "a") > 0); // as unsigned
    CHECK(FltSimCrt_strncmp("abx", "aby", 2) == 0 && FltSimCrt_strncmp("abx", "aby", 3) < 0);
    CHECK(FltSimCrt__stricmp("FILE.TXT", "file.txt") == 0 && FltSimCrt__stricmp("a", "B") < 0);
    CHECK(FltSimCrt_wcscmp(u"\uFFFF", u"a") > 0);
    CHECK(FltSimCrt_wcsncmp(u"ab", u"ac", 1) == 0);
    CHECK(FltSimCrt__wcsicmp(u"ABC", u"abc") == 0 && FltSimCrt__wcsicmp(u"\u00C9", u"\u00E9") != 0);
    CHECK(FltSimCrt__wcsnicmp(u"ABx", u"aby", 2) == 0);
    const char *text = "a.b.c";
    CHECK(FltSimCrt_strchr(text, '.') == text + 1 && FltSimCrt_strrchr(text, '.') == text + 3);
    CHECK(FltSimCrt_strchr(text, 0) == text + 5 && FltSimCrt_strchr(text, 'x') == nullptr);
    CHECK(FltSimCrt_strstr(text, "b.") == text + 2 && FltSimCrt_strstr(text, "bb") == nullptr);
    const WCHAR *path = u"\\dir\\file";
    CHECK(FltSimCrt_wcsrchr(path, u'\\') == path + 4);
    CHECK(FltSimCrt_wcsstr(path, u"file") == path + 5 && FltSimCrt_wcsstr(path, u"") == path);
    WCHAR buffer[12];
    std::fill(std::begin(buffer), std::end(buffer), u'x');
    CHECK(FltSimCrt_wcscpy(buffer, u"ab") == buffer && FltSimCrt_wcscat(buffer, u"cd") == buffer);
    CHECK(std::u16string(buffer) == u"abcd");
    CHECK(FltSimCrt_wcsncpy(buffer, u"e", 3) == buffer);
    CHECK(buffer[0] == u'e' && buffer[1] == 0 && buffer[2] == 0 && buffer[3] == u'd');
    FltSimCrt_wcsncpy(buffer, u"fgh", 2); // no null
    CHECK(buffer[1] == u'g' && buffer[2] == 0);
    CHECK(std::u16string(FltSimCrt__wcsupr(FltSimCrt_wcscpy(buffer, u"aZ\u00E9"))) == u"AZ\u00E9");
    char bytes[] = "aZ1";
    CHECK(std::strcmp(FltSimCrt__strupr(bytes), "AZ1") == 0);
#if FLTSIM_WINDOWS_IMAGES
    for (const char *name : {"wcsstr", "_wcsicmp", "towupper", "strlen"}) {
        CHECK(fltsim::image::find_export("ntoskrnl.exe", name).address != nullptr);
    }
    CHECK(fltsim::image::find_export("ntoskrnl.exe", "wcstok").address == nullptr);
    CHECK(fltsim::image::find_export("fltmgr.sys", "wcsstr").address == nullptr);
#endif
}
