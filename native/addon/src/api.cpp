// SPDX-License-Identifier: MIT
#include "api.hpp"

#include <cstring>
#include <vector>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#endif

namespace minipend {
namespace {

#if defined(_WIN32)

std::wstring widen(const std::string &text) {
    int length = MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), nullptr, 0);
    std::wstring wide(static_cast<size_t>(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), wide.data(), length);
    return wide;
}

struct Library {
    std::string name;
    HMODULE module = nullptr;

    bool open(const std::string &path, DWORD flags, std::string &message) {
        name = path;
        module = LoadLibraryExW(widen(path).c_str(), nullptr, flags);
        if (module == nullptr) {
            message = "cannot load " + path + " (Win32 error " + std::to_string(::GetLastError()) + ")";
        }
        return module != nullptr;
    }
    void *find(const char *symbol) const { return reinterpret_cast<void *>(GetProcAddress(module, symbol)); }
};

#else

struct Library {
    std::string name;
    void *module = nullptr;

    bool open(const std::string &path, std::string &message) {
        name = path;
        module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (module == nullptr) {
            const char *why = dlerror();
            message = "cannot load " + path + ": " + (why != nullptr ? why : "unknown error");
        }
        return module != nullptr;
    }
    void *find(const char *symbol) const { return dlsym(module, symbol); }
};

#endif

/// Null when the library does not export it.
template <class Pointer> void look_up(const Library &library, const char *symbol, Pointer &pointer) {
    void *address = library.find(symbol);
    static_assert(sizeof(address) == sizeof(pointer));
    std::memcpy(&pointer, &address, sizeof(pointer));
}

template <class Pointer> bool bind(const Library &library, const char *symbol, Pointer &pointer, std::string &message) {
    look_up(library, symbol, pointer);
    if (pointer == nullptr) {
        message = library.name + " does not export " + symbol;
    }
    return pointer != nullptr;
}

} // namespace

#define MINIPEND_BIND(Name)                                                                                            \
    if (!bind(*library, #Name, api->Name, message)) {                                                                  \
        return nullptr;                                                                                                \
    }

#define MINIPEND_LOOK_UP(Name, Result, Parameters) look_up(*library, #Name, api->nt.Name);

std::shared_ptr<const Api> load_embedded_api(const std::string &path, std::string &message) {
    Library fltsim;
    const Library *library = &fltsim;
#if defined(_WIN32)
    if (!fltsim.open(path, LOAD_WITH_ALTERED_SEARCH_PATH, message)) {
#else
    if (!fltsim.open(path, message)) {
#endif
        return nullptr;
    }
    auto api = std::make_shared<Api>();
    MINIPEND_FLTLIB_FUNCTIONS(MINIPEND_BIND)
    MINIPEND_KERNEL32_FUNCTIONS(MINIPEND_BIND)
    MINIPEND_FLTSIM_FUNCTIONS(MINIPEND_BIND)
    MINIPEND_BIND(RtlGetLastNtStatus)
    MINIPEND_BIND(RtlNtStatusToDosError)
    MINIPEND_NT_FUNCTIONS(MINIPEND_LOOK_UP)
    MINIPEND_COMPLETION_PORT_FUNCTIONS(MINIPEND_LOOK_UP)
    return api;
}

#if defined(_WIN32)

std::shared_ptr<const Api> load_windows_api(std::string &message) {
    Library fltlib, kernel32, ntdll;
    // From the system directory only: this process may run in a directory that others can write to.
    if (!fltlib.open("fltlib.dll", LOAD_LIBRARY_SEARCH_SYSTEM32, message) ||
        !kernel32.open("kernel32.dll", LOAD_LIBRARY_SEARCH_SYSTEM32, message) ||
        !ntdll.open("ntdll.dll", LOAD_LIBRARY_SEARCH_SYSTEM32, message)) {
        return nullptr;
    }
    auto api = std::make_shared<Api>();
    const Library *library = &fltlib;
    MINIPEND_FLTLIB_FUNCTIONS(MINIPEND_BIND)
    library = &kernel32;
    MINIPEND_KERNEL32_FUNCTIONS(MINIPEND_BIND)
    MINIPEND_COMPLETION_PORT_FUNCTIONS(MINIPEND_LOOK_UP)
    library = &ntdll;
    MINIPEND_BIND(RtlGetLastNtStatus)
    MINIPEND_BIND(RtlNtStatusToDosError)
    MINIPEND_NT_FUNCTIONS(MINIPEND_LOOK_UP)
    return api;
}

// The kernel copies between a process and itself: a page fault that fails ends the call, not this process. That works with
// every compiler, while __try does not.
uint32_t copy_from_view(void *to, const void *view, size_t bytes) {
    SIZE_T done = 0;
    return ReadProcessMemory(GetCurrentProcess(), view, to, bytes, &done) ? 0 : ::GetLastError();
}

uint32_t copy_to_view(void *view, const void *from, size_t bytes) {
    SIZE_T done = 0;
    return WriteProcessMemory(GetCurrentProcess(), view, from, bytes, &done) ? 0 : ::GetLastError();
}

uint32_t system_thread_id() {
    return ::GetCurrentThreadId();
}

void pin_this_module() {
    HMODULE self = nullptr;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                       reinterpret_cast<LPCWSTR>(&pin_this_module), &self);
}

#else

std::shared_ptr<const Api> load_windows_api(std::string &message) {
    message = "the windows backend needs Windows: fltlib.dll is not here";
    return nullptr;
}

uint32_t copy_from_view(void *to, const void *view, size_t bytes) {
    std::memcpy(to, view, bytes);
    return 0;
}

uint32_t copy_to_view(void *view, const void *from, size_t bytes) {
    std::memcpy(view, from, bytes);
    return 0;
}

uint32_t system_thread_id() {
#if defined(__linux__)
    return static_cast<uint32_t>(syscall(SYS_gettid));
#elif defined(__APPLE__)
    uint64_t id = 0;
    pthread_threadid_np(nullptr, &id);
    return static_cast<uint32_t>(id);
#else
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pthread_self()));
#endif
}

void pin_this_module() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void *>(&pin_this_module), &info) != 0 && info.dli_fname != nullptr) {
        // The reference is kept on purpose.
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
}

#endif

} // namespace minipend
