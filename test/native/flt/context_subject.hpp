// SPDX-License-Identifier: MIT
//
// This module provides: a filter with contexts of every type on everything, for the tests of contexts.
#pragma once

#include "flt/recorder.hpp"

#include <fltsim_user.h>

namespace context_subject {

using namespace recorder;

constexpr DWORD SHARE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

inline HANDLE open(const char16_t *path, DWORD disposition = OPEN_ALWAYS) {
    const HANDLE handle = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, SHARE, nullptr, disposition, 0, nullptr);
    CHECK(handle != INVALID_HANDLE_VALUE);
    return handle;
}

/// What a context of these tests is.
struct Tag {
    char name;
};

inline std::string g_cleaned; ///< the names, in the order in which their cleanup callbacks ran

inline void FLTAPI on_cleanup(PFLT_CONTEXT context, FLT_CONTEXT_TYPE) {
    g_cleaned += static_cast<Tag *>(context)->name;
}

inline std::vector<FLT_CONTEXT_REGISTRATION> definitions() {
    std::vector<FLT_CONTEXT_REGISTRATION> all;
    for (const FLT_CONTEXT_TYPE type :
         {FLT_VOLUME_CONTEXT, FLT_INSTANCE_CONTEXT, FLT_FILE_CONTEXT, FLT_STREAM_CONTEXT, FLT_STREAMHANDLE_CONTEXT}) {
        FLT_CONTEXT_REGISTRATION definition{};
        definition.ContextType = type;
        definition.ContextCleanupCallback = on_cleanup;
        definition.Size = type == FLT_FILE_CONTEXT ? FLT_VARIABLE_SIZED_CONTEXTS : sizeof(Tag);
        definition.PoolTag = 0x74657374;
        all.push_back(definition);
    }
    return all;
}

/// A filter that notes what it was last told of an open, with what its callbacks were told.
struct Subject : Driver {
    PFLT_INSTANCE instance = nullptr;
    PFLT_VOLUME volume = nullptr;
    PFILE_OBJECT file = nullptr; ///< that was opened last

    explicit Subject(std::u16string name, std::u16string altitude = u"100000") : Driver(name, altitude) {
        contexts = definitions();
        pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SUCCESS_WITH_CALLBACK; };
        post = [this](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                instance = objects->Instance;
                volume = objects->Volume;
                file = objects->FileObject;
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
    }
    PFILE_OBJECT open(HANDLE *handle, const char16_t *path) {
        *handle = context_subject::open(path);
        return file;
    }
    PFLT_CONTEXT make(FLT_CONTEXT_TYPE type, char name, SIZE_T bytes = sizeof(Tag)) const {
        PFLT_CONTEXT context = nullptr;
        CHECK_EQ(FltAllocateContext(filter, type, bytes, NonPagedPoolNx, &context), STATUS_SUCCESS);
        static_cast<Tag *>(context)->name = name;
        return context;
    }
    /// Makes one, hangs it where it belongs and gives the reference of the allocation up.
    NTSTATUS set(PFILE_OBJECT of, FLT_CONTEXT_TYPE type, char name,
                 FLT_SET_CONTEXT_OPERATION operation = FLT_SET_CONTEXT_KEEP_IF_EXISTS, PFLT_CONTEXT *old = nullptr) {
        const PFLT_CONTEXT context = make(type, name);
        const NTSTATUS status =
            type == FLT_VOLUME_CONTEXT     ? FltSetVolumeContext(volume, operation, context, old)
            : type == FLT_INSTANCE_CONTEXT ? FltSetInstanceContext(instance, operation, context, old)
            : type == FLT_FILE_CONTEXT     ? FltSetFileContext(instance, of, operation, context, old)
            : type == FLT_STREAM_CONTEXT   ? FltSetStreamContext(instance, of, operation, context, old)
                                           : FltSetStreamHandleContext(instance, of, operation, context, old);
        FltReleaseContext(context);
        return status;
    }
    /// Its name, or '-' (STATUS_NOT_FOUND) or '!' (STATUS_NOT_SUPPORTED).
    char get(PFILE_OBJECT of, FLT_CONTEXT_TYPE type) {
        PFLT_CONTEXT context = nullptr;
        const NTSTATUS status = type == FLT_VOLUME_CONTEXT     ? FltGetVolumeContext(filter, volume, &context)
                                : type == FLT_INSTANCE_CONTEXT ? FltGetInstanceContext(instance, &context)
                                : type == FLT_FILE_CONTEXT     ? FltGetFileContext(instance, of, &context)
                                : type == FLT_STREAM_CONTEXT   ? FltGetStreamContext(instance, of, &context)
                                                               : FltGetStreamHandleContext(instance, of, &context);
        if (!NT_SUCCESS(status)) {
            CHECK(context == nullptr);
            CHECK(status == STATUS_NOT_FOUND || status == STATUS_NOT_SUPPORTED);
            return status == STATUS_NOT_FOUND ? '-' : '!';
        }
        const char name = static_cast<Tag *>(context)->name;
        FltReleaseContext(context);
        return name;
    }
};

/// A world with `one`, attached to D:.
inline std::string with_subject(const std::function<void(Bench &, Subject &)> &fn, uint64_t seed = 1) {
    g_cleaned.clear();
    return run_known(
        Executor::Fibers,
        [&](Bench &bench) {
            Subject one(u"one");
            REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
            CHECK_EQ(FilterAttach(u"one", u"D:", nullptr, 0, nullptr), S_OK);
            fn(bench, one);
            if (one.filter) {
                CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
            }
        },
        seed);
}

inline void expect_clean(const std::string &report) {
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

/// How many handles a test has open are CloseHandle's business; the file system closes at once, nothing is cached.
inline void close(HANDLE handle) {
    CHECK(CloseHandle(handle) != FALSE);
}

} // namespace context_subject
