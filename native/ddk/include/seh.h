// SPDX-License-Identifier: MIT
//
// This module provides: structured exception handling: the compiler's own on Windows, macros elsewhere (seh_host.h).

#pragma once

#if !defined(_WIN32) || defined(FLTSIM_HOST)
#include "seh_host.h"
#else
#define EXCEPTION_EXECUTE_HANDLER 1
#define EXCEPTION_CONTINUE_SEARCH 0
#define GetExceptionCode() ((unsigned long)_exception_code())
#endif
