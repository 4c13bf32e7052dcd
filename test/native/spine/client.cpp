// SPDX-License-Identifier: MIT
//
// This module provides: the client of the driver's port (spine.hpp).

#include <algorithm>
#include <cstring>
#include <memory>

#include "spine.hpp"

#if defined(__has_include) && __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

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
    head.Hold = rule.hold.value_or(rule.delayMs != 0 ? uint32_t{MINIPEND_HOLD_DELAY} : uint32_t{MINIPEND_HOLD_NONE});
    head.DelayMs = rule.delayMs;
    head.Flags = rule.flags;
    head.Conditions = rule.conditions;
    head.MinorFunctions = rule.minorFunctions;
    head.ProcessId = rule.processId;
    head.MatchStatus = rule.matchStatus;
    head.StatusFilter = rule.statusFilter;
    head.FailStatus = rule.failStatus;
    head.EveryNth = rule.everyNth;
    head.AtMost = rule.atMost;
    head.ProbabilityPpm = rule.probabilityPpm;
    head.MaxHeld = rule.maxHeld;
    head.Seed = rule.seed;
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
    return c.InFlight == 0 && c.Waiting == 0 && c.InCallback == 0 &&
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
    // All members are 64-bit counts; the high water of the sum is no high water, and nobody asks for it here.
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

Client::Client(uint32_t control_thread) : Client(control_thread, false) {}

Client::Client(uint32_t control_thread, bool lenient) : lenient_(lenient) {
    const HRESULT connected = FilterConnectCommunicationPort(u"\\MinipendPort", 0, nullptr, 0, nullptr, &port_);
    expect(connected == S_OK);
    if (connected != S_OK) {
        hello_.Header.Status = connected;
        return;
    }
    std::vector<uint64_t> message(sizeof(MINIPEND_HELLO_REQUEST) / 8);
    MINIPEND_HELLO_REQUEST request{};
    request.Header = {sizeof(request), MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_HELLO, 7};
    request.ControlThreadId = control_thread;
    std::memcpy(message.data(), &request, sizeof(request));
    const std::vector<uint64_t> reply = send(message, sizeof(request), sizeof(MINIPEND_HELLO_REPLY));
    std::memcpy(&hello_, reply.data(), std::min(sizeof(hello_), reply.size() * 8));
    expect(hello_.Header.Status == STATUS_SUCCESS);
    expect(hello_.Header.Token == 7);
}

std::unique_ptr<Client> Client::try_connect(uint32_t control_thread) {
    std::unique_ptr<Client> client(new Client(control_thread, true));
    return client->hello_.Header.Status == STATUS_SUCCESS ? std::move(client) : nullptr;
}

void Client::expect(bool condition) const {
    if (!lenient_) {
        CHECK(condition);
    }
}

/// A buffer for one reply. The large ones are used again, as making one takes longer than the call, under a sanitizer a hundred times; nobody may write
/// to one in the meantime.
class Client::Reply {
  public:
    Reply(const Client &client, size_t bytes) : client_(client), bytes_(bytes) {
        if (bytes == REPLY_BYTES_MAX) {
            const std::lock_guard guard(client.spare_mutex_);
            if (!client.spare_.empty()) {
                buffer_ = std::move(client.spare_.back());
                client.spare_.pop_back();
                ASAN_UNPOISON_MEMORY_REGION(buffer_.get(), bytes);
                return;
            }
        }
        buffer_ = std::make_unique_for_overwrite<uint64_t[]>(bytes / 8);
    }
    ~Reply() {
        if (bytes_ == REPLY_BYTES_MAX) {
            ASAN_POISON_MEMORY_REGION(buffer_.get(), bytes_);
            const std::lock_guard guard(client_.spare_mutex_);
            client_.spare_.push_back(std::move(buffer_));
        }
    }
    Reply(const Reply &) = delete;
    Reply &operator=(const Reply &) = delete;
    uint64_t *get() { return buffer_.get(); }

  private:
    const Client &client_;
    const size_t bytes_;
    std::unique_ptr<uint64_t[]> buffer_;
};

std::vector<uint64_t> Client::send(const std::vector<uint64_t> &message, uint32_t message_bytes,
                                   size_t reply_bytes_max) const {
    Reply buffer(*this, reply_bytes_max);
    std::vector<uint64_t> copy = message;
    DWORD returned = 0;
    const HRESULT answer = FilterSendMessage(port_, copy.data(), message_bytes, buffer.get(),
                                             static_cast<DWORD>(reply_bytes_max / 8 * 8), &returned);
    std::vector<uint64_t> reply(buffer.get(), buffer.get() + (returned + 7) / 8);
    expect(answer == S_OK);
    if (answer != S_OK) {
        MINIPEND_REPLY_HEADER head{};
        head.Status = answer;
        reply.assign(sizeof(head) / 8, 0);
        std::memcpy(reply.data(), &head, sizeof(head));
    }
    need(reply.size() * 8 >= sizeof(MINIPEND_REPLY_HEADER), "the reply is too short");
    return reply;
}

