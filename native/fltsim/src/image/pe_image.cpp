// SPDX-License-Identifier: MIT
//
// This module provides: PeImage (pe_image.hpp).

#include "image/pe_image.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>
#include <random>
#include <utility>

#include "core/world.hpp"
#include "image/exports.hpp"
#include "ke/seh.hpp"

extern "C" __attribute__((visibility("hidden"))) const char fltsim_gate_enter[];

namespace fltsim::image {

namespace {

constexpr size_t PAGE_SIZE_BYTES = 4096;
constexpr size_t GATE_BYTES = 32;
constexpr size_t MAX_IMAGES = 256; // loaded at once, in all worlds of the process

/// Where images are. Entries are read by signal handlers, so there is no lock for readers.
struct Place {
    std::atomic<uint64_t> base{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<PeImage *> image{nullptr};
};
std::array<Place, MAX_IMAGES> places;
std::mutex &places_mutex = *new std::mutex; // never destroyed: some libraries have a destructor for it
std::atomic<bool> any_image = false; ///< once there was one

void add_place(PeImage *image, const Mapping &memory) {
    const std::lock_guard guard(places_mutex);
    const auto free = std::ranges::find_if(places, [](const Place &place) { return place.image == nullptr; });
    if (free == places.end()) {
        bugcheck("RESOURCES", "driver load", "more than " + std::to_string(MAX_IMAGES) + " driver images");
    }
    free->base = memory.address();
    free->image = image;
    free->bytes = memory.bytes();
}

void remove_place(const PeImage *image) {
    const std::lock_guard guard(places_mutex);
    for (Place &place : places) {
        if (place.image == image) {
            place.bytes = 0;
            place.image = nullptr;
        }
    }
}

std::vector<const void *> targets_of(const std::vector<Export> &exports) {
    std::vector<const void *> targets;
    for (const Export &found : exports) {
        targets.push_back(found.address);
    }
    return targets;
}

std::vector<Export> exports_of(const PeFile &file) {
    std::vector<Export> exports;
    for (const Import &import : file.imports()) {
        exports.push_back(find_export(import.module, import.name));
    }
    return exports;
}

std::string missing_of(const PeFile &file, const std::vector<Export> &exports) {
    std::string missing;
    for (size_t index = 0; index < exports.size(); ++index) {
        if (exports[index].address == nullptr) {
            const Import &import = file.imports()[index];
            missing += (missing.empty() ? "" : ", ") + import.module + "!" + import.name;
        }
    }
    return missing;
}

int protection_of(uint32_t characteristics) {
    return ((characteristics & SECTION_READ) != 0 ? PROT_READ : 0) |
           ((characteristics & SECTION_WRITE) != 0 ? PROT_WRITE : 0) |
           ((characteristics & SECTION_EXECUTE) != 0 ? PROT_EXEC : 0);
}

} // namespace

void prepare_host_thread() {
    if (any_image) {
        seh::prepare_host_thread();
    }
}

PeImage *image_at(uint64_t address) {
    for (const Place &place : places) {
        const uint64_t bytes = place.bytes.load(std::memory_order_acquire);
        if (bytes != 0 && address - place.base.load(std::memory_order_relaxed) < bytes) {
            return place.image.load(std::memory_order_relaxed);
        }
    }
    return nullptr;
}

Mapping::Mapping(size_t bytes) : bytes_((bytes + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES) {
    base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) {
        throw std::bad_alloc();
    }
}

Mapping::~Mapping() {
    munmap(base_, bytes_);
}

void Mapping::protect(size_t offset, size_t bytes, int protection) const {
    if (mprotect(at(offset), bytes, protection) != 0) {
        throw std::bad_alloc();
    }
}

// mov r10, target; mov r11, fltsim_gate_enter; jmp r11
Gates::Gates(const std::vector<const void *> &targets) : code_(std::max<size_t>(targets.size(), 1) * GATE_BYTES) {
    const void *const enter = fltsim_gate_enter;
    for (size_t index = 0; index < targets.size(); ++index) {
        uint8_t *code = code_.at(index * GATE_BYTES);
        std::memcpy(code, "\x49\xBA", 2);
        std::memcpy(code + 2, &targets[index], 8);
        std::memcpy(code + 10, "\x49\xBB", 2);
        std::memcpy(code + 12, &enter, 8);
        std::memcpy(code + 20, "\x41\xFF\xE3", 3);
    }
    code_.protect(0, code_.bytes(), PROT_READ | PROT_EXEC);
}

void *Gates::operator[](size_t index) const {
    return code_.at(index * GATE_BYTES);
}

std::unique_ptr<Image> PeImage::load(const std::string &path, std::vector<uint8_t> bytes, std::string *error) {
    std::string problem;
    std::optional<PeFile> file = PeFile::read(std::move(bytes), &problem);
    if (!file) {
        *error = "driver image \"" + path + "\": " + problem;
        return nullptr;
    }
    const std::vector<Export> exports = exports_of(*file);
    const std::string missing = missing_of(*file, exports);
    if (!missing.empty()) {
        unmodelled("driver load", missing + ", imported by driver image \"" + path + "\"");
    }
    any_image = true;
    return std::unique_ptr<Image>(new PeImage(path, std::move(*file), exports));
}

PeImage::PeImage(std::string path, PeFile file, const std::vector<Export> &exports)
    : path_(std::move(path)), file_(std::move(file)), memory_(file_.memory().size()), gates_(targets_of(exports)) {
    name_ = path_.substr(path_.find_last_of('/') + 1);
    std::memcpy(memory_.at(0), file_.memory().data(), file_.memory().size());
    relocate();
    bind(exports);
    seed_cookie();
    protect();
    add_place(this, memory_);
}

PeImage::~PeImage() {
    remove_place(this);
}

void PeImage::relocate() {
    const uint64_t delta = base() - file_.header().image_base;
    for (const uint32_t rva : file_.relocations()) {
        uint64_t value = 0;
        std::memcpy(&value, memory_.at(rva), sizeof value);
        value += delta;
        std::memcpy(memory_.at(rva), &value, sizeof value);
    }
    const uint64_t here = base();
    std::memcpy(
        memory_.at(offsetof(PeHeader, image_base) + reinterpret_cast<const DosHeader *>(memory_.at(0))->pe_offset),
        &here, sizeof here);
}

void PeImage::bind(const std::vector<Export> &exports) {
    for (size_t index = 0; index < exports.size(); ++index) {
        const void *target = exports[index].gated ? gates_[index] : exports[index].address;
        std::memcpy(memory_.at(file_.imports()[index].slot), &target, sizeof target);
    }
}

/// As the kernel's loader does it: a cookie that still has the linker's value gets a random one, with its upper 16 bits zero.
void PeImage::seed_cookie() {
    uint64_t cookie = 0;
    if (file_.cookie() == 0) {
        return;
    }
    std::memcpy(&cookie, memory_.at(file_.cookie()), sizeof cookie);
    if (cookie != DEFAULT_COOKIE) {
        return;
    }
    std::random_device device;
    do {
        cookie = ((uint64_t{device()} << 32) | device()) >> 16;
    } while (cookie == 0 || cookie == DEFAULT_COOKIE);
    std::memcpy(memory_.at(file_.cookie()), &cookie, sizeof cookie);
}

void PeImage::protect() {
    memory_.protect(0, memory_.bytes(), PROT_NONE);
    memory_.protect(0, file_.header().header_bytes, PROT_READ); // the kernel rounds it up to whole pages
    for (const Section &section : file_.sections()) {
        if (section.bytes != 0) {
            memory_.protect(section.rva, section.bytes, protection_of(section.characteristics));
        }
    }
}

PDRIVER_INITIALIZE PeImage::entry() const {
    return reinterpret_cast<PDRIVER_INITIALIZE>(memory_.at(file_.header().entry_point));
}

void PeImage::initialised() {
    discarded_ = true;
    for (const Section &section : file_.sections()) {
        if ((section.characteristics & SECTION_DISCARDABLE) != 0 && section.bytes != 0) {
            memory_.protect(section.rva, section.bytes, PROT_NONE);
        }
    }
}

const Section *PeImage::section_at(uint32_t rva) const {
    const auto found = std::ranges::find_if(
        file_.sections(), [rva](const Section &section) { return rva - section.rva < section.bytes; });
    return found != file_.sections().end() ? &*found : nullptr;
}

bool PeImage::forced_integrity() const {
    constexpr uint16_t FORCE_INTEGRITY = 0x80; // IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY
    return (file_.header().dll_characteristics & FORCE_INTEGRITY) != 0;
}

bool PeImage::discarded(uint32_t rva) const {
    const Section *section = section_at(rva);
    return discarded_ && section != nullptr && (section->characteristics & SECTION_DISCARDABLE) != 0;
}

const RuntimeFunction *PeImage::function_at(uint32_t rva) const {
    const DataDirectory table = file_.header().directories[DIRECTORY_EXCEPTION];
    // Of the file's bytes: the table may be in a section that the image has discarded.
    const auto *first = reinterpret_cast<const RuntimeFunction *>(file_.memory().data() + table.rva);
    const auto *end = first + table.bytes / sizeof(RuntimeFunction);
    const auto *after =
        std::upper_bound(first, end, rva, [](uint32_t value, const RuntimeFunction &f) { return value < f.begin; });
    return after != first && rva < (after - 1)->end ? after - 1 : nullptr;
}

std::string PeImage::describe(uint64_t address) const {
    if (!symbols_) {
        symbols_ = std::make_unique<Symbols>(path_, file_.header().image_base);
    }
    const auto rva = static_cast<uint32_t>(address - base());
    const std::string symbol = symbols_->at(rva);
    if (!symbol.empty()) {
        return name_ + "!" + symbol;
    }
    char text[32];
    const Section *section = section_at(rva);
    std::snprintf(text, sizeof text, "+0x%x", rva);
    return name_ + text + (section != nullptr ? " (" + section->name + ")" : "");
}

void *PeImage::gate_of(std::string_view name, const void *target) {
    const auto &imports = file_.imports();
    const auto import = std::ranges::find(imports, name, &Import::name);
    if (import != imports.end()) {
        return gates_[static_cast<size_t>(import - imports.begin())];
    }
    const std::lock_guard guard(mutex_);
    std::unique_ptr<Gates> &gate = more_gates_[target];
    if (!gate) {
        gate = std::make_unique<Gates>(std::vector<const void *>{target});
    }
    return (*gate)[0];
}

void *const *PeImage::gated_table(void *const *table, size_t count) {
    const std::lock_guard guard(mutex_);
    if (!table_gates_) {
        table_gates_ = std::make_unique<Gates>(std::vector<const void *>(table, table + count));
        for (size_t index = 0; index < count; ++index) {
            table_.push_back((*table_gates_)[index]);
        }
    }
    return table_.data();
}

} // namespace fltsim::image

#endif
