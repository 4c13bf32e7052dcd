// SPDX-License-Identifier: MIT
//
// This module provides: the driver's state block as a dump script finds it: by its signature in the writable memory of the loaded image, and from
// there, by nothing but the block's own offsets, what is held and by whom.
//
// On Linux only: the loader tells there which memory an image has.

#if defined(__linux__)

#include <dlfcn.h>
#include <link.h>

#include "flt/internal.hpp"
#include "image/pe_image.hpp"
#include "inside.hpp"

using namespace spine;

// Raw reads of the image's memory: the sanitizers would speak of the gaps between its variables.
#define RAW_READS __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

namespace {

/// The block as it lies in memory: the driver's own description is not used, so that a member that moves is noticed.
struct State {
    char signature[16];
    uint32_t sizeBytes, version, driverVersion[3], protocolVersion, operationCount, refusalCount;
    uint64_t globals, hold, instances, connections, rules;
    uint32_t holdList, holdCount, holdHighWater;
    uint32_t recordBytes, recordHeldLink, recordState, recordId, recordTakenTime, recordDueTime, recordData,
        recordThread, recordInstance, recordOperation, recordRule, recordSeen, recordNameChars, recordName;
    uint32_t instancesList, instancesRetired, instanceBytes, instanceLink, instanceId, instanceHeldCounters,
        instanceCells, instanceHistograms, instanceAltitude, instanceName, instanceVolume, cellBytes, heldCountersBytes,
        globalsProcessorCount;
    uint32_t connectionsList, connectionLink, connectionId, connectionThreadIds;
    uint32_t rulesTable, tableCount, tableEntries, reserved;
};

RAW_READS void raw_copy(void *to, uint64_t from, size_t bytes) {
    auto *target = static_cast<volatile char *>(to);
    const auto *source = reinterpret_cast<const volatile char *>(from);
    for (size_t i = 0; i < bytes; ++i) {
        target[i] = source[i];
    }
}

template <class T> T raw(uint64_t at) {
    T value;
    raw_copy(&value, at, sizeof(value));
    return value;
}

RAW_READS bool is_signature(uint64_t at) {
    // Not as one literal: the test's own memory is no place to find it.
    static const char head[] = "minipend-state-";
    const auto *bytes = reinterpret_cast<const volatile char *>(at);
    for (size_t i = 0; i + 1 < sizeof(head); ++i) {
        if (bytes[i] != head[i]) {
            return false;
        }
    }
    return bytes[sizeof(head) - 1] == '1';
}

struct Search {
    uint64_t base = 0; ///< of the image
    std::vector<uint64_t> found{};
};

/// In memory that the image may write.
void search_memory(uint64_t begin, uint64_t end, Search *search) {
    for (uint64_t at = (begin + 7) / 8 * 8; at + sizeof(State) <= end; at += 8) {
        if (is_signature(at)) {
            search->found.push_back(at);
        }
    }
}

int search_image(dl_phdr_info *info, size_t, void *context) {
    auto *search = static_cast<Search *>(context);
    if (info->dlpi_addr != search->base) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto &segment = info->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) {
            continue;
        }
        const uint64_t begin = info->dlpi_addr + segment.p_vaddr;
        search_memory(begin, begin + segment.p_memsz, search);
    }
    return 1;
}

/// Where the block is in the loaded driver's image.
std::vector<uint64_t> find_state(const TestWorld &world) {
    Search search;
    inside(world, [&](fltsim::World &) {
        const fltsim::KernelCall call("FltGetFilterFromName");
        const auto &filters = fltsim::flt::manager().filters;
        need(filters.size() == 1, "one filter is loaded");
        Dl_info info{};
        const auto *code = reinterpret_cast<const void *>(filters[0]->driver->image->entry());
#if FLTSIM_WINDOWS_IMAGES
        if (const auto *image = fltsim::image::image_at(reinterpret_cast<uint64_t>(code))) {
            for (const auto &section : image->sections()) {
                if ((section.characteristics & fltsim::image::SECTION_WRITE) != 0) {
                    search_memory(image->base() + section.rva, image->base() + section.rva + section.bytes, &search);
                }
            }
            return;
        }
#endif
        need(dladdr(code, &info) != 0, "the loader does not know the image");
        search.base = reinterpret_cast<uint64_t>(info.dli_fbase);
    });
    if (search.base != 0) {
        dl_iterate_phdr(search_image, &search);
    }
    return search.found;
}

