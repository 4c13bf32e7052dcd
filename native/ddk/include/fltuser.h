// SPDX-License-Identifier: MIT
//
// This module provides: the Filter Manager's user-mode structures and the HRESULT helpers, on hosts without windows.h.
// fltsim_user.h declares the calls.

#pragma once

#include "ntdef.h"
#include "fltuserstructures.h"

#ifndef S_OK
#define S_OK ((HRESULT)0)
#endif
#ifndef SUCCEEDED
#define SUCCEEDED(Result) (((HRESULT)(Result)) >= 0)
#define FAILED(Result) (((HRESULT)(Result)) < 0)
#endif
#ifndef HRESULT_CODE
#define HRESULT_CODE(Result) ((Result) & 0xFFFF)
#define HRESULT_FACILITY(Result) (((Result) >> 16) & 0x1FFF)
#endif
#ifndef FACILITY_WIN32
#define FACILITY_WIN32 7
#define FACILITY_NT_BIT 0x10000000
#endif
#ifndef HRESULT_FROM_WIN32
#define HRESULT_FROM_WIN32(Error)                                                                                      \
    ((HRESULT)(Error) <= 0 ? (HRESULT)(Error) : (HRESULT)(((ULONG)(Error) & 0xFFFFu) | 0x80070000u))
#endif
#ifndef HRESULT_FROM_NT
#define HRESULT_FROM_NT(Status) ((HRESULT)((ULONG)(Status) | FACILITY_NT_BIT))
#endif
