// SPDX-License-Identifier: MIT
//
// This module provides: tests of what goes on underneath and beside common calls: read-ahead, workers, the mapped page writer, flushes with minors, a
// file server; and the contexts in which operations complete [SEQ-03, 05, 08, 09, 12, 26, SIM-07].

#include "io/waiting.hpp"

#include <cstring>

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

constexpr size_t PAGE = 4096;

/// A file whose content only the disk has.
void prepare(std::u16string_view path, size_t pages) {
    Opened file = open(path, FILE_CREATE, FILE_NO_INTERMEDIATE_BUFFERING | SYNC,
                       static_cast<ACCESS_MASK>(FILE_READ_DATA | FILE_WRITE_DATA));
    CHECK_EQ(write(file, std::string(pages * PAGE, 'd'), 0), STATUS_SUCCESS);
    close(file);
}

} // namespace

TEST(overlapped_cached_reads_that_miss) {
    for (const bool ntfs : {true, false}) {
        expect_clean(run([ntfs] {
            const std::u16string path = ntfs ? u"D:\\a" : u"E:\\a";
            prepare(path, 1);
            Opened file = open(path, FILE_OPEN, 0);
            trace(ntfs ? u"D:" : u"E:");
            char buffer[10] = {};
            Overlapped missing;
            CHECK_EQ(missing.read(file, buffer, sizeof buffer, 0), STATUS_PENDING);
            CHECK_EQ(missing.wait(), STATUS_SUCCESS);
            CHECK_EQ(std::string(buffer, sizeof buffer), std::string(10, 'd'));
            // [SEQ-05]: paging I/O and completion on a worker, under 7 or 1.
            CHECK_EQ(traced(), std::string(ntfs ? "READ(I,0x43)@1[7]system READ(I,0x900)@0[7]system"
                                                : "READ(I,0x43)@1[1]system READ(I,0x900)@0[1]system"));
            Overlapped there;
            CHECK_EQ(there.read(file, buffer, sizeof buffer, 0), STATUS_SUCCESS);
            CHECK(there.done());
            CHECK_EQ(traced(), std::string(ntfs ? "READ(I,0x900)@0[null]" : "READ(I,0x900)@0[irp]"));
            close(file);
        }));
    }
}

/// What completes under 7 or 1 cannot be pended [POST-12].
TEST(a_workers_completion_is_refused) {
    expect_clean(run([] {
        prepare(u"D:\\a", 1);
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_OPEN, 0);
        hold(IRP_MJ_READ);
        char buffer[10];
        Overlapped missing;
        CHECK_EQ(missing.read(file, buffer, sizeof buffer, 0), STATUS_PENDING);
        CHECK_EQ(missing.wait(), STATUS_SUCCESS);
        CHECK_EQ(refusals(), 2); // the paging read too
        close(file);
    }));
}

TEST(read_ahead) {
    expect_clean(run([] {
        prepare(u"D:\\a", 20);
        trace(u"D:");
        Opened file = open(u"D:\\a");
        traced();
        read(file, PAGE, 0);
        CHECK_EQ(traced(), std::string("READ(I,0x43)@1[irp] READ(I,0x900)@0[null]"));
        read(file, PAGE, PAGE);
        sleep_ms(1);
        std::string seen = traced(); // the read, and a worker's 64 KB behind it
        CHECK(check::contains(seen, "READ(I,0x43)@1[4] "));
        CHECK(check::contains(seen, "READ(I,0x43)@1[2]system"));
        read(file, PAGE, 2 * PAGE);
        CHECK(traced().starts_with("READ(F)@1[null]")); // is there already
        sleep_ms(1); // and goes on behind
        close(file);
        traced();
        Opened random = open(u"D:\\a", FILE_OPEN, SYNC | FILE_RANDOM_ACCESS);
        read(random, 1, 0);
        read(random, 1, 1);
        sleep_ms(1);
        CHECK(!check::contains(traced(), "[2]system"));
        close(random);
    }));
}

