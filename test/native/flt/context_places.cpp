// SPDX-License-Identifier: MIT
//
// This module provides: tests of contexts of streams, files and volumes: whose they are, when they go, what has none [CTX-02..07].

#include "flt/recorder.hpp"

#include <fltsim_user.h>

#include "core/image.hpp"
#include "fltsim.h"
#include "io/internal.hpp"

using namespace recorder;

namespace {

constexpr DWORD SHARE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

HANDLE open(const char16_t *path, DWORD disposition = OPEN_ALWAYS) {
    const HANDLE handle = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, SHARE, nullptr, disposition, 0, nullptr);
    CHECK(handle != INVALID_HANDLE_VALUE);
    return handle;
}

/// What a context of these tests is.
struct Tag {
    char name;
};

std::string g_cleaned; ///< the names, in the order in which their cleanup callbacks ran

void FLTAPI on_cleanup(PFLT_CONTEXT context, FLT_CONTEXT_TYPE) {
    g_cleaned += static_cast<Tag *>(context)->name;
}

std::vector<FLT_CONTEXT_REGISTRATION> definitions() {
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
        *handle = ::open(path);
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
std::string with_subject(const std::function<void(Bench &, Subject &)> &fn, uint64_t seed = 1) {
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

void expect_clean(const std::string &report) {
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

/// How many handles a test has open are CloseHandle's business; the file system closes at once, nothing is cached.
void close(HANDLE handle) {
    CHECK(CloseHandle(handle) != FALSE);
}

} // namespace

TEST(one_for_each_stream_and_file) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        HANDLE first = nullptr, second = nullptr, named = nullptr, other = nullptr;
        const PFILE_OBJECT first_file = one.open(&first, u"D:\\a");
        const PFILE_OBJECT second_file = one.open(&second, u"D:\\a");
        const PFILE_OBJECT named_file = one.open(&named, u"D:\\a:named");
        const PFILE_OBJECT other_file = one.open(&other, u"D:\\b");
        CHECK_EQ(one.get(first_file, FLT_STREAM_CONTEXT), '-');
        CHECK_EQ(one.set(first_file, FLT_STREAM_CONTEXT, 's'), STATUS_SUCCESS);
        CHECK_EQ(one.set(first_file, FLT_FILE_CONTEXT, 'f'), STATUS_SUCCESS);
        CHECK_EQ(one.set(first_file, FLT_STREAMHANDLE_CONTEXT, 'h'), STATUS_SUCCESS);
        for (const auto &[file, seen] : {std::pair{first_file, "sfh"}, std::pair{second_file, "sf-"},
                                         std::pair{named_file, "-f-"}, std::pair{other_file, "---"}}) {
            const std::string found{one.get(file, FLT_STREAM_CONTEXT), one.get(file, FLT_FILE_CONTEXT),
                                    one.get(file, FLT_STREAMHANDLE_CONTEXT)};
            CHECK_EQ(found, std::string(seen));
        }
        CHECK_EQ(g_cleaned, std::string());
        close(first);
        CHECK_EQ(g_cleaned, std::string("h"));
        CHECK_EQ(one.get(second_file, FLT_STREAM_CONTEXT), 's'); // the stream is open still
        close(second);
        CHECK_EQ(g_cleaned, std::string("hs"));
        CHECK_EQ(one.get(named_file, FLT_FILE_CONTEXT), 'f'); // and so is the file
        close(named);
        CHECK_EQ(g_cleaned, std::string("hsf"));
        CHECK_EQ(one.get(one.open(&first, u"D:\\a"), FLT_STREAM_CONTEXT), '-');
        CHECK_EQ(one.get(one.file, FLT_FILE_CONTEXT), '-');
        close(first);
        close(other);
    }));
}

