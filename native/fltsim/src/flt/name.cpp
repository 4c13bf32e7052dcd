// SPDX-License-Identifier: MIT
//
// This module provides: file names for filters: when they may be asked for [NAME-01..05], the reference-counted result, its parts.
//
// The model keeps no name cache: every query that is safe goes to the file system, every one that is not fails as a cache miss does. So a
// driver that relies on a cache is found out here.

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/faults.hpp"
#include "fs/file_system.hpp"

namespace fltsim::flt {

namespace {

constexpr FLT_FILE_NAME_OPTIONS kFormatMask = 0xFF;
constexpr FLT_FILE_NAME_OPTIONS kMethodMask = 0xFF00;

bool one_of(UCHAR major, std::initializer_list<int> codes) {
    for (const int code : codes) {
        if (major == static_cast<UCHAR>(code)) {
            return true;
        }
    }
    return false;
}

/// Whether the file system cannot be asked in this place [NAME-02].
bool unsafe(const CallRecord &call) {
    const io::Operation &operation = *call.operation;
    const bool post = call.kind != CallRecord::Kind::Pre;
    if ((operation.irp_flags & IRP_PAGING_IO) != 0 || current_thread().top_level_irp || executing().irql >= APC_LEVEL) {
        return true;
    }
    if (operation.file && (operation.file->cleanup_done || (operation.file->native.Flags & FO_CLEANUP_COMPLETE) != 0)) {
        return true;
    }
    if (one_of(operation.major, {IRP_MJ_ACQUIRE_FOR_CC_FLUSH, IRP_MJ_RELEASE_FOR_CC_FLUSH, IRP_MJ_ACQUIRE_FOR_MOD_WRITE,
                                 IRP_MJ_RELEASE_FOR_MOD_WRITE, IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION})) {
        return true;
    }
    return post && one_of(operation.major, {IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION});
}

/// One allocation: the structure and its text.
/// `filter`: whose leak it would be; null: that of the driver that goes last.
PFLT_FILE_NAME_INFORMATION make_information(Filter *filter, const io::Volume &volume, std::u16string_view path,
                                            FLT_FILE_NAME_OPTIONS format) {
    const std::u16string name = volume.device_name + std::u16string(path);
    const size_t bytes = name.size() * sizeof(char16_t);
    auto &m = manager();
    auto *information = static_cast<PFLT_FILE_NAME_INFORMATION>(
        m.memory.allocate(sizeof(FLT_FILE_NAME_INFORMATION) + bytes, "FLT_FILE_NAME_INFORMATION"));
    auto *text = reinterpret_cast<PWCH>(information + 1);
    std::memcpy(text, name.data(), bytes);
    information->Size = sizeof *information;
    information->Format = format;
    information->Name.Buffer = text;
    information->Name.Length = information->Name.MaximumLength = static_cast<USHORT>(bytes);
    information->Volume.Buffer = text;
    information->Volume.Length = information->Volume.MaximumLength =
        static_cast<USHORT>(volume.device_name.size() * sizeof(char16_t));
    m.names[information] = NameRecord{filter, 1};
    return information;
}

NTSTATUS query(const CallRecord &call, FLT_FILE_NAME_OPTIONS options, PFLT_FILE_NAME_INFORMATION *result) {
    io::Operation &operation = *call.operation;
    const FLT_FILE_NAME_OPTIONS format = options & kFormatMask;
    const FLT_FILE_NAME_OPTIONS method = options & kMethodMask;
    const bool pre_create = operation.major == IRP_MJ_CREATE && call.kind == CallRecord::Kind::Pre;
    if (!operation.file || format < FLT_FILE_NAME_NORMALIZED || format > FLT_FILE_NAME_SHORT ||
        method > FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP) {
        return STATUS_INVALID_PARAMETER;
    }
    if (call.kind == CallRecord::Kind::Draining) {
        return STATUS_FLT_INVALID_NAME_REQUEST;
    }
    if (method == FLT_FILE_NAME_QUERY_CACHE_ONLY) {
        return STATUS_FLT_NAME_CACHE_MISS;
    }
    if (unsafe(call)) {
        return method == FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP ? STATUS_FLT_NAME_CACHE_MISS
                                                                       : STATUS_FLT_INVALID_NAME_REQUEST;
    }
    if (format == FLT_FILE_NAME_SHORT) {
        if (pre_create) {
            return STATUS_FLT_INVALID_NAME_REQUEST;
        }
        unmodelled("FltGetFileNameInformation", "short names");
    }
    if (const auto failure = failing("FltGetFileNameInformation")) {
        return *failure;
    }
    std::u16string path = operation.file->name;
    if (operation.file->fcb && !pre_create) {
        const NTSTATUS status = operation.volume->file_system->query_name(*operation.file, &path);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    *result = make_information(call.instance->filter, *operation.volume, path, format);
    return STATUS_SUCCESS;
}

NameRecord &record_of(PFLT_FILE_NAME_INFORMATION information, const char *api) {
    auto &m = manager();
    const auto found = m.names.find(information);
    if (found == m.names.end()) {
        bugcheck("F5/68 file name information over-released", api,
                 m.memory.released(information) ? "its last reference is gone already [NAME-05]"
                                                : "the pointer is not a FLT_FILE_NAME_INFORMATION");
    }
    return found->second;
}

UNICODE_STRING part(const UNICODE_STRING &name, size_t from, size_t to) {
    UNICODE_STRING result{};
    result.Buffer = name.Buffer + from;
    result.Length = result.MaximumLength = static_cast<USHORT>((to - from) * sizeof(char16_t));
    return result;
}

/// The final component of a name and its parts.
struct LastParts {
    UNICODE_STRING component, extension, stream;
};

LastParts last_parts(const UNICODE_STRING &whole, size_t component) {
    const std::u16string_view name = view(whole);
    const size_t end = std::min(name.find(u':', component), name.size());
    const size_t dot = name.substr(0, end).rfind(u'.');
    const bool extension = dot != std::u16string_view::npos && dot >= component;
    return {part(whole, component, name.size()), part(whole, extension ? dot + 1 : end, end),
            part(whole, end, name.size())};
}

/// FltGetFileNameInformationUnsafe: whether it may be asked in this place is the caller's business, and checked where that is known to be wrong.
NTSTATUS query_unsafe(const char *api, PFILE_OBJECT object, const Instance *instance, FLT_FILE_NAME_OPTIONS options,
                      PFLT_FILE_NAME_INFORMATION *result) {
    const auto file = object ? io::FileObject::from_native(object) : nullptr;
    if (!file) {
        bugcheck("VER-02 bad object", api, "the PFILE_OBJECT is not one");
    }
    if (!file->opened || file->cleanup_done) {
        bugcheck("V24 file not open", api, file->describe() + " is not open: it has to be");
    }
    const FLT_FILE_NAME_OPTIONS format = options & kFormatMask;
    const FLT_FILE_NAME_OPTIONS method = options & kMethodMask;
    if (format < FLT_FILE_NAME_NORMALIZED || format > FLT_FILE_NAME_SHORT ||
        method > FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP) {
        return STATUS_INVALID_PARAMETER;
    }
    if (method == FLT_FILE_NAME_QUERY_CACHE_ONLY) {
        return STATUS_FLT_NAME_CACHE_MISS;
    }
    check_no_top_level_irp(api);
    if (executing().irql >= APC_LEVEL) {
        return STATUS_FLT_INVALID_NAME_REQUEST;
    }
    if (format == FLT_FILE_NAME_SHORT) {
        unmodelled(api, "short names");
    }
    if (const auto failure = failing(api)) {
        return *failure;
    }
    std::u16string path;
    const NTSTATUS status = file->volume->file_system->query_name(*file, &path);
    if (NT_SUCCESS(status)) {
        *result = make_information(instance ? instance->filter : nullptr, *file->volume, path, format);
    }
    return status;
}

} // namespace

void report_name_leaks(const Filter *filter, const std::string &whose) {
    auto &m = manager();
    size_t leaked = std::erase_if(m.names, [&](const auto &entry) {
        if (entry.second.filter != filter) {
            return false;
        }
        m.memory.release(entry.first);
        return true;
    });
    if (leaked != 0) {
        world().leak(whose + ": " + std::to_string(leaked) + " file name information(s) were not released (V11)");
    }
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// The name of the operation's file, referenced. STATUS_FLT_INVALID_NAME_REQUEST where it is not safe to ask, STATUS_FLT_NAME_CACHE_MISS,
/// STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES, or the file system's answer [NAME-01..03]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetFileNameInformation(PFLT_CALLBACK_DATA CallbackData,
                                                        FLT_FILE_NAME_OPTIONS NameOptions,
                                                        PFLT_FILE_NAME_INFORMATION *FileNameInformation) {
    KernelCall call("FltGetFileNameInformation", APC_LEVEL);
    *FileNameInformation = nullptr;
    return query(*call_of(CallbackData, "FltGetFileNameInformation"), NameOptions, FileNameInformation);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltReferenceFileNameInformation(PFLT_FILE_NAME_INFORMATION FileNameInformation) {
    KernelCall call("FltReferenceFileNameInformation", APC_LEVEL);
    ++record_of(FileNameInformation, "FltReferenceFileNameInformation").references;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltReleaseFileNameInformation(PFLT_FILE_NAME_INFORMATION FileNameInformation) {
    KernelCall call("FltReleaseFileNameInformation", APC_LEVEL);
    if (--record_of(FileNameInformation, "FltReleaseFileNameInformation").references == 0) {
        manager().names.erase(FileNameInformation);
        manager().memory.release(FileNameInformation);
    }
}

/// Fills the parts: parent directory, final component, extension, stream; they point into Name. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltParseFileNameInformation(PFLT_FILE_NAME_INFORMATION FileNameInformation) {
    KernelCall call("FltParseFileNameInformation", APC_LEVEL);
    record_of(FileNameInformation, "FltParseFileNameInformation");
    if (const auto failure = failing("FltParseFileNameInformation")) {
        return *failure;
    }
    auto &information = *FileNameInformation;
    const std::u16string_view name = view(information.Name);
    const size_t volume_end = information.Volume.Length / sizeof(char16_t);
    const size_t slash = name.rfind(u'\\');
    const bool whole_volume = slash == std::u16string_view::npos || slash < volume_end; // an opened volume has no path
    const size_t component = whole_volume ? name.size() : slash + 1;
    information.ParentDir = part(information.Name, volume_end, component);
    const LastParts parts = last_parts(information.Name, component);
    information.FinalComponent = parts.component;
    information.Extension = parts.extension;
    information.Stream = parts.stream;
    information.NamesParsed = FLTFL_FILE_NAME_PARSED_FINAL_COMPONENT | FLTFL_FILE_NAME_PARSED_EXTENSION |
                              FLTFL_FILE_NAME_PARSED_STREAM | FLTFL_FILE_NAME_PARSED_PARENT_DIR;
    return STATUS_SUCCESS;
}

/// The target of a rename or link, before it happens [NAME-06]. STATUS_INVALID_PARAMETER, STATUS_NOT_SAME_DEVICE,
/// STATUS_INSUFFICIENT_RESOURCES, or the file system's answer. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetDestinationFileNameInformation(PFLT_INSTANCE Instance, PFILE_OBJECT FileObject,
                                                                   HANDLE RootDirectory, PWSTR FileName,
                                                                   ULONG FileNameLength,
                                                                   FLT_FILE_NAME_OPTIONS NameOptions,
                                                                   PFLT_FILE_NAME_INFORMATION *RetFileNameInformation) {
    constexpr const char *kApi = "FltGetDestinationFileNameInformation";
    KernelCall call(kApi, APC_LEVEL);
    *RetFileNameInformation = nullptr;
    const auto instance = instance_of(Instance, kApi);
    const auto file = FileObject ? io::FileObject::from_native(FileObject) : nullptr;
    const FLT_FILE_NAME_OPTIONS format = NameOptions & kFormatMask;
    if (!file || !FileName || FileNameLength == 0 || FileNameLength % sizeof(char16_t) != 0 ||
        (format != FLT_FILE_NAME_NORMALIZED && format != FLT_FILE_NAME_OPENED)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (current_thread().top_level_irp || executing().irql >= APC_LEVEL) {
        return STATUS_FLT_INVALID_NAME_REQUEST;
    }
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const std::u16string_view target(reinterpret_cast<const char16_t *>(FileName), FileNameLength / sizeof(char16_t));
    io::Volume &volume = *instance->volume->volume;
    if (target.front() == u':') {
        unmodelled(kApi, "the new name of a stream");
    }
    std::u16string path;
    if (RootDirectory) {
        const auto root = world().handles->find_as<io::FileObject>(RootDirectory);
        if (!root || !root->volume) {
            return STATUS_INVALID_HANDLE;
        }
        if (root->volume != &volume) {
            return STATUS_NOT_SAME_DEVICE;
        }
        const NTSTATUS status = root->volume->file_system->query_name(*root, &path);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        if (!path.ends_with(u'\\')) {
            path += u'\\';
        }
        path += target;
    } else if (target.front() != u'\\') { // in the same directory
        const NTSTATUS status = volume.file_system->query_name(*file, &path);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        path.erase(path.rfind(u'\\') + 1);
        path += target;
    } else {
        constexpr std::u16string_view kDos = u"\\??\\";
        std::u16string_view rest = target;
        if (rest.starts_with(kDos)) {
            rest.remove_prefix(kDos.size());
            const size_t slash = std::min(rest.find(u'\\'), rest.size());
            if (world().io->volume_by_dos(rest.substr(0, slash)) != &volume) {
                return STATUS_NOT_SAME_DEVICE;
            }
            rest.remove_prefix(slash);
        } else if (equal_names(rest.substr(0, volume.device_name.size()), volume.device_name)) {
            rest.remove_prefix(volume.device_name.size());
        } else {
            return STATUS_NOT_SAME_DEVICE;
        }
        path = rest;
    }
    *RetFileNameInformation = make_information(instance->filter, volume, path, format);
    return STATUS_SUCCESS;
}

/// The name of an open file, without an operation. Of a file that is not open, or where the thread has a TopLevelIrp, it stops the world; else the statuses of
/// FltGetFileNameInformation. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetFileNameInformationUnsafe(PFILE_OBJECT FileObject, PFLT_INSTANCE Instance,
                                                              FLT_FILE_NAME_OPTIONS NameOptions,
                                                              PFLT_FILE_NAME_INFORMATION *FileNameInformation) {
    constexpr const char *kApi = "FltGetFileNameInformationUnsafe";
    KernelCall call(kApi, APC_LEVEL);
    *FileNameInformation = nullptr;
    const auto instance = Instance ? instance_of(Instance, kApi) : nullptr;
    return query_unsafe(kApi, FileObject, instance.get(), NameOptions, FileNameInformation);
}

/// The name that a file has got by tunnelling: there is none of that here, so *RetTunneledFileNameInformation is always null. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetTunneledName(PFLT_CALLBACK_DATA CallbackData,
                                                 PFLT_FILE_NAME_INFORMATION FileNameInformation,
                                                 PFLT_FILE_NAME_INFORMATION *RetTunneledFileNameInformation) {
    constexpr const char *kApi = "FltGetTunneledName";
    KernelCall call(kApi, APC_LEVEL);
    *RetTunneledFileNameInformation = nullptr;
    call_of(CallbackData, kApi);
    record_of(FileNameInformation, kApi);
    return failing(kApi).value_or(STATUS_SUCCESS);
}

/// The parts of a name's final component; they point into FileName. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltParseFileName(PCUNICODE_STRING FileName, PUNICODE_STRING Extension,
                                               PUNICODE_STRING Stream, PUNICODE_STRING FinalComponent) {
    constexpr const char *kApi = "FltParseFileName";
    KernelCall call(kApi, APC_LEVEL);
    if (FileName == nullptr) {
        bugcheck("VER-02 parameter", kApi, "FileName is null");
    }
    const LastParts parts = last_parts(*FileName, view(*FileName).rfind(u'\\') + 1); // npos + 1 is 0
    for (const auto &[wanted, found] : {std::pair{Extension, &parts.extension}, std::pair{Stream, &parts.stream},
                                        std::pair{FinalComponent, &parts.component}}) {
        if (wanted != nullptr) {
            *wanted = *found;
        }
    }
    return STATUS_SUCCESS;
}
