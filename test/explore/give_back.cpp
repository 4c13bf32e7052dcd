// SPDX-License-Identifier: MIT
//
// This module provides: GiveBack (give_back.hpp), and what scenes about held operations share.

#include "give_back.hpp"

using namespace spine;

namespace explore {

void HeldScene::load(uint64_t more_kinds) {
    load_and_attach({u"D:"});
    watch(more_kinds);
}

void HeldScene::watch(uint64_t more_kinds) {
    watcher = std::make_unique<Client>();
    const auto kinds =
        static_cast<uint32_t>((1u << MINIPEND_EVENT_KIND_COMPLETED) | (1u << MINIPEND_EVENT_KIND_REFUSED) | more_kinds);
    CHECK_EQ(watcher->subscribe(kinds, MINIPEND_SUBSCRIBE_ALL_CLIENTS).Header.Status, STATUS_SUCCESS);
}

std::vector<MINIPEND_EVENT> HeldScene::events(uint32_t kind) const {
    std::vector<MINIPEND_EVENT> found;
    for (const MINIPEND_EVENT &event : watcher->pull(0).events) {
        if (event.Kind == kind) {
            found.push_back(event);
        }
    }
    return found;
}

MINIPEND_OPERATION_COUNTERS HeldScene::check_balance() {
    CHECK_EQ(watcher->list_held().reply.HeldNow, 0u);
    const Counters counters = watcher->counters();
    CHECK(counters.balanced(true));
    const MINIPEND_OPERATION_COUNTERS renames = counters.total(MINIPEND_OPERATION_RENAME);
    CHECK_EQ(renames.Completed, renames.Pended);
    // The event comes after the give-back, in the thread that gave back; the requestor does not wait for it.
    const uint64_t ended = renames.Completed + renames.Synchronized;
    until(world, [&] { return events(MINIPEND_EVENT_KIND_COMPLETED).size() >= ended; });
    CHECK_EQ(events(MINIPEND_EVENT_KIND_COMPLETED).size(), ended);
    return renames;
}

void GiveBack::set_up() {
    load();
    holder_ = Client::try_connect(); // its last message may be in vain
    need(holder_ != nullptr, "it connects");
    Rule rule = gate(u"", GATE_ID, DEADLINE_MS);
    rule.action = action_;
    take(*holder_, {rule});
    releaser_ = std::make_unique<Client>();
    file_.emplace(File::create(u"D:\\a"));
}

void GiveBack::play() {
    constexpr uint64_t REQUESTOR_STEPS = 2;
    Actors actors(world, together);
    actors.add("requestor", REQUESTOR_STEPS, [&] { CHECK_EQ(file_->rename(u"D:\\b"), 0u); });
    actors.add("owner", STEPS, [&] {
        const MINIPEND_RELEASE_REPLY reply = holder_->release_all();
        CHECK(reply.Header.Status != STATUS_SUCCESS || reply.Released <= 1);
    });
    actors.add("releaser", STEPS, [&] {
        const MINIPEND_RELEASE_REPLY reply = releaser_->release_all(0, MINIPEND_RELEASE_FORCE);
        CHECK_EQ(reply.Header.Status, STATUS_SUCCESS);
        CHECK(reply.Released <= 1);
    });
    actors.add("detacher", STEPS, [] { CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK); });
    actors.add("leaver", STEPS, [&] { holder_->close(); });
    actors.join();
}

void GiveBack::check() {
    const MINIPEND_OPERATION_COUNTERS renames = check_balance();
    CHECK(renames.Pended + renames.Synchronized <= 1);
    for (const MINIPEND_EVENT &event : events(MINIPEND_EVENT_KIND_COMPLETED)) {
        ++won.at(event.Cause);
    }
    CHECK(exists(u"D:\\b"));
}

} // namespace explore
