// SPDX-License-Identifier: MIT
//
// This module provides: a FilterGetMessage that waits for the driver's bell, and files whose renames make events.
#pragma once

#include <cstring>

#include "inside.hpp"

namespace spine {

/// One FilterGetMessage, overlapped; ended at the latest with this.
class BellCall {
  public:
    explicit BellCall(HANDLE port) : port_(port), event_(CreateEventW(nullptr, TRUE, FALSE, nullptr)) {
        overlapped_.hEvent = event_;
        answer = FilterGetMessage(port_, &buffer_.header, sizeof(buffer_), &overlapped_);
        CHECK_EQ(answer, HRESULT_FROM_WIN32(ERROR_IO_PENDING));
    }
    ~BellCall() {
        if (!done_) {
            CancelIoEx(port_, &overlapped_);
            WaitForSingleObject(event_, LONG_MS);
        }
        CloseHandle(event_);
    }
    BellCall(const BellCall &) = delete;
    BellCall &operator=(const BellCall &) = delete;
    /// Whether it has ended by now.
    bool ended() {
        done_ = done_ || WaitForSingleObject(event_, 0) == WAIT_OBJECT_0;
        return done_;
    }
    /// Waits for the bell, long enough; the test ends when none comes.
    MINIPEND_BELL bell() {
        done_ = WaitForSingleObject(event_, LONG_MS) == WAIT_OBJECT_0;
        need(done_, "no bell");
        DWORD bytes = 0;
        CHECK(GetOverlappedResult(port_, &overlapped_, &bytes, FALSE) != FALSE);
        CHECK_EQ(bytes, sizeof(FILTER_MESSAGE_HEADER) + sizeof(MINIPEND_BELL));
        CHECK_EQ(buffer_.header.ReplyLength, 0u);
        CHECK_EQ(buffer_.bell.SizeBytes, sizeof(MINIPEND_BELL));
        CHECK_EQ(buffer_.bell.Version, MINIPEND_PROTOCOL_VERSION);
        return buffer_.bell;
    }
    /// The Win32 error with which it ended. Waits for its end.
    DWORD error() {
        done_ = WaitForSingleObject(event_, LONG_MS) == WAIT_OBJECT_0;
        need(done_, "it has not ended");
        DWORD bytes = 0;
        return GetOverlappedResult(port_, &overlapped_, &bytes, FALSE) != FALSE ? 0 : GetLastError();
    }
    HRESULT answer = S_OK;

  private:
    struct Buffer {
        FILTER_MESSAGE_HEADER header{};
        MINIPEND_BELL bell{};
    };
    HANDLE port_;
    HANDLE event_;
    OVERLAPPED overlapped_{};
    Buffer buffer_{};
    bool done_ = false;
};

/// A file on D: that is renamed forth and back. Each rename is an operation that rules select.
class Renamer {
  public:
    explicit Renamer(std::u16string name) : name_(std::move(name)), file_(File::create(u"D:\\" + name_)) {}
    /// Renames it once and waits until that is over.
    void rename() {
        forth_ = !forth_;
        CHECK_EQ(file_.rename(u"D:\\" + name_ + (forth_ ? u"2" : u"")), 0u);
    }
    void rename(int times) {
        for (int i = 0; i < times; ++i) {
            rename();
        }
    }

  private:
    std::u16string name_;
    File file_;
    bool forth_ = false;
};

} // namespace spine
