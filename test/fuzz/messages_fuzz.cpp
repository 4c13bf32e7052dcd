// SPDX-License-Identifier: MIT
//
// This module provides: the fuzz target of the driver's message handler. An input is a list of messages of one connection, right and wrong ones, into buffers
// of any size and place, while file operations give them something to name.
//
// Checked: every answer (port.cpp); rules that were not taken change nothing; when the connection has gone nothing is left of it.

#include "port.hpp"
#include "workload.hpp"

using namespace fuzz;

namespace {

constexpr int MOST_STEPS = 64;
constexpr uint32_t ONE_VOLUME = 1;

uint64_t generation(const spine::Client &watcher) {
    return watcher.counters().head().RuleGeneration;
}

void send(Port &port, const spine::Client &watcher, const Message &message, const Room &room) {
    const bool rules = message.has_head() && message.head().Command == MINIPEND_COMMAND_SET_RULES;
    const uint64_t before = rules ? generation(watcher) : 0;
    const auto reply = port.send(message, room);
    if (rules && (!reply || reply->Status < 0)) {
        require(generation(watcher) == before, "rules that were not taken have changed the table");
    }
}

void step(fltsim::World &world, Bytes &in, Port &port, Workload &work, const spine::Client &watcher) {
    const uint32_t what = in.below(16);
    if (what < 3) {
        const Message message = make_wrong(in, port.known);
        send(port, watcher, message, make_room(in));
    } else if (what == 3) {
        const Message message = make_hello(in);
        send(port, watcher, message, make_room(in));
    } else if (what < 11) {
        const Message message = make_command(in, port.known);
        send(port, watcher, message, in.below(4) == 0 ? make_room(in) : Room{});
    } else if (what < 13) {
        work.start_io(in, ONE_VOLUME);
    } else if (what == 13) {
        nap(world, in.u8() * 100u);
    } else {
        require(watcher.counters().balanced(false), "pended == completed + inFlight does not hold");
    }
}

/// Files that an operation may have made.
void remove_files() {
    for (const char16_t *name : {u"D:\\a", u"D:\\b", u"D:\\a.txt", u"D:\\dir1\\a", u"D:\\dir1\\b.txt", u"D:\\dir1"}) {
        const spine::File file(name, {.access = DELETE, .flags = FILE_FLAG_BACKUP_SEMANTICS});
        file.mark_deleted();
    }
}

void run(fltsim::World &world, Bytes &in) {
    make_directories(ONE_VOLUME);
    const spine::Client watcher;
    {
        Workload work(world);
        {
            Port port;
            Bytes nothing;
            if (in.u8() >= 0x10) {
                port.send(make_hello(nothing));
            }
            for (int i = 0; i < MOST_STEPS && !in.empty(); ++i) {
                step(world, in, port, work, watcher);
            }
        }
        Port cleaner;
        Bytes nothing;
        auto hello = make_hello(nothing);
        cleaner.send(hello);
        cleaner.send(no_persistent_rules());
        cleaner.send(release_everything());
        work.join();
    }
    check_at_rest(world, watcher);
    remove_files();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static SharedWorld &world = *new SharedWorld;
    world.run([&](fltsim::World &here) {
        Bytes in(std::span(data, size));
        run(here, in);
    });
    return 0;
}
