// SPDX-License-Identifier: MIT
#include "wrap.hpp"

namespace minipend {

namespace {

napi_value construct(napi_env env, napi_callback_info info) {
    // The tag is what makes an object ours, and only make_tagged() gives it.
    napi_value self = nullptr;
    napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr);
    return self;
}

} // namespace

void define_class(Napi::Env env, Kind kind, const char *name, std::vector<napi_property_descriptor> methods) {
    // The methods go to the prototype by themselves: those of napi_define_class are guarded by the engine, whose "Illegal
    // invocation" says nothing about us, and only guards against objects of other constructors.
    napi_value constructor = nullptr;
    napi_value prototype = nullptr;
    if (napi_define_class(env, name, NAPI_AUTO_LENGTH, construct, nullptr, 0, nullptr, &constructor) == napi_ok &&
        napi_get_named_property(env, constructor, "prototype", &prototype) == napi_ok &&
        napi_define_properties(env, prototype, methods.size(), methods.data()) == napi_ok) {
        Environment::of(env).set_constructor(static_cast<size_t>(kind), constructor);
    }
}

Napi::Object make_tagged(Napi::Env env, Kind kind, void *holder, napi_finalize finalize) {
    napi_value constructor = Environment::of(env).constructor(static_cast<size_t>(kind));
    napi_value object = nullptr;
    const napi_type_tag tag = tag_of(kind);
    if (constructor == nullptr || napi_new_instance(env, constructor, 0, nullptr, &object) != napi_ok ||
        napi_type_tag_object(env, object, &tag) != napi_ok ||
        napi_wrap(env, object, holder, finalize, nullptr, nullptr) != napi_ok) {
        return {};
    }
    return Napi::Object(env, object);
}

void *wrapped_in(napi_env env, napi_value value, Kind kind) {
    const napi_type_tag tag = tag_of(kind);
    napi_valuetype type = napi_undefined;
    bool ours = false;
    void *holder = nullptr;
    return napi_typeof(env, value, &type) == napi_ok && type == napi_object &&
                   napi_check_object_type_tag(env, value, &tag, &ours) == napi_ok && ours &&
                   napi_unwrap(env, value, &holder) == napi_ok
               ? holder
               : nullptr;
}

void *receiver_of(const Napi::CallbackInfo &info, Kind kind, const char *name) {
    const Napi::Env env = info.Env();
    void *holder = wrapped_in(env, info.This(), kind);
    if (holder == nullptr && !env.IsExceptionPending()) {
        throw_type_error(env, std::string("the receiver is not a ") + name);
    }
    return holder;
}

} // namespace minipend
