// SPDX-License-Identifier: MIT
//
// This module provides: heap.hpp, and malloc and its kin for the whole program.
//
// A block has a head of 16 bytes and is of one of a few sizes; what is given back goes to its size's list. Blocks of 64 KB and more have places of their own,
// so that a snapshot need not hold those that are free. The program has one thread; a lock is there for what libraries do aside.

#include "heap.hpp"

#if MINIPEND_EXPLORE_SNAPSHOT

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr size_t HEAD = 16;
constexpr size_t STEP = 16;
constexpr size_t STEPS_END = 1024; ///< up to here a size each 16 bytes, then four for each doubling
constexpr uint32_t FINE = STEPS_END / STEP;
constexpr uint32_t COARSE = 24;
constexpr size_t LARGE = 64 * 1024;
constexpr uint32_t CLASSES = FINE + COARSE + 1;
constexpr uint32_t LARGE_CLASS = CLASSES;
constexpr uint32_t LARGE_BLOCKS = 1024;
constexpr size_t SMALL_BYTES = size_t{1} << 30;
constexpr size_t LARGE_BYTES = size_t{4} << 30;

struct Head {
    uint32_t size_class;
    uint32_t offset; ///< from the block's start to this head
    uint64_t place; ///< of a large block: its index
};
static_assert(sizeof(Head) == HEAD);

struct LargeBlock {
    char *memory;
    size_t bytes;
    bool used;
};

/// At the beginning of its own memory.
struct Heap {
    char *end; ///< of what has ever been given out
    void *free[CLASSES];
    char *large_end;
    uint32_t large_count;
    LargeBlock large[LARGE_BLOCKS];
};

Heap *g_heaps[2];
bool g_worlds = false;
std::atomic_flag g_lock;

class Lock {
  public:
    Lock() {
        while (g_lock.test_and_set(std::memory_order_acquire)) {
        }
    }
    ~Lock() { g_lock.clear(std::memory_order_release); }
    Lock(const Lock &) = delete;
    Lock &operator=(const Lock &) = delete;
};

[[noreturn]] void give_up(const char *what) {
    [[maybe_unused]] const ssize_t ignored = write(2, what, std::strlen(what));
    _exit(3);
}

Heap &heap(bool worlds) {
    Heap *&one = g_heaps[worlds ? 1 : 0];
    if (one == nullptr) {
        void *memory = mmap(nullptr, SMALL_BYTES + LARGE_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            give_up("minipend explore: no address space for the heaps\n");
        }
        auto *const made = static_cast<Heap *>(memory);
        made->end = static_cast<char *>(memory) + (sizeof(Heap) + HEAD - 1) / HEAD * HEAD;
        made->large_end = static_cast<char *>(memory) + SMALL_BYTES;
        one = made;
    }
    return *one;
}

uint32_t class_of(size_t bytes) {
    if (bytes <= STEPS_END) {
        return static_cast<uint32_t>((bytes + STEP - 1) / STEP);
    }
    const auto high = static_cast<uint32_t>(63 - __builtin_clzll(bytes - 1)); // 2^high <= bytes - 1
    const auto quarter = static_cast<uint32_t>(((bytes - 1) >> (high - 2)) & 3);
    return FINE + 1 + (high - 10) * 4 + quarter;
}

size_t bytes_of(uint32_t size_class) {
    if (size_class <= FINE) {
        return size_class * STEP;
    }
    const uint32_t coarse = size_class - FINE - 1;
    return (size_t{5} + coarse % 4) << (8 + coarse / 4);
}

Head *head_of(void *block) {
    return reinterpret_cast<Head *>(static_cast<char *>(block) - HEAD);
}

void *take_large(Heap &from, size_t bytes) {
    constexpr size_t PAGE = 4096;
    const size_t whole = (bytes + HEAD + PAGE - 1) / PAGE * PAGE;
    uint32_t place = 0;
    for (; place < from.large_count; ++place) {
        const LargeBlock &block = from.large[place];
        if (!block.used && block.bytes >= whole && block.bytes / 2 <= whole) {
            break;
        }
    }
    if (place == from.large_count) {
        if (place == LARGE_BLOCKS ||
            from.large_end + whole > reinterpret_cast<char *>(&from) + SMALL_BYTES + LARGE_BYTES) {
            give_up("minipend explore: too many large blocks of memory\n");
        }
        from.large[place] = {from.large_end, whole, false};
        from.large_end += whole;
        ++from.large_count;
    }
    from.large[place].used = true;
    char *const memory = from.large[place].memory;
    *reinterpret_cast<Head *>(memory) = {LARGE_CLASS, 0, place};
    return memory + HEAD;
}

