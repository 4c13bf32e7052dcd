// SPDX-License-Identifier: MIT
//
// This module provides: HandleTable (handles.hpp). Indices are reused as late as possible, so that a handle used after its close is found
// out and does not name something else.

#include "core/handles.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>

namespace fltsim {

namespace {

constexpr unsigned INDEX_SHIFT = 2;
constexpr unsigned WORLD_SHIFT = 24;
constexpr size_t MAX_INDEX = (size_t{1} << (WORLD_SHIFT - INDEX_SHIFT)) - 1;
constexpr size_t REUSE_AFTER = 4096; ///< free indices that wait before the oldest is used again

struct Entry {
    std::shared_ptr<Object> object;
    bool kernel = false;
    Process *owner = nullptr; ///< null: the kernel's
};

} // namespace

struct HandleTable::Impl {
    World *world = nullptr;
    mutable std::mutex mutex; ///< find() is called by host threads too
    std::vector<Entry> entries{1}; ///< index 0 is no handle
    std::deque<size_t> free;
    std::unordered_map<const Object *, size_t> handles_of;

    size_t index_of(HANDLE handle) const {
        const auto value = reinterpret_cast<uintptr_t>(handle);
        const size_t index = (value & ((uintptr_t{1} << WORLD_SHIFT) - 1)) >> INDEX_SHIFT;
        const bool ours = world_of(handle) == world->number && (value & 3) == 0;
        return ours && index < entries.size() && entries[index].object ? index : 0;
    }
    /// Empty when the handle was not open.
    bool process_has_another(const Entry &entry) const {
        return std::ranges::any_of(
            entries, [&](const Entry &other) { return other.object == entry.object && other.owner == entry.owner; });
    }
    Entry take(HANDLE handle, bool *last, bool *last_of_process) {
        const std::lock_guard guard(mutex);
        const size_t index = index_of(handle);
        if (index == 0) {
            return {};
        }
        Entry entry = std::move(entries[index]);
        entries[index] = {};
        free.push_back(index);
        const auto count = handles_of.find(entry.object.get());
        *last = --count->second == 0;
        if (*last) {
            handles_of.erase(count);
        }
        *last_of_process = entry.owner != nullptr && (*last || !process_has_another(entry));
        return entry;
    }
};

HandleTable::HandleTable(World &world) : impl_(std::make_unique<Impl>()) {
    impl_->world = &world;
}

HandleTable::~HandleTable() = default;

HANDLE HandleTable::insert(std::shared_ptr<Object> object, bool kernel, Process *owner) {
    Thread *caller = owner == nullptr && !kernel && world_or_null() != nullptr ? &current_thread() : nullptr;
    const std::lock_guard guard(impl_->mutex);
    size_t index = impl_->entries.size();
    if (impl_->free.size() > REUSE_AFTER || index > MAX_INDEX) {
        if (impl_->free.empty()) {
            bugcheck("RESOURCES", "handle table", "more than 4 million handles are open");
        }
        index = impl_->free.front();
        impl_->free.pop_front();
    } else {
        impl_->entries.emplace_back();
    }
    ++impl_->handles_of[object.get()];
    impl_->entries[index] = Entry{std::move(object), kernel, caller != nullptr ? caller->process : owner};
    return reinterpret_cast<HANDLE>((static_cast<uintptr_t>(impl_->world->number) << WORLD_SHIFT) |
                                    (index << INDEX_SHIFT));
}

std::shared_ptr<Object> HandleTable::find(HANDLE handle) const {
    const std::lock_guard guard(impl_->mutex);
    const size_t index = impl_->index_of(handle);
    return index == 0 ? nullptr : impl_->entries[index].object;
}

bool HandleTable::is_kernel(HANDLE handle) const {
    const std::lock_guard guard(impl_->mutex);
    return impl_->entries[impl_->index_of(handle)].kernel;
}

bool HandleTable::close(HANDLE handle) {
    bool last = false;
    bool last_of_process = false;
    const Entry entry = impl_->take(handle, &last, &last_of_process);
    if (!entry.object) {
        return false;
    }
    if (last_of_process) {
        entry.object->last_handle_of_process_closed(*entry.owner);
    }
    if (last) {
        entry.object->last_handle_closed();
    }
    return true;
}

void HandleTable::close_where(const std::function<bool(const void *)> &matches) {
    for (size_t index = 1;; ++index) {
        HANDLE handle = nullptr;
        {
            const std::lock_guard guard(impl_->mutex);
            if (index >= impl_->entries.size()) {
                return;
            }
            if (!impl_->entries[index].object || !matches(&impl_->entries[index])) {
                continue;
            }
            handle = reinterpret_cast<HANDLE>((static_cast<uintptr_t>(impl_->world->number) << WORLD_SHIFT) |
                                              (index << INDEX_SHIFT));
        }
        close(handle);
    }
}

void HandleTable::close_all_user() {
    close_where([](const void *entry) { return !static_cast<const Entry *>(entry)->kernel; });
}

void HandleTable::close_all_of(Process &process) {
    close_where([&](const void *entry) { return static_cast<const Entry *>(entry)->owner == &process; });
}

void HandleTable::forget_all() {
    std::vector<Entry> dropped(1);
    const std::lock_guard guard(impl_->mutex);
    impl_->entries.swap(dropped);
    impl_->free.clear();
    impl_->handles_of.clear();
}

std::vector<std::string> HandleTable::describe_open(bool kernel) const {
    const std::lock_guard guard(impl_->mutex);
    std::vector<std::string> lines;
    for (const Entry &entry : impl_->entries) {
        if (entry.object && entry.kernel == kernel) {
            lines.push_back(entry.object->describe());
        }
    }
    return lines;
}

uint32_t HandleTable::world_of(HANDLE handle) {
    const auto value = reinterpret_cast<uintptr_t>(handle);
    return value > 0x7FFFFFFFu ? 0 : static_cast<uint32_t>(value >> WORLD_SHIFT);
}

} // namespace fltsim
