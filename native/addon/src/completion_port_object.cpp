// SPDX-License-Identifier: MIT
//
// This module provides: NativeCompletionPort, and what NativeBackend and NativeFile have for it.
// Invariant: a wait asks the system in slices, so that it ends soon after it was cancelled, without a packet that others would see.

#include "completion_port.hpp"
#include "objects.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace minipend {
namespace {

using PortPointer = std::shared_ptr<CompletionPortState>;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kWaitSliceMs = 50;
constexpr uint32_t kForever = 0xFFFFFFFF;
constexpr uint32_t kMostPackets = 4096;
constexpr uint32_t kWaitTimeout = 258;
constexpr Outcome kMissing{kErrorProcNotFound, kStatusProcedureNotFound};

struct Packets {
    Outcome outcome;
    std::vector<CompletionPacket> packets;
};

/// One use of a port that is its wait as well.
struct PortWait {
    explicit PortWait(PortPointer p) : port(std::move(p)) {}
    ~PortWait() {
        port->end_wait();
        port->leave();
    }
    PortWait(const PortWait &) = delete;
    PortWait &operator=(const PortWait &) = delete;
    PortPointer port;
};

void wait_for_packets(CompletionPortState &port, uint32_t most, uint32_t timeout_ms, Packets &result) {
    const Backend &backend = *port.backend;
    const auto get = backend.api->nt.GetQueuedCompletionStatusEx;
    if (get == nullptr) {
        result.outcome = kMissing;
        return;
    }
    std::vector<CompletionEntry> entries(most);
    const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
        if (port.cancelled()) {
            result.outcome = {kErrorOperationAborted, kStatusCancelled};
            return;
        }
        uint32_t slice = kWaitSliceMs;
        if (timeout_ms != kForever) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
            slice = static_cast<uint32_t>(std::clamp<int64_t>(left, 0, kWaitSliceMs));
        }
        ULONG count = 0;
        if (get(port.handle, entries.data(), most, &count, slice, FALSE)) {
            result.outcome = {0, 0};
            for (ULONG i = 0; i < count; ++i) {
                result.packets.push_back(port.take(entries[i]));
            }
            return;
        }
        const uint32_t error = backend.api->GetLastError();
        if (error != kWaitTimeout) {
            result.outcome = backend.last_failure();
            return;
        }
        if (timeout_ms != kForever && Clock::now() >= end) {
            result.outcome = {kWaitTimeout, 0};
            return;
        }
    }
}

Napi::Value packets_value(Napi::Env env, const std::vector<CompletionPacket> &packets) {
    Napi::Array list = Napi::Array::New(env, packets.size());
    for (uint32_t i = 0; i < packets.size(); ++i) {
        const CompletionPacket &packet = packets[i];
        Napi::Array entry = Napi::Array::New(env, 5);
        entry.Set(0u, Napi::BigInt::New(env, packet.key));
        entry.Set(1u, packet.ours ? Napi::Value(Napi::Number::New(env, packet.call)) : env.Undefined());
        entry.Set(2u, Napi::BigInt::New(env, packet.value));
        entry.Set(3u, Napi::Number::New(env, packet.status));
        entry.Set(4u, Napi::Number::New(env, packet.bytes));
        list.Set(i, entry);
    }
    return list;
}

Napi::Value get(Arguments &arguments, const PortPointer &port) {
    const uint32_t most = arguments.u32(0);
    const uint32_t timeout_ms = arguments.u32(1);
    if (arguments.ok() && (most == 0 || most > kMostPackets)) {
        arguments.refuse(0, "from 1 to " + std::to_string(kMostPackets));
    }
    if (!arguments.ok()) {
        return {};
    }
    auto result = std::make_shared<Packets>();
    auto convert = [result](Napi::Env env) {
        return file_result(env, result->outcome, packets_value(env, result->packets));
    };
    if (!port->enter()) {
        return port->environment->answer(convert);
    }
    if (!port->begin_wait()) {
        port->leave();
        return throw_type_error(arguments.env(), "a wait on this port is in flight already");
    }
    auto wait = std::make_shared<PortWait>(port);
    auto work = [wait, most, timeout_ms, result](WorkerThread &) {
        if (wait->port->backend->ready()) {
            wait_for_packets(*wait->port, most, timeout_ms, *result);
        }
    };
    wait.reset();
    return port->environment->start(port->backend->threads->io, std::move(work), std::move(convert));
}

/// Starts `body(api)` on an open port.
template <class Body> Napi::Value start_port_call(const PortPointer &port, Body body) {
    auto outcome = std::make_shared<Outcome>();
    auto convert = [outcome](Napi::Env env) { return file_result(env, *outcome); };
    auto use = std::make_shared<Use<CompletionPortState>>(port);
    if (!use->inside()) {
        return port->environment->answer(convert);
    }
    auto work = [use, outcome, body = std::move(body)](WorkerThread &) {
        const Backend &backend = *(*use)->backend;
        if (backend.ready()) {
            *outcome = body(backend, **use);
        }
    };
    use.reset();
    return port->environment->start(port->backend->threads->io, std::move(work), std::move(convert));
}

