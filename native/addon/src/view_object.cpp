// SPDX-License-Identifier: MIT
//
// This module provides: NativeView. Its memory is touched on worker threads only, because a page fault may wait for a held read.

#include "objects.hpp"

namespace minipend {
namespace {

template <class Body>
Napi::Value start_call(const std::shared_ptr<ViewState> &view, SharedBytes bytes,
                       std::optional<Napi::Uint8Array> destination, Body body) {
    auto outcome = std::make_shared<Outcome>();
    auto convert = [outcome](Napi::Env env) { return file_result(env, *outcome); };
    auto use = std::make_shared<Use<ViewState>>(view);
    if (!use->inside()) {
        return view->environment->answer(convert);
    }
    auto work = [use, outcome, body = std::move(body)](WorkerThread &) {
        if ((*use)->backend->ready()) {
            *outcome = body(**use);
        }
    };
    use.reset();
    return view->environment->start(view->backend->threads->io, std::move(work), std::move(convert), std::move(bytes),
                                    std::move(destination));
}

/// Whether `bytes` bytes at `offset` are inside the view; a TypeError when not.
bool inside(Arguments &arguments, const ViewState &view, size_t offset, size_t bytes) {
    if (arguments.ok() && (offset > view.length || bytes > view.length - offset)) {
        arguments.refuse(0, "such that the range ends within the view's " + std::to_string(view.length) + " bytes");
    }
    return arguments.ok();
}

Napi::Value read(Arguments &arguments, const std::shared_ptr<ViewState> &view) {
    const size_t offset = arguments.size(0);
    auto target = arguments.bytes(1, UINT32_MAX);
    if (!target || !inside(arguments, *view, offset, target->ByteLength())) {
        return {};
    }
    auto bytes = std::make_shared<Bytes>(target->ByteLength());
    return start_call(view, bytes, target, [bytes, offset](ViewState &state) -> Outcome {
        const uint32_t error = copy_from_view(bytes->data(), state.base + offset, bytes->size());
        bytes->copy_out = error == 0 ? bytes->size() : 0;
        return {error, 0};
    });
}

Napi::Value write(Arguments &arguments, const std::shared_ptr<ViewState> &view) {
    const size_t offset = arguments.size(0);
    auto source = arguments.bytes(1, UINT32_MAX);
    if (!source || !inside(arguments, *view, offset, source->ByteLength())) {
        return {};
    }
    auto bytes = copy_in(*source);
    return start_call(view, bytes, std::nullopt, [bytes, offset](ViewState &state) -> Outcome {
        return {copy_to_view(state.base + offset, bytes->data(), bytes->size()), 0};
    });
}

Napi::Value flush(Arguments &arguments, const std::shared_ptr<ViewState> &view) {
    const size_t offset = arguments.size(0);
    const size_t length = arguments.size(1);
    if (!inside(arguments, *view, offset, length)) {
        return {};
    }
    return start_call(view, nullptr, std::nullopt, [offset, length](ViewState &state) -> Outcome {
        return state.backend->api->FlushViewOfFile(state.base + offset, length) ? Outcome{0, 0}
                                                                                : state.backend->last_failure();
    });
}

Napi::Value close(Arguments &arguments, const std::shared_ptr<ViewState> &view) {
    return view->close(arguments.env(),
                       [](Napi::Env env, const Outcome &outcome) { return file_result(env, outcome); });
}

napi_value length(napi_env env, napi_callback_info raw) {
    Napi::CallbackInfo info(env, raw);
    void *holder = receiver_of(info, Kind::view, Wrapped<ViewState>::name);
    if (holder == nullptr) {
        return nullptr;
    }
    const auto &view = *static_cast<std::shared_ptr<ViewState> *>(holder);
    return Napi::Number::New(env, static_cast<double>(view->length));
}

} // namespace

void define_view_class(Napi::Env env) {
    napi_property_descriptor length_property{};
    length_property.utf8name = "length";
    length_property.getter = length;
    length_property.attributes = napi_enumerable;
    define_class(env, Kind::view, Wrapped<ViewState>::name,
                 {
                     method<ViewState, read>("read"),
                     method<ViewState, write>("write"),
                     method<ViewState, flush>("flush"),
                     method<ViewState, close>("close"),
                     length_property,
                 });
}

} // namespace minipend
