// SPDX-License-Identifier: MIT
//
// This module provides: the ddk headers for the model's C++ code.
#pragma once

extern "C" {
#include <fltkernel.h>
#include <wdf.h>
}

/// Every kernel-side export: C name, the kernel's calling convention, visible to the driver image.
#define FLTSIM_KERNEL extern "C" __attribute__((visibility("default")))
/// Every user-side export: C name, the host's own calling convention.
#define FLTSIM_USER extern "C" __attribute__((visibility("default")))
