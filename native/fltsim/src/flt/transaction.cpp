// SPDX-License-Identifier: MIT
//
// This module provides: the calls with which a filter takes part in transactions, so that drivers that import them are loaded. There are no
// transactions here, no operation belongs to one, and so nothing that can be passed to them is one: each call says so and stops the world. A
// TransactionNotificationCallback is accepted and never called.

#include "flt/internal.hpp"

namespace fltsim::flt {

namespace {

[[noreturn]] void no_transaction(const char *api, PFLT_INSTANCE instance, PKTRANSACTION transaction) {
    instance_of(instance, api);
    if (transaction == nullptr) {
        bugcheck("VER-02 parameter", api,
                 "Transaction is null: FLT_RELATED_OBJECTS has one only where an operation is transacted");
    }
    unmodelled(api, "transactions: FLT_RELATED_OBJECTS.Transaction is always null here, and the pointer came from "
                    "elsewhere");
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetTransactionContext(PFLT_INSTANCE Instance, PKTRANSACTION Transaction,
                                                       FLT_SET_CONTEXT_OPERATION, PFLT_CONTEXT, PFLT_CONTEXT *) {
    KernelCall call("FltSetTransactionContext", APC_LEVEL);
    no_transaction("FltSetTransactionContext", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetTransactionContext(PFLT_INSTANCE Instance, PKTRANSACTION Transaction,
                                                       PFLT_CONTEXT *) {
    KernelCall call("FltGetTransactionContext", APC_LEVEL);
    no_transaction("FltGetTransactionContext", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDeleteTransactionContext(PFLT_INSTANCE Instance, PKTRANSACTION Transaction,
                                                          PFLT_CONTEXT *) {
    KernelCall call("FltDeleteTransactionContext", APC_LEVEL);
    no_transaction("FltDeleteTransactionContext", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltEnlistInTransaction(PFLT_INSTANCE Instance, PKTRANSACTION Transaction, PFLT_CONTEXT,
                                                     NOTIFICATION_MASK) {
    KernelCall call("FltEnlistInTransaction", APC_LEVEL);
    no_transaction("FltEnlistInTransaction", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltRollbackEnlistment(PFLT_INSTANCE Instance, PKTRANSACTION Transaction, PFLT_CONTEXT) {
    KernelCall call("FltRollbackEnlistment", APC_LEVEL);
    no_transaction("FltRollbackEnlistment", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltPrePrepareComplete(PFLT_INSTANCE Instance, PKTRANSACTION Transaction, PFLT_CONTEXT) {
    KernelCall call("FltPrePrepareComplete", APC_LEVEL);
    no_transaction("FltPrePrepareComplete", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltPrepareComplete(PFLT_INSTANCE Instance, PKTRANSACTION Transaction, PFLT_CONTEXT) {
    KernelCall call("FltPrepareComplete", APC_LEVEL);
    no_transaction("FltPrepareComplete", Instance, Transaction);
}

/// IRQL == PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCommitComplete(PFLT_INSTANCE Instance, PKTRANSACTION Transaction, PFLT_CONTEXT) {
    KernelCall call("FltCommitComplete", PASSIVE_LEVEL);
    no_transaction("FltCommitComplete", Instance, Transaction);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCommitFinalizeComplete(PFLT_INSTANCE Instance, PKTRANSACTION Transaction,
                                                        PFLT_CONTEXT) {
    KernelCall call("FltCommitFinalizeComplete", APC_LEVEL);
    no_transaction("FltCommitFinalizeComplete", Instance, Transaction);
}

/// IRQL == PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltRollbackComplete(PFLT_INSTANCE Instance, PKTRANSACTION Transaction, PFLT_CONTEXT) {
    KernelCall call("FltRollbackComplete", PASSIVE_LEVEL);
    no_transaction("FltRollbackComplete", Instance, Transaction);
}
