// SPDX-License-Identifier: MIT
//
// This module provides: one I/O operation on its way, the seam between I/O manager, Filter Manager and file system.
//
//      io (requestor) --> flt::FilterManager::call()  --pre-operations, high to low altitude-->  fs dispatch
//      io completion  <-- flt::FilterManager::complete() <--post-operations, low to high--------  fs, inline or later on a DPC
//
// Life of an operation (the same for all three forms; fast I/O and FS-filter forms never leave the thread):
//
//      NEW -> PRE -> (PENDED_PRE -> PRE)* -> BELOW -> POST -> (PENDED_POST -> POST)* -> COMPLETED
//
// PENDED_PRE means a pre-operation callback returned FLT_PREOP_PENDING and FltCompletePendedPreOperation has not been called yet; PENDED_POST that a
// post-operation callback returned FLT_POSTOP_MORE_PROCESSING_REQUIRED and FltCompletePendedPostOperation has not. An operation is held by shared_ptr until
// it is COMPLETED and nobody refers to it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/handles.hpp"

namespace fltsim::io {

class Volume;
class FileObject;

enum class Form { Irp, FastIo, FsFilter };

struct Operation : std::enable_shared_from_this<Operation> {
    enum class State { New, Pre, PendedPre, Below, Post, PendedPost, Completed };

    Form form = Form::Irp;
    UCHAR major = 0; ///< IRP_MJ_*, the pseudo codes of fast I/O and FS-filter operations included
    UCHAR minor = 0;
    UCHAR operation_flags = 0; ///< SL_*
    ULONG irp_flags = 0; ///< IRP_*; 0 unless Form::Irp
    FLT_PARAMETERS parameters{};
    KPROCESSOR_MODE requestor_mode = UserMode;
    std::shared_ptr<FileObject> file;
    Volume *volume = nullptr;
    Thread *requestor = nullptr; ///< referenced
    IO_STATUS_BLOCK io_status{}; ///< live; the file system and filters write it
    bool synchronous = true; ///< the requestor waits (synchronous handle, or a call that is synchronous by nature)
    bool generated = false; ///< a filter began it: FLTFL_CALLBACK_DATA_GENERATED_IO
    bool keep_position = false; ///< CurrentByteOffset stays as it is
    std::u16string below; ///< only instances below this altitude see it; empty: all

    /// Kernel copy behind parameters' buffer pointers when the operation is buffered (set/query information, directory
    /// query on the ntfs/fat profile use the caller's memory through `user_buffer` below instead).
    std::vector<uint8_t> system_buffer;
    /// Where the I/O manager copies the answer in `system_buffer` to when a buffered control has ended without an error; null: nowhere.
    void *user_output = nullptr;
    uint32_t user_output_bytes = 0;
    LARGE_INTEGER lock_length{}; ///< what parameters.LockControl.Length points to
    /// What the I/O system has described of the operation's buffers, with its pages locked: until the operation is gone.
    std::vector<std::unique_ptr<MDL>> mdls;
    PMDL describe(void *buffer, uint32_t bytes, bool written);

    /// FLT_CALLBACK_DATA::TagData of a create that ended with STATUS_REPARSE: a REPARSE_DATA_BUFFER whose Reserved is the length in bytes of the
    /// part of the name behind the reparse point. Empty: none.
    std::vector<uint8_t> tag_data;
    /// A create's initial security descriptor, self-relative (ACCESS_STATE::SecurityDescriptor on Windows). Empty: none.
    std::vector<uint8_t> security_descriptor;

    void *ecp_list = nullptr; ///< of a create: PECP_LIST, its extra create parameters

    State state = State::New;
    bool cancel_requested = false;

    /// The I/O manager's completion, run once, after the last post-operation (any thread, IRQL <= DISPATCH_LEVEL).
    std::function<void(Operation &)> on_completed;

    /// The cancel routine of whoever has the operation, the file system or a filter's queue (as by IoSetCancelRoutine). Whoever takes it out ends the
    /// operation. Model lock held.
    std::function<void()> cancel_routine;

    /// The file system's private continuation state (a copied request that the storage DPC finishes, ...).
    std::shared_ptr<void> fs_state;

    /// The Filter Manager's part (callback data, per-instance frames). Opaque to io and fs.
    std::shared_ptr<void> flt_state;

    /// A block of memory that stands for the IRP where only its address matters (TopLevelIrp).
    IRP *irp();

    Operation();
    ~Operation();

  private:
    std::unique_ptr<IRP> irp_;
};

} // namespace fltsim::io