TEST(one_for_each_instance) {
    expect_clean(with_subject([](Bench &bench, Subject &one) {
        Subject two(u"two", u"200000");
        REQUIRE(two.load(bench.world) == STATUS_SUCCESS);
        CHECK_EQ(FilterAttach(u"two", u"D:", nullptr, 0, nullptr), S_OK);
        HANDLE handle = nullptr;
        const PFILE_OBJECT file = one.open(&handle, u"D:\\a");
        for (const FLT_CONTEXT_TYPE type : {FLT_STREAM_CONTEXT, FLT_FILE_CONTEXT, FLT_VOLUME_CONTEXT}) {
            CHECK_EQ(one.set(file, type, '1'), STATUS_SUCCESS);
            CHECK_EQ(two.get(file, type), '-');
            CHECK_EQ(two.set(file, type, '2'), STATUS_SUCCESS);
            CHECK_EQ(one.get(file, type), '1');
        }
        // Somebody else's context, or one of another type, does not fit.
        const PFLT_CONTEXT foreign = two.make(FLT_STREAM_CONTEXT, 'x');
        CHECK_EQ(FltSetStreamContext(one.instance, file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, foreign, nullptr),
                 STATUS_INVALID_PARAMETER);
        CHECK_EQ(FltSetFileContext(two.instance, file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, foreign, nullptr),
                 STATUS_INVALID_PARAMETER);
        CHECK_EQ(FltSetVolumeContext(two.volume, FLT_SET_CONTEXT_KEEP_IF_EXISTS, foreign, nullptr),
                 STATUS_INVALID_PARAMETER);
        FltReleaseContext(foreign);
        CHECK_EQ(g_cleaned, std::string("x"));
        CHECK_EQ(bench.unload(two), STATUS_SUCCESS);
        CHECK_EQ(g_cleaned, std::string("x222"));
        CHECK_EQ(one.get(file, FLT_STREAM_CONTEXT), '1');
        close(handle);
    }));
    CHECK_EQ(g_cleaned, std::string("x222111"));
}

TEST(keep_replace_and_delete) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        HANDLE handle = nullptr;
        const PFILE_OBJECT file = one.open(&handle, u"D:\\a");
        for (const FLT_CONTEXT_TYPE type :
             {FLT_STREAM_CONTEXT, FLT_FILE_CONTEXT, FLT_VOLUME_CONTEXT, FLT_STREAMHANDLE_CONTEXT}) {
            g_cleaned.clear();
            const auto remove = [&](PFLT_CONTEXT *old) {
                return type == FLT_STREAM_CONTEXT         ? FltDeleteStreamContext(one.instance, file, old)
                       : type == FLT_FILE_CONTEXT         ? FltDeleteFileContext(one.instance, file, old)
                       : type == FLT_STREAMHANDLE_CONTEXT ? FltDeleteStreamHandleContext(one.instance, file, old)
                                                          : FltDeleteVolumeContext(one.filter, one.volume, old);
            };
            PFLT_CONTEXT old = &handle;
            CHECK_EQ(remove(&old), STATUS_NOT_FOUND);
            CHECK(old == nullptr);
            CHECK_EQ(one.set(file, type, 'a', FLT_SET_CONTEXT_REPLACE_IF_EXISTS, &old), STATUS_SUCCESS);
            CHECK(old == nullptr);
            CHECK_EQ(one.set(file, type, 'b', FLT_SET_CONTEXT_KEEP_IF_EXISTS, &old),
                     STATUS_FLT_CONTEXT_ALREADY_DEFINED);
            REQUIRE(old != nullptr);
            CHECK_EQ(static_cast<Tag *>(old)->name, 'a');
            CHECK_EQ(g_cleaned, std::string("b"));
            CHECK_EQ(one.set(file, type, 'c', FLT_SET_CONTEXT_REPLACE_IF_EXISTS), STATUS_SUCCESS);
            CHECK_EQ(g_cleaned, std::string("b")); // OldContext holds it
            FltReleaseContext(old);
            CHECK_EQ(g_cleaned, std::string("ba"));
            CHECK_EQ(one.set(file, type, 'd', FLT_SET_CONTEXT_REPLACE_IF_EXISTS, &old), STATUS_SUCCESS);
            CHECK_EQ(static_cast<Tag *>(old)->name, 'c');
            FltReleaseContext(old); // the link's reference, which became the caller's
            CHECK_EQ(g_cleaned, std::string("bac"));
            CHECK_EQ(one.get(file, type), 'd');
            CHECK_EQ(remove(&old), STATUS_SUCCESS);
            CHECK_EQ(one.get(file, type), '-');
            FltReleaseContext(old);
            CHECK_EQ(g_cleaned, std::string("bacd"));
            CHECK_EQ(one.set(file, type, 'e'), STATUS_SUCCESS);
            CHECK_EQ(remove(nullptr), STATUS_SUCCESS);
            CHECK_EQ(g_cleaned, std::string("bacde"));
            CHECK_EQ(one.set(file, type, 'f', static_cast<FLT_SET_CONTEXT_OPERATION>(2)), STATUS_INVALID_PARAMETER);
        }
        // One context cannot hang on two places; FltDeleteContext takes it off the one it is on.
        HANDLE other = nullptr;
        const PFILE_OBJECT other_file = one.open(&other, u"D:\\b");
        const PFLT_CONTEXT context = one.make(FLT_STREAM_CONTEXT, 'x');
        CHECK_EQ(FltSetStreamContext(one.instance, file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr),
                 STATUS_SUCCESS);
        CHECK_EQ(FltSetStreamContext(one.instance, other_file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr),
                 STATUS_FLT_CONTEXT_ALREADY_LINKED);
        FltDeleteContext(context);
        CHECK_EQ(one.get(file, FLT_STREAM_CONTEXT), '-');
        CHECK_EQ(FltSetStreamContext(one.instance, other_file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr),
                 STATUS_SUCCESS);
        FltReleaseContext(context);
        close(handle);
        CHECK_EQ(one.get(other_file, FLT_STREAM_CONTEXT), 'x');
        close(other);
    }));
}

