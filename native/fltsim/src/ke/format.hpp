// SPDX-License-Identifier: MIT
//
// This module provides: the kernel's printf formats, over arguments in the kernel's calling convention.
#pragma once

#include <cstdarg>
#include <string>

#include "core/ddk.hpp"

namespace fltsim {

#if defined(__x86_64__) && !defined(_WIN32)
using KernelArguments = __builtin_ms_va_list;
#define KERNEL_VA_START(list, last) __builtin_ms_va_start(list, last)
#define KERNEL_VA_END(list) __builtin_ms_va_end(list)
#else
using KernelArguments = va_list;
#define KERNEL_VA_START(list, last) va_start(list, last)
#define KERNEL_VA_END(list) va_end(list)
#endif

/// The text, as UTF-8. Knows flags, width, precision, h l ll I64 I32 I z w, and d i u x X o c C s S Z p %. `unicode` becomes true when
/// a conversion of wide characters was used (allowed at PASSIVE_LEVEL only). An unknown conversion is copied as it is. With `wide` the format is that of
/// a function for wide characters: they are what s, c and Z mean there without a size, S and C mean the others.
std::string format_kernel(const char *format, KernelArguments &arguments, bool *unicode, bool wide = false);

/// What format_kernel has made, in UTF-16. Bytes that are no UTF-8 stop the world: which characters they are is a question of the machine's code page.
std::u16string utf16_of(const char *api, const std::string &text);

} // namespace fltsim
