// SPDX-License-Identifier: MIT
#include "completion_port.hpp"

#include "objects.hpp"

namespace minipend {

CompletionPortState::CompletionPortState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment,
                                         HANDLE handle)
    : HandleState(backend, std::move(environment), backend->threads->io, handle_closer(backend, handle)),
      handle(handle) {}

void CompletionPortState::expect(const std::shared_ptr<IoCall> &call, uint32_t id) {
    std::scoped_lock lock(expected_mutex_);
    expected_.insert_or_assign(&call->overlapped, Expected{call, id});
}

void CompletionPortState::forget(const IoCall &call) {
    std::scoped_lock lock(expected_mutex_);
    expected_.erase(&call.overlapped);
}

CompletionPacket CompletionPortState::take(const CompletionEntry &entry) {
    CompletionPacket packet;
    packet.key = entry.key;
    packet.status = static_cast<uint32_t>(entry.status);
    packet.bytes = entry.bytes;
    std::scoped_lock lock(expected_mutex_);
    const auto found = expected_.find(entry.overlapped);
    if (found == expected_.end()) {
        packet.value = reinterpret_cast<uintptr_t>(entry.overlapped);
        return packet;
    }
    packet.ours = true;
    packet.call = found->second.id;
    // The entry's own field is undefined on some systems; the call's is the truth.
    packet.status = static_cast<uint32_t>(found->second.call->overlapped.Internal);
    expected_.erase(found);
    return packet;
}

bool CompletionPortState::begin_wait() {
    if (waiting_.exchange(true)) {
        return false;
    }
    cancelled_ = false;
    return true;
}

bool CompletionPortState::cancel_wait() {
    if (!waiting_) {
        return false;
    }
    cancelled_ = true;
    return true;
}

} // namespace minipend