TEST(allocation_by_type) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        PFLT_CONTEXT context = nullptr;
        CHECK_EQ(FltAllocateContext(one.filter, FLT_VOLUME_CONTEXT, sizeof(Tag), PagedPool, &context),
                 STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND);
        CHECK_EQ(FltAllocateContext(one.filter, FLT_STREAM_CONTEXT, sizeof(Tag) + 1, NonPagedPoolNx, &context),
                 STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND);
        CHECK_EQ(FltAllocateContext(one.filter, FLT_TRANSACTION_CONTEXT, sizeof(Tag), NonPagedPoolNx, &context),
                 STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND);
        FltReleaseContext(one.make(FLT_FILE_CONTEXT, 'f', 1000)); // of any size
        CHECK_EQ(g_cleaned, std::string("f"));
    }));
}

/// CTX-06: what is not open, not open any more, a volume, a paging file.
TEST(file_objects_without_contexts) {
    std::string seen;
    std::atomic<bool> paging_file_seen{false};
    expect_clean(with_subject([&](Bench &bench, Subject &one) {
        CHECK_EQ(FilterAttach(u"one", u"C:", nullptr, 0, nullptr), S_OK);
        const auto look = [&](PFILE_OBJECT file) {
            std::string text{one.get(file, FLT_STREAM_CONTEXT), one.get(file, FLT_FILE_CONTEXT),
                             one.get(file, FLT_STREAMHANDLE_CONTEXT)};
            text += FltSupportsStreamContexts(file) ? "S" : "";
            text += FltSupportsFileContexts(file) ? "F" : "";
            text += FltSupportsFileContextsEx(file, one.instance) ? "E" : "";
            text += FltSupportsFileContextsEx(file, nullptr) ? "N" : "";
            text += FltSupportsStreamHandleContexts(file) ? "H" : "";
            if (text.starts_with("!")) {
                for (const FLT_CONTEXT_TYPE type : {FLT_STREAM_CONTEXT, FLT_FILE_CONTEXT, FLT_STREAMHANDLE_CONTEXT}) {
                    CHECK_EQ(one.set(file, type, 'x'), STATUS_NOT_SUPPORTED);
                }
                CHECK_EQ(FltDeleteStreamContext(one.instance, file, nullptr), STATUS_NOT_SUPPORTED);
                CHECK_EQ(FltDeleteFileContext(one.instance, file, nullptr), STATUS_NOT_SUPPORTED);
            }
            return text + " ";
        };
        bool on = true;
        const auto noted = [](UCHAR major) {
            return major == IRP_MJ_CREATE || major == IRP_MJ_CLEANUP || major == IRP_MJ_CLOSE;
        };
        one.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            if (on && noted(data->Iopb->MajorFunction)) {
                one.instance = objects->Instance;
                seen += look(objects->FileObject);
            }
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (on && noted(data->Iopb->MajorFunction)) {
                seen += look(objects->FileObject);
                one.file = objects->FileObject;
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        close(open(u"D:\\a"));
        const std::string all = "---SFENH ";
        CHECK_EQ(seen, "!!! " + all + all + all + all + "!!! "); // not before the create, not after the close
        seen.clear();
        close(CreateFileW(u"\\\\.\\D:", GENERIC_READ, SHARE, nullptr, OPEN_EXISTING, 0, nullptr));
        CHECK_EQ(seen, std::string("!!! !!! !!! !!! !!! !!! "));
        CHECK(FltSupportsStreamContexts(nullptr) == FALSE);
        // FAT has no contexts for files; the Filter Manager makes up for it.
        CHECK_EQ(FilterAttach(u"one", u"E:", nullptr, 0, nullptr), S_OK);
        seen.clear();
        const HANDLE on_fat = open(u"E:\\a");
        CHECK_EQ(seen, std::string("!!! ---SEH "));
        CHECK_EQ(one.set(one.file, FLT_FILE_CONTEXT, 'f'), STATUS_SUCCESS);
        CHECK_EQ(one.get(one.file, FLT_FILE_CONTEXT), 'f');
        on = false;
        close(on_fat);
        on = true;
        seen.clear();
        bench.start("modified page writer", [&] {
            KernelCall call("MmPageFault");
            std::string page(4096, 'p');
            CHECK_EQ(world().io->paging_file_io(true, 0, page.data(), 4096), STATUS_SUCCESS);
            paging_file_seen = true;
        });
        CHECK(bench.wait_until([&] { return paging_file_seen.load(); }));
        CHECK_EQ(seen, std::string("!!! !!! "));
        on = false;
    }));
}

/// A volume's context goes with the last instance that its filter has there.
TEST(volume_contexts) {
    expect_clean(with_subject([](Bench &bench, Subject &one) {
        HANDLE handle = nullptr;
        one.open(&handle, u"D:\\a");
        const PFLT_VOLUME volume = one.volume;
        CHECK_EQ(FilterAttach(u"one", u"D:", u"second", 0, nullptr), static_cast<HRESULT>(0x80070002));
        {
            KernelCall call("FilterAttachAtAltitude");
            CHECK_EQ(
                bench.world.flt->attach(u"one", *bench.world.io->volume_by_dos(u"D:"), u"second", u"100001", nullptr),
                STATUS_SUCCESS);
        }
        CHECK_EQ(one.set(nullptr, FLT_VOLUME_CONTEXT, 'v'), STATUS_SUCCESS);
        CHECK_EQ(FilterDetach(u"one", u"D:", u"second"), S_OK);
        CHECK_EQ(one.get(nullptr, FLT_VOLUME_CONTEXT), 'v');
        CHECK_EQ(FilterDetach(u"one", u"D:", nullptr), S_OK);
        CHECK_EQ(g_cleaned, std::string("v"));
        CHECK_EQ(one.get(nullptr, FLT_VOLUME_CONTEXT), '-');
        // Without an instance there: until the dismount, or until the filter goes.
        CHECK_EQ(one.set(nullptr, FLT_VOLUME_CONTEXT, 'w'), STATUS_SUCCESS);
        CHECK_EQ(one.get(nullptr, FLT_VOLUME_CONTEXT), 'w');
        int32_t status = STATUS_PENDING;
        CHECK_EQ(FltSimDismountVolume(bench.world.number, "D:", &status), 0);
        CHECK_EQ(status, STATUS_SUCCESS);
        CHECK_EQ(g_cleaned, std::string("vw"));
        CHECK(one.volume == volume);
        CHECK_EQ(one.set(nullptr, FLT_VOLUME_CONTEXT, 'x'), STATUS_FLT_DELETING_OBJECT);
        CHECK_EQ(FltDeleteVolumeContext(one.filter, volume, nullptr), STATUS_FLT_DELETING_OBJECT);
        close(handle);
        // The new mount is another volume, and an open on it another stream.
        CHECK_EQ(FilterAttach(u"one", u"D:", nullptr, 0, nullptr), S_OK);
        const PFILE_OBJECT file = one.open(&handle, u"D:\\a");
        CHECK(one.volume != volume);
        CHECK_EQ(one.get(file, FLT_VOLUME_CONTEXT), '-');
        CHECK_EQ(one.set(file, FLT_VOLUME_CONTEXT, 'y'), STATUS_SUCCESS);
        close(handle);
        CHECK_EQ(FltDeleteVolumeContext(one.filter, volume, nullptr), STATUS_FLT_DELETING_OBJECT);
        CHECK_EQ(g_cleaned, std::string("vwx"));
    }));
    CHECK_EQ(g_cleaned, std::string("vwxy"));
}

TEST(volume_contexts_without_an_instance_go_with_the_filter) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        HANDLE handle = nullptr;
        one.open(&handle, u"D:\\a");
        CHECK_EQ(FilterDetach(u"one", u"D:", nullptr), S_OK);
        CHECK_EQ(one.set(nullptr, FLT_VOLUME_CONTEXT, 'v'), STATUS_SUCCESS);
        close(handle);
        CHECK_EQ(g_cleaned, std::string());
    }));
    CHECK_EQ(g_cleaned, std::string("v"));
}

