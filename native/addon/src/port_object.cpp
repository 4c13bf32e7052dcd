// SPDX-License-Identifier: MIT
//
// This module provides: NativePort.

#include "objects.hpp"

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

Napi::Value close(Arguments &arguments, const std::shared_ptr<PortState> &port) {
    return port->close(arguments.env(), [](Napi::Env env, const Outcome &) { return env.Undefined(); });
}

} // namespace

void define_port_class(Napi::Env env) {
    define_class(env, Kind::port, Wrapped<PortState>::name,
                 {
                     method<PortState, send_message>("sendMessage"),
                     method<PortState, close>("close"),
                 });
}

} // namespace minipend
