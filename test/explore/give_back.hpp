// SPDX-License-Identifier: MIT
//
// This module provides: the scene of one held operation, pended or synchronised, and everything that can give it back at the same time: its client's release,
// another client's by force, its deadline, its client's disconnect, its instance's teardown. Whoever is first, it is given back exactly once.
#pragma once

#include <array>

#include "scene.hpp"

namespace explore {

class GiveBack : public HeldScene {
  public:
    using Causes = std::array<uint64_t, MINIPEND_RELEASE_CAUSE_COUNT>;
    GiveBack(fltsim::World &in, uint32_t action) : HeldScene(in), action_(action) {}
    void set_up() override;
    void play() override;
    void check() override;
    /// Who gave it back, after check().
    Causes won{};

  private:
    uint32_t action_;
    std::unique_ptr<spine::Client> holder_;
    std::unique_ptr<spine::Client> releaser_;
    std::optional<spine::File> file_;
};

} // namespace explore
