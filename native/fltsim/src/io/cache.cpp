// SPDX-License-Identifier: MIT
//
// This module provides: cached reads and writes, page-in, and the flush of dirty pages.

#include "io/cache.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fltsim::io {

Cache::Cache(IoManager::Impl &manager, CachedFile &file) : file_(file), link_(manager.link) {}

Cache::Page &Cache::page(uint64_t index) {
    return pages_[index];
}

uint8_t *Cache::memory(uint64_t index, Page &page) {
    if (index < region_pages_) {
        return region_->data() + index * PAGE;
    }
    if (!page.heap) {
        page.heap = std::make_unique<uint8_t[]>(PAGE);
    }
    return page.heap.get();
}

bool Cache::missing(uint64_t index) const {
    const auto found = pages_.find(index);
    return found == pages_.end() || !found->second.valid;
}

void Cache::set_dirty(Page &page, bool dirty) {
    if (page.dirty != dirty) {
        page.dirty = dirty;
        page.by_view = false;
        dirty ? ++dirty_pages_ : --dirty_pages_;
    }
}

void Cache::schedule() {
    const auto link = link_.lock();
    if (link && link->manager != nullptr && dirty()) {
        link->manager->write_later(shared_from_this());
    }
}

void Cache::schedule_mapped() {
    const auto link = link_.lock();
    if (link && link->manager != nullptr && dirty()) {
        link->manager->write_mapped_later(shared_from_this());
    }
}

bool Cache::take_extended() {
    return std::exchange(extended_, false);
}

void Cache::initialise(FileObject &file) {
    if (file.cache_initialised || file.cleanup_done) {
        return; // after cleanup nobody would end it
    }
    file.cache_initialised = true;
    file.native.PrivateCacheMap = this;
    if (file.native.SectionObjectPointer != nullptr) {
        file.native.SectionObjectPointer->SharedCacheMap = this;
    }
    ++users_;
    set_backing(file);
}

void Cache::set_backing(FileObject &file) {
    const auto link = link_.lock();
    if (!backing_ && link && link->manager != nullptr) {
        backing_ = file.shared_from_this();
        file.reference();
        auto &known = link->manager->caches;
        std::erase_if(known, [](const auto &cache) { return cache.expired(); });
        known.push_back(weak_from_this());
    }
}

void Cache::uninitialise(FileObject &file) {
    if (!file.cache_initialised) {
        return;
    }
    file.cache_initialised = false;
    file.native.PrivateCacheMap = nullptr;
    --users_;
    release_backing();
}

std::shared_ptr<FileObject> Cache::backing(FileObject &fallback) {
    return backing_ ? backing_ : fallback.shared_from_this();
}

void Cache::release_backing() {
    if (backing_ && users_ == 0 && sections_ == 0 && writes_in_flight_ == 0 && !dirty()) {
        const std::shared_ptr<FileObject> file = std::move(backing_);
        file->dereference();
    }
}

NTSTATUS Cache::page_in(FileObject &file, uint64_t offset, uint64_t length) {
    const uint64_t end = pages_of(offset + length);
    for (uint64_t index = offset / PAGE; index < end;) {
        if (!missing(index)) {
            ++index;
            continue;
        }
        if (index >= pages_of(file_.end_of_file())) {
            Page &fresh = page(index);
            memset(memory(index, fresh), 0, PAGE);
            fresh.valid = true;
            continue;
        }
        uint64_t count = 1;
        while (count < MAX_TRANSFER_PAGES && index + count < std::min(end, pages_of(file_.end_of_file())) &&
               missing(index + count)) {
            ++count;
        }
        const uint64_t generation = generation_;
        std::vector<uint8_t> bounce(count * PAGE);
        const auto link = link_.lock();
        const NTSTATUS status = link->manager->paging_io(IRP_MJ_READ, *backing(file), index * PAGE, bounce.data(),
                                                         static_cast<uint32_t>(bounce.size()));
        if (generation != generation_) {
            continue; // the disk or the size changed meanwhile: what was read may be old
        }
        if (!NT_SUCCESS(status)) {
            return status;
        }
        for (uint64_t i = 0; i < count; ++i) {
            if (missing(index + i)) {
                Page &read = page(index + i);
                memcpy(memory(index + i, read), bounce.data() + i * PAGE, PAGE);
                read.valid = true;
            }
        }
        index += count;
    }
    return STATUS_SUCCESS;
}

