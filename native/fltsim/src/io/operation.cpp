// SPDX-License-Identifier: MIT
//
// This module provides: the lifetime of operations.

#include "io/operation.hpp"

#include "core/world.hpp"

namespace fltsim::io {

/// The requestor is the thread that makes the operation.
Operation::Operation() {
    if (world_or_null() != nullptr) {
        requestor = &current_thread();
        requestor->reference();
    }
}

Operation::~Operation() {
    if (requestor != nullptr) {
        requestor->dereference();
    }
}

IRP *Operation::irp() {
    if (!irp_) {
        irp_ = std::make_unique<IRP>();
    }
    return irp_.get();
}

} // namespace fltsim::io
