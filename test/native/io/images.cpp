// SPDX-License-Identifier: MIT
//
// This module provides: tests of image sections: what filters see of one, what the file system refuses while there is one, when the file is closed
// [SEQ-10].

#include "io/bench.hpp"

#include <cstring>

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

constexpr auto NOT_FOR_SECTIONS = static_cast<NTSTATUS>(0xC0000020); // STATUS_INVALID_FILE_FOR_SECTION
constexpr ULONG PAGE_READ = 0x02;
constexpr ULONG PAGE_RUN = 0x20;
constexpr ULONG POSIX_DELETE = 3;
constexpr ULONG POSIX_DELETE_WITH_CHECK = 7;

void put16(std::string &bytes, size_t offset, uint32_t value) {
    bytes[offset] = static_cast<char>(value);
    bytes[offset + 1] = static_cast<char>(value >> 8);
}
void put32(std::string &bytes, size_t offset, uint32_t value) {
    put16(bytes, offset, value);
    put16(bytes, offset + 2, value >> 16);
}

constexpr size_t OPTIONAL = 0x58;
constexpr size_t SECTIONS = OPTIONAL + 0xF0;
constexpr size_t DATA_SECTION = SECTIONS + 40;

/// A program for x64 of two sections: "code" at 0x1000, "data" at 0x2000 that is longer in memory than in the file.
std::string program() {
    std::string bytes(0x800, '\0');
    bytes.replace(0, 2, "MZ");
    put32(bytes, 60, 0x40);
    bytes.replace(0x40, 2, "PE");
    put16(bytes, 0x44, 0x8664);
    put16(bytes, 0x46, 2);
    put16(bytes, 0x54, 0xF0);
    put16(bytes, OPTIONAL, 0x20B);
    put32(bytes, OPTIONAL + 32, 0x1000);
    put32(bytes, OPTIONAL + 36, 0x200);
    put32(bytes, OPTIONAL + 56, 0x4000);
    put32(bytes, OPTIONAL + 60, 0x200);
    const struct {
        size_t header;
        uint32_t virtual_bytes, address, raw_bytes, raw;
    } sections[] = {{SECTIONS, 0x100, 0x1000, 0x200, 0x200}, {DATA_SECTION, 0x1800, 0x2000, 0x400, 0x400}};
    for (const auto &[header, virtual_bytes, address, raw_bytes, raw] : sections) {
        put32(bytes, header + 8, virtual_bytes);
        put32(bytes, header + 12, address);
        put32(bytes, header + 16, raw_bytes);
        put32(bytes, header + 20, raw);
    }
    bytes.replace(0x200, 4, "code");
    bytes.replace(0x400, 4, "data");
    return bytes;
}

/// On disk, and out of the cache's hands.
void prepare(std::u16string_view path, const std::string &content) {
    Opened file = open(path, FILE_CREATE);
    CHECK_EQ(write(file, content), STATUS_SUCCESS);
    close(file);
    sleep_ms(2500);
}

struct Image {
    std::shared_ptr<Object> section;
    void *base = nullptr;
    explicit Image(const Opened &file, ULONG protection = PAGE_READ) {
        REQUIRE(world().io->map_image(*file, 0, protection, &section) == STATUS_SUCCESS);
        REQUIRE(world().io->map_view(*section, 0, 0, &base) == STATUS_SUCCESS);
    }
    void close() {
        section.reset();
        CHECK_EQ(world().io->unmap_view(base), STATUS_SUCCESS);
    }
    std::string text(size_t offset, size_t bytes) const { return {static_cast<const char *>(base) + offset, bytes}; }
};

NTSTATUS status_of_image(std::u16string_view path, const std::string &content) {
    Opened file = open(path, FILE_OVERWRITE_IF);
    if (!content.empty()) {
        CHECK_EQ(write(file, content), STATUS_SUCCESS);
    }
    std::shared_ptr<Object> section;
    const NTSTATUS status = world().io->map_image(*file, 0, PAGE_READ, &section);
    section.reset();
    close(file);
    return status;
}

} // namespace