MINIPEND_REPLY_HEADER Client::set_rules(const std::vector<Rule> &rules, uint32_t set_id, uint32_t flags) const {
    std::vector<uint64_t> message(sizeof(MINIPEND_SET_RULES_REQUEST) / 8);
    for (const Rule &rule : rules) {
        append_rule(rule, &message);
    }
    MINIPEND_SET_RULES_REQUEST request{};
    const auto bytes = static_cast<uint32_t>(message.size() * 8);
    request.Header = {bytes, MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_SET_RULES, 8};
    request.Count = static_cast<uint32_t>(rules.size());
    request.SetId = set_id;
    request.Flags = flags;
    std::memcpy(message.data(), &request, sizeof(request));
    const std::vector<uint64_t> reply = send(message, bytes, sizeof(MINIPEND_SET_RULES_REPLY));
    MINIPEND_REPLY_HEADER head{};
    std::memcpy(&head, reply.data(), sizeof(head));
    return head;
}

template <class Request>
std::vector<uint64_t> Client::ask(Request request, uint16_t command, size_t reply_bytes_max) const {
    request.Header = {sizeof(request), MINIPEND_PROTOCOL_VERSION, command, 10};
    std::vector<uint64_t> message(sizeof(request) / 8);
    std::memcpy(message.data(), &request, sizeof(request));
    return send(message, sizeof(request), reply_bytes_max);
}

namespace {

/// A reply's structure; of a fault, only its head.
template <class Reply> Reply reply_of(const std::vector<uint64_t> &words) {
    Reply reply{};
    std::memcpy(&reply, words.data(), std::min(sizeof(reply), words.size() * 8));
    return reply;
}

/// What follows a reply's structure.
template <class Item> std::vector<Item> items_of(const std::vector<uint64_t> &words, size_t head, size_t count) {
    std::vector<Item> items(count);
    if (count != 0) { // an empty vector has no memory to name; a fault has no structure
        need(words.size() * 8 >= head + count * sizeof(Item), "the reply is shorter than its count says");
        std::memcpy(items.data(), words.data() + head / 8, count * sizeof(Item));
    }
    return items;
}

} // namespace

HeldList Client::list_held(uint32_t flags, uint64_t after_park_sequence, uint32_t max_entries) const {
    MINIPEND_LIST_HELD_REQUEST request{};
    request.AfterParkSequence = after_park_sequence;
    request.Flags = flags;
    request.MaxEntries = max_entries;
    const auto words = ask(request, MINIPEND_COMMAND_LIST_HELD, REPLY_BYTES_MAX);
    HeldList list{reply_of<MINIPEND_LIST_HELD_REPLY>(words)};
    expect(list.reply.Header.Status == STATUS_SUCCESS);
    expect(list.reply.EntryBytes == sizeof(MINIPEND_HELD_ENTRY));
    list.entries = items_of<MINIPEND_HELD_ENTRY>(words, sizeof(list.reply), list.reply.Count);
    return list;
}

RuleList Client::list_rules(uint64_t table_id, uint32_t first, uint32_t max_entries, size_t reply_bytes_max) const {
    MINIPEND_LIST_RULES_REQUEST request{};
    request.TableId = table_id;
    request.First = first;
    request.MaxEntries = max_entries;
    const auto words = ask(request, MINIPEND_COMMAND_LIST_RULES, reply_bytes_max);
    RuleList list{reply_of<MINIPEND_LIST_RULES_REPLY>(words)};
    const auto *const bytes = reinterpret_cast<const uint8_t *>(words.data());
    size_t at = sizeof(list.reply);
    for (uint32_t i = 0; i < list.reply.Count; ++i) {
        ListedRule listed;
        need(words.size() * 8 >= at + sizeof(listed.entry), "the reply is shorter than its count says");
        std::memcpy(&listed.entry, bytes + at, sizeof(listed.entry));
        const MINIPEND_RULE &rule = listed.entry.Rule;
        need(words.size() * 8 >= at + listed.entry.SizeBytes &&
                 listed.entry.SizeBytes == offsetof(MINIPEND_RULE_ENTRY, Rule) + rule.SizeBytes &&
                 rule.SizeBytes == (sizeof(rule) + rule.PathBytes + rule.VolumeBytes + 7) / 8 * 8,
             "an entry's size");
        const auto text = [&](size_t from, size_t length) {
            std::u16string value(length / sizeof(char16_t), u'\0');
            std::memcpy(value.data(), bytes + at + sizeof(listed.entry) + from, length);
            return value;
        };
        listed.path = text(0, rule.PathBytes);
        listed.volume = text(rule.PathBytes, rule.VolumeBytes);
        at += listed.entry.SizeBytes;
        list.rules.push_back(std::move(listed));
    }
    if (list.reply.Header.Status == STATUS_SUCCESS) {
        need(at == list.reply.Header.SizeBytes, "bytes behind the last entry");
    }
    return list;
}

