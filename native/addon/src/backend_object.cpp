// SPDX-License-Identifier: MIT
//
// This module provides: NativeBackend.

#include "objects.hpp"
#include "process_calls.hpp"

#include <algorithm>
#include <vector>

namespace minipend {
namespace {

using BackendPointer = std::shared_ptr<Backend>;

/// A call that gives an HRESULT: `make(api)`.
template <class Make>
Napi::Value start_hresult(Arguments &arguments, const BackendPointer &backend, Executor &executor, Make make) {
    auto result = std::make_shared<uint32_t>(kHresultInvalidHandle);
    auto work = [backend, result, make = std::move(make)](WorkerThread &) {
        if (backend->ready()) {
            *result = as_unsigned(make(*backend->api));
        }
    };
    auto convert = [result](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *result); };
    return Environment::of(arguments.env()).start(executor, std::move(work), std::move(convert));
}

Napi::Value close(Arguments &arguments, const BackendPointer &backend) {
    return Environment::of(arguments.env())
        .start(
            backend->threads->control, [backend](WorkerThread &) { backend->close(); },
            [](Napi::Env env) { return env.Undefined(); });
}

Napi::Value control_thread_id(Arguments &arguments, const BackendPointer &backend) {
    auto id = std::make_shared<uint32_t>(0);
    auto work = [backend, id](WorkerThread &thread) {
        if (backend->ready()) {
            *id = backend->thread_id(thread);
        }
    };
    auto convert = [id](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, *id); };
    return Environment::of(arguments.env()).start(backend->threads->control, std::move(work), std::move(convert));
}

Napi::Value filter_load(Arguments &arguments, const BackendPointer &backend) {
    const SystemString filter = arguments.text(0);
    if (!arguments.ok()) {
        return {};
    }
    return start_hresult(arguments, backend, backend->threads->control,
                         [filter](const Api &api) { return api.FilterLoad(filter.data()); });
}

Napi::Value filter_unload(Arguments &arguments, const BackendPointer &backend) {
    const SystemString filter = arguments.text(0);
    if (!arguments.ok()) {
        return {};
    }
    return start_hresult(arguments, backend, backend->threads->control,
                         [filter](const Api &api) { return api.FilterUnload(filter.data()); });
}

struct Attached {
    uint32_t result = kHresultInvalidHandle;
    std::u16string name;
};

Napi::Value filter_attach(Arguments &arguments, const BackendPointer &backend) {
    const SystemString filter = arguments.text(0);
    const SystemString volume = arguments.text(1);
    const SystemString instance = arguments.text(2);
    const SystemString altitude = arguments.text(3);
    if (!arguments.ok()) {
        return {};
    }
    auto attached = std::make_shared<Attached>();
    auto work = [=](WorkerThread &) {
        if (!backend->ready()) {
            return;
        }
        // An instance's name has at most 255 characters.
        std::vector<WCHAR> name(256);
        const auto bytes = static_cast<DWORD>(name.size() * sizeof(WCHAR));
        const Api &api = *backend->api;
        const HRESULT result =
            altitude.empty() ? api.FilterAttach(filter.data(), volume.data(), instance.or_null(), bytes, name.data())
                             : api.FilterAttachAtAltitude(filter.data(), volume.data(), altitude.data(),
                                                          instance.or_null(), bytes, name.data());
        attached->result = as_unsigned(result);
        if (result >= 0) {
            name.back() = 0;
            attached->name = reinterpret_cast<const char16_t *>(name.data());
        }
    };
    auto convert = [attached](Napi::Env env) {
        return pair(env, Napi::Number::New(env, attached->result), Napi::String::New(env, attached->name));
    };
    return Environment::of(arguments.env()).start(backend->threads->second, std::move(work), std::move(convert));
}

