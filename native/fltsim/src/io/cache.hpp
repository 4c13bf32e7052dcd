// SPDX-License-Identifier: MIT
//
// This module provides: the cached pages of one file (cache manager and memory manager in one), apart from its content on disk.
//
// Invariants
// - A page that is not valid here is read by paging I/O, a dirty one reaches the disk by paging I/O only; both go through the filters.
// - No paging I/O is on its way while page memory is being changed: it works on copies, so other threads may use the cache meanwhile.
// - While there are dirty pages or sections, there is a backing file object, and with it the file.
// - While the file is mapped, its pages lie in one region of memory that views point into; what views changed is found by
//   comparing with the disk (hosts have no dirty bits to offer).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "io/internal.hpp"
#include "io/page_region.hpp"

namespace fltsim::io {

class ImageSegment;

/// What the cache asks of the file it caches.
class CachedFile {
  public:
    virtual ~CachedFile() = default;
    virtual uint64_t end_of_file() const = 0;
    /// Whether the disk holds these bytes of the page (only those before the end of the file count).
    virtual bool same_on_disk(uint64_t page, const uint8_t *data) const = 0;
};

class Cache : public std::enable_shared_from_this<Cache> {
  public:
    static constexpr uint64_t PAGE = 4096;
    static constexpr uint64_t MAX_TRANSFER_PAGES = 16;
    /// How many pages hold so many bytes.
    static constexpr uint64_t pages_of(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE; }

    Cache(IoManager::Impl &manager, CachedFile &file);

    /// CcInitializeCacheMap: `file` may use fast I/O from now on. The first one is what paging I/O is sent to.
    void initialise(FileObject &file);
    /// CcUninitializeCacheMap, at cleanup.
    void uninitialise(FileObject &file);

    /// Copies out of the cache, reading missing pages. The range ends at or before the end of the file.
    NTSTATUS read(FileObject &file, uint64_t offset, void *to, uint32_t length);
    /// Copies into the cache; pages become dirty. The caller moves the end of the file.
    NTSTATUS write(FileObject &file, uint64_t offset, const void *from, uint32_t length);
    /// CcFlushCache in this thread, inside IRP_MJ_ACQUIRE/RELEASE_FOR_CC_FLUSH. What changed until now is on disk after it.
    NTSTATUS flush(FileObject &file, uint64_t offset, uint64_t length);
    /// Whether a read of the range needs no paging I/O.
    bool has(uint64_t offset, uint64_t length) const;
    /// After a cached read: reads ahead on a worker of the cache manager when `file` is read sequentially [SEQ-03].
    void read_ahead(FileObject &file, uint64_t offset, uint64_t length);
    /// The mapped page writer's part: asynchronous paging writes of all that views have changed, inside
    /// IRP_MJ_ACQUIRE/RELEASE_FOR_MOD_WRITE [SEQ-12].
    NTSTATUS write_mapped(FileObject &file);
    /// The lazy writer's part: no FS-filter operations.
    /// views_too: also what only views have changed, which otherwise is the mapped page writer's.
    NTSTATUS write_dirty(FileObject &file, uint64_t offset, uint64_t length, bool views_too);
    /// Non-cached I/O changed the disk: pages that are here follow.
    void refresh(uint64_t offset, const uint8_t *data, uint64_t length);
    /// The end of the file moved down: later pages go, the rest of the last one becomes zero.
    void truncate(uint64_t new_size);
    bool dirty() const { return dirty_pages_ != 0; }
    /// Whether anything is dirty that is the lazy writer's.
    bool lazily_dirty() const;

    // ---- sections ------------------------------------------------------------------------------------------------------------
    /// False when the file is already mapped and the region cannot hold that size.
    bool add_section(FileObject &file, uint64_t size, bool writable);
    void remove_section(bool writable);
    bool mapped() const { return sections_ != 0; }
    /// The file as an image; null when nobody has made a section of it, or the memory manager has let it go.
    std::shared_ptr<ImageSegment> image;
    /// MmFlushImageSection: false while there are sections or views of the image; else there is none any more.
    bool flush_image();
    /// MmCanFileBeTruncated.
    bool can_be_truncated() { return !mapped() && flush_image(); }
    uint8_t *address(uint64_t offset) { return region_->data() + offset; }
    /// Reads the missing pages of the range.
    NTSTATUS page_in(FileObject &file, uint64_t offset, uint64_t length);
    /// Marks the pages that views have changed; schedules the mapped page writer when there are any.
    void collect_mapped_changes();

    /// What paging I/O is sent to; `fallback` when nobody initialised caching.
    std::shared_ptr<FileObject> backing(FileObject &fallback);
    /// The same, or null when there is none.
    std::shared_ptr<FileObject> any_file() const { return backing_; }
    uint64_t end_of_file() const { return file_.end_of_file(); }
    /// Lets the backing file object go when nobody needs it. It may then get its IRP_MJ_CLOSE.
    void release_backing();
    /// The I/O manager goes away.
    void detach() {
        backing_.reset();
        image.reset();
    }
    /// A cached write moved the end of the file: the lazy writer tells the file system once more when the data is on disk [SEQ-07].
    void set_extended() { extended_ = true; }
    bool take_extended();

  private:
    struct Page {
        std::unique_ptr<uint8_t[]> heap; ///< null while the page lies in the region
        bool valid = false;
        bool dirty = false;
        bool by_view = false; ///< dirty, and nobody but views wrote it since it was clean
    };
    Page &page(uint64_t index);
    uint8_t *memory(uint64_t index, Page &page);
    void set_dirty(Page &page, bool dirty);
    bool missing(uint64_t index) const;
    void move_to_region();
    void move_to_heap();
    void schedule();
    void schedule_mapped();
    void take_run(uint64_t first, uint64_t count, uint8_t *to);
    void end_run(uint64_t first, uint64_t count, NTSTATUS status, bool by_view);
    NTSTATUS write_mapped_run(FileObject &file, uint64_t first, uint64_t count);
    void set_backing(FileObject &file);
    NTSTATUS write_run(FileObject &file, uint64_t first, uint64_t count);
    CachedFile &file_;
    std::map<uint64_t, Page> pages_;
    std::unique_ptr<PageRegion> region_;
    uint64_t region_pages_ = 0;
    uint32_t sections_ = 0;
    uint32_t writable_sections_ = 0;
    uint32_t users_ = 0; ///< file objects with caching initialised
    size_t dirty_pages_ = 0;
    bool extended_ = false;
    bool reading_ahead_ = false;
    uint32_t writes_in_flight_ = 0;
    uint64_t generation_ = 0; ///< of changes that paging reads on their way do not know of
    std::shared_ptr<FileObject> backing_;
    std::weak_ptr<IoLink> link_;
};

} // namespace fltsim::io
