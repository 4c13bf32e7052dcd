// SPDX-License-Identifier: MIT
//
// This module provides: what a driver can import from the model: by module and name.
//
// The functions are those that are marked FLTSIM_KERNEL (core/ddk.hpp): they lie in a section of their own where Windows images can be loaded, and
// the library's symbol table has their names. The C runtime functions are in gate.S. A name belongs to one module, as on Windows.
#pragma once

#include <string_view>

#include "image/gate.hpp"

namespace fltsim::image {

struct Export {
    void *address = nullptr; ///< null: not modelled
    bool gated = false; ///< a function that the image calls through the gate
};

/// Module names are compared without case.
Export find_export(std::string_view module, std::string_view name);

/// What the driver that has called `api` can call, or read, under that name: for a Windows image the gate that an import of it has. Null: not
/// modelled.
void *export_for_driver(std::string_view module, std::string_view name, const char *api);

/// Whether the image that the routine is in was linked with /INTEGRITYCHECK. True for a host's library, which has no such flag.
bool forced_integrity(const void *routine);

} // namespace fltsim::image
