// SPDX-License-Identifier: MIT
//
// This module provides: tests of directory change notification [SEQ-17].

#include "io/waiting.hpp"

#include <cstring>

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

constexpr ULONG NAMES = 0x1 | 0x2; // FILE_NOTIFY_CHANGE_FILE_NAME, _DIR_NAME
constexpr ULONG ATTRIBUTES = 0x4;
constexpr ULONG SIZE = 0x8;
constexpr ULONG LAST_WRITE = 0x10;

Opened open_directory(std::u16string_view path, ULONG options = 0) {
    return open(path, FILE_OPEN, options | FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY);
}

/// "1:a 5:b ": actions and names of FILE_NOTIFY_INFORMATION.
std::string changes(const uint8_t *buffer, ULONG_PTR bytes) {
    std::string text;
    for (size_t at = 0; at + 12 <= bytes;) {
        uint32_t header[3];
        memcpy(header, buffer + at, sizeof header);
        text += std::to_string(header[1]) + ":";
        for (size_t i = 0; i < header[2]; i += sizeof(char16_t)) {
            text.push_back(static_cast<char>(buffer[at + sizeof header + i]));
        }
        text.push_back(' ');
        if (header[0] == 0) {
            return text;
        }
        at += header[0];
    }
    return text;
}

/// One watch and its buffer.
struct Watcher {
    explicit Watcher(std::u16string_view path, ULONG filter, bool watch_tree = false, ULONG length = sizeof buffer)
        : directory(open_directory(path)), changes_of(filter), tree(watch_tree), bytes(length) {
        again();
    }
    void again() {
        request = std::make_unique<Overlapped>();
        status = request->notify(directory, buffer, bytes, changes_of, tree);
    }
    /// What came, or the status. Asks again.
    std::string next() {
        const NTSTATUS result = status == STATUS_PENDING ? request->wait() : status;
        std::string text = result == STATUS_SUCCESS ? changes(buffer, request->iosb.Information)
                                                    : "status " + std::to_string(static_cast<uint32_t>(result));
        again();
        return text;
    }
    bool quiet() const { return status == STATUS_PENDING && !request->done(); }
    ~Watcher() {
        close(directory);
        CHECK_EQ(request->wait(), STATUS_NOTIFY_CLEANUP);
    }
    alignas(4) uint8_t buffer[512];
    Opened directory;
    ULONG changes_of;
    bool tree;
    ULONG bytes;
    NTSTATUS status = STATUS_SUCCESS;
    std::unique_ptr<Overlapped> request;
};

void make_directory(std::u16string_view path) {
    Opened made = open(path, FILE_CREATE, SYNC | FILE_DIRECTORY_FILE);
    CHECK(made);
    close(made);
}

} // namespace

TEST(names_come_go_and_change) {
    expect_clean(run([] {
        make_directory(u"D:\\dir");
        Watcher watch(u"D:\\dir", NAMES);
        CHECK(watch.quiet());
        Opened file = open(u"D:\\dir\\a", FILE_CREATE);
        CHECK_EQ(watch.next(), std::string("1:a "));
        CHECK_EQ(rename(file, u"D:\\dir\\b"), STATUS_SUCCESS);
        CHECK_EQ(watch.next(), std::string("4:a 5:b ")); // both at once
        CHECK_EQ(rename(file, u"D:\\b"), STATUS_SUCCESS);
        CHECK_EQ(watch.next(), std::string("2:b "));
        CHECK_EQ(rename(file, u"D:\\dir\\c"), STATUS_SUCCESS);
        CHECK_EQ(watch.next(), std::string("1:c "));
        set_delete(file);
        CHECK(watch.quiet());
        close(file);
        CHECK_EQ(watch.next(), std::string("2:c "));
        make_directory(u"D:\\dir\\sub");
        CHECK_EQ(watch.next(), std::string("1:sub "));
        make_directory(u"D:\\dir\\sub\\below"); // not watched
        Opened other = open(u"D:\\elsewhere", FILE_CREATE);
        close(other);
        CHECK(watch.quiet());
    }));
}