/// [SEQ-12].
TEST(mapped_page_writer) {
    for (const bool ntfs : {true, false}) {
        expect_clean(run([ntfs] {
            const std::u16string drive = ntfs ? u"D:" : u"E:";
            prepare(drive + u"\\a", 3);
            Opened file = open(drive + u"\\a");
            std::shared_ptr<Object> section;
            REQUIRE(world().io->map(*file, 0, true, &section) == STATUS_SUCCESS);
            void *base = nullptr;
            REQUIRE(world().io->map_view(*section, 0, 0, &base) == STATUS_SUCCESS);
            memcpy(base, "one", 3);
            memcpy(static_cast<char *>(base) + 2 * PAGE, "two", 3);
            trace(drive);
            world().io->write_mapped_pages_now();
            sleep_ms(20);
            std::string seen = traced();
            // Two runs; each write completes at DISPATCH_LEVEL in whatever thread the storage interrupted.
            for (int i = 0; i < 2; ++i) {
                CHECK(seen.starts_with("ACQ_MOD(S)@0[null]system WRITE(I,0x3)@2["));
                const size_t release = seen.find("REL_MOD(S)@0[null]system");
                REQUIRE(release != std::string::npos);
                seen.erase(0, release + strlen("REL_MOD(S)@0[null]system "));
            }
            world().io->write_mapped_pages_now();
            sleep_ms(10);
            CHECK_EQ(traced(), std::string("")); // nothing has changed since
            CHECK_EQ(world().io->unmap_view(base), STATUS_SUCCESS);
            section.reset();
            close(file);
            Opened direct = open(drive + u"\\a", FILE_OPEN, SYNC | FILE_NO_INTERMEDIATE_BUFFERING, FILE_READ_DATA);
            CHECK(read(direct, 512, 0).starts_with("one"));
            CHECK(read(direct, 512, 2 * PAGE).starts_with("two"));
            close(direct);
        }));
    }
}

/// The pre-operation still sees the mapped page writer's TopLevelIrp 3.
TEST(mapped_page_writers_top_level_irp) {
    expect_clean(run([] {
        prepare(u"D:\\a", 1);
        Opened file = open(u"D:\\a");
        std::shared_ptr<Object> section;
        REQUIRE(world().io->map(*file, 0, true, &section) == STATUS_SUCCESS);
        void *base = nullptr;
        REQUIRE(world().io->map_view(*section, 0, 0, &base) == STATUS_SUCCESS);
        memcpy(base, "x", 1);
        trace(u"D:");
        std::string seen;
        on_pre_of(IRP_MJ_WRITE, [&](PFLT_CALLBACK_DATA data) {
            seen = std::to_string(data->Iopb->IrpFlags) + " " +
                   std::to_string(reinterpret_cast<uintptr_t>(IoGetTopLevelIrp())) + " " + current_thread().name;
        });
        CHECK_EQ(world().io->unmap_view(base), STATUS_SUCCESS);
        section.reset();
        sleep_ms(1500); // by itself, a second after the view went
        CHECK_EQ(seen, std::string("3 3 mapped page writer"));
        on_pre_of(IRP_MJ_WRITE, nullptr);
        close(file);
    }));
}

TEST(flush_with_minors) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        write(file, "x");
        traced();
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(world().io->flush(*file, &iosb, 2), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("ACQ_FLUSH(S)@0[irp] WRITE(I,0x43)@0[irp] REL_FLUSH(S)@0[irp] "
                                       "FLUSH/2(I,0x4)@0[null]"));
        CHECK_EQ(world().io->flush(*file, &iosb, 3), STATUS_SUCCESS);
        CHECK(check::contains(traced(), "FLUSH/3(I,0x4)@0[null]"));
        close(file);
    }));
}

