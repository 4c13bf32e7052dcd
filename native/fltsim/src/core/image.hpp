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
    /// Loads the file: a library of this host, or a Windows image (image/pe_image.hpp). On failure null, and `error` says what was wrong and
    /// what to do.
    static std::unique_ptr<Image> load(const std::string &path, std::string *error);
    virtual ~Image() = default;
    Image(const Image &) = delete;
    Image &operator=(const Image &) = delete;

    /// The image's entry point: of a KMDF driver the framework's, FxDriverEntry.
    virtual PDRIVER_INITIALIZE entry() const = 0;
    /// The entry point has returned a success: what only it needed goes.
    virtual void initialised() {}

  protected:
    Image() = default;
};

} // namespace fltsim