/// What is open loses its contexts with the instance; a reference of the driver's own keeps the memory.
TEST(teardown_takes_them_all) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        HANDLE handle = nullptr;
        const PFILE_OBJECT file = one.open(&handle, u"D:\\a");
        CHECK_EQ(one.set(file, FLT_VOLUME_CONTEXT, 'v'), STATUS_SUCCESS);
        CHECK_EQ(one.set(file, FLT_INSTANCE_CONTEXT, 'i'), STATUS_SUCCESS);
        CHECK_EQ(one.set(file, FLT_FILE_CONTEXT, 'f'), STATUS_SUCCESS);
        CHECK_EQ(one.set(file, FLT_STREAMHANDLE_CONTEXT, 'h'), STATUS_SUCCESS);
        const PFLT_CONTEXT held = one.make(FLT_STREAM_CONTEXT, 's');
        CHECK_EQ(FltSetStreamContext(one.instance, file, FLT_SET_CONTEXT_KEEP_IF_EXISTS, held, nullptr),
                 STATUS_SUCCESS);
        int asked = 0;
        const auto refused = [&](PCFLT_RELATED_OBJECTS, ULONG) {
            for (const FLT_CONTEXT_TYPE type :
                 {FLT_INSTANCE_CONTEXT, FLT_FILE_CONTEXT, FLT_STREAM_CONTEXT, FLT_STREAMHANDLE_CONTEXT}) {
                CHECK_EQ(one.set(file, type, 'x', FLT_SET_CONTEXT_REPLACE_IF_EXISTS), STATUS_FLT_DELETING_OBJECT);
            }
            CHECK_EQ(FltDeleteInstanceContext(one.instance, nullptr), STATUS_FLT_DELETING_OBJECT);
            CHECK_EQ(FltDeleteStreamContext(one.instance, file, nullptr), STATUS_FLT_DELETING_OBJECT);
            CHECK_EQ(FltDeleteFileContext(one.instance, file, nullptr), STATUS_FLT_DELETING_OBJECT);
            CHECK_EQ(FltDeleteStreamHandleContext(one.instance, file, nullptr), STATUS_FLT_DELETING_OBJECT);
            CHECK_EQ(one.get(file, FLT_FILE_CONTEXT), 'f'); // they are there until the end
            ++asked;
        };
        one.teardown_start = refused;
        one.teardown_complete = refused;
        CHECK_EQ(FilterDetach(u"one", u"D:", nullptr), S_OK);
        CHECK_EQ(asked, 2);
        // Those on files first, then the instance's, then the volume's.
        CHECK_EQ(g_cleaned, std::string("xxxxxxxxfhiv"));
        CHECK_EQ(static_cast<Tag *>(held)->name, 's');
        FltReleaseContext(held);
        CHECK_EQ(g_cleaned, std::string("xxxxxxxxfhivs"));
        close(handle);
    }));
}

