// SPDX-License-Identifier: MIT
//
// This module provides: NativePort.
// Invariant: a getMessage holds the handle open from JavaScript's call until the system is done with it, and closing the port ends it.

#include "objects.hpp"

#include <algorithm>

namespace minipend {
namespace {

struct Sent {
    uint32_t result = kHresultInvalidHandle;
    DWORD returned = 0;
};

Napi::Value send_message(Arguments &arguments, const std::shared_ptr<PortState> &port) {
    auto input = arguments.bytes(0, UINT32_MAX);
    auto output = arguments.bytes(1, UINT32_MAX);
    if (!arguments.ok()) {
        return {};
    }
    auto message = copy_in(*input);
    auto reply = std::make_shared<Bytes>(output->ByteLength());
    auto sent = std::make_shared<Sent>();
    auto work = [port, message, reply, sent](WorkerThread &) {
        // Entered here, not when JavaScript called: messages still in the queue do not keep the port from closing.
        Use<PortState> use(port);
        if (!use.inside() || !port->backend->ready()) {
            return;
        }
        sent->result = as_unsigned(port->backend->api->FilterSendMessage(
            port->handle, message->data(), static_cast<DWORD>(message->size()),
            reply->size() == 0 ? nullptr : reply->data(), static_cast<DWORD>(reply->size()), &sent->returned));
        reply->copy_out = sent->result == 0 ? sent->returned : 0;
    };
    auto convert = [sent](Napi::Env env) {
        return pair(env, Napi::Number::New(env, sent->result), Napi::Number::New(env, sent->returned));
    };
    return port->environment->start(port->backend->threads->control, work, convert, reply, output);
}

/// One call's hold on its port: its place there, and the handle kept open.
struct MessageUse {
    std::shared_ptr<PortState> port;
    std::shared_ptr<MessageCall> call;

    MessageUse(std::shared_ptr<PortState> p, std::shared_ptr<MessageCall> c) : port(std::move(p)), call(std::move(c)) {}
    ~MessageUse() {
        port->remove_message();
        port->leave();
    }
    MessageUse(const MessageUse &) = delete;
    MessageUse &operator=(const MessageUse &) = delete;
};

struct Received {
    uint32_t result = kHresultInvalidHandle;
    uint32_t bytes = 0; ///< of the message, without the header
};

/// Waits until the system is done with an issued call.
void await_message(Backend &backend, HANDLE port, const std::shared_ptr<MessageCall> &call, Received &received) {
    DWORD transferred = 0;
    if (backend.api->GetOverlappedResult(port, &call->overlapped, &transferred, TRUE)) {
        received.result = 0;
        received.bytes = transferred - std::min<DWORD>(transferred, sizeof(FILTER_MESSAGE_HEADER));
        call->bytes->copy_out = received.bytes;
        return;
    }
    const DWORD error = backend.api->GetLastError();
    received.result = hresult_of(error);
    if (error == kErrorShutdownInProgress) {
        backend.keep(call); // the wait ended, not the call: what the system may still write to stays
    }
}

void receive(const std::shared_ptr<PortState> &port, const std::shared_ptr<MessageCall> &call, WorkerThread &thread,
             Received &received) {
    Backend &backend = *port->backend;
    if (!backend.ready()) {
        return;
    }
    call->overlapped.hEvent = backend.event_of(thread);
    if (call->overlapped.hEvent == nullptr) {
        received.result = hresult_of(backend.last_failure().error);
        return;
    }
    if (!call->begin()) {
        received.result = hresult_of(kErrorOperationAborted);
        return;
    }
    const uint32_t begun = as_unsigned(backend.api->FilterGetMessage(
        port->handle, call->message(), static_cast<DWORD>(call->bytes->size()), &call->overlapped));
    if (begun == 0 || begun == hresult_of(kErrorIoPending)) {
        call->issued(backend);
        await_message(backend, port->handle, call, received);
    } else {
        received.result = begun;
    }
    call->end();
}

Napi::Value get_message(Arguments &arguments, const std::shared_ptr<PortState> &port) {
    const uint32_t id = arguments.u32(0);
    auto output = arguments.bytes(1, UINT32_MAX - sizeof(FILTER_MESSAGE_HEADER));
    if (!arguments.ok()) {
        return {};
    }
    auto received = std::make_shared<Received>();
    auto convert = [received](Napi::Env env) {
        return pair(env, Napi::Number::New(env, received->result), Napi::Number::New(env, received->bytes));
    };
    if (!port->enter()) {
        return port->environment->answer(convert);
    }
    auto call = port->add_message(id, output->ByteLength());
    if (call == nullptr) {
        port->leave();
        return throw_type_error(arguments.env(), "a getMessage of this port is still in flight");
    }
    auto use = std::make_shared<MessageUse>(port, call);
    auto work = [use, received](WorkerThread &thread) { receive(use->port, use->call, thread, *received); };
    use.reset();
    return port->environment->start(port->backend->threads->io, std::move(work), std::move(convert), call->bytes,
                                    output);
}

Napi::Value cancel(Arguments &arguments, const std::shared_ptr<PortState> &port) {
    const uint32_t id = arguments.u32(0);
    if (!arguments.ok()) {
        return {};
    }
    return Napi::Boolean::New(arguments.env(), port->cancel_message(id));
}

Napi::Value close(Arguments &arguments, const std::shared_ptr<PortState> &port) {
    return port->close(arguments.env(), [](Napi::Env env, const Outcome &) { return env.Undefined(); });
}

} // namespace

void define_port_class(Napi::Env env) {
    define_class(env, Kind::port, Wrapped<PortState>::name,
                 {
                     method<PortState, send_message>("sendMessage"),
                     method<PortState, get_message>("getMessage"),
                     method<PortState, cancel>("cancel"),
                     method<PortState, close>("close"),
                 });
}

} // namespace minipend
