// SPDX-License-Identifier: MIT
//
// This module provides: PeFile (pe_file.hpp).

#include "image/pe_file.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "image/text.hpp"

namespace fltsim::image {

namespace {

constexpr uint32_t PAGE_BYTES = 4096;
constexpr uint32_t IMAGE_BYTES_MAX = 256u << 20;

/// What is wrong with the file; leaves read() as its `problem`.
struct Defect {
    std::string text;
};

[[noreturn]] void refuse(std::string text) {
    throw Defect{std::move(text)};
}

void require(bool condition, const char *text) {
    if (!condition) {
        refuse(text);
    }
}

uint32_t pages(uint64_t bytes) {
    return static_cast<uint32_t>((bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
}

} // namespace

template <class T> T PeFile::at(uint64_t rva, const char *what) const {
    if (rva > memory_.size() || memory_.size() - rva < sizeof(T)) {
        refuse(std::string(what) + " is outside the image: RVA " + hex(rva));
    }
    T value;
    std::memcpy(&value, memory_.data() + rva, sizeof value);
    return value;
}

std::string PeFile::text_at(uint64_t rva, const char *what) const {
    (void)at<char>(rva, what);
    const char *begin = reinterpret_cast<const char *>(memory_.data()) + rva;
    const void *end = std::memchr(begin, 0, memory_.size() - rva);
    if (end == nullptr) {
        refuse(std::string(what) + " is not terminated: RVA " + hex(rva));
    }
    return std::string(begin, static_cast<const char *>(end));
}

DataDirectory PeFile::directory(unsigned index, const char *name) const {
    const DataDirectory found = header_.directories[index];
    if (found.rva != 0 && (found.rva > memory_.size() || memory_.size() - found.rva < found.bytes)) {
        refuse(std::string("the ") + name + " directory is outside the image: RVA " + hex(found.rva) + ", " +
               std::to_string(found.bytes) + " bytes");
    }
    return found;
}

void PeFile::read_headers() {
    require(bytes_.size() >= 64 && bytes_[0] == 'M' && bytes_[1] == 'Z', "it is no Windows image: no MZ header");
    uint32_t offset = 0;
    std::memcpy(&offset, bytes_.data() + 60, sizeof offset);
    require(offset <= bytes_.size() && bytes_.size() - offset >= sizeof(PeHeader),
            "it is truncated: the file ends before its headers do");
    std::memcpy(&header_, bytes_.data() + offset, sizeof header_);
    pe_offset_ = offset;
    require(header_.signature == PE_SIGNATURE, "it is no Windows image: no PE header");
    if (header_.machine != MACHINE_X64 || header_.magic != PE32_PLUS) {
        refuse("it is not for x64: machine " + hex(header_.machine) + ", expected " + hex(MACHINE_X64));
    }
    require((header_.characteristics & FILE_EXECUTABLE) != 0, "it is not executable: its linker reported errors");
    if (header_.subsystem != SUBSYSTEM_NATIVE) {
        refuse("it is no driver: subsystem " + std::to_string(header_.subsystem) + ", expected 1 (native)");
    }
    require(header_.optional_header_bytes >= offsetof(PeHeader, directories) - offsetof(PeHeader, magic) &&
                header_.directory_count <= DIRECTORY_COUNT,
            "its optional header is too small");
    for (unsigned index = header_.directory_count; index < DIRECTORY_COUNT; ++index) {
        header_.directories[index] = {};
    }
    require(header_.section_alignment == PAGE_BYTES,
            "its sections are not aligned to pages: parts of one page would need two protections");
    require(header_.image_bytes != 0 && header_.image_bytes <= IMAGE_BYTES_MAX, "its size in memory makes no sense");
    require(header_.entry_point != 0 && header_.entry_point < header_.image_bytes, "it has no entry point");
}

void PeFile::read_sections() {
    const uint64_t table = pe_offset_ + offsetof(PeHeader, magic) + header_.optional_header_bytes;
    const uint64_t table_end = table + uint64_t{header_.section_count} * sizeof(SectionHeader);
    require(header_.section_count != 0, "it has no sections");
    require(table_end <= bytes_.size(), "it is truncated: the file ends before its section table does");
    require(header_.header_bytes >= table_end && header_.header_bytes <= bytes_.size() &&
                header_.header_bytes <= header_.image_bytes,
            "its headers say a wrong size of themselves");
    memory_.resize(pages(header_.image_bytes));
    std::memcpy(memory_.data(), bytes_.data(), header_.header_bytes);
    uint64_t next = pages(header_.header_bytes);
    for (unsigned index = 0; index < header_.section_count; ++index) {
        SectionHeader raw;
        std::memcpy(&raw, bytes_.data() + table + index * sizeof raw, sizeof raw);
        Section section;
        section.name.assign(raw.name, strnlen(raw.name, sizeof raw.name));
        section.rva = raw.rva;
        section.bytes = pages(raw.virtual_bytes != 0 ? raw.virtual_bytes : raw.file_bytes);
        section.file_offset = raw.file_offset;
        section.file_bytes = std::min(raw.file_bytes, section.bytes);
        section.characteristics = raw.characteristics;
        const std::string named = "section " + section.name;
        if (raw.rva % PAGE_BYTES != 0) {
            refuse(named + " does not begin at a page");
        }
        if (raw.rva < next) {
            refuse(named + " overlaps what is before it");
        }
        next = uint64_t{raw.rva} + section.bytes;
        if (next > memory_.size()) {
            refuse(named + " is outside the image");
        }
        if (section.file_bytes != 0 &&
            (raw.file_offset > bytes_.size() || bytes_.size() - raw.file_offset < section.file_bytes)) {
            refuse("it is truncated: the file ends inside " + named);
        }
        constexpr uint32_t BOTH = SECTION_EXECUTE | SECTION_WRITE;
        if ((raw.characteristics & BOTH) == BOTH) {
            refuse(named + " is both writable and executable: memory integrity refuses such an image [HVCI-01]");
        }
        std::copy_n(bytes_.data() + section.file_offset, section.file_bytes, memory_.data() + section.rva);
        sections_.push_back(std::move(section));
    }
    const auto entry = std::ranges::find_if(sections_, [this](const Section &section) {
        return header_.entry_point >= section.rva && header_.entry_point - section.rva < section.bytes;
    });
    require(entry != sections_.end() && (entry->characteristics & SECTION_EXECUTE) != 0,
            "its entry point is not in an executable section");
}

void PeFile::read_imports() {
    const DataDirectory table = directory(DIRECTORY_IMPORT, "import");
    require(directory(DIRECTORY_DELAY_IMPORT, "delayed import").rva == 0,
            "it has delayed imports, which the kernel's loader does not know");
    if (table.rva == 0) {
        return;
    }
    for (uint64_t rva = table.rva;; rva += sizeof(ImportDescriptor)) {
        const auto descriptor = at<ImportDescriptor>(rva, "an import descriptor");
        if (descriptor.name == 0 && descriptor.address_table == 0) {
            return;
        }
        const std::string module = text_at(descriptor.name, "the name of an imported module");
        const uint32_t names = descriptor.lookup_table != 0 ? descriptor.lookup_table : descriptor.address_table;
        for (uint64_t index = 0;; ++index) {
            const auto entry = at<uint64_t>(names + index * 8, "an import");
            if (entry == 0) {
                break;
            }
            const uint64_t slot = descriptor.address_table + index * 8;
            (void)at<uint64_t>(slot, "an import's address");
            Import import;
            import.module = module;
            import.slot = static_cast<uint32_t>(slot);
            import.name = (entry & IMPORT_BY_ORDINAL) != 0 ? "#" + std::to_string(entry & 0xFFFF)
                                                           : text_at(entry + 2, "the name of an import");
            imports_.push_back(std::move(import));
        }
    }
}

void PeFile::read_relocations() {
    const DataDirectory table = directory(DIRECTORY_RELOCATION, "relocation");
    if (table.rva == 0) {
        require((header_.characteristics & FILE_RELOCATIONS_STRIPPED) == 0,
                "its relocations are stripped: it runs at one address only");
        return;
    }
    uint32_t offset = 0;
    while (offset < table.bytes) {
        const auto block = at<RelocationBlock>(uint64_t{table.rva} + offset, "a relocation block");
        const std::string named = "the relocation block at RVA " + hex(uint64_t{table.rva} + offset);
        if (block.bytes < sizeof block || block.bytes % 4 != 0 || block.bytes > table.bytes - offset) {
            refuse(named + " has a bad size: " + std::to_string(block.bytes));
        }
        for (uint32_t entry = sizeof block; entry < block.bytes; entry += 2) {
            const auto value = at<uint16_t>(uint64_t{table.rva} + offset + entry, "a relocation");
            const unsigned type = value >> 12;
            if (type == RELOCATION_NONE) {
                continue;
            }
            if (type != RELOCATION_DIR64) {
                refuse(named + " has a relocation of type " + std::to_string(type) +
                       ", expected 10 (DIR64) or 0 (padding)");
            }
            const uint64_t target = uint64_t{block.page} + (value & 0xFFF);
            (void)at<uint64_t>(target, "the target of a relocation");
            relocations_.push_back(static_cast<uint32_t>(target));
        }
        offset += block.bytes;
    }
}

/// So that a walk over a stack ends, and stays inside the image, whatever the image says.
void PeFile::check_unwind_info(RuntimeFunction function) const {
    constexpr unsigned MAX_CHAIN = 32;
    const uint32_t first = function.unwind_info;
    for (unsigned depth = 0; depth < MAX_CHAIN; ++depth) {
        if ((function.unwind_info & 1) != 0) {
            function = at<RuntimeFunction>(function.unwind_info & ~1u, "what an exception table entry points to");
            continue;
        }
        const auto info = at<UnwindInfo>(function.unwind_info, "an entry's unwind information");
        const unsigned version = info.version_and_flags & 7;
        if (version != 1 && version != 2) {
            refuse("its unwind information at RVA " + hex(function.unwind_info) + " has version " +
                   std::to_string(version) + ", expected 1 or 2");
        }
        const uint64_t after = function.unwind_info + offsetof(UnwindInfo, codes) + (info.code_count + 1u) / 2 * 4;
        if (((info.version_and_flags >> 3) & UNWIND_CHAINED) == 0) {
            (void)at<uint32_t>(after, "the end of an entry's unwind information");
            return;
        }
        function = at<RuntimeFunction>(after, "a chained entry");
    }
    refuse("its unwind information at RVA " + hex(first) + " is a chain without an end");
}

void PeFile::read_exception_table() {
    const DataDirectory table = directory(DIRECTORY_EXCEPTION, "exception");
    require(table.bytes % sizeof(RuntimeFunction) == 0, "its exception directory has a bad size");
    uint32_t before = 0;
    for (uint32_t offset = 0; offset < table.bytes; offset += sizeof(RuntimeFunction)) {
        const auto function = at<RuntimeFunction>(uint64_t{table.rva} + offset, "an exception table entry");
        if (function.begin < before || function.end <= function.begin || function.end > memory_.size()) {
            refuse("its exception table is not in order at RVA " + hex(uint64_t{table.rva} + offset));
        }
        before = function.end;
        check_unwind_info(function);
    }
}

void PeFile::read_load_config() {
    const DataDirectory found = directory(DIRECTORY_LOAD_CONFIG, "load configuration");
    if (found.rva == 0 || at<uint32_t>(found.rva, "the load configuration") < LOAD_CONFIG_COOKIE + 8) {
        return;
    }
    const auto address = at<uint64_t>(uint64_t{found.rva} + LOAD_CONFIG_COOKIE, "the load configuration");
    if (address == 0) {
        return;
    }
    require(address > header_.image_base && address - header_.image_base < memory_.size(),
            "its security cookie is outside the image");
    cookie_ = static_cast<uint32_t>(address - header_.image_base);
    (void)at<uint64_t>(cookie_, "the security cookie");
}

std::optional<PeFile> PeFile::read(std::vector<uint8_t> bytes, std::string *problem) {
    PeFile file(std::move(bytes));
    try {
        file.read_headers();
        file.read_sections();
        file.read_imports();
        file.read_relocations();
        file.read_exception_table();
        file.read_load_config();
    } catch (const Defect &defect) {
        *problem = defect.text;
        return std::nullopt;
    }
    return file;
}

} // namespace fltsim::image
