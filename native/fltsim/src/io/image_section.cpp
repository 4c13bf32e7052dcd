// SPDX-License-Identifier: MIT
//
// This module provides: image sections [SEQ-10]: what a file needs to be one, its pages, and how long its file object is kept.
//
// Each view has memory of its own, as written pages of an image are its mapper's alone. Nothing is relocated, and no page is protected: who maps an
// image here looks at it, it is not run. As views of data do (section.cpp), a view reads all its pages when it is made.

#include "io/image_section.hpp"

#include "fs/memfs.hpp"
#include "io/section.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::io {

namespace {

constexpr uint64_t PAGE = Cache::PAGE;
constexpr uint64_t SECTOR = 512;
constexpr uint64_t LARGEST_IMAGE = 0x77000000;
/// How long the memory manager keeps what nobody uses; Windows: until it needs the memory.
constexpr uint64_t KEPT_FOR_100NS = 10'000'000;

// IMAGE_DOS_HEADER, IMAGE_FILE_HEADER, IMAGE_OPTIONAL_HEADER32 and 64, IMAGE_SECTION_HEADER (winnt.h).
constexpr uint64_t DOS_HEADER_BYTES = 64;
constexpr uint64_t NEW_HEADER_AT = 60;
constexpr uint64_t SIGNATURE_BYTES = 4;
constexpr uint64_t FILE_HEADER_BYTES = 20;
constexpr uint64_t SECTION_COUNT_AT = 2;
constexpr uint64_t OPTIONAL_BYTES_AT = 16;
constexpr uint64_t SECTION_ALIGNMENT_AT = 32;
constexpr uint64_t IMAGE_BYTES_AT = 56;
constexpr uint64_t HEADER_BYTES_AT = 60;
constexpr uint64_t SMALLEST_OPTIONAL = 64;
constexpr uint64_t SECTION_HEADER_BYTES = 40;
constexpr uint16_t MZ = 0x5A4D;
constexpr uint32_t PE = 0x00004550;
constexpr uint16_t PE32 = 0x10B;
constexpr uint16_t PE32_PLUS = 0x20B;

uint64_t rounded(uint64_t bytes, uint64_t to) {
    return (bytes + to - 1) / to * to;
}

template <class T> T at(const std::vector<uint8_t> &bytes, uint64_t offset) {
    T value{};
    if (offset + sizeof value <= bytes.size()) {
        memcpy(&value, bytes.data() + offset, sizeof value);
    }
    return value;
}

/// Offsets of the headers, as far as they are in `bytes`.
struct Headers {
    uint64_t optional = 0;
    uint64_t sections = 0;
    uint16_t count = 0;
};

/// Nothing: this is no PE file, or its headers go on behind `bytes`.
std::optional<Headers> find_headers(const std::vector<uint8_t> &bytes) {
    const uint64_t signature = at<uint32_t>(bytes, NEW_HEADER_AT);
    const uint64_t file = signature + SIGNATURE_BYTES;
    if (signature < DOS_HEADER_BYTES || file + FILE_HEADER_BYTES > bytes.size() ||
        at<uint32_t>(bytes, signature) != PE) {
        return std::nullopt;
    }
    const auto optional_bytes = at<uint16_t>(bytes, file + OPTIONAL_BYTES_AT);
    Headers headers;
    headers.optional = file + FILE_HEADER_BYTES;
    headers.sections = headers.optional + optional_bytes;
    headers.count = at<uint16_t>(bytes, file + SECTION_COUNT_AT);
    const bool whole = headers.sections + headers.count * SECTION_HEADER_BYTES <= bytes.size();
    const auto magic = at<uint16_t>(bytes, headers.optional);
    return optional_bytes >= SMALLEST_OPTIONAL && whole && (magic == PE32 || magic == PE32_PLUS)
               ? std::optional(headers)
               : std::nullopt;
}

} // namespace

