// SPDX-License-Identifier: MIT
//
// This module provides: scenes in which something goes away under what is held: the instance, the volume, the driver, the client, its process. And the list of all
// scenarios.

#include "give_back.hpp"
#include "scenes.hpp"

using namespace spine;

namespace explore {

namespace {

/// Renames go on while their instance is detached, and attached again.
class Teardown : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load();
        own({gate(u"", GATE_ID, DEADLINE_MS)}, 2);
    }

    void play() override {
        Actors actors(world, together);
        for (uint32_t i = 0; i < 2; ++i) {
            actors.add("requestor", 2, [this, i] {
                CHECK_EQ(files_[i].rename(path_of(u"b", i)), 0u);
                CHECK_EQ(files_[i].rename(path_of(u"c", i)), 0u);
            });
        }
        actors.add("detacher", STEPS, [] {
            CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
            CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
        });
        actors.join();
    }

    void check() override {
        CHECK(check_balance().Pended <= 4);
        CHECK(exists(u"D:\\c0") && exists(u"D:\\c1"));
    }
};

/// The volume is dismounted with operations held on it and more on their way.
class Dismount : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load();
        own({gate(u"", GATE_ID, DEADLINE_MS)}, 2);
    }

    void play() override {
        Actors actors(world, together);
        for (uint32_t i = 0; i < 2; ++i) {
            actors.add("requestor", 2, [this, i] {
                const DWORD error = files_[i].rename(path_of(u"b", i));
                if (error != 0) {
                    CHECK_EQ(RtlGetLastNtStatus(), STATUS_VOLUME_DISMOUNTED);
                }
                done_[i] = error == 0;
            });
        }
        actors.add("owner", STEPS, [this] { CHECK_EQ(owner_->release_all().Header.Status, STATUS_SUCCESS); });
        actors.add("administrator", STEPS, [this] {
            int32_t status = 0;
            CHECK_EQ(FltSimDismountVolume(world.number, "D:", &status), 0);
            CHECK_EQ(status, STATUS_SUCCESS);
        });
        actors.join();
    }

    void check() override {
        check_balance();
        for (uint32_t i = 0; i < 2; ++i) {
            CHECK_EQ(exists(path_of(u"b", i)), done_[i]);
        }
    }

  private:
    bool done_[2] = {};
};

/// The driver is unloaded with operations held and messages under way; it can be loaded again.
class Unload : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load_and_attach({u"D:"});
        owner_ = Client::try_connect();
        need(owner_ != nullptr, "it connects");
        take(*owner_, {gate(u"", GATE_ID, DEADLINE_MS)});
        make_files(2);
    }

    void play() override {
        Actors actors(world, together);
        add_renames(actors);
        actors.add("owner", STEPS, [this] { owner_->release_all(); }); // in vain, when there is no driver any more
        actors.add("looker", STEPS, [this] { owner_->counters(); });
        actors.add("unloader", STEPS, [] { CHECK_EQ(FilterUnload(u"minipend"), S_OK); });
        actors.join();
    }

    void check() override {
        CHECK(exists(u"D:\\b0") && exists(u"D:\\b1"));
        owner_->close();
        load();
        CHECK_EQ(check_balance().Pended, 0u);
    }
};

/// A client closes its port while it asks, is asked for by the bell, and holds.
class Disconnect : public HeldScene {
  public:
    using HeldScene::HeldScene;

    void set_up() override {
        load();
        leaver_ = Client::try_connect();
        need(leaver_ != nullptr, "it connects");
        take(*leaver_, {gate(u"", GATE_ID, DEADLINE_MS)});
        leaver_->subscribe();
        leaver_->list_held(MINIPEND_LIST_HELD_ARM);
        leaver_->pull(0, MINIPEND_PULL_EVENTS_ARM);
        file_.emplace(File::create(u"D:\\a0"));
    }

    void play() override {
        Actors actors(world, together);
        actors.add("requestor", 2, [this] { CHECK_EQ(file_->rename(u"D:\\b0"), 0u); });
        actors.add("listener", STEPS, [this] {
            FILTER_MESSAGE_HEADER header[4] = {};
            FilterGetMessage(leaver_->port(), header, sizeof(header), nullptr);
        });
        actors.add("talker", STEPS, [this] { leaver_->pull(0, MINIPEND_PULL_EVENTS_ARM); });
        actors.add("leaver", STEPS, [this] { leaver_->close(); });
        actors.join();
    }

