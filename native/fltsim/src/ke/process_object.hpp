// SPDX-License-Identifier: MIT
//
// This module provides: processes behind handles.
#pragma once

#include <string>

#include "core/handles.hpp"

namespace fltsim::ke {

class ProcessObject final : public Object {
  public:
    explicit ProcessObject(Process &process) : process_(process) {}
    const char *type_name() const override { return "process"; }
    std::string describe() const override { return "process " + std::to_string(process_.id); }
    bool signalled() const override { return process_.ended; }
    Process &process() const { return process_; }

  private:
    Process &process_;
};

/// Stops the world: a driver's handle would belong to whoever's process it happens to run in.
void check_not_for_stranger(const char *api, ULONG handle_attributes);

} // namespace fltsim::ke
