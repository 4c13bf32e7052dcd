// SPDX-License-Identifier: MIT
//
// This module provides: the system threads of the I/O manager: the lazy writer and the one that sends late IRP_MJ_CLOSEs.
//
// The lazy writer writes what has been dirty for a second, as paging I/O with the cache manager's TopLevelIrp [SEQ-07, POST-15], then tells the file
// system how far the data on disk goes.

#include "io/cache.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::io {

namespace {
constexpr uint64_t LAZY_WRITE_DELAY_100NS = 10'000'000;
constexpr uint64_t WHOLE_FILE = UINT64_MAX;
} // namespace

void IoManager::Impl::start_daemons() {
    constexpr bool DAEMON = true;
    world.spawn("lazy writer", world.system_process(), [this] { lazy_writer(); }, DAEMON);
    world.spawn("mapped page writer", world.system_process(), [this] { mapped_page_writer(); }, DAEMON);
    for (const char *name : {"cache worker 0", "cache worker 1"}) {
        world.spawn(name, world.system_process(), [this] { cache_worker(); }, DAEMON);
    }
    world.spawn("file closer", world.system_process(), [this] { close_worker(); }, DAEMON);
}

void IoManager::Impl::write_later(const std::shared_ptr<Cache> &cache) {
    if (dirty.emplace(cache, world.interrupt_time_100ns() + LAZY_WRITE_DELAY_100NS).second) {
        world.wake(&lazy_channel);
    }
}

void IoManager::Impl::close_worker() {
    const KernelCall call("file closer", PASSIVE_LEVEL);
    while (!world.ending()) {
        world.block(&close_channel, [this] { return !closes.empty() || world.ending(); });
        while (!closes.empty() && !world.ending()) {
            const std::shared_ptr<FileObject> file = std::move(closes.front());
            closes.pop_front();
            send_close(file);
        }
    }
}

void IoManager::Impl::lazy_writer() {
    const KernelCall call("lazy writer", PASSIVE_LEVEL);
    while (!world.ending()) {
        if (dirty.empty()) {
            world.block(&lazy_channel, [this] { return !dirty.empty() || world.ending(); });
            continue;
        }
        const auto first = std::min_element(dirty.begin(), dirty.end(),
                                            [](const auto &a, const auto &b) { return a.second < b.second; });
        if (first->second > world.interrupt_time_100ns()) {
            // Nothing that comes later is due earlier.
            world.block(&lazy_channel, [this] { return world.ending(); }, first->second);
            continue;
        }
        const std::shared_ptr<Cache> cache = first->first;
        dirty.erase(first);
        const std::shared_ptr<FileObject> file = cache->any_file();
        if (!file) {
            continue;
        }
        const TopLevelScope top_level(top_level_value(FSRTL_CACHE_TOP_LEVEL_IRP));
        const NTSTATUS status = cache->write_dirty(*file, 0, WHOLE_FILE, false);
        if (!NT_SUCCESS(status)) {
            world.note("lazy writer: " + file->describe() + " could not be written; it is tried again");
            if (cache->lazily_dirty()) {
                write_later(cache);
            }
            continue;
        }
        if (cache->take_extended()) {
            const auto operation =
                irp(IRP_MJ_SET_INFORMATION, *file, KernelMode, IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO);
            FILE_END_OF_FILE_INFORMATION end{};
            end.EndOfFile.QuadPart = static_cast<int64_t>(cache->end_of_file());
            operation->system_buffer.resize(sizeof end);
            memcpy(operation->system_buffer.data(), &end, sizeof end);
            auto &parameters = operation->parameters.SetFileInformation;
            parameters.Length = sizeof end;
            parameters.FileInformationClass = FileEndOfFileInformation;
            parameters.AdvanceOnly = TRUE;
            parameters.InfoBuffer = operation->system_buffer.data();
            send_and_wait(operation);
        }
        if (cache->lazily_dirty()) {
            write_later(cache);
        }
        cache->release_backing();
    }
}

} // namespace fltsim::io