Napi::Value filter_detach(Arguments &arguments, const BackendPointer &backend) {
    const SystemString filter = arguments.text(0);
    const SystemString volume = arguments.text(1);
    const SystemString instance = arguments.text(2);
    if (!arguments.ok()) {
        return {};
    }
    return start_hresult(arguments, backend, backend->threads->second, [=](const Api &api) {
        return api.FilterDetach(filter.data(), volume.data(), instance.or_null());
    });
}

struct FoundInstances {
    uint32_t result = kHresultInvalidHandle;
    std::vector<std::vector<uint8_t>> items;
};

/// All instances in one call, so that a search does not stay open between two calls of JavaScript.
Napi::Value filter_instances(Arguments &arguments, const BackendPointer &backend) {
    const SystemString filter = arguments.text(0);
    const uint32_t information_class = arguments.u32(1);
    if (!arguments.ok()) {
        return {};
    }
    auto found = std::make_shared<FoundInstances>();
    auto work = [=](WorkerThread &) {
        if (!backend->ready()) {
            return;
        }
        // More than the longest names take: 255 characters each for instance and filter, 1024 for the volume, and an altitude.
        constexpr DWORD kRoom = 8192;
        std::vector<uint64_t> buffer(kRoom / sizeof(uint64_t));
        const auto *bytes = reinterpret_cast<const uint8_t *>(buffer.data());
        const auto wanted = static_cast<INSTANCE_INFORMATION_CLASS>(information_class);
        const Api &api = *backend->api;
        HANDLE search = INVALID_HANDLE_VALUE;
        DWORD returned = 0;
        HRESULT result = api.FilterInstanceFindFirst(filter.data(), wanted, buffer.data(), kRoom, &returned, &search);
        const bool searching = result == S_OK;
        while (result == S_OK) {
            found->items.emplace_back(bytes, bytes + std::min(returned, kRoom));
            result = api.FilterInstanceFindNext(search, wanted, buffer.data(), kRoom, &returned);
        }
        if (searching) {
            api.FilterInstanceFindClose(search);
        }
        found->result = result == HRESULT_FROM_WIN32(ERROR_NO_MORE_ITEMS) ? 0 : as_unsigned(result);
    };
    auto convert = [found](Napi::Env env) -> Napi::Value {
        Napi::Array items = Napi::Array::New(env, found->items.size());
        for (size_t i = 0; i < found->items.size(); ++i) {
            const auto &item = found->items[i];
            Napi::Uint8Array copy = Napi::Uint8Array::New(env, item.size());
            std::copy(item.begin(), item.end(), copy.Data());
            items.Set(static_cast<uint32_t>(i), copy);
        }
        return pair(env, Napi::Number::New(env, found->result), items);
    };
    return Environment::of(arguments.env()).start(backend->threads->control, std::move(work), std::move(convert));
}

struct Target {
    Outcome outcome;
    std::u16string path;
};

Napi::Value query_dos_device(Arguments &arguments, const BackendPointer &backend) {
    const SystemString name = arguments.text(0);
    if (!arguments.ok()) {
        return {};
    }
    auto target = std::make_shared<Target>();
    auto work = [backend, name, target](WorkerThread &) {
        if (!backend->ready()) {
            return;
        }
        std::vector<WCHAR> path(1024);
        if (backend->api->QueryDosDeviceW(name.data(), path.data(), static_cast<DWORD>(path.size())) == 0) {
            target->outcome = backend->last_failure();
            return;
        }
        path.back() = 0;
        target->outcome = {0, 0};
        target->path = reinterpret_cast<const char16_t *>(path.data());
    };
    auto convert = [target](Napi::Env env) {
        return file_result(env, target->outcome, Napi::String::New(env, target->path));
    };
    return Environment::of(arguments.env()).start(backend->threads->control, std::move(work), std::move(convert));
}

struct Connected {
    uint32_t result = kHresultInvalidHandle;
    std::shared_ptr<PortState> port;
};

