// SPDX-License-Identifier: MIT
//
// This module provides: tests of what drivers do wrong with contexts of streams, files and volumes, and of contexts while files are closed and instances go
// [CTX-05, CTX-07].

#include "flt/recorder.hpp"

#include <atomic>
#include <fltsim_user.h>

#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

constexpr DWORD SHARE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
constexpr SIZE_T BYTES = 16;

std::atomic<int> g_cleanups{0};

void FLTAPI on_cleanup(PFLT_CONTEXT, FLT_CONTEXT_TYPE) {
    ++g_cleanups;
}

struct Subject : Driver {
    PFLT_INSTANCE instance = nullptr;
    PFLT_VOLUME volume = nullptr;
    PFILE_OBJECT file = nullptr;

    Subject() : Driver(u"one") {
        for (const FLT_CONTEXT_TYPE type : {FLT_VOLUME_CONTEXT, FLT_FILE_CONTEXT, FLT_STREAM_CONTEXT}) {
            FLT_CONTEXT_REGISTRATION definition{};
            definition.ContextType = type;
            definition.ContextCleanupCallback = on_cleanup;
            definition.Size = BYTES;
            definition.PoolTag = 0x74657374;
            contexts.push_back(definition);
        }
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
    PFLT_CONTEXT make(FLT_CONTEXT_TYPE type) const {
        PFLT_CONTEXT context = nullptr;
        CHECK_EQ(FltAllocateContext(filter, type, BYTES, NonPagedPoolNx, &context), STATUS_SUCCESS);
        return context;
    }
    /// One with a link and no other reference.
    PFLT_CONTEXT set(FLT_CONTEXT_TYPE type) const {
        const PFLT_CONTEXT context = make(type);
        const auto operation = FLT_SET_CONTEXT_KEEP_IF_EXISTS;
        CHECK_EQ(type == FLT_VOLUME_CONTEXT ? FltSetVolumeContext(volume, operation, context, nullptr)
                 : type == FLT_FILE_CONTEXT ? FltSetFileContext(instance, file, operation, context, nullptr)
                                            : FltSetStreamContext(instance, file, operation, context, nullptr),
                 STATUS_SUCCESS);
        FltReleaseContext(context);
        return context;
    }
};

/// A world with the subject on D: and one file open there.
std::string with_open_file(const std::function<void(Subject &, HANDLE)> &fn) {
    g_cleanups = 0;
    return run_known(Executor::Fibers, [&](Bench &bench) {
        Subject one;
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        CHECK_EQ(FilterAttach(u"one", u"D:", nullptr, 0, nullptr), S_OK);
        const HANDLE handle = CreateFileW(u"D:\\a", GENERIC_READ, SHARE, nullptr, OPEN_ALWAYS, 0, nullptr);
        fn(one, handle);
        CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
    });
}

constexpr FLT_CONTEXT_TYPE TYPES[] = {FLT_STREAM_CONTEXT, FLT_FILE_CONTEXT, FLT_VOLUME_CONTEXT};

} // namespace

TEST(references_that_are_wrong) {
    for (const FLT_CONTEXT_TYPE type : TYPES) {
        CHECK(check::stopped_on(with_open_file([&](Subject &one, HANDLE) { FltReleaseContext(one.set(type)); }),
                                "F5/6D"));
        CHECK(check::stopped_on(with_open_file([&](Subject &one, HANDLE handle) {
                                    const PFLT_CONTEXT context = one.set(type);
                                    CloseHandle(handle); // the stream's end, and the file's
                                    FilterDetach(u"one", u"D:", nullptr); // the volume's
                                    CHECK_EQ(g_cleanups.load(), 1);
                                    FltReferenceContext(context);
                                }),
                                "F5/6E"));
        CHECK(check::stopped_on(with_open_file([&](Subject &one, HANDLE handle) {
                                    FLT_RELATED_CONTEXTS all{};
                                    all.StreamContext = one.make(type);
                                    FltReleaseContexts(&all);
                                    FltReleaseContexts(&all);
                                    CloseHandle(handle);
                                }),
                                "F5/6E"));
    }
}

