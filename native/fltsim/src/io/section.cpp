// SPDX-License-Identifier: MIT
//
// This module provides: mapped files [SEQ-10, SEQ-11].
//
// A host cannot tell the model about page faults: all pages of a view are read, as paging I/O in the mapping thread, when the view is made, and what was
// written through it is found by comparing with the disk, at the latest when the view goes.

#include "io/section.hpp"

#include "fs/memfs.hpp"
#include "io/image_section.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::io {

namespace {

constexpr ULONG PAGE_READ_ONLY = 0x02;
constexpr ULONG PAGE_READ_WRITE = 0x04;

} // namespace

Section::Section(std::shared_ptr<FileObject> of_file, std::shared_ptr<Cache> of_cache, uint64_t bytes, bool may_write)
    : file(std::move(of_file)), cache(std::move(of_cache)), size(bytes), writable(may_write) {
    file->reference();
}

Section::~Section() {
    cache->remove_section(writable);
    file->dereference();
}

NTSTATUS acquire_for_section(IoManager::Impl &impl, FileObject &file, ULONG protection) {
    const auto acquire =
        impl.inline_operation(Form::FsFilter, IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION, file, KernelMode);
    acquire->parameters.AcquireForSectionSynchronization.SyncType = SyncTypeCreateSection;
    acquire->parameters.AcquireForSectionSynchronization.PageProtection = protection;
    return impl.world.flt->call_inline(acquire) ? acquire->io_status.Status : STATUS_SUCCESS;
}

NTSTATUS file_size(IoManager::Impl &impl, FileObject &file, uint64_t *size) {
    FILE_STANDARD_INFORMATION standard{};
    const auto fill = [&](Operation &operation) {
        operation.system_buffer.resize(sizeof standard);
        auto &parameters = operation.parameters.QueryFileInformation;
        parameters.Length = sizeof standard;
        parameters.FileInformationClass = FileStandardInformation;
        parameters.InfoBuffer = operation.system_buffer.data();
    };
    auto operation = impl.inline_operation(Form::FastIo, IRP_MJ_QUERY_INFORMATION, file, KernelMode);
    fill(*operation);
    NTSTATUS status;
    if (impl.world.flt->call_inline(operation)) {
        status = operation->io_status.Status;
    } else {
        operation = impl.irp(IRP_MJ_QUERY_INFORMATION, file, KernelMode, IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO);
        fill(*operation);
        status = impl.send_and_wait(operation);
    }
    if (NT_SUCCESS(status)) {
        memcpy(&standard, operation->system_buffer.data(), sizeof standard);
        *size = static_cast<uint64_t>(standard.EndOfFile.QuadPart);
    }
    return status;
}

namespace {

/// FsRtlSetFileSize: a section longer than the file makes the file longer.
NTSTATUS extend(IoManager::Impl &impl, FileObject &file, uint64_t size) {
    const auto operation =
        impl.irp(IRP_MJ_SET_INFORMATION, file, KernelMode, IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO);
    FILE_END_OF_FILE_INFORMATION end{};
    end.EndOfFile.QuadPart = static_cast<int64_t>(size);
    operation->system_buffer.resize(sizeof end);
    memcpy(operation->system_buffer.data(), &end, sizeof end);
    auto &parameters = operation->parameters.SetFileInformation;
    parameters.Length = sizeof end;
    parameters.FileInformationClass = FileEndOfFileInformation;
    parameters.InfoBuffer = operation->system_buffer.data();
    return impl.send_and_wait(operation);
}

NTSTATUS prepare_size(IoManager::Impl &impl, FileObject &file, uint64_t *size, bool writable) {
    uint64_t end = 0;
    NTSTATUS status = file_size(impl, file, &end);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (*size == 0) {
        *size = end;
    }
    if (*size == 0) {
        return STATUS_MAPPED_FILE_SIZE_ZERO;
    }
    if (*size > end) {
        return writable ? extend(impl, file, *size) : STATUS_SECTION_TOO_BIG;
    }
    return STATUS_SUCCESS;
}

} // namespace

