// SPDX-License-Identifier: MIT
//
// This module provides: the current thread and process, identifiers, object types, object references by handle and by pointer, ZwClose.
//
// PETHREAD and PKTHREAD are Thread pointers, PEPROCESS Process pointers, PFILE_OBJECT the address of io::FileObject::native. Processes live as
// long as the world, so their references are not counted.
#include <algorithm>
#include <string>

#include "core/faults.hpp"
#include "io/io_manager.hpp"
#include "ke/process_object.hpp"
#include "ke/state.hpp"
#include "ke/threads.hpp"

using namespace fltsim;

struct _OBJECT_TYPE {
    const char *name;
};

namespace {

_OBJECT_TYPE thread_type{"thread"};
_OBJECT_TYPE process_type{"process"};
_OBJECT_TYPE file_type{"file"};
POBJECT_TYPE thread_type_pointer = &thread_type;
POBJECT_TYPE process_type_pointer = &process_type;
POBJECT_TYPE file_type_pointer = &file_type;

constexpr intptr_t CURRENT_PROCESS = -1;
constexpr intptr_t CURRENT_THREAD = -2;

HANDLE id_handle(uint64_t id) {
    return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id));
}
PETHREAD native(Thread &thread) {
    return reinterpret_cast<PETHREAD>(&thread);
}
PEPROCESS native(Process *process) {
    return reinterpret_cast<PEPROCESS>(process);
}

/// What the handle of a driver names. Null: user mode has no such handle. A driver's own must be right [C4/3C, F5, F6, F7].
std::shared_ptr<fltsim::Object> object_of(HANDLE handle, KPROCESSOR_MODE mode) {
    constexpr const char *kApi = "ObReferenceObjectByHandle";
    const HandleTable &handles = *world().handles;
    std::shared_ptr<fltsim::Object> object = handles.find(handle);
    const bool of_kernel = object != nullptr && handles.is_kernel(handle);
    const bool system = current_thread().process->system;
    if (mode == KernelMode && object == nullptr) {
        bugcheck("OBJECT handle is not open", kApi,
                 handle == nullptr ? "it is null" : "with AccessMode KernelMode a handle is the driver's own");
    }
    if (mode == KernelMode && !of_kernel && !system) {
        bugcheck(
            "OBJECT handle of user mode", kApi,
            "with AccessMode KernelMode any program could name any object: pass UserMode for a handle that came from a "
            "program, and make the driver's own with OBJ_KERNEL_HANDLE");
    }
    if (mode == UserMode && of_kernel) {
        if (system) {
            bugcheck("OBJECT handle of the kernel", kApi, "AccessMode is UserMode, in the System process");
        }
        return nullptr;
    }
    return object;
}

Thread &checked_thread(const char *api, PETHREAD thread) {
    if (thread == nullptr || !world().is_thread(thread)) {
        bugcheck("OBJECT is not a thread", api, "pass a PETHREAD that is referenced or that of a thread that lives");
    }
    return *reinterpret_cast<Thread *>(thread);
}

bool looks_like_file(const void *object) {
    const auto *file = static_cast<const FILE_OBJECT *>(object);
    return file->Type == IO_TYPE_FILE && static_cast<size_t>(file->Size) == sizeof(FILE_OBJECT);
}

/// A volume's, or that of the storage under it.
bool is_device(const void *object) {
    const auto &volumes = world().io->volumes();
    return std::any_of(volumes.begin(), volumes.end(),
                       [&](const auto &volume) { return &volume->device == object || &volume->disk == object; });
}

void reference_file(const char *api, PFILE_OBJECT file) {
    ke::PointerReferences &references = ke::world_state().references[file];
    if (references.count == 0) {
        references.file = io::FileObject::from_native(file);
        if (references.file == nullptr) {
            bugcheck("OBJECT is no longer a file object", api, "reference it while a handle or an operation holds it");
        }
        references.file->reference();
    }
    ++references.count;
}

} // namespace

