// SPDX-License-Identifier: MIT
//
// This module provides: opportunistic locks [SEQ-19]: requests, breaks, acknowledgements.
//
//      granted (the request's IRP waits) --break, no acknowledgement needed--> gone
//                                        --break--> breaking --acknowledged--> gone, or granted again at the lower level
//                                                            --owner's cleanup--> gone
//
// Which operation breaks what, and who waits, is what the pages on IRP_MJ_CREATE, READ, WRITE, SET_INFORMATION and LOCK_CONTROL say for each type. An
// oplock key is the open's own: two opens never share one. The broken request completes in the thread of the operation that broke it; operations that
// wait for an acknowledgement go on in a worker, creates in their own thread.

#include "fs/memfs.hpp"
#include "fs/waits.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::fs {

namespace {

constexpr ULONG BROKEN_TO_LEVEL_2 = 7; // FILE_OPLOCK_BROKEN_TO_LEVEL_2
constexpr ULONG BROKEN_TO_NONE = 8; // FILE_OPLOCK_BROKEN_TO_NONE
constexpr ULONG INPUT_REQUEST = 1; // REQUEST_OPLOCK_INPUT_FLAG_*
constexpr ULONG INPUT_ACK = 2;
constexpr ULONG OUTPUT_ACK_REQUIRED = 1; // REQUEST_OPLOCK_OUTPUT_FLAG_*

struct RequestInput { ///< REQUEST_OPLOCK_INPUT_BUFFER
    uint16_t version;
    uint16_t length;
    uint32_t requested_level;
    uint32_t flags;
};
static_assert(sizeof(RequestInput) == 12);

struct RequestOutput { ///< REQUEST_OPLOCK_OUTPUT_BUFFER
    uint16_t version;
    uint16_t length;
    uint32_t original_level;
    uint32_t new_level;
    uint32_t flags;
    uint32_t access_mode;
    uint16_t share_mode;
    uint16_t reserved;
};
static_assert(sizeof(RequestOutput) == 24);

using OperationPointer = std::shared_ptr<io::Operation>;

/// What an operation does to one oplock.
struct Break {
    bool breaks = false;
    ULONG to = OPLOCK_NONE;
    bool acknowledge = false; ///< the owner has to
    bool wait = false; ///< the operation waits for it
};

constexpr Break NO_BREAK{};
constexpr Break TO_NONE_AT_ONCE{true, OPLOCK_NONE, false, false};

Break wait_for(ULONG level) {
    return {true, level, true, true};
}

bool has(const Oplock &oplock, ULONG level) {
    return (oplock.level & level) != 0;
}

bool exclusive(const Oplock &oplock) {
    return has(oplock, OPLOCK_WRITE) || oplock.kind == OplockKind::Filter;
}

/// Data or size changes: everything goes; owners of a read-handle oplock acknowledge, but nobody waits for them.
Break by_change(const Oplock &oplock) {
    if (exclusive(oplock)) {
        return wait_for(OPLOCK_NONE);
    }
    return has(oplock, OPLOCK_HANDLE) ? Break{true, OPLOCK_NONE, true, false} : TO_NONE_AT_ONCE;
}

Break by_read(const Oplock &oplock) {
    return has(oplock, OPLOCK_WRITE) && oplock.kind != OplockKind::Filter ? wait_for(oplock.level & ~OPLOCK_WRITE)
                                                                          : NO_BREAK;
}

/// The name changes or goes: the right to keep handles open goes. Legacy oplocks that cache handles (batch, filter) end altogether.
Break by_name_change(const Oplock &oplock, bool deletes) {
    if (!has(oplock, OPLOCK_HANDLE)) {
        return NO_BREAK;
    }
    if (oplock.kind == OplockKind::Windows7) {
        return wait_for(oplock.level & ~OPLOCK_HANDLE);
    }
    return deletes ? NO_BREAK : wait_for(OPLOCK_NONE);
}

Break by_set_information(const Oplock &oplock, const io::Operation &operation) {
    const auto &parameters = operation.parameters.SetFileInformation;
    switch (parameters.FileInformationClass) {
    case FileEndOfFileInformation:
    case FileAllocationInformation:
    case FileValidDataLengthInformation:
        return parameters.AdvanceOnly ? NO_BREAK : by_change(oplock);
    case FileRenameInformation:
    case FileRenameInformationEx:
    case FileShortNameInformation:
    case FileLinkInformation:
        return by_name_change(oplock, false);
    case FileDispositionInformation:
    case FileDispositionInformationEx:
        return *static_cast<const uint8_t *>(parameters.InfoBuffer) != 0 ? by_name_change(oplock, true) : NO_BREAK;
    default:
        return NO_BREAK;
    }
}

Break by_operation(const Oplock &oplock, const io::Operation &operation) {
    switch (operation.major) {
    case IRP_MJ_READ:
        return by_read(oplock);
    case IRP_MJ_WRITE:
        return by_change(oplock);
    case IRP_MJ_LOCK_CONTROL:
        return oplock.kind == OplockKind::Filter ? NO_BREAK : by_change(oplock);
    case IRP_MJ_SET_INFORMATION:
        return by_set_information(oplock, operation);
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        return operation.parameters.FileSystemControl.Common.FsControlCode == FSCTL_SET_ZERO_DATA ? by_change(oplock)
                                                                                                  : NO_BREAK;
    default:
        return NO_BREAK;
    }
}

struct CreateFacts {
    bool overwrites = false;
    bool reserves = false; ///< FILE_RESERVE_OPFILTER
    bool attributes_only = false;
    bool sharing_violation = false;
    ACCESS_MASK access = 0;
    ULONG share = 0;
};

Break by_create(const Oplock &oplock, const CreateFacts &create) {
    const bool to_none = create.overwrites || create.reserves;
    if (create.attributes_only && !to_none) {
        return NO_BREAK;
    }
    constexpr ACCESS_MASK NOT_WRITABLE = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | FILE_READ_DATA | FILE_READ_EA |
                                         FILE_EXECUTE | SYNCHRONIZE | READ_CONTROL;
    switch (oplock.kind) {
    case OplockKind::Filter: {
        const bool writes = (create.access & ~NOT_WRITABLE) != 0 || create.overwrites;
        return writes || (create.share & FILE_SHARE_READ) == 0 ? wait_for(OPLOCK_NONE) : NO_BREAK;
    }
    case OplockKind::Batch: // before sharing is checked
        return wait_for(to_none ? OPLOCK_NONE : OPLOCK_READ);
    case OplockKind::Level1:
        return create.sharing_violation ? NO_BREAK : wait_for(to_none ? OPLOCK_NONE : OPLOCK_READ);
    case OplockKind::Level2:
        return to_none && !create.sharing_violation ? TO_NONE_AT_ONCE : NO_BREAK;
    case OplockKind::Windows7:
        break;
    }
    if (create.sharing_violation) {
        return has(oplock, OPLOCK_HANDLE) ? wait_for(oplock.level & ~OPLOCK_HANDLE) : NO_BREAK;
    }
    if (has(oplock, OPLOCK_WRITE)) {
        return wait_for(to_none ? OPLOCK_NONE : oplock.level & ~OPLOCK_WRITE);
    }
    if (!to_none) {
        return NO_BREAK;
    }
    return has(oplock, OPLOCK_HANDLE) ? Break{true, OPLOCK_NONE, true, false} : TO_NONE_AT_ONCE;
}

/// The request's answer. It is the caller's to complete.
void answer_request(Oplock &oplock, ULONG level, bool acknowledge) {
    io::Operation &request = *oplock.request;
    request.cancel_routine = nullptr;
    if (oplock.kind != OplockKind::Windows7) {
        request.io_status.Information = (level & OPLOCK_READ) != 0 ? BROKEN_TO_LEVEL_2 : BROKEN_TO_NONE;
        return;
    }
    RequestOutput output{};
    output.version = 1;
    output.length = sizeof output;
    output.original_level = oplock.level;
    output.new_level = level;
    output.flags = acknowledge ? OUTPUT_ACK_REQUIRED : 0;
    memcpy(request.system_buffer.data(), &output, sizeof output);
    request.io_status.Information = sizeof output;
}

struct Outcome {
    bool wait = false;
    std::vector<OperationPointer> broken; ///< requests to be completed with STATUS_SUCCESS
};

/// Starts the breaks that `judge` asks for. `same_file` breaks no oplock of its own, but for level 2 ones [pages on IRP_MJ_WRITE, ...].
template <class Judge> Outcome start_breaks(StreamWaits &waits, const io::FileObject *same_file, const Judge &judge) {
    Outcome outcome;
    for (auto at = waits.oplocks.begin(); at != waits.oplocks.end();) {
        Oplock &oplock = *at;
        if (oplock.file == same_file && oplock.kind != OplockKind::Level2) {
            ++at;
            continue;
        }
        const Break effect = judge(oplock);
        if (!effect.breaks) {
            ++at;
            continue;
        }
        outcome.wait = outcome.wait || effect.wait;
        if (oplock.breaking) {
            oplock.breaking_to &= effect.to;
            ++at;
            continue;
        }
        answer_request(oplock, effect.to, effect.acknowledge);
        outcome.broken.push_back(std::move(oplock.request));
        if (effect.acknowledge) {
            oplock.breaking = true;
            oplock.breaking_to = effect.to;
            ++at;
        } else {
            at = waits.oplocks.erase(at);
        }
    }
    return outcome;
}

bool break_under_way(const StreamWaits &waits) {
    return std::ranges::any_of(waits.oplocks, [](const Oplock &oplock) { return oplock.breaking; });
}

bool valid_level(ULONG level) {
    return level == OPLOCK_READ || level == (OPLOCK_READ | OPLOCK_HANDLE) || level == (OPLOCK_READ | OPLOCK_WRITE) ||
           level == (OPLOCK_READ | OPLOCK_HANDLE | OPLOCK_WRITE);
}

} // namespace