NTSTATUS IoManager::map(FileObject &file, uint64_t size, bool writable, std::shared_ptr<Object> *section) {
    Impl &impl = *impl_;
    if (!has_access(file, FILE_READ_DATA) || (writable && !has_access(file, FILE_WRITE_DATA))) {
        return STATUS_ACCESS_DENIED;
    }
    const std::shared_ptr<Cache> cache = fs::MemFileSystem::cache_of(file);
    if (!cache) {
        return STATUS_INVALID_FILE_FOR_SECTION;
    }
    const NTSTATUS acquired = acquire_for_section(impl, file, writable ? PAGE_READ_WRITE : PAGE_READ_ONLY);
    if (NT_ERROR(acquired)) {
        return acquired;
    }
    NTSTATUS status = prepare_size(impl, file, &size, writable);
    if (NT_SUCCESS(status)) {
        if (cache->add_section(file, size, writable)) {
            *section = std::make_shared<Section>(file.shared_from_this(), cache, size, writable);
        } else {
            status = STATUS_SECTION_TOO_BIG;
        }
    }
    impl.fs_filter(IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION, file);
    return status;
}

NTSTATUS IoManager::map_view(Object &section, uint64_t offset, uint64_t length, void **base) {
    constexpr uint64_t ALLOCATION_GRANULARITY = 64 * 1024;
    if (auto *image = dynamic_cast<ImageSection *>(&section)) {
        return map_view_of_image(*impl_, image->shared_from_this(), offset, length, base);
    }
    auto *mapped = dynamic_cast<Section *>(&section);
    if (mapped == nullptr) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (offset % ALLOCATION_GRANULARITY != 0) {
        return STATUS_MAPPED_ALIGNMENT;
    }
    if (offset >= mapped->size || length > mapped->size - offset) {
        return STATUS_INVALID_VIEW_SIZE;
    }
    if (length == 0) {
        length = mapped->size - offset;
    }
    const std::shared_ptr<Section> keep = mapped->shared_from_this();
    const NTSTATUS status = mapped->cache->page_in(*mapped->file, offset, length);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    *base = mapped->cache->address(offset);
    MappedView view;
    view.section = keep;
    view.offset = offset;
    view.length = length;
    view.process = executing().process;
    impl_->views.emplace(reinterpret_cast<uintptr_t>(*base), std::move(view));
    return STATUS_SUCCESS;
}

NTSTATUS IoManager::flush_view(void *base, uint64_t length) {
    const auto address = reinterpret_cast<uintptr_t>(base);
    for (const auto &[start, view] : impl_->views) {
        if (address < start || address >= start + view.length) {
            continue;
        }
        const std::shared_ptr<Section> section = view.section;
        if (!section) {
            return STATUS_NOT_MAPPED_DATA; // an image
        }
        const uint64_t in_view = address - start;
        const uint64_t bytes = length == 0 ? view.length - in_view : length;
        if (bytes > view.length - in_view) {
            return STATUS_NOT_MAPPED_DATA;
        }
        // What another route of a flush was seen with [POST-15].
        const TopLevelScope top_level(top_level_value(FSRTL_MOD_WRITE_TOP_LEVEL_IRP));
        return section->cache->flush(*section->file, view.offset + in_view, bytes);
    }
    return STATUS_NOT_MAPPED_VIEW;
}

void IoManager::unmap_views_of(const Process &process) {
    for (;;) {
        const auto found =
            std::ranges::find_if(impl_->views, [&](const auto &entry) { return entry.second.process == &process; });
        if (found == impl_->views.end()) {
            return;
        }
        const MappedView view = std::move(found->second);
        impl_->views.erase(found);
        if (view.section) {
            view.section->cache->collect_mapped_changes();
        }
    }
}

NTSTATUS IoManager::unmap_view(void *base) {
    const auto [first, last] = impl_->views.equal_range(reinterpret_cast<uintptr_t>(base));
    if (first == last) {
        return STATUS_NOT_MAPPED_VIEW;
    }
    // Views of one file share an address here, so which of them is meant cannot be told: one that may be written through stays longest.
    const auto read_only = std::find_if(
        first, last, [](const auto &entry) { return !entry.second.section || !entry.second.section->writable; });
    const auto found = read_only == last ? first : read_only;
    const MappedView view = std::move(found->second);
    impl_->views.erase(found);
    if (view.section) {
        view.section->cache->collect_mapped_changes(); // the mapped page writer writes them
    }
    return STATUS_SUCCESS;
}

} // namespace fltsim::io
