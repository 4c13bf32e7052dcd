// SPDX-License-Identifier: MIT
//
// This module provides: the ddk headers for the model's C++ code.
#pragma once

extern "C" {
#include <fltkernel.h>
#include <wdf.h>
}

#if defined(_WIN32)
#define FLTSIM_EXPORT __declspec(dllexport)
#else
#define FLTSIM_EXPORT __attribute__((visibility("default")))
#endif
/// Every kernel-side function: C name, the kernel's calling convention, visible to the driver image. Where Windows images can be loaded
/// (image/exports.hpp), the section tells these functions from all others.
#if defined(__linux__) && defined(__x86_64__)
#define FLTSIM_KERNEL extern "C" FLTSIM_EXPORT __attribute__((section("fltsim_kernel")))
#else
#define FLTSIM_KERNEL extern "C" FLTSIM_EXPORT
#endif
/// The same for a call that the headers themselves make. A Windows compiler wants to know of the export before; there windows.def has it.
#if defined(_WIN32)
#define FLTSIM_KERNEL_OF_HEADERS extern "C"
#else
#define FLTSIM_KERNEL_OF_HEADERS FLTSIM_KERNEL
#endif
/// Every kernel-side variable, and what host drivers need beside the kernel's functions (seh_host.h).
#define FLTSIM_KERNEL_DATA extern "C" FLTSIM_EXPORT
#define FLTSIM_KERNEL_HOST extern "C" FLTSIM_EXPORT
/// Every user-side export: C name, the host's own calling convention.
#define FLTSIM_USER extern "C" FLTSIM_EXPORT