/// A break has ended: who waited for it looks again.
void MemFileSystem::oplock_break_ended(const std::shared_ptr<StreamWaits> &waits) {
    manager_.world.wake(waits.get());
    const auto waiting = std::move(waits->waiting_for_break);
    waits->waiting_for_break.clear();
    for (const OperationPointer &operation : waiting) {
        operation->cancel_routine = nullptr;
        if (operation->major == IRP_MJ_FILE_SYSTEM_CONTROL &&
            operation->parameters.FileSystemControl.Common.FsControlCode == FSCTL_OPLOCK_BREAK_NOTIFY) {
            complete_waiting(operation, STATUS_SUCCESS);
        } else {
            run_on_worker(operation, FSRTL_FSP_TOP_LEVEL_IRP);
        }
    }
}

NTSTATUS MemFileSystem::wait_for_break(const OperationPointer &operation, const std::shared_ptr<StreamWaits> &waits) {
    if (operation->cancel_requested) {
        return STATUS_CANCELLED;
    }
    waits->waiting_for_break.push_back(operation);
    operation->cancel_routine = [this, waits, waiting = operation.get()] {
        auto &list = waits->waiting_for_break;
        const auto at = std::ranges::find(list, waiting, [](const auto &entry) { return entry.get(); });
        const OperationPointer cancelled = *at;
        list.erase(at);
        complete_waiting(cancelled, STATUS_CANCELLED);
    };
    return STATUS_PENDING;
}

