// SPDX-License-Identifier: MIT
//
// This module provides: the state of all worlds of this process, kept and put back: their heap, their threads' stacks, the variables of the model, of this program
// and of the driver image. Between two schedules a world that has been set up, played and unloaded is again as it was when it had been set up.
//
// What is not part of it: the calling thread's stack, the explorer's heap, the C library's own variables, open files and mappings. So nothing that a schedule does
// may change those: images stay mapped (Image::keep_mapped), stacks are mapped beforehand, nothing is printed.
#pragma once

#include <cstddef>
#include <vector>

namespace explore {

class Snapshot {
  public:
    /// Of now. No world runs.
    void take();
    void put_back() const;
    size_t bytes() const;

  private:
    struct Piece {
        char *memory;
        std::vector<char> kept;
    };
    void keep(char *memory, size_t bytes);
    std::vector<Piece> pieces_;
};

} // namespace explore
