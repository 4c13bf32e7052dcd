// SPDX-License-Identifier: MIT
//
// This module provides: the path matcher. It is our own because FsRtlIsNameInExpression is pageable, and paths are matched where the
// pager may be the caller.
//
// Pattern: `*` is any run of characters, backslashes too; `?` is one character; everything else is itself. Pattern and name are
// upcased beforehand. A rule's pattern that starts with neither a backslash nor `*` matches at any depth: rules_parse.c puts `*\` before it.
//
// The loop remembers only the last `*`, so it takes at most (pattern characters) x (name characters) steps and no memory.

#include "minipend.h"

/// Whether Name (a path from the volume's root, upcased) fits Pattern (upcased).
_Use_decl_annotations_ BOOLEAN MpPatternMatches(PCUNICODE_STRING Pattern, PCUNICODE_STRING Name) {
    const WCHAR *pattern = Pattern->Buffer;
    const ULONG patternChars = Pattern->Length / sizeof(WCHAR);
    const WCHAR *name = Name->Buffer;
    const ULONG nameChars = Name->Length / sizeof(WCHAR);
    ULONG p = 0;
    ULONG n = 0;
    ULONG star = MAXULONG;
    ULONG resume = 0;

    while (n < nameChars) {
        if (p < patternChars && pattern[p] == L'*') {
            star = p++;
            resume = n;
        } else if (p < patternChars && (pattern[p] == L'?' || pattern[p] == name[n])) {
            p++;
            n++;
        } else if (star != MAXULONG) {
            p = star + 1;
            n = ++resume;
        } else {
            return FALSE;
        }
    }
    while (p < patternChars && pattern[p] == L'*') {
        p++;
    }
    return p == patternChars;
}