/// Paging reads of whole pages; where in the file they begin an image's alignment decides.
NTSTATUS ImageSegment::read(uint64_t file_offset, uint8_t *to, uint64_t bytes) {
    std::vector<uint8_t> bounce;
    for (uint64_t done = 0; done < bytes;) {
        const auto link = link_.lock();
        if (!link || link->manager == nullptr) {
            return STATUS_SYSTEM_SHUTDOWN;
        }
        const uint64_t part = std::min(bytes - done, Cache::MAX_TRANSFER_PAGES * PAGE);
        bounce.assign(rounded(part, PAGE), 0);
        const NTSTATUS status = link->manager->paging_io(IRP_MJ_READ, *file_, file_offset + done, bounce.data(),
                                                         static_cast<uint32_t>(bounce.size()));
        if (!NT_SUCCESS(status)) {
            return status;
        }
        memcpy(to + done, bounce.data(), part);
        done += part;
    }
    return STATUS_SUCCESS;
}

/// The first page, and more of the file when the headers say that they are longer.
NTSTATUS ImageSegment::read_headers(uint64_t end_of_file, std::vector<uint8_t> *headers) {
    headers->resize(std::min(end_of_file, PAGE));
    NTSTATUS status = read(0, headers->data(), headers->size());
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (at<uint16_t>(*headers, 0) != MZ) {
        return STATUS_INVALID_IMAGE_NOT_MZ;
    }
    constexpr uint64_t MOST = 16 * PAGE;
    if (!find_headers(*headers) && end_of_file > PAGE) {
        headers->resize(std::min(end_of_file, MOST));
        status = read(PAGE, headers->data() + PAGE, headers->size() - PAGE);
    }
    return status;
}

NTSTATUS ImageSegment::lay_out(const std::vector<uint8_t> &headers, uint64_t end_of_file) {
    const auto found = find_headers(headers);
    if (!found) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    const uint64_t alignment = at<uint32_t>(headers, found->optional + SECTION_ALIGNMENT_AT);
    const uint64_t header_bytes = at<uint32_t>(headers, found->optional + HEADER_BYTES_AT);
    const uint64_t image_bytes = rounded(at<uint32_t>(headers, found->optional + IMAGE_BYTES_AT), PAGE);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || image_bytes == 0 || image_bytes > LARGEST_IMAGE ||
        header_bytes == 0 || header_bytes > std::min(image_bytes, end_of_file)) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    if (alignment < PAGE) {
        unmodelled("NtCreateSection", "an image whose sections are not at pages of their own");
    }
    parts_.push_back({0, 0, header_bytes});
    uint64_t end = rounded(header_bytes, alignment);
    for (uint64_t i = 0; i < found->count; ++i) {
        const uint64_t header = found->sections + i * SECTION_HEADER_BYTES;
        const uint64_t virtual_bytes = at<uint32_t>(headers, header + 8);
        const uint64_t address = at<uint32_t>(headers, header + 12);
        const uint64_t raw_bytes = at<uint32_t>(headers, header + 16);
        const uint64_t raw_offset = at<uint32_t>(headers, header + 20) / SECTOR * SECTOR;
        const uint64_t in_memory = rounded(virtual_bytes != 0 ? virtual_bytes : raw_bytes, PAGE);
        if (address % alignment != 0 || address < end || in_memory > image_bytes || address > image_bytes - in_memory ||
            (raw_bytes != 0 && raw_offset + raw_bytes > end_of_file)) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        if (raw_bytes != 0) {
            parts_.push_back({address, raw_offset, std::min(raw_bytes, in_memory)});
        }
        end = rounded(address + in_memory, alignment);
    }
    memory_ = PageRegion::make(image_bytes);
    return memory_ ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS ImageSegment::make(IoManager::Impl &manager, FileObject &file, uint64_t end_of_file,
                            std::shared_ptr<ImageSegment> *segment) {
    const std::shared_ptr<ImageSegment> made(new ImageSegment(file.shared_from_this()));
    made->link_ = manager.link;
    std::vector<uint8_t> headers;
    NTSTATUS status = made->read_headers(end_of_file, &headers);
    if (NT_SUCCESS(status)) {
        status = made->lay_out(headers, end_of_file);
    }
    if (NT_SUCCESS(status)) {
        *segment = made;
    }
    return status;
}

