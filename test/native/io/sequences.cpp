// SPDX-License-Identifier: MIT
//
// This module provides: tests of what a filter sees of common calls [SEQ-01..20, POST-13, IRQL-*, FORM-01..03].

#include "io/bench.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

void expect_clean(const std::string &report) {
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK(check::contains(report, "\"leaks\":[]"));
    if (!check::contains(report, "\"stopped\":false") || !check::contains(report, "\"leaks\":[]")) {
        fprintf(stderr, "%s\n", report.c_str());
    }
}

void prepare(std::u16string_view path, std::string_view content) {
    Opened file = open(path, FILE_CREATE, FILE_NO_INTERMEDIATE_BUFFERING | SYNC,
                       static_cast<ACCESS_MASK>(FILE_READ_DATA | FILE_WRITE_DATA));
    std::string sectors(content);
    sectors.resize((content.size() + 511) / 512 * 512);
    CHECK_EQ(write(file, sectors, 0), STATUS_SUCCESS);
    CHECK_EQ(set_end(file, static_cast<int64_t>(content.size())), STATUS_SUCCESS);
    close(file);
}

} // namespace

TEST(cached_read_on_ntfs) {
    expect_clean(run([] {
        prepare(u"D:\\a", "on disk only");
        trace(u"D:");
        Opened file = open(u"D:\\a");
        CHECK_EQ(traced(), std::string("CREATE(I,0x884)@0[null]"));
        CHECK_EQ(read(file, 100, 0), std::string("on disk only"));
        CHECK_EQ(traced(), std::string("READ(I,0x43)@1[irp] READ(I,0x900)@0[null]"));
        CHECK_EQ(read(file, 2, 3), std::string("di"));
        CHECK_EQ(read(file, 2), std::string("sk")); // at the position behind it
        CHECK_EQ(traced(), std::string("READ(F)@1[null] READ(F)@1[null]"));
        CHECK_EQ(read(file, 2, 12), std::string("status 0xC0000011"));
        CHECK_EQ(traced(), std::string("READ(F)@1[null]=0xC0000011"));
        close(file);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null] CLOSE(I,0x404)@1[null]"));
    }));
}

TEST(fast_read_misses_the_cache) {
    expect_clean(run([] {
        prepare(u"D:\\a", std::string(3 * 4096, 'x'));
        trace(u"D:");
        Opened file = open(u"D:\\a");
        read(file, 10, 0);
        traced();
        CHECK_EQ(read(file, 2, 8192), std::string("xx"));
        CHECK_EQ(traced(), std::string("READ(I,0x43)@1[4] READ(F)@1[null]"));
        close(file);
    }));
}

TEST(cached_write_and_lazy_writer) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        traced();
        CHECK_EQ(write(file, "hello"), STATUS_SUCCESS);
        CHECK_EQ(write(file, " world"), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("WRITE(I,0xA00)@0[null] WRITE(F)@1[null]"));
        CHECK_EQ(size_of(file), 11);
        CHECK_EQ(traced(), std::string("QUERY(F)@1[null]"));
        sleep_ms(1500);
        CHECK_EQ(traced(), std::string("WRITE(I,0x43)@0[2]system SET(I,0x42)@0[2]system"));
        close(file);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null] CLOSE(I,0x404)@1[null]"));
    }));
}

TEST(close_waits_for_the_lazy_writer) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        write(file, "hello");
        traced();
        close(file);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null]"));
        sleep_ms(1500);
        CHECK_EQ(traced(), std::string("WRITE(I,0x43)@0[2]system SET(I,0x42)@0[2]system CLOSE(I,0x404)@1[null]system"));
    }));
}

TEST(flush_and_write_through) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        write(file, "hello");
        traced();
        IO_STATUS_BLOCK iosb{};
        CHECK_EQ(world().io->flush(*file, &iosb), STATUS_SUCCESS);
        CHECK_EQ(traced(),
                 std::string("ACQ_FLUSH(S)@0[irp] WRITE(I,0x43)@0[irp] REL_FLUSH(S)@0[irp] FLUSH(I,0x4)@0[null]"));
        close(file);
        Opened through = open(u"D:\\b", FILE_CREATE, SYNC | FILE_WRITE_THROUGH);
        traced();
        write(through, "hello");
        write(through, "hello");
        const std::string once = "ACQ_FLUSH(S)@0[irp] WRITE(I,0x43)@0[irp] REL_FLUSH(S)@0[irp] WRITE(I,0xA00)@0[null]";
        CHECK_EQ(traced(), once + " " + once);
        close(through);
    }));
}

