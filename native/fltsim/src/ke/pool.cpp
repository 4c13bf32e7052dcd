// SPDX-License-Identifier: MIT
#include "ke/pool.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>

#include "core/fill.hpp"
#include "io/io_manager.hpp"
#include "ke/locks.hpp"
#include "ke/process_notify.hpp"
#include "ke/state.hpp"
#include "ke/trace.hpp"
#include "ke/threads.hpp"
#include "wdf/framework.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define FLTSIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FLTSIM_ASAN 1
#endif
#endif
#if defined(FLTSIM_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace fltsim::pool {
namespace {

constexpr size_t ALIGNMENT = 64;

void *allocate_aligned(size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, ALIGNMENT);
#else
    return std::aligned_alloc(ALIGNMENT, bytes);
#endif
}

void free_aligned(void *memory) {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    std::free(memory);
#endif
}
constexpr size_t TAIL_BYTES = 32;
constexpr unsigned char HEAD_FILL = 0xA5;
constexpr unsigned char TAIL_FILL = 0xB7;
constexpr size_t QUARANTINE_MAX_BLOCKS = 4096;
constexpr size_t QUARANTINE_MAX_BYTES = 16u << 20;
constexpr int CACHE_ALIGNED = 4;
constexpr int NX = 512;

std::string hex(const void *address) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", address);
    return text;
}

} // namespace

std::string tag_text(uint32_t tag) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
        const char c = static_cast<char>((tag >> (8 * i)) & 0x7F);
        text += c >= 0x20 && c < 0x7F ? c : '.';
    }
    return text;
}

std::string Pool::describe(const void *user, const Block &block) {
    return "block " + hex(user) + " of " + std::to_string(block.bytes) + " bytes, tag " + tag_text(block.tag);
}

Pool::~Pool() {
    for (auto &[user, block] : blocks_) {
        ASAN_UNPOISON_MEMORY_REGION(block.raw, block.raw_bytes);
        free_aligned(block.raw);
    }
}

namespace {

const char *allocator(Origin origin) {
    switch (origin) {
    case Origin::Executive:
        return "ExAllocatePool2 or ExAllocatePoolWithTag";
    case Origin::FilterManager:
        return "FltAllocatePoolAlignedWithTag: FltFreePoolAlignedWithTag frees it";
    case Origin::IoManager:
        return "IoAllocateMdl: IoFreeMdl frees it";
    }
    return "";
}

} // namespace

