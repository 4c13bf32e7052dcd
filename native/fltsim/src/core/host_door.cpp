// SPDX-License-Identifier: MIT
//
// This module provides: HostDoor (host_door.hpp).

#include "core/host_door.hpp"

#include <map>

#include "core/per_thread.hpp"

namespace fltsim {

namespace {

/// A host thread's records. Its destructor runs when the host thread ends.
class Records {
  public:
    ~Records() {
        for (auto &[door, record] : records_) {
            const std::lock_guard guard(door->mutex);
            if (door->on_host_ended) {
                door->on_host_ended(record);
            }
        }
    }
    std::shared_ptr<HostRecord> find_or_make(std::shared_ptr<HostDoor> door) {
        const auto known = records_.find(door);
        if (known != records_.end()) {
            return known->second;
        }
        // A new world is the moment to forget worlds that are gone: a door that only this map holds has no world.
        std::erase_if(records_, [](const auto &entry) { return entry.first.use_count() == 1; });
        return records_.emplace(std::move(door), std::make_shared<HostRecord>()).first->second;
    }

  private:
    std::map<std::shared_ptr<HostDoor>, std::shared_ptr<HostRecord>> records_;
};

FLTSIM_PER_THREAD(Records t_records);

} // namespace

std::shared_ptr<HostRecord> HostDoor::record_of_caller() {
    return t_records.find_or_make(shared_from_this());
}

} // namespace fltsim
