// SPDX-License-Identifier: MIT
//
// This module provides: scenes about what clients ask for: releases of one, of a rule's, of everything, by two clients at once; deadlines; rules that take only so
// many; lists and counters that are asked for meanwhile.

#include "scenes.hpp"

using namespace spine;

namespace explore {

namespace {

enum class What { One, Rule, All, Force };

/// Two operations that are held for one client; it and another one let them go in the same moment.
class Releases : public OwnedScene {
  public:
    Releases(fltsim::World &in, What what) : OwnedScene(in), what_(what) {}

    void set_up() override {
        load();
        own({gate(u"", GATE_ID, DEADLINE_MS)}, FILES);
        other_ = std::make_unique<Client>();
    }

    void play() override {
        Actors actors(world, together);
        for (uint32_t i = 0; i < FILES; ++i) {
            actors.add(i == 0 ? "first requestor" : "second requestor", 2,
                       [this, i] { errors_[i] = files_[i].rename(path_of(u"b", i)); });
        }
        actors.add("owner", STEPS, [this] { released_ += let_go(*owner_, 0); });
        actors.add("other", STEPS, [this] { released_ += let_go(*other_, MINIPEND_RELEASE_FORCE); });
        actors.join();
    }

    void check() override {
        const MINIPEND_OPERATION_COUNTERS renames = check_balance();
        CHECK_EQ(renames.Pended, FILES);
        uint32_t failed = 0;
        for (uint32_t i = 0; i < FILES; ++i) {
            CHECK(errors_[i] == 0 || errors_[i] == ERROR_DISK_FULL);
            failed += errors_[i] != 0 ? 1 : 0;
            CHECK(exists(path_of(u"b", i))); // held means done
        }
        CHECK_EQ(renames.Failed, failed);
        uint32_t asked = 0;
        for (const MINIPEND_EVENT &event : events(MINIPEND_EVENT_KIND_COMPLETED)) {
            const bool client =
                event.Cause == MINIPEND_RELEASE_CAUSE_CLIENT || event.Cause == MINIPEND_RELEASE_CAUSE_FORCED;
            CHECK(client || event.Cause == MINIPEND_RELEASE_CAUSE_DEADLINE);
            CHECK(client || event.Seen.Status == STATUS_SUCCESS); // a status comes with the release that gave it back
            asked += client ? 1 : 0;
        }
        CHECK(asked <= released_ && released_ <= FILES); // a deadline may come between the answer and what it says
    }

  private:
    static constexpr uint32_t FILES = 2;

    /// How many it says were released.
    uint32_t let_go(const Client &client, uint32_t flags) const {
        const NTSTATUS status = flags == 0 ? STATUS_DISK_FULL : STATUS_SUCCESS;
        MINIPEND_RELEASE_REPLY reply{};
        uint32_t released = 0;
        switch (what_) {
        case What::One:
            for (const MINIPEND_HELD_ENTRY &entry : client.list_held().entries) {
                reply = client.release_one(entry.HeldId, status, flags);
                CHECK(reply.Header.Status == STATUS_SUCCESS || reply.Header.Status == STATUS_NOT_FOUND);
                CHECK(reply.Released <= 1);
                released += reply.Released;
            }
            return released;
        case What::Rule:
            reply = flags == 0 ? client.release_rule(GATE_SET, GATE_ID, status) : client.release_all(status, flags);
            break;
        case What::All:
        case What::Force:
            reply = client.release_all(status, what_ == What::Force ? uint32_t{MINIPEND_RELEASE_FORCE} : flags);
            break;
        }
        CHECK_EQ(reply.Header.Status, STATUS_SUCCESS);
        CHECK(reply.Released <= FILES);
        return reply.Released;
    }

    What what_;
    std::unique_ptr<Client> other_;
    DWORD errors_[FILES] = {};
    std::atomic<uint32_t> released_{0};
};

/// Several deadlines, and one release of whatever is left.
class Deadlines : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load();
        std::vector<Rule> rules;
        for (uint32_t i = 0; i < FILES; ++i) {
            rules.push_back(
                gate(std::u16string(u"\\a") + static_cast<char16_t>(u'0' + i), GATE_ID + i, DEADLINE_MS + i % 2));
        }
        own(rules, FILES);
    }

    void play() override {
        Actors actors(world, together);
        add_renames(actors);
        actors.add("owner", STEPS, [this] {
            const MINIPEND_RELEASE_REPLY reply = owner_->release_rule(GATE_SET, GATE_ID);
            CHECK_EQ(reply.Header.Status, STATUS_SUCCESS);
            CHECK(reply.Released <= 1);
        });
        actors.join();
    }

