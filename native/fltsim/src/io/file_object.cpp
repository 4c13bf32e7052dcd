// SPDX-License-Identifier: MIT
//
// This module provides: file objects from the handle's end to IRP_MJ_CLOSE [SEQ-20].
//
//      open -> (last handle closed) IRP_MJ_CLEANUP -> (last reference gone) IRP_MJ_CLOSE
//
// Operations on their way, sections and the cache refer to the file object and keep IRP_MJ_CLOSE away. It is sent in the thread that closed
// the handle when nothing else refers to it then, by a system thread otherwise.

#include "io/internal.hpp"

namespace fltsim::io {

namespace {
constexpr CSHORT IO_TYPE_OF_FILE = 5;
}

FileObject::FileObject() {
    native.Type = IO_TYPE_OF_FILE;
    native.Size = sizeof(FILE_OBJECT);
    native.FsContext2 = this;
}

FileObject::~FileObject() = default;

std::shared_ptr<FileObject> FileObject::from_native(PFILE_OBJECT file) {
    if (file == nullptr || file->Type != IO_TYPE_OF_FILE || file->FsContext2 == nullptr) {
        return nullptr;
    }
    auto *object = static_cast<FileObject *>(file->FsContext2);
    return &object->native == file ? object->weak_from_this().lock() : nullptr;
}

std::string FileObject::describe() const {
    return "file " + narrow(volume != nullptr ? volume->device_name + name : name);
}

void FileObject::signal() {
    signalled_ = true;
    world().wake(this);
}

void FileObject::last_handle_closed() {
    const auto manager = link.lock();
    if (manager && manager->manager != nullptr && opened) {
        manager->manager->cleanup(shared_from_this());
    }
}

void FileObject::dereference() {
    if (--references != 0 || !cleanup_done || close_sent) {
        return;
    }
    const auto manager = link.lock();
    if (manager && manager->manager != nullptr) {
        manager->manager->close_later(shared_from_this());
    }
}

void IoManager::Impl::cleanup(const std::shared_ptr<FileObject> &file) {
    {
        const FileLock lock(world, *file);
        const auto operation = irp(IRP_MJ_CLEANUP, *file, KernelMode, IRP_SYNCHRONOUS_API | IRP_CLOSE_OPERATION);
        send_and_wait(operation);
    }
    if (--file->references == 0 && file->cleanup_done && !file->close_sent) {
        send_close(file);
    }
}

void IoManager::Impl::send_close(const std::shared_ptr<FileObject> &file) {
    file->close_sent = true;
    send_and_wait(irp(IRP_MJ_CLOSE, *file, KernelMode, IRP_SYNCHRONOUS_API | IRP_CLOSE_OPERATION));
    world.flt->file_closed(*file);
}

void IoManager::Impl::close_later(std::shared_ptr<FileObject> file) {
    file->close_sent = true; // by this queue; nobody else may any more
    closes.push_back(std::move(file));
    world.wake(&close_channel);
}

} // namespace fltsim::io
