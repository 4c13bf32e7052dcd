// SPDX-License-Identifier: MIT
//
// This module provides: a connection to the driver that sends messages as a hostile client would build them.
#pragma once

#include <algorithm>
#include <cstring>

#include "inside.hpp"

namespace spine {

class RawPort {
  public:
    RawPort() { CHECK_EQ(FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &handle_), S_OK); }
    ~RawPort() { CloseHandle(handle_); }
    RawPort(const RawPort &) = delete;
    RawPort &operator=(const RawPort &) = delete;
    HRESULT send(void *in, size_t in_bytes, void *out, size_t out_bytes) {
        returned = 0xCC;
        return FilterSendMessage(handle_, in, static_cast<DWORD>(in_bytes), out, static_cast<DWORD>(out_bytes),
                                 &returned);
    }
    HANDLE handle() const { return handle_; }
    /// Sends it from good memory. The reply's head.
    template <class T> MINIPEND_REPLY_HEADER ask(const T &message, size_t bytes = sizeof(T), size_t out_bytes = 1024) {
        std::vector<uint64_t> in((bytes + 7) / 8);
        std::memcpy(in.data(), &message, std::min(bytes, sizeof(T)));
        std::vector<uint64_t> out((out_bytes + 7) / 8);
        CHECK_EQ(send(in.data(), bytes, out.data(), out_bytes), S_OK);
        MINIPEND_REPLY_HEADER head{};
        CHECK(returned >= sizeof(head));
        std::memcpy(&head, out.data(), sizeof(head));
        CHECK_EQ(head.SizeBytes, returned);
        CHECK_EQ(head.Version, MINIPEND_PROTOCOL_VERSION);
        return head;
    }
    DWORD returned = 0;

  private:
    HANDLE handle_ = INVALID_HANDLE_VALUE;
};

inline MINIPEND_MESSAGE_HEADER head_of(size_t bytes, uint16_t command) {
    return {static_cast<uint32_t>(bytes), MINIPEND_PROTOCOL_VERSION, command, 77};
}

inline MINIPEND_HELLO_REQUEST hello() {
    MINIPEND_HELLO_REQUEST request{};
    request.Header = head_of(sizeof(request), MINIPEND_COMMAND_HELLO);
    return request;
}

struct OneRule {
    MINIPEND_SET_RULES_REQUEST request{};
    MINIPEND_RULE rule{};
    OneRule() {
        request.Header = head_of(sizeof(*this), MINIPEND_COMMAND_SET_RULES);
        request.Count = 1;
        rule.SizeBytes = sizeof(rule);
        rule.Operations = bit(MINIPEND_OPERATION_RENAME);
        rule.Action = MINIPEND_ACTION_PEND;
        rule.Queue = MINIPEND_QUEUE_DELAYED;
    }
};

inline void check_answer(const MINIPEND_REPLY_HEADER &head, NTSTATUS status, MINIPEND_DETAIL detail, int line) {
    if (head.Status != status || head.Detail != static_cast<uint32_t>(detail)) {
        check::failed(__FILE__, line,
                      "status " + check::shown(head.Status) + ", detail " + std::to_string(head.Detail));
    }
    CHECK_EQ(head.Token, 77u);
}
#define CHECK_ANSWER(Head, Status, Detail) check_answer(Head, Status, Detail, __LINE__)

} // namespace spine
