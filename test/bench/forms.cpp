// SPDX-License-Identifier: MIT
//
// This module provides: the forms of operation that are timed (measure.hpp), and the suite "forms": each of them with no filter, with one
// that no rule makes look, observed, and pended without a delay.

#include <cstring>

#include "measure.hpp"

namespace bench {

namespace {

constexpr DWORD IO_BYTES = 4096;
constexpr uint32_t THREADS = 4;
/// Each thread's file, once; it exists before anything is timed.
std::u16string path_of(uint32_t index) {
    return u"D:\\bench\\file" + std::u16string(1, static_cast<char16_t>(u'0' + index));
}

void check(BOOL done, const char *what) {
    need(done != FALSE, std::string(what) + " failed: error " + std::to_string(GetLastError()));
}

alignas(IO_BYTES) char g_zeros[IO_BYTES];

void read_at_start(HANDLE file, const char16_t *, uint32_t count) {
    alignas(8) char bytes[IO_BYTES];
    for (uint32_t i = 0; i < count; ++i) {
        OVERLAPPED place{};
        DWORD got = 0;
        check(ReadFile(file, bytes, IO_BYTES, &got, &place) != FALSE && got == IO_BYTES, "ReadFile");
    }
}

void write_at_start(HANDLE file, const char16_t *, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        OVERLAPPED place{};
        DWORD written = 0;
        check(WriteFile(file, g_zeros, IO_BYTES, &written, &place) != FALSE && written == IO_BYTES, "WriteFile");
    }
}

void read_overlapped(HANDLE file, const char16_t *, uint32_t count) {
    alignas(8) char bytes[IO_BYTES];
    for (uint32_t i = 0; i < count; ++i) {
        OVERLAPPED place{};
        DWORD got = 0;
        if (ReadFile(file, bytes, IO_BYTES, nullptr, &place) == FALSE) {
            check(GetLastError() == ERROR_IO_PENDING, "ReadFile");
        }
        check(GetOverlappedResult(file, &place, &got, TRUE) != FALSE && got == IO_BYTES, "GetOverlappedResult");
    }
}

void open_and_close(HANDLE, const char16_t *path, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        const HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                        nullptr, OPEN_EXISTING, 0, nullptr);
        check(file != INVALID_HANDLE_VALUE, "CreateFileW");
        check(CloseHandle(file), "CloseHandle");
    }
}

void query(HANDLE file, FILE_INFO_BY_HANDLE_CLASS what, DWORD bytes, uint32_t count) {
    alignas(8) char information[64];
    for (uint32_t i = 0; i < count; ++i) {
        check(GetFileInformationByHandleEx(file, what, information, bytes), "GetFileInformationByHandleEx");
    }
}

void set_basic(HANDLE file, const char16_t *, uint32_t count) {
    FILE_BASIC_INFO information{};
    information.FileAttributes = FILE_ATTRIBUTE_NORMAL;
    for (uint32_t i = 0; i < count; ++i) {
        check(SetFileInformationByHandle(file, FileBasicInfo, &information, sizeof information),
              "SetFileInformationByHandle");
    }
}

void write_and_flush(HANDLE file, const char16_t *path, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        write_at_start(file, path, 1);
        check(FlushFileBuffers(file), "FlushFileBuffers");
    }
}

struct Mode {
    const char *name;
    bool driver;
    std::vector<Rule> (*rules)(MINIPEND_OPERATION operation);
};

const Mode MODES[] = {
    {"no filter", false, nullptr},
    {"unmatched", true,
     [](MINIPEND_OPERATION) {
         return std::vector<Rule>{rule(MINIPEND_OPERATION_RENAME, MINIPEND_ACTION_PEND, u"\\inbox\\*")};
     }},
    {"observed", true,
     [](MINIPEND_OPERATION operation) { return std::vector<Rule>{rule(operation, MINIPEND_ACTION_OBSERVE)}; }},
    {"pended", true,
     [](MINIPEND_OPERATION operation) { return std::vector<Rule>{rule(operation, MINIPEND_ACTION_PEND)}; }},
};

/// The driver saw what the mode says: otherwise the number would be of something else.
void check_mode(const Client &client, const Mode &mode, MINIPEND_OPERATION operation, uint64_t before) {
    const MINIPEND_OPERATION_COUNTERS counted = client.counters_at_rest().total(operation);
    const bool unmatched = std::strcmp(mode.name, "unmatched") == 0;
    const bool observed = std::strcmp(mode.name, "observed") == 0;
    const uint64_t seen = unmatched ? counted.Unmatched : observed ? counted.Observed : counted.Completed;
    need(seen > before, std::string("the driver did not count what it should have: ") + mode.name);
}

} // namespace