TEST(image_section) {
    expect_clean(run([] {
        prepare(u"D:\\a", program());
        trace(u"D:");
        ULONG protection = 0;
        on_pre_of(static_cast<UCHAR>(IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION), [&](PFLT_CALLBACK_DATA data) {
            const auto &parameters = data->Iopb->Parameters.AcquireForSectionSynchronization;
            CHECK_EQ(parameters.SyncType, SyncTypeCreateSection);
            protection = parameters.PageProtection;
        });
        Opened file = open(u"D:\\a", FILE_OPEN, SYNC, FILE_GENERIC_READ | FILE_GENERIC_EXECUTE);
        traced();
        std::shared_ptr<Object> section;
        REQUIRE(world().io->map_image(*file, 0, PAGE_RUN, &section) == STATUS_SUCCESS);
        CHECK_EQ(protection, PAGE_RUN);
        CHECK(file.file->native.SectionObjectPointer->ImageSectionObject != nullptr);
        CHECK_EQ(traced(),
                 std::string("ACQ_SECTION(S)@0[null] QUERY(F)@1[null] READ(I,0x43)@1[null] REL_SECTION(S)@0[null]"));
        void *base = nullptr;
        REQUIRE(world().io->map_view(*section, 0, 0, &base) == STATUS_SUCCESS);
        CHECK_EQ(traced(), std::string("READ(I,0x43)@1[null] READ(I,0x43)@1[null] READ(I,0x43)@1[null]"));
        CHECK_EQ(world().io->flush_view(base, 0), STATUS_NOT_MAPPED_DATA);
        // Another section of it: its pages are here.
        Opened again = open(u"D:\\a", FILE_OPEN, SYNC, FILE_GENERIC_READ);
        traced();
        Image second(again);
        CHECK_EQ(protection, PAGE_READ);
        CHECK_EQ(traced(), std::string("ACQ_SECTION(S)@0[null] REL_SECTION(S)@0[null]"));
        // The second one's file is closed at once, the first one's when nobody has used the image for a while.
        close(again);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null] CLOSE(I,0x404)@1[null]"));
        section.reset();
        close(file);
        CHECK_EQ(traced(), std::string("CLEANUP(I,0x404)@0[null]"));
        CHECK_EQ(world().io->unmap_view(base), STATUS_SUCCESS);
        sleep_ms(2000);
        second.close();
        CHECK_EQ(world().io->unmap_view(second.base), STATUS_NOT_MAPPED_VIEW);
        sleep_ms(500);
        CHECK_EQ(traced(), std::string());
        sleep_ms(1000);
        CHECK_EQ(traced(), std::string("CLOSE(I,0x404)@1[null]system"));
    }));
}

TEST(views_of_images_are_laid_out_and_private) {
    expect_clean(run([] {
        prepare(u"D:\\a", program());
        Opened file = open(u"D:\\a", FILE_OPEN, SYNC, FILE_GENERIC_READ);
        Image one(file), two(file);
        CHECK(one.base != two.base);
        CHECK_EQ(one.text(0, 2), std::string("MZ"));
        CHECK_EQ(one.text(0x200, 4), std::string(4, '\0')); // the headers end here
        CHECK_EQ(one.text(0x1000, 5), std::string("code\0", 5));
        CHECK_EQ(one.text(0x2000, 4), std::string("data"));
        CHECK_EQ(one.text(0x3FFF, 1), std::string(1, '\0'));
        memcpy(static_cast<char *>(one.base) + 0x2000, "mine", 4);
        CHECK_EQ(two.text(0x2000, 4), std::string("data"));
        void *part = nullptr;
        CHECK_EQ(world().io->map_view(*one.section, 0x10000, 0, &part), STATUS_INVALID_VIEW_SIZE);
        CHECK_EQ(world().io->map_view(*one.section, 0, 0x4001, &part), STATUS_INVALID_VIEW_SIZE);
        std::shared_ptr<Object> larger;
        CHECK_EQ(world().io->map_image(*file, 0x4001, PAGE_READ, &larger), STATUS_SECTION_TOO_BIG);
        one.close();
        Image three(file);
        CHECK_EQ(three.text(0x2000, 4), std::string("data"));
        three.close();
        two.close();
        CHECK_EQ(read(file, 4, 0x400), std::string("data"));
        close(file);
    }));
}

