// SPDX-License-Identifier: MIT
//
// This module provides: a world as host programs have it (fltsim.h), for tests that use the user-side calls from host threads.
#pragma once

#include <string>

#include "check.hpp"
#include "core/ddk.hpp"
#include "fltsim.h"

#include <fltsim_nt.h>
#include <fltsim_user.h>

namespace io_bench {

/// Made, selected in the calling thread, and destroyed at the end, when its report must be clean.
class HostWorld {
  public:
    explicit HostWorld(bool threads, uint64_t seed = 1);
    ~HostWorld();
    HostWorld(const HostWorld &) = delete;
    HostWorld &operator=(const HostWorld &) = delete;
    FLTSIM_WORLD number() const { return number_; }

  private:
    FLTSIM_WORLD number_;
};

/// A file of a world, closed at the end.
class HostFile {
  public:
    explicit HostFile(const char16_t *path, DWORD disposition = OPEN_EXISTING, DWORD flags = 0,
                      DWORD access = GENERIC_READ | GENERIC_WRITE);
    ~HostFile() { close(); }
    HostFile(const HostFile &) = delete;
    HostFile &operator=(const HostFile &) = delete;
    HANDLE get() const { return handle_; }
    void close();

  private:
    HANDLE handle_;
};

} // namespace io_bench
