// SPDX-License-Identifier: MIT
//
// This module provides: the program's memory in two heaps (heap.cpp replaces malloc): what worlds allocate is in one that can be copied and put back as a whole,
// what the explorer keeps from schedule to schedule is in the other.
//
// With a sanitizer, which has a malloc of its own, there is no such heap and no snapshot: every schedule gets a world of its own.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MINIPEND_EXPLORE_SNAPSHOT 0
#endif
#endif
#if !defined(MINIPEND_EXPLORE_SNAPSHOT)
#if defined(__linux__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&     \
    (defined(__x86_64__) || defined(__aarch64__))
#define MINIPEND_EXPLORE_SNAPSHOT 1
#else
#define MINIPEND_EXPLORE_SNAPSHOT 0
#endif
#endif

namespace explore::heap {

/// Whether blocks come from the worlds' heap. At first they do not.
void use_worlds_heap(bool worlds);

/// What is in use of the worlds' heap: pieces of memory that together are its state.
std::vector<std::pair<char *, size_t>> worlds_memory();

/// RAII: the worlds' heap.
class Worlds {
  public:
    Worlds() { use_worlds_heap(true); }
    ~Worlds() { use_worlds_heap(false); }
    Worlds(const Worlds &) = delete;
    Worlds &operator=(const Worlds &) = delete;
};

} // namespace explore::heap
