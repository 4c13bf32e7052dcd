// SPDX-License-Identifier: MIT
//
// This module provides: the client of the driver's port (spine.hpp).

#include <cstring>

#include "spine.hpp"

namespace spine {

namespace {

constexpr uint32_t REPLY_BYTES_MAX = 1u << 20;

uint32_t rule_bytes(const Rule &rule) {
    const size_t texts = (rule.path.size() + rule.volume.size()) * sizeof(char16_t);
    return static_cast<uint32_t>((sizeof(MINIPEND_RULE) + texts + 7) / 8 * 8);
}

void append_rule(const Rule &rule, std::vector<uint64_t> *message) {
    MINIPEND_RULE head{};
    head.SizeBytes = rule_bytes(rule);
    head.Id = rule.id;
    head.Operations = rule.operations;
    head.Action = rule.action;
    head.Queue = rule.action == MINIPEND_ACTION_PEND ? rule.queue : uint32_t{MINIPEND_QUEUE_NONE};
    head.Hold = rule.delayMs != 0 ? MINIPEND_HOLD_DELAY : MINIPEND_HOLD_NONE;
    head.DelayMs = rule.delayMs;
    head.Flags = rule.flags;
    head.PathBytes = static_cast<uint16_t>(rule.path.size() * sizeof(char16_t));
    head.VolumeBytes = static_cast<uint16_t>(rule.volume.size() * sizeof(char16_t));
    std::vector<uint64_t> words(head.SizeBytes / 8);
    auto *at = reinterpret_cast<uint8_t *>(words.data());
    std::memcpy(at, &head, sizeof(head));
    std::memcpy(at + sizeof(head), rule.path.data(), head.PathBytes);
    std::memcpy(at + sizeof(head) + head.PathBytes, rule.volume.data(), head.VolumeBytes);
    message->insert(message->end(), words.begin(), words.end());
}

bool operation_balanced(const MINIPEND_OPERATION_COUNTERS &c, bool at_rest) {
    uint64_t refused = 0;
    for (const uint64_t count : c.Refused) {
        refused += count;
    }
    if (c.Pended != c.Completed + c.InFlight) {
        return false;
    }
    if (!at_rest) {
        return true;
    }
    return c.InFlight == 0 && c.InCallback == 0 &&
           c.PostOperations == c.Unmatched + c.Observed + c.Pended + c.WhenSafe + c.Synchronized + refused + c.Draining;
}

} // namespace

HRESULT send_raw(HANDLE port, const std::vector<uint64_t> &message, uint32_t message_bytes,
                 std::vector<uint64_t> *reply) {
    DWORD returned = 0;
    std::vector<uint64_t> copy = message;
    const HRESULT answer = FilterSendMessage(port, copy.data(), message_bytes, reply->data(),
                                             static_cast<DWORD>(reply->size() * sizeof(uint64_t)), &returned);
    reply->resize((returned + 7) / 8);
    return answer;
}

const MINIPEND_COUNTERS_REPLY &Counters::head() const & {
    return *reinterpret_cast<const MINIPEND_COUNTERS_REPLY *>(words_.data());
}

const MINIPEND_INSTANCE &Counters::instance(size_t index) const & {
    need(index < head().InstanceCount, "no such instance in the counters");
    const auto *const bytes = reinterpret_cast<const uint8_t *>(words_.data());
    return *reinterpret_cast<const MINIPEND_INSTANCE *>(bytes + sizeof(MINIPEND_COUNTERS_REPLY) +
                                                        index * sizeof(MINIPEND_INSTANCE));
}

MINIPEND_OPERATION_COUNTERS Counters::total(MINIPEND_OPERATION operation) const {
    // All members are 64-bit counts.
    constexpr size_t members = sizeof(MINIPEND_OPERATION_COUNTERS) / sizeof(uint64_t);
    uint64_t sum[members] = {};
    for (size_t i = 0; i < head().InstanceCount; ++i) {
        uint64_t one[members];
        std::memcpy(one, &of(i, operation), sizeof(one));
        for (size_t m = 0; m < members; ++m) {
            sum[m] += one[m];
        }
    }
    MINIPEND_OPERATION_COUNTERS total;
    std::memcpy(&total, sum, sizeof(total));
    return total;
}

bool Counters::balanced(bool at_rest) const {
    uint64_t in_flight = 0;
    for (size_t i = 0; i < head().InstanceCount; ++i) {
        for (int operation = 0; operation < MINIPEND_OPERATION_COUNT; ++operation) {
            const auto &counters = of(i, static_cast<MINIPEND_OPERATION>(operation));
            in_flight += counters.InFlight;
            if (!operation_balanced(counters, at_rest)) {
                return false;
            }
        }
    }
    return !at_rest || (in_flight == 0 && head().HeldNow == 0);
}

Client::Client(uint32_t control_thread) {
    CHECK(FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port_) == S_OK);
    std::vector<uint64_t> message(sizeof(MINIPEND_HELLO_REQUEST) / 8);
    MINIPEND_HELLO_REQUEST request{};
    request.Header = {sizeof(request), MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_HELLO, 7};
    request.ControlThreadId = control_thread;
    std::memcpy(message.data(), &request, sizeof(request));
    std::vector<uint64_t> reply(sizeof(MINIPEND_HELLO_REPLY) / 8);
    CHECK(send_raw(port_, message, sizeof(request), &reply) == S_OK);
    need(reply.size() == sizeof(MINIPEND_HELLO_REPLY) / 8, "hello: the reply is too short");
    std::memcpy(&hello_, reply.data(), sizeof(hello_));
    CHECK(hello_.Header.Status == STATUS_SUCCESS);
    CHECK(hello_.Header.Token == 7);
}