TEST(filters_and_trees) {
    expect_clean(run([] {
        make_directory(u"D:\\dir");
        make_directory(u"D:\\dir\\sub");
        Watcher names(u"D:\\dir", NAMES, true);
        Watcher attributes(u"D:\\dir", ATTRIBUTES, true);
        Watcher sizes(u"D:\\dir", SIZE | LAST_WRITE, true);
        Opened file = open(u"D:\\dir\\sub\\a", FILE_CREATE);
        CHECK_EQ(names.next(), std::string("1:sub\\a "));
        CHECK(attributes.quiet() && sizes.quiet());
        FILE_BASIC_INFORMATION basic{};
        basic.FileAttributes = FILE_ATTRIBUTE_HIDDEN;
        IO_STATUS_BLOCK iosb{};
        world().io->set_information(*file, &basic, sizeof basic, FileBasicInformation, &iosb);
        CHECK_EQ(attributes.next(), std::string("3:sub\\a "));
        set_end(file, 100);
        CHECK_EQ(sizes.next(), std::string("3:sub\\a "));
        write(file, "cached", 0);
        CHECK(sizes.quiet()); // the cache alone has it
        close(file);
        CHECK_EQ(sizes.next(), std::string("3:sub\\a "));
        CHECK(names.quiet());
    }));
}

TEST(what_the_lazy_writer_tells_is_a_change) {
    expect_clean(run([] {
        Watcher sizes(u"D:\\", SIZE);
        Opened file = open(u"D:\\a", FILE_CREATE);
        write(file, "hello");
        CHECK(sizes.quiet());
        sleep_ms(1500);
        CHECK_EQ(sizes.next(), std::string("3:a "));
        close(file);
        CHECK_EQ(sizes.next(), std::string("3:a "));
    }));
}

/// [SEQ-17]: in the changing thread, with its TopLevelIrp, before the change itself has completed.
TEST(the_changing_thread_completes_it) {
    for (const bool ntfs : {true, false}) {
        expect_clean(run([ntfs] {
            const std::u16string drive = ntfs ? u"D:" : u"E:";
            trace(drive);
            Watcher watch(drive + u"\\", NAMES);
            traced();
            trace_threads(true);
            Worker changer("changer", [&] {
                Opened file = open(drive + u"\\a", FILE_CREATE);
                close(file);
            });
            changer.join();
            CHECK_EQ(watch.next(), std::string("1:a "));
            CHECK(traced().starts_with("DIR(I,0x0)@0[irp]#changer CREATE(I,0x884)@0[null]#changer CLEANUP"));
        }));
    }
}

TEST(more_than_the_buffer_holds) {
    expect_clean(run([] {
        Watcher watch(u"D:\\", NAMES, false, 32);
        for (const char16_t *name : {u"D:\\one", u"D:\\two", u"D:\\three"}) {
            Opened file = open(name, FILE_CREATE);
            close(file);
        }
        CHECK_EQ(watch.next(), std::string("1:one "));
        // Two and three came while nobody asked, and do not fit together.
        CHECK_EQ(watch.next(), "status " + std::to_string(STATUS_NOTIFY_ENUM_DIR));
        CHECK(watch.quiet());
        Watcher counting(u"D:\\", NAMES, false, 0); // no buffer: only that something changed
        Opened file = open(u"D:\\four", FILE_CREATE);
        close(file);
        CHECK_EQ(counting.next(), "status " + std::to_string(STATUS_NOTIFY_ENUM_DIR));
        CHECK_EQ(watch.next(), std::string("1:four "));
    }));
}

TEST(watches_are_cancelled_and_refused) {
    expect_clean(run([] {
        uint8_t buffer[64];
        Opened directory = open_directory(u"D:\\");
        Overlapped request;
        CHECK_EQ(request.notify(directory, buffer, sizeof buffer, 0), STATUS_INVALID_PARAMETER);
        CHECK_EQ(request.notify(directory, buffer, sizeof buffer, 0x1000), STATUS_INVALID_PARAMETER);
        CHECK_EQ(request.notify(directory, buffer, sizeof buffer, NAMES), STATUS_PENDING);
        CHECK_EQ(request.cancel(directory), 1);
        CHECK_EQ(request.wait(), STATUS_CANCELLED);
        close(directory);
        Opened file = open(u"D:\\a", FILE_CREATE);
        Overlapped refused;
        CHECK_EQ(refused.notify(file, buffer, sizeof buffer, NAMES), STATUS_INVALID_PARAMETER);
        close(file);
        make_directory(u"D:\\dir");
        Opened doomed = open(u"D:\\dir", FILE_OPEN, FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY | DELETE);
        Overlapped last;
        CHECK_EQ(last.notify(doomed, buffer, sizeof buffer, NAMES), STATUS_PENDING);
        Opened killer = open(u"D:\\dir", FILE_OPEN, SYNC | FILE_DIRECTORY_FILE, DELETE);
        CHECK_EQ(set_delete(killer, true, 3), STATUS_SUCCESS); // delete, with POSIX semantics
        close(killer);
        CHECK_EQ(last.wait(), STATUS_DELETE_PENDING);
        close(doomed);
    }));
}

} // namespace MINIPEND_TEST_FILE