TEST(fat_completes_with_top_level_irp) {
    expect_clean(run([] {
        trace(u"E:");
        Opened file = open(u"E:\\a", FILE_CREATE);
        write(file, "hello");
        CHECK_EQ(read(file, 5, 0), std::string("hello"));
        FILE_BASIC_INFORMATION basic{};
        IO_STATUS_BLOCK iosb{};
        world().io->query_information(*file, &basic, sizeof basic, FileBasicInformation, &iosb);
        char all[256];
        world().io->query_information(*file, all, sizeof all, FileAllInformation, &iosb);
        set_end(file, 3);
        CHECK_EQ(traced(), std::string("CREATE(I,0x884)@0[null] WRITE(I,0xA00)@0[irp] READ(F)@1[null] QUERY(F)@1[null] "
                                       "QUERY(I,0x870)@0[irp] SET(I,0x830)@0[irp]"));
        hold(IRP_MJ_SET_INFORMATION);
        set_end(file, 2);
        CHECK_EQ(refusals(), 1);
        traced();
        sleep_ms(1500);
        traced();
        close(file);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[irp] CLOSE(I,0x404)@1[irp]"));
    }));
}

TEST(rename_opens_the_targets_parent) {
    expect_clean(run([] {
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_CREATE);
        traced();
        CHECK_EQ(rename(file, u"D:\\b"), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("CREATE(I,0x884)@0[null] SET(I,0x830)@0[null] CLEANUP(I,0x404)@0[null] "
                                       "CLOSE(I,0x404)@1[null]"));
        CHECK_EQ(rename(file, u"c"), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("SET(I,0x830)@0[null]"));
        close(file);
    }));
}

TEST(mapped_file) {
    expect_clean(run([] {
        prepare(u"D:\\a", "on disk");
        trace(u"D:");
        Opened file = open(u"D:\\a");
        traced();
        std::shared_ptr<Object> section;
        REQUIRE(world().io->map(*file, 0, true, &section) == STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("ACQ_SECTION(S)@0[null] QUERY(F)@1[null] REL_SECTION(S)@0[null]"));
        void *base = nullptr;
        REQUIRE(world().io->map_view(*section, 0, 0, &base) == STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("READ(I,0x43)@1[null]"));
        CHECK(memcmp(base, "on disk", 7) == 0);
        memcpy(base, "in view", 7);
        CHECK_EQ(read(file, 20, 0), std::string("in view")); // one memory
        traced();
        CHECK_EQ(world().io->flush_view(base, 0), STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("ACQ_FLUSH(S)@0[3] WRITE(I,0x43)@0[3] REL_FLUSH(S)@0[3]"));
        CHECK_EQ(set_end(file, 1), STATUS_USER_MAPPED_FILE);
        traced();
        memcpy(base, "at last", 7);
        section.reset();
        close(file);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null]"));
        CHECK_EQ(world().io->unmap_view(base), STATUS_SUCCESS);
        CHECK_EQ(world().io->unmap_view(base), STATUS_NOT_MAPPED_VIEW);
        sleep_ms(1500);
        const std::string written = traced(); // by the mapped page writer [SEQ-12]
        CHECK(written.starts_with("ACQ_MOD(S)@0[null]system WRITE(I,0x3)@2["));
        CHECK(written.ends_with(" REL_MOD(S)@0[null]system CLOSE(I,0x404)@1[null]system"));
        Opened direct = open(u"D:\\a", FILE_OPEN, SYNC | FILE_NO_INTERMEDIATE_BUFFERING, FILE_READ_DATA);
        CHECK_EQ(read(direct, 512, 0), std::string("at last"));
        close(direct);
    }));
}

TEST(section_extends_the_file) {
    expect_clean(run([] {
        Opened file = open(u"D:\\a", FILE_CREATE);
        std::shared_ptr<Object> section;
        CHECK_EQ(world().io->map(*file, 0, true, &section), STATUS_MAPPED_FILE_SIZE_ZERO);
        CHECK_EQ(world().io->map(*file, 100, false, &section), STATUS_SECTION_TOO_BIG);
        REQUIRE(world().io->map(*file, 100'000, true, &section) == STATUS_SUCCESS);
        CHECK_EQ(size_of(file), 100'000);
        void *base = nullptr;
        REQUIRE(world().io->map_view(*section, 65536, 1000, &base) == STATUS_SUCCESS);
        memcpy(base, "tail", 4);
        CHECK_EQ(world().io->unmap_view(base), STATUS_SUCCESS);
        section.reset();
        CHECK_EQ(read(file, 4, 65536), std::string("tail"));
        close(file);
    }));
}

} // namespace MINIPEND_TEST_FILE
