// SPDX-License-Identifier: MIT
//
// This module provides: the kernel pool with the checks of special pool and pool tracking [V20]: tags, guard bytes at the end of each block,
// a quarantine of freed blocks filled with a poison, double and foreign frees, leaks by tag.
//
// Invariants: a live block is in live_, a freed one in quarantine_ until enough others were freed after it; its memory goes back to
// the host only then, after its poison was found intact. All of it runs under the model lock of the block's world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/world.hpp"

namespace fltsim::pool {

/// New memory holds this, so that a driver that forgets to initialise meets nonsense and not zeros.
inline constexpr unsigned char FILL_NEW = 0xCC;
/// Freed memory holds this.
inline constexpr unsigned char FILL_FREED = 0xDD;

/// Whose calls a block is allocated and freed with: ExAllocatePool..., FltAllocatePoolAlignedWithTag, or IoAllocateMdl.
enum class Origin { Executive, FilterManager, IoManager };

class Pool {
  public:
    ~Pool();
    void *allocate(const char *api, POOL_TYPE type, size_t bytes, uint32_t tag, Origin origin);
    void release(const char *api, void *block, uint32_t tag, Origin origin);
    void report_leaks();
    /// Checks the guard bytes of every live block and the poison of every freed one.
    void verify(const char *api);
    /// Memory outside pool that is to be looked at as paged pool is, until it is forgotten.
    void note_paged(const void *memory, size_t bytes) { paged_[memory] = bytes; }
    void forget_paged(const void *memory) { paged_.erase(memory); }
    bool is_paged(const void *address) const;
    bool is_freed(const void *block) const;
    /// Blocks allocated and not freed.
    size_t live_blocks() const;
    /// What they were asked for, without guard bytes.
    size_t live_bytes() const;

  private:
    struct Block {
        unsigned char *raw = nullptr;
        size_t raw_bytes = 0;
        size_t bytes = 0;
        uint32_t tag = 0;
        Origin origin = Origin::Executive;
        bool paged = false;
        bool freed = false;
    };
    static std::string describe(const void *user, const Block &block);
    void check_guards(const char *api, const unsigned char *user, const Block &block);
    void let_go_oldest(const char *api);
    std::unordered_map<const void *, Block> blocks_; ///< live and quarantined, by the address the driver has
    std::map<const void *, size_t> paged_; ///< live paged memory: its bytes
    std::deque<const void *> quarantine_;
    size_t quarantine_bytes_ = 0;
};

/// Allocates as ExAllocatePoolWithTag does, fault switch excepted; `api` is named in reports. Null: the host has no memory left.
/// Stops the world on a size of 0, a tag of 0, an executable type [HVCI-01], paged pool above APC_LEVEL [V20].
void *allocate(const char *api, POOL_TYPE type, size_t bytes, uint32_t tag, Origin origin = Origin::Executive);
/// Frees. `tag` 0 means any tag. Stops the world on anything that is not a live block of that origin, on a wrong tag and on overwritten guard bytes
/// [V20].
void release(const char *api, void *block, uint32_t tag, Origin origin = Origin::Executive);
/// For when the last driver's image is unloaded. Stops the world when a thread of it still runs [UNL-07] or a block is damaged; reports as
/// leaks what it left bound to the framework, referenced by pointer or allocated (by tag), and frees that [V20, SIM-15].
void report_leaks();
/// Whether the address is in live paged memory: a block of paged pool, or a context.
bool is_paged(const void *address);
/// An event, a lock, a DPC: something the kernel touches at DISPATCH_LEVEL. Stops the world where it can be paged out [V14].
void check_resident(const char *api, const volatile void *object, const char *what);
/// A context in paged pool, while it lives.
void note_paged(const void *memory, size_t bytes);
void forget_paged(const void *memory);
/// Whether it was one, and not long ago.
bool is_freed(const void *block);
/// Blocks that the driver has at this moment, so that a test sees what grows while it stays loaded. Model lock held.
size_t live_blocks();
/// The bytes that these were asked for. Model lock held.
size_t live_bytes();
/// "MpRc", with unprintable bytes as dots.
std::string tag_text(uint32_t tag);

} // namespace fltsim::pool
