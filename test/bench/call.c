// SPDX-License-Identifier: MIT
//
// This module provides: minipend_bench_call.node: C functions called through Node-API on the JavaScript thread, as a hand-written addon would, to
// compare with koffi and ffi-napi. The product's own addon has no synchronous calls.
//
//   open(library): loads it and finds the functions. Once.
//   lastError() -> number: GetLastError, which does nothing.
//   sendMessage(port: BigInt, input: Uint8Array, output: Uint8Array, returned: Uint32Array) -> HRESULT

#include <dlfcn.h>
#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t (*GET_LAST_ERROR)(void);
typedef int32_t (*FILTER_SEND_MESSAGE)(void *, void *, uint32_t, void *, uint32_t, uint32_t *);

static GET_LAST_ERROR g_getLastError;
static FILTER_SEND_MESSAGE g_filterSendMessage;

static napi_value fail(napi_env env, const char *what) {
    napi_throw_error(env, NULL, what);
    return NULL;
}

static napi_value open_library(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument = NULL;
    char path[4096];
    if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1 ||
        napi_get_value_string_utf8(env, argument, path, sizeof path, NULL) != napi_ok) {
        return fail(env, "open(library)");
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return fail(env, dlerror());
    }
    g_getLastError = (GET_LAST_ERROR)dlsym(library, "GetLastError");
    g_filterSendMessage = (FILTER_SEND_MESSAGE)dlsym(library, "FilterSendMessage");
    return g_getLastError != NULL && g_filterSendMessage != NULL ? NULL : fail(env, "a function is missing");
}

static napi_value last_error(napi_env env, napi_callback_info info) {
    napi_value result = NULL;
    (void)info;
    napi_create_uint32(env, g_getLastError(), &result);
    return result;
}

static napi_value send_message(napi_env env, napi_callback_info info) {
    size_t count = 4;
    napi_value arguments[4];
    uint64_t port = 0;
    bool lossless = false;
    void *data[3] = {NULL, NULL, NULL};
    size_t length[3] = {0, 0, 0};
    if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 4 ||
        napi_get_value_bigint_uint64(env, arguments[0], &port, &lossless) != napi_ok) {
        return fail(env, "sendMessage(port, input, output, returned)");
    }
    for (int i = 0; i < 3; ++i) {
        napi_typedarray_type type;
        if (napi_get_typedarray_info(env, arguments[i + 1], &type, &length[i], &data[i], NULL, NULL) != napi_ok) {
            return fail(env, "input, output and returned are typed arrays");
        }
    }
    const int32_t hresult = g_filterSendMessage((void *)(uintptr_t)port, data[0], (uint32_t)length[0], data[1],
                                                (uint32_t)length[1], (uint32_t *)data[2]);
    napi_value result = NULL;
    napi_create_int32(env, hresult, &result);
    return result;
}

NAPI_MODULE_INIT() {
    const napi_property_descriptor functions[] = {
        {"open", NULL, open_library, NULL, NULL, NULL, napi_default, NULL},
        {"lastError", NULL, last_error, NULL, NULL, NULL, napi_default, NULL},
        {"sendMessage", NULL, send_message, NULL, NULL, NULL, napi_default, NULL},
    };
    napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
    return exports;
}
