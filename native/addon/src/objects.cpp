// SPDX-License-Identifier: MIT
#include "objects.hpp"

namespace minipend {

namespace {

std::function<Outcome()> view_closer(std::shared_ptr<Backend> backend, HANDLE mapping, void *base) {
    return [backend = std::move(backend), mapping, base]() -> Outcome {
        Outcome outcome{0, 0};
        if (!backend->api->UnmapViewOfFile(base)) {
            outcome = backend->last_failure();
        }
        if (!backend->api->CloseHandle(mapping) && outcome.error == 0) {
            outcome = backend->last_failure();
        }
        return outcome;
    };
}

} // namespace

std::function<Outcome()> handle_closer(std::shared_ptr<Backend> backend, HANDLE handle) {
    return [backend = std::move(backend), handle]() -> Outcome {
        return backend->api->CloseHandle(handle) ? Outcome{0, 0} : backend->last_failure();
    };
}

PortState::PortState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE handle)
    : HandleState(backend, std::move(environment), backend->threads->second, handle_closer(backend, handle)),
      handle(handle) {}

std::shared_ptr<MessageCall> PortState::add_message(uint32_t id, size_t size) {
    std::scoped_lock lock(message_mutex_);
    if (message_ != nullptr) {
        return nullptr;
    }
    message_ = std::make_shared<MessageCall>(handle, size);
    message_id_ = id;
    return message_;
}

void PortState::remove_message() {
    std::scoped_lock lock(message_mutex_);
    message_.reset();
}

bool PortState::cancel_message(uint32_t id) {
    std::scoped_lock lock(message_mutex_);
    return message_ != nullptr && message_id_ == id && submit_cancel(message_);
}

void PortState::cancel_all() {
    std::scoped_lock lock(message_mutex_);
    if (message_ != nullptr) {
        submit_cancel(message_);
    }
}

bool PortState::submit_cancel(std::shared_ptr<MessageCall> call) {
    return backend->threads->io.submit(
        [backend = backend, call = std::move(call)](WorkerThread &) { call->cancel(*backend); });
}

FileState::FileState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE handle,
                     bool overlapped)
    : HandleState(backend, std::move(environment), backend->threads->io, handle_closer(backend, handle)),
      handle(handle), overlapped(overlapped) {}

ViewState::ViewState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE mapping,
                     void *base, size_t length)
    : HandleState(backend, std::move(environment), backend->threads->io, view_closer(backend, mapping, base)),
      base(static_cast<uint8_t *>(base)), length(length) {}

std::shared_ptr<IoCall> FileState::add_call(uint32_t id, SharedBytes buffer) {
    std::scoped_lock lock(calls_mutex_);
    auto [entry, added] = calls_.try_emplace(id);
    if (!added) {
        return nullptr;
    }
    entry->second = std::make_shared<IoCall>(handle, std::move(buffer));
    return entry->second;
}

void FileState::remove_call(uint32_t id) {
    std::scoped_lock lock(calls_mutex_);
    calls_.erase(id);
}

std::shared_ptr<IoCall> FileState::find_call(uint32_t id) {
    std::scoped_lock lock(calls_mutex_);
    auto entry = calls_.find(id);
    return entry == calls_.end() ? nullptr : entry->second;
}

void FileState::cancel_all() {
    std::scoped_lock lock(calls_mutex_);
    for (const auto &[id, call] : calls_) {
        call->mark_cancelled();
        backend->threads->io.submit([backend = backend, call = call](WorkerThread &) { call->cancel(*backend); });
    }
}

PortLink FileState::port_link() {
    std::scoped_lock lock(calls_mutex_);
    return link_;
}

void FileState::bind_port(std::shared_ptr<CompletionPortState> port) {
    std::scoped_lock lock(calls_mutex_);
    link_.port = std::move(port);
}

void FileState::set_skip_on_success() {
    std::scoped_lock lock(calls_mutex_);
    link_.skip_on_success = true;
}

Napi::Value file_result(Napi::Env env, const Outcome &outcome, Napi::Value value) {
    Napi::Array result = Napi::Array::New(env, 3);
    result.Set(0u, Napi::Number::New(env, outcome.error));
    result.Set(1u, Napi::Number::New(env, outcome.status));
    result.Set(2u, value);
    return result;
}

Napi::Value file_result(Napi::Env env, const Outcome &outcome) {
    return file_result(env, outcome, env.Undefined());
}

Napi::Value pair(Napi::Env env, Napi::Value first, Napi::Value second) {
    Napi::Array result = Napi::Array::New(env, 2);
    result.Set(0u, first);
    result.Set(1u, second);
    return result;
}

} // namespace minipend
