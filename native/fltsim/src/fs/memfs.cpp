// SPDX-License-Identifier: MIT
//
// This module provides: the file system's entry points: dispatch, completion in the thread, cleanup and close.

#include "fs/memfs.hpp"

namespace fltsim::fs {

MemFileSystem::MemFileSystem(io::IoManager::Impl &manager, io::Volume &volume) : manager_(manager), volume_(volume) {
    root_ = make_node(true, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
    root_->root = true;
}

MemFileSystem::~MemFileSystem() = default;

int64_t MemFileSystem::now() const {
    return static_cast<int64_t>(manager_.world.system_time_100ns());
}

void MemFileSystem::make_directory(std::u16string_view name) {
    root_->add_child(make_node(true, 0), name);
}

std::shared_ptr<io::Cache> MemFileSystem::cache_of(const io::FileObject &file) {
    const Node *node = node_of(file);
    return node != nullptr ? node->cache : nullptr;
}

namespace {

/// The file was opened on a mount that is gone. What the cache holds of it is written all the same.
bool cut_off(const io::Operation &operation) {
    const bool ends = operation.major == IRP_MJ_CLEANUP || operation.major == IRP_MJ_CLOSE;
    return operation.file->mount != operation.volume->mounts && !ends && (operation.irp_flags & IRP_PAGING_IO) == 0;
}

} // namespace

NTSTATUS MemFileSystem::process(const OperationPointer &operation) {
    if (cut_off(*operation)) {
        return STATUS_VOLUME_DISMOUNTED;
    }
    switch (operation->major) {
    case IRP_MJ_CREATE:
        return create(*operation);
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
        if (operation->minor != IRP_MN_QUERY_DIRECTORY) {
            unmodelled("IRP_MJ_DIRECTORY_CONTROL", "directory change notification");
        }
        return query_directory(*operation);
    case IRP_MJ_CLEANUP:
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
    const NTSTATUS status = process(operation);
    if (status == STATUS_PENDING) {
        return status; // the storage completes it
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
        return true;
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

NTSTATUS MemFileSystem::query_name(io::FileObject &file, std::u16string *name) {
    const Node *node = node_of(file);
    if (node == nullptr) {
        if ((file.native.Flags & FO_VOLUME_OPEN) == 0) {
            return STATUS_OBJECT_NAME_NOT_FOUND; // not open (yet)
        }
        name->clear();
        return STATUS_SUCCESS;
    }
    if (node->unlinked) {
        return STATUS_FILE_DELETED;
    }
    *name = node->path();
    return STATUS_SUCCESS;
}

void MemFileSystem::unlink(Node &node) {
    if (node.unlinked || node.root) {
        return;
    }
    node.unlinked = true;
    Node *parent = node.parent;
    parent->times.written = parent->times.changed = now();
    parent->remove_child(node); // the file object that asked still refers to the node
}

NTSTATUS MemFileSystem::cleanup(io::Operation &operation) {
    io::FileObject &file = *operation.file;
    file.cleanup_done = true;
    file.native.Flags |= FO_CLEANUP_COMPLETE;
    Node *node = node_of(file);
    if (node == nullptr) {
        return STATUS_SUCCESS;
    }
    const OpenState &open = *open_of(file);
    if (open.counted) {
        node->share.remove(file.granted_access, file.share_access);
    }
    --node->handles;
    const bool empty = !node->directory || node->children.empty();
    if (open.delete_on_close && empty && !node->root) {
        node->delete_pending = true;
    }
    if (node->delete_pending && (node->handles == 0 || open.posix_delete) && empty) {
        unlink(*node);
    }
    if (node->cache) {
        if (node->unlinked && node->handles == 0 && !node->cache->mapped()) {
            node->set_size(0); // what the lazy writer has not written never has to be
        }
        node->cache->uninitialise(file);
    }
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::close(io::Operation &operation) {
    operation.file->fs_context.reset(); // the node stays with the file object: its address must not be used again
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
