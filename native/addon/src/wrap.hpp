// SPDX-License-Identifier: MIT
//
// This module provides: JavaScript objects that stand for native state. Each class has a type tag, and a method looks at it
// before it takes the receiver for what it says it is, so a forged or foreign receiver gets a TypeError.
// Invariants: no exception leaves a method; scripts cannot make such objects (the constructor alone gives an object without a tag).
#pragma once

#include "arguments.hpp"
#include "environment.hpp"

#include <napi.h>

#include <exception>
#include <memory>
#include <vector>

namespace minipend {

enum class Kind : size_t { backend, port, file, view, completion_port };

template <class State> struct Wrapped; // specialised below: the kind and the name of each class

class Backend;
class PortState;
class FileState;
class ViewState;
class CompletionPortState;

template <> struct Wrapped<Backend> {
    static constexpr Kind kind = Kind::backend;
    static constexpr const char *name = "NativeBackend";
};
template <> struct Wrapped<PortState> {
    static constexpr Kind kind = Kind::port;
    static constexpr const char *name = "NativePort";
};
template <> struct Wrapped<FileState> {
    static constexpr Kind kind = Kind::file;
    static constexpr const char *name = "NativeFile";
};
template <> struct Wrapped<ViewState> {
    static constexpr Kind kind = Kind::view;
    static constexpr const char *name = "NativeView";
};

template <> struct Wrapped<CompletionPortState> {
    static constexpr Kind kind = Kind::completion_port;
    static constexpr const char *name = "NativeCompletionPort";
};

/// The tag of a class. Random numbers, fixed for ever: two copies of the addon agree on them, other addons do not have them.
inline napi_type_tag tag_of(Kind kind) {
    return {0x6d696e6970656e64ULL, 0x9c41d27be3a05f10ULL + static_cast<uint64_t>(kind)};
}

/// The constructor of objects of `State`'s class with these methods.
void define_class(Napi::Env env, Kind kind, const char *name, std::vector<napi_property_descriptor> methods);
/// A tagged object that keeps `holder`; `finalize` frees it.
Napi::Object make_tagged(Napi::Env env, Kind kind, void *holder, napi_finalize finalize);
/// What `value` wraps; null when it is not an object of that class.
void *wrapped_in(napi_env env, napi_value value, Kind kind);
/// What the receiver wraps, or null after a TypeError was thrown.
void *receiver_of(const Napi::CallbackInfo &info, Kind kind, const char *name);

template <class State> Napi::Object make_object(Napi::Env env, std::shared_ptr<State> state) {
    auto holder = std::make_unique<std::shared_ptr<State>>(std::move(state));
    Napi::Object object = make_tagged(env, Wrapped<State>::kind, holder.get(), [](napi_env, void *data, void *) {
        std::unique_ptr<std::shared_ptr<State>>(static_cast<std::shared_ptr<State> *>(data));
    });
    if (!object.IsEmpty()) {
        (void)holder.release(); // the object's now
    }
    return object;
}

/// A method: Function is `Napi::Value(Arguments &, const std::shared_ptr<State> &)`.
template <class State, auto Function> napi_value method_of(napi_env env, napi_callback_info raw) {
    Napi::CallbackInfo info(env, raw);
    try {
        void *holder = receiver_of(info, Wrapped<State>::kind, Wrapped<State>::name);
        if (holder == nullptr) {
            return nullptr;
        }
        Arguments arguments(info);
        return Function(arguments, *static_cast<std::shared_ptr<State> *>(holder));
    } catch (const std::exception &problem) {
        const std::string message = std::string("minipend native: ") + problem.what();
        napi_throw_error(env, nullptr, message.c_str());
        return nullptr;
    }
}

template <class State, auto Function> napi_property_descriptor method(const char *name) {
    napi_property_descriptor descriptor{};
    descriptor.utf8name = name;
    descriptor.method = method_of<State, Function>;
    descriptor.attributes = napi_default_method;
    return descriptor;
}

} // namespace minipend