const std::vector<Form> &forms() {
    static const std::vector<Form> all = {
        {"queryInformation, IRP", MINIPEND_OPERATION_QUERY_INFORMATION, 0,
         [](HANDLE file, const char16_t *, uint32_t count) {
             query(file, FileAttributeTagInfo, sizeof(FILE_ATTRIBUTE_TAG_INFO), count);
         }},
        {"queryInformation, fast I/O", MINIPEND_OPERATION_QUERY_INFORMATION, 0,
         [](HANDLE file, const char16_t *, uint32_t count) {
             query(file, FileBasicInfo, sizeof(FILE_BASIC_INFO), count);
         }},
        {"setInformation, IRP", MINIPEND_OPERATION_SET_INFORMATION, 0, set_basic},
        {"read 4 KB cached, fast I/O", MINIPEND_OPERATION_READ, 0, read_at_start},
        {"read 4 KB cached, IRP", MINIPEND_OPERATION_READ, FILE_FLAG_OVERLAPPED, read_overlapped},
        {"read 4 KB non-cached, IRP", MINIPEND_OPERATION_READ, FILE_FLAG_NO_BUFFERING, read_at_start},
        {"write 4 KB cached, fast I/O", MINIPEND_OPERATION_WRITE, 0, write_at_start},
        {"write 4 KB non-cached, IRP", MINIPEND_OPERATION_WRITE, FILE_FLAG_NO_BUFFERING, write_at_start},
        {"write 4 KB + flush, paging below", MINIPEND_OPERATION_WRITE, 0, write_and_flush},
        {"create + close", MINIPEND_OPERATION_CREATE, 0, open_and_close},
    };
    return all;
}

Sample run_form(const World &world, const Form &form, uint32_t operations) {
    const uint32_t each = operations / THREADS;
    Sample sample;
    inside(world.test, [](fltsim::World &) { CreateDirectoryW(u"D:\\bench", nullptr); });
    std::vector<File> files;
    world.select();
    for (uint32_t index = 0; index < THREADS; ++index) {
        write_at_start(File(path_of(index), {.disposition = OPEN_ALWAYS}).handle(), nullptr, 1);
        File file = File::open(path_of(index), form.open_flags);
        need(file.is_open(), "a file cannot be opened");
        form.run(file.handle(), path_of(index).c_str(), 1); // not timed: opens what is opened once, such as the cache
        files.push_back(std::move(file));
    }
    sample = timed(uint64_t{each} * THREADS, [&] {
        run_threads(world.test, THREADS,
                    [&](uint32_t index) { form.run(files[index].handle(), path_of(index).c_str(), each); });
    });
    files.clear();
    FltSimSelectWorld(0);
    return sample;
}

void forms_suite(const Plan &plan) {
    for (const Form &form : forms()) {
        if (std::string_view(form.name).find(plan.only_form) == std::string_view::npos) {
            continue;
        }
        std::vector<std::unique_ptr<World>> worlds;
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<std::vector<Sample>> samples(std::size(MODES));
        for (const Mode &mode : MODES) {
            worlds.push_back(std::make_unique<World>(plan, mode.driver));
            worlds.back()->select();
            clients.push_back(mode.driver ? std::make_unique<Client>() : nullptr);
            if (mode.driver) {
                CHECK(clients.back()->set_rules(mode.rules(form.operation)).Status == STATUS_SUCCESS);
            }
        }
        // Interleaved: a moment in which the machine is slow hits all modes.
        for (uint32_t repetition = 0; repetition < plan.repetitions; ++repetition) {
            for (size_t mode = 0; mode < std::size(MODES); ++mode) {
                if (!plan.wants_filter(MODES[mode].name)) {
                    continue;
                }
                samples[mode].push_back(run_form(*worlds[mode], form, plan.operations));
            }
        }
        for (size_t mode = 0; mode < std::size(MODES); ++mode) {
            if (!plan.wants_filter(MODES[mode].name)) {
                continue;
            }
            if (MODES[mode].driver) {
                worlds[mode]->select();
                check_mode(*clients[mode], MODES[mode], form.operation, plan.operations / 2);
            }
            print_samples(plan,
                          std::string("\"suite\":\"forms\",\"form\":\"") + form.name + "\",\"filter\":\"" +
                              MODES[mode].name + "\"",
                          samples[mode]);
        }
    }
}

} // namespace bench