TEST(leaks_name_the_type) {
    const std::pair<FLT_CONTEXT_TYPE, const char *> kinds[] = {
        {FLT_STREAM_CONTEXT, "filter one: 2 stream context(s) were not released (V10)"},
        {FLT_FILE_CONTEXT, "filter one: 2 file context(s) were not released (V10)"},
        {FLT_VOLUME_CONTEXT, "filter one: 2 volume context(s) were not released (V10)"}};
    for (const auto &[type, text] : kinds) {
        const std::string report = with_open_file([type = type](Subject &one, HANDLE handle) {
            one.make(type); // never released
            FltReferenceContext(one.set(type)); // nor is this one, which loses its link
            CloseHandle(handle);
        });
        CHECK(check::contains(report, text));
        CHECK_EQ(g_cleanups.load(), 0);
    }
}

TEST(irql_limits) {
    const std::function<void(Subject &)> calls[] = {
        [](Subject &one) {
            FltSetStreamContext(one.instance, one.file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, &one, nullptr);
        },
        [](Subject &one) { FltSetFileContext(one.instance, one.file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, &one, nullptr); },
        [](Subject &one) { FltSetVolumeContext(one.volume, FLT_SET_CONTEXT_KEEP_IF_EXISTS, &one, nullptr); },
        [](Subject &one) {
            PFLT_CONTEXT context = nullptr;
            FltGetStreamContext(one.instance, one.file, &context);
        },
        [](Subject &one) {
            PFLT_CONTEXT context = nullptr;
            FltGetFileContext(one.instance, one.file, &context);
        },
        [](Subject &one) {
            PFLT_CONTEXT context = nullptr;
            FltGetVolumeContext(one.filter, one.volume, &context);
        },
        [](Subject &one) { FltDeleteStreamContext(one.instance, one.file, nullptr); },
        [](Subject &one) { FltDeleteFileContext(one.instance, one.file, nullptr); },
        [](Subject &one) { FltDeleteVolumeContext(one.filter, one.volume, nullptr); },
        [](Subject &one) { FltSupportsStreamContexts(one.file); },
        [](Subject &one) { FltSupportsFileContexts(one.file); },
        [](Subject &one) { FltSupportsFileContextsEx(one.file, one.instance); },
        [](Subject &) {
            FLT_RELATED_CONTEXTS none{};
            FltReleaseContexts(&none);
        }};
    for (const auto &call : calls) {
        CHECK(check::stopped_on(with_open_file([&](Subject &one, HANDLE) {
                                    const IrqlScope irql(DISPATCH_LEVEL);
                                    call(one);
                                }),
                                "V5"));
    }
}

