// SPDX-License-Identifier: MIT
//
// This module provides: the native state behind each JavaScript class of src/transport/native.d.ts, and how results look there.
#pragma once

#include "handle_state.hpp"
#include "wrap.hpp"

namespace minipend {

/// Closes `handle`.
std::function<Outcome()> handle_closer(std::shared_ptr<Backend> backend, HANDLE handle);

/// One FilterGetMessage, from JavaScript's call until the system is done with it.
class MessageCall {
  public:
    /// Room for a message of `size` bytes behind the Filter Manager's header.
    MessageCall(HANDLE handle, size_t size);

    /// The worker begins. False: it was cancelled before, and must not make the call.
    bool begin();
    /// The system has the call: cancel() can end it there. If it came in between, this does.
    void issued(const Backend &backend);
    /// The system is done with the call: nothing is cancelled after this returns.
    void end();
    /// Ends the call, wherever it is. On a worker thread, because it enters the system.
    void cancel(const Backend &backend);

    FILTER_MESSAGE_HEADER *message() { return reinterpret_cast<FILTER_MESSAGE_HEADER *>(bytes->data()); }

    OVERLAPPED overlapped{};
    const SharedBytes bytes;

  private:
    enum class State { queued, running, issued, done };

    std::mutex mutex_;
    State state_ = State::queued;
    bool cancelled_ = false;
    const HANDLE handle_;
};

/// A connection to the driver's communication port.
class PortState final : public HandleState {
  public:
    PortState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE handle);
    const HANDLE handle;

    /// A wait for a message begins; `id` is the caller's number for cancel_message(). Null when one is in flight already.
    std::shared_ptr<MessageCall> add_message(uint32_t id, size_t size);
    void remove_message();
    /// False: the wait with this number is not in flight.
    bool cancel_message(uint32_t id);
    void cancel_all() override;

  protected:
    void end_waits() override { cancel_all(); }

  private:
    bool submit_cancel(std::shared_ptr<MessageCall> call);

    std::mutex message_mutex_;
    uint32_t message_id_ = 0;
    std::shared_ptr<MessageCall> message_;
};

/// How a file is bound to a completion port.
struct PortLink {
    std::shared_ptr<CompletionPortState> port; ///< null: it is not
    bool skip_on_success = false; ///< FILE_SKIP_COMPLETION_PORT_ON_SUCCESS
};

/// An open file or directory.
class FileState final : public HandleState {
  public:
    FileState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE handle,
              bool overlapped);
    const HANDLE handle;
    const bool overlapped;

    /// A call with the caller's number begins. Null when that number is in flight already.
    std::shared_ptr<IoCall> add_call(uint32_t id, SharedBytes buffer);
    void remove_call(uint32_t id);
    std::shared_ptr<IoCall> find_call(uint32_t id);
    void cancel_all() override;

    PortLink port_link();
    void bind_port(std::shared_ptr<CompletionPortState> port);
    void set_skip_on_success();

  private:
    std::mutex calls_mutex_;
    PortLink link_;
    std::unordered_map<uint32_t, std::shared_ptr<IoCall>> calls_;
};

/// A mapped view of a file, and the mapping object behind it.
class ViewState final : public HandleState {
  public:
    ViewState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE mapping, void *base,
              size_t length);
    uint8_t *const base;
    const size_t length;
};

/// What JavaScript gives as `index`th argument, when it is an object of `State`'s class; null after a TypeError. Undefined is taken
/// for none when `optional`.
template <class State>
std::shared_ptr<State> object_argument(Arguments &arguments, size_t index, bool optional = false) {
    if (!arguments.ok() || (optional && arguments.undefined(index))) {
        return nullptr;
    }
    void *holder = wrapped_in(arguments.env(), arguments.value(index), Wrapped<State>::kind);
    if (holder == nullptr) {
        arguments.refuse(index, std::string("a ") + Wrapped<State>::name + (optional ? ", or undefined" : ""));
        return nullptr;
    }
    return *static_cast<std::shared_ptr<State> *>(holder);
}

/// [error, ntstatus, value]
Napi::Value file_result(Napi::Env env, const Outcome &outcome, Napi::Value value);
/// [error, ntstatus, undefined]
Napi::Value file_result(Napi::Env env, const Outcome &outcome);
/// [first, second]
Napi::Value pair(Napi::Env env, Napi::Value first, Napi::Value second);

/// HRESULT or NTSTATUS as JavaScript has it.
inline uint32_t as_unsigned(long value) {
    return static_cast<uint32_t>(value);
}

void define_backend_class(Napi::Env env);
void define_port_class(Napi::Env env);
void define_file_class(Napi::Env env);
void define_view_class(Napi::Env env);
void define_completion_port_class(Napi::Env env);

/// NativeFile's nt(), and what NativeBackend has of ntdll and of completion ports.
Napi::Value nt(Arguments &arguments, const std::shared_ptr<FileState> &file);
Napi::Value nt_create_file(Arguments &arguments, const std::shared_ptr<Backend> &backend);
Napi::Value nt_query_by_name(Arguments &arguments, const std::shared_ptr<Backend> &backend);
Napi::Value create_completion_port(Arguments &arguments, const std::shared_ptr<Backend> &backend);
Napi::Value set_completion_modes(Arguments &arguments, const std::shared_ptr<FileState> &file);

/// The whole backend object: its class's methods and its `world`.
Napi::Object make_backend_object(Napi::Env env, const std::shared_ptr<Backend> &backend);

} // namespace minipend