NTSTATUS MemFileSystem::check_oplocks(const OperationPointer &operation) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || !node->waits || node->waits->oplocks.empty() || operation->major == IRP_MJ_CREATE ||
        (operation->irp_flags & IRP_PAGING_IO) != 0) {
        return STATUS_SUCCESS;
    }
    const auto waits = node->waits;
    const Outcome outcome = start_breaks(*waits, operation->file.get(),
                                         [&](const Oplock &oplock) { return by_operation(oplock, *operation); });
    NTSTATUS status = STATUS_SUCCESS;
    if (outcome.wait) {
        status = wait_for_break(operation, waits); // in the list before anybody can acknowledge
    }
    for (const OperationPointer &request : outcome.broken) {
        complete_waiting(request, STATUS_SUCCESS);
    }
    return status;
}

/// False: this read or write would break an oplock, so it comes as an IRP.
bool MemFileSystem::oplocks_allow_fast_io(const io::Operation &operation) {
    const Node *node = node_of(*operation.file);
    if (!node->waits) {
        return true;
    }
    return std::ranges::none_of(node->waits->oplocks, [&](const Oplock &oplock) {
        const bool own = oplock.file == operation.file.get() && oplock.kind != OplockKind::Level2;
        return !own && by_operation(oplock, operation).breaks;
    });
}