/// Addresses of a list's entries.
std::vector<uint64_t> walk(uint64_t head) {
    std::vector<uint64_t> links;
    for (auto at = raw<uint64_t>(head); at != head && links.size() < 1000; at = raw<uint64_t>(at)) {
        links.push_back(at);
    }
    return links;
}

} // namespace

SPINE_TEST(a_dump_shows_what_is_held) {
    TestWorld world(executor);
    load_and_attach({u"D:", u"E:"});
    const Client client(4711);
    Rule gate = gate_rule(bit(MINIPEND_OPERATION_RENAME), LONG_MS);
    gate.flags = MINIPEND_RULE_NAME;
    CHECK_EQ(client.set_rules({gate}, 1).Status, STATUS_SUCCESS);
    const File file = File::create(u"D:\\held");
    auto rename = world.start([&] { return file.rename(u"D:\\b"); });
    const HeldList held = client.held(1);

    const auto found = find_state(world);
    need(found.size() == 1, "the signature is there " + std::to_string(found.size()) + " times");
    const auto state = raw<State>(found[0]);
    CHECK_EQ(state.sizeBytes, sizeof(State));
    CHECK_EQ(state.version, 1u);
    CHECK_EQ(state.protocolVersion, static_cast<uint32_t>(MINIPEND_PROTOCOL_VERSION));
    CHECK_EQ(state.operationCount, static_cast<uint32_t>(MINIPEND_OPERATION_COUNT));
    CHECK_EQ(state.refusalCount, static_cast<uint32_t>(MINIPEND_REFUSAL_COUNT));
    CHECK_EQ(raw<uint32_t>(state.globals + state.globalsProcessorCount), client.hello().ProcessorCount);

    CHECK_EQ(raw<uint32_t>(state.hold + state.holdCount), 1u);
    CHECK_EQ(raw<uint32_t>(state.hold + state.holdHighWater), 1u);
    const auto records = walk(state.hold + state.holdList);
    need(records.size() == 1, "one record is listed");
    const uint64_t record = records[0] - state.recordHeldLink;
    CHECK_EQ(raw<uint64_t>(record + state.recordId), held.entries[0].HeldId);
    CHECK_EQ(raw<uint32_t>(record + state.recordState), 2u); // parked
    CHECK_EQ(raw<uint64_t>(record + state.recordTakenTime), held.entries[0].Taken100ns);
    CHECK_EQ(raw<uint64_t>(record + state.recordDueTime), held.entries[0].Due100ns);
    CHECK_EQ(raw<uint32_t>(record + state.recordOperation), static_cast<uint32_t>(MINIPEND_OPERATION_RENAME));
    CHECK_EQ(raw<MINIPEND_SEEN>(record + state.recordSeen).ThreadId, held.entries[0].Seen.ThreadId);
    CHECK(raw<uint64_t>(record + state.recordData) != 0);
    CHECK(raw<uint64_t>(record + state.recordRule) != 0);
    std::u16string name(raw<uint16_t>(record + state.recordNameChars), u'\0');
    raw_copy(name.data(), record + state.recordName, name.size() * 2);
    CHECK(name == u"\\held");

    const auto instances = walk(state.instances + state.instancesList);
    CHECK_EQ(instances.size(), 2u);
    const uint64_t instance = raw<uint64_t>(record + state.recordInstance);
    CHECK_EQ(instance + state.instanceLink, instances[0]);
    CHECK_EQ(raw<uint64_t>(instance + state.instanceId), held.entries[0].InstanceId);
    const uint64_t counters =
        instance + state.instanceHeldCounters + uint64_t{MINIPEND_OPERATION_RENAME} * state.heldCountersBytes;
    CHECK_EQ(raw<uint64_t>(counters), 1u); // pended
    const auto connections = walk(state.connections + state.connectionsList);
    need(connections.size() == 1, "one connection is listed");
    const uint64_t connection = connections[0] - state.connectionLink;
    CHECK_EQ(raw<uint64_t>(connection + state.connectionId), client.hello().ConnectionId);
    CHECK_EQ(raw<uint32_t>(connection + state.connectionThreadIds), 4711u);
    CHECK_EQ(raw<uint32_t>(raw<uint64_t>(state.rules + state.rulesTable) + state.tableCount), 1u);

    CHECK_EQ(client.release_all().Released, 1u);
    CHECK_EQ(rename.get(), 0u);
}

#endif
