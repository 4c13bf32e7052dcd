// SPDX-License-Identifier: MIT
//
// This module provides: timeouts of user-mode waits, and what each simulated thread is doing at a file, for CancelSynchronousIo.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "io/io_manager.hpp"

namespace fltsim::user {

/// Interrupt time (100 ns) at which a wait that starts now ends; nothing for INFINITE. Inside a world.
std::optional<uint64_t> deadline_after(uint32_t timeoutMs);

/// RAII: the executing thread is inside a synchronous call on `file`. Asynchronous handles are not recorded: a cancellation by thread must
/// not reach the operations that other calls have started on them.
class CurrentIo {
public:
    explicit CurrentIo(const std::shared_ptr<io::FileObject> &file);
    ~CurrentIo();
    CurrentIo(const CurrentIo &) = delete;
    CurrentIo &operator=(const CurrentIo &) = delete;
    /// The file at which `thread` is, or null.
    static std::shared_ptr<io::FileObject> of(const Thread *thread);

private:
    const Thread *thread_;
};

} // namespace fltsim::user