TEST(related_contexts) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        HANDLE handle = nullptr;
        std::string before;
        std::string after;
        const auto look = [](PCFLT_RELATED_OBJECTS objects, FLT_CONTEXT_TYPE wanted) {
            FLT_RELATED_CONTEXTS all;
            memset(&all, 0xEE, sizeof all);
            FltGetContexts(objects, wanted, &all);
            std::string text;
            for (const PFLT_CONTEXT context : {all.VolumeContext, all.InstanceContext, all.FileContext,
                                               all.StreamContext, all.StreamHandleContext, all.TransactionContext}) {
                text += context ? static_cast<Tag *>(context)->name : '-';
            }
            FltReleaseContexts(&all);
            return text;
        };
        one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                one.instance = objects->Instance;
                one.volume = objects->Volume;
                one.file = objects->FileObject;
                before = look(objects, FLT_ALL_CONTEXTS);
                CHECK_EQ(one.set(one.file, FLT_VOLUME_CONTEXT, 'v'), STATUS_SUCCESS);
                CHECK_EQ(one.set(one.file, FLT_INSTANCE_CONTEXT, 'i'), STATUS_SUCCESS);
                CHECK_EQ(one.set(one.file, FLT_FILE_CONTEXT, 'f'), STATUS_SUCCESS);
                CHECK_EQ(one.set(one.file, FLT_STREAM_CONTEXT, 's'), STATUS_SUCCESS);
                CHECK_EQ(one.set(one.file, FLT_STREAMHANDLE_CONTEXT, 'h'), STATUS_SUCCESS);
                after = look(objects, FLT_ALL_CONTEXTS) + " " + look(objects, FLT_STREAM_CONTEXT | FLT_VOLUME_CONTEXT) +
                        " " + look(objects, 0);
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        handle = open(u"D:\\a");
        CHECK_EQ(before, std::string("------"));
        CHECK_EQ(after, std::string("vifsh- v--s-- ------"));
        CHECK_EQ(g_cleaned, std::string()); // each got its reference back
        close(handle);
        CHECK_EQ(g_cleaned, std::string("hsf"));
    }));
    CHECK_EQ(g_cleaned, std::string("hsfiv"));
}

/// What FltCancelFileOpen has undone has no contexts left.
TEST(a_cancelled_open_loses_its_contexts) {
    expect_clean(with_subject([](Bench &, Subject &one) {
        one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                one.instance = objects->Instance;
                CHECK_EQ(one.set(objects->FileObject, FLT_STREAM_CONTEXT, 's'), STATUS_SUCCESS);
                CHECK_EQ(one.set(objects->FileObject, FLT_FILE_CONTEXT, 'f'), STATUS_SUCCESS);
                FltCancelFileOpen(objects->Instance, objects->FileObject);
                CHECK_EQ(one.get(objects->FileObject, FLT_STREAM_CONTEXT), '!');
                data->IoStatus.Status = STATUS_ACCESS_DENIED;
                data->IoStatus.Information = 0;
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        CHECK(CreateFileW(u"D:\\a", GENERIC_READ, SHARE, nullptr, OPEN_ALWAYS, 0, nullptr) == INVALID_HANDLE_VALUE);
        CHECK_EQ(g_cleaned, std::string("sf"));
    }));
}