    void check() override {
        CHECK(check_balance().Pended <= 1);
        CHECK_EQ(watcher->list_rules().rules.size(), 0u);
    }

  private:
    std::unique_ptr<Client> leaver_;
    std::optional<File> file_;
};

/// A client's process is killed while its thread speaks to the driver.
class ClientDeath : public HeldScene {
  public:
    using HeldScene::HeldScene;

    void set_up() override {
        load();
        CHECK_EQ(FltSimCreateProcess(world.number, &process_), 0);
        Actors actors(world, true);
        actors.add(
            "victim", 1,
            [this] {
                victim_ = Client::try_connect();
                need(victim_ != nullptr, "it connects");
                take(*victim_, {gate(u"", GATE_ID, DEADLINE_MS)});
            },
            world.process_by_id(process_));
        actors.join();
        file_.emplace(File::create(u"D:\\a0"));
    }

    void play() override {
        Actors actors(world, together);
        actors.add("requestor", 2, [this] { CHECK_EQ(file_->rename(u"D:\\b0"), 0u); });
        actors.add(
            "victim", STEPS,
            [this] {
                victim_->release_all();
                victim_->set_rules({}, GATE_SET);
            },
            world.process_by_id(process_));
        actors.add("killer", STEPS, [this] { CHECK_EQ(FltSimTerminateProcess(world.number, process_), 0); });
        actors.join();
        CHECK_EQ(FltSimWaitForProcess(world.number, process_, LONG_MS), 1);
    }

    void check() override {
        CHECK(check_balance().Pended <= 1);
        CHECK_EQ(watcher->list_rules().rules.size(), 0u);
    }

  private:
    uint32_t process_ = 0;
    std::unique_ptr<Client> victim_;
    std::optional<File> file_;
};

/// Rules are replaced while they are applied.
class Rules : public OwnedScene {
  public:
    using OwnedScene::OwnedScene;

    void set_up() override {
        load();
        own({gate(u"", GATE_ID, DEADLINE_MS)}, 2, 0);
    }

    void play() override {
        Actors actors(world, together);
        add_renames(actors);
        actors.add("setter", STEPS, [this] {
            take(*owner_, {pend_renames(DEADLINE_MS)}, 0);
            take(*owner_, {}, 0);
        });
        actors.add("other setter", STEPS, [this] { take(*watcher, {gate(u"\\a1", GATE_ID + 1, DEADLINE_MS)}, 0); });
        actors.join();
    }

    void check() override {
        CHECK(check_balance().Pended <= 2);
        CHECK_EQ(owner_->list_rules().rules.size(), 1u);
    }
};

template <uint32_t Action> std::unique_ptr<Scene> made_give_back(fltsim::World &world) {
    return std::make_unique<GiveBack>(world, Action);
}

} // namespace

std::vector<Scenario> ending_scenarios() {
    return {
        {"teardown", "renames go on while their instance is detached, and attached again", made<Teardown>},
        {"dismount", "the volume is dismounted under what is held on it", made<Dismount>},
        {"unload", "the driver is unloaded under what it holds, and loaded again", made<Unload>},
        {"disconnect", "a client goes while it asks, is called by its bell, and holds", made<Disconnect>},
        {"client-death", "the process of a client that holds is killed", made<ClientDeath>},
        {"rules", "two clients replace rules while they are applied", made<Rules>},
    };
}

const std::vector<Scenario> &scenarios() {
    static const std::vector<Scenario> all = [] {
        std::vector<Scenario> list = {
            {"give-back", "one pended operation, and everything that can give it back at the same time",
             made_give_back<MINIPEND_ACTION_PEND>},
            {"synchronized", "the same for an operation that is held in its own thread",
             made_give_back<MINIPEND_ACTION_SYNCHRONIZE>},
        };
        for (const auto &more : {release_scenarios(), bell_scenarios(), ending_scenarios()}) {
            list.insert(list.end(), more.begin(), more.end());
        }
        return list;
    }();
    return all;
}

} // namespace explore
