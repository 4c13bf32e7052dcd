// SPDX-License-Identifier: MIT
#include "environment.hpp"

#include "backend.hpp"
#include "exit_guard.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace minipend {

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kSmallAlignment = 64;
/// How long the end of an environment waits for worker threads. On Windows a call that the kernel will not give back may hold one;
/// it is left behind, with bytes of its own, and ends with the process.
constexpr std::chrono::seconds kEndLimit{5};

size_t alignment_for(size_t size) {
    return size >= kPageBytes ? kPageBytes : kSmallAlignment;
}

} // namespace

Bytes::Bytes(size_t size)
    : data_(static_cast<uint8_t *>(::operator new(std::max<size_t>(size, 1), std::align_val_t{alignment_for(size)}))),
      size_(size) {
    std::memset(data_, 0, size_);
}

Bytes::~Bytes() {
    ::operator delete(data_, std::align_val_t{alignment_for(size_)});
}

Napi::Value throw_type_error(Napi::Env env, const std::string &text) {
    const std::string message = "minipend native: " + text;
    napi_throw_type_error(env, nullptr, message.c_str());
    return {};
}

std::shared_ptr<Environment> Environment::attach(Napi::Env env) {
    auto self = std::make_shared<Environment>(env);
    napi_value name = nullptr;
    if (napi_create_string_utf8(env, "minipend", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, self.get(), settle_hook,
                                        &self->wake_) != napi_ok ||
        napi_unref_threadsafe_function(env, self->wake_) != napi_ok) {
        return nullptr;
    }
    // Added after the function's own hook, so it runs before that one: the function still exists in end().
    auto holder = std::make_unique<std::shared_ptr<Environment>>(self);
    if (napi_add_env_cleanup_hook(env, cleanup_hook, self.get()) != napi_ok ||
        napi_set_instance_data(
            env, holder.get(),
            [](napi_env, void *data, void *) {
                std::unique_ptr<std::shared_ptr<Environment>>(static_cast<std::shared_ptr<Environment> *>(data));
            },
            nullptr) != napi_ok) {
        return nullptr;
    }
    (void)holder.release(); // the environment's now
    return self;
}

Environment &Environment::of(napi_env env) {
    void *data = nullptr;
    napi_get_instance_data(env, &data);
    return **static_cast<std::shared_ptr<Environment> *>(data);
}

std::shared_ptr<Call> Environment::prepare(std::function<Napi::Value(Napi::Env)> convert, Napi::Value &promise) {
    auto call = std::make_shared<Call>();
    call->convert = std::move(convert);
    napi_value value = nullptr;
    if (napi_create_promise(env_, &call->deferred, &value) != napi_ok) {
        return nullptr; // an exception is pending, or the environment is ending
    }
    if (pending_++ == 0) {
        napi_ref_threadsafe_function(env_, wake_);
    }
    promise = Napi::Value(env_, value);
    return call;
}

Napi::Value Environment::start(Executor &executor, std::function<void(WorkerThread &)> work,
                               std::function<Napi::Value(Napi::Env)> convert, SharedBytes bytes,
                               std::optional<Napi::Uint8Array> destination) {
    Napi::Value promise;
    std::shared_ptr<Call> call = prepare(std::move(convert), promise);
    if (call == nullptr) {
        return {};
    }
    call->work = std::move(work);
    call->bytes = std::move(bytes);
    if (destination) {
        napi_create_reference(env_, *destination, 1, &call->destination);
    }
    auto self = shared_from_this();
    const bool taken = executor.submit([self, call](WorkerThread &thread) {
        try {
            call->work(thread);
        } catch (...) {
            call->failed = true;
        }
        call->work = nullptr; // what it holds ends on a worker thread
        self->complete(call);
    });
    if (!taken) {
        call->work = nullptr;
        complete(call);
    }
    return promise;
}

Napi::Value Environment::answer(std::function<Napi::Value(Napi::Env)> convert) {
    Napi::Value promise;
    if (auto call = prepare(std::move(convert), promise)) {
        complete(std::move(call));
    }
    return promise;
}

