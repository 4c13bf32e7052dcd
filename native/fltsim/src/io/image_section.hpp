// SPDX-License-Identifier: MIT
//
// This module provides: sections of executable images (SEC_IMAGE).
#pragma once

#include <vector>

#include "io/internal.hpp"
#include "io/page_region.hpp"

namespace fltsim::io {

/// A file as an image: what all image sections of it share. It keeps the file object of the first of them, and so IRP_MJ_CLOSE away, until the
/// memory manager lets it go: some time after the last section and view, or when a file system asks (Cache::flush_image).
class ImageSegment : public std::enable_shared_from_this<ImageSegment> {
  public:
    /// Reads the headers by paging I/O. STATUS_INVALID_IMAGE_NOT_MZ, STATUS_INVALID_IMAGE_FORMAT.
    static NTSTATUS make(IoManager::Impl &manager, FileObject &file, uint64_t end_of_file,
                         std::shared_ptr<ImageSegment> *segment);
    /// Reads by paging I/O what views show, unless it is there already.
    NTSTATUS page_in();
    uint64_t size() const { return memory_->bytes(); }
    const uint8_t *data() const { return memory_->data(); }
    FileObject &file() const { return *file_; }

    void add_user() { ++users_; }
    void remove_user();
    bool in_use() const { return users_ != 0; }
    /// It is the file's image from now on.
    void keep_file();
    /// It is not any more: the reference of the file object goes.
    void let_go();

  private:
    /// Of the image, and where it is in the file.
    struct Part {
        uint64_t address = 0;
        uint64_t file_offset = 0;
        uint64_t bytes = 0;
    };
    explicit ImageSegment(std::shared_ptr<FileObject> file) : file_(std::move(file)) {}
    NTSTATUS read(uint64_t file_offset, uint8_t *to, uint64_t bytes);
    NTSTATUS read_headers(uint64_t end_of_file, std::vector<uint8_t> *headers);
    NTSTATUS lay_out(const std::vector<uint8_t> &headers, uint64_t end_of_file);
    std::shared_ptr<FileObject> file_;
    std::weak_ptr<IoLink> link_;
    std::vector<Part> parts_;
    std::unique_ptr<PageRegion> memory_;
    uint32_t users_ = 0;
    bool resident_ = false;
    uint64_t generation_ = 0; ///< of users: who came meanwhile keeps it from being let go
};

class ImageSection final : public Object, public std::enable_shared_from_this<ImageSection> {
  public:
    explicit ImageSection(std::shared_ptr<ImageSegment> of) : segment(std::move(of)) { segment->add_user(); }
    ~ImageSection() override { segment->remove_user(); }
    ImageSection(const ImageSection &) = delete;
    ImageSection &operator=(const ImageSection &) = delete;
    const char *type_name() const override { return "section"; }
    std::string describe() const override { return "image section of " + segment->file().describe(); }

    const std::shared_ptr<ImageSegment> segment;
};

NTSTATUS map_view_of_image(IoManager::Impl &impl, const std::shared_ptr<ImageSection> &section, uint64_t offset,
                           uint64_t length, void **base);

} // namespace fltsim::io
