// SPDX-License-Identifier: MIT
//
// This module provides: the path matcher. It is our own because FsRtlIsNameInExpression is pageable, and paths are matched where the
// pager may be the caller.
//
// Pattern: `*` is any run of characters, backslashes too; `?` is one character; everything else is itself. Pattern and name are
// upcased beforehand. A pattern that does not start with a backslash matches at any depth: it may start behind any backslash.
//
// The loop remembers only the last `*`, so it takes at most (pattern characters) x (name characters) steps and no memory.

#include "minipend.h"

static BOOLEAN MpGlob(const WCHAR *Pattern, ULONG PatternChars, const WCHAR *Name, ULONG NameChars) {
    ULONG p = 0;
    ULONG n = 0;
    ULONG star = MAXULONG;
    ULONG resume = 0;

    while (n < NameChars) {
        if (p < PatternChars && Pattern[p] == L'*') {
            star = p++;
            resume = n;
        } else if (p < PatternChars && (Pattern[p] == L'?' || Pattern[p] == Name[n])) {
            p++;
            n++;
        } else if (star != MAXULONG) {
            p = star + 1;
            n = ++resume;
        } else {
            return FALSE;
        }
    }
    while (p < PatternChars && Pattern[p] == L'*') {
        p++;
    }
    return p == PatternChars;
}

/// Whether Name (a path from the volume's root, upcased) fits Pattern (upcased).
_Use_decl_annotations_ BOOLEAN MpPatternMatches(PCUNICODE_STRING Pattern, PCUNICODE_STRING Name) {
    const WCHAR *pattern = Pattern->Buffer;
    ULONG patternChars = Pattern->Length / sizeof(WCHAR);
    const WCHAR *name = Name->Buffer;
    ULONG nameChars = Name->Length / sizeof(WCHAR);
    ULONG i;

    if (patternChars == 0 || pattern[0] == L'\\' || pattern[0] == L'*') {
        return MpGlob(pattern, patternChars, name, nameChars);
    }
    for (i = 0; i < nameChars; i++) {
        if (name[i] == L'\\' && MpGlob(pattern, patternChars, name + i + 1, nameChars - i - 1)) {
            return TRUE;
        }
    }
    return FALSE;
}