MINIPEND_REPLY_HEADER Client::set_rules(const std::vector<Rule> &rules) const {
    std::vector<uint64_t> message(sizeof(MINIPEND_SET_RULES_REQUEST) / 8);
    for (const Rule &rule : rules) {
        append_rule(rule, &message);
    }
    MINIPEND_SET_RULES_REQUEST request{};
    const auto bytes = static_cast<uint32_t>(message.size() * 8);
    request.Header = {bytes, MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_SET_RULES, 8};
    request.Count = static_cast<uint32_t>(rules.size());
    std::memcpy(message.data(), &request, sizeof(request));
    std::vector<uint64_t> reply(sizeof(MINIPEND_SET_RULES_REPLY) / 8);
    CHECK(send_raw(port_, message, bytes, &reply) == S_OK);
    MINIPEND_REPLY_HEADER head{};
    need(reply.size() * 8 >= sizeof(head), "set rules: the reply is too short");
    std::memcpy(&head, reply.data(), sizeof(head));
    return head;
}

Counters Client::counters() const {
    std::vector<uint64_t> message(sizeof(MINIPEND_MESSAGE_HEADER) / 8);
    const MINIPEND_MESSAGE_HEADER request{sizeof(request), MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_COUNTERS, 9};
    std::memcpy(message.data(), &request, sizeof(request));
    std::vector<uint64_t> reply(REPLY_BYTES_MAX / 8);
    CHECK(send_raw(port_, message, sizeof(request), &reply) == S_OK);
    need(reply.size() * 8 >= sizeof(MINIPEND_COUNTERS_REPLY), "counters: the reply is too short");
    Counters counters(std::move(reply));
    CHECK(counters.head().Header.Status == STATUS_SUCCESS);
    CHECK(counters.head().InstanceBytes == sizeof(MINIPEND_INSTANCE));
    return counters;
}

Counters Client::counters_at_rest() const {
    eventually([this] { return counters().balanced(true); });
    return counters();
}

void Client::close() {
    if (port_ != INVALID_HANDLE_VALUE) {
        CloseHandle(std::exchange(port_, INVALID_HANDLE_VALUE));
    }
}

void load_and_attach(std::initializer_list<const char16_t *> volumes) {
    CHECK(FilterLoad(u"minipend") == S_OK);
    for (const char16_t *volume : volumes) {
        CHECK(FilterAttach(u"minipend", volume, nullptr, 0, nullptr) == S_OK);
    }
}

} // namespace spine
