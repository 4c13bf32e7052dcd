// SPDX-License-Identifier: MIT
//
// This module provides: messages whose buffers are not there, or not writable: the driver meets them inside its exception guard, answers with a
// status and has changed nothing.
//
// The file's name puts it among the tests that the ThreadSanitizer lane leaves out: the sanitizer does not survive several faults in its memcpy.

#include <sys/mman.h>

#include "raw_port.hpp"

using namespace spine;

namespace {

constexpr size_t PAGE = 4096;
/// Longer than any copy here: what lies behind must not be somebody else's memory, which a sanitizer would speak of first.
constexpr size_t GAP = 1024 * 1024;
const HRESULT NO_ACCESS = HRESULT_FROM_WIN32(ERROR_NOACCESS);

/// A page to read and write, before a gap where nothing is.
class Edge {
  public:
    Edge() : base_(mmap(nullptr, PAGE + GAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        need(base_ != MAP_FAILED, "mmap");
        need(mprotect(static_cast<char *>(base_) + PAGE, GAP, PROT_NONE) == 0, "mprotect");
    }
    ~Edge() { munmap(base_, PAGE + GAP); }
    Edge(const Edge &) = delete;
    Edge &operator=(const Edge &) = delete;
    /// `bytes` before the edge.
    char *before(size_t bytes) const { return static_cast<char *>(base_) + PAGE - bytes; }
    void protect(int protection) { need(mprotect(base_, PAGE, protection) == 0, "mprotect"); }

  private:
    void *base_;
};

} // namespace

SPINE_TEST(buffers_that_are_not_there_change_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    RawPort port;
    Edge in;
    Edge out;
    const auto request = hello();
    // The message ends behind the edge; it was never greeted.
    std::memcpy(in.before(16), &request, 16);
    CHECK_EQ(port.send(in.before(16), sizeof(request), out.before(128), 128), NO_ACCESS);
    std::memcpy(in.before(32), &request, sizeof(request));
    // The reply does; the hello has not happened.
    CHECK_EQ(port.send(in.before(32), sizeof(request), out.before(0), 128), NO_ACCESS);
    CHECK_EQ(port.send(in.before(32), sizeof(request), out.before(40), 128), NO_ACCESS);
    CHECK_EQ(port.returned, 0u);
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_COUNTERS)), STATUS_INVALID_DEVICE_STATE,
                 MINIPEND_DETAIL_NOT_GREETED);
    CHECK_ANSWER(port.ask(request), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);

    // Rules whose reply cannot be written are not in force.
    const OneRule rule;
    std::memcpy(in.before(sizeof(rule)), &rule, sizeof(rule));
    CHECK_EQ(port.send(in.before(sizeof(rule)), sizeof(rule), out.before(0), 64), NO_ACCESS);
    out.protect(PROT_READ);
    CHECK_EQ(port.send(in.before(sizeof(rule)), sizeof(rule), out.before(64), 64), NO_ACCESS);
    out.protect(PROT_READ | PROT_WRITE);
    CHECK_EQ(watcher.counters().head().RuleGeneration, 0u);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Unmatched, 1u);

    auto counters = head_of(16, MINIPEND_COMMAND_COUNTERS);
    std::memcpy(in.before(16), &counters, sizeof(counters));
    CHECK_EQ(port.send(in.before(16), 16, out.before(64), 1 << 20), NO_ACCESS);
    std::memcpy(in.before(sizeof(rule)), &rule, sizeof(rule));
    CHECK_EQ(port.send(in.before(sizeof(rule)), sizeof(rule), out.before(64), 64), S_OK);
    CHECK(watcher.counters().head().RuleGeneration > 0);
}