NTSTATUS MemFileSystem::check_oplocks_of_create(io::Operation &operation, Node &node, bool sharing_violation) {
    if (!node.waits || node.waits->oplocks.empty()) {
        return STATUS_SUCCESS;
    }
    constexpr unsigned DISPOSITION_SHIFT = 24;
    const ULONG options = operation.parameters.Create.Options;
    const ULONG disposition = options >> DISPOSITION_SHIFT;
    CreateFacts create;
    create.overwrites =
        disposition == FILE_SUPERSEDE || disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF;
    create.reserves = (options & FILE_RESERVE_OPFILTER) != 0;
    create.access = operation.file->granted_access;
    create.share = operation.file->share_access;
    constexpr ACCESS_MASK HARMLESS = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE;
    create.attributes_only = (create.access & ~HARMLESS) == 0;
    create.sharing_violation = sharing_violation;
    const auto waits = node.waits;
    const bool goes_on = (options & FILE_COMPLETE_IF_OPLOCKED) != 0;
    for (;;) {
        const Outcome outcome =
            start_breaks(*waits, operation.file.get(), [&](const Oplock &oplock) { return by_create(oplock, create); });
        for (const OperationPointer &request : outcome.broken) {
            complete_waiting(request, STATUS_SUCCESS);
        }
        if (!outcome.wait) {
            return STATUS_SUCCESS;
        }
        if (goes_on) {
            return STATUS_OPLOCK_BREAK_IN_PROGRESS;
        }
        const auto still_due = [&] {
            return std::ranges::any_of(waits->oplocks, [&](const Oplock &oplock) {
                return oplock.breaking && by_create(oplock, create).wait;
            });
        };
        World &world = manager_.world;
        operation.cancel_routine = [&world, key = waits.get()] { world.wake(key); };
        const bool ended = world.block(waits.get(), [&] { return !still_due() || operation.cancel_requested; });
        operation.cancel_routine = nullptr;
        if (!ended || operation.cancel_requested) {
            return STATUS_CANCELLED;
        }
    }
}

NTSTATUS MemFileSystem::grant_oplock(const OperationPointer &operation, OplockKind kind, ULONG level) {
    const auto waits = std::static_pointer_cast<Node>(operation->file->fcb)->waits;
    if (operation->cancel_requested) {
        return STATUS_CANCELLED;
    }
    Oplock oplock;
    oplock.request = operation;
    oplock.file = operation->file.get();
    oplock.kind = kind;
    oplock.level = level;
    waits->oplocks.push_back(std::move(oplock));
    operation->cancel_routine = [this, waits, waiting = operation.get()] {
        const auto at =
            std::ranges::find(waits->oplocks, waiting, [](const Oplock &entry) { return entry.request.get(); });
        const OperationPointer cancelled = at->request;
        waits->oplocks.erase(at);
        complete_waiting(cancelled, STATUS_CANCELLED);
        oplock_break_ended(waits);
    };
    return STATUS_PENDING;
}

