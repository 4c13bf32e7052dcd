// SPDX-License-Identifier: MIT
//
// This module provides: names of the functions of a Windows image, from the linker's map beside it (minipend.map); without one there are none.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace fltsim::image {

class Symbols {
  public:
    /// Reads IMAGE.map for IMAGE.sys.
    Symbols(const std::string &image_path, uint64_t preferred_base);
    /// "MpPend+0x1c"; empty when no name is known.
    std::string at(uint32_t rva) const;

  private:
    std::map<uint32_t, std::string> names_;
};

} // namespace fltsim::image