void *Pool::allocate(const char *api, POOL_TYPE type, size_t bytes, uint32_t tag, Origin origin) {
    const int bits = static_cast<int>(type);
    const bool paged = (bits & 1) != 0;
    const bool cache_aligned = (bits & CACHE_ALIGNED) != 0;
    const int plain = bits & ~(CACHE_ALIGNED | NX);
    if (bytes == 0) {
        bugcheck("V20 pool: zero bytes", api, "tag " + tag_text(tag) + ": ask for at least one byte");
    }
    if (tag == 0) {
        bugcheck("V20 pool: no tag", api, "give every allocation a tag");
    }
    if (plain != NonPagedPool && plain != PagedPool) {
        unmodelled(api, "pool type " + std::to_string(bits));
    }
    if (!paged && (bits & NX) == 0) {
        bugcheck("V20 pool: executable memory [HVCI-01]", api, "tag " + tag_text(tag) + ": use NonPagedPoolNx");
    }
    if (paged && executing().irql > APC_LEVEL) {
        bugcheck("V20 pool: paged pool above APC_LEVEL", api,
                 "tag " + tag_text(tag) + ": use nonpaged pool, or do it below DISPATCH_LEVEL");
    }
    Block block;
    block.bytes = bytes;
    block.tag = tag;
    block.origin = origin;
    block.paged = paged;
    // Only the cache-aligned types promise more than 16 bytes of alignment.
    const size_t head = cache_aligned ? ALIGNMENT : ALIGNMENT + 16;
    if (bytes > SIZE_MAX - head - TAIL_BYTES - ALIGNMENT) {
        return nullptr;
    }
    block.raw_bytes = (head + bytes + TAIL_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    block.raw = static_cast<unsigned char *>(allocate_aligned(block.raw_bytes));
    if (block.raw == nullptr) {
        return nullptr;
    }
    unsigned char *user = block.raw + head;
    std::memset(block.raw, HEAD_FILL, head);
    std::memset(user, FILL_NEW, bytes);
    std::memset(user + bytes, TAIL_FILL, block.raw_bytes - head - bytes);
    ASAN_POISON_MEMORY_REGION(block.raw, block.raw_bytes);
    ASAN_UNPOISON_MEMORY_REGION(user, bytes);
    blocks_[user] = block;
    if (paged) {
        note_paged(user, bytes);
    }
    return user;
}

void Pool::check_guards(const char *api, const unsigned char *user, const Block &block) {
    ASAN_UNPOISON_MEMORY_REGION(block.raw, block.raw_bytes);
    const unsigned char *end = block.raw + block.raw_bytes;
    const unsigned char *tail = user + block.bytes;
    const bool head_intact = is_filled(block.raw, static_cast<size_t>(user - block.raw), HEAD_FILL);
    const bool tail_intact = is_filled(tail, static_cast<size_t>(end - tail), TAIL_FILL);
    const bool poison_intact = !block.freed || is_filled(user, block.bytes, FILL_FREED);
    ASAN_POISON_MEMORY_REGION(block.raw, block.raw_bytes);
    if (!block.freed) {
        ASAN_UNPOISON_MEMORY_REGION(user, block.bytes);
    }
    if (!head_intact) {
        bugcheck("V20 pool: underrun", api, describe(user, block) + ": bytes before it were overwritten");
    }
    if (!tail_intact) {
        bugcheck("V20 pool: overrun", api, describe(user, block) + ": bytes after it were overwritten");
    }
    if (!poison_intact) {
        bugcheck("V20 pool: written after free", api, describe(user, block));
    }
}

void Pool::let_go_oldest(const char *api) {
    const void *user = quarantine_.front();
    const auto found = blocks_.find(user);
    check_guards(api, static_cast<const unsigned char *>(user), found->second);
    quarantine_.pop_front();
    quarantine_bytes_ -= found->second.raw_bytes;
    ASAN_UNPOISON_MEMORY_REGION(found->second.raw, found->second.raw_bytes);
    free_aligned(found->second.raw);
    blocks_.erase(found);
}

void Pool::release(const char *api, void *user, uint32_t tag, Origin origin) {
    const auto found = blocks_.find(user);
    if (found == blocks_.end()) {
        bugcheck("V20 pool: not a block", api, hex(user) + " was never allocated here, or was freed long ago");
    }
    Block &block = found->second;
    if (block.freed) {
        bugcheck("V20 pool: double free", api, describe(user, block));
    }
    if (origin != block.origin) {
        bugcheck("V20 pool: freed with the wrong call", api,
                 describe(user, block) + ": it comes from " + allocator(block.origin));
    }
    if (tag != 0 && tag != block.tag) {
        bugcheck("V20 pool: wrong tag", api, describe(user, block) + ": freed with tag " + tag_text(tag));
    }
    if (block.paged && executing().irql > APC_LEVEL) {
        bugcheck("V20 pool: paged pool above APC_LEVEL", api, describe(user, block) + ": freed at DISPATCH_LEVEL");
    }
    check_guards(api, static_cast<unsigned char *>(user), block);
    ke::check_no_resource(api, user, block.bytes);
    ke::check_no_lookaside(api, user, block.bytes);
    ke::check_no_timer(api, user, block.bytes);
    ke::check_no_lock(api, user, block.bytes);
    ke::note_freed_tables(user, block.bytes);
    forget_paged(user);
    std::memset(user, FILL_FREED, block.bytes);
    ASAN_POISON_MEMORY_REGION(block.raw, block.raw_bytes);
    block.freed = true;
    quarantine_.push_back(user);
    quarantine_bytes_ += block.raw_bytes;
    while (quarantine_.size() > QUARANTINE_MAX_BLOCKS || quarantine_bytes_ > QUARANTINE_MAX_BYTES) {
        let_go_oldest(api);
    }
}

void Pool::verify(const char *api) {
    for (const auto &[user, block] : blocks_) {
        check_guards(api, static_cast<const unsigned char *>(user), block);
    }
}

void Pool::report_leaks() {
    verify("unload");
    struct Sum {
        size_t blocks = 0;
        size_t bytes = 0;
    };
    std::map<std::string, Sum> sums;
    for (auto it = blocks_.begin(); it != blocks_.end();) {
        if (!it->second.freed) {
            Sum &sum = sums[tag_text(it->second.tag)];
            ++sum.blocks;
            sum.bytes += it->second.bytes;
        }
        ASAN_UNPOISON_MEMORY_REGION(it->second.raw, it->second.raw_bytes);
        free_aligned(it->second.raw);
        it = blocks_.erase(it);
    }
    quarantine_.clear();
    paged_.clear();
    quarantine_bytes_ = 0;
    for (const auto &[tag, sum] : sums) {
        world().leak("pool tag '" + tag + "': " + std::to_string(sum.blocks) + " blocks, " + std::to_string(sum.bytes) +
                     " bytes [V20]");
    }
}

size_t Pool::live_blocks() const {
    return static_cast<size_t>(
        std::count_if(blocks_.begin(), blocks_.end(), [](const auto &entry) { return !entry.second.freed; }));
}

size_t Pool::live_bytes() const {
    size_t bytes = 0;
    for (const auto &[user, block] : blocks_) {
        bytes += block.freed ? 0 : block.bytes;
    }
    return bytes;
}

bool Pool::is_paged(const void *address) const {
    const auto after = paged_.upper_bound(address);
    return after != paged_.begin() &&
           address < static_cast<const char *>(std::prev(after)->first) + std::prev(after)->second;
}

bool Pool::is_freed(const void *block) const {
    const auto found = blocks_.find(block);
    return found != blocks_.end() && found->second.freed;
}

bool is_freed(const void *block) {
    return ke::world_state().pool->is_freed(block);
}

bool is_paged(const void *address) {
    return ke::world_state().pool->is_paged(address);
}

void check_resident(const char *api, const volatile void *object, const char *what) {
    const auto *address = const_cast<const void *>(object);
    if (is_paged(address)) {
        bugcheck("V14 kernel object in paged memory", api,
                 std::string(what) + " at " + hex(address) +
                     ": the kernel touches it at DISPATCH_LEVEL, so it has to be in nonpaged pool");
    }
}

void note_paged(const void *memory, size_t bytes) {
    ke::world_state().pool->note_paged(memory, bytes);
}

void forget_paged(const void *memory) {
    ke::world_state().pool->forget_paged(memory);
}

size_t live_blocks() {
    return ke::world_state().pool->live_blocks();
}

size_t live_bytes() {
    return ke::world_state().pool->live_bytes();
}

void *allocate(const char *api, POOL_TYPE type, size_t bytes, uint32_t tag, Origin origin) {
    return ke::world_state().pool->allocate(api, type, bytes, tag, origin);
}

void release(const char *api, void *block, uint32_t tag, Origin origin) {
    ke::world_state().pool->release(api, block, tag, origin);
}

void report_leaks() {
    ke::check_no_system_threads();
    ke::check_no_timers();
    ke::trace().check_none_registered();
    ke::check_no_process_notify();
    world().wdf->image_unloaded();
    ke::WorldState &state = ke::world_state();
    for (const auto &[object, references] : state.references) {
        world().leak("file object at " + hex(object) + ": " + std::to_string(references.count) +
                     " references by pointer");
        references.file->dereference();
    }
    state.references.clear();
    ke::report_resource_leaks();
    ke::report_lookaside_leaks();
    ke::forget_tables();
    state.pool->report_leaks();
}

} // namespace fltsim::pool