FLTSIM_KERNEL_DATA POBJECT_TYPE *PsThreadType;
FLTSIM_KERNEL_DATA POBJECT_TYPE *PsProcessType;
FLTSIM_KERNEL_DATA POBJECT_TYPE *IoFileObjectType;
POBJECT_TYPE *PsThreadType = &thread_type_pointer;
POBJECT_TYPE *PsProcessType = &process_type_pointer;
POBJECT_TYPE *IoFileObjectType = &file_type_pointer;

/// IRQL <= DISPATCH_LEVEL. In a DPC: the thread that was interrupted.
FLTSIM_KERNEL_OF_HEADERS PKTHREAD NTAPI KeGetCurrentThread() {
    KernelCall call("KeGetCurrentThread", HIGH_LEVEL);
    return native(current_thread());
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL HANDLE NTAPI PsGetCurrentThreadId() {
    KernelCall call("PsGetCurrentThreadId", DISPATCH_LEVEL);
    return id_handle(current_thread().id);
}

/// Any IRQL.
FLTSIM_KERNEL HANDLE NTAPI PsGetCurrentProcessId() {
    KernelCall call("PsGetCurrentProcessId", HIGH_LEVEL);
    return id_handle(current_thread().process != nullptr ? current_thread().process->id : 0);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL HANDLE NTAPI PsGetThreadId(PETHREAD Thread) {
    KernelCall call("PsGetThreadId", DISPATCH_LEVEL);
    return id_handle(checked_thread("PsGetThreadId", Thread).id);
}

/// Any IRQL.
FLTSIM_KERNEL HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread) {
    KernelCall call("PsGetThreadProcessId", HIGH_LEVEL);
    const Process *process = checked_thread("PsGetThreadProcessId", Thread).process;
    return id_handle(process != nullptr ? process->id : 0);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL HANDLE NTAPI PsGetProcessId(PEPROCESS Process) {
    KernelCall call("PsGetProcessId", DISPATCH_LEVEL);
    if (!world().is_process(Process)) {
        bugcheck("OBJECT is not a process", "PsGetProcessId", "pass a PEPROCESS");
    }
    return id_handle(reinterpret_cast<fltsim::Process *>(Process)->id);
}

/// IRQL <= APC_LEVEL. The thread is referenced. STATUS_INVALID_PARAMETER when there is none with this id (any more).
FLTSIM_KERNEL NTSTATUS NTAPI PsLookupThreadByThreadId(HANDLE ThreadId, PETHREAD *Thread) {
    KernelCall call("PsLookupThreadByThreadId", APC_LEVEL);
    *Thread = nullptr;
    if (const auto failure = failing("PsLookupThreadByThreadId")) {
        return *failure;
    }
    fltsim::Thread *found = world().reference_thread(reinterpret_cast<uintptr_t>(ThreadId));
    if (found == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    if (found->ended || found->borrowed != nullptr) { // a context of the model that runs DPCs is no thread
        found->dereference();
        return STATUS_INVALID_PARAMETER;
    }
    *Thread = native(*found);
    return STATUS_SUCCESS;
}

/// IRQL <= APC_LEVEL. The process is referenced. STATUS_INVALID_CID when there is none with this id (any more).
FLTSIM_KERNEL NTSTATUS NTAPI PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS *Process) {
    constexpr const char *kApi = "PsLookupProcessByProcessId";
    KernelCall call(kApi, APC_LEVEL);
    *Process = nullptr;
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto id = reinterpret_cast<uintptr_t>(ProcessId);
    fltsim::Process *const system = world().system_process();
    fltsim::Process *const found = id == system->id ? system : world().process_by_id(id);
    if (found == nullptr || found->ended) {
        return STATUS_INVALID_CID;
    }
    *Process = native(found);
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL. TRUE from the moment somebody asked the thread to end [CANC-06a].
FLTSIM_KERNEL BOOLEAN NTAPI PsIsThreadTerminating(PETHREAD Thread) {
    KernelCall call("PsIsThreadTerminating", DISPATCH_LEVEL);
    const fltsim::Thread &thread = checked_thread("PsIsThreadTerminating", Thread);
    return thread.terminating || thread.ended ? TRUE : FALSE;
}

/// Any IRQL.
FLTSIM_KERNEL BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread) {
    KernelCall call("PsIsSystemThread", HIGH_LEVEL);
    const Process *process = checked_thread("PsIsSystemThread", Thread).process;
    return process != nullptr && process->system ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL PEPROCESS NTAPI IoThreadToProcess(PETHREAD Thread) {
    KernelCall call("IoThreadToProcess", DISPATCH_LEVEL);
    return native(checked_thread("IoThreadToProcess", Thread).process);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL PEPROCESS NTAPI IoGetCurrentProcess() {
    KernelCall call("IoGetCurrentProcess", DISPATCH_LEVEL);
    return native(current_thread().process);
}

/// IRQL <= DISPATCH_LEVEL. UserMode in a program's thread, but in the services that a driver calls from there (Zw).
FLTSIM_KERNEL KPROCESSOR_MODE NTAPI ExGetPreviousMode() {
    KernelCall call("ExGetPreviousMode", DISPATCH_LEVEL);
    const fltsim::Thread &thread = current_thread();
    const bool program = thread.process != nullptr && !thread.process->system;
    return static_cast<KPROCESSOR_MODE>(program && !thread.in_driver_service ? UserMode : KernelMode);
}

/// IRQL <= DISPATCH_LEVEL. Of the thread that was interrupted when called in a DPC, whatever that thread was doing.
FLTSIM_KERNEL PIRP NTAPI IoGetTopLevelIrp() {
    KernelCall call("IoGetTopLevelIrp", DISPATCH_LEVEL);
    return static_cast<PIRP>(current_thread().top_level_irp);
}

/// A minifilter has no business here: the value belongs to the file system, the cache manager and the memory manager [V19].
FLTSIM_KERNEL void NTAPI IoSetTopLevelIrp(PIRP Irp) {
    KernelCall call("IoSetTopLevelIrp", DISPATCH_LEVEL);
    bugcheck("V19 TopLevelIrp modified", "IoSetTopLevelIrp", "only the file system and its helpers set it");
}

/// IRQL = PASSIVE_LEVEL. STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED (when the fault switch fires), with UserMode STATUS_INVALID_HANDLE.
FLTSIM_KERNEL NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                                       POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                                       PVOID *Object, POBJECT_HANDLE_INFORMATION HandleInformation) {
    KernelCall call("ObReferenceObjectByHandle", PASSIVE_LEVEL);
    *Object = nullptr;
    if (ObjectType == nullptr && AccessMode == UserMode) {
        bugcheck("OBJECT type not checked", "ObReferenceObjectByHandle",
                 "name the type when the handle came from user mode");
    }
    if (HandleInformation != nullptr) {
        *HandleInformation = {};
    }
    if (reinterpret_cast<intptr_t>(Handle) == CURRENT_PROCESS) {
        if (ObjectType != nullptr && ObjectType != &process_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        *Object = current_thread().process;
        return STATUS_SUCCESS;
    }
    if (reinterpret_cast<intptr_t>(Handle) == CURRENT_THREAD) {
        if (ObjectType != nullptr && ObjectType != &thread_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        current_thread().reference();
        *Object = &current_thread();
        return STATUS_SUCCESS;
    }
    if (const auto failure = failing("ObReferenceObjectByHandle")) {
        return *failure;
    }
    const std::shared_ptr<fltsim::Object> object = object_of(Handle, AccessMode);
    if (object == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    if (const auto thread = std::dynamic_pointer_cast<ke::ThreadObject>(object)) {
        if (ObjectType != nullptr && ObjectType != &thread_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        thread->thread()->reference();
        *Object = thread->thread();
        return STATUS_SUCCESS;
    }
    if (const auto process = std::dynamic_pointer_cast<ke::ProcessObject>(object)) {
        if (ObjectType != nullptr && ObjectType != &process_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        *Object = &process->process();
        return STATUS_SUCCESS;
    }
    if (const auto file = std::dynamic_pointer_cast<io::FileObject>(object)) {
        if (ObjectType != nullptr && ObjectType != &file_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        if (HandleInformation != nullptr) {
            HandleInformation->GrantedAccess = file->granted_access;
        }
        reference_file("ObReferenceObjectByHandle", &file->native);
        *Object = &file->native;
        return STATUS_SUCCESS;
    }
    if (ObjectType != nullptr) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    unmodelled("ObReferenceObjectByHandle", std::string("an object of type ") + object->type_name());
}

/// IRQL <= DISPATCH_LEVEL. Threads, processes and file objects. STATUS_OBJECT_TYPE_MISMATCH when the object is not of the type that is named.
FLTSIM_KERNEL NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess,
                                                        POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode) {
    constexpr const char *kApi = "ObReferenceObjectByPointer";
    KernelCall call(kApi, DISPATCH_LEVEL);
    if (Object == nullptr) {
        bugcheck("OBJECT is null", kApi, "pass an object");
    }
    if (world().is_thread(Object)) {
        if (ObjectType != nullptr && ObjectType != &thread_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        static_cast<Thread *>(Object)->reference();
        return STATUS_SUCCESS;
    }
    if (world().is_process(Object)) {
        return ObjectType != nullptr && ObjectType != &process_type ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_SUCCESS;
    }
    if (!looks_like_file(Object)) {
        unmodelled(kApi, "objects other than threads, processes and files");
    }
    if (ObjectType != nullptr && ObjectType != &file_type) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    reference_file(kApi, static_cast<PFILE_OBJECT>(Object));
    return STATUS_SUCCESS;
}

/// IRQL <= DISPATCH_LEVEL. Threads, processes, file objects and the devices of volumes.
FLTSIM_KERNEL LONG_PTR NTAPI ObfReferenceObject(PVOID Object) {
    KernelCall call("ObfReferenceObject", DISPATCH_LEVEL);
    if (Object == nullptr) {
        bugcheck("OBJECT is null", "ObfReferenceObject", "pass an object");
    }
    if (world().is_thread(Object)) {
        static_cast<Thread *>(Object)->reference();
    } else if (is_device(Object)) {
        ++ke::world_state().references[Object].count;
    } else if (!world().is_process(Object)) {
        if (!looks_like_file(Object)) {
            bugcheck("OBJECT of a kind that the model does not know", "ObfReferenceObject",
                     "threads, processes, file objects and the devices of volumes are modelled");
        }
        reference_file("ObfReferenceObject", static_cast<PFILE_OBJECT>(Object));
    }
    return 1;
}

/// IRQL <= DISPATCH_LEVEL. The last reference on a cleaned-up file object has a system thread send IRP_MJ_CLOSE.
FLTSIM_KERNEL LONG_PTR NTAPI ObfDereferenceObject(PVOID Object) {
    KernelCall call("ObfDereferenceObject", DISPATCH_LEVEL);
    if (Object == nullptr) {
        bugcheck("OBJECT is null", "ObfDereferenceObject", "pass an object");
    }
    if (world().is_thread(Object)) {
        static_cast<Thread *>(Object)->dereference();
        return 0;
    }
    if (world().is_process(Object)) {
        return 0;
    }
    auto &all = ke::world_state().references;
    const auto found = all.find(Object);
    if (found == all.end()) {
        bugcheck("OBJECT dereferenced too often", "ObfDereferenceObject", "no reference by pointer is held on it");
    }
    if (--found->second.count > 0) {
        return static_cast<LONG_PTR>(found->second.count);
    }
    const std::shared_ptr<io::FileObject> file = std::move(found->second.file);
    all.erase(found);
    if (file) { // a device is nobody's to end
        file->dereference();
    }
    return 0;
}

/// IRQL = PASSIVE_LEVEL. STATUS_INVALID_HANDLE when it is not open. Closing a file's last handle sends IRP_MJ_CLEANUP.
FLTSIM_KERNEL NTSTATUS NTAPI ZwClose(HANDLE Handle) {
    KernelCall call("ZwClose", PASSIVE_LEVEL);
    const DriverService service;
    return world().handles->close(Handle) ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
}
