// SPDX-License-Identifier: MIT
//
// This module provides: process_calls.hpp.

#include "process_calls.hpp"

#include <string>

namespace minipend {

namespace {

const char *or_null(const std::string &text) {
    return text.empty() ? nullptr : text.c_str();
}

/// A call of the model that says yes or no: `ask(api, world)`.
template <class Ask> Napi::Value start_boolean(Arguments &arguments, const std::shared_ptr<Backend> &backend, Ask ask) {
    auto result = std::make_shared<bool>(false);
    auto work = [=](WorkerThread &) {
        *result = backend->ready() && backend->api->embedded() && ask(*backend->api, backend->world);
    };
    auto convert = [result](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, *result); };
    return Environment::of(arguments.env()).start(backend->threads->control, std::move(work), std::move(convert));
}

struct Started {
    int32_t status = -1; ///< the model is gone
    uint32_t id = 0;
};

} // namespace

Napi::Value start_process(Arguments &arguments, const std::shared_ptr<Backend> &backend) {
    const std::string image = arguments.utf8(0);
    const std::string command_line = arguments.utf8(1);
    if (!arguments.ok()) {
        return {};
    }
    auto started = std::make_shared<Started>();
    auto work = [=](WorkerThread &) {
        if (backend->ready() && backend->api->embedded()) {
            backend->api->FltSimStartProcess(backend->world, or_null(image), or_null(command_line), &started->id,
                                             &started->status);
        }
    };
    auto convert = [started](Napi::Env env) {
        return pair(env, Napi::Number::New(env, static_cast<uint32_t>(started->status)),
                    Napi::Number::New(env, started->id));
    };
    return Environment::of(arguments.env()).start(backend->threads->control, std::move(work), std::move(convert));
}

Napi::Value end_process(Arguments &arguments, const std::shared_ptr<Backend> &backend) {
    const uint32_t id = arguments.u32(0);
    if (!arguments.ok()) {
        return {};
    }
    constexpr uint32_t FOR_EVER = 0xFFFFFFFF;
    return start_boolean(arguments, backend, [id](const Api &api, uint32_t world) {
        return api.FltSimTerminateProcess(world, id) == 0 && api.FltSimWaitForProcess(world, id, FOR_EVER) == 1;
    });
}

Napi::Value set_process_image(Arguments &arguments, const std::shared_ptr<Backend> &backend) {
    const std::string image = arguments.utf8(0);
    if (!arguments.ok()) {
        return {};
    }
    return start_boolean(arguments, backend, [image](const Api &api, uint32_t world) {
        return api.FltSimSetProcessImage(world, 0, image.c_str()) == 0;
    });
}

} // namespace minipend
