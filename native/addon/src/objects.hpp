// SPDX-License-Identifier: MIT
//
// This module provides: the native state behind each JavaScript class of src/transport/native.d.ts, and how results look there.
#pragma once

#include "handle_state.hpp"
#include "wrap.hpp"

namespace minipend {

/// A connection to the driver's communication port.
class PortState final : public HandleState {
  public:
    PortState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE handle);
    const HANDLE handle;
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

  private:
    std::mutex calls_mutex_;
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

/// The whole backend object: its class's methods and its `world`.
Napi::Object make_backend_object(Napi::Env env, const std::shared_ptr<Backend> &backend);

} // namespace minipend