/// What requests of all types have in common: the stream, the handle, the other opens.
NTSTATUS MemFileSystem::may_request_oplock(const io::Operation &operation, bool shared) {
    Node *node = node_of(*operation.file);
    if (node == nullptr || node->directory) {
        return STATUS_INVALID_PARAMETER;
    }
    if (operation.file->synchronous) {
        return STATUS_OPLOCK_NOT_GRANTED; // its thread would wait in the request
    }
    const StreamWaits &waits = waits_of(*node);
    if (break_under_way(waits)) {
        return STATUS_OPLOCK_NOT_GRANTED;
    }
    const bool alone = node->handles == 1;
    return (shared ? waits.locks.empty() : alone) ? STATUS_SUCCESS : STATUS_OPLOCK_NOT_GRANTED;
}

NTSTATUS MemFileSystem::request_legacy_oplock(const OperationPointer &operation, const ControlBuffers &) {
    const ULONG code = operation->parameters.FileSystemControl.Common.FsControlCode;
    const OplockKind kind = code == FSCTL_REQUEST_OPLOCK_LEVEL_2   ? OplockKind::Level2
                            : code == FSCTL_REQUEST_OPLOCK_LEVEL_1 ? OplockKind::Level1
                            : code == FSCTL_REQUEST_BATCH_OPLOCK   ? OplockKind::Batch
                                                                   : OplockKind::Filter;
    const bool shared = kind == OplockKind::Level2;
    const NTSTATUS allowed = may_request_oplock(*operation, shared);
    if (!NT_SUCCESS(allowed)) {
        return allowed;
    }
    const auto waits = node_of(*operation->file)->waits;
    const bool fits = std::ranges::all_of(waits->oplocks, [&](const Oplock &oplock) {
        return shared ? oplock.level == OPLOCK_READ : oplock.kind == OplockKind::Level2;
    });
    if (!fits) {
        return STATUS_OPLOCK_NOT_GRANTED;
    }
    std::vector<OperationPointer> broken;
    if (!shared) { // a level 2 oplock of the same handle ends
        broken = start_breaks(*waits, nullptr, [](const Oplock &) { return TO_NONE_AT_ONCE; }).broken;
    }
    const ULONG level = shared                       ? OPLOCK_READ
                        : kind == OplockKind::Level1 ? OPLOCK_READ | OPLOCK_WRITE
                        : kind == OplockKind::Batch  ? OPLOCK_READ | OPLOCK_WRITE | OPLOCK_HANDLE
                                                     : OPLOCK_READ | OPLOCK_HANDLE;
    const NTSTATUS status = grant_oplock(operation, kind, level);
    for (const OperationPointer &request : broken) {
        complete_waiting(request, STATUS_SUCCESS);
    }
    return status;
}

NTSTATUS MemFileSystem::request_oplock(const OperationPointer &operation, const ControlBuffers &buffers) {
    RequestInput input{};
    if (buffers.input_bytes < sizeof input) {
        return STATUS_INVALID_PARAMETER;
    }
    if (buffers.output_bytes < sizeof(RequestOutput)) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    memcpy(&input, buffers.input, sizeof input);
    const bool asks = (input.flags & INPUT_REQUEST) != 0;
    if (input.version != 1 || asks == ((input.flags & INPUT_ACK) != 0) ||
        (asks && !valid_level(input.requested_level))) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!asks) {
        return acknowledge_windows7(operation, input.requested_level);
    }
    const ULONG level = input.requested_level;
    const bool writes = (level & OPLOCK_WRITE) != 0;
    const NTSTATUS allowed = may_request_oplock(*operation, !writes);
    if (!NT_SUCCESS(allowed)) {
        return allowed;
    }
    const auto waits = node_of(*operation->file)->waits;
    std::vector<OperationPointer> switched;
    for (const Oplock &oplock : waits->oplocks) {
        const bool own = oplock.file == operation->file.get() && oplock.kind == OplockKind::Windows7;
        const bool coexists = !writes && !exclusive(oplock) &&
                              !(oplock.kind == OplockKind::Level2 && (level & OPLOCK_HANDLE) != 0) &&
                              !(own && (oplock.level & ~level) != 0);
        const bool upgrades = own && (oplock.level & ~level) == 0;
        if (!coexists && !upgrades) {
            return STATUS_OPLOCK_NOT_GRANTED;
        }
    }
    std::erase_if(waits->oplocks, [&](Oplock &oplock) {
        const bool own = oplock.file == operation->file.get() && oplock.kind == OplockKind::Windows7;
        if (own) { // the new request takes its place
            oplock.request->cancel_routine = nullptr;
            switched.push_back(std::move(oplock.request));
        }
        return own;
    });
    const NTSTATUS status = grant_oplock(operation, OplockKind::Windows7, level);
    for (const OperationPointer &request : switched) {
        complete_waiting(request, STATUS_OPLOCK_SWITCHED_TO_NEW_HANDLE);
    }
    return status;
}

