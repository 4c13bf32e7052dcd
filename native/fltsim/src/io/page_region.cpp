// SPDX-License-Identifier: MIT
//
// This module provides: PageRegion by mmap, or VirtualAlloc on Windows.

#include "io/page_region.hpp"

#if defined(_WIN32)
// Declared here: windows.h and the driver's headers do not go together.
extern "C" __declspec(dllimport) void *__stdcall VirtualAlloc(void *, size_t, unsigned long, unsigned long);
extern "C" __declspec(dllimport) int __stdcall VirtualFree(void *, size_t, unsigned long);
#else
#include <sys/mman.h>
#endif

namespace fltsim::io {

std::unique_ptr<PageRegion> PageRegion::make(size_t bytes) {
#if defined(_WIN32)
    constexpr unsigned long MEM_RESERVE_AND_COMMIT = 0x3000;
    constexpr unsigned long PAGE_READ_AND_WRITE = 0x04;
    void *memory = VirtualAlloc(nullptr, bytes, MEM_RESERVE_AND_COMMIT, PAGE_READ_AND_WRITE);
    if (memory == nullptr) {
        return nullptr;
    }
#else
#if !defined(MAP_NORESERVE)
    constexpr int MAP_NORESERVE = 0;
#endif
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return nullptr;
    }
#endif
    return std::unique_ptr<PageRegion>(new PageRegion(static_cast<uint8_t *>(memory), bytes));
}

PageRegion::~PageRegion() {
#if defined(_WIN32)
    constexpr unsigned long MEM_RELEASE_ALL = 0x8000;
    VirtualFree(data_, 0, MEM_RELEASE_ALL);
#else
    munmap(data_, bytes_);
#endif
}

} // namespace fltsim::io
