// SPDX-License-Identifier: MIT
//
// This module provides: three filters on one volume, the middle one with an open file, for the tests of I/O that a filter begins itself.
#pragma once

#include "flt/context_subject.hpp"
#include "flt/internal.hpp"

#include <utility>

namespace own_stack {

using namespace recorder;
using context_subject::close;
using context_subject::expect_clean;
using context_subject::open;

/// What each filter sees of an operation is noted as "low:READ* "; the star: FLTFL_CALLBACK_DATA_GENERATED_IO.
struct Stack {
    Driver top{u"top", u"300000"};
    Driver mid{u"mid", u"200000"};
    Driver low{u"low", u"100000"};
    PFLT_INSTANCE instance = nullptr; ///< of mid
    PFLT_VOLUME volume = nullptr;
    PFILE_OBJECT file = nullptr; ///< that mid has seen opened last
    Pre low_pre; ///< asked after the note
    Bench &bench;

    explicit Stack(Bench &bench) : bench(bench) {
        for (Driver *driver : {&top, &mid, &low}) {
            driver->pre = [this, driver](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *context) {
                seen_ += flt::narrow(driver->name) + ":" + (flt::operation_name(data->Iopb->MajorFunction) + 7) +
                         ((data->Flags & FLTFL_CALLBACK_DATA_GENERATED_IO) != 0 ? "* " : " ");
                return driver == &low && low_pre ? low_pre(data, objects, context) : FLT_PREOP_SUCCESS_WITH_CALLBACK;
            };
        }
        mid.post = [this](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                instance = objects->Instance;
                volume = objects->Volume;
                file = objects->FileObject;
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
    }
    bool load(LPCWSTR on) {
        for (Driver *driver : {&low, &mid, &top}) {
            if (driver->load(bench.world) != STATUS_SUCCESS ||
                FilterAttach(driver->name.c_str(), on, nullptr, 0, nullptr) != S_OK) {
                return false;
            }
        }
        return true;
    }
    void unload() {
        for (Driver *driver : {&top, &mid, &low}) {
            if (driver->filter) {
                CHECK_EQ(bench.unload(*driver), STATUS_SUCCESS);
            }
        }
    }
    /// What was seen since the last time it was asked.
    std::string seen() {
        std::string result;
        result.swap(seen_);
        if (!result.empty()) {
            result.pop_back();
        }
        return result;
    }

  private:
    std::string seen_;
};

/// A world with a stack on D:, or on E: (FAT).
inline std::string with_stack(const std::function<void(Stack &)> &fn, uint64_t seed = 1, LPCWSTR on = u"D:") {
    return run_known(
        Executor::Fibers,
        [&](Bench &bench) {
            static auto &left = *new std::vector<Stack *>; // of worlds that stop
            Stack &stack = *left.emplace_back(new Stack(bench));
            REQUIRE(stack.load(on));
            fn(stack);
            stack.unload();
        },
        seed);
}

/// The rule that stops the world.
inline std::string rule(const std::function<void(Stack &)> &fn) {
    return rule_of(with_stack(fn));
}

/// A file with this content, open by a user; closed when it goes.
class UserFile {
  public:
    UserFile(Stack &stack, const char16_t *path, std::string_view content = "content", DWORD flags = 0) {
        handle_ = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, context_subject::SHARE, nullptr, CREATE_ALWAYS, flags,
                              nullptr);
        CHECK(handle_ != INVALID_HANDLE_VALUE);
        object = stack.file;
        DWORD written = 0;
        if (!content.empty() && (flags & (FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING)) == 0) {
            CHECK(WriteFile(handle_, content.data(), static_cast<DWORD>(content.size()), &written, nullptr));
        }
        stack.seen();
    }
    ~UserFile() {
        if (handle_ != INVALID_HANDLE_VALUE) {
            close(handle_);
        }
    }
    UserFile(const UserFile &) = delete;
    UserFile &operator=(const UserFile &) = delete;
    HANDLE handle() const { return handle_; }
    void close_now() { close(std::exchange(handle_, INVALID_HANDLE_VALUE)); }
    PFILE_OBJECT object = nullptr;

  private:
    HANDLE handle_ = INVALID_HANDLE_VALUE;
};

} // namespace own_stack
