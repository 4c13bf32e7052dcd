// SPDX-License-Identifier: MIT
//
// This module provides: the lifetime of operations.

#include "io/operation.hpp"

#include "core/world.hpp"
#include "ke/mdl.hpp"

namespace fltsim::io {

/// The requestor is the thread that makes the operation.
Operation::Operation() {
    if (world_or_null() != nullptr) {
        requestor = &current_thread();
        requestor->reference();
    }
}

PMDL Operation::describe(void *buffer, uint32_t bytes, bool written) {
    mdls.push_back(ke::describe_locked(buffer, bytes, written));
    return mdls.back().get();
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
