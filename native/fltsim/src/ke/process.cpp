// SPDX-License-Identifier: MIT
//
// This module provides: the names of processes' executables (SeLocateProcessImageName, PsGetProcessImageFileName, ZwQueryInformationProcess) and handles
// of processes, threads and files that a driver makes (ZwOpenProcess, ObOpenObjectByPointer).
#include <cstring>
#include <string>

#include "core/faults.hpp"
#include "io/io_manager.hpp"
#include "ke/pool.hpp"
#include "ke/process_object.hpp"
#include "ke/threads.hpp"

using namespace fltsim;

namespace {

constexpr uint32_t IMAGE_NAME_TAG = 0x6D4E6D49; // "ImNm"

fltsim::Process &checked_process(const char *api, const void *process) {
    if (!world().is_process(process)) {
        bugcheck("OBJECT is not a process", api, "pass a PEPROCESS");
    }
    return *static_cast<fltsim::Process *>(const_cast<void *>(process));
}

/// A UNICODE_STRING with its terminated text behind it.
size_t bytes_with_text(const std::u16string &text) {
    return sizeof(UNICODE_STRING) + (text.size() + 1) * sizeof(WCHAR);
}

void put_with_text(void *buffer, const std::u16string &text) {
    auto *const string = static_cast<UNICODE_STRING *>(buffer);
    string->Length = static_cast<USHORT>(text.size() * sizeof(WCHAR));
    string->MaximumLength = static_cast<USHORT>(string->Length + sizeof(WCHAR));
    string->Buffer = reinterpret_cast<PWSTR>(string + 1);
    std::memcpy(string->Buffer, text.c_str(), string->MaximumLength);
}

/// What a handle is made of that names the object.
std::shared_ptr<Object> handle_object(const char *api, void *object, POBJECT_TYPE *type) {
    if (world().is_process(object)) {
        *type = *PsProcessType;
        return std::make_shared<ke::ProcessObject>(checked_process(api, object));
    }
    if (world().is_thread(object)) {
        *type = *PsThreadType;
        return std::make_shared<ke::ThreadObject>(*static_cast<Thread *>(object));
    }
    const auto file = io::FileObject::from_native(static_cast<PFILE_OBJECT>(object));
    if (file == nullptr) {
        unmodelled(api, "objects other than processes, threads and files");
    }
    if (file->cleanup_done) {
        unmodelled(api, "a file object whose last handle is closed");
    }
    *type = *IoFileObjectType;
    return file;
}

} // namespace

void ke::check_not_for_stranger(const char *api, ULONG handle_attributes) {
    if ((handle_attributes & OBJ_KERNEL_HANDLE) == 0 && !current_thread().process->system) {
        bugcheck("V24 handle for a stranger", api,
                 "without OBJ_KERNEL_HANDLE the handle belongs to the process of the thread that the driver happens to "
                 "run in");
    }
}

/// IRQL = PASSIVE_LEVEL. The full NT name, in one block of pool with the string; empty for System. The caller frees it. STATUS_INSUFFICIENT_RESOURCES.
FLTSIM_KERNEL NTSTATUS NTAPI SeLocateProcessImageName(PEPROCESS Process, PUNICODE_STRING *pImageFileName) {
    constexpr const char *kApi = "SeLocateProcessImageName";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const fltsim::Process &process = checked_process(kApi, Process);
    if (pImageFileName == nullptr) {
        bugcheck("VER-02 parameter", kApi, "pImageFileName is null");
    }
    *pImageFileName = nullptr;
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    void *const block = pool::allocate(kApi, PagedPool, bytes_with_text(process.image), IMAGE_NAME_TAG);
    if (block == nullptr) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    put_with_text(block, process.image);
    *pImageFileName = static_cast<PUNICODE_STRING>(block);
    return STATUS_SUCCESS;
}

/// Any IRQL. Valid as long as the process.
FLTSIM_KERNEL PUCHAR NTAPI PsGetProcessImageFileName(PEPROCESS Process) {
    constexpr const char *kApi = "PsGetProcessImageFileName";
    KernelCall call(kApi, HIGH_LEVEL);
    return reinterpret_cast<PUCHAR>(checked_process(kApi, Process).short_name.data());
}

