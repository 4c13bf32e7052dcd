// SPDX-License-Identifier: MIT
//
// This module provides: FltCancelFileOpen [CRE-02..04]: the filters below and the file system see a cleanup and a close of the file that the
// caller's post-create is about to fail.

#include "flt/internal.hpp"

#include <algorithm>

#include "core/readings.hpp"

namespace fltsim::flt {

namespace {

/// `below`: only instances below this altitude see it.
void send_and_wait(UCHAR major, const std::shared_ptr<io::FileObject> &file, const std::u16string &below) {
    auto operation = std::make_shared<io::Operation>();
    operation->major = major;
    operation->irp_flags = IRP_CLOSE_OPERATION | IRP_SYNCHRONOUS_API;
    operation->requestor_mode = KernelMode;
    operation->file = file;
    operation->volume = file->volume;
    operation->below = below;
    if (world().flt->call(operation) == STATUS_PENDING) {
        world().block(operation.get(), [&] { return operation->state == io::Operation::State::Completed; });
    }
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Undoes a successful create; what it created or overwrote stays. Only inside the post-create callback, before a handle exists; then the
/// callback sets a failing status and Information 0 and returns FLT_POSTOP_FINISHED_PROCESSING. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltCancelFileOpen(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject) {
    constexpr const char *kApi = "FltCancelFileOpen";
    KernelCall kernel(kApi, APC_LEVEL);
    if (executing().irql > PASSIVE_LEVEL && reading<CancelOpenIrql>() == CancelOpenIrql::Passive) {
        bugcheck("V5 IRQL too high", kApi, "called at APC_LEVEL, allowed up to PASSIVE_LEVEL [X06]");
    }
    const auto instance = instance_of(Instance, kApi);
    const auto file = FileObject ? io::FileObject::from_native(FileObject) : nullptr;
    if (!file) {
        bugcheck("VER-02 bad object", kApi, "the PFILE_OBJECT is not one");
    }
    if ((file->native.Flags & FO_HANDLE_CREATED) != 0) {
        bugcheck("F5/6A FltCancelFileOpen impossible", kApi, "handles to the file exist already [CRE-02]");
    }
    const auto &calls = manager().calls;
    const bool in_post_create = std::any_of(calls.begin(), calls.end(), [&](const auto &entry) {
        const CallRecord &call = *entry.second;
        const bool by_worker = reading<CancelOpenByWorker>() == CancelOpenByWorker::Allowed && call.queued;
        return call.kind == CallRecord::Kind::Post && (by_worker || (call.running && call.thread == &executing())) &&
               call.operation->major == IRP_MJ_CREATE && call.operation->file == file && call.instance == instance &&
               NT_SUCCESS(call.operation->io_status.Status) && call.operation->io_status.Status != STATUS_REPARSE;
    });
    if (!in_post_create || (file->native.Flags & FO_FILE_OPEN_CANCELLED) != 0) {
        bugcheck("V12 FltCancelFileOpen misplaced", kApi,
                 "only in the post-create callback of a successful open of this file, once [CRE-02, CRE-04]");
    }
    file->native.Flags |= FO_FILE_OPEN_CANCELLED;
    // The file system needs a cleanup in any case: no filter has an altitude below 0.
    const bool cleanup = reading<CancelledOpenBelow>() == CancelledOpenBelow::CleanupAndClose;
    send_and_wait(IRP_MJ_CLEANUP, file, cleanup ? instance->altitude : u"0");
    send_and_wait(IRP_MJ_CLOSE, file, instance->altitude);
    world().flt->file_closed(*file);
}
