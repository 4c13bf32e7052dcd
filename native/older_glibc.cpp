// SPDX-License-Identifier: MIT
//
// This module provides: two functions of new C libraries that the C++ library asks for when it is linked statically: _dl_find_object (glibc 2.35) and
// arc4random (2.36). With these in its place the binaries of the package run with every glibc from 2.34 on. Only in what release.cmake links, and seen
// by nobody outside.

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 36)

namespace {

struct Search {
    uintptr_t address;
    dl_find_object *result;
};

/// The object that a loaded segment of is what is looked for; nothing when it has no exception handling data.
int look(dl_phdr_info *info, size_t, void *data) {
    auto *search = static_cast<Search *>(data);
    uintptr_t first = UINTPTR_MAX;
    uintptr_t end = 0;
    uintptr_t handlers = 0;
    bool inside = false;
    for (size_t index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) &header = info->dlpi_phdr[index];
        const uintptr_t start = info->dlpi_addr + header.p_vaddr;
        if (header.p_type == PT_GNU_EH_FRAME) {
            handlers = start;
        } else if (header.p_type == PT_LOAD) {
            first = start < first ? start : first;
            end = start + header.p_memsz > end ? start + header.p_memsz : end;
            inside = inside || (search->address >= start && search->address - start < header.p_memsz);
        }
    }
    if (!inside) {
        return 0;
    }
    if (handlers == 0) {
        return -1;
    }
    *search->result = {};
    search->result->dlfo_map_start = reinterpret_cast<void *>(first);
    search->result->dlfo_map_end = reinterpret_cast<void *>(end);
    search->result->dlfo_eh_frame = reinterpret_cast<void *>(handlers);
    return 1;
}

} // namespace

extern "C" int _dl_find_object(void *address, dl_find_object *result) noexcept {
    Search search{reinterpret_cast<uintptr_t>(address), result};
    return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}

extern "C" uint32_t arc4random() noexcept {
    uint32_t value = 0;
    while (getrandom(&value, sizeof(value), 0) != static_cast<ssize_t>(sizeof(value))) {
        if (errno != EINTR) {
            std::abort(); // a kernel without it is older than any that has this C library
        }
    }
    return value;
}

#endif
