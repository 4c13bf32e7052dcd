// SPDX-License-Identifier: MIT
//
// This module provides: what `require('minipend.node')` gives, see src/transport/native.d.ts. Each environment gets its own; there is no
// global state.

#include "exit_guard.hpp"
#include "objects.hpp"

namespace minipend {
namespace {

struct Opened {
    std::shared_ptr<Backend> backend;
    bool open = false;
    std::string message;
};

/// Runs `open(backend, message)` on the new backend's control thread.
template <class Open> Napi::Value start_open(Napi::Env env, Open open) {
    auto opened = std::make_shared<Opened>();
    opened->backend = std::make_shared<Backend>();
    auto environment = Environment::of(env).shared_from_this();
    environment->add_backend(opened->backend);
    opened->message = "no thread can be made for the backend";
    auto work = [opened, environment, open = std::move(open)](WorkerThread &) {
        opened->message.clear();
        opened->open = open(*opened->backend, opened->message);
        if (opened->open && opened->backend->api->embedded()) {
            end_at_exit(environment);
        }
    };
    auto convert = [opened](Napi::Env inner) -> Napi::Value {
        if (!opened->open) {
            return Napi::String::New(inner, opened->message);
        }
        return make_backend_object(inner, opened->backend);
    };
    return environment->start(opened->backend->threads->control, std::move(work), std::move(convert));
}

struct WorldArguments {
    std::string library;
    std::string driver_image;
    uint64_t seed = 0;
    uint32_t processor_count = 0;
};

/// The members of WorldOptions; false after a TypeError was thrown.
bool read_world_options(Napi::Env env, Napi::Value value, WorldArguments &options) {
    const auto refuse = [&](const char *text) {
        throw_type_error(env, text);
        return false;
    };
    if (!value.IsObject()) {
        return refuse("argument 1 must be an object");
    }
    Napi::Object object = value.As<Napi::Object>();
    const auto get = [&](const char *name) -> Napi::Value {
        napi_value member = nullptr;
        return napi_get_named_property(env, object, name, &member) == napi_ok ? Napi::Value(env, member)
                                                                              : env.Undefined();
    };
    const Napi::Value library = get("library");
    const Napi::Value image = get("driverImage");
    const Napi::Value seed = get("seed");
    const Napi::Value processors = get("processorCount");
    if (env.IsExceptionPending()) {
        return false; // a getter threw
    }
    if (!library.IsString() || !image.IsString()) {
        return refuse("library and driverImage must be strings");
    }
    bool lossless = false;
    options.seed = seed.IsBigInt() ? seed.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    if (!lossless) {
        return refuse("seed must be an unsigned bigint of 64 bits");
    }
    const double count = processors.IsNumber() ? processors.As<Napi::Number>().DoubleValue() : 0;
    if (!(count >= 1 && count <= 1024)) {
        return refuse("processorCount must be a number from 1 to 1024");
    }
    options.library = library.As<Napi::String>().Utf8Value();
    options.driver_image = image.As<Napi::String>().Utf8Value();
    options.processor_count = static_cast<uint32_t>(count);
    return true;
}

template <auto Function> napi_value function_of(napi_env env, napi_callback_info raw) {
    Napi::CallbackInfo info(env, raw);
    try {
        return Function(info);
    } catch (const std::exception &problem) {
        const std::string message = std::string("minipend native: ") + problem.what();
        napi_throw_error(env, nullptr, message.c_str());
        return nullptr;
    }
}

Napi::Value open_embedded(const Napi::CallbackInfo &info) {
    WorldArguments options;
    if (!read_world_options(info.Env(), info[0], options)) {
        return {};
    }
    return start_open(info.Env(), [options](Backend &backend, std::string &message) {
        FLTSIM_OPTIONS world{};
        world.SizeBytes = sizeof(world);
        world.ProcessorCount = options.processor_count;
        world.Seed = options.seed;
        world.Clock = FLTSIM_CLOCK_WALL;
        world.Executor = FLTSIM_EXECUTOR_FIBERS;
        world.DriverImage = options.driver_image.c_str();
        return backend.open_embedded(options.library, world, message);
    });
}

Napi::Value open_windows(const Napi::CallbackInfo &info) {
    return start_open(info.Env(), [](Backend &backend, std::string &message) { return backend.open_windows(message); });
}

Napi::Value current_thread_id(const Napi::CallbackInfo &info) {
    return Napi::Number::New(info.Env(), system_thread_id());
}

template <auto Function> void add_function(Napi::Env env, Napi::Object exports, const char *name) {
    napi_property_descriptor descriptor{};
    descriptor.utf8name = name;
    descriptor.method = function_of<Function>;
    descriptor.attributes = napi_default_method;
    napi_define_properties(env, exports, 1, &descriptor);
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
    pin_this_module();
    if (Environment::attach(env) == nullptr) {
        if (!env.IsExceptionPending()) {
            napi_throw_error(env, nullptr, "minipend native: the environment refused the addon");
        }
        return exports;
    }
    define_backend_class(env);
    define_port_class(env);
    define_file_class(env);
    define_view_class(env);
    define_completion_port_class(env);
    exports.Set("napiVersion", Napi::Number::New(env, NAPI_VERSION));
    add_function<open_embedded>(env, exports, "openEmbedded");
    add_function<open_windows>(env, exports, "openWindows");
    add_function<current_thread_id>(env, exports, "currentThreadId");
    return exports;
}

} // namespace
} // namespace minipend

// The macro names the function it defines after the file's, so that it stands outside the namespaces.
static Napi::Object initialise_minipend(Napi::Env env, Napi::Object exports) {
    return minipend::initialise(env, exports);
}
NODE_API_MODULE(minipend, initialise_minipend)
