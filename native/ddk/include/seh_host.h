// SPDX-License-Identifier: MIT
//
// This module provides: structured exception handling for hosts whose compilers have none, as macros over sigsetjmp.
//
//      __try { ... } __except (EXCEPTION_EXECUTE_HANDLER) { ... GetExceptionCode() ... }
//
// Invariants and limits:
//   - the guarded block runs inside a `for` of one round that owns the frame: return and goto out of it are safe, break and
//     continue end the block, not a loop around it;
//   - EXCEPTION_EXECUTE_HANDLER is the only filter (anything else does not compile);
//   - GetExceptionCode() may stand in the filter and in the handler of its own __except;
//   - locals changed in a guarded block are indeterminate in the handler: keep such code in small no-inline functions.
//
// C only: C++ library headers use the name __try for themselves.

#pragma once

#include "ntdef.h"
#include <setjmp.h>
#if defined(_WIN32)
// The model as a Windows library. Without a frame to go back to, longjmp only restores registers and unwinds nothing.
typedef jmp_buf sigjmp_buf;
#define sigsetjmp(Buffer, Mask) _setjmp((Buffer), NULL)
#define siglongjmp(Buffer, Value) longjmp((Buffer), (Value))
#endif

EXTERN_C_START

/// One active guarded block. Code is set by the model before it jumps to Buffer (with value 1).
typedef struct _FLTSIM_SEH_FRAME {
    struct _FLTSIM_SEH_FRAME *Previous;
    sigjmp_buf Buffer;
    ULONG Code;
} FLTSIM_SEH_FRAME;

/// Makes Frame the innermost one of the executing context. Host calling convention, any IRQL.
void FltSimSehEnter(FLTSIM_SEH_FRAME *Frame);
/// Frame is no longer active; it must be the innermost one. Host calling convention, any IRQL.
void FltSimSehLeave(FLTSIM_SEH_FRAME *Frame);

EXTERN_C_END

#define EXCEPTION_EXECUTE_HANDLER 1
#define EXCEPTION_CONTINUE_SEARCH 0

#if !defined(__cplusplus)

static inline FLTSIM_SEH_FRAME *FltSimSehBegin_(FLTSIM_SEH_FRAME *Frame) {
    FltSimSehEnter(Frame);
    return Frame;
}

static inline FLTSIM_SEH_FRAME *FltSimSehEnd_(FLTSIM_SEH_FRAME *Frame) {
    if (Frame != NULL) {
        FltSimSehLeave(Frame);
    }
    return NULL;
}

static inline void FltSimSehCleanup_(FLTSIM_SEH_FRAME **Active) {
    (void)FltSimSehEnd_(*Active);
}

// The handler leaves the frame first, so that an exception inside the handler goes to the frame around it.
#define __try                                                                                                          \
    for (FLTSIM_SEH_FRAME FltSimFrame_,                                                                                \
         *FltSimActive_ __attribute__((cleanup(FltSimSehCleanup_))) = FltSimSehBegin_(&FltSimFrame_);                  \
         FltSimActive_ != NULL; FltSimActive_ = FltSimSehEnd_(FltSimActive_))                                          \
        if (sigsetjmp(FltSimFrame_.Buffer, 0) == 0)

#define __except(Filter)                                                                                               \
    else if (FltSimSehEnd_(FltSimActive_), FltSimActive_ = NULL,                                                       \
             sizeof(char[((Filter) == EXCEPTION_EXECUTE_HANDLER) ? 1 : -1]) == 1)

#define GetExceptionCode() (*(volatile ULONG *)&FltSimFrame_.Code)

#endif
