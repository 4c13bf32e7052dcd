// SPDX-License-Identifier: MIT
//
// This module provides: tests of contexts of streams and files: whose they are, what has none [CTX-02..06].

#include "flt/context_subject.hpp"

#include <atomic>

namespace MINIPEND_TEST_FILE {

using namespace context_subject;

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

/// Two instances of one filter on one volume have contexts of their own, and share the volume's.
TEST(instances_of_one_filter) {
    expect_clean(with_subject([](Bench &bench, Subject &one) {
        {
            KernelCall call("FilterAttachAtAltitude");
            io::Volume &volume = *bench.world.io->volume_by_dos(u"D:");
            CHECK_EQ(bench.world.flt->attach(u"one", volume, u"low", u"99", nullptr), STATUS_SUCCESS);
        }
        std::vector<PFLT_INSTANCE> instances; // low to high
        one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                instances.push_back(one.instance = objects->Instance);
                one.volume = objects->Volume;
                one.file = objects->FileObject;
                const char name = instances.size() == 1 ? 'l' : 'h';
                CHECK_EQ(one.set(one.file, FLT_STREAM_CONTEXT, name), STATUS_SUCCESS);
                CHECK_EQ(one.set(one.file, FLT_VOLUME_CONTEXT, name),
                         instances.size() == 1 ? STATUS_SUCCESS : STATUS_FLT_CONTEXT_ALREADY_DEFINED);
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const HANDLE handle = open(u"D:\\a");
        REQUIRE(instances.size() == 2);
        CHECK_EQ(one.get(one.file, FLT_STREAM_CONTEXT), 'h');
        one.instance = instances[0];
        CHECK_EQ(one.get(one.file, FLT_STREAM_CONTEXT), 'l');
        CHECK_EQ(one.get(one.file, FLT_VOLUME_CONTEXT), 'l');
        g_cleaned.clear();
        CHECK_EQ(FilterDetach(u"one", u"D:", nullptr), S_OK); // the higher one
        CHECK_EQ(g_cleaned, std::string("h"));
        CHECK_EQ(one.get(one.file, FLT_STREAM_CONTEXT), 'l');
        close(handle);
    }));
    CHECK_EQ(g_cleaned, std::string("hll"));
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

TEST(kernel_objects_in_paged_contexts) {
    const auto report_in = [](POOL_TYPE type) {
        return with_subject([type](Bench &, Subject &one) {
            PFLT_CONTEXT context = nullptr;
            CHECK_EQ(FltAllocateContext(one.filter, FLT_FILE_CONTEXT, sizeof(KEVENT), type, &context), STATUS_SUCCESS);
            KeInitializeEvent(static_cast<PKEVENT>(context), NotificationEvent, FALSE);
            FltReleaseContext(context);
        });
    };
    expect_clean(report_in(NonPagedPoolNx));
    CHECK(check::stopped_on(report_in(PagedPool), "V14 kernel object in paged memory"));
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

} // namespace MINIPEND_TEST_FILE
