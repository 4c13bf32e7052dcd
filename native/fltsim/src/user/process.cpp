// SPDX-License-Identifier: MIT
//
// This module provides: client processes and their end [SEQ-24], handles of another process, the file server in System (fltsim.h), DuplicateHandle and
// GetCurrentProcess.
//
//      running -> terminating: threads are terminated, what they wait for is cancelled -> (no operation of theirs is on its way) process notify routines called -> handles closed, each
//      as by CloseHandle -> views unmapped -> ended

#include "fltsim.h"

#include "flt/filter_manager.hpp"
#include "ke/process_notify.hpp"
#include "user/entry.hpp"
#include "user/event.hpp"
#include "user/process_start.hpp"

using namespace fltsim;
using namespace fltsim::user;

namespace {

void terminate_threads(World &w, const Process &process) {
    for (Thread *thread : w.reference_threads(process)) {
        if (!thread->ended && !thread->terminating && thread != &executing()) {
            thread->terminating = true;
            w.io->cancel_thread(*thread);
            w.flt->cancel_messages(nullptr, nullptr, thread);
            w.wake_thread(*thread);
        }
        thread->dereference();
    }
}

/// The last thread of the process.
void exit_process(World &w, Process &process) {
    terminate_threads(w, process);
    w.block(&process, [&] { return w.io->outstanding_of(process) == 0 || w.ending(); });
    ke::notify_of_end(process.parent != nullptr ? *process.parent : *w.system_process(), process);
    w.handles->close_all_of(process);
    w.io->unmap_views_of(process);
    process.section.reset();
    process.ended = true;
    w.note("process " + std::to_string(process.id) + ": ended");
    w.wake(&process);
}

/// Runs `work` in a System thread and waits for its end. False: the world ends.
bool in_system_thread(World &w, const char *name, const std::function<void()> &work) {
    const auto done = std::make_shared<bool>(false);
    Thread *thread = w.spawn(name, w.system_process(), [done, name, work] {
        const KernelCall call(name, PASSIVE_LEVEL);
        work();
        *done = true;
    });
    thread->reference();
    w.block(thread, [&] { return *done || w.ending(); });
    thread->dereference();
    return *done;
}

/// Of FltSimCreateProcess and FltSimStartProcess: false, the process never came to be.
bool start(World &w, const Program &program, uint32_t *id, NTSTATUS *status) {
    Process *made = nullptr;
    *status = start_process(w, program, &made);
    *id = made == nullptr ? 0 : static_cast<uint32_t>(made->id);
    return NT_SUCCESS(*status);
}

} // namespace

void user::end_process(World &world, Process &process) {
    process.terminating = true;
    world.spawn("last thread of process " + std::to_string(process.id), &process, [&world, &process] {
        const KernelCall call("NtTerminateProcess", PASSIVE_LEVEL);
        exit_process(world, process);
    });
}

