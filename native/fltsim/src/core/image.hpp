// SPDX-License-Identifier: MIT
//
// This module provides: a driver image loaded for one world. Every load has its own private copy of the image's data: two worlds (or two
// loads) never share a driver's globals. Unloads when destroyed; nothing of the driver may run any more then.
#pragma once

#include <memory>
#include <string>

#include "core/ddk.hpp"

namespace fltsim {

class Image {
  public:
    /// Loads the file. On failure null, and `error` says what was wrong and what to do.
    static std::unique_ptr<Image> load(const std::string &path, std::string *error);
    ~Image();
    Image(const Image &) = delete;
    Image &operator=(const Image &) = delete;

    /// FxDriverEntry, the framework's entry point of a KMDF driver.
    PDRIVER_INITIALIZE entry() const { return entry_; }
    const std::string &path() const { return path_; }

  private:
    Image(std::string path, void *module, PDRIVER_INITIALIZE entry);
    std::string path_;
    void *module_;
    PDRIVER_INITIALIZE entry_;
};

} // namespace fltsim