HeldList Client::held(size_t count, uint32_t flags) const {
    HeldList list;
    CHECK(eventually([&] {
        list = list_held(flags);
        return list.entries.size() >= count;
    }));
    need(list.entries.size() >= count, "not so many operations are held");
    return list;
}

MINIPEND_RELEASE_REPLY Client::release(MINIPEND_RELEASE_REQUEST request) const {
    return reply_of<MINIPEND_RELEASE_REPLY>(ask(request, MINIPEND_COMMAND_RELEASE, sizeof(MINIPEND_RELEASE_REPLY)));
}

MINIPEND_RELEASE_REPLY Client::release_one(uint64_t held_id, NTSTATUS status, uint32_t flags) const {
    MINIPEND_RELEASE_REQUEST request{};
    request.What = MINIPEND_RELEASE_WHAT_ONE;
    request.HeldId = held_id;
    request.Status = status;
    request.Flags = flags;
    return release(request);
}

MINIPEND_RELEASE_REPLY Client::release_rule(uint32_t set_id, uint32_t rule_id, NTSTATUS status) const {
    MINIPEND_RELEASE_REQUEST request{};
    request.What = MINIPEND_RELEASE_WHAT_RULE;
    request.SetId = set_id;
    request.RuleId = rule_id;
    request.Status = status;
    return release(request);
}

MINIPEND_RELEASE_REPLY Client::release_set(uint32_t set_id, NTSTATUS status) const {
    MINIPEND_RELEASE_REQUEST request{};
    request.What = MINIPEND_RELEASE_WHAT_SET;
    request.SetId = set_id;
    request.Status = status;
    return release(request);
}

MINIPEND_RELEASE_REPLY Client::release_all(NTSTATUS status, uint32_t flags) const {
    MINIPEND_RELEASE_REQUEST request{};
    request.What = MINIPEND_RELEASE_WHAT_ALL;
    request.Status = status;
    request.Flags = flags;
    return release(request);
}

MINIPEND_SUBSCRIBE_REPLY Client::subscribe(uint32_t kinds, uint32_t flags, uint32_t ring_events) const {
    MINIPEND_SUBSCRIBE_REQUEST request{};
    request.Kinds = kinds;
    request.Flags = flags;
    request.RingEvents = ring_events;
    return reply_of<MINIPEND_SUBSCRIBE_REPLY>(
        ask(request, MINIPEND_COMMAND_SUBSCRIBE, sizeof(MINIPEND_SUBSCRIBE_REPLY)));
}

Events Client::pull(uint64_t acknowledge, uint32_t flags, uint32_t max_events) const {
    MINIPEND_PULL_EVENTS_REQUEST request{};
    request.Acknowledge = acknowledge;
    request.Flags = flags;
    request.MaxEvents = max_events;
    const auto words = ask(request, MINIPEND_COMMAND_PULL_EVENTS, REPLY_BYTES_MAX);
    Events events{reply_of<MINIPEND_PULL_EVENTS_REPLY>(words)};
    expect(events.reply.Header.Status == STATUS_SUCCESS);
    expect(events.reply.EventBytes == sizeof(MINIPEND_EVENT));
    events.events = items_of<MINIPEND_EVENT>(words, sizeof(events.reply), events.reply.Count);
    return events;
}

Counters Client::counters() const {
    std::vector<uint64_t> message(sizeof(MINIPEND_MESSAGE_HEADER) / 8);
    const MINIPEND_MESSAGE_HEADER request{sizeof(request), MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_COUNTERS, 9};
    std::memcpy(message.data(), &request, sizeof(request));
    std::vector<uint64_t> reply = send(message, sizeof(request), REPLY_BYTES_MAX);
    // A fault is only a head.
    reply.resize(std::max(reply.size(), sizeof(MINIPEND_COUNTERS_REPLY) / 8));
    Counters counters(std::move(reply));
    expect(counters.head().Header.Status == STATUS_SUCCESS);
    expect(counters.head().InstanceBytes == sizeof(MINIPEND_INSTANCE));
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
