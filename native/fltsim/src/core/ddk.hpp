// SPDX-License-Identifier: MIT
//
// This module provides: the ddk headers for the model's C++ code.
#pragma once

extern "C" {
#include <fltkernel.h>
#include <wdf.h>
}

/// Every kernel-side export: C name, the kernel's calling convention, visible to the driver image.
#if defined(_WIN32)
#define FLTSIM_EXPORT __declspec(dllexport)
#else
#define FLTSIM_EXPORT __attribute__((visibility("default")))
#endif
#define FLTSIM_KERNEL extern "C" FLTSIM_EXPORT
/// The same for a call that the headers themselves make. A Windows compiler wants to know of the export before; there windows.def has it.
#if defined(_WIN32)
#define FLTSIM_KERNEL_OF_HEADERS extern "C"
#else
#define FLTSIM_KERNEL_OF_HEADERS FLTSIM_KERNEL
#endif
/// Every user-side export: C name, the host's own calling convention.
#define FLTSIM_USER extern "C" FLTSIM_EXPORT
