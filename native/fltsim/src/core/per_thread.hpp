// SPDX-License-Identifier: MIT
//
// This module provides: FLTSIM_PER_THREAD, for thread-local objects that have a destructor. Clang counts them among the data that is destroyed when the
// process exits, which this library is compiled to have none of: its threads may still be running then. A thread's own objects go when it ends.
#pragma once

#if defined(__clang__)
#define FLTSIM_PER_THREAD(declaration)                                                                                 \
    _Pragma("clang diagnostic push")                                                                                   \
        _Pragma("clang diagnostic ignored \"-Wexit-time-destructors\"") thread_local declaration _Pragma(              \
            "clang diagnostic pop")
#else
#define FLTSIM_PER_THREAD(declaration) thread_local declaration
#endif
