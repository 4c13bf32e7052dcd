// SPDX-License-Identifier: MIT
//
// This module provides: a Windows driver image as a file: its headers, sections, imports and relocations, checked before anything of it is mapped.
//
// Invariants: after read() every range that the headers name lies inside the file and inside the image; nothing here runs code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/windows.hpp"

namespace fltsim::image {

struct Section {
    std::string name;
    uint32_t rva = 0;
    uint32_t bytes = 0; ///< in memory, whole pages
    uint32_t file_offset = 0;
    uint32_t file_bytes = 0;
    uint32_t characteristics = 0;
};

struct Import {
    std::string module; ///< as the image spells it
    std::string name; ///< "#12" for an ordinal
    uint32_t slot = 0; ///< RVA of the entry of the address table
};

class PeFile {
  public:
    /// Reads what `bytes` say. Empty, and `problem` has one sentence, when it is no image that a 64-bit Windows kernel for x64 loads.
    static std::optional<PeFile> read(std::vector<uint8_t> bytes, std::string *problem);

    const PeHeader &header() const { return header_; }
    const std::vector<Section> &sections() const { return sections_; }
    const std::vector<Import> &imports() const { return imports_; }
    const std::vector<uint32_t> &relocations() const { return relocations_; } ///< RVAs of 64-bit pointers
    const std::vector<uint8_t> &bytes() const { return bytes_; }
    /// The image as it lies in memory before relocation: `image_bytes` bytes.
    const std::vector<uint8_t> &memory() const { return memory_; }
    /// RVA of the security cookie, 0 when the image has none.
    uint32_t cookie() const { return cookie_; }

  private:
    explicit PeFile(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
    void read_headers();
    void read_sections();
    void read_imports();
    void read_relocations();
    void read_exception_table();
    void check_unwind_info(RuntimeFunction function) const;
    void read_load_config();
    DataDirectory directory(unsigned index, const char *name) const;
    template <class T> T at(uint64_t rva, const char *what) const;
    std::string text_at(uint64_t rva, const char *what) const;

    std::vector<uint8_t> bytes_;
    std::vector<uint8_t> memory_;
    PeHeader header_{};
    uint64_t pe_offset_ = 0;
    std::vector<Section> sections_;
    std::vector<Import> imports_;
    std::vector<uint32_t> relocations_;
    uint32_t cookie_ = 0;
};

} // namespace fltsim::image
