// SPDX-License-Identifier: MIT
//
// This module provides: MessageCall (objects.hpp).
// Invariant: a cancelled call ends without anybody's trying twice: whoever comes second, the worker with the system's acceptance or the
// canceller, finds what the first one left and asks the system.

#include "objects.hpp"

namespace minipend {

MessageCall::MessageCall(HANDLE handle, size_t size)
    : bytes(std::make_shared<Bytes>(sizeof(FILTER_MESSAGE_HEADER) + size)), handle_(handle) {
    bytes->copy_from = sizeof(FILTER_MESSAGE_HEADER);
}

bool MessageCall::begin() {
    std::scoped_lock lock(mutex_);
    state_ = cancelled_ ? State::done : State::running;
    return !cancelled_;
}

void MessageCall::issued(const Backend &backend) {
    std::scoped_lock lock(mutex_);
    state_ = State::issued;
    if (cancelled_) {
        (void)backend.api->CancelIoEx(handle_, &overlapped); // "not found": it is complete
    }
}

void MessageCall::end() {
    std::scoped_lock lock(mutex_);
    state_ = State::done;
}

void MessageCall::cancel(const Backend &backend) {
    // Under the lock, so that the OVERLAPPED is this call's for as long as the system looks for it.
    std::scoped_lock lock(mutex_);
    cancelled_ = true;
    if (state_ == State::issued) {
        (void)backend.api->CancelIoEx(handle_, &overlapped); // "not found": it is complete
    }
}

} // namespace minipend