extern "C" {

int FltSimCreateProcess(FLTSIM_WORLD World, uint32_t *ProcessId) {
    return ProcessId == nullptr ? -1 : in_world(World, "NtCreateUserProcess", [&](fltsim::World &w) {
        NTSTATUS status = STATUS_SUCCESS;
        return start(w, {{}, {}, false}, ProcessId, &status);
    });
}

int FltSimStartProcess(FLTSIM_WORLD World, const char *Image, const char *CommandLine, uint32_t *ProcessId,
                       int32_t *Status) {
    if (ProcessId == nullptr || Status == nullptr) {
        return -1;
    }
    return in_world(World, "NtCreateUserProcess", [&](fltsim::World &w) {
        const std::u16string image = Image == nullptr ? std::u16string() : full_image_name(w, widen(Image));
        if (Image != nullptr && image.empty()) {
            *ProcessId = 0;
            *Status = STATUS_OBJECT_PATH_NOT_FOUND;
            return true;
        }
        (void)start(w, {image, widen(CommandLine), true}, ProcessId, Status);
        return true;
    });
}

int FltSimSetProcessImage(FLTSIM_WORLD World, uint32_t ProcessId, const char *Image) {
    return Image == nullptr ? -1 : in_world(World, "FltSimSetProcessImage", [&](fltsim::World &w) {
        Process *process = ProcessId == 0 ? w.client_process() : w.process_by_id(ProcessId);
        std::u16string image = full_image_name(w, widen(Image));
        if (process == nullptr || image.empty()) {
            return false;
        }
        process->set_image(std::move(image));
        return true;
    });
}

int FltSimEnterProcess(FLTSIM_WORLD World, uint32_t ProcessId) {
    return in_world(World, "FltSimEnterProcess", [&](fltsim::World &w) {
        Process *process = w.process_by_id(ProcessId);
        if (process == nullptr || process->terminating) {
            return false;
        }
        executing().process = process;
        return true;
    });
}

int FltSimTerminateProcess(FLTSIM_WORLD World, uint32_t ProcessId) {
    return in_world(World, "NtTerminateProcess", [&](fltsim::World &w) {
        Process *process = w.process_by_id(ProcessId);
        if (process == nullptr) {
            return false;
        }
        if (!process->terminating) {
            w.note("process " + std::to_string(process->id) + ": terminated");
            end_process(w, *process);
        }
        return true;
    });
}

int FltSimWaitForProcess(FLTSIM_WORLD World, uint32_t ProcessId, uint32_t TimeoutMs) {
    bool ended = false;
    const int entered = in_world(World, "NtWaitForSingleObject", [&](fltsim::World &w) {
        Process *process = w.process_by_id(ProcessId);
        if (process == nullptr) {
            return false;
        }
        w.block(process, [&] { return process->ended || w.ending(); }, deadline_after(TimeoutMs));
        ended = process->ended;
        return true;
    });
    return entered != 0 ? -1 : ended ? 1 : 0;
}

int FltSimDuplicateHandle(FLTSIM_WORLD World, void *Handle, uint32_t ProcessId, void **NewHandle) {
    return NewHandle == nullptr ? -1 : in_world(World, "NtDuplicateObject", [&](fltsim::World &w) {
        Process *process = w.process_by_id(ProcessId);
        const auto object = w.handles->find(Handle);
        if (process == nullptr || process->terminating || !object) {
            return false;
        }
        *NewHandle = w.handles->insert(object, false, process);
        return true;
    });
}

int FltSimServerTransfer(FLTSIM_WORLD World, void *Handle, int Write, uint64_t Offset, void *Buffer, uint32_t Bytes,
                         uint32_t *Transferred, int32_t *Status) {
    if (Buffer == nullptr || Transferred == nullptr || Status == nullptr) {
        return -1;
    }
    return in_world(World, "file server", [&](fltsim::World &w) {
        const auto file = w.handles->find_as<io::FileObject>(Handle);
        if (!file) {
            return false;
        }
        IO_STATUS_BLOCK iosb{};
        const bool done = in_system_thread(w, "file server worker", [&] {
            *Status = Write != 0 ? w.io->server_write(*file, Buffer, Bytes, static_cast<int64_t>(Offset), &iosb)
                                 : w.io->server_read(*file, Buffer, Bytes, static_cast<int64_t>(Offset), &iosb);
        });
        *Transferred = static_cast<uint32_t>(iosb.Information);
        return done;
    });
}

int FltSimPagingFileIo(FLTSIM_WORLD World, int Write, uint64_t Offset, void *Buffer, uint32_t Bytes, int32_t *Status) {
    if (Buffer == nullptr || Status == nullptr) {
        return -1;
    }
    return in_world(World, "paging file", [&](fltsim::World &w) {
        return in_system_thread(w, "modified page writer",
                                [&] { *Status = w.io->paging_file_io(Write != 0, Offset, Buffer, Bytes); });
    });
}

int FltSimWriteMappedPages(FLTSIM_WORLD World) {
    return in_world(World, "MmFlushAllPages", [](fltsim::World &w) {
        w.io->write_mapped_pages_now();
        return true;
    });
}

} // extern "C"

FLTSIM_USER HANDLE GetCurrentProcess(void) {
    return reinterpret_cast<HANDLE>(intptr_t{-1});
}

/// A second handle to the same object, with the same access. ERROR_NOT_SUPPORTED for process handles other than GetCurrentProcess() and for another
/// access than the source's.
FLTSIM_USER BOOL DuplicateHandle(HANDLE hSourceProcessHandle, HANDLE hSourceHandle, HANDLE hTargetProcessHandle,
                                 LPHANDLE lpTargetHandle, DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwOptions) {
    if (hSourceProcessHandle != GetCurrentProcess() || hTargetProcessHandle != GetCurrentProcess() ||
        (dwOptions & DUPLICATE_SAME_ACCESS) == 0) {
        return fail(ERROR_NOT_SUPPORTED);
    }
    const auto world = world_for_handle(hSourceHandle);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    HANDLE made = nullptr;
    const bool entered = enter(world, "NtDuplicateObject", [&](World &w) {
        const auto object = w.handles->find(hSourceHandle);
        if (!object) {
            status = STATUS_INVALID_HANDLE;
            return;
        }
        if (lpTargetHandle != nullptr) {
            made = w.handles->insert(object);
        }
        if ((dwOptions & DUPLICATE_CLOSE_SOURCE) != 0) {
            w.handles->close(hSourceHandle);
        }
    });
    if (!entered || result(status) == FALSE) {
        return FALSE;
    }
    if (lpTargetHandle != nullptr) {
        *lpTargetHandle = made;
    }
    return TRUE;
}
