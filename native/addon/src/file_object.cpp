// SPDX-License-Identifier: MIT
//
// This module provides: NativeFile.
// Invariants: a call is in the file's table from the moment JavaScript made it until it is settled, so cancel() finds it at once;
// an overlapped call's OVERLAPPED and bytes live until the system has been seen to be done with them.

#include "file_call.hpp"

namespace minipend {
namespace {

Napi::Value result_value(Napi::Env env, uint32_t value) {
    return Napi::Number::New(env, value);
}
Napi::Value result_value(Napi::Env env, const Nothing &) {
    return env.Undefined();
}
Napi::Value result_value(Napi::Env env, const std::shared_ptr<ViewState> &view) {
    return view == nullptr ? env.Undefined() : Napi::Value(make_object(env, view));
}

/// Starts `body(use, thread, result)` as call `id` of `file`.
template <class Value, class Body>
Napi::Value start_call(Arguments &arguments, const std::shared_ptr<FileState> &file, uint32_t id, SharedBytes bytes,
                       std::optional<Napi::Uint8Array> destination, Body body) {
    auto result = std::make_shared<Result<Value>>();
    auto convert = [result](Napi::Env env) {
        return file_result(env, result->outcome, result_value(env, result->value));
    };
    return start_file_call(arguments, file, id, result, std::move(convert), std::move(bytes), std::move(destination),
                           std::move(body));
}

void set_offset(OVERLAPPED &overlapped, int64_t offset) {
    overlapped.Offset = static_cast<DWORD>(static_cast<uint64_t>(offset));
    overlapped.OffsetHigh = static_cast<DWORD>(static_cast<uint64_t>(offset) >> 32);
}

/// ReadFile or WriteFile on an overlapped handle, from start to end.
template <class Make>
void overlapped_call(FileUse &use, WorkerThread &thread, int64_t offset, const SharedBytes &bytes, Make make,
                     Result<uint32_t> &result) {
    Backend &backend = *use.file->backend;
    OVERLAPPED &overlapped = use.call->overlapped;
    set_offset(overlapped, offset);
    overlapped.hEvent = backend.event_of(thread);
    if (overlapped.hEvent == nullptr) {
        result.outcome = backend.last_failure();
        return;
    }
    if (!use.call->begin(IoCall::Way::overlapped, 0)) {
        result.outcome = {kErrorOperationAborted, kStatusCancelled};
        return;
    }
    DWORD transferred = 0;
    Packet packet(use);
    const bool begun = make(&overlapped, nullptr);
    const bool failed = !begun && backend.api->GetLastError() != kErrorIoPending;
    if (!begun && !failed) {
        use.call->pending();
    }
    if (failed) {
        result.outcome = backend.last_failure();
        packet.will_not_come();
    } else if (backend.api->GetOverlappedResult(use.file->handle, &overlapped, &transferred, TRUE)) {
        result.outcome = {0, 0};
    } else {
        const DWORD error = backend.api->GetLastError();
        result.outcome = backend.failure(error, static_cast<uint32_t>(overlapped.Internal));
        if (error == kErrorShutdownInProgress) {
            // The wait ended, not the operation: what the system may still write to stays as long as the backend.
            backend.keep(use.call);
            backend.keep(bytes);
        }
    }
    if (begun) {
        packet.ended_at_once();
    }
    use.call->end();
    result.value = transferred;
}

/// Both transfers: `make(overlapped or null, byte count or null)` calls ReadFile or WriteFile.
template <class Make>
void transfer(FileUse &use, WorkerThread &thread, int64_t offset, const SharedBytes &bytes, Make make,
              Result<uint32_t> &result) {
    if (use.file->overlapped) {
        overlapped_call(use, thread, offset, bytes, make, result);
        return;
    }
    DWORD transferred = 0;
    set_offset(use.call->overlapped, offset);
    // On a synchronous handle an OVERLAPPED only says where; the call returns when it is over.
    OVERLAPPED *place = offset < 0 ? nullptr : &use.call->overlapped;
    result.outcome = blocking_call(use, thread, [&] { return make(place, &transferred); });
    result.value = transferred;
}

struct TransferArguments {
    uint32_t id = 0;
    std::optional<Napi::Uint8Array> view;
    int64_t offset = 0;
};

TransferArguments transfer_arguments(Arguments &arguments, const FileState &file) {
    TransferArguments result{arguments.u32(0), arguments.bytes(1, UINT32_MAX), arguments.i64(2)};
    if (arguments.ok() && result.offset < (file.overlapped ? 0 : -1)) {
        arguments.refuse(2, file.overlapped ? "an offset: an overlapped handle has no position" : "an offset, or -1n");
    }
    return result;
}

Napi::Value read(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    auto [id, view, offset] = transfer_arguments(arguments, *file);
    if (!arguments.ok()) {
        return {};
    }
    auto bytes = std::make_shared<Bytes>(view->ByteLength());
    return start_call<uint32_t>(arguments, file, id, bytes, view,
                                [bytes, offset = offset](FileUse &use, WorkerThread &thread, Result<uint32_t> &result) {
                                    const auto make = [&](OVERLAPPED *overlapped, DWORD *transferred) {
                                        return use.file->backend->api->ReadFile(use.file->handle, bytes->data(),
                                                                                static_cast<DWORD>(bytes->size()),
                                                                                transferred, overlapped) != 0;
                                    };
                                    transfer(use, thread, offset, bytes, make, result);
                                    bytes->copy_out = result.value;
                                });
}

Napi::Value write(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    auto [id, view, offset] = transfer_arguments(arguments, *file);
    if (!arguments.ok()) {
        return {};
    }
    auto bytes = copy_in(*view);
    return start_call<uint32_t>(arguments, file, id, bytes, std::nullopt,
                                [bytes, offset = offset](FileUse &use, WorkerThread &thread, Result<uint32_t> &result) {
                                    const auto make = [&](OVERLAPPED *overlapped, DWORD *transferred) {
                                        return use.file->backend->api->WriteFile(use.file->handle, bytes->data(),
                                                                                 static_cast<DWORD>(bytes->size()),
                                                                                 transferred, overlapped) != 0;
                                    };
                                    transfer(use, thread, offset, bytes, make, result);
                                });
}

Napi::Value get_information(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    const auto information = static_cast<FILE_INFO_BY_HANDLE_CLASS>(arguments.u32(1));
    auto view = arguments.bytes(2, UINT32_MAX);
    if (!arguments.ok()) {
        return {};
    }
    auto bytes = std::make_shared<Bytes>(view->ByteLength());
    return start_call<Nothing>(arguments, file, id, bytes, view,
                               [bytes, information](FileUse &use, WorkerThread &thread, Result<Nothing> &result) {
                                   result.outcome = blocking_call(use, thread, [&] {
                                       return use.file->backend->api->GetFileInformationByHandleEx(
                                           use.file->handle, information, bytes->data(),
                                           static_cast<DWORD>(bytes->size()));
                                   });
                                   bytes->copy_out = result.outcome.error == 0 ? bytes->size() : 0;
                               });
}

Napi::Value set_information(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    const auto information = static_cast<FILE_INFO_BY_HANDLE_CLASS>(arguments.u32(1));
    auto view = arguments.bytes(2, UINT32_MAX);
    if (!arguments.ok()) {
        return {};
    }
    auto bytes = copy_in(*view);
    return start_call<Nothing>(arguments, file, id, bytes, std::nullopt,
                               [bytes, information](FileUse &use, WorkerThread &thread, Result<Nothing> &result) {
                                   result.outcome = blocking_call(use, thread, [&] {
                                       return use.file->backend->api->SetFileInformationByHandle(
                                           use.file->handle, information, bytes->data(),
                                           static_cast<DWORD>(bytes->size()));
                                   });
                               });
}

Napi::Value flush(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    if (!arguments.ok()) {
        return {};
    }
    return start_call<Nothing>(
        arguments, file, id, nullptr, std::nullopt, [](FileUse &use, WorkerThread &thread, Result<Nothing> &result) {
            result.outcome =
                blocking_call(use, thread, [&] { return use.file->backend->api->FlushFileBuffers(use.file->handle); });
        });
}

void map_file(FileUse &use, WorkerThread &thread, size_t length, bool write, bool image,
              Result<std::shared_ptr<ViewState>> &result) {
    const auto &backend = use.file->backend;
    const uint64_t size = image ? 0 : length; // an image says itself how long it is
    const DWORD protection = (write ? PAGE_READWRITE : PAGE_READONLY) | (image ? SEC_IMAGE : 0);
    HANDLE mapping = nullptr;
    void *base = nullptr;
    result.outcome = blocking_call(use, thread, [&] {
        mapping = backend->api->CreateFileMappingW(use.file->handle, nullptr, protection,
                                                   static_cast<DWORD>(size >> 32), static_cast<DWORD>(size), nullptr);
        if (mapping == nullptr) {
            return false;
        }
        base =
            backend->api->MapViewOfFile(mapping, write ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ, 0, 0, length);
        return base != nullptr;
    });
    if (result.outcome.error == 0) {
        result.value = std::make_shared<ViewState>(backend, use.file->environment, mapping, base, length);
        backend->add(result.value);
    } else if (mapping != nullptr) {
        backend->api->CloseHandle(mapping);
    }
}

Napi::Value map(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    const size_t length = arguments.size(1);
    const bool write = arguments.boolean(2);
    const bool image = arguments.boolean(3);
    if (arguments.ok() && length == 0) {
        arguments.refuse(1, "at least 1: an empty view cannot be made");
    }
    if (!arguments.ok()) {
        return {};
    }
    return start_call<std::shared_ptr<ViewState>>(
        arguments, file, id, nullptr, std::nullopt,
        [length, write, image](FileUse &use, WorkerThread &thread, Result<std::shared_ptr<ViewState>> &result) {
            map_file(use, thread, length, write, image, result);
        });
}

Napi::Value cancel(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    if (!arguments.ok()) {
        return {};
    }
    auto call = file->find_call(id);
    if (call == nullptr) {
        return Napi::Boolean::New(arguments.env(), false);
    }
    call->mark_cancelled();
    // On a worker thread: asking may wait for the call's thread, and its turn in the system.
    const bool asked =
        file->backend->threads->io.submit([backend = file->backend, call](WorkerThread &) { call->cancel(*backend); });
    return Napi::Boolean::New(arguments.env(), asked);
}

Napi::Value pending(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    const uint32_t id = arguments.u32(0);
    if (!arguments.ok()) {
        return {};
    }
    auto told = std::make_shared<bool>(false);
    auto convert = [told](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, *told); };
    auto call = file->find_call(id);
    if (call == nullptr) {
        return file->environment->answer(convert);
    }
    Napi::Value promise;
    if (auto waiter = file->environment->prepare(convert, promise)) {
        call->when_pending([environment = file->environment, told, waiter](bool is_pending) {
            *told = is_pending;
            environment->complete(waiter);
        });
    }
    return promise;
}

Napi::Value close(Arguments &arguments, const std::shared_ptr<FileState> &file) {
    return file->close(arguments.env(),
                       [](Napi::Env env, const Outcome &outcome) { return file_result(env, outcome); });
}

} // namespace

void define_file_class(Napi::Env env) {
    define_class(env, Kind::file, Wrapped<FileState>::name,
                 {
                     method<FileState, read>("read"),
                     method<FileState, write>("write"),
                     method<FileState, get_information>("getInformation"),
                     method<FileState, set_information>("setInformation"),
                     method<FileState, flush>("flush"),
                     method<FileState, map>("map"),
                     method<FileState, nt>("nt"),
                     method<FileState, set_completion_modes>("setCompletionModes"),
                     method<FileState, pending>("pending"),
                     method<FileState, cancel>("cancel"),
                     method<FileState, close>("close"),
                 });
}

} // namespace minipend