/// [SEQ-26]: in System, kernel mode.
TEST(a_file_server) {
    for (const bool ntfs : {true, false}) {
        expect_clean(run([ntfs] {
            const std::u16string drive = ntfs ? u"D:" : u"E:";
            prepare(drive + u"\\a", 1);
            Opened file = open(drive + u"\\a");
            trace(drive);
            KPROCESSOR_MODE mode = UserMode;
            on_post_of(IRP_MJ_MDL_READ, [&](PFLT_CALLBACK_DATA data) { mode = data->RequestorMode; });
            const std::string inline_end = ntfs ? "@0[null]system" : "@0[irp]system";
            Worker server(
                "server",
                [&] {
                    char buffer[8] = {};
                    IO_STATUS_BLOCK iosb{};
                    // Not cached yet: turned away, so it comes as an IRP.
                    CHECK_EQ(world().io->server_read(*file, buffer, 4, 0, &iosb), STATUS_SUCCESS);
                    CHECK_EQ(std::string(buffer), std::string("dddd"));
                    CHECK_EQ(traced(), "MDL_READ(F)@1[null]system=0xC01C0004 READ(I,0x43)@1[irp]system READ(I,0x900)" +
                                           inline_end);
                    CHECK_EQ(world().io->server_read(*file, buffer, 4, 8, &iosb), STATUS_SUCCESS);
                    CHECK_EQ(iosb.Information, 4);
                    CHECK_EQ(traced(), std::string("MDL_READ(F)@1[null]system MDL_READ_DONE(F)@1[null]system"));
                    CHECK_EQ(mode, KernelMode);
                    CHECK_EQ(world().io->server_write(*file, "mdl", 3, 1, &iosb), STATUS_SUCCESS);
                    CHECK_EQ(traced(), std::string("MDL_WRITE(F)@1[null]system MDL_WRITE_DONE(F)@1[null]system"));
                },
                world().system_process());
            server.join();
            CHECK_EQ(read(file, 5, 0), std::string("dmdld"));
            on_post_of(IRP_MJ_MDL_READ, nullptr);
            close(file);
        }));
    }
}

/// Each completion context of SIM-07 by real I/O.
TEST(completion_contexts) {
    expect_clean(run([] {
        prepare(u"D:\\a", 2);
        prepare(u"E:\\a", 2);
        for (const bool ntfs : {true, false}) {
            const std::u16string path = ntfs ? u"D:\\a" : u"E:\\a";
            Opened file = open(path);
            Opened direct = open(path, FILE_OPEN, FILE_NO_INTERMEDIATE_BUFFERING, FILE_READ_DATA);
            trace(ntfs ? u"D:" : u"E:");
            FILE_BASIC_INFORMATION basic{};
            IO_STATUS_BLOCK iosb{};
            world().io->set_information(*file, &basic, sizeof basic, FileBasicInformation, &iosb);
            CHECK_EQ(traced(), std::string(ntfs ? "SET(I,0x830)@0[null]" : "SET(I,0x830)@0[irp]"));
            read(file, 1, 0); // around a paging read at APC_LEVEL
            CHECK_EQ(traced(), std::string(ntfs ? "READ(I,0x43)@1[irp] READ(I,0x900)@0[null]"
                                                : "READ(I,0x43)@1[irp] READ(I,0x900)@0[irp]"));
            alignas(8) char sector[512];
            Overlapped overlapped;
            CHECK_EQ(overlapped.read(direct, sector, sizeof sector, 0), STATUS_PENDING);
            CHECK_EQ(overlapped.wait(), STATUS_SUCCESS);
            CHECK(traced().starts_with("READ(I,0x901)@2["));
            close(direct);
            close(file);
            CHECK_EQ(world().flt->unload(u"tracer"), STATUS_SUCCESS);
        }
    }));
}