Napi::Value connect(Arguments &arguments, const BackendPointer &backend) {
    const SystemString port = arguments.text(0);
    auto context = arguments.bytes(1, UINT16_MAX);
    if (!arguments.ok()) {
        return {};
    }
    auto bytes = copy_in(*context);
    auto connected = std::make_shared<Connected>();
    auto environment = Environment::of(arguments.env()).shared_from_this();
    auto work = [backend, port, bytes, connected, environment](WorkerThread &) {
        if (!backend->ready()) {
            return;
        }
        HANDLE handle = nullptr;
        connected->result = as_unsigned(
            backend->api->FilterConnectCommunicationPort(port.data(), 0, bytes->size() == 0 ? nullptr : bytes->data(),
                                                         static_cast<WORD>(bytes->size()), nullptr, &handle));
        if (connected->result == 0) {
            connected->port = std::make_shared<PortState>(backend, environment, handle);
            backend->add(connected->port);
        }
    };
    auto convert = [connected](Napi::Env env) {
        Napi::Value object = env.Undefined();
        if (connected->port != nullptr) {
            object = make_object(env, connected->port);
        }
        return pair(env, Napi::Number::New(env, connected->result), object);
    };
    return environment->start(backend->threads->control, std::move(work), std::move(convert));
}

struct Created {
    Outcome outcome;
    std::shared_ptr<FileState> file;
};

Napi::Value create_file(Arguments &arguments, const BackendPointer &backend) {
    const SystemString path = arguments.text(0);
    const uint32_t access = arguments.u32(1);
    const uint32_t share = arguments.u32(2);
    const uint32_t disposition = arguments.u32(3);
    const uint32_t flags = arguments.u32(4);
    if (!arguments.ok()) {
        return {};
    }
    auto created = std::make_shared<Created>();
    auto environment = Environment::of(arguments.env()).shared_from_this();
    auto work = [=](WorkerThread &) {
        if (!backend->ready()) {
            return;
        }
        HANDLE handle = backend->api->CreateFileW(path.data(), access, share, nullptr, disposition, flags, nullptr);
        if (handle == INVALID_HANDLE_VALUE) {
            created->outcome = backend->last_failure();
            return;
        }
        created->outcome = {0, 0};
        created->file = std::make_shared<FileState>(backend, environment, handle, (flags & FILE_FLAG_OVERLAPPED) != 0);
        backend->add(created->file);
    };
    auto convert = [created](Napi::Env env) {
        Napi::Value object = env.Undefined();
        if (created->file != nullptr) {
            object = make_object(env, created->file);
        }
        return file_result(env, created->outcome, object);
    };
    return environment->start(backend->threads->io, std::move(work), std::move(convert));
}

Napi::Value create_directory(Arguments &arguments, const BackendPointer &backend) {
    const SystemString path = arguments.text(0);
    if (!arguments.ok()) {
        return {};
    }
    auto outcome = std::make_shared<Outcome>();
    auto work = [backend, path, outcome](WorkerThread &) {
        if (backend->ready()) {
            *outcome = backend->api->CreateDirectoryW(path.data(), nullptr) ? Outcome{0, 0} : backend->last_failure();
        }
    };
    auto convert = [outcome](Napi::Env env) { return file_result(env, *outcome); };
    return Environment::of(arguments.env()).start(backend->threads->io, std::move(work), std::move(convert));
}

Napi::Value report(Arguments &arguments, const BackendPointer &backend) {
    std::vector<char> text(16 * 1024);
    size_t needed = 0;
    if (backend->api->embedded() && !backend->closed()) {
        needed = backend->api->FltSimReport(backend->world, text.data(), text.size());
        while (needed > text.size()) { // it may grow between two looks
            text.resize(needed + 1024);
            needed = backend->api->FltSimReport(backend->world, text.data(), text.size());
        }
    }
    return Napi::String::New(arguments.env(), needed == 0 ? "" : text.data());
}