void Environment::complete(std::shared_ptr<Call> call) {
    std::scoped_lock lock(mutex_);
    if (dead_) {
        return;
    }
    done_.push_back(std::move(call));
    if (!woken_) {
        woken_ = true;
        napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
    }
}

void Environment::settle_hook(napi_env env, napi_value, void *context, void *) {
    if (env == nullptr) {
        return; // the function is being ended with a wake in its queue
    }
    auto self = static_cast<Environment *>(context)->shared_from_this();
    std::vector<std::shared_ptr<Call>> batch;
    {
        std::scoped_lock lock(self->mutex_);
        if (self->dead_) {
            return;
        }
        self->woken_ = false;
        batch.swap(self->done_);
    }
    for (const auto &call : batch) {
        Napi::HandleScope scope(env);
        self->settle(env, call);
    }
    self->pending_ -= batch.size();
    if (self->pending_ == 0) {
        napi_unref_threadsafe_function(env, self->wake_);
    }
}

void Environment::settle(Napi::Env env, const std::shared_ptr<Call> &call) {
    if (call->destination != nullptr) {
        napi_value view = nullptr;
        napi_get_reference_value(env, call->destination, &view);
        size_t length = 0;
        void *data = nullptr;
        napi_typedarray_type type = napi_uint8_array;
        // The view may have been detached or shrunk since the call began: its length now is what counts.
        if (view != nullptr &&
            napi_get_typedarray_info(env, view, &type, &length, &data, nullptr, nullptr) == napi_ok) {
            const size_t from = std::min(call->bytes->copy_from, call->bytes->size());
            const size_t bytes = std::min({length, call->bytes->copy_out, call->bytes->size() - from});
            if (bytes != 0) {
                std::memcpy(data, call->bytes->data() + from, bytes);
            }
        }
        napi_delete_reference(env, call->destination);
    }
    Napi::Value value;
    try {
        if (!call->failed) {
            value = call->convert(env);
        }
    } catch (...) {
        call->failed = true;
    }
    if (call->failed || value.IsEmpty() || env.IsExceptionPending()) {
        napi_value error = nullptr;
        if (env.IsExceptionPending()) {
            napi_get_and_clear_last_exception(env, &error);
        } else {
            error = Napi::Error::New(env, "minipend native: out of memory").Value();
        }
        napi_reject_deferred(env, call->deferred, error);
        return;
    }
    napi_resolve_deferred(env, call->deferred, value);
}

void Environment::add_backend(const std::shared_ptr<Backend> &backend) {
    std::erase_if(backends_, [](const Owned &other) { return other.backend.expired() && other.threads->ended(); });
    backends_.push_back({backend, backend->threads});
}

napi_value Environment::constructor(size_t kind) const {
    napi_value value = nullptr;
    napi_get_reference_value(env_, constructors_[kind], &value);
    return value;
}

void Environment::set_constructor(size_t kind, napi_value constructor) {
    constructors_.resize(std::max(constructors_.size(), kind + 1));
    napi_create_reference(env_, constructor, 1, &constructors_[kind]);
}

void Environment::cleanup_hook(void *data) {
    auto self = static_cast<Environment *>(data)->shared_from_this();
    forget_at_exit(*self);
    self->end();
    napi_release_threadsafe_function(self->wake_, napi_tsfn_abort);
}

void Environment::end() {
    std::vector<std::shared_ptr<Call>> dropped;
    {
        std::scoped_lock lock(mutex_);
        dead_ = true;
        dropped.swap(done_);
    }
    dropped.clear();
    for (const Owned &owned : backends_) {
        if (auto backend = owned.backend.lock()) {
            backend->end_now();
        }
    }
    const auto deadline = std::chrono::steady_clock::now() + kEndLimit;
    for (const Owned &owned : backends_) {
        owned.threads->stop();
        owned.threads->wait_ended(deadline);
    }
}

} // namespace minipend