NTSTATUS Cache::read(FileObject &file, uint64_t offset, void *to, uint32_t length) {
    const uint64_t first = offset / PAGE;
    const uint64_t end = pages_of(offset + length);
    for (;;) {
        const NTSTATUS status = page_in(file, offset, length);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        bool complete = true;
        for (uint64_t index = first; index < end; ++index) {
            complete = complete && !missing(index);
        }
        if (complete) {
            break;
        }
    }
    auto *out = static_cast<uint8_t *>(to);
    for (uint64_t at = offset; at < offset + length;) {
        const uint64_t in_page = at % PAGE;
        const uint64_t part = std::min<uint64_t>(PAGE - in_page, offset + length - at);
        memcpy(out, memory(at / PAGE, page(at / PAGE)) + in_page, part);
        out += part;
        at += part;
    }
    return STATUS_SUCCESS;
}

NTSTATUS Cache::write(FileObject &file, uint64_t offset, const void *from, uint32_t length) {
    const uint64_t stop = offset + length;
    // Pages that are overwritten in part have to be here first.
    const auto partial_missing = [&](uint64_t index) {
        const bool whole = index * PAGE >= offset && (index + 1) * PAGE <= stop;
        return !whole && missing(index);
    };
    const uint64_t first = offset / PAGE;
    const uint64_t last = (stop - 1) / PAGE;
    while (partial_missing(first) || partial_missing(last)) {
        for (const uint64_t index : {first, last}) {
            if (partial_missing(index)) {
                const NTSTATUS status = page_in(file, index * PAGE, PAGE);
                if (!NT_SUCCESS(status)) {
                    return status;
                }
            }
        }
    }
    const auto *in = static_cast<const uint8_t *>(from);
    for (uint64_t at = offset; at < stop;) {
        const uint64_t in_page = at % PAGE;
        const uint64_t part = std::min<uint64_t>(PAGE - in_page, stop - at);
        Page &target = page(at / PAGE);
        memcpy(memory(at / PAGE, target) + in_page, in, part);
        target.valid = true;
        set_dirty(target, true);
        target.by_view = false;
        in += part;
        at += part;
    }
    schedule();
    return STATUS_SUCCESS;
}

/// Copies the pages and counts them as clean, and as being written.
void Cache::take_run(uint64_t first, uint64_t count, uint8_t *to) {
    for (uint64_t i = 0; i < count; ++i) {
        Page &source = page(first + i);
        memcpy(to + i * PAGE, memory(first + i, source), PAGE);
        set_dirty(source, false);
    }
    ++writes_in_flight_;
}

void Cache::end_run(uint64_t first, uint64_t count, NTSTATUS status, bool by_view) {
    --writes_in_flight_;
    world().wake(this);
    if (NT_SUCCESS(status)) {
        return;
    }
    for (uint64_t i = 0; i < count; ++i) {
        const auto found = pages_.find(first + i);
        if (found != pages_.end() && found->second.valid) {
            set_dirty(found->second, true);
            found->second.by_view = by_view;
        }
    }
}

NTSTATUS Cache::write_run(FileObject &file, uint64_t first, uint64_t count) {
    std::vector<uint8_t> bounce(count * PAGE);
    take_run(first, count, bounce.data());
    const auto link = link_.lock();
    const NTSTATUS status = link->manager->paging_io(IRP_MJ_WRITE, *backing(file), first * PAGE, bounce.data(),
                                                     static_cast<uint32_t>(bounce.size()));
    end_run(first, count, status, false);
    return status;
}

NTSTATUS Cache::write_dirty(FileObject &file, uint64_t offset, uint64_t length, bool views_too) {
    const auto keep = shared_from_this();
    collect_mapped_changes();
    NTSTATUS result = STATUS_SUCCESS;
    const uint64_t end = length > UINT64_MAX - offset - PAGE ? UINT64_MAX / PAGE : pages_of(offset + length);
    for (auto at = pages_.lower_bound(offset / PAGE); at != pages_.end() && at->first < end;) {
        const auto due = [views_too](const Page &page) { return page.dirty && (views_too || !page.by_view); };
        if (!due(at->second)) {
            ++at;
            continue;
        }
        const uint64_t first = at->first;
        uint64_t count = 0;
        while (count < MAX_TRANSFER_PAGES && at != pages_.end() && at->first == first + count && at->first < end &&
               due(at->second)) {
            ++count;
            ++at;
        }
        const NTSTATUS status = write_run(file, first, count);
        if (!NT_SUCCESS(status) && NT_SUCCESS(result)) {
            result = status;
        }
        at = pages_.lower_bound(first + count); // others may have changed the map meanwhile
    }
    return result;
}

