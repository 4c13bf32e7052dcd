// SPDX-License-Identifier: MIT
//
// This module provides: what the calls on an open file have in common: a place in the file's table, so that cancel() finds them, the
// handle kept open, and the packet that a completion port will have of them.
// Invariant: a call is in the table from the moment JavaScript made it until it is settled.
#pragma once

#include "completion_port.hpp"
#include "objects.hpp"

namespace minipend {

/// One call's hold on its file.
struct FileUse {
    std::shared_ptr<FileState> file;
    uint32_t id;
    std::shared_ptr<IoCall> call;

    FileUse(std::shared_ptr<FileState> f, uint32_t i, std::shared_ptr<IoCall> c)
        : file(std::move(f)), id(i), call(std::move(c)) {}
    ~FileUse() {
        call->end(); // when it never began
        file->remove_call(id);
        file->leave();
    }
    FileUse(const FileUse &) = delete;
    FileUse &operator=(const FileUse &) = delete;
};

template <class Value> struct Result {
    Outcome outcome;
    Value value{};
};
struct Nothing {};

/// Starts `body(use, thread, *result)` as call `id` of `file`; `convert` makes of `result` what JavaScript gets.
template <class Shared, class Convert, class Body>
Napi::Value start_file_call(Arguments &arguments, const std::shared_ptr<FileState> &file, uint32_t id,
                            std::shared_ptr<Shared> result, Convert convert, SharedBytes bytes,
                            std::optional<Napi::Uint8Array> destination, Body body) {
    if (!file->enter()) {
        return file->environment->answer(convert);
    }
    auto call = file->add_call(id, bytes);
    if (call == nullptr) {
        file->leave();
        return throw_type_error(arguments.env(), "call " + std::to_string(id) + " of this file is still in flight");
    }
    auto use = std::make_shared<FileUse>(file, id, std::move(call));
    auto work = [use, result, body = std::move(body)](WorkerThread &thread) {
        if (use->file->backend->ready()) {
            body(*use, thread, *result);
        }
    };
    use.reset();
    return file->environment->start(file->backend->threads->io, std::move(work), std::move(convert), std::move(bytes),
                                    std::move(destination));
}

/// A call that returns when it is over: `make` says whether it succeeded.
template <class Make> Outcome blocking_call(FileUse &use, WorkerThread &thread, Make make) {
    const Backend &backend = *use.file->backend;
    if (!use.call->begin(IoCall::Way::thread, backend.thread_id(thread))) {
        return {kErrorOperationAborted, kStatusCancelled};
    }
    const Outcome outcome = make() ? Outcome{0, 0} : backend.last_failure();
    use.call->end();
    return outcome;
}

/// The packet that one overlapped call puts into the file's completion port, if the file has one: until it is taken out there, the
/// port keeps the call's OVERLAPPED, whose address is how the packet is recognised. Made before the call is.
class Packet {
  public:
    explicit Packet(FileUse &use) : use_(use), link_(use.file->port_link()) {
        if (link_.port != nullptr) {
            link_.port->expect(use.call, use.id);
        }
    }
    Packet(const Packet &) = delete;
    Packet &operator=(const Packet &) = delete;

    bool wanted() const { return link_.port != nullptr; }
    /// The call failed at once: no packet.
    void will_not_come() {
        if (link_.port != nullptr) {
            link_.port->forget(*use_.call);
        }
    }
    /// The call ended at once without failing: a packet, unless FILE_SKIP_COMPLETION_PORT_ON_SUCCESS is set.
    void ended_at_once() {
        if (link_.skip_on_success) {
            will_not_come();
        }
    }

  private:
    FileUse &use_;
    PortLink link_;
};

} // namespace minipend
