// SPDX-License-Identifier: MIT
//
// This module provides: a Windows driver image (minipend.sys) in this process's memory: mapped, relocated, bound to the model, each section with
// the protection that it asks for; and which image an address belongs to.
//
// Invariants: no page is ever writable and executable at once; every function of the model that the image can reach goes through a gate;
// a function or a page that was discarded after DriverEntry stays mapped without access, so that its use is a fault that can be told.
#pragma once

#include "core/image.hpp"
#include "image/gate.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "image/exports.hpp"
#include "image/pe_file.hpp"
#include "image/symbols.hpp"

namespace fltsim::image {

/// Memory from mmap.
class Mapping {
  public:
    explicit Mapping(size_t bytes);
    ~Mapping();
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    uint8_t *at(size_t offset) const { return static_cast<uint8_t *>(base_) + offset; }
    uint64_t address() const { return reinterpret_cast<uint64_t>(base_); }
    size_t bytes() const { return bytes_; }
    /// protection: PROT_* of <sys/mman.h>.
    void protect(size_t offset, size_t bytes, int protection) const;

  private:
    void *base_;
    size_t bytes_;
};

/// Small pieces of code through which an image calls functions of the model.
class Gates {
  public:
    explicit Gates(const std::vector<const void *> &targets);
    void *operator[](size_t index) const;

  private:
    Mapping code_;
};

class PeImage final : public Image {
  public:
    /// Null: `error` says why the file is no image. Imports that are not modelled stop the world, all of them by name.
    static std::unique_ptr<Image> load(const std::string &path, std::vector<uint8_t> bytes, std::string *error);
    ~PeImage() override;

    PDRIVER_INITIALIZE entry() const override;
    void initialised() override;

    uint64_t base() const { return memory_.address(); }
    bool contains(uint64_t address) const { return address - base() < memory_.bytes(); }
    const std::string &name() const { return name_; }
    /// Linked with /INTEGRITYCHECK.
    bool forced_integrity() const;
    const std::vector<Section> &sections() const { return file_.sections(); }
    /// The section at this offset; null: none.
    const Section *section_at(uint32_t rva) const;
    bool discarded(uint32_t rva) const;
    /// Null: a leaf function, or no code.
    const RuntimeFunction *function_at(uint32_t rva) const;
    /// "minipend.sys!MpPend+0x1c"
    std::string describe(uint64_t address) const;
    /// The gate to a function of the model that the image has looked up by its name: that of its import, if it has one.
    void *gate_of(std::string_view name, const void *target);
    /// The framework's table as this image may call it: each entry through a gate.
    void *const *gated_table(void *const *table, size_t count);

  private:
    PeImage(std::string path, PeFile file, const std::vector<Export> &exports);
    void bind(const std::vector<Export> &exports);
    void relocate();
    void seed_cookie();
    void protect();

    std::string path_;
    std::string name_;
    PeFile file_;
    Mapping memory_;
    Gates gates_;
    bool discarded_ = false;
    std::mutex mutex_; ///< of what is made later
    std::unique_ptr<Gates> table_gates_;
    std::vector<void *> table_;
    std::map<const void *, std::unique_ptr<Gates>> more_gates_; ///< by function
    mutable std::unique_ptr<Symbols> symbols_;
};

/// The loaded image that this address is in; null: none. Callable in a signal handler.
PeImage *image_at(uint64_t address);

} // namespace fltsim::image

#endif