/// The last reference may go at DISPATCH_LEVEL; the cleanup callback still runs where it may.
TEST(last_reference_at_dispatch_level) {
    const std::string report = with_open_file([](Subject &one, HANDLE handle) {
        const PFLT_CONTEXT context = one.make(FLT_STREAM_CONTEXT);
        CHECK_EQ(FltSetStreamContext(one.instance, one.file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr),
                 STATUS_SUCCESS);
        CloseHandle(handle);
        CHECK_EQ(g_cleanups.load(), 0);
        {
            const IrqlScope irql(DISPATCH_LEVEL);
            FltReleaseContext(context);
        }
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
    CHECK_EQ(g_cleanups.load(), 1);
}

/// Threads open, write and close the same few files while their instance comes and goes, or the volume is dismounted. Every context that was made has its
/// cleanup, once; none hangs on what is gone.
TEST(contexts_while_everything_goes) {
    int defined = 0; ///< somebody was faster
    int deleting = 0; ///< the instance was on its way out
    int unsupported = 0; ///< a late call: closed
    int found = 0;
    for (uint64_t seed = 1; seed <= 120; ++seed) {
        g_cleanups = 0;
        int made = 0;
        int threads = 0;
        const std::string report = run_known(
            Executor::Fibers,
            [&](Bench &bench) {
                Subject one;
                const auto count = [&](NTSTATUS status) {
                    defined += status == STATUS_FLT_CONTEXT_ALREADY_DEFINED;
                    deleting += status == STATUS_FLT_DELETING_OBJECT;
                    unsupported += status == STATUS_NOT_SUPPORTED;
                    CHECK(status == STATUS_SUCCESS || status == STATUS_FLT_CONTEXT_ALREADY_DEFINED ||
                          status == STATUS_FLT_DELETING_OBJECT || status == STATUS_NOT_SUPPORTED);
                };
                const auto set = [&](PCFLT_RELATED_OBJECTS objects, FLT_SET_CONTEXT_OPERATION operation) {
                    for (const FLT_CONTEXT_TYPE type : TYPES) {
                        PFLT_CONTEXT context = nullptr;
                        PFLT_CONTEXT old = nullptr;
                        if (!NT_SUCCESS(FltAllocateContext(objects->Filter, type, BYTES, NonPagedPoolNx, &context))) {
                            continue; // the filter is going
                        }
                        ++made;
                        count(type == FLT_VOLUME_CONTEXT
                                  ? FltSetVolumeContext(objects->Volume, operation, context, &old)
                              : type == FLT_FILE_CONTEXT
                                  ? FltSetFileContext(objects->Instance, objects->FileObject, operation, context, &old)
                                  : FltSetStreamContext(objects->Instance, objects->FileObject, operation, context,
                                                        operation == FLT_SET_CONTEXT_KEEP_IF_EXISTS ? &old : nullptr));
                        FltReleaseContext(context);
                        if (old) {
                            FltReleaseContext(old);
                        }
                    }
                };
                one.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                    if (data->Iopb->MajorFunction == IRP_MJ_READ) {
                        FLT_RELATED_CONTEXTS all{};
                        FltGetContexts(objects, FLT_ALL_CONTEXTS, &all);
                        found += all.StreamContext != nullptr;
                        if (all.StreamContext && seed % 2 == 0) {
                            FltDeleteContext(all.StreamContext);
                        }
                        FltReleaseContexts(&all);
                    } else if (data->Iopb->MajorFunction == IRP_MJ_CLEANUP) {
                        set(objects, FLT_SET_CONTEXT_REPLACE_IF_EXISTS);
                    } else if (data->Iopb->MajorFunction == IRP_MJ_CLOSE) {
                        FltDeleteFileContext(objects->Instance, objects->FileObject, nullptr);
                    }
                    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
                };
                one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID,
                               FLT_POST_OPERATION_FLAGS flags) {
                    const UCHAR major = data->Iopb->MajorFunction;
                    if (flags == 0 && NT_SUCCESS(data->IoStatus.Status) &&
                        (major == IRP_MJ_CREATE || major == IRP_MJ_CLOSE)) {
                        set(objects, FLT_SET_CONTEXT_KEEP_IF_EXISTS);
                    }
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
                CHECK_EQ(FilterAttach(u"one", u"D:", nullptr, 0, nullptr), S_OK);
                threads = 3;
                for (int i = 0; i < 3; ++i) {
                    bench.start("user", [&, i] {
                        for (int round = 0; round < 4; ++round) {
                            const HANDLE handle = CreateFileW((i + round) % 3 == 0 ? u"D:\\b" : u"D:\\a", GENERIC_READ,
                                                              SHARE, nullptr, OPEN_ALWAYS, 0, nullptr);
                            char byte = 0;
                            DWORD bytes = 0;
                            ReadFile(handle, &byte, 1, &bytes, nullptr);
                            CloseHandle(handle);
                        }
                        --threads;
                    });
                }
                for (int round = 0; round < 2; ++round) {
                    if (seed % 3 == 0) {
                        int32_t status = 0;
                        FltSimDismountVolume(bench.world.number, "D:", &status);
                    } else {
                        FilterDetach(u"one", u"D:", nullptr);
                    }
                    FilterAttach(u"one", u"D:", nullptr, 0, nullptr);
                }
                if (seed % 4 == 0) {
                    CHECK_EQ(bench.unload(one), STATUS_SUCCESS); // while they go on
                }
                CHECK(bench.wait_until([&] { return threads == 0; }));
                if (one.filter) {
                    CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
                }
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
        CHECK_EQ(g_cleanups.load(), made);
    }
    // Each of the races was met.
    CHECK(defined > 0);
    CHECK(deleting > 0);
    CHECK(unsupported > 0);
    CHECK(found > 0);
}

} // namespace MINIPEND_TEST_FILE
