// SPDX-License-Identifier: MIT
//
// This module provides: kept_images.hpp.

#include "core/kept_images.hpp"

#if defined(__linux__)

#include <cstdint>
#include <cstring>
#include <link.h>
#include <mutex>
#include <unistd.h>
#include <vector>

namespace fltsim {

namespace {

/// Images that stay mapped.
struct Kept {
    struct Data {
        char *memory;
        std::vector<char> first; ///< what it was when the image had been loaded
    };
    std::string path;
    void *module;
    std::vector<Data> data;
    bool used;
};
struct KeptImages {
    std::mutex mutex;
    bool on = false;
    std::vector<Kept> images;
};
KeptImages &kept_images() {
    static KeptImages &kept = *new KeptImages; // outlives static destructors: worlds may too
    return kept;
}

/// The image's variables. What the loader has made read-only after relocation is none.
std::vector<Kept::Data> data_of(void *module) {
    struct Search {
        uintptr_t base;
        std::vector<Kept::Data> data;
    };
    const auto *const map = static_cast<const link_map *>(module);
    Search search{static_cast<uintptr_t>(map->l_addr), {}};
    dl_iterate_phdr(
        [](dl_phdr_info *info, size_t, void *context) {
            auto &wanted = *static_cast<Search *>(context);
            if (info->dlpi_addr != wanted.base) {
                return 0;
            }
            uintptr_t fixed_from = 0, fixed_to = 0;
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto &header = info->dlpi_phdr[i];
                if (header.p_type == PT_GNU_RELRO) {
                    fixed_from = wanted.base + header.p_vaddr;
                    fixed_to = fixed_from + header.p_memsz;
                    fixed_to -= fixed_to % static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
                }
            }
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto &header = info->dlpi_phdr[i];
                uintptr_t from = wanted.base + header.p_vaddr;
                const uintptr_t to = from + header.p_memsz;
                if (header.p_type != PT_LOAD || (header.p_flags & PF_W) == 0) {
                    continue;
                }
                from = fixed_from <= from && fixed_to > from ? fixed_to : from;
                if (from < to) {
                    auto *const memory = reinterpret_cast<char *>(from);
                    wanted.data.push_back({memory, std::vector<char>(memory, memory + (to - from))});
                }
            }
            return 1;
        },
        &search);
    return std::move(search.data);
}

} // namespace

void keep_images_mapped() {
    kept_images().on = true;
}

void *take_kept_image(const std::string &path) {
    KeptImages &kept = kept_images();
    const std::lock_guard guard(kept.mutex);
    for (Kept &image : kept.images) {
        if (!image.used && image.path == path) {
            for (const Kept::Data &data : image.data) {
                std::memcpy(data.memory, data.first.data(), data.first.size());
            }
            image.used = true;
            return image.module;
        }
    }
    return nullptr;
}

void keep_image(const std::string &path, void *module) {
    KeptImages &kept = kept_images();
    const std::lock_guard guard(kept.mutex);
    if (kept.on) {
        kept.images.push_back({path, module, data_of(module), true});
    }
}

bool give_kept_image(void *module) {
    KeptImages &kept = kept_images();
    const std::lock_guard guard(kept.mutex);
    for (Kept &image : kept.images) {
        if (image.module == module) {
            image.used = false;
            return true;
        }
    }
    return false;
}

} // namespace fltsim

#else

namespace fltsim {

void keep_images_mapped() {}
void *take_kept_image(const std::string &) {
    return nullptr;
}
void keep_image(const std::string &, void *) {}
bool give_kept_image(void *) {
    return false;
}

} // namespace fltsim

#endif
