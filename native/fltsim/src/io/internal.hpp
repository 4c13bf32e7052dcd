// SPDX-License-Identifier: MIT
//
// This module provides: the I/O manager's own state and helpers, shared by io/ and by the file systems' nested I/O.
//
// Invariants: everything runs under the model lock. An IRP is counted as a reference of its file object from send() until it has
// completed; IRP_MJ_CLOSE is sent once, when a cleaned-up file object has no reference left.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "core/world.hpp"
#include "flt/filter_manager.hpp"
#include "fs/file_system.hpp"
#include "io/io_manager.hpp"

#ifndef STATUS_INVALID_FILE_FOR_SECTION
#define STATUS_INVALID_FILE_FOR_SECTION ((NTSTATUS)0xC0000020)
#endif
#ifndef STATUS_MAPPED_ALIGNMENT
#define STATUS_MAPPED_ALIGNMENT ((NTSTATUS)0xC0000220)
#endif

namespace fltsim::io {

class Cache;
class ImageSection;
class PageRegion;
class Section;

/// Lets objects that may outlive the I/O manager find it while it is there.
struct IoLink {
    IoManager::Impl *manager = nullptr;
};

/// An IRP on its way.
struct Request {
    std::shared_ptr<Operation> operation;
    std::optional<AsyncBlock> async;
    bool completed = false;
    bool returned_pending = false; ///< the requestor got STATUS_PENDING, so the result goes to `async`
    std::function<void(const Operation &)> ended; ///< told at the end, in the thread that completes it
    uint64_t sent_100ns = 0;
};

struct MappedView {
    std::shared_ptr<Section> section; ///< null: of an image
    std::shared_ptr<ImageSection> image;
    std::shared_ptr<PageRegion> memory; ///< an image's view has its own
    uint64_t offset = 0;
    uint64_t length = 0;
    const Process *process = nullptr; ///< that mapped it
};

struct IoManager::Impl {
    explicit Impl(World &world, IoManager &self);
    ~Impl();

    World &world;
    IoManager &self;
    std::shared_ptr<IoLink> link;
    std::vector<std::unique_ptr<Volume>> volumes;
    std::map<const Operation *, std::shared_ptr<Request>> outstanding;
    std::multimap<uintptr_t, MappedView> views; ///< by base address

    // ---- requests.cpp ----------------------------------------------------------------------------------------------------------
    /// A new IRP from the current thread.
    std::shared_ptr<Operation> irp(UCHAR major, FileObject &file, KPROCESSOR_MODE mode, ULONG flags) const;
    /// Sends it; the request's `completed` says whether it is done already.
    std::shared_ptr<Request> send(const std::shared_ptr<Operation> &operation, const AsyncBlock *async,
                                  std::function<void(const Operation &)> ended = {});
    /// Sends it and waits for its end. IRQL < DISPATCH_LEVEL.
    NTSTATUS send_and_wait(const std::shared_ptr<Operation> &operation);
    void wait(const Request &request);
    /// The requestor of `async` gets its result: status block, event or file object, completion port. at_once: the call has not returned yet.
    void tell(FileObject &file, const AsyncBlock &async, const IO_STATUS_BLOCK &result, bool at_once);
    /// Sends it as the handle and `async` say: waits for its end, or answers STATUS_PENDING and lets `async` be told [POST-27, POST-28].
    NTSTATUS issue(FileObject &file, const std::shared_ptr<Operation> &operation, const AsyncBlock *async,
                   IO_STATUS_BLOCK *iosb);
    /// A fast I/O or FS-filter operation on `file`, not sent yet.
    std::shared_ptr<Operation> inline_operation(Form form, UCHAR major, FileObject &file, KPROCESSOR_MODE mode) const;
    /// FS-filter operation without parameters, IRP_MJ_ACQUIRE_FOR_CC_FLUSH and the like. The status of a filter or the file system.
    NTSTATUS fs_filter(UCHAR major, FileObject &file);
    /// Paging I/O in this thread: `length` whole pages. Returns the IRP's status.
    NTSTATUS paging_io(UCHAR major, FileObject &file, uint64_t offset, void *buffer, uint32_t length);
    /// IoAsynchronousPageWrite: does not wait; `buffer` has to stay until the request is completed.
    std::shared_ptr<Request> paging_write_asynchronous(FileObject &file, uint64_t offset, const void *buffer,
                                                       uint32_t length);

    // ---- volumes.cpp -----------------------------------------------------------------------------------------------------------
    void make_default_volumes();
    /// Finds the volume of an NT path and the rest of the path behind it.
    NTSTATUS resolve(std::u16string_view nt_path, Volume **volume, std::u16string *rest);

