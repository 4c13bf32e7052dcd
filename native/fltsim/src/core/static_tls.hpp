// SPDX-License-Identifier: MIT
//
// This module provides: FLTSIM_STATIC_TLS, for thread-local pointers that are read all the time, or by a signal handler in a thread that never came here, where a
// lazily allocated block would call malloc. The room for them is small: single words only.
#pragma once

#if defined(__APPLE__) || defined(_WIN32)
#define FLTSIM_STATIC_TLS
#else
#define FLTSIM_STATIC_TLS __attribute__((tls_model("initial-exec")))
#endif
