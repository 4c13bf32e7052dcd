// SPDX-License-Identifier: MIT
//
// This module provides: CreateFileMappingW, MapViewOfFile, FlushViewOfFile and UnmapViewOfFile, for data
// and images of files. What else a section can be stops the world as UNMODELLED.
//
// A view's address has no handle, so which world it belongs to is kept here.

#include <map>
#include <mutex>
#include <optional>

#include "user/file_call.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// A section handle: the section lives on below its views when the handle is closed.
class SectionHandle final : public Object {
  public:
    SectionHandle(std::shared_ptr<Object> section, DWORD map_access)
        : section_(std::move(section)), map_access_(map_access) {}
    const char *type_name() const override { return "section"; }
    void last_handle_closed() override {
        section_->last_handle_closed();
        section_.reset();
    }
    Object &section() const { return *section_; }
    /// FILE_MAP_* that views may have.
    DWORD map_access() const { return map_access_; }

  private:
    std::shared_ptr<Object> section_;
    const DWORD map_access_;
};

/// Views of one file may share an address: pages are where they are.
class Views {
  public:
    void add(void *base, const std::shared_ptr<World> &world) {
        const std::lock_guard guard(mutex_);
        Entry &entry = entries_[address(base)];
        if (entry.world.lock() != world) {
            entry = {world, 0}; // whatever was there belonged to a world that is gone
        }
        ++entry.count;
    }
    void remove(const void *base) {
        const std::lock_guard guard(mutex_);
        const auto entry = entries_.find(address(base));
        if (entry != entries_.end() && --entry->second.count == 0) {
            entries_.erase(entry);
        }
    }
    /// The world of the view that `inside` may point into; null when there is none or its world is gone.
    std::shared_ptr<World> world_of(const void *inside) const {
        const std::lock_guard guard(mutex_);
        const auto after = entries_.upper_bound(address(inside));
        return after == entries_.begin() ? nullptr : std::prev(after)->second.world.lock();
    }

  private:
    struct Entry {
        std::weak_ptr<World> world;
        uint32_t count = 0;
    };
    static uintptr_t address(const void *pointer) { return reinterpret_cast<uintptr_t>(pointer); }
    mutable std::mutex mutex_;
    std::map<uintptr_t, Entry> entries_;
};

Views &views() {
    static Views &all = *new Views; // never destroyed: a thread may still be in a call when the process exits
    return all;
}

template <class T> T fail_with(DWORD error) {
    set_error(error);
    return nullptr;
}

/// What of a section the model does not have; null: nothing of it.
const char *not_modelled(HANDLE file, DWORD protect, LPCWSTR name) {
    constexpr DWORD EXECUTABLE = PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
    constexpr DWORD WRITABLE = PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
    if (name != nullptr) {
        return "a section with a name";
    }
    if (file == INVALID_HANDLE_VALUE) {
        return "a section of the paging file";
    }
    if ((protect & SEC_IMAGE) != 0) {
        return (protect & WRITABLE) != 0 ? "an image section that is written or copied" : nullptr;
    }
    if ((protect & SEC_RESERVE) != 0) {
        return "a section that only reserves";
    }
    if ((protect & EXECUTABLE) != 0) {
        return "an executable section";
    }
    return protect == PAGE_WRITECOPY ? "a copy-on-write section" : nullptr;
}

/// What a section's protection asks of the handle, and lets views have.
struct Rights {
    ACCESS_MASK file = 0;
    DWORD map = 0;
};

std::optional<Rights> rights_of(DWORD protection, bool image) {
    switch (protection) {
    case PAGE_READONLY:
        return Rights{FILE_READ_DATA, FILE_MAP_READ};
    case PAGE_READWRITE:
        return image ? std::nullopt
                     : std::optional(Rights{FILE_READ_DATA | FILE_WRITE_DATA, FILE_MAP_READ | FILE_MAP_WRITE});
    case PAGE_EXECUTE_READ:
        return image ? std::optional(Rights{FILE_READ_DATA | FILE_EXECUTE, FILE_MAP_READ | FILE_MAP_EXECUTE})
                     : std::nullopt;
    default:
        return std::nullopt;
    }
}

} // namespace

