// SPDX-License-Identifier: MIT
//
// This module provides: structured exceptions in the code of Windows images: finding the handler of an exception, running filters and
// termination handlers, going on at the handler.
//
// Search and unwinding are those of 64-bit Windows, frame by frame through the image's language handlers. They end where the model called the
// image: an exception that nobody handles in the images' code stops the world, as it stops the machine.
#pragma once

#include "image/gate.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <csignal>

#include "core/ddk.hpp"
#include "image/windows.hpp"

namespace fltsim::image {

/// The language handler of C's __try, as images import it. Host side of `__C_specific_handler`.
Disposition __attribute__((ms_abi)) c_specific_handler(ExceptionRecord *record, uint64_t establisher, Context *context,
                                                       DispatcherContext *dispatcher);

/// Whether the executing driver code is a Windows image that has called the model.
bool called_by_image();
/// Raises `code` in the image's code that has called the model's function `api`; ends that call.
[[noreturn]] void raise_at_gate(NTSTATUS code, const char *api);

/// A signal in the code of an image, or in a C runtime function that it called, or in the model's own code on behalf of an image when the model
/// says so (`for_gate`). True: the context was changed so that things go on, whatever that is.
bool take_signal(int signal, siginfo_t *info, void *context, bool for_gate);

} // namespace fltsim::image

#endif
