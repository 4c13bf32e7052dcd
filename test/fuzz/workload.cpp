// SPDX-License-Identifier: MIT
//
// This module provides: workload.hpp.

#include "workload.hpp"

#include <cstdlib>
#include <optional>

namespace fuzz {

namespace {

constexpr DWORD PAGE = 4096;
constexpr const char16_t *NAMES[] = {u"\\a", u"\\b", u"\\a.txt", u"\\dir1\\a", u"\\dir1\\b.txt", u"\\dir1"};

/// Memory of an asynchronous request: the request may outlive the thread that made it.
struct Request {
    OVERLAPPED overlapped{};
    alignas(PAGE) char buffer[PAGE] = {};
};

std::u16string path(Bytes &in, uint32_t volumes) {
    return std::u16string(VOLUMES[in.below(volumes)]) + in.one_of(NAMES);
}

class Io {
  public:
    Io(std::vector<uint8_t> program, uint32_t volumes) : program_(std::move(program)), volumes_(volumes) {}
    void run() {
        Bytes in{std::span<const uint8_t>(program_)};
        std::optional<spine::File> file(open(in));
        for (int steps = 0; steps < 8 && !in.empty(); ++steps) {
            step(in, file);
        }
    }

  private:
    spine::File open(Bytes &in) {
        static constexpr DWORD FLAGS[] = {FILE_ATTRIBUTE_NORMAL,      FILE_ATTRIBUTE_NORMAL,
                                          FILE_FLAG_OVERLAPPED,       FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING,
                                          FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_WRITE_THROUGH,
                                          FILE_FLAG_NO_BUFFERING,     FILE_FLAG_DELETE_ON_CLOSE};
        spine::File::Options options;
        options.disposition = CREATE_NEW + in.below(5);
        options.flags = in.one_of(FLAGS);
        flags_ = options.flags;
        return spine::File(path(in, volumes_), options);
    }

    void step(Bytes &in, std::optional<spine::File> &file) {
        const HANDLE handle = file->handle();
        switch (in.below(10)) {
        case 0:
            transfer(in, handle, true);
            break;
        case 1:
            transfer(in, handle, false);
            break;
        case 2:
            file->flush();
            break;
        case 3:
            file->rename(path(in, volumes_), in.below(2) == 0);
            break;
        case 4:
            file->mark_deleted();
            break;
        case 5: {
            FILE_END_OF_FILE_INFO info{};
            info.EndOfFile.QuadPart = in.u8() * 32;
            SetFileInformationByHandle(handle, FileEndOfFileInfo, &info, sizeof(info));
            break;
        }
        case 6: {
            alignas(8) char buffer[512];
            GetFileInformationByHandleEx(handle, in.below(2) == 0 ? FileFullDirectoryInfo : FileBasicInfo, buffer,
                                         sizeof(buffer));
            break;
        }
        case 7:
            CancelIoEx(handle, nullptr);
            break;
        case 8:
            map(in, handle);
            break;
        default:
            file.reset();
            file.emplace(open(in));
            break;
        }
    }

    void transfer(Bytes &in, HANDLE handle, bool write) {
        // Who waits for it may be terminated before it ends: forget_requests() frees it.
        auto *const request = static_cast<Request *>(std::aligned_alloc(alignof(Request), sizeof(Request)));
        new (request) Request;
        requests().emplace_back(request);
        const uint8_t how = in.u8();
        const DWORD bytes = (flags_ & FILE_FLAG_NO_BUFFERING) != 0 ? PAGE : 1u + how % 64;
        const bool overlapped = (flags_ & FILE_FLAG_OVERLAPPED) != 0;
        DWORD done = 0;
        OVERLAPPED *const place = overlapped ? &request->overlapped : nullptr;
        if (write) {
            WriteFile(handle, request->buffer, bytes, overlapped ? nullptr : &done, place);
        } else {
            ReadFile(handle, request->buffer, bytes, overlapped ? nullptr : &done, place);
        }
        if (overlapped && GetLastError() == ERROR_IO_PENDING && how < 0x80) {
            GetOverlappedResult(handle, place, &done, TRUE);
        }
    }

    static void map(Bytes &in, HANDLE handle) {
        if (handle == INVALID_HANDLE_VALUE) {
            return; // would be a section of the paging file, which is not modelled
        }
        const HANDLE section = CreateFileMappingW(handle, nullptr, PAGE_READWRITE, 0, 0, nullptr);
        if (section == nullptr) {
            return;
        }
        if (void *const view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0)) {
            *static_cast<char *>(view) = static_cast<char>(in.u8());
            FlushViewOfFile(view, 0);
            UnmapViewOfFile(view);
        }
        CloseHandle(section);
    }

  public:
    struct Free {
        void operator()(Request *request) const { std::free(request); }
    };
    /// Requests of this input and the ones before; emptied when a world has ended.
    static std::vector<std::unique_ptr<Request, Free>> &requests() {
        static std::vector<std::unique_ptr<Request, Free>> all;
        return all;
    }

  private:
    std::vector<uint8_t> program_;
    uint32_t volumes_;
    DWORD flags_ = 0;
};

} // namespace

void Workload::start(const char *name, std::function<void()> body) {
    const fltsim::KernelCall call("spawn");
    if (running_ == MOST_THREADS) {
        return;
    }
    ++running_;
    const fltsim::Thread *const thread = world_.spawn(name, world_.client_process(), [this, body = std::move(body)] {
        body();
        const fltsim::KernelCall end("end");
        --running_;
        world_.wake(this);
    });
    ids_.push_back(static_cast<uint32_t>(thread->id));
}

void Workload::start_io(Bytes &in, uint32_t volumes) {
    start("io", [io = std::make_shared<Io>(in.take(4 + in.below(28)), volumes)] { io->run(); });
}

void Workload::join() {
    const fltsim::KernelCall call("KeWaitForSingleObject");
    world_.block(this, [this] { return running_ == 0; });
}

void make_directories(uint32_t volumes) {
    for (uint32_t i = 0; i < volumes; ++i) {
        CreateDirectoryW((std::u16string(VOLUMES[i]) + u"\\dir1").c_str(), nullptr);
    }
}

void forget_requests() {
    Io::requests().clear();
}

} // namespace fuzz