FLTSIM_USER HANDLE CreateFileMappingW(HANDLE hFile, LPSECURITY_ATTRIBUTES lpFileMappingAttributes, DWORD flProtect,
                                      DWORD dwMaximumSizeHigh, DWORD dwMaximumSizeLow, LPCWSTR lpName) {
    if (const char *const what = not_modelled(hFile, flProtect, lpName); what != nullptr) {
        const auto world = hFile == INVALID_HANDLE_VALUE ? world_for_names() : world_for_handle(hFile);
        if (world) {
            enter(world, "NtCreateSection", [&](World &) { unmodelled("CreateFileMappingW", what); });
        }
        return nullptr;
    }
    const bool image = (flProtect & SEC_IMAGE) != 0;
    const DWORD protection = flProtect & ~(image ? SEC_IMAGE : SEC_COMMIT); // committed by default
    const auto rights = rights_of(protection, image);
    if (!rights) {
        return fail_with<HANDLE>(ERROR_INVALID_PARAMETER);
    }
    const uint64_t size = static_cast<uint64_t>(dwMaximumSizeHigh) << 32 | dwMaximumSizeLow;
    NTSTATUS status = STATUS_SUCCESS;
    HANDLE handle = nullptr;
    const bool entered = file_call(
        hFile, "NtCreateSection", &status, [&](World &w, const std::shared_ptr<io::FileObject> &file) -> NTSTATUS {
            if ((file->granted_access & rights->file) != rights->file) {
                return STATUS_ACCESS_DENIED;
            }
            std::shared_ptr<Object> section;
            const NTSTATUS mapped = image ? w.io->map_image(*file, size, protection, &section)
                                          : w.io->map(*file, size, protection == PAGE_READWRITE, &section);
            if (NT_SUCCESS(mapped)) {
                handle = w.handles->insert(std::make_shared<SectionHandle>(std::move(section), rights->map));
            }
            return mapped;
        });
    if (!entered || result(status) == FALSE) {
        return nullptr;
    }
    set_error(ERROR_SUCCESS);
    return handle;
}

/// The view is readable, and writable when asked for; one of an image is its mapper's alone, and always both.
FLTSIM_USER LPVOID MapViewOfFile(HANDLE hFileMappingObject, DWORD dwDesiredAccess, DWORD dwFileOffsetHigh,
                                 DWORD dwFileOffsetLow, SIZE_T dwNumberOfBytesToMap) {
    constexpr uint64_t allocation_granularity = 0x10000;
    const uint64_t offset = static_cast<uint64_t>(dwFileOffsetHigh) << 32 | dwFileOffsetLow;
    if ((dwDesiredAccess & (FILE_MAP_READ | FILE_MAP_WRITE)) == 0 ||
        (dwDesiredAccess & ~(FILE_MAP_READ | FILE_MAP_WRITE | FILE_MAP_EXECUTE)) != 0) {
        return fail_with<LPVOID>(dwDesiredAccess == 0 ? ERROR_INVALID_PARAMETER : ERROR_NOT_SUPPORTED);
    }
    if (offset % allocation_granularity != 0) {
        return fail_with<LPVOID>(ERROR_MAPPED_ALIGNMENT);
    }
    const auto world = world_for_handle(hFileMappingObject);
    if (!world) {
        return nullptr;
    }
    NTSTATUS status = STATUS_SUCCESS;
    void *base = nullptr;
    const bool entered = enter(world, "NtMapViewOfSection", [&](World &w) {
        const auto section = w.handles->find_as<SectionHandle>(hFileMappingObject);
        if (!section) {
            status = w.handles->find(hFileMappingObject) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        } else if ((dwDesiredAccess & ~section->map_access()) != 0) {
            status = STATUS_ACCESS_DENIED;
        } else {
            status = w.io->map_view(section->section(), offset, dwNumberOfBytesToMap, &base);
        }
    });
    if (!entered || result(status) == FALSE) {
        return nullptr;
    }
    views().add(base, world);
    return base;
}

/// Writes the dirty pages of the range as paging I/O; 0 bytes: to the end of the view.
FLTSIM_USER BOOL FlushViewOfFile(LPCVOID lpBaseAddress, SIZE_T dwNumberOfBytesToFlush) {
    const auto world = views().world_of(lpBaseAddress);
    if (!world) {
        return result(STATUS_NOT_MAPPED_VIEW);
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtFlushVirtualMemory", [&](World &w) {
        status = w.io->flush_view(const_cast<void *>(lpBaseAddress), dwNumberOfBytesToFlush);
    });
    return entered ? result(status) : FALSE;
}

FLTSIM_USER BOOL UnmapViewOfFile(LPCVOID lpBaseAddress) {
    const auto world = views().world_of(lpBaseAddress);
    if (!world) {
        return result(STATUS_NOT_MAPPED_VIEW);
    }
    // Forgotten first: as soon as it is unmapped another thread may get the same address.
    views().remove(lpBaseAddress);
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, "NtUnmapViewOfSection",
                               [&](World &w) { status = w.io->unmap_view(const_cast<void *>(lpBaseAddress)); });
    return entered ? result(status) : FALSE;
}
