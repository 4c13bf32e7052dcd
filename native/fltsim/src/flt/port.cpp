// SPDX-License-Identifier: MIT
//
// This module provides: communication ports [PORT-01..06, MSGN-01..04, UNL-04]: server ports, connections, messages to the driver.
//
//      Connecting -> Connected -> Disconnecting (no send runs, DisconnectNotify) -> Gone
//
// Invariants: DisconnectNotify runs once for each connection that ConnectNotify accepted, never while a message callback of it executes; the
// place in MaxConnections is free again only after it has returned [PORT-05].

#include "flt/internal.hpp"

#include <algorithm>

#include "core/faults.hpp"
#include "core/readings.hpp"

namespace fltsim::flt {

namespace {

/// `by_user`: the last handle was closed; otherwise the filter goes.
void disconnect(const std::shared_ptr<Connection> &connection, bool by_user) {
    if (connection->state != Connection::State::Connected) {
        return;
    }
    connection->state = Connection::State::Disconnecting;
    end_messages(*connection, by_user ? STATUS_CANCELLED : STATUS_PORT_DISCONNECTED); // USR-06, USR-03
    wait_for(
        connection.get(), [&] { return connection->sending == 0; },
        [&] { return "port " + narrow(connection->port->name) + ": a message callback does not return"; });
    {
        DriverCall driver("DisconnectNotify");
        connection->port->disconnect(connection->cookie);
    }
    connection->state = Connection::State::Gone;
    if (!connection->kernel_closed) {
        world().leak("port " + narrow(connection->port->name) +
                     ": DisconnectNotify returned without FltCloseClientPort: the client port leaks [PORT-04]");
    }
    auto &m = manager();
    --connection->port->connections;
    world().wake(connection.get());
    std::erase(m.connections, connection);
    m.graveyard.push_back(connection);
    world().note("port " + narrow(connection->port->name) + ": disconnected");
}

/// The user's handle of a connection.
class PortHandle : public Object {
  public:
    explicit PortHandle(std::shared_ptr<Connection> connection) : connection(std::move(connection)) {}
    const char *type_name() const override { return "port"; }
    std::string describe() const override { return "port " + narrow(connection->port->name); }
    void last_handle_closed() override {
        KernelCall kernel("NtClose", PASSIVE_LEVEL);
        disconnect(connection, true);
    }
    const std::shared_ptr<Connection> connection;
};

std::shared_ptr<ServerPort> server_port_of(PFLT_PORT port, const char *api) {
    for (const auto &candidate : manager().ports) {
        if (candidate->handle() == port) {
            return candidate;
        }
    }
    bugcheck("VER-02 bad object", api, "the PFLT_PORT is not an open server port");
}

} // namespace

std::shared_ptr<Connection> connection_of(Object &object) {
    auto *handle = dynamic_cast<PortHandle *>(&object);
    return handle ? handle->connection : nullptr;
}

void close_ports_for_unregister(Filter &filter) {
    auto &m = manager();
    for (size_t i = 0; i < m.ports.size();) {
        const auto port = m.ports[i];
        if (port->filter != &filter) {
            ++i;
            continue;
        }
        if (port->connections != 0) {
            bugcheck("V17 port not closed before FltUnregisterFilter", "FltUnregisterFilter",
                     "port " + narrow(port->name) + " is open and has connections: on Windows this can hang [UNL-04]");
        }
        world().leak("port " + narrow(port->name) +
                     ": FltCloseCommunicationPort was not called before FltUnregisterFilter (V17)");
        m.graveyard.push_back(port);
        m.ports.erase(m.ports.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (;;) {
        const auto found = std::find_if(m.connections.begin(), m.connections.end(),
                                        [&](const auto &connection) { return connection->port->filter == &filter; });
        if (found == m.connections.end()) {
            return;
        }
        const auto connection = *found;
        if (connection->state == Connection::State::Connected) {
            disconnect(connection, false);
        } else if (!wait_for(
                       connection.get(),
                       [&] {
                           return connection->state != Connection::State::Connecting &&
                                  connection->state != Connection::State::Disconnecting;
                       },
                       [&] {
                           return "port " + narrow(connection->port->name) +
                                  ": a connect or disconnect callback does not return";
                       })) {
            return;
        }
    }
}

NTSTATUS FilterManager::connect_port(std::u16string_view port_name, const void *context, uint16_t context_bytes,
                                     std::shared_ptr<Object> *handle) {
    KernelCall kernel("FilterConnectCommunicationPort", PASSIVE_LEVEL);
    auto &m = *impl_;
    const auto found = std::find_if(m.ports.begin(), m.ports.end(),
                                    [&](const auto &port) { return equal_names(port->name, port_name); });
    if (found == m.ports.end()) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    const auto port = *found;
    if (port->connections >= port->max_connections) {
        switch (reading<ConnectionLimit>()) { // PORT-05
        case ConnectionLimit::CountLimit:
            return STATUS_CONNECTION_COUNT_LIMIT;
        case ConnectionLimit::Refused:
            return static_cast<NTSTATUS>(0xC0000236); // STATUS_CONNECTION_REFUSED
        case ConnectionLimit::AccessDenied:
            return STATUS_ACCESS_DENIED;
        }
    }
    ++port->connections;
    auto connection = std::make_shared<Connection>();
    connection->port = port;
    m.connections.push_back(connection);

    // The driver gets a kernel copy [PORT-03].
    std::vector<uint8_t> copy;
    if (context && context_bytes != 0) {
        const auto *bytes = static_cast<const uint8_t *>(context);
        copy.assign(bytes, bytes + context_bytes);
    }
    NTSTATUS status;
    {
        DriverCall driver("ConnectNotify");
        status = port->connect(connection->handle(), port->cookie, copy.empty() ? nullptr : copy.data(),
                               static_cast<ULONG>(copy.size()), &connection->cookie);
    }
    if (!NT_SUCCESS(status)) {
        connection->state = Connection::State::Gone;
        end_messages(*connection, STATUS_PORT_DISCONNECTED);
        --port->connections;
        world().wake(connection.get());
        std::erase(m.connections, connection);
        m.graveyard.push_back(connection);
        return status;
    }
    connection->state = Connection::State::Connected;
    world().wake(connection.get());
    *handle = std::make_shared<PortHandle>(connection);
    world().note("port " + narrow(port->name) + ": connected");
    return STATUS_SUCCESS;
}

NTSTATUS FilterManager::send_message(Object &object, void *in, uint32_t in_bytes, void *out, uint32_t out_bytes,
                                     uint32_t *returned_bytes) {
    KernelCall kernel("FilterSendMessage", PASSIVE_LEVEL);
    *returned_bytes = 0;
    const auto connection = connection_of(object);
    if (!connection) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (connection->state != Connection::State::Connected || connection->kernel_closed) {
        return STATUS_PORT_DISCONNECTED;
    }
    if (!connection->port->message) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    // Probed, as the real one does, but not for alignment, and what is behind the addresses can change any time [MSGN-01].
    const auto wraps = [](const void *address, uint32_t bytes) {
        return reinterpret_cast<uintptr_t>(address) + bytes < reinterpret_cast<uintptr_t>(address);
    };
    if (wraps(in, in_bytes) || wraps(out, out_bytes) || (!out && out_bytes != 0)) {
        return STATUS_ACCESS_VIOLATION;
    }
    ULONG returned = 0;
    NTSTATUS status;
    ++connection->sending;
    {
        DriverCall driver("MessageNotify");
        status = connection->port->message(connection->cookie, in, in_bytes, out, out_bytes, &returned);
    }
    --connection->sending;
    world().wake(connection.get());
    if (returned > out_bytes) {
        bugcheck("MSGN-03 ReturnOutputBufferLength", "MessageNotify",
                 "the callback reports more bytes than the output buffer has");
    }
    *returned_bytes = returned;
    return status;
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// A descriptor that lets SYSTEM and administrators in [PORT-02]. STATUS_INSUFFICIENT_RESOURCES. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltBuildDefaultSecurityDescriptor(PSECURITY_DESCRIPTOR *SecurityDescriptor,
                                                                ACCESS_MASK DesiredAccess) {
    KernelCall call("FltBuildDefaultSecurityDescriptor", APC_LEVEL);
    (void)DesiredAccess;
    *SecurityDescriptor = nullptr;
    if (const auto failure = failing("FltBuildDefaultSecurityDescriptor")) {
        return *failure;
    }
    constexpr size_t kOpaqueBytes = 128;
    *SecurityDescriptor = manager().memory.allocate(kOpaqueBytes, "security descriptor");
    manager().descriptors.insert(*SecurityDescriptor);
    return STATUS_SUCCESS;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreeSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor) {
    KernelCall call("FltFreeSecurityDescriptor", APC_LEVEL);
    if (manager().descriptors.erase(SecurityDescriptor) == 0) {
        bugcheck("VER-02 bad object", "FltFreeSecurityDescriptor",
                 "not a descriptor of FltBuildDefaultSecurityDescriptor, or freed already");
    }
    manager().memory.release(SecurityDescriptor);
}

/// Opens a server port. STATUS_INVALID_PARAMETER (no OBJ_KERNEL_HANDLE, no routines, no connections), STATUS_OBJECT_NAME_COLLISION,
/// STATUS_FLT_DELETING_OBJECT, STATUS_INSUFFICIENT_RESOURCES [PORT-01]. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCreateCommunicationPort(PFLT_FILTER Filter, PFLT_PORT *ServerPort,
                                                         POBJECT_ATTRIBUTES ObjectAttributes, PVOID ServerPortCookie,
                                                         PFLT_CONNECT_NOTIFY ConnectNotifyCallback,
                                                         PFLT_DISCONNECT_NOTIFY DisconnectNotifyCallback,
                                                         PFLT_MESSAGE_NOTIFY MessageNotifyCallback,
                                                         LONG MaxConnections) {
    constexpr const char *kApi = "FltCreateCommunicationPort";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    *ServerPort = nullptr;
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    if (filter->unregistering) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if ((ObjectAttributes->Attributes & OBJ_KERNEL_HANDLE) == 0 || !ObjectAttributes->ObjectName ||
        !ConnectNotifyCallback || !DisconnectNotifyCallback || MaxConnections <= 0) {
        return STATUS_INVALID_PARAMETER;
    }
    auto port = std::make_shared<fltsim::flt::ServerPort>();
    port->filter = filter.get();
    port->name = view(*ObjectAttributes->ObjectName);
    port->cookie = ServerPortCookie;
    port->connect = ConnectNotifyCallback;
    port->disconnect = DisconnectNotifyCallback;
    port->message = MessageNotifyCallback;
    port->max_connections = MaxConnections;
    auto &m = manager();
    if (std::any_of(m.ports.begin(), m.ports.end(),
                    [&](const auto &other) { return equal_names(other->name, port->name); })) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    m.ports.push_back(port);
    *ServerPort = port->handle();
    return STATUS_SUCCESS;
}

/// No more connects; connections survive [PORT-06]. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltCloseCommunicationPort(PFLT_PORT ServerPort) {
    KernelCall call("FltCloseCommunicationPort", PASSIVE_LEVEL);
    const auto port = server_port_of(ServerPort, "FltCloseCommunicationPort");
    port->closed = true;
    std::erase(manager().ports, port);
    manager().graveyard.push_back(port);
}

/// Closes the driver's side of a connection and nulls the variable; FltSendMessage calls on it end first [PORT-04]. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltCloseClientPort(PFLT_FILTER Filter, PFLT_PORT *ClientPort) {
    constexpr const char *kApi = "FltCloseClientPort";
    KernelCall call(kApi, PASSIVE_LEVEL);
    filter_of(Filter, kApi);
    const PFLT_PORT port = *ClientPort;
    *ClientPort = nullptr;
    if (!port) {
        return;
    }
    const auto &connections = manager().connections;
    const auto found = std::find_if(connections.begin(), connections.end(),
                                    [&](const auto &connection) { return connection->handle() == port; });
    if (found == connections.end() || (*found)->kernel_closed) {
        bugcheck("VER-02 bad object", kApi, "the client port is not open (closed twice?)");
    }
    const auto connection = *found;
    connection->kernel_closed = true;
    end_messages(*connection, STATUS_PORT_DISCONNECTED);
    wait_for(
        connection.get(), [&] { return connection->senders == 0; },
        [&] { return "port " + narrow(connection->port->name) + ": an FltSendMessage does not return"; });
}
