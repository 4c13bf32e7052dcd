// SPDX-License-Identifier: MIT
//
// This module provides: Quarantine (quarantine.hpp).

#include "flt/quarantine.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "core/fill.hpp"
#include "core/world.hpp"
#include "ke/locks.hpp"

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
constexpr size_t kSpareSizes = 16; // names have any size, and are not kept
/// The address sanitizer watches a block for longer when it gets it back.
#if defined(FLTSIM_ASAN)
constexpr bool kReuse = false;
#else
constexpr bool kReuse = true;
#endif
} // namespace

Quarantine::~Quarantine() {
    while (!released_.empty()) {
        evict(false);
    }
    while (used_ != nullptr) {
        Header *header = used_;
        used_ = header->next;
        ::operator delete(header);
    }
    for (const auto &[bytes, blocks] : spare_) {
        for (Header *header : blocks) {
            ::operator delete(header);
        }
    }
}

std::vector<Quarantine::Header *> *Quarantine::spare(size_t bytes) {
    const auto found = std::ranges::find(spare_, bytes, &Spare::bytes);
    if (found != spare_.end()) {
        return &found->blocks;
    }
    return kReuse && spare_.size() < kSpareSizes ? &spare_.emplace_back(Spare{bytes, {}}).blocks : nullptr;
}

void *Quarantine::allocate(size_t bytes, const char *what, unsigned char fill) {
    Header *header = nullptr;
    if (auto *blocks = spare(bytes); blocks != nullptr && !blocks->empty()) {
        header = blocks->back();
        blocks->pop_back();
    } else {
        header = static_cast<Header *>(::operator new(sizeof(Header) + bytes));
    }
    new (header) Header{bytes, what, used_, nullptr, 0};
    if (used_ != nullptr) {
        used_->previous = header;
    }
    used_ = header;
    return std::memset(header + 1, fill, bytes);
}

void Quarantine::release(void *block, uint64_t tag) {
    Header *header = static_cast<Header *>(block) - 1;
    header->tag = tag;
    ke::check_no_lock(header->what, block, header->bytes);
    (header->previous != nullptr ? header->previous->next : used_) = header->next;
    if (header->next != nullptr) {
        header->next->previous = header->previous;
    }
    std::memset(block, kPoison, header->bytes);
    ASAN_POISON_MEMORY_REGION(block, header->bytes);
    released_.push_back(header);
    if (released_.size() > kKeptBlocks) {
        evict(true);
    }
}

bool Quarantine::released(const void *block) const {
    return std::ranges::any_of(released_, [&](const Header *header) { return header + 1 == block; });
}

uint64_t Quarantine::released_tag(const void *block) const {
    const auto found = std::ranges::find_if(released_, [&](const Header *header) { return header + 1 == block; });
    return found == released_.end() ? 0 : (*found)->tag;
}

void Quarantine::check_all() {
    while (!released_.empty()) {
        evict(true);
    }
}

void Quarantine::evict(bool check) {
    Header *header = released_.front();
    released_.pop_front();
    const char *what = header->what;
    const uint64_t tag = header->tag;
    const auto *bytes = reinterpret_cast<const unsigned char *>(header + 1);
    ASAN_UNPOISON_MEMORY_REGION(bytes, header->bytes);
    const bool touched = check && !is_filled(bytes, header->bytes, kPoison);
    if (auto *blocks = spare(header->bytes); blocks != nullptr) {
        blocks->push_back(header);
    } else {
        ::operator delete(header);
    }
    if (touched) {
        bugcheck("V13 memory written after it was given back", what,
                 std::string("the driver wrote to a ") + what + " that was no longer its own" +
                     (tag == 0 ? "" : ", of op " + std::to_string(tag) + " "));
    }
}

} // namespace fltsim::flt