NTSTATUS Cache::flush(FileObject &file, uint64_t offset, uint64_t length) {
    if (pages_.empty()) {
        return STATUS_SUCCESS; // was never cached
    }
    const auto keep = shared_from_this();
    const auto link = link_.lock();
    const std::shared_ptr<FileObject> target = backing(file);
    const NTSTATUS acquired = link->manager->fs_filter(IRP_MJ_ACQUIRE_FOR_CC_FLUSH, *target);
    if (!NT_SUCCESS(acquired)) {
        return acquired;
    }
    const NTSTATUS status = write_dirty(file, offset, length, true);
    // Pages that another thread is writing are clean here, but not on disk yet.
    world().block(this, [this] { return writes_in_flight_ == 0; });
    link->manager->fs_filter(IRP_MJ_RELEASE_FOR_CC_FLUSH, *target);
    if (!NT_SUCCESS(status)) {
        schedule();
    }
    release_backing();
    return status;
}

void Cache::refresh(uint64_t offset, const uint8_t *data, uint64_t length) {
    ++generation_;
    for (uint64_t at = offset; at < offset + length;) {
        const uint64_t in_page = at % PAGE;
        const uint64_t part = std::min<uint64_t>(PAGE - in_page, offset + length - at);
        const auto found = pages_.find(at / PAGE);
        if (found != pages_.end() && found->second.valid) {
            memcpy(memory(at / PAGE, found->second) + in_page, data, part);
        }
        data += part;
        at += part;
    }
}

void Cache::truncate(uint64_t new_size) {
    ++generation_;
    const uint64_t keep = pages_of(new_size);
    for (auto at = pages_.lower_bound(keep); at != pages_.end(); at = pages_.erase(at)) {
        set_dirty(at->second, false);
        if (at->first < region_pages_) {
            memset(region_->data() + at->first * PAGE, 0, PAGE);
        }
    }
    const uint64_t tail = new_size % PAGE;
    const auto last = pages_.find(new_size / PAGE);
    if (tail != 0 && last != pages_.end() && last->second.valid) {
        memset(memory(last->first, last->second) + tail, 0, PAGE - tail);
    }
}

// ---- sections --------------------------------------------------------------------------------------------------------------------

bool Cache::add_section(FileObject &file, uint64_t size, bool writable) {
    constexpr uint64_t SMALLEST_REGION = 1u << 20;
    if (pages_of(size) > region_pages_) {
        if (region_) {
            return false; // views point into the region: it cannot move
        }
        const uint64_t bytes = std::max<uint64_t>(SMALLEST_REGION, pages_of(size) * PAGE * 2);
        region_ = PageRegion::make(bytes);
        if (!region_) {
            return false;
        }
        move_to_region();
    }
    ++sections_;
    set_backing(file);
    writable_sections_ += writable ? 1 : 0;
    return true;
}

void Cache::remove_section(bool writable) {
    collect_mapped_changes();
    writable_sections_ -= writable ? 1 : 0;
    if (--sections_ == 0) {
        move_to_heap();
    }
    release_backing();
}

void Cache::collect_mapped_changes() {
    if (writable_sections_ == 0) {
        return;
    }
    const uint64_t end = std::min(region_pages_, pages_of(file_.end_of_file()));
    bool changed = false;
    for (auto at = pages_.begin(); at != pages_.end() && at->first < end; ++at) {
        if (at->second.valid && !at->second.dirty && !file_.same_on_disk(at->first, memory(at->first, at->second))) {
            set_dirty(at->second, true);
            at->second.by_view = true;
            changed = true;
        }
    }
    if (changed) {
        schedule_mapped();
    }
}

void Cache::move_to_region() {
    const uint64_t pages = region_->bytes() / PAGE;
    for (auto &[index, entry] : pages_) {
        if (index < pages && entry.heap) {
            memcpy(region_->data() + index * PAGE, entry.heap.get(), PAGE);
            entry.heap.reset();
        }
    }
    region_pages_ = pages;
}

void Cache::move_to_heap() {
    for (auto &[index, entry] : pages_) {
        if (index < region_pages_ && entry.valid) {
            entry.heap = std::make_unique<uint8_t[]>(PAGE);
            memcpy(entry.heap.get(), region_->data() + index * PAGE, PAGE);
        }
    }
    region_pages_ = 0;
    region_.reset();
}

} // namespace fltsim::io