void *take(size_t bytes) {
    const Lock lock;
    Heap &from = heap(g_worlds);
    if (bytes >= LARGE) {
        return take_large(from, bytes);
    }
    const uint32_t size_class = class_of(bytes == 0 ? 1 : bytes);
    if (void *const block = from.free[size_class]) {
        std::memcpy(&from.free[size_class], block, sizeof(void *));
        return block;
    }
    char *const memory = from.end;
    from.end += HEAD + bytes_of(size_class);
    if (from.end > reinterpret_cast<char *>(&from) + SMALL_BYTES) {
        give_up("minipend explore: out of memory\n");
    }
    *reinterpret_cast<Head *>(memory) = {size_class, 0, 0};
    return memory + HEAD;
}

size_t usable(void *block) {
    const Head &head = *head_of(block);
    char *const first = static_cast<char *>(block) - head.offset;
    const Head &own = *head_of(first);
    if (own.size_class != LARGE_CLASS) {
        return bytes_of(own.size_class) - head.offset;
    }
    for (Heap *each : g_heaps) {
        if (each != nullptr && own.place < each->large_count && each->large[own.place].memory == first - HEAD) {
            return each->large[own.place].bytes - HEAD - head.offset;
        }
    }
    give_up("minipend explore: a block of memory that is none\n");
}

void give(void *block) {
    const Lock lock;
    block = static_cast<char *>(block) - head_of(block)->offset;
    const Head head = *head_of(block);
    for (Heap *each : g_heaps) {
        auto *const low = reinterpret_cast<char *>(each);
        if (each == nullptr || block < low || block >= low + SMALL_BYTES + LARGE_BYTES) {
            continue;
        }
        if (head.size_class == LARGE_CLASS) {
            each->large[head.place].used = false;
        } else {
            std::memcpy(block, &each->free[head.size_class], sizeof(void *));
            each->free[head.size_class] = block;
        }
        return;
    }
}

void *take_aligned(size_t alignment, size_t bytes) {
    if (alignment <= HEAD) {
        return take(bytes);
    }
    char *const block = static_cast<char *>(take(bytes + alignment));
    const auto address = reinterpret_cast<uintptr_t>(block);
    char *const aligned = block + (((address + alignment - 1) / alignment * alignment) - address);
    if (aligned != block) {
        *head_of(aligned) = {0, static_cast<uint32_t>(aligned - block), 0};
    }
    return aligned;
}

} // namespace

namespace explore::heap {

void use_worlds_heap(bool worlds) {
    g_worlds = worlds;
}

std::vector<std::pair<char *, size_t>> worlds_memory() {
    std::vector<std::pair<char *, size_t>> pieces;
    ::Heap &all = ::heap(true);
    auto *const low = reinterpret_cast<char *>(&all);
    pieces.emplace_back(low, static_cast<size_t>(all.end - low));
    for (uint32_t i = 0; i < all.large_count; ++i) {
        if (all.large[i].used) {
            pieces.emplace_back(all.large[i].memory, all.large[i].bytes);
        }
    }
    return pieces;
}

} // namespace explore::heap

extern "C" {

__attribute__((visibility("default"))) void *malloc(size_t bytes) {
    return take(bytes);
}
__attribute__((visibility("default"))) void free(void *block) {
    if (block != nullptr) {
        give(block);
    }
}
__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes) {
    void *const block = take(count * bytes);
    std::memset(block, 0, count * bytes);
    return block;
}
__attribute__((visibility("default"))) void *realloc(void *block, size_t bytes) {
    if (block == nullptr) {
        return take(bytes);
    }
    const size_t before = usable(block);
    if (bytes <= before) {
        return block;
    }
    void *const larger = take(bytes);
    std::memcpy(larger, block, before);
    give(block);
    return larger;
}
__attribute__((visibility("default"))) void *memalign(size_t alignment, size_t bytes) {
    return take_aligned(alignment, bytes);
}
__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t bytes) {
    return take_aligned(alignment, bytes);
}
__attribute__((visibility("default"))) int posix_memalign(void **block, size_t alignment, size_t bytes) {
    *block = take_aligned(alignment, bytes);
    return 0;
}
__attribute__((visibility("default"))) void *valloc(size_t bytes) {
    return take_aligned(4096, bytes);
}
__attribute__((visibility("default"))) void *pvalloc(size_t bytes) {
    return take_aligned(4096, (bytes + 4095) / 4096 * 4096);
}
__attribute__((visibility("default"))) size_t malloc_usable_size(void *block) {
    return block == nullptr ? 0 : usable(block);
}

} // extern "C"

#else

namespace explore::heap {

void use_worlds_heap(bool) {}

std::vector<std::pair<char *, size_t>> worlds_memory() {
    return {};
}

} // namespace explore::heap

#endif
