// SPDX-License-Identifier: MIT
//
// This module provides: scenarios for exploring schedules. A scene is set up once, played by simulated threads whose interleaving is what is explored, and
// checked; a schedule is all of that but the setting up, with the world's end behind it: unloading, and what is left then.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "../native/spine/actors.hpp"
#include "../native/spine/gates.hpp"

namespace explore {

class Scene {
  public:
    explicit Scene(fltsim::World &in) : world(in) {}
    virtual ~Scene() = default;
    Scene(const Scene &) = delete;
    Scene &operator=(const Scene &) = delete;

    /// In a simulated thread of the client, as the others. Nothing of it is explored.
    virtual void set_up() = 0;
    /// Begins what happens at the same time, and waits for its end.
    virtual void play() = 0;
    /// Everything is over: what must hold.
    virtual void check() = 0;

    fltsim::World &world;
    /// The actors begin at once; else at moments of their own.
    bool together = false;

  protected:
    /// A deadline that comes while the actors are busy.
    static constexpr uint32_t DEADLINE_MS = 1;
    /// Moments at which an actor may begin, the deadline's among them.
    static constexpr uint64_t STEPS = 5;
};

struct Scenario {
    const char *name;
    const char *what;
    std::unique_ptr<Scene> (*make)(fltsim::World &world);
};

/// All of them, in the order in which they are played.
const std::vector<Scenario> &scenarios();

template <class S> std::unique_ptr<Scene> made(fltsim::World &world) {
    return std::make_unique<S>(world);
}

/// What all scenes about held operations check in the same way.
class HeldScene : public Scene {
  public:
    using Scene::Scene;

  protected:
    /// The driver on D:, and a client that sees how everything ended.
    void load(uint64_t more_kinds = 0);
    void watch(uint64_t more_kinds = 0);
    /// Nothing is held, the balance is exact, each pended rename has one COMPLETED event and each synchronised one too. The sum over all instances.
    MINIPEND_OPERATION_COUNTERS check_balance();
    std::vector<MINIPEND_EVENT> events(uint32_t kind) const;

    std::unique_ptr<spine::Client> watcher;
};

/// Files on D: whose names end in their number.
inline std::u16string path_of(const char16_t *stem, uint32_t number) {
    return std::u16string(u"D:\\") + stem + static_cast<char16_t>(u'0' + number);
}

/// A client whose rules hold what is done to files \a0, \a1, ...
class OwnedScene : public HeldScene {
  public:
    using HeldScene::HeldScene;

  protected:
    /// Connects the owner, sets its rules, makes the files.
    void own(const std::vector<spine::Rule> &rules, uint32_t files, uint32_t set = spine::GATE_SET) {
        owner_ = std::make_unique<spine::Client>();
        spine::take(*owner_, rules, set);
        make_files(files);
    }
    void make_files(uint32_t files) {
        for (uint32_t i = 0; i < files; ++i) {
            files_.push_back(spine::File::create(path_of(u"a", i)));
        }
    }
    /// A requestor for each file, which renames it to \b0, \b1, ...
    void add_renames(spine::Actors &actors) {
        for (uint32_t i = 0; i < files_.size(); ++i) {
            actors.add("requestor", 2, [this, i] { CHECK_EQ(files_[i].rename(path_of(u"b", i)), 0u); });
        }
    }

    std::unique_ptr<spine::Client> owner_;
    std::vector<spine::File> files_;
};

} // namespace explore