/// IRQL = PASSIVE_LEVEL. ProcessImageFileName alone. STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH; STATUS_INFO_LENGTH_MISMATCH when the name with its string
/// and terminator does not fit, with the bytes that it needs in ReturnLength.
FLTSIM_KERNEL NTSTATUS NTAPI ZwQueryInformationProcess(HANDLE ProcessHandle, PROCESSINFOCLASS ProcessInformationClass,
                                                       PVOID ProcessInformation, ULONG ProcessInformationLength,
                                                       PULONG ReturnLength) {
    constexpr const char *kApi = "ZwQueryInformationProcess";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    if (ProcessInformationClass != ProcessImageFileName) {
        unmodelled(kApi, "information class " + std::to_string(ProcessInformationClass));
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const fltsim::Process *process = current_thread().process;
    if (ProcessHandle != NtCurrentProcess()) {
        const auto object = world().handles->find_as<ke::ProcessObject>(ProcessHandle);
        if (!object) {
            return world().handles->find(ProcessHandle) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
        process = &object->process();
    }
    const size_t bytes = bytes_with_text(process->image);
    if (ReturnLength != nullptr) {
        *ReturnLength = static_cast<ULONG>(bytes);
    }
    if (ProcessInformationLength < bytes) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if (ProcessInformation == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    put_with_text(ProcessInformation, process->image);
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. By the process id of ClientId. STATUS_INVALID_PARAMETER_MIX without one or with a name besides; STATUS_INVALID_CID when
/// there is no such process (any more).
FLTSIM_KERNEL NTSTATUS NTAPI ZwOpenProcess(PHANDLE ProcessHandle, ACCESS_MASK DesiredAccess,
                                           POBJECT_ATTRIBUTES ObjectAttributes, PCLIENT_ID ClientId) {
    constexpr const char *kApi = "ZwOpenProcess";
    KernelCall call(kApi, PASSIVE_LEVEL);
    const DriverService service;
    if (ProcessHandle == nullptr || ObjectAttributes == nullptr) {
        bugcheck("VER-02 parameter", kApi, "ProcessHandle or ObjectAttributes is null");
    }
    ke::check_not_for_stranger(kApi, ObjectAttributes->Attributes);
    if (ClientId == nullptr || ObjectAttributes->ObjectName != nullptr) {
        return STATUS_INVALID_PARAMETER_MIX;
    }
    if (ClientId->UniqueThread != nullptr) {
        unmodelled(kApi, "a process by one of its threads");
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto id = reinterpret_cast<uintptr_t>(ClientId->UniqueProcess);
    fltsim::Process *const system = world().system_process();
    fltsim::Process *const found = id == system->id ? system : world().process_by_id(id);
    if (found == nullptr || found->ended) {
        return STATUS_INVALID_CID;
    }
    const bool kernel = (ObjectAttributes->Attributes & OBJ_KERNEL_HANDLE) != 0;
    *ProcessHandle = world().handles->insert(std::make_shared<ke::ProcessObject>(*found), kernel);
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. A handle of a process, thread or open file. STATUS_OBJECT_TYPE_MISMATCH when it is not of the type that is named. Access is not
/// checked: kernel mode may do everything.
FLTSIM_KERNEL NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes,
                                                   PACCESS_STATE PassedAccessState, ACCESS_MASK DesiredAccess,
                                                   POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                                   PHANDLE Handle) {
    constexpr const char *kApi = "ObOpenObjectByPointer";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (Object == nullptr || Handle == nullptr) {
        bugcheck("VER-02 parameter", kApi, "Object or Handle is null");
    }
    ke::check_not_for_stranger(kApi, HandleAttributes);
    if (AccessMode != KernelMode || PassedAccessState != nullptr ||
        (HandleAttributes & (OBJ_EXCLUSIVE | OBJ_FORCE_ACCESS_CHECK)) != 0) {
        unmodelled(kApi, "an access check, an access state or exclusive access");
    }
    *Handle = nullptr;
    POBJECT_TYPE type = nullptr;
    const std::shared_ptr<fltsim::Object> object = handle_object(kApi, Object, &type);
    if (ObjectType != nullptr && ObjectType != type) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    *Handle = world().handles->insert(object, (HandleAttributes & OBJ_KERNEL_HANDLE) != 0);
    return STATUS_SUCCESS;
}
