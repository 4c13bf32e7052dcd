// SPDX-License-Identifier: MIT
//
// This module provides: messages from the driver to user mode: FltSendMessage and the Filter Manager's side of FilterGetMessage
// [MSG-01..07, USR-03, USR-06].
//
//      FltSendMessage    waits in Connection::messages
//      FilterGetMessage  waits in Connection::gets
//      meet()            brings the oldest of each together, one for one
//
// Invariants: a message is copied while its sender waits, so nothing of it is kept; of messages and gets at most one kind waits when the model
// lock is given up; both end when the connection is closed from either side, and FltCloseClientPort waits for the senders.

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"
#include "core/readings.hpp"
#include "ke/state.hpp"

namespace fltsim::flt {

namespace {

void finish(MessageGet &get, NTSTATUS status, size_t information) {
    get.status = status;
    get.done = true;
    if (get.async) {
        IO_STATUS_BLOCK *user = get.async->user_iosb;
        user->Information = information;
        __atomic_store_n(&user->Status, status, __ATOMIC_RELEASE); // last: others poll it
        if (get.async->event) {
            get.async->event->signal();
        }
        world().wake(user);
    }
    world().wake(&get);
}

/// Delivers what can be delivered.
void meet(Connection &connection) {
    while (!connection.messages.empty() && !connection.gets.empty()) {
        OutgoingMessage &message = *connection.messages.front();
        const auto get = std::move(connection.gets.front());
        connection.gets.pop_front();
        const size_t needed = sizeof(FILTER_MESSAGE_HEADER) + message.length;
        if (get->bytes < needed) {
            finish(*get, STATUS_BUFFER_TOO_SMALL, 0); // the message waits for another get
            continue;
        }
        FILTER_MESSAGE_HEADER header{};
        header.MessageId = manager().next_message++;
        std::memcpy(get->buffer, &header, sizeof header);
        std::memcpy(static_cast<char *>(get->buffer) + sizeof header, message.bytes, message.length);
        connection.messages.pop_front();
        message.delivered = true;
        world().wake(&message);
        finish(*get, STATUS_SUCCESS, needed);
    }
}

/// The driver's connection. Null when the variable is: FltCloseClientPort was faster.
std::shared_ptr<Connection> client_port(PFLT_PORT port, const char *api) {
    if (!port) {
        return nullptr;
    }
    for (const auto &connection : manager().connections) {
        if (connection->handle() == port) {
            return connection;
        }
    }
    bugcheck(
        "VER-02 bad object", api,
        "the client port is not open: pass the address of the variable that FltCloseClientPort nulls, not of a copy "
        "[PORT-04]");
}

NTSTATUS send(const std::shared_ptr<Connection> &connection, const void *bytes, ULONG length, PLARGE_INTEGER timeout) {
    const Thread &self = current_thread();
    OutgoingMessage message{bytes, length};
    std::optional<uint64_t> deadline;
    if (timeout) {
        deadline = ke::deadline_of(timeout->QuadPart);
    }
    connection->messages.push_back(&message);
    meet(*connection);
    world().block(&message, [&] { return message.delivered || !connection->open() || self.terminating; }, deadline);
    if (message.delivered) {
        return STATUS_SUCCESS;
    }
    std::erase(connection->messages, &message);
    if (!connection->open()) {
        return STATUS_PORT_DISCONNECTED;
    }
    return self.terminating ? STATUS_THREAD_IS_TERMINATING : STATUS_TIMEOUT;
}

} // namespace

void end_messages(Connection &connection, NTSTATUS status) {
    for (OutgoingMessage *message : connection.messages) {
        world().wake(message);
    }
    while (!connection.gets.empty()) {
        const auto get = std::move(connection.gets.front());
        connection.gets.pop_front();
        finish(*get, status, 0);
    }
}

NTSTATUS FilterManager::get_message(Object &object, void *buffer, uint32_t bytes, const io::AsyncBlock *async,
                                    std::shared_ptr<MessageGet> *get) {
    KernelCall kernel("FilterGetMessage", PASSIVE_LEVEL);
    const auto connection = connection_of(object);
    if (!connection) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (connection->state != Connection::State::Connected || connection->kernel_closed) {
        return STATUS_PORT_DISCONNECTED;
    }
    if (bytes < sizeof(FILTER_MESSAGE_HEADER)) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    auto made = std::make_shared<MessageGet>();
    made->buffer = buffer;
    made->bytes = bytes;
    made->thread = &current_thread();
    if (async) {
        made->async = *async;
        __atomic_store_n(&async->user_iosb->Status, STATUS_PENDING, __ATOMIC_RELEASE);
    }
    connection->gets.push_back(made);
    meet(*connection);
    *get = std::move(made);
    return STATUS_PENDING;
}

namespace {

template <class Matches> uint32_t cancel_matching(Connection &connection, const Matches &matches) {
    std::vector<std::shared_ptr<MessageGet>> found;
    std::erase_if(connection.gets, [&](const auto &get) {
        if (!matches(*get)) {
            return false;
        }
        found.push_back(get);
        return true;
    });
    for (const auto &get : found) {
        finish(*get, STATUS_CANCELLED, 0);
    }
    return static_cast<uint32_t>(found.size());
}

} // namespace

uint32_t FilterManager::cancel_messages(Object *port, const void *overlapped, const Thread *thread) {
    KernelCall kernel("NtCancelIoFileEx", PASSIVE_LEVEL);
    const auto only = port ? connection_of(*port) : nullptr;
    uint32_t cancelled = 0;
    for (const auto &connection : impl_->connections) {
        if (!port || connection == only) {
            cancelled += cancel_matching(*connection, [&](const MessageGet &get) {
                return (!overlapped || (get.async && get.async->overlapped == overlapped)) &&
                       (!thread || get.thread == thread);
            });
        }
    }
    return cancelled;
}

uint32_t FilterManager::cancel_synchronous_messages(const Thread &thread) {
    KernelCall kernel("NtCancelSynchronousIoFile", PASSIVE_LEVEL);
    uint32_t cancelled = 0;
    for (const auto &connection : impl_->connections) {
        cancelled +=
            cancel_matching(*connection, [&](const MessageGet &get) { return get.thread == &thread && !get.async; });
    }
    return cancelled;
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Sends a message that wants no reply, and returns when somebody has got it [MSG-04]. STATUS_SUCCESS, STATUS_PORT_DISCONNECTED (also when
/// *ClientPort is null), STATUS_TIMEOUT (a success code [MSG-03]), STATUS_THREAD_IS_TERMINATING, STATUS_INSUFFICIENT_RESOURCES. Timeout in 100 ns: null
/// for ever, negative relative, positive system time; 0 is what the documents disagree about [MSG-02]. IRQL <= APC_LEVEL, no lock held.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSendMessage(PFLT_FILTER Filter, PFLT_PORT *ClientPort, PVOID SenderBuffer,
                                             ULONG SenderBufferLength, PVOID ReplyBuffer, PULONG ReplyLength,
                                             PLARGE_INTEGER Timeout) {
    constexpr const char *kApi = "FltSendMessage";
    const bool locked = executing().spin_locks_held != 0;
    KernelCall call(kApi, locked ? HIGH_LEVEL : APC_LEVEL);
    if (locked) {
        bugcheck("V16 FltSendMessage with a lock held", kApi,
                 "it waits for user mode, for as long as that likes: release the spin lock first [MSG-07]");
    }
    filter_of(Filter, kApi); // VER-02 after FltUnregisterFilter
    if (ReplyBuffer || ReplyLength) {
        unmodelled(kApi, "a message that wants a reply");
    }
    const bool zero = Timeout && Timeout->QuadPart == 0;
    if (zero && reading<SendTimeoutZero>() == SendTimeoutZero::Fatal) {
        bugcheck("MSG-02 timeout of zero", kApi,
                 "the documents disagree whether 0 waits for ever or not at all: pass null or a time");
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto connection = client_port(*ClientPort, kApi);
    if (!connection || !connection->open()) {
        return STATUS_PORT_DISCONNECTED;
    }
    ++connection->senders;
    const NTSTATUS status = send(connection, SenderBuffer, SenderBufferLength,
                                 zero && reading<SendTimeoutZero>() == SendTimeoutZero::Waits ? nullptr : Timeout);
    --connection->senders;
    world().wake(connection.get());
    return status;
}
