// SPDX-License-Identifier: MIT
//
// This module provides: small Windows driver images, made byte by byte, for tests of the loader: a whole one, which tests then spoil.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "image/windows.hpp"

namespace pe {

using namespace fltsim::image;

/// Where everything is in the file, and at which RVA. Sections: .text, .rdata (imports, load configuration), .data (cookie), INIT, .reloc.
constexpr uint32_t PE_OFFSET = 0x80;
constexpr uint32_t SECTIONS = PE_OFFSET + sizeof(PeHeader);
constexpr uint32_t SECTION_COUNT = 5;
constexpr uint32_t TEXT = 0x1000, RDATA = 0x2000, DATA = 0x3000, INIT = 0x4000, RELOC = 0x5000, END = 0x6000;
constexpr uint32_t IMPORT_TABLE = RDATA, LOOKUP = RDATA + 0x40, ADDRESSES = RDATA + 0x80, NAMES = RDATA + 0xC0;
constexpr uint32_t LOAD_CONFIG = RDATA + 0x180, UNWIND = RDATA + 0x200, FUNCTIONS = RDATA + 0x240;
constexpr uint64_t BASE = 0x140000000;

struct Image {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(0x400 + SECTION_COUNT * 0x400);

    template <class T> T &at(size_t offset) { return *reinterpret_cast<T *>(bytes.data() + offset); }
    PeHeader &header() { return at<PeHeader>(PE_OFFSET); }
    SectionHeader &section(unsigned index) { return at<SectionHeader>(SECTIONS + index * sizeof(SectionHeader)); }
    /// The file's bytes of what lies at this RVA.
    static size_t offset_of(uint32_t rva) { return 0x400 + (rva - TEXT) / 0x1000 * 0x400 + rva % 0x1000; }
    template <class T> T &rva(uint32_t where) { return at<T>(offset_of(where)); }
    /// For what need not be aligned.
    template <class T> void put(uint32_t where, T value) {
        std::memcpy(bytes.data() + offset_of(where), &value, sizeof value);
    }
    void text(uint32_t where, const std::string &value) {
        std::memcpy(bytes.data() + offset_of(where), value.c_str(), value.size() + 1);
    }
    void code(uint32_t where, const std::vector<uint8_t> &value) {
        std::memcpy(bytes.data() + offset_of(where), value.data(), value.size());
    }
};

/// DriverEntry: returns what the pointer at DATA + 0x40 points to (DATA + 0x48: 0x12345678, unless changed): a relocation that is missing shows.
inline Image driver() {
    Image image;
    image.at<uint16_t>(0) = DOS_MAGIC;
    image.at<uint32_t>(60) = PE_OFFSET;
    PeHeader &header = image.header();
    header.signature = PE_SIGNATURE;
    header.machine = MACHINE_X64;
    header.section_count = SECTION_COUNT;
    header.optional_header_bytes = sizeof(PeHeader) - offsetof(PeHeader, magic);
    header.characteristics = 0x22;
    header.magic = PE32_PLUS;
    header.entry_point = INIT;
    header.image_base = BASE;
    header.section_alignment = 0x1000;
    header.file_alignment = 0x200;
    header.image_bytes = END;
    header.header_bytes = 0x400;
    header.subsystem = SUBSYSTEM_NATIVE;
    header.directory_count = DIRECTORY_COUNT;
    header.directories[DIRECTORY_IMPORT] = {IMPORT_TABLE, 40};
    header.directories[DIRECTORY_RELOCATION] = {RELOC, 16};
    header.directories[DIRECTORY_LOAD_CONFIG] = {LOAD_CONFIG, 96};
    header.directories[DIRECTORY_EXCEPTION] = {FUNCTIONS, sizeof(RuntimeFunction)};
    static constexpr const char *NAMES_OF[] = {".text", ".rdata", ".data", "INIT", ".reloc"};
    static constexpr uint32_t BITS[] = {SECTION_READ | SECTION_EXECUTE, SECTION_READ, SECTION_READ | SECTION_WRITE,
                                        SECTION_READ | SECTION_EXECUTE | SECTION_DISCARDABLE,
                                        SECTION_READ | SECTION_DISCARDABLE};
    for (unsigned index = 0; index < SECTION_COUNT; ++index) {
        SectionHeader &section = image.section(index);
        std::memcpy(section.name, NAMES_OF[index], std::strlen(NAMES_OF[index]));
        section.virtual_bytes = 0x400;
        section.rva = TEXT + index * 0x1000;
        section.file_bytes = 0x400;
        section.file_offset = 0x400 + index * 0x400;
        section.characteristics = BITS[index];
    }
    image.code(TEXT, {0xC3});
    // mov rax, [rip -> DATA + 0x40]; mov eax, [rax]; ret
    image.code(INIT, {0x48, 0x8B, 0x05, 0, 0, 0, 0, 0x8B, 0x00, 0xC3});
    image.put(INIT + 3, static_cast<int32_t>(DATA + 0x40) - static_cast<int32_t>(INIT + 7));
    image.rva<uint64_t>(DATA + 0x40) = BASE + DATA + 0x48;
    image.rva<uint32_t>(DATA + 0x48) = 0x12345678;
    image.rva<uint64_t>(DATA) = DEFAULT_COOKIE;
    image.rva<ImportDescriptor>(IMPORT_TABLE) = {LOOKUP, 0, 0, NAMES, ADDRESSES};
    image.text(NAMES, "NTOSKRNL.EXE");
    image.text(NAMES + 0x22, "PsGetCurrentProcessId");
    image.text(NAMES + 0x42, "PsThreadType");
    for (const uint32_t table : {LOOKUP, ADDRESSES}) {
        image.rva<uint64_t>(table) = NAMES + 0x20;
        image.rva<uint64_t>(table + 8) = NAMES + 0x40;
    }
    image.rva<uint32_t>(LOAD_CONFIG) = 96;
    image.rva<uint64_t>(LOAD_CONFIG + LOAD_CONFIG_COOKIE) = BASE + DATA;
    image.rva<RuntimeFunction>(FUNCTIONS) = {TEXT, TEXT + 1, UNWIND};
    image.rva<uint8_t>(UNWIND) = 1;
    image.rva<RelocationBlock>(RELOC) = {DATA, 16};
    image.rva<uint16_t>(RELOC + 8) = RELOCATION_DIR64 << 12 | 0x40;
    return image;
}

} // namespace pe