    // ---- create.cpp ------------------------------------------------------------------------------------------------------------
    struct Open {
        Volume *volume = nullptr;
        std::u16string name; ///< relative to the volume, or to `root`
        std::shared_ptr<FileObject> root;
        ACCESS_MASK access = 0;
        ULONG attributes = 0;
        ULONG share = 0;
        ULONG disposition = 0;
        ULONG options = 0;
        UCHAR operation_flags = 0;
        int64_t allocation = 0;
        std::vector<uint8_t> ea;
        std::vector<uint8_t> security_descriptor;
        bool maximum_allowed = false;
        KPROCESSOR_MODE mode = UserMode;
        std::u16string below; ///< FileObject::below
        const Volume *only = nullptr; ///< the name has to lead here; null: anywhere
        bool ignore_share = false; ///< FileObject::ignore_share
        void *ecp_list = nullptr; ///< Operation::ecp_list
    };
    /// Opens, again for each STATUS_REPARSE on the way [SEQ-01].
    NTSTATUS open(Open open, std::shared_ptr<FileObject> *file, ULONG_PTR *information);
    /// The same, without the end of its extra create parameters: open->ecp_list is what they have become.
    NTSTATUS open_by_name(Open *open, std::shared_ptr<FileObject> *file, ULONG_PTR *information);
    /// Where a name leads: its volume and the path there, or the root that it is relative to.
    NTSTATUS resolve_name(const std::u16string &name, const std::shared_ptr<FileObject> &root, Open *open);
    /// A file object for `open` that no file system has seen yet.
    std::shared_ptr<FileObject> make_file_object(const Open &open);
    /// IRP_MJ_CREATE of one.
    std::shared_ptr<Operation> create_operation(const Open &open, FileObject &file) const;
    /// Sends an IRP_MJ_SET_INFORMATION and waits for its end. For a rename or a link the directory of the target is open meanwhile, by whom the operation
    /// is (Operation::below). The length is at least the class's.
    NTSTATUS send_set_information(const std::shared_ptr<Operation> &operation, const void *buffer, ULONG length,
                                  FILE_INFORMATION_CLASS information_class);
    /// The directory of a rename's or link's target; null for a name in the same directory.
    NTSTATUS open_rename_target(const Operation &operation, std::shared_ptr<FileObject> *parent);
    /// After STATUS_REPARSE: where to go on.
    NTSTATUS follow(const Operation &operation, Open *open);

    // ---- file_object.cpp -------------------------------------------------------------------------------------------------------
    /// The handle goes away: IRP_MJ_CLEANUP, then IRP_MJ_CLOSE unless something still refers to the file object.
    void cleanup(const std::shared_ptr<FileObject> &file);
    /// LOCK_CONTROL/UNLOCK_ALL for the locks that `process` has through this file object [SEQ-18].
    void unlock_all(FileObject &file, Process &process);
    void send_close(const std::shared_ptr<FileObject> &file);
    /// No reference is left: a system thread shall send IRP_MJ_CLOSE.
    void close_later(std::shared_ptr<FileObject> file);

    // ---- lazy_writer.cpp -------------------------------------------------------------------------------------------------------
    /// The cache has dirty pages: the lazy writer writes them a second from now.
    void write_later(const std::shared_ptr<Cache> &cache);
    /// Views have changed pages: the mapped page writer writes them some time later [SEQ-12].
    void write_mapped_later(const std::shared_ptr<Cache> &cache);
    /// Runs `job` on a worker of the cache manager, in System, with the model lock held.
    void queue_cache_work(std::function<void()> job);
    void start_daemons();

    std::shared_ptr<FileObject> paging_file; ///< open for ever, once it is
    std::deque<std::shared_ptr<FileObject>> closes;
    std::map<std::shared_ptr<Cache>, uint64_t> dirty; ///< cache -> interrupt time when it is due
    std::vector<std::weak_ptr<Cache>> caches; ///< those that ever had a backing file object
    std::map<std::shared_ptr<Cache>, uint64_t> mapped; ///< cache with changed views -> interrupt time when it is due
    std::deque<std::function<void()>> cache_jobs;
    const char mapped_channel = 0;
    const char cache_job_channel = 0;
    const char close_channel = 0;
    const char lazy_channel = 0;

  private:
    void close_worker();
    void lazy_writer();
    void mapped_page_writer();
    void cache_worker();
};

/// Serialises the operations on a synchronous handle [POST-29]. Nothing for an asynchronous one.
class FileLock {
  public:
    FileLock(World &world, FileObject &file);
    ~FileLock();
    FileLock(const FileLock &) = delete;
    FileLock &operator=(const FileLock &) = delete;

  private:
    World &world_;
    std::shared_ptr<FileObject> file_;
};

/// RAII: IoSetTopLevelIrp as file systems and the cache manager use it: set when there is none, undone at the end.
class TopLevelScope {
  public:
    explicit TopLevelScope(PVOID value) : thread_(executing()), before_(thread_.top_level_irp) {
        if (before_ == nullptr) {
            thread_.top_level_irp = value;
        }
    }
    ~TopLevelScope() { restore(); }
    TopLevelScope(const TopLevelScope &) = delete;
    TopLevelScope &operator=(const TopLevelScope &) = delete;
    void restore() {
        if (!restored_) {
            thread_.top_level_irp = before_;
            restored_ = true;
        }
    }

  private:
    Thread &thread_;
    PVOID before_;
    bool restored_ = false;
};

inline PVOID top_level_value(long long value) {
    return reinterpret_cast<PVOID>(static_cast<uintptr_t>(value));
}

inline bool has_access(const FileObject &file, ACCESS_MASK any_of) {
    return (file.granted_access & any_of) != 0;
}

/// For calls that Windows makes synchronous itself: of what an asynchronous handle's IRP has to say so.
inline ULONG synchronous_api(const FileObject &file) {
    return file.synchronous ? 0 : IRP_SYNCHRONOUS_API;
}

/// The flags of an IRP whose buffer is the I/O manager's copy of the caller's.
inline constexpr ULONG BUFFERED_IRP = IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER | IRP_DEFER_IO_COMPLETION;
/// Whether a buffer is long enough for the fixed part of a class that can be set; true for what cannot.
bool set_buffer_fits(FILE_INFORMATION_CLASS information_class, ULONG length);
bool set_buffer_fits(FS_INFORMATION_CLASS information_class, ULONG length);
/// Fills the parameters of a control in: `control`'s buffers as its code says.
void fill_control(Operation &operation, const IoManager::Control &control);

/// "minor text" of UTF-16 for notes and reports.
std::string narrow(std::u16string_view text);
/// IRP_MJ_* and pseudo code names.
const char *major_name(UCHAR major);

} // namespace fltsim::io