using namespace fltsim;

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL. Null when the fault switch fires.
FLTSIM_KERNEL_OF_HEADERS PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
    KernelCall call("ExAllocatePoolWithTag", DISPATCH_LEVEL);
    if (fault("ExAllocatePoolWithTag")) {
        return nullptr;
    }
    return pool::allocate("ExAllocatePoolWithTag", PoolType, NumberOfBytes, Tag);
}

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL. Tag 0 frees whatever the tag.
FLTSIM_KERNEL void NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) {
    KernelCall call("ExFreePoolWithTag", DISPATCH_LEVEL);
    pool::release("ExFreePoolWithTag", P, Tag);
}

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL. Frees whatever the tag.
FLTSIM_KERNEL_OF_HEADERS void NTAPI ExFreePool(PVOID P) {
    KernelCall call("ExFreePool", DISPATCH_LEVEL);
    pool::release("ExFreePool", P, 0);
}

/// IRQL <= DISPATCH_LEVEL, paged pool <= APC_LEVEL. Zeroed unless POOL_FLAG_UNINITIALIZED is set. Null when the fault switch fires.
FLTSIM_KERNEL PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag) {
    constexpr const char *kApi = "ExAllocatePool2";
    KernelCall call(kApi, DISPATCH_LEVEL);
    constexpr POOL_FLAGS kKinds = POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED;
    constexpr POOL_FLAGS kKnown = kKinds | POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_CACHE_ALIGNED;
    if ((Flags & ~kKnown) != 0) {
        unmodelled(kApi, "Flags " + std::to_string(Flags));
    }
    POOL_TYPE type = NonPagedPoolNx;
    switch (Flags & kKinds) {
    case POOL_FLAG_NON_PAGED:
        break;
    case POOL_FLAG_NON_PAGED_EXECUTE:
        type = NonPagedPoolExecute;
        break;
    case POOL_FLAG_PAGED:
        type = PagedPool;
        break;
    default:
        bugcheck("V20 pool: flags", kApi,
                 "exactly one of POOL_FLAG_NON_PAGED, _NON_PAGED_EXECUTE and _PAGED is needed");
    }
    if ((Flags & POOL_FLAG_CACHE_ALIGNED) != 0) {
        type = static_cast<POOL_TYPE>(type | NonPagedPoolCacheAligned);
    }
    if (fault(kApi)) {
        return nullptr;
    }
    void *const block = pool::allocate(kApi, type, NumberOfBytes, Tag);
    if (block != nullptr && (Flags & POOL_FLAG_UNINITIALIZED) == 0) {
        std::memset(block, 0, NumberOfBytes);
    }
    return block;
}
