// SPDX-License-Identifier: MIT
//
// This module provides: encoder.hpp.

#include "encoder.hpp"

#include <ntstatus.h>

namespace fuzz {

namespace {

constexpr uint64_t ALL_OPERATIONS = (uint64_t{1} << MINIPEND_OPERATION_COUNT) - 1;
/// Those that the workload makes (workload.hpp).
constexpr MINIPEND_OPERATION LIKELY[] = {
    MINIPEND_OPERATION_CREATE, MINIPEND_OPERATION_CLOSE,  MINIPEND_OPERATION_CLEANUP,         MINIPEND_OPERATION_READ,
    MINIPEND_OPERATION_WRITE,  MINIPEND_OPERATION_RENAME, MINIPEND_OPERATION_DELETE,          MINIPEND_OPERATION_FLUSH,
    MINIPEND_OPERATION_LINK,   MINIPEND_OPERATION_LOCK,   MINIPEND_OPERATION_SET_END_OF_FILE,
};
constexpr int32_t STATUSES[] = {0,
                                STATUS_DISK_FULL,
                                STATUS_SHARING_VIOLATION,
                                STATUS_SUCCESS,
                                STATUS_PENDING,
                                STATUS_REPARSE,
                                STATUS_BUFFER_OVERFLOW,
                                STATUS_FLT_DISALLOW_FAST_IO,
                                STATUS_ACCESS_DENIED};
constexpr uint32_t DELAYS[] = {1, 2, 50, 250, 30'000, 30'001};

template <class T> void append(std::vector<uint8_t> *out, const T &value) {
    const auto *const bytes = reinterpret_cast<const uint8_t *>(&value);
    out->insert(out->end(), bytes, bytes + sizeof(value));
}

/// A pattern or a volume's name, in bytes.
std::vector<uint8_t> text(Bytes &in, size_t chars_max) {
    static constexpr char16_t ALPHABET[] = u"\\*?abAB.txdir1";
    std::vector<uint8_t> bytes;
    const size_t chars = in.u8() % (chars_max + 1);
    for (size_t i = 0; i < chars; ++i) {
        const uint8_t choice = in.u8();
        append(&bytes, choice < 0xF0 ? ALPHABET[choice % (std::size(ALPHABET) - 1)] : in.number<char16_t>());
    }
    return bytes;
}

std::vector<uint8_t> volume(Bytes &in) {
    std::vector<uint8_t> bytes;
    for (const char16_t unit : u"\\Device\\HarddiskVolume") {
        append(&bytes, unit);
    }
    bytes.resize(bytes.size() - sizeof(char16_t));
    append(&bytes, static_cast<char16_t>(u'1' + in.below(4)));
    return bytes;
}

uint64_t operations(Bytes &in) {
    const uint8_t how = in.u8();
    if (how < 0x40) {
        return ALL_OPERATIONS;
    }
    if (how < 0x80) {
        return in.number<uint64_t>();
    }
    return (uint64_t{1} << in.one_of(LIKELY)) | (uint64_t{1} << in.one_of(LIKELY));
}

void choose_hold(Bytes &in, MINIPEND_RULE *rule) {
    rule->Action = MINIPEND_ACTION_OBSERVE + in.below(4);
    rule->Queue = rule->Action == MINIPEND_ACTION_PEND ? MINIPEND_QUEUE_CRITICAL + in.below(2) : MINIPEND_QUEUE_NONE;
    if (rule->Action == MINIPEND_ACTION_PEND || rule->Action == MINIPEND_ACTION_SYNCHRONIZE) {
        rule->Hold = in.below(3);
    }
    if (rule->Hold != MINIPEND_HOLD_NONE) {
        rule->DelayMs = in.one_of(DELAYS);
    }
    if (rule->Hold == MINIPEND_HOLD_GATE) {
        rule->MaxHeld = in.below(4);
    }
}

void choose_conditions(Bytes &in, MINIPEND_RULE *rule) {
    const uint8_t wanted = in.u8();
    if ((wanted & 0x01) != 0) {
        rule->Flags = in.u8() & MINIPEND_RULE_VALID_FLAGS;
    }
    if ((wanted & 0x02) != 0) {
        rule->Conditions = in.u8() & MINIPEND_CONDITION_VALID;
    }
    if ((wanted & 0x04) != 0) {
        rule->StatusFilter = in.below(4);
        rule->MatchStatus = rule->StatusFilter == MINIPEND_STATUS_FILTER_EXACT ? in.one_of(STATUSES) : 0;
    }
    if ((wanted & 0x08) != 0 && rule->Action != MINIPEND_ACTION_OBSERVE) {
        rule->FailStatus = in.one_of(STATUSES);
        rule->Operations &= ~(uint64_t{1} << MINIPEND_OPERATION_CLEANUP | uint64_t{1} << MINIPEND_OPERATION_CLOSE);
    }
    if ((wanted & 0x10) != 0) {
        rule->EveryNth = in.below(4);
        rule->AtMost = in.below(4);
    }
    if ((wanted & 0x20) != 0) {
        rule->ProbabilityPpm = in.number<uint32_t>() % 1'000'001;
        rule->Seed = in.number<uint64_t>();
    }
    if ((wanted & 0x40) != 0) {
        rule->ProcessId = in.below(16);
    }
}

template <class Request> Message finished(Request request, uint16_t command, uint64_t token) {
    request.Header = {sizeof(request), MINIPEND_PROTOCOL_VERSION, command, token};
    Message message;
    append(&message.bytes, request);
    return message;
}

/// A request's fields as the input has them; the head is put right.
template <class Request> Request fields(Bytes &in) {
    Request request{};
    in.copy(reinterpret_cast<uint8_t *>(&request) + sizeof(request.Header), sizeof(request) - sizeof(request.Header));
    return request;
}

Message make_release(Bytes &in, const Known &known) {
    auto request = fields<MINIPEND_RELEASE_REQUEST>(in);
    const uint8_t how = in.u8();
    if (how >= 0x20) {
        request = {};
        request.What = MINIPEND_RELEASE_WHAT_ONE + how % 4;
        request.Status = in.one_of(STATUSES);
        switch (request.What) {
        case MINIPEND_RELEASE_WHAT_ONE:
            request.HeldId = known.held_ids.empty() ? in.u8() : known.held_ids[in.u8() % known.held_ids.size()];
            request.Flags = in.below(2);
            break;
        case MINIPEND_RELEASE_WHAT_RULE:
            request.RuleId = in.below(3);
            request.SetId = in.below(3);
            break;
        case MINIPEND_RELEASE_WHAT_SET:
            request.SetId = in.below(3);
            break;
        default:
            request.Flags = in.below(2);
            break;
        }
    }
    return finished(request, MINIPEND_COMMAND_RELEASE, in.u8());
}

Message make_pull(Bytes &in, const Known &known) {
    auto request = fields<MINIPEND_PULL_EVENTS_REQUEST>(in);
    if (in.u8() >= 0x40) {
        request.Acknowledge = known.sequence - in.below(4) % (known.sequence + 1);
        request.Flags %= 2;
    }
    return finished(request, MINIPEND_COMMAND_PULL_EVENTS, in.u8());
}

} // namespace

void append_rule(Bytes &in, std::vector<uint8_t> *out) {
    MINIPEND_RULE rule{};
    const uint8_t how = in.u8();
    if (how < 0x20) {
        in.copy(&rule, sizeof(rule)); // as it comes
    } else {
        rule.Id = in.below(3);
        rule.Operations = operations(in);
        choose_hold(in, &rule);
        choose_conditions(in, &rule);
    }
    const std::vector<uint8_t> path = (how & 1) != 0 ? text(in, 24) : std::vector<uint8_t>{};
    const std::vector<uint8_t> device = (how & 6) == 6 ? volume(in) : std::vector<uint8_t>{};
    if (how >= 0x10) {
        rule.PathBytes = static_cast<uint16_t>(path.size());
        rule.VolumeBytes = static_cast<uint16_t>(device.size());
        rule.SizeBytes = static_cast<uint32_t>((sizeof(rule) + path.size() + device.size() + 7) / 8 * 8);
    }
    const size_t start = out->size();
    append(out, rule);
    out->insert(out->end(), path.begin(), path.end());
    out->insert(out->end(), device.begin(), device.end());
    out->resize(start + (out->size() - start + 7) / 8 * 8);
}

Message make_rules(Bytes &in, uint32_t set_id, uint32_t flags, uint32_t rules) {
    MINIPEND_SET_RULES_REQUEST request{};
    request.Count = rules;
    request.SetId = set_id;
    request.Flags = flags;
    Message message;
    append(&message.bytes, request);
    for (uint32_t i = 0; i < rules; ++i) {
        append_rule(in, &message.bytes);
    }
    const auto bytes = static_cast<uint32_t>(message.bytes.size());
    const MINIPEND_MESSAGE_HEADER head{bytes, MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_SET_RULES, in.u8()};
    std::memcpy(message.bytes.data(), &head, sizeof(head));
    return message;
}

Message make_hello(Bytes &in) {
    auto request = fields<MINIPEND_HELLO_REQUEST>(in);
    if (in.u8() >= 0x10) {
        request.Reserved = 0;
    }
    return finished(request, MINIPEND_COMMAND_HELLO, in.u8());
}

Message make_command(Bytes &in, const Known &known) {
    struct Head {
        MINIPEND_MESSAGE_HEADER Header;
    };
    switch (MINIPEND_COMMAND_COUNTERS + in.below(7)) {
    case MINIPEND_COMMAND_COUNTERS:
        return finished(Head{}, MINIPEND_COMMAND_COUNTERS, in.u8());
    case MINIPEND_COMMAND_SET_RULES: {
        const uint32_t set_id = in.below(3);
        const uint32_t persist = set_id == 0 && in.below(4) == 1 ? MINIPEND_SET_RULES_PERSIST : 0;
        return make_rules(in, set_id, persist, in.below(4));
    }
    case MINIPEND_COMMAND_LIST_HELD: {
        auto request = fields<MINIPEND_LIST_HELD_REQUEST>(in);
        if (in.u8() >= 0x20) {
            request.AfterParkSequence = 0;
            request.Flags %= 4;
        }
        return finished(request, MINIPEND_COMMAND_LIST_HELD, in.u8());
    }
    case MINIPEND_COMMAND_LIST_RULES: {
        auto request = fields<MINIPEND_LIST_RULES_REQUEST>(in);
        if (in.u8() >= 0x20) {
            request.TableId = in.below(2) == 0 ? 0 : known.rule_table;
            request.First = request.TableId == 0 ? 0 : request.First % 4;
        }
        return finished(request, MINIPEND_COMMAND_LIST_RULES, in.u8());
    }
    case MINIPEND_COMMAND_RELEASE:
        return make_release(in, known);
    case MINIPEND_COMMAND_SUBSCRIBE: {
        auto request = fields<MINIPEND_SUBSCRIBE_REQUEST>(in);
        if (in.u8() >= 0x20) {
            request.Kinds %= 1u << MINIPEND_EVENT_KIND_COUNT;
            request.Flags %= 2;
            request.RingEvents = request.RingEvents % 4 == 0 ? 0 : MINIPEND_MIN_EVENT_RING;
            request.Reserved = 0;
        }
        return finished(request, MINIPEND_COMMAND_SUBSCRIBE, in.u8());
    }
    default:
        return make_pull(in, known);
    }
}

Message make_wrong(Bytes &in, const Known &known) {
    const uint8_t how = in.u8();
    if (how < 0x40) {
        return {in.take(in.u8())};
    }
    Message message = how < 0x60 ? make_hello(in) : make_command(in, known);
    const size_t spoilt = 1 + in.below(3);
    for (size_t i = 0; i < spoilt; ++i) {
        message.bytes[in.number<uint16_t>() % message.bytes.size()] = in.u8();
    }
    if (how < 0xA0) {
        const size_t bytes =
            in.below(2) == 0 ? message.bytes.size() - in.u8() % message.bytes.size() : message.bytes.size() + in.u8();
        message.bytes.resize(bytes);
        const auto size = static_cast<uint32_t>(bytes);
        if (message.has_head() && in.below(2) == 0) {
            std::memcpy(message.bytes.data(), &size, sizeof(size));
        }
    }
    return message;
}

Message no_persistent_rules() {
    MINIPEND_SET_RULES_REQUEST request{};
    request.Flags = MINIPEND_SET_RULES_PERSIST;
    return finished(request, MINIPEND_COMMAND_SET_RULES, 0);
}

Message release_everything() {
    MINIPEND_RELEASE_REQUEST request{};
    request.What = MINIPEND_RELEASE_WHAT_ALL;
    request.Flags = MINIPEND_RELEASE_FORCE;
    return finished(request, MINIPEND_COMMAND_RELEASE, 0);
}

} // namespace fuzz
