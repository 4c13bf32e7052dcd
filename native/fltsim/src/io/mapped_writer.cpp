// SPDX-License-Identifier: MIT
//
// This module provides: the mapped page writer, read-ahead, and the workers of the cache manager.
//
//      mapped page writer [SEQ-12], for each run of pages that views have changed:
//          ACQUIRE_FOR_MOD_WRITE(S) -> asynchronous paging WRITE, TopLevelIrp 3 -> completes in the storage's DPC -> RELEASE_FOR_MOD_WRITE(S)
//      read-ahead [SEQ-03]: paging READs on a worker, TopLevelIrp 2, behind a cached read that begins where the one before ended
//
// A host does not tell what views change: the mapped page writer looks when a view or section goes, when it is asked to (write_mapped_pages_now), and
// then a second later writes what it has found.

#include <algorithm>

#include "io/cache.hpp"
#include "io/section.hpp"

namespace fltsim::io {

namespace {

constexpr uint64_t MAPPED_WRITE_DELAY_100NS = 10'000'000;
constexpr uint64_t READ_AHEAD_BYTES = 64 * 1024;

} // namespace

bool Cache::has(uint64_t offset, uint64_t length) const {
    const uint64_t end = std::min(pages_of(offset + length), pages_of(file_.end_of_file()));
    for (uint64_t index = offset / PAGE; index < end; ++index) {
        if (missing(index)) {
            return false;
        }
    }
    return true;
}

bool Cache::lazily_dirty() const {
    return std::ranges::any_of(pages_, [](const auto &entry) { return entry.second.dirty && !entry.second.by_view; });
}

void Cache::read_ahead(FileObject &file, uint64_t offset, uint64_t length) {
    const bool follows = offset != 0 && offset == static_cast<uint64_t>(file.sequential_end);
    const bool sequential = follows || (file.native.Flags & FO_SEQUENTIAL_ONLY) != 0;
    file.sequential_end = static_cast<int64_t>(offset + length);
    const uint64_t start = pages_of(offset + length) * PAGE;
    if (!sequential || (file.native.Flags & FO_RANDOM_ACCESS) != 0 || reading_ahead_ || start >= end_of_file() ||
        has(start, std::min(READ_AHEAD_BYTES, end_of_file() - start))) {
        return;
    }
    const auto link = link_.lock();
    reading_ahead_ = true;
    file.reference();
    link->manager->queue_cache_work([self = shared_from_this(), keep = file.shared_from_this(), start] {
        const TopLevelScope top_level(top_level_value(FSRTL_CACHE_TOP_LEVEL_IRP));
        if (start < self->end_of_file()) {
            // A page that cannot be read ahead is read, and its error seen, when it is needed.
            (void)self->page_in(*keep, start, std::min(READ_AHEAD_BYTES, self->end_of_file() - start));
        }
        self->reading_ahead_ = false;
        keep->dereference();
    });
}

NTSTATUS Cache::write_mapped_run(FileObject &file, uint64_t first, uint64_t count) {
    const auto link = link_.lock();
    IoManager::Impl &manager = *link->manager;
    const auto acquire = manager.inline_operation(Form::FsFilter, IRP_MJ_ACQUIRE_FOR_MOD_WRITE, file, KernelMode);
    LARGE_INTEGER ending{};
    ending.QuadPart = static_cast<int64_t>((first + count) * PAGE);
    PERESOURCE resource = nullptr;
    acquire->parameters.AcquireForModifiedPageWriter.EndingOffset = &ending;
    acquire->parameters.AcquireForModifiedPageWriter.ResourceToRelease = &resource;
    if (manager.world.flt->call_inline(acquire) && NT_ERROR(acquire->io_status.Status)) {
        return acquire->io_status.Status; // written later
    }
    std::vector<uint8_t> bounce(count * PAGE);
    take_run(first, count, bounce.data());
    std::shared_ptr<Request> request;
    {
        const TopLevelScope top_level(top_level_value(FSRTL_MOD_WRITE_TOP_LEVEL_IRP));
        request =
            manager.paging_write_asynchronous(file, first * PAGE, bounce.data(), static_cast<uint32_t>(bounce.size()));
    }
    if (!request->completed) {
        manager.wait(*request);
    }
    const NTSTATUS status = request->completed ? request->operation->io_status.Status : STATUS_CANCELLED;
    end_run(first, count, status, true);
    manager.fs_filter(IRP_MJ_RELEASE_FOR_MOD_WRITE, file);
    return status;
}

NTSTATUS Cache::write_mapped(FileObject &file) {
    const auto keep = shared_from_this();
    const std::shared_ptr<FileObject> target = backing(file);
    for (auto at = pages_.begin(); at != pages_.end();) {
        if (!at->second.dirty || !at->second.by_view) {
            ++at;
            continue;
        }
        const uint64_t first = at->first;
        uint64_t count = 0;
        while (count < MAX_TRANSFER_PAGES && at != pages_.end() && at->first == first + count && at->second.dirty &&
               at->second.by_view) {
            ++count;
            ++at;
        }
        const NTSTATUS status = write_mapped_run(*target, first, count);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        at = pages_.lower_bound(first + count); // others may have changed the map meanwhile
    }
    return STATUS_SUCCESS;
}

void IoManager::write_mapped_pages_now() {
    for (const auto &known : impl_->caches) {
        if (const auto cache = known.lock()) {
            cache->collect_mapped_changes();
        }
    }
    for (auto &[cache, due] : impl_->mapped) {
        due = 0;
    }
    impl_->world.wake(&impl_->mapped_channel);
}

void IoManager::Impl::write_mapped_later(const std::shared_ptr<Cache> &cache) {
    if (mapped.emplace(cache, world.interrupt_time_100ns() + MAPPED_WRITE_DELAY_100NS).second) {
        world.wake(&mapped_channel);
    }
}

void IoManager::Impl::mapped_page_writer() {
    const KernelCall call("mapped page writer", PASSIVE_LEVEL);
    while (!world.ending()) {
        if (mapped.empty()) {
            world.block(&mapped_channel, [this] { return !mapped.empty() || world.ending(); });
            continue;
        }
        const auto first = std::ranges::min_element(mapped, {}, [](const auto &entry) { return entry.second; });
        const uint64_t due = first->second;
        if (due > world.interrupt_time_100ns()) {
            // write_mapped_pages_now() makes one due earlier.
            world.block(
                &mapped_channel,
                [this] {
                    return world.ending() ||
                           std::ranges::any_of(mapped, [](const auto &entry) { return entry.second == 0; });
                },
                due);
            continue;
        }
        const std::shared_ptr<Cache> cache = first->first;
        mapped.erase(first);
        const std::shared_ptr<FileObject> file = cache->any_file();
        if (!file) {
            continue;
        }
        if (!NT_SUCCESS(cache->write_mapped(*file))) {
            world.note("mapped page writer: " + file->describe() + " could not be written; it is tried again");
            write_mapped_later(cache);
            continue;
        }
        cache->release_backing();
    }
}

void IoManager::Impl::queue_cache_work(std::function<void()> job) {
    cache_jobs.push_back(std::move(job));
    world.wake(&cache_job_channel);
}

void IoManager::Impl::cache_worker() {
    const KernelCall call("cache worker", PASSIVE_LEVEL);
    while (!world.ending()) {
        world.block(&cache_job_channel, [this] { return !cache_jobs.empty() || world.ending(); });
        if (cache_jobs.empty()) {
            continue;
        }
        const std::function<void()> job = std::move(cache_jobs.front());
        cache_jobs.pop_front();
        job();
    }
}

} // namespace fltsim::io