/// The thread that a DPC interrupts may be inside the file system or not (on fat its post-operations are): over some seeds its TopLevelIrp is both.
TEST(a_dpcs_top_level_irp_is_anybodys) {
    uint32_t null = 0;
    uint32_t other = 0;
    for (uint64_t seed = 1; seed <= 60 && (null == 0 || other == 0); ++seed) {
        expect_clean(run(
            [&] {
                prepare(u"E:\\a", 1);
                Opened direct = open(u"E:\\a", FILE_OPEN, FILE_NO_INTERMEDIATE_BUFFERING, FILE_READ_DATA);
                trace(u"E:");
                bool stop = false;
                const auto traffic = [&] {
                    Opened file = open(u"E:\\a");
                    while (!stop) {
                        set_end(file, 4096);
                    }
                    close(file);
                };
                Worker busy("busy", traffic);
                Worker busier("busier", traffic);
                alignas(8) char sector[512];
                for (int i = 0; i < 10; ++i) {
                    traced();
                    Overlapped overlapped;
                    overlapped.read(direct, sector, sizeof sector, 0);
                    overlapped.wait();
                    const std::string text = traced();
                    null += check::contains(text, "READ(I,0x901)@2[null]") ? 1 : 0;
                    other += check::contains(text, "READ(I,0x901)@2[irp]") ? 1 : 0;
                }
                stop = true;
                busy.join();
                busier.join();
                close(direct);
            },
            check::virtual_world(seed)));
    }
    CHECK(null > 0);
    CHECK(other > 0);
}

/// [SEQ-13]: a create with SL_OPEN_PAGING_FILE, then paging I/O in kernel mode; nobody else may open it.
TEST(paging_file) {
    expect_clean(run([] {
        trace(u"C:");
        UCHAR create_flags = 0;
        bool told = false; // FsRtlIsPagingFile
        on_post_of(IRP_MJ_CREATE, [&](PFLT_CALLBACK_DATA data) {
            create_flags = data->Iopb->OperationFlags;
            told = FsRtlIsPagingFile(data->Iopb->TargetFileObject) != 0;
        });
        Worker memory_manager(
            "modified page writer",
            [&] {
                std::string page(PAGE, 'p');
                CHECK_EQ(world().io->paging_file_io(true, 8 * PAGE, page.data(), PAGE), STATUS_SUCCESS);
                CHECK_EQ(create_flags, SL_OPEN_PAGING_FILE);
                CHECK(told);
                std::string back(PAGE, ' ');
                CHECK_EQ(world().io->paging_file_io(false, 8 * PAGE, back.data(), PAGE), STATUS_SUCCESS);
                CHECK(back == page);
                CHECK_EQ(world().io->paging_file_io(false, 1, back.data(), PAGE), STATUS_INVALID_PARAMETER);
            },
            world().system_process());
        memory_manager.join();
        CHECK_EQ(traced(), std::string("CREATE(I,0x884)@0[null]system SET(I,0x34)@0[null]system "
                                       "WRITE(I,0x43)@0[null]system READ(I,0x43)@1[null]system"));
        CHECK_EQ(open(u"C:\\pagefile.sys", FILE_OPEN, SYNC, FILE_READ_DATA).status, STATUS_SHARING_VIOLATION);
        create_flags = SL_OPEN_PAGING_FILE;
        CHECK_EQ(open(u"C:\\other", FILE_CREATE, SYNC, FILE_READ_DATA).status, STATUS_SUCCESS);
        CHECK(create_flags == 0 && !told);
        on_post_of(IRP_MJ_CREATE, nullptr);
    }));
}

/// A world that is closed does not wait for what waits.
TEST(closing_a_world_ends_every_wait) {
    expect_clean(run([] {
        Opened directory = open(u"D:\\", FILE_OPEN, SYNC | FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY);
        static uint8_t buffer[64];
        world().spawn("watcher", world().client_process(), [directory] {
            const KernelCall call("test");
            IO_STATUS_BLOCK iosb{};
            world().io->notify(*directory, buffer, sizeof buffer, 1, false, nullptr, &iosb);
            CHECK_EQ(iosb.Status, STATUS_CANCELLED);
        });
        CHECK(wait_until([] { return !world().io->describe_outstanding().empty(); }));
    }));
}

} // namespace MINIPEND_TEST_FILE
