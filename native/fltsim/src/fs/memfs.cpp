// SPDX-License-Identifier: MIT
//
// This module provides: the file system's entry points: dispatch, completion in the thread, cleanup and close.

#include "fs/memfs.hpp"

#include "fs/waits.hpp"

namespace fltsim::fs {

MemFileSystem::MemFileSystem(io::IoManager::Impl &manager, io::Volume &volume)
    : manager_(manager), volume_(volume), short_names_(volume.boot || volume.profile == io::FsProfile::Fat),
      waits_(std::make_shared<VolumeWaits>()) {
    root_ = make_node(true, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
    root_->root = true;
    root_->security = root_security();
    root_link_ = std::make_shared<Link>();
    root_link_->node = root_;
    root_->links.push_back(root_link_.get());
}

MemFileSystem::~MemFileSystem() = default;

int64_t MemFileSystem::now() const {
    return static_cast<int64_t>(manager_.world.system_time_100ns());
}

void MemFileSystem::make_directory(std::u16string_view name) {
    const auto node = make_node(true, 0);
    node->security = inherited_security(*root_, true);
    root_->add_child(node, name, short_names_);
}

bool MemFileSystem::install(std::u16string_view path, const std::vector<uint8_t> &content) {
    ParsedPath parsed;
    if (!NT_SUCCESS(parse_path(path, false, ntfs(), &parsed)) || parsed.components.empty() || !parsed.stream.empty()) {
        return false;
    }
    std::shared_ptr<Node> at = root_;
    for (size_t i = 0; i < parsed.components.size(); ++i) {
        const bool last = i + 1 == parsed.components.size();
        std::shared_ptr<Link> link = at->child(parsed.components[i]);
        if (!link) {
            const auto node = make_node(!last, 0);
            node->security = inherited_security(*at, !last);
            if (last) {
                node->set_size(content.size());
                node->write_disk(0, content.data(), content.size());
                node->valid_data = content.size();
                reserve(*node, static_cast<int64_t>(content.size()));
            }
            link = at->add_child(node, parsed.components[i], short_names_);
        }
        if (!last && !link->node->directory) {
            return false;
        }
        at = link->node;
    }
    return !at->directory;
}

std::shared_ptr<io::Cache> MemFileSystem::cache_of(const io::FileObject &file) {
    const Node *node = node_of(file);
    return node != nullptr ? node->cache : nullptr;
}

namespace {

/// The file was opened on a mount that is gone. What the cache holds of it is written all the same.
bool cut_off(const io::Operation &operation) {
    // A handle of the volume itself goes on to speak for it: it unlocks what it has locked and dismounted.
    const bool ends =
        operation.major == IRP_MJ_CLEANUP || operation.major == IRP_MJ_CLOSE ||
        (operation.major == IRP_MJ_FILE_SYSTEM_CONTROL && (operation.file->native.Flags & FO_VOLUME_OPEN) != 0);
    return operation.file->mount != operation.volume->mounts && !ends && (operation.irp_flags & IRP_PAGING_IO) == 0;
}

} // namespace

NTSTATUS MemFileSystem::run(const OperationPointer &operation) {
    const NTSTATUS oplocks = check_oplocks(operation);
    if (oplocks != STATUS_SUCCESS) {
        return oplocks;
    }
    const OpenState *open = open_of(*operation->file);
    const Link *before = open != nullptr ? open->link.get() : nullptr;
    const Node *parent_before = before != nullptr ? before->parent : nullptr;
    const std::u16string name_before = before != nullptr && !waits_->watches.empty() ? before->name : u"";
    const NTSTATUS status = process(operation);
    if (NT_SUCCESS(status) && status != STATUS_PENDING) {
        report_after(*operation, name_before, parent_before);
    }
    complete_notifications();
    return status;
}

NTSTATUS MemFileSystem::process(const OperationPointer &operation) {
    if (cut_off(*operation)) {
        return STATUS_VOLUME_DISMOUNTED;
    }
    switch (operation->major) {
    case IRP_MJ_CREATE: {
        NTSTATUS status = check_volume_lock();
        if (NT_SUCCESS(status)) {
            status = create(*operation);
        }
        if (NT_SUCCESS(status) && operation->file->opened) {
            count_open(*operation->file, true);
        }
        return status;
    }
    case IRP_MJ_READ:
        return read(operation);
    case IRP_MJ_WRITE:
        return write(operation);
    case IRP_MJ_QUERY_INFORMATION:
        return query_information(*operation);
    case IRP_MJ_SET_INFORMATION:
        return set_information(*operation);
    case IRP_MJ_FLUSH_BUFFERS:
        return flush(*operation);
    case IRP_MJ_DIRECTORY_CONTROL:
        return operation->minor == IRP_MN_QUERY_DIRECTORY ? query_directory(*operation) : notify_directory(operation);
    case IRP_MJ_QUERY_VOLUME_INFORMATION:
        return query_volume_information(*operation);
    case IRP_MJ_SET_VOLUME_INFORMATION:
        return set_volume_information(*operation);
    case IRP_MJ_LOCK_CONTROL:
        return lock_control(operation);
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        return file_system_control(operation);
    case IRP_MJ_DEVICE_CONTROL:
        return device_control(*operation);
    case IRP_MJ_QUERY_EA:
        return query_ea(*operation);
    case IRP_MJ_SET_EA:
        return set_ea(*operation);
    case IRP_MJ_QUERY_SECURITY:
        return query_security(*operation);
    case IRP_MJ_SET_SECURITY:
        return set_security(*operation);
    case IRP_MJ_QUERY_QUOTA:
        return query_quota(*operation);
    case IRP_MJ_SET_QUOTA:
        return set_quota(*operation);
    case IRP_MJ_CLEANUP:
        count_open(*operation->file, false);
        drop_locks(*operation->file);
        drop_oplocks(*operation->file);
        end_watch(operation->file.get(), nullptr, STATUS_NOTIFY_CLEANUP);
        return cleanup(*operation);
    case IRP_MJ_CLOSE:
        return close(*operation);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

NTSTATUS MemFileSystem::dispatch(const OperationPointer &operation) {
    io::TopLevelScope top_level(operation->irp());
    operation->io_status.Information = 0;
    const NTSTATUS status = run(operation);
    if (status == STATUS_PENDING) {
        return status; // the storage completes it, or whatever it waits for
    }
    operation->io_status.Status = status;
    if (NT_ERROR(status)) {
        operation->io_status.Information = 0;
    }
    if (ntfs() || operation->major == IRP_MJ_CREATE) {
        top_level.restore();
    }
    manager_.world.flt->complete(operation);
    return status;
}

bool MemFileSystem::dispatch_inline(const OperationPointer &operation) {
    operation->io_status = {};
    if (operation->major == static_cast<UCHAR>(IRP_MJ_NETWORK_QUERY_OPEN) ||
        operation->major == static_cast<UCHAR>(IRP_MJ_QUERY_OPEN)) {
        return query_open(*operation);
    }
    if (operation->form == io::Form::FastIo && cut_off(*operation)) {
        return false; // the IRP gets the status
    }
    switch (operation->major) {
    case IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION: {
        const Node *node = node_of(*operation->file);
        const bool create_section =
            operation->parameters.AcquireForSectionSynchronization.SyncType == SyncTypeCreateSection;
        if (create_section && node != nullptr && ntfs()) {
            operation->io_status.Status =
                node->share.writers != 0 ? STATUS_FILE_LOCKED_WITH_WRITERS : STATUS_FILE_LOCKED_WITH_ONLY_READERS;
        }
        return true;
    }
    case IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION:
    case IRP_MJ_ACQUIRE_FOR_CC_FLUSH:
    case IRP_MJ_RELEASE_FOR_CC_FLUSH:
    case IRP_MJ_ACQUIRE_FOR_MOD_WRITE:
    case IRP_MJ_RELEASE_FOR_MOD_WRITE:
        return true;
    case IRP_MJ_LOCK_CONTROL:
        return fast_lock_control(*operation);
    case IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE:
        return fast_io_possible(*operation);
    case IRP_MJ_MDL_READ:
    case IRP_MJ_MDL_READ_COMPLETE:
    case IRP_MJ_PREPARE_MDL_WRITE:
    case IRP_MJ_MDL_WRITE_COMPLETE:
        return mdl_io(*operation);
    case IRP_MJ_READ:
        return fast_read(*operation);
    case IRP_MJ_WRITE:
        return fast_write(*operation);
    case IRP_MJ_QUERY_INFORMATION: {
        if (node_of(*operation->file) == nullptr) {
            return false;
        }
        const io::TopLevelScope top_level(io::top_level_value(FSRTL_FAST_IO_TOP_LEVEL_IRP));
        operation->io_status.Status = query_information(*operation);
        return true;
    }
    default:
        return false;
    }
}

const void *MemFileSystem::file_of(const io::FileObject &file) {
    return owner_of(file);
}

NTSTATUS MemFileSystem::query_name(io::FileObject &file, std::u16string *name) {
    const Node *node = node_of(file);
    if (node == nullptr) {
        if ((file.native.Flags & FO_VOLUME_OPEN) == 0) {
            return STATUS_OBJECT_NAME_NOT_FOUND; // not open (yet)
        }
        name->clear();
        return STATUS_SUCCESS;
    }
    const OpenState *open = open_of(file);
    if (open == nullptr || node->stream_removed || (open->link->parent == nullptr && !node->owner().root)) {
        return STATUS_FILE_DELETED;
    }
    *name = path_of(*open->link);
    if (node->base != nullptr) {
        *name += u":" + node->stream_name;
    }
    return STATUS_SUCCESS;
}

void MemFileSystem::touch_written(io::FileObject &file) {
    Node &node = *owner_of(file);
    const OpenState *open = open_of(file);
    const int64_t time = now();
    if (open == nullptr || !open->keep_written) {
        node.times.written = time;
    }
    if (open == nullptr || !open->keep_changed) {
        node.times.changed = time;
    }
}

void MemFileSystem::touch_accessed(io::FileObject &file) {
    const OpenState *open = open_of(file);
    if (open == nullptr || !open->keep_accessed) {
        owner_of(file)->times.accessed = now();
    }
}

void MemFileSystem::unlink(Link &link) {
    if (link.parent == nullptr) {
        return;
    }
    Node &parent = *link.parent;
    const auto keep = link.node;
    report_change(parent, link.name, keep->directory, CHANGE_FILE_NAME, ACTION_REMOVED);
    parent.times.written = parent.times.changed = keep->times.changed = now();
    parent.remove_child(link); // the file object that asked still refers to the link, and it to the node
    link.delete_pending = false;
    if (keep->directory) {
        end_watch(nullptr, keep.get(), STATUS_DELETE_PENDING);
    }
    if (keep->unlinked && !keep->object_id.empty()) {
        by_object_id_.erase({keep->object_id.begin(), keep->object_id.begin() + 16});
    }
}

namespace {

/// What the lazy writer has not written of a file that is gone never has to be.
void forget_content(Node &node) {
    if (node.cache && node.handles == 0 && !node.cache->mapped()) {
        node.set_size(0);
    }
}

} // namespace

NTSTATUS MemFileSystem::cleanup(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    file.cleanup_done = true;
    file.native.Flags |= FO_CLEANUP_COMPLETE;
    Node *node = node_of(file);
    if (node == nullptr) {
        return STATUS_SUCCESS;
    }
    const OpenState &open = *open_of(file);
    Link &link = *open.link;
    Node &owner = node->owner();
    if (open.counted) {
        node->share.remove(file.granted_access, file.share_access);
    }
    --node->handles;
    --link.handles;
    const bool empty = !owner.directory || owner.children.empty();
    if (node->base != nullptr) {
        node->stream_delete_pending = node->stream_delete_pending || open.delete_on_close;
        if (node->stream_delete_pending && node->handles == 0) {
            remove_stream(*node);
            owner.times.changed = now();
        }
    } else if (open.delete_on_close && empty && !node->root) {
        link.delete_pending = link.parent != nullptr;
    }
    const bool posix = open.posix_delete && link.delete_pending;
    if (link.delete_pending && (link.handles == 0 || posix) && empty) {
        unlink(link);
    }
    if (node->stream_removed) {
        forget_content(*node);
    }
    if (owner.unlinked) {
        forget_content(owner);
        for (const auto &[name, stream] : owner.streams) {
            forget_content(*stream);
        }
    }
    if (node->cache) {
        node->cache->uninitialise(file);
    }
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::close(io::Operation &operation) {
    operation.file->fs_context.reset(); // the node stays with the file object: its address must not be used again
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
