// SPDX-License-Identifier: MIT
//
// This module provides: Quarantine (quarantine.hpp).

#include "flt/quarantine.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "core/world.hpp"

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
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

namespace fltsim::flt {

namespace {
constexpr unsigned char kPoison = 0xDD;
constexpr size_t kKeptBlocks = 2048;
} // namespace

Quarantine::~Quarantine() {
    while (!released_.empty()) {
        evict(false);
    }
    for (const auto &[block, info] : blocks_) {
        ::operator delete(const_cast<void *>(block));
    }
}

void *Quarantine::allocate(size_t bytes, const char *what, unsigned char fill) {
    void *block = ::operator new(bytes);
    std::memset(block, fill, bytes);
    blocks_[block] = Block{bytes, what, false};
    return block;
}

void Quarantine::release(void *block) {
    Block &info = blocks_.at(block);
    info.released = true;
    std::memset(block, kPoison, info.bytes);
    ASAN_POISON_MEMORY_REGION(block, info.bytes);
    released_.push_back(block);
    if (released_.size() > kKeptBlocks) {
        evict(true);
    }
}

bool Quarantine::released(const void *block) const {
    const auto found = blocks_.find(block);
    return found != blocks_.end() && found->second.released;
}

void Quarantine::check_all() {
    while (!released_.empty()) {
        evict(true);
    }
}

void Quarantine::evict(bool check) {
    void *block = released_.front();
    released_.pop_front();
    const Block info = blocks_.at(block);
    ASAN_UNPOISON_MEMORY_REGION(block, info.bytes);
    const auto *bytes = static_cast<const unsigned char *>(block);
    const bool touched = check && std::any_of(bytes, bytes + info.bytes, [](unsigned char b) { return b != kPoison; });
    blocks_.erase(block);
    ::operator delete(block);
    if (touched) {
        bugcheck("V13 memory written after it was given back", info.what,
                 std::string("the driver wrote to a ") + info.what + " that was no longer its own");
    }
}

} // namespace fltsim::flt