TEST(what_is_mapped_as_an_image_is_not_written_or_deleted) {
    for (const char16_t *path : {u"D:\\a", u"E:\\a"}) {
        expect_clean(run([path] {
            prepare(path, program());
            Opened writer = open(path); // from before
            Opened file = open(path, FILE_OPEN, SYNC, FILE_GENERIC_READ);
            Image image(file);
            const auto attempt = [path](ULONG disposition, ULONG options, ACCESS_MASK access) {
                Opened opened = open(path, disposition, SYNC | options, access);
                const NTSTATUS status = opened.status;
                if (opened) {
                    close(opened);
                }
                return status;
            };
            CHECK_EQ(attempt(FILE_OPEN, 0, FILE_WRITE_DATA | SYNCHRONIZE), STATUS_SHARING_VIOLATION);
            CHECK_EQ(attempt(FILE_OVERWRITE, 0, FILE_READ_DATA | SYNCHRONIZE), STATUS_SHARING_VIOLATION);
            CHECK_EQ(attempt(FILE_SUPERSEDE, 0, FILE_READ_DATA | SYNCHRONIZE), STATUS_USER_MAPPED_FILE);
            CHECK_EQ(attempt(FILE_OPEN, FILE_DELETE_ON_CLOSE, DELETE | SYNCHRONIZE), STATUS_CANNOT_DELETE);
            CHECK_EQ(attempt(FILE_OPEN, 0, FILE_GENERIC_READ | FILE_WRITE_ATTRIBUTES), STATUS_SUCCESS);
            CHECK_EQ(set_delete(writer), STATUS_CANNOT_DELETE);
            CHECK_EQ(set_end(writer, 0x7FF), STATUS_USER_MAPPED_FILE);
            CHECK_EQ(set_end(writer, 0x801), STATUS_SUCCESS);
            CHECK_EQ(write(writer, "DATA", 0x400), STATUS_SUCCESS); // who has it open already may
            CHECK_EQ(image.text(0x2000, 4), std::string("data"));
            close(writer);
            close(file);
            std::u16string other(path);
            other.back() = u'b';
            Opened mover = open(other, FILE_CREATE);
            CHECK_EQ(rename(mover, path, true), STATUS_ACCESS_DENIED);
            close(mover);
            image.close();
            // Nobody uses it: it goes at once for who wants to write.
            CHECK_EQ(attempt(FILE_OPEN, 0, FILE_WRITE_DATA | SYNCHRONIZE), STATUS_SUCCESS);
            Opened last = open(path);
            CHECK_EQ(set_end(last, 1), STATUS_SUCCESS);
            CHECK_EQ(set_delete(last), STATUS_SUCCESS);
            close(last);
        }));
    }
}

TEST(images_go_with_posix_semantics) {
    expect_clean(run([] {
        prepare(u"D:\\a", program());
        Opened file = open(u"D:\\a", FILE_OPEN, SYNC, FILE_GENERIC_READ | DELETE);
        Image image(file);
        CHECK_EQ(set_delete(file, true, POSIX_DELETE_WITH_CHECK), STATUS_CANNOT_DELETE);
        CHECK_EQ(set_delete(file, true, POSIX_DELETE), STATUS_SUCCESS);
        close(file);
        CHECK_EQ(exists(u"D:\\a"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(image.text(0x1000, 4), std::string("code"));
        image.close();
    }));
}

TEST(writing_lets_an_unused_image_go) {
    expect_clean(run([] {
        prepare(u"D:\\a", program());
        trace(u"D:");
        Opened file = open(u"D:\\a", FILE_OPEN, SYNC, FILE_GENERIC_READ);
        Image image(file);
        close(file);
        image.close();
        traced();
        Opened writer = open(u"D:\\a");
        sleep_ms(100);
        const std::string seen = traced();
        CHECK(seen.find("CLOSE(I,0x404)@1[null]system") != std::string::npos);
        CHECK_EQ(write(writer, "DATA", 0x400), STATUS_SUCCESS);
        Image changed(writer); // from the disk, so the cache is written first
        CHECK_EQ(changed.text(0x2000, 4), std::string("DATA"));
        changed.close();
        close(writer);
    }));
}

TEST(what_is_no_image) {
    expect_clean(run([] {
        const auto damaged = [](size_t offset, uint32_t value) {
            std::string bytes = program();
            put32(bytes, offset, value);
            return bytes;
        };
        const auto is = [](const std::string &content) { return status_of_image(u"D:\\a", content); };
        CHECK_EQ(is(""), STATUS_MAPPED_FILE_SIZE_ZERO);
        CHECK_EQ(is("text"), STATUS_INVALID_IMAGE_NOT_MZ);
        CHECK_EQ(is("MZ"), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(program().substr(0, 0x100)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(60, 0xFFFFFFF0)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(0x40, 0x454E)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(OPTIONAL, 0)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(OPTIONAL + 32, 0x1800)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(OPTIONAL + 56, 0x3000)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(OPTIONAL + 56, 0xFFFFF000)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(OPTIONAL + 60, 0x900)), STATUS_INVALID_IMAGE_FORMAT);
        CHECK_EQ(is(damaged(DATA_SECTION + 12, 0x1000)), STATUS_INVALID_IMAGE_FORMAT); // over the code
        CHECK_EQ(is(damaged(DATA_SECTION + 16, 0x401)), STATUS_INVALID_IMAGE_FORMAT); // not in the file
        CHECK_EQ(is(program()), STATUS_SUCCESS);
        Opened directory = open(u"D:\\d", FILE_CREATE, SYNC | FILE_DIRECTORY_FILE);
        std::shared_ptr<Object> section;
        CHECK_EQ(world().io->map_image(*directory, 0, PAGE_READ, &section), NOT_FOR_SECTIONS);
        close(directory);
    }));
}

} // namespace MINIPEND_TEST_FILE
