// SPDX-License-Identifier: MIT
//
// This module provides: the KMDF framework of a world: the loader's bind and unbind, and the objects of the drivers that are bound
// [KMDF-01..11, KMDF-20..27]. The calls themselves are reached through the function table only (table.cpp).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/world.hpp"

extern "C" {
#include <wdf_loader.h>
}

namespace fltsim::wdf {

class Client;

class Framework {
  public:
    explicit Framework(World &world);
    ~Framework();

    /// Checks the client's version and table size, writes the table's address, makes the driver's globals.
    NTSTATUS bind(PDRIVER_OBJECT driver_object, PUNICODE_STRING registry_path, PWDF_BIND_INFO info,
                  PWDF_COMPONENT_GLOBALS *globals);
    /// Deletes what the driver left, reports its leaks, frees the globals.
    NTSTATUS unbind(PWDF_BIND_INFO info, PWDF_COMPONENT_GLOBALS globals);
    /// The client by the globals that its calls pass; stops the world when they are not (or no longer) bound.
    Client &client(const char *api, PWDF_DRIVER_GLOBALS globals);
    /// Objects that exist, for reports: "minipend: WDFMEMORY, 2 references".
    std::vector<std::string> describe() const;
    /// For when the driver's image is unloaded: a client that is still bound never called WdfDriverMiniportUnload [KMDF-06]. Reports it
    /// as a leak and forgets it, callbacks not run.
    void image_unloaded();

  private:
    World &world_;
    std::vector<std::unique_ptr<Client>> clients_;
};

/// The function table that clients get: 444 entries; one that is not modelled stops the world with its name.
const WDFFUNC *function_table();

} // namespace fltsim::wdf
