// SPDX-License-Identifier: MIT
//
// This module provides: the scene of a client that sleeps until its bell rings: it must not miss what came while it was arming it.

#include "scenes.hpp"

using namespace spine;

namespace explore {

namespace {

class Bell : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load();
        own({pend_renames(DEADLINE_MS)}, FILES);
        CHECK_EQ(owner_->subscribe(1u << MINIPEND_EVENT_KIND_COMPLETED).Header.Status, STATUS_SUCCESS);
    }

    void play() override {
        Actors actors(world, together);
        add_renames(actors);
        actors.add("listener", STEPS, [this] { listen(); });
        actors.join(); // a bell that never rings is a hang
    }

    void check() override { CHECK_EQ(check_balance().Pended, FILES); }

  private:
    static constexpr uint32_t FILES = 2;

    void listen() const {
        struct Message {
            FILTER_MESSAGE_HEADER header;
            MINIPEND_BELL bell;
        };
        uint64_t last = 0;
        uint32_t seen = 0;
        for (;;) {
            for (const MINIPEND_EVENT &event : owner_->pull(last, MINIPEND_PULL_EVENTS_ARM).events) {
                last = event.Sequence;
                ++seen;
            }
            if (seen >= FILES) {
                break;
            }
            Message message{};
            CHECK_EQ(FilterGetMessage(owner_->port(), &message.header, sizeof(message), nullptr), S_OK);
            CHECK_EQ(message.bell.Reasons, MINIPEND_BELL_EVENTS);
        }
        CHECK_EQ(seen, FILES);
    }
};

} // namespace

std::vector<Scenario> bell_scenarios() {
    return {{"bell", "a client sleeps until its bell says that something has ended", made<Bell>}};
}

} // namespace explore