Napi::Value associate(Arguments &arguments, const PortPointer &port) {
    auto file = object_argument<FileState>(arguments, 0);
    const uint64_t key = arguments.u64(1);
    if (!arguments.ok()) {
        return {};
    }
    if (file->backend != port->backend) {
        return throw_type_error(arguments.env(), "argument 1 must be a file of the port's own backend");
    }
    auto used = std::make_shared<Use<FileState>>(file);
    return start_port_call(
        port, [used, key, weak = std::weak_ptr(port)](const Backend &backend, CompletionPortState &state) -> Outcome {
            if (backend.api->nt.CreateIoCompletionPort == nullptr) {
                return kMissing;
            }
            if (!used->inside()) {
                return {};
            }
            FileState &bound = **used;
            // Before the system knows: from then on each call has a packet.
            bound.bind_port(weak.lock());
            if (backend.api->nt.CreateIoCompletionPort(bound.handle, state.handle, static_cast<ULONG_PTR>(key), 0) !=
                nullptr) {
                return {0, 0};
            }
            const Outcome failure = backend.last_failure();
            bound.bind_port(nullptr);
            return failure;
        });
}

Napi::Value post(Arguments &arguments, const PortPointer &port) {
    const uint64_t key = arguments.u64(0);
    const uint64_t value = arguments.u64(1);
    const uint32_t bytes = arguments.u32(2);
    if (!arguments.ok()) {
        return {};
    }
    return start_port_call(port, [=](const Backend &backend, CompletionPortState &state) -> Outcome {
        const auto post_packet = backend.api->nt.PostQueuedCompletionStatus;
        if (post_packet == nullptr) {
            return kMissing;
        }
        auto *overlapped = reinterpret_cast<OVERLAPPED *>(static_cast<uintptr_t>(value));
        return post_packet(state.handle, bytes, static_cast<ULONG_PTR>(key), overlapped) ? Outcome{0, 0}
                                                                                         : backend.last_failure();
    });
}

Napi::Value cancel(Arguments &arguments, const PortPointer &port) {
    return Napi::Boolean::New(arguments.env(), port->cancel_wait());
}

Napi::Value close(Arguments &arguments, const PortPointer &port) {
    return port->close(arguments.env(),
                       [](Napi::Env env, const Outcome &outcome) { return file_result(env, outcome); });
}

struct CreatedPort {
    Outcome outcome;
    PortPointer port;
};

} // namespace

Napi::Value create_completion_port(Arguments &arguments, const std::shared_ptr<Backend> &backend) {
    auto created = std::make_shared<CreatedPort>();
    auto environment = Environment::of(arguments.env()).shared_from_this();
    auto work = [backend, created, environment](WorkerThread &) {
        if (!backend->ready()) {
            return;
        }
        const auto create = backend->api->nt.CreateIoCompletionPort;
        if (create == nullptr) {
            created->outcome = kMissing;
            return;
        }
        HANDLE handle = create(INVALID_HANDLE_VALUE, nullptr, 0, 0);
        if (handle == nullptr) {
            created->outcome = backend->last_failure();
            return;
        }
        created->outcome = {0, 0};
        created->port = std::make_shared<CompletionPortState>(backend, environment, handle);
        backend->add(created->port);
    };
    auto convert = [created](Napi::Env env) {
        Napi::Value object = env.Undefined();
        if (created->port != nullptr) {
            object = make_object(env, created->port);
        }
        return file_result(env, created->outcome, object);
    };
    return environment->start(backend->threads->io, std::move(work), std::move(convert));
}

Napi::Value set_completion_modes(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    constexpr uint32_t kSkipPortOnSuccess = 1;
    const uint32_t flags = arguments.u32(0);
    if (arguments.ok() && flags > UINT8_MAX) {
        arguments.refuse(0, "from 0 to 255");
    }
    if (!arguments.ok()) {
        return {};
    }
    auto outcome = std::make_shared<Outcome>();
    auto convert = [outcome](Napi::Env env) { return file_result(env, *outcome); };
    auto use = std::make_shared<Use<FileState>>(file);
    if (!use->inside()) {
        return file->environment->answer(convert);
    }
    auto work = [use, outcome, flags](WorkerThread &) {
        const Backend &backend = *(*use)->backend;
        if (!backend.ready()) {
            return;
        }
        const auto set = backend.api->nt.SetFileCompletionNotificationModes;
        if (set == nullptr) {
            *outcome = kMissing;
        } else if (set((*use)->handle, static_cast<uint8_t>(flags))) {
            *outcome = {0, 0};
            if ((flags & kSkipPortOnSuccess) != 0) {
                (*use)->set_skip_on_success();
            }
        } else {
            *outcome = backend.last_failure();
        }
    };
    use.reset();
    return file->environment->start(file->backend->threads->io, std::move(work), std::move(convert));
}

void define_completion_port_class(Napi::Env env) {
    define_class(env, Kind::completion_port, Wrapped<CompletionPortState>::name,
                 {
                     method<CompletionPortState, associate>("associate"),
                     method<CompletionPortState, get>("get"),
                     method<CompletionPortState, post>("post"),
                     method<CompletionPortState, cancel>("cancel"),
                     method<CompletionPortState, close>("close"),
                 });
}

} // namespace minipend
