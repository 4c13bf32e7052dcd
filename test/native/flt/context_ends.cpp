// SPDX-License-Identifier: MIT
//
// This module provides: tests of contexts of volumes, and of what becomes of all contexts at teardown and dismount [CTX-03, CTX-05].

#include "flt/context_subject.hpp"

#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace context_subject;

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
        // The new mount is another volume, and an open on it another stream.
        const HANDLE cut_off = handle;
        const PFILE_OBJECT cut_off_file = one.file;
        CHECK_EQ(FilterAttach(u"one", u"D:", nullptr, 0, nullptr), S_OK);
        const PFILE_OBJECT file = one.open(&handle, u"D:\\a");
        CHECK(one.volume != volume);
        CHECK_EQ(one.get(file, FLT_VOLUME_CONTEXT), '-');
        CHECK_EQ(one.set(file, FLT_STREAM_CONTEXT, 's'), STATUS_SUCCESS);
        CHECK_EQ(one.set(file, FLT_FILE_CONTEXT, 'f'), STATUS_SUCCESS);
        CHECK_EQ(one.get(cut_off_file, FLT_STREAM_CONTEXT), '-');
        CHECK_EQ(one.get(cut_off_file, FLT_FILE_CONTEXT), '-');
        CHECK_EQ(one.set(file, FLT_VOLUME_CONTEXT, 'y'), STATUS_SUCCESS);
        close(handle);
        CHECK_EQ(g_cleaned, std::string("vwxsf"));
        close(cut_off);
        CHECK_EQ(FltDeleteVolumeContext(one.filter, volume, nullptr), STATUS_FLT_DELETING_OBJECT);
    }));
    CHECK_EQ(g_cleaned, std::string("vwxsfy"));
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

} // namespace MINIPEND_TEST_FILE