NTSTATUS MemFileSystem::acknowledge_windows7(const OperationPointer &operation, ULONG level) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || !node->waits) {
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    }
    const auto waits = node->waits;
    const auto found = std::ranges::find_if(waits->oplocks, [&](const Oplock &oplock) {
        return oplock.file == operation->file.get() && oplock.kind == OplockKind::Windows7 && oplock.breaking;
    });
    if (found == waits->oplocks.end() || (level & ~found->breaking_to) != 0 ||
        (level != OPLOCK_NONE && (!valid_level(level) || operation->file->synchronous))) {
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    }
    waits->oplocks.erase(found);
    const NTSTATUS status =
        level == OPLOCK_NONE ? STATUS_SUCCESS : grant_oplock(operation, OplockKind::Windows7, level);
    oplock_break_ended(waits);
    return status;
}

NTSTATUS MemFileSystem::acknowledge_legacy(const OperationPointer &operation, const ControlBuffers &) {
    Node *node = node_of(*operation->file);
    if (node == nullptr || !node->waits) {
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    }
    const auto waits = node->waits;
    const auto found = std::ranges::find_if(waits->oplocks, [&](const Oplock &oplock) {
        return oplock.file == operation->file.get() && oplock.kind != OplockKind::Windows7 && oplock.breaking &&
               !oplock.close_pending;
    });
    if (found == waits->oplocks.end()) {
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    }
    const ULONG code = operation->parameters.FileSystemControl.Common.FsControlCode;
    if (code == FSCTL_OPBATCH_ACK_CLOSE_PENDING && found->kind != OplockKind::Level1) {
        found->close_pending = true; // who waits goes on waiting until the handle is closed
        return STATUS_SUCCESS;
    }
    const bool keeps = code == FSCTL_OPLOCK_BREAK_ACKNOWLEDGE && found->breaking_to != OPLOCK_NONE;
    waits->oplocks.erase(found);
    const NTSTATUS status = keeps ? grant_oplock(operation, OplockKind::Level2, OPLOCK_READ) : STATUS_SUCCESS;
    oplock_break_ended(waits);
    return status;
}

NTSTATUS MemFileSystem::wait_for_oplock_break(const OperationPointer &operation, const ControlBuffers &) {
    const Node *node = node_of(*operation->file);
    if (node == nullptr || node->directory) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!node->waits || !break_under_way(*node->waits)) {
        return STATUS_SUCCESS;
    }
    return wait_for_break(operation, node->waits);
}

void MemFileSystem::drop_oplocks(io::FileObject &file) {
    const Node *node = node_of(file);
    if (node == nullptr || !node->waits) {
        return;
    }
    const auto waits = node->waits;
    std::vector<std::pair<OperationPointer, NTSTATUS>> ended;
    const size_t dropped = std::erase_if(waits->oplocks, [&](Oplock &oplock) {
        const bool its = oplock.file == &file;
        if (its && oplock.request) {
            answer_request(oplock, OPLOCK_NONE, false);
            ended.emplace_back(std::move(oplock.request),
                               oplock.kind == OplockKind::Windows7 ? STATUS_OPLOCK_HANDLE_CLOSED : STATUS_SUCCESS);
        }
        return its;
    });
    for (const auto &[request, status] : ended) {
        complete_waiting(request, status);
    }
    if (dropped != 0) {
        oplock_break_ended(waits);
    }
}

} // namespace fltsim::fs
