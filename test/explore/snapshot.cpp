// SPDX-License-Identifier: MIT
//
// This module provides: Snapshot (snapshot.hpp).

#include "snapshot.hpp"

#include "heap.hpp"

#if MINIPEND_EXPLORE_SNAPSHOT

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <link.h>
#include <string_view>
#include <utility>

#include "core/fiber.hpp"

namespace explore {

namespace {

using Pieces = std::vector<std::pair<char *, size_t>>;

/// Whose variables belong to worlds: this program, the model, driver images, and the C++ library, which keeps blocks of the heap.
bool is_ours(std::string_view name) {
    return name.empty() || name.find("libfltsim") != std::string_view::npos ||
           name.find("/fltsim-") != std::string_view::npos || name.find("libstdc++") != std::string_view::npos;
}

/// What the loader has made read-only after relocation is left out.
void add_variables(const dl_phdr_info &info, Pieces &pieces) {
    uintptr_t fixed_from = 0, fixed_to = 0;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
        const auto &header = info.dlpi_phdr[i];
        if (header.p_type == PT_GNU_RELRO) {
            constexpr uintptr_t PAGE = 4096;
            fixed_from = info.dlpi_addr + header.p_vaddr;
            fixed_to = (fixed_from + header.p_memsz) / PAGE * PAGE;
        }
    }
    for (int i = 0; i < info.dlpi_phnum; ++i) {
        const auto &header = info.dlpi_phdr[i];
        if (header.p_type != PT_LOAD || (header.p_flags & PF_W) == 0) {
            continue;
        }
        uintptr_t from = info.dlpi_addr + header.p_vaddr;
        const uintptr_t to = from + header.p_memsz;
        if (fixed_to > from && fixed_from <= from) {
            from = std::min(fixed_to, to);
        }
        if (from < to) {
            pieces.emplace_back(reinterpret_cast<char *>(from), to - from);
        }
    }
}

void add_thread_variables(const dl_phdr_info &info, Pieces &pieces) {
    for (int i = 0; i < info.dlpi_phnum && info.dlpi_tls_data != nullptr; ++i) {
        if (info.dlpi_phdr[i].p_type == PT_TLS) {
            pieces.emplace_back(static_cast<char *>(info.dlpi_tls_data), info.dlpi_phdr[i].p_memsz);
        }
    }
}

int add_module(dl_phdr_info *info, size_t, void *pieces) {
    if (is_ours(info->dlpi_name)) {
        add_variables(*info, *static_cast<Pieces *>(pieces));
        add_thread_variables(*info, *static_cast<Pieces *>(pieces));
    }
    return 0;
}

} // namespace

void Snapshot::keep(char *memory, size_t bytes) {
    pieces_.push_back({memory, std::vector<char>(memory, memory + bytes)});
}

void Snapshot::take() {
    pieces_.clear();
    Pieces pieces = heap::worlds_memory();
    fltsim::Fiber::for_each_stack(
        [&](char *used, char *high) { pieces.emplace_back(used, static_cast<size_t>(high - used)); });
    dl_iterate_phdr(add_module, &pieces);
    pieces_.reserve(pieces.size());
    for (const auto &[memory, bytes] : pieces) {
        keep(memory, bytes);
    }
}

void Snapshot::put_back() const {
    for (const Piece &piece : pieces_) {
        std::memcpy(piece.memory, piece.kept.data(), piece.kept.size());
    }
}

size_t Snapshot::bytes() const {
    size_t sum = 0;
    for (const Piece &piece : pieces_) {
        sum += piece.kept.size();
    }
    return sum;
}

} // namespace explore

#endif
