// SPDX-License-Identifier: MIT
//
// This module provides: what operations wait for in the file system: byte-range locks and oplocks of a stream, directory watches and MDL chains of
// a volume.
//
// Invariants: all lists hold live operations only, in the order in which they came. Whoever takes an operation out of a list (a grant, a break, a
// change, a cancel, the end of its handle) completes it, once, after the list is in order again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fs/node.hpp"
#include "io/io_manager.hpp"

namespace fltsim::fs {

// ---- byte-range locks --------------------------------------------------------------------------------------------------------

/// Owner of a lock: the open, the process, the key.
struct LockOwner {
    const io::FileObject *file = nullptr;
    const void *process = nullptr;
    ULONG key = 0;
    bool operator==(const LockOwner &) const = default;
};

struct ByteRangeLock {
    uint64_t offset = 0;
    uint64_t length = 0;
    LockOwner owner;
    bool exclusive = false;
};

struct WaitingLock {
    std::shared_ptr<io::Operation> operation;
    ByteRangeLock wanted;
};

// ---- oplocks -----------------------------------------------------------------------------------------------------------------

/// The caching that an oplock allows (OPLOCK_LEVEL_CACHE_*).
enum OplockLevel : ULONG { OPLOCK_NONE = 0, OPLOCK_READ = 1, OPLOCK_HANDLE = 2, OPLOCK_WRITE = 4 };

/// By which control code it was asked for.
enum class OplockKind { Level2, Level1, Batch, Filter, Windows7 };

struct Oplock {
    std::shared_ptr<io::Operation> request; ///< null once it has broken
    io::FileObject *file = nullptr; ///< its owner's
    OplockKind kind = OplockKind::Windows7;
    ULONG level = OPLOCK_NONE;
    bool breaking = false; ///< the owner has been told and has not acknowledged yet
    ULONG breaking_to = OPLOCK_NONE;
    bool close_pending = false; ///< the owner said that it will close its handle
};

/// Of one stream.
struct StreamWaits {
    std::vector<ByteRangeLock> locks;
    std::vector<WaitingLock> waiting_locks;
    std::vector<Oplock> oplocks;
    /// Operations (other than creates) that wait for the end of a break. Creates wait in their thread, on the channel `this`.
    std::vector<std::shared_ptr<io::Operation>> waiting_for_break;
};

/// Made when it is first asked for.
inline StreamWaits &waits_of(Node &node) {
    if (!node.waits) {
        node.waits = std::make_shared<StreamWaits>();
    }
    return *node.waits;
}

// ---- directory watches -------------------------------------------------------------------------------------------------------

constexpr ULONG CHANGE_FILE_NAME = 0x1; // FILE_NOTIFY_CHANGE_*
constexpr ULONG CHANGE_DIR_NAME = 0x2;
constexpr ULONG CHANGE_ATTRIBUTES = 0x4;
constexpr ULONG CHANGE_SIZE = 0x8;
constexpr ULONG CHANGE_LAST_WRITE = 0x10;
constexpr ULONG CHANGE_LAST_ACCESS = 0x20;
constexpr ULONG CHANGE_CREATION = 0x40;
constexpr ULONG CHANGE_EA = 0x80;
constexpr ULONG CHANGE_SECURITY = 0x100;

constexpr ULONG ACTION_ADDED = 1; // FILE_ACTION_*
constexpr ULONG ACTION_REMOVED = 2;
constexpr ULONG ACTION_MODIFIED = 3;
constexpr ULONG ACTION_RENAMED_OLD_NAME = 4;
constexpr ULONG ACTION_RENAMED_NEW_NAME = 5;

struct WatchEvent {
    ULONG action = 0; ///< FILE_ACTION_*
    std::u16string name; ///< relative to the watched directory
};

/// Of one open of a directory, from its first notification request to its cleanup.
struct Watch {
    const io::FileObject *file = nullptr;
    std::weak_ptr<void> directory; ///< the Node
    ULONG filter = 0;
    bool tree = false;
    ULONG buffer_bytes = 0; ///< of its first request: what is kept between two requests
    std::vector<WatchEvent> events; ///< since the last request ended
    bool overflow = false;
    std::vector<std::shared_ptr<io::Operation>> requests;
};

// ---- MDL chains --------------------------------------------------------------------------------------------------------------

/// Handed out by MDL_READ or PREPARE_MDL_WRITE, until its _COMPLETE.
struct MdlChain {
    std::unique_ptr<MDL> mdl;
    std::vector<uint8_t> bytes;
    const io::FileObject *file = nullptr;
};

/// Of one volume.
struct VolumeWaits {
    std::vector<std::shared_ptr<Watch>> watches;
    /// Requests that a change has ended, and the thread that made it: that one completes them soon.
    std::vector<std::pair<const Thread *, std::shared_ptr<io::Operation>>> ready;
    std::vector<MdlChain> chains;
};

} // namespace fltsim::fs
