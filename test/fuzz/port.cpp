// SPDX-License-Identifier: MIT
//
// This module provides: port.hpp.

#include "port.hpp"

#include <cstdlib>
#include <sys/mman.h>

namespace fuzz {

namespace {

constexpr size_t PAGE = 4096;
/// Longer than any reply: what lies behind must not be somebody else's memory.
constexpr size_t GAP = 4u << 20;
constexpr uint8_t UNTOUCHED = 0xCD;

/// A page before a gap where nothing is. Lives as long as the process.
char *edge() {
    static char *const end = [] {
        void *const base = mmap(nullptr, PAGE + GAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(base != MAP_FAILED, "mmap");
        require(mprotect(static_cast<char *>(base) + PAGE, GAP, PROT_NONE) == 0, "mprotect");
        return static_cast<char *>(base) + PAGE;
    }();
    return end;
}

template <class T> T at(const std::vector<uint8_t> &bytes, size_t offset) {
    require(bytes.size() >= offset + sizeof(T), "a reply is shorter than its count says");
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
}

} // namespace

Room make_room(Bytes &in) {
    static constexpr size_t SIZES[] = {1u << 16, 1u << 20, 40, 48, 56, 64, 80, 320, 700, 32, 31, 16, 0};
    Room room;
    const uint8_t how = in.u8();
    room.bytes = how < 0xF0 ? in.one_of(SIZES) : in.number<uint16_t>();
    if (how % 16 == 1) {
        room.misaligned = in.below(8);
        room.message_misaligned = in.below(8);
    }
    if (how % 16 == 2) {
        room.cut = in.u8() % (PAGE / 8) * 8;
    }
    return room;
}

Port::Port() {
    const HRESULT answer = FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &handle_);
    require((answer == S_OK) == is_open(), "a connection that failed has a handle");
}

void Port::close() {
    if (is_open()) {
        CloseHandle(std::exchange(handle_, INVALID_HANDLE_VALUE));
    }
}

std::optional<MINIPEND_REPLY_HEADER> Port::send(const Message &message, const Room &room) {
    // Each buffer is as long as it says and no longer, so that a sanitizer sees one byte more.
    std::vector<uint8_t> in(room.message_misaligned + std::max<size_t>(message.bytes.size(), 1));
    std::copy(message.bytes.begin(), message.bytes.end(), in.begin() + static_cast<ptrdiff_t>(room.message_misaligned));
    std::vector<uint8_t> out(room.misaligned + std::max<size_t>(room.bytes, 1), UNTOUCHED);
    char *reply = reinterpret_cast<char *>(out.data()) + room.misaligned;
    if (room.cut) {
        reply = edge() - *room.cut;
    }
    DWORD returned = 0;
    const HRESULT answer =
        FilterSendMessage(handle_, in.data() + room.message_misaligned, static_cast<DWORD>(message.bytes.size()), reply,
                          static_cast<DWORD>(room.bytes), &returned);
    if (answer != S_OK) {
        require(returned == 0, "a message that failed has a reply");
        return std::nullopt;
    }
    require(returned <= room.bytes, "a reply is longer than its buffer");
    require(!room.cut || returned <= *room.cut, "a reply is longer than what is there");
    if (!room.cut) {
        for (size_t i = returned; i < room.bytes; ++i) {
            require(static_cast<uint8_t>(reply[i]) == UNTOUCHED, "bytes behind the reply were written");
        }
    }
    const std::vector<uint8_t> bytes(reply, reply + returned);
    check_reply(message, bytes, room.bytes);
    return at<MINIPEND_REPLY_HEADER>(bytes, 0);
}

void Port::check_reply(const Message &message, const std::vector<uint8_t> &reply, size_t room) {
    require(message.has_head(), "a message without a head was answered");
    const auto asked = message.head();
    const auto head = at<MINIPEND_REPLY_HEADER>(reply, 0);
    require(head.SizeBytes == reply.size(), "a reply's SizeBytes is not what came back");
    require(head.Version == MINIPEND_PROTOCOL_VERSION, "a reply has another version");
    require(head.Command == asked.Command && head.Token == asked.Token, "a reply does not belong to its message");
    require(head.Detail < MINIPEND_DETAIL_COUNT, "a reply's detail does not exist");
    require((head.Status < 0) == (head.Detail != MINIPEND_DETAIL_NONE), "a reply's status and detail disagree");
    require((head.RequiredBytes != 0) == (head.Detail == MINIPEND_DETAIL_REPLY_BUFFER), "RequiredBytes has no reason");
    require(head.RequiredBytes == 0 || head.RequiredBytes > room, "a reply asks for less room than it had");
    if (head.Status < 0) {
        require(reply.size() == sizeof(head), "a fault has a body");
        return;
    }
    switch (head.Command) {
    case MINIPEND_COMMAND_LIST_HELD: {
        const auto list = at<MINIPEND_LIST_HELD_REPLY>(reply, 0);
        require(reply.size() == sizeof(list) + size_t{list.Count} * sizeof(MINIPEND_HELD_ENTRY), "a listing's size");
        known.held_ids.clear();
        for (uint32_t i = 0; i < list.Count; ++i) {
            const auto entry = at<MINIPEND_HELD_ENTRY>(reply, sizeof(list) + i * sizeof(MINIPEND_HELD_ENTRY));
            require(entry.NameChars <= MINIPEND_MAX_NAME_CHARS, "a held operation's name is too long");
            require(entry.Operation < MINIPEND_OPERATION_COUNT, "a held operation's operation does not exist");
            known.held_ids.push_back(entry.HeldId);
        }
        break;
    }
    case MINIPEND_COMMAND_LIST_RULES: {
        const auto list = at<MINIPEND_LIST_RULES_REPLY>(reply, 0);
        require(list.Count <= MINIPEND_MAX_RULE_ENTRIES && list.Next <= list.RuleCount, "a rule listing's counts");
        size_t bytes = sizeof(list);
        for (uint32_t i = 0; i < list.Count; ++i) {
            require(bytes + sizeof(MINIPEND_RULE_ENTRY) <= reply.size(), "a rule listing ends within an entry");
            const auto entry = at<MINIPEND_RULE_ENTRY>(reply, bytes);
            require(entry.Selected >= entry.Refused + entry.Taken && entry.Taken >= entry.HeldNow,
                    "a rule's counts contradict each other");
            bytes += entry.SizeBytes;
        }
        require(bytes == reply.size(), "a rule listing's size");
        known.rule_table = list.TableId;
        break;
    }
    case MINIPEND_COMMAND_SUBSCRIBE:
        known.sequence = at<MINIPEND_SUBSCRIBE_REPLY>(reply, 0).Sequence;
        break;
    case MINIPEND_COMMAND_PULL_EVENTS: {
        const auto pulled = at<MINIPEND_PULL_EVENTS_REPLY>(reply, 0);
        require(reply.size() == sizeof(pulled) + size_t{pulled.Count} * sizeof(MINIPEND_EVENT),
                "an event reply's size");
        uint64_t before = message.as<MINIPEND_PULL_EVENTS_REQUEST>().Acknowledge;
        for (uint32_t i = 0; i < pulled.Count; ++i) {
            const auto event = at<MINIPEND_EVENT>(reply, sizeof(pulled) + i * sizeof(MINIPEND_EVENT));
            require(event.Sequence > before, "events are out of order");
            require(event.NameChars <= MINIPEND_EVENT_NAME_CHARS, "an event's name is too long");
            require(event.Kind < MINIPEND_EVENT_KIND_COUNT && event.Operation < MINIPEND_OPERATION_COUNT,
                    "an event's kind or operation does not exist");
            before = event.Sequence;
        }
        known.sequence = std::max(known.sequence, before);
        break;
    }
    default:
        break;
    }
}

} // namespace fuzz
