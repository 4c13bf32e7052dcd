// SPDX-License-Identifier: MIT
//
// This module provides: directory change notification [SEQ-17].
//
//      first request of an open: filter, tree and buffer size are remembered until the open's cleanup (the watch)
//      a change that fits: kept by the watch; a waiting request gets all that is kept and completes, in the thread that changed
//      more than the buffer holds: STATUS_NOTIFY_ENUM_DIR, nothing else
//
// Data that only the cache has is no change yet: sizes and write times are reported when the lazy writer has told the size, and at the cleanup of a
// handle that wrote. The old name of a rename waits for the new one.

#include "fs/memfs.hpp"
#include "fs/waits.hpp"

#include <algorithm>
#include <cstring>

#include "ke/mdl.hpp"

namespace fltsim::fs {

namespace {

/// FILE_NOTIFY_INFORMATION without the name.
struct NotifyHeader {
    uint32_t next_entry_offset;
    uint32_t action;
    uint32_t name_bytes;
};
constexpr size_t NOTIFY_ENTRY_ALIGNMENT = 4;

size_t entry_bytes(const WatchEvent &event) {
    const size_t bytes = sizeof(NotifyHeader) + event.name.size() * sizeof(char16_t);
    return (bytes + NOTIFY_ENTRY_ALIGNMENT - 1) / NOTIFY_ENTRY_ALIGNMENT * NOTIFY_ENTRY_ALIGNMENT;
}

size_t total_bytes(const std::vector<WatchEvent> &events) {
    size_t bytes = 0;
    for (const WatchEvent &event : events) {
        bytes += entry_bytes(event);
    }
    return bytes;
}

/// What the watch has kept goes to this request. Its status.
NTSTATUS deliver(Watch &watch, io::Operation &operation) {
    const auto &parameters = operation.parameters.DirectoryControl.NotifyDirectory;
    const bool too_much = watch.overflow || total_bytes(watch.events) > parameters.Length;
    const std::vector<WatchEvent> events = std::move(watch.events);
    watch.events.clear();
    watch.overflow = false;
    operation.io_status.Information = 0;
    if (too_much) {
        return STATUS_NOTIFY_ENUM_DIR;
    }
    auto *at = static_cast<uint8_t *>(ke::data_memory("IRP_MN_NOTIFY_CHANGE_DIRECTORY", parameters.MdlAddress,
                                                      parameters.DirectoryBuffer, parameters.Length));
    for (size_t i = 0; i < events.size(); ++i) {
        const size_t bytes = entry_bytes(events[i]);
        const size_t name_bytes = events[i].name.size() * sizeof(char16_t);
        const NotifyHeader header{i + 1 < events.size() ? static_cast<uint32_t>(bytes) : 0, events[i].action,
                                  static_cast<uint32_t>(name_bytes)};
        memset(at, 0, bytes);
        memcpy(at, &header, sizeof header);
        memcpy(at + sizeof header, events[i].name.data(), name_bytes);
        at += bytes;
        operation.io_status.Information += i + 1 < events.size() ? bytes : sizeof header + name_bytes;
    }
    return STATUS_SUCCESS;
}

/// The path from `top` to `directory`, with a backslash at its end; nothing when it does not lie there.
std::optional<std::u16string> path_from(const Node *top, const Node *directory) {
    std::u16string path;
    for (const Node *at = directory; at != nullptr; at = at->links.empty() ? nullptr : at->links[0]->parent) {
        if (at == top) {
            return path;
        }
        if (!at->links.empty()) {
            path.insert(0, at->links[0]->name + u"\\");
        }
    }
    return std::nullopt;
}

void keep(Watch &watch, ULONG action, std::u16string name) {
    if (watch.overflow) {
        return;
    }
    watch.events.push_back({action, std::move(name)});
    if (total_bytes(watch.events) > watch.buffer_bytes) {
        watch.events.clear();
        watch.overflow = true;
    }
}

/// What a FILE_BASIC_INFORMATION changes, as a filter of FILE_NOTIFY_CHANGE_*.
ULONG basic_changes(const io::Operation &operation) {
    FILE_BASIC_INFORMATION basic;
    memcpy(&basic, operation.parameters.SetFileInformation.InfoBuffer, sizeof basic);
    return (basic.FileAttributes != 0 ? CHANGE_ATTRIBUTES : 0) |
           (basic.CreationTime.QuadPart > 0 ? CHANGE_CREATION : 0) |
           (basic.LastAccessTime.QuadPart > 0 ? CHANGE_LAST_ACCESS : 0) |
           (basic.LastWriteTime.QuadPart > 0 ? CHANGE_LAST_WRITE : 0);
}

} // namespace

NTSTATUS MemFileSystem::notify_directory(const OperationPointer &operation) {
    const auto file = operation->file;
    const auto directory = std::static_pointer_cast<Node>(file->fcb);
    if (!directory || !directory->directory) {
        return STATUS_INVALID_PARAMETER;
    }
    if (file->cleanup_done) {
        return STATUS_NOTIFY_CLEANUP;
    }
    if (directory->unlinked || directory->live_links() == 0) {
        return STATUS_DELETE_PENDING;
    }
    const auto &parameters = operation->parameters.DirectoryControl.NotifyDirectory;
    auto found = std::ranges::find(waits_->watches, file.get(), [](const auto &watch) { return watch->file; });
    if (found == waits_->watches.end()) {
        auto made = std::make_shared<Watch>();
        made->file = file.get();
        made->directory = directory;
        made->filter = parameters.CompletionFilter;
        made->tree = (operation->operation_flags & SL_WATCH_TREE) != 0;
        made->buffer_bytes = parameters.Length;
        found = waits_->watches.insert(waits_->watches.end(), std::move(made));
    }
    const std::shared_ptr<Watch> watch = *found;
    if (watch->overflow || !watch->events.empty()) {
        return deliver(*watch, *operation);
    }
    if (operation->cancel_requested) {
        return STATUS_CANCELLED;
    }
    watch->requests.push_back(operation);
    operation->cancel_routine = [this, watch, waiting = operation.get()] {
        const auto at = std::ranges::find(watch->requests, waiting, [](const auto &entry) { return entry.get(); });
        const OperationPointer cancelled = *at;
        watch->requests.erase(at);
        complete_waiting(cancelled, STATUS_CANCELLED);
    };
    return STATUS_PENDING;
}

void MemFileSystem::report_change(const Node &directory, std::u16string_view name, bool is_directory, ULONG filter,
                                  ULONG action) {
    if (waits_->watches.empty()) {
        return;
    }
    if (filter == CHANGE_FILE_NAME && is_directory) {
        filter = CHANGE_DIR_NAME;
    }
    const Thread *thread = &executing();
    for (const auto &watch : waits_->watches) {
        const auto top = std::static_pointer_cast<Node>(watch->directory.lock());
        if (!top || (watch->filter & filter) == 0) {
            continue;
        }
        const auto path = path_from(top.get(), &directory);
        if (!path || (!path->empty() && !watch->tree)) {
            continue;
        }
        keep(*watch, action, *path + std::u16string(name));
        if (action != ACTION_RENAMED_OLD_NAME && !watch->requests.empty()) {
            const OperationPointer request = watch->requests.front();
            watch->requests.erase(watch->requests.begin());
            request->cancel_routine = nullptr;
            request->io_status.Status = deliver(*watch, *request);
            waits_->ready.emplace_back(thread, request);
        }
    }
}

void MemFileSystem::report_link(const Link &link, ULONG filter, ULONG action) {
    if (link.parent != nullptr && filter != 0) {
        report_change(*link.parent, link.name, link.node->directory, filter, action);
    }
}

/// What this thread's changes have ended completes here, before the operation that made them.
void MemFileSystem::complete_notifications() {
    std::vector<OperationPointer> mine;
    std::erase_if(waits_->ready, [&](const auto &entry) {
        if (entry.first != &executing()) {
            return false;
        }
        mine.push_back(entry.second);
        return true;
    });
    for (const OperationPointer &operation : mine) {
        complete_waiting(operation, operation->io_status.Status);
    }
}

void MemFileSystem::report_after(const io::Operation &operation, const std::u16string &name_before,
                                 const Node *parent_before) {
    const OpenState *open = open_of(*operation.file);
    const Link *link = open != nullptr ? open->link.get() : nullptr;
    if (link == nullptr || waits_->watches.empty()) {
        return;
    }
    const ULONG flags = operation.file->native.Flags;
    switch (operation.major) {
    case IRP_MJ_CREATE:
        if ((operation.operation_flags & SL_OPEN_TARGET_DIRECTORY) != 0) {
            return;
        }
        if (operation.io_status.Information == FILE_CREATED) {
            report_link(*link, CHANGE_FILE_NAME, ACTION_ADDED);
        } else if (operation.io_status.Information == FILE_OVERWRITTEN ||
                   operation.io_status.Information == FILE_SUPERSEDED) {
            report_link(*link, CHANGE_ATTRIBUTES | CHANGE_SIZE | CHANGE_LAST_WRITE, ACTION_MODIFIED);
        }
        return;
    case IRP_MJ_CLEANUP:
        if (link->parent != nullptr && (flags & (FO_FILE_MODIFIED | FO_FILE_SIZE_CHANGED)) != 0) {
            report_link(*link, CHANGE_LAST_WRITE | ((flags & FO_FILE_SIZE_CHANGED) != 0 ? CHANGE_SIZE : 0),
                        ACTION_MODIFIED);
        }
        return;
    case IRP_MJ_SET_EA:
        report_link(*link, CHANGE_EA, ACTION_MODIFIED);
        return;
    case IRP_MJ_SET_SECURITY:
        report_link(*link, CHANGE_SECURITY, ACTION_MODIFIED);
        return;
    case IRP_MJ_SET_INFORMATION:
        break;
    default:
        return;
    }
    switch (operation.parameters.SetFileInformation.FileInformationClass) {
    case FileBasicInformation:
        report_link(*link, basic_changes(operation), ACTION_MODIFIED);
        return;
    case FileEndOfFileInformation:
    case FileAllocationInformation:
        report_link(*link, CHANGE_SIZE | CHANGE_LAST_WRITE, ACTION_MODIFIED);
        return;
    case FileRenameInformation:
    case FileRenameInformationEx:
        if (parent_before == link->parent && parent_before != nullptr) {
            report_change(*parent_before, name_before, link->node->directory, CHANGE_FILE_NAME,
                          ACTION_RENAMED_OLD_NAME);
            report_link(*link, CHANGE_FILE_NAME, ACTION_RENAMED_NEW_NAME);
        } else if (parent_before != nullptr) {
            report_change(*parent_before, name_before, link->node->directory, CHANGE_FILE_NAME, ACTION_REMOVED);
            report_link(*link, CHANGE_FILE_NAME, ACTION_ADDED);
        }
        return;
    default:
        return;
    }
}

/// The directory's handle is gone, or (status) the directory itself.
void MemFileSystem::end_watch(const io::FileObject *file, const Node *directory, NTSTATUS status) {
    std::vector<OperationPointer> ended;
    std::erase_if(waits_->watches, [&](const std::shared_ptr<Watch> &watch) {
        const bool its = file != nullptr ? watch->file == file : watch->directory.lock().get() == directory;
        if (its) {
            for (const OperationPointer &request : watch->requests) {
                request->cancel_routine = nullptr;
                ended.push_back(request);
            }
            watch->requests.clear();
        }
        return its && file != nullptr;
    });
    for (const OperationPointer &operation : ended) {
        complete_waiting(operation, status);
    }
}

} // namespace fltsim::fs