    void check() override { CHECK_EQ(check_balance().Pended, FILES); }

  private:
    static constexpr uint32_t FILES = 3;
};

/// Three operations, of which a rule takes two, one at a time.
class Cap : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load();
        Rule rule = gate(u"", GATE_ID, DEADLINE_MS);
        rule.atMost = AT_MOST;
        rule.maxHeld = 1;
        own({rule}, FILES);
    }

    void play() override {
        Actors actors(world, together);
        add_renames(actors);
        actors.add("looker", STEPS, [this] {
            CHECK(owner_->list_held().entries.size() <= 1);
            CHECK_EQ(owner_->release_all().Header.Status, STATUS_SUCCESS);
        });
        actors.join();
    }

    void check() override {
        const MINIPEND_OPERATION_COUNTERS renames = check_balance();
        CHECK_EQ(renames.Pended + renames.Refused[MINIPEND_REFUSAL_CAPACITY], AT_MOST);
        CHECK(renames.InFlightHighWater <= 1);
        CHECK_EQ(events(MINIPEND_EVENT_KIND_REFUSED).size(), renames.Refused[MINIPEND_REFUSAL_CAPACITY]);
        CHECK_EQ(owner_->list_rules().rules.at(0).entry.Applied, AT_MOST);
    }

  private:
    static constexpr uint32_t FILES = 3;
    static constexpr uint32_t AT_MOST = 2;
};

/// What clients are told is true in every moment: counters are balanced, what is listed is whole.
class Looks : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load(1u << MINIPEND_EVENT_KIND_TAKEN);
        own({gate(u"\\*", GATE_ID, DEADLINE_MS)}, FILES);
    }

    void play() override {
        Actors actors(world, together);
        add_renames(actors);
        actors.add("looker", STEPS, [this] {
            for (uint32_t i = 0; i < LOOKS; ++i) {
                CHECK(owner_->counters().balanced(false));
                look_at_list();
            }
        });
        actors.add("reader", STEPS, [this] {
            const Events seen = watcher->pull(0);
            uint64_t last = 0;
            for (const MINIPEND_EVENT &event : seen.events) {
                CHECK(event.Sequence > last);
                last = event.Sequence;
                check_is_ours(event.Operation, event.RuleId, event.NameChars);
            }
        });
        actors.join();
    }

    void check() override {
        CHECK_EQ(check_balance().Pended, FILES);
        CHECK_EQ(events(MINIPEND_EVENT_KIND_TAKEN).size(), FILES);
    }

  private:
    static constexpr uint32_t FILES = 2;
    static constexpr uint32_t LOOKS = 2;

    static void check_is_ours(uint32_t operation, uint32_t rule, uint32_t name_chars) {
        CHECK_EQ(operation, static_cast<uint32_t>(MINIPEND_OPERATION_RENAME));
        CHECK_EQ(rule, GATE_ID);
        CHECK_EQ(name_chars, 3u); // \a0
    }
    void look_at_list() const {
        const HeldList list = owner_->list_held();
        CHECK(list.reply.HeldNow <= FILES);
        uint64_t last = 0;
        for (const MINIPEND_HELD_ENTRY &entry : list.entries) {
            CHECK(entry.ParkSequence > last);
            last = entry.ParkSequence;
            check_is_ours(entry.Operation, entry.RuleId, entry.NameChars);
            CHECK_EQ(entry.State, static_cast<uint32_t>(MINIPEND_HELD_STATE_PARKED));
            CHECK(entry.Due100ns > entry.Taken100ns);
        }
    }
};

template <What W> std::unique_ptr<Scene> made_release(fltsim::World &world) {
    return std::make_unique<Releases>(world, W);
}

} // namespace

std::vector<Scenario> release_scenarios() {
    return {
        {"release-one", "two clients release operations one by one, by their ids", made_release<What::One>},
        {"release-rule", "a client releases what its rule holds while another one forces everything",
         made_release<What::Rule>},
        {"release-all", "a client releases everything of its own while another one forces everything",
         made_release<What::All>},
        {"force", "two clients force everything at once", made_release<What::Force>},
        {"deadline", "several deadlines, and the release of a rule in the same moment", made<Deadlines>},
        {"cap", "more operations than a rule may take and hold", made<Cap>},
        {"looks", "lists, counters and events while operations come and go", made<Looks>},
    };
}

} // namespace explore