Napi::Value add_driver(Arguments &arguments, const BackendPointer &backend) {
    const std::string service = arguments.utf8(0);
    const std::string image = arguments.utf8(1);
    const std::string altitude = arguments.utf8(2);
    if (!arguments.ok()) {
        return {};
    }
    auto result = std::make_shared<bool>(false);
    auto work = [=](WorkerThread &) {
        *result = backend->ready() && backend->api->embedded() &&
                  backend->api->FltSimAddDriver(backend->world, service.c_str(), image.c_str(), altitude.c_str()) == 0;
    };
    auto convert = [result](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, *result); };
    return Environment::of(arguments.env()).start(backend->threads->control, std::move(work), std::move(convert));
}

Napi::Value set_fault(Arguments &arguments, const BackendPointer &backend) {
    const std::string function = arguments.utf8(0);
    const uint32_t skip = arguments.u32(1);
    const uint32_t count = arguments.u32(2);
    if (!arguments.ok()) {
        return {};
    }
    const bool set = backend->api->embedded() && !backend->closed() &&
                     backend->api->FltSimSetFault(backend->world, function.c_str(), skip, count) == 0;
    return Napi::Boolean::New(arguments.env(), set);
}

Napi::Value set_reading(Arguments &arguments, const BackendPointer &backend) {
    const std::string name = arguments.utf8(0);
    const std::string value = arguments.utf8(1);
    if (!arguments.ok()) {
        return {};
    }
    std::string message(4096, '\0');
    if (!backend->api->embedded() || backend->closed()) {
        message = "there is no model";
    } else {
        backend->api->FltSimSetReading(backend->world, name.c_str(), value.c_str(), message.data(), message.size());
    }
    return Napi::String::New(arguments.env(), message.c_str());
}

Napi::Value set_storage_delay(Arguments &arguments, const BackendPointer &backend) {
    const uint32_t microseconds = arguments.u32(0);
    if (!arguments.ok()) {
        return {};
    }
    const bool set = backend->api->embedded() && !backend->closed() &&
                     backend->api->FltSimSetStorageDelay(backend->world, microseconds) == 0;
    return Napi::Boolean::New(arguments.env(), set);
}

} // namespace

void define_backend_class(Napi::Env env) {
    define_class(env, Kind::backend, Wrapped<Backend>::name,
                 {
                     method<Backend, close>("close"),
                     method<Backend, control_thread_id>("controlThreadId"),
                     method<Backend, filter_load>("filterLoad"),
                     method<Backend, filter_unload>("filterUnload"),
                     method<Backend, filter_attach>("filterAttach"),
                     method<Backend, filter_detach>("filterDetach"),
                     method<Backend, filter_instances>("filterInstances"),
                     method<Backend, query_dos_device>("queryDosDevice"),
                     method<Backend, connect>("connect"),
                     method<Backend, create_file>("createFile"),
                     method<Backend, create_directory>("createDirectory"),
                     method<Backend, nt_create_file>("ntCreateFile"),
                     method<Backend, nt_query_by_name>("ntQueryByName"),
                     method<Backend, create_completion_port>("createCompletionPort"),
                     method<Backend, report>("report"),
                     method<Backend, add_driver>("addDriver"),
                     method<Backend, start_process>("startProcess"),
                     method<Backend, end_process>("endProcess"),
                     method<Backend, set_process_image>("setProcessImage"),
                     method<Backend, set_fault>("setFault"),
                     method<Backend, set_reading>("setReading"),
                     method<Backend, set_storage_delay>("setStorageDelay"),
                 });
}

Napi::Object make_backend_object(Napi::Env env, const BackendPointer &backend) {
    Napi::Object object = make_object(env, backend);
    if (!object.IsEmpty()) {
        napi_property_descriptor world{};
        world.utf8name = "world";
        world.value = Napi::Number::New(env, backend->world);
        world.attributes = napi_enumerable;
        napi_define_properties(env, object, 1, &world);
    }
    return object;
}

} // namespace minipend