NTSTATUS ImageSegment::page_in() {
    if (resident_) {
        return STATUS_SUCCESS;
    }
    for (const Part &part : parts_) {
        const NTSTATUS status = read(part.file_offset, memory_->data() + part.address, part.bytes);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    resident_ = true;
    return STATUS_SUCCESS;
}

void ImageSegment::remove_user() {
    const auto link = link_.lock();
    if (--users_ != 0 || !link || link->manager == nullptr) {
        return;
    }
    const auto look = [weak = weak_from_this(), generation = ++generation_] {
        const auto segment = weak.lock();
        if (segment && !segment->in_use() && segment->generation_ == generation) {
            segment->let_go();
        }
    };
    World &world = link->manager->world;
    world.at(world.interrupt_time_100ns() + KEPT_FOR_100NS, look);
}

void ImageSegment::keep_file() {
    file_->reference();
    if (file_->native.SectionObjectPointer != nullptr) {
        file_->native.SectionObjectPointer->ImageSectionObject = this;
    }
}

void ImageSegment::let_go() {
    if (const auto cache = fs::MemFileSystem::cache_of(*file_); cache && cache->image.get() == this) {
        const auto keep = std::move(cache->image);
        if (file_->native.SectionObjectPointer != nullptr) {
            file_->native.SectionObjectPointer->ImageSectionObject = nullptr;
        }
        file_->dereference();
    }
}

/// MmFlushImageSection.
bool Cache::flush_image() {
    if (image && image->in_use()) {
        return false;
    }
    if (const auto unused = image) {
        unused->let_go();
    }
    return true;
}

NTSTATUS IoManager::map_image(FileObject &file, uint64_t size, ULONG protection, std::shared_ptr<Object> *section) {
    Impl &impl = *impl_;
    const std::shared_ptr<Cache> cache = fs::MemFileSystem::cache_of(file);
    if (!cache) {
        return STATUS_INVALID_FILE_FOR_SECTION;
    }
    const NTSTATUS acquired = acquire_for_section(impl, file, protection);
    if (NT_ERROR(acquired)) {
        return acquired;
    }
    NTSTATUS status = STATUS_SUCCESS;
    if (!cache->image) {
        uint64_t end = 0;
        status = file_size(impl, file, &end);
        if (NT_SUCCESS(status) && end == 0) {
            status = STATUS_MAPPED_FILE_SIZE_ZERO;
        }
        if (NT_SUCCESS(status)) {
            // An image is read from the disk.
            status = cache->dirty() || cache->mapped() ? cache->flush(file, 0, end) : STATUS_SUCCESS;
        }
        std::shared_ptr<ImageSegment> made;
        if (NT_SUCCESS(status)) {
            status = ImageSegment::make(impl, file, end, &made);
        }
        if (NT_SUCCESS(status) && !cache->image) { // nobody else was faster
            made->keep_file();
            cache->image = made;
            impl.caches.push_back(cache);
        }
    }
    if (NT_SUCCESS(status) && size > cache->image->size()) {
        status = STATUS_SECTION_TOO_BIG;
    }
    if (NT_SUCCESS(status)) {
        *section = std::make_shared<ImageSection>(cache->image);
    }
    impl.fs_filter(IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION, file);
    return status;
}

NTSTATUS map_view_of_image(IoManager::Impl &impl, const std::shared_ptr<ImageSection> &section, uint64_t offset,
                           uint64_t length, void **base) {
    const ImageSegment &segment = *section->segment;
    if (offset != 0 || length > segment.size()) {
        return STATUS_INVALID_VIEW_SIZE;
    }
    const uint64_t bytes = length == 0 ? segment.size() : length;
    const NTSTATUS status = section->segment->page_in();
    if (!NT_SUCCESS(status)) {
        return status;
    }
    std::shared_ptr<PageRegion> memory = PageRegion::make(rounded(bytes, PAGE));
    if (!memory) {
        return STATUS_NO_MEMORY;
    }
    memcpy(memory->data(), segment.data(), bytes);
    *base = memory->data();
    MappedView view;
    view.image = section;
    view.memory = std::move(memory);
    view.length = bytes;
    view.process = executing().process;
    impl.views.emplace(reinterpret_cast<uintptr_t>(*base), std::move(view));
    return STATUS_SUCCESS;
}

} // namespace fltsim::io
