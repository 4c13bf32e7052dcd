// SPDX-License-Identifier: MIT
//
// This module provides: bench.hpp.

#include "io/bench.hpp"

#include <cstring>

namespace io_bench {

namespace {

constexpr UCHAR NO_MAJOR = 0x7F;

struct Tracer {
    PFLT_FILTER filter = nullptr;
    std::vector<std::string> lines;
    UCHAR held_major = NO_MAJOR;
    std::vector<PFLT_CALLBACK_DATA> parked;
    uint32_t refusals = 0;
};

Tracer g_tracer;

const char *name_of(UCHAR major) {
    switch (major) {
    case IRP_MJ_CREATE:
        return "CREATE";
    case IRP_MJ_CLOSE:
        return "CLOSE";
    case IRP_MJ_READ:
        return "READ";
    case IRP_MJ_WRITE:
        return "WRITE";
    case IRP_MJ_QUERY_INFORMATION:
        return "QUERY";
    case IRP_MJ_SET_INFORMATION:
        return "SET";
    case IRP_MJ_FLUSH_BUFFERS:
        return "FLUSH";
    case IRP_MJ_DIRECTORY_CONTROL:
        return "DIR";
    case IRP_MJ_CLEANUP:
        return "CLEANUP";
    case IRP_MJ_ACQUIRE_FOR_CC_FLUSH:
        return "ACQ_FLUSH";
    case IRP_MJ_RELEASE_FOR_CC_FLUSH:
        return "REL_FLUSH";
    case IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION:
        return "ACQ_SECTION";
    case IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION:
        return "REL_SECTION";
    default:
        return "?";
    }
}

std::string hex(uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "0x%llX", static_cast<unsigned long long>(value));
    return text;
}

std::string describe(PFLT_CALLBACK_DATA data) {
    std::string line = name_of(data->Iopb->MajorFunction);
    if ((data->Flags & FLTFL_CALLBACK_DATA_IRP_OPERATION) != 0) {
        line += "(I," + hex(data->Iopb->IrpFlags) + ")";
    } else {
        line += (data->Flags & FLTFL_CALLBACK_DATA_FAST_IO_OPERATION) != 0 ? "(F)" : "(S)";
    }
    line += "@" + std::to_string(KeGetCurrentIrql());
    const auto top_level = reinterpret_cast<uintptr_t>(IoGetTopLevelIrp());
    line += top_level == 0        ? "[null]"
            : top_level <= 0xFFFF ? "[" + std::to_string(top_level) + "]"
                                  : std::string("[irp]");
    if (current_thread().process->system) {
        line += "system";
    }
    const NTSTATUS status = data->IoStatus.Status;
    if (!NT_SUCCESS(status)) {
        line += "=" + hex(static_cast<uint32_t>(status));
    }
    return line;
}

void FLTAPI on_deferred(PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data, PVOID) {
    g_tracer.parked.push_back(data);
    FltFreeDeferredIoWorkItem(item);
}

FLT_PREOP_CALLBACK_STATUS FLTAPI on_pre(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

FLT_POSTOP_CALLBACK_STATUS FLTAPI on_post(PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID,
                                          FLT_POST_OPERATION_FLAGS flags) {
    if ((flags & FLTFL_POST_OPERATION_DRAINING) != 0) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    g_tracer.lines.push_back(describe(data));
    if (data->Iopb->MajorFunction != g_tracer.held_major) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    const PFLT_DEFERRED_IO_WORKITEM item = FltAllocateDeferredIoWorkItem();
    if (NT_SUCCESS(FltQueueDeferredIoWorkItem(item, data, on_deferred, DelayedWorkQueue, nullptr))) {
        return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
    }
    ++g_tracer.refusals;
    FltFreeDeferredIoWorkItem(item);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

NTSTATUS FLTAPI on_unload(FLT_FILTER_UNLOAD_FLAGS) {
    hold(NO_MAJOR);
    release_held();
    FltUnregisterFilter(g_tracer.filter);
    g_tracer.filter = nullptr;
    return STATUS_SUCCESS;
}

NTSTATUS FLTAPI on_query_teardown(PCFLT_RELATED_OBJECTS, FLT_INSTANCE_QUERY_TEARDOWN_FLAGS) {
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI on_entry(PDRIVER_OBJECT object, PUNICODE_STRING) {
    std::vector<FLT_OPERATION_REGISTRATION> operations;
    for (const UCHAR major : std::initializer_list<UCHAR>{
             IRP_MJ_CREATE, IRP_MJ_CLOSE, IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_QUERY_INFORMATION, IRP_MJ_SET_INFORMATION,
             IRP_MJ_FLUSH_BUFFERS, IRP_MJ_DIRECTORY_CONTROL, IRP_MJ_CLEANUP, IRP_MJ_ACQUIRE_FOR_CC_FLUSH,
             IRP_MJ_RELEASE_FOR_CC_FLUSH, IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION,
             IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION}) {
        FLT_OPERATION_REGISTRATION entry{};
        entry.MajorFunction = major;
        entry.PreOperation = on_pre;
        entry.PostOperation = on_post;
        operations.push_back(entry);
    }
    FLT_OPERATION_REGISTRATION end{};
    end.MajorFunction = IRP_MJ_OPERATION_END;
    operations.push_back(end);
    FLT_REGISTRATION registration{};
    registration.Size = sizeof registration;
    registration.Version = FLT_REGISTRATION_VERSION;
    registration.OperationRegistration = operations.data();
    registration.FilterUnloadCallback = on_unload;
    registration.InstanceQueryTeardownCallback = on_query_teardown;
    const NTSTATUS status = FltRegisterFilter(object, &registration, &g_tracer.filter);
    return NT_SUCCESS(status) ? FltStartFiltering(g_tracer.filter) : status;
}

template <class T> NTSTATUS set(const Opened &opened, const T &value, FILE_INFORMATION_CLASS information_class) {
    IO_STATUS_BLOCK iosb{};
    return world().io->set_information(*opened, &value, sizeof value, information_class, &iosb);
}

} // namespace

Opened open(std::u16string_view path, ULONG disposition, ULONG options, ACCESS_MASK access, ULONG share,
            ULONG attributes) {
    Opened opened;
    std::u16string nt = path.front() == u'\\' ? std::u16string(path) : u"\\??\\" + std::u16string(path);
    opened.status = world().io->create(nt, access | SYNCHRONIZE, attributes, share, disposition, options, UserMode,
                                       &opened.file, &opened.information);
    if (opened.status == STATUS_SUCCESS) {
        opened.handle = world().handles->insert(opened.file);
    }
    return opened;
}

void close(Opened &opened) {
    opened.file.reset();
    CHECK(world().handles->close(opened.handle));
}

NTSTATUS write(const Opened &opened, std::string_view data, int64_t offset) {
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = world().io->write(*opened, data.data(), static_cast<ULONG>(data.size()),
                                              offset == -2 ? nullptr : &offset, nullptr, &iosb);
    CHECK(!NT_SUCCESS(status) || iosb.Information == data.size());
    return status;
}

std::string read(const Opened &opened, ULONG length, int64_t offset) {
    IO_STATUS_BLOCK iosb{};
    std::string data(length, '?');
    const NTSTATUS status =
        world().io->read(*opened, data.data(), length, offset == -2 ? nullptr : &offset, nullptr, &iosb);
    if (!NT_SUCCESS(status)) {
        return "status " + hex(static_cast<uint32_t>(status));
    }
    data.resize(iosb.Information);
    return data;
}

NTSTATUS rename(const Opened &opened, std::u16string_view to, bool replace, ULONG ex_flags) {
    std::u16string target =
        to.find(u':') == std::u16string_view::npos ? std::u16string(to) : u"\\??\\" + std::u16string(to);
    std::vector<uint8_t> buffer(sizeof(FILE_RENAME_INFORMATION) + target.size() * sizeof(WCHAR));
    FILE_RENAME_INFORMATION information{};
    if (ex_flags != 0) {
        information.Flags = ex_flags;
    } else {
        information.ReplaceIfExists = replace;
    }
    information.FileNameLength = static_cast<ULONG>(target.size() * sizeof(WCHAR));
    memcpy(buffer.data(), &information, sizeof information);
    memcpy(buffer.data() + offsetof(FILE_RENAME_INFORMATION, FileName), target.data(), information.FileNameLength);
    IO_STATUS_BLOCK iosb{};
    return world().io->set_information(*opened, buffer.data(), static_cast<ULONG>(buffer.size()),
                                       ex_flags != 0 ? FileRenameInformationEx : FileRenameInformation, &iosb);
}

NTSTATUS set_delete(const Opened &opened, bool on, ULONG ex_flags) {
    if (ex_flags != 0) {
        return set(opened, FILE_DISPOSITION_INFORMATION_EX{ex_flags}, FileDispositionInformationEx);
    }
    return set(opened, FILE_DISPOSITION_INFORMATION{on}, FileDispositionInformation);
}

NTSTATUS set_end(const Opened &opened, int64_t end) {
    FILE_END_OF_FILE_INFORMATION information{};
    information.EndOfFile.QuadPart = end;
    return set(opened, information, FileEndOfFileInformation);
}

uint64_t size_of(const Opened &opened) {
    FILE_STANDARD_INFORMATION information{};
    IO_STATUS_BLOCK iosb{};
    CHECK_EQ(world().io->query_information(*opened, &information, sizeof information, FileStandardInformation, &iosb),
             STATUS_SUCCESS);
    return static_cast<uint64_t>(information.EndOfFile.QuadPart);
}

std::string list(const Opened &opened, std::u16string_view pattern, bool single, bool restart) {
    alignas(8) uint8_t buffer[4096];
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = world().io->query_directory(*opened, buffer, sizeof buffer, FileFullDirectoryInformation,
                                                        single, pattern, restart, &iosb);
    if (status != STATUS_SUCCESS) {
        return "status " + hex(static_cast<uint32_t>(status));
    }
    std::string names;
    for (size_t at = 0;;) {
        FILE_FULL_DIR_INFORMATION entry;
        memcpy(&entry, buffer + at, sizeof entry);
        for (size_t i = 0; i < entry.FileNameLength; i += sizeof(WCHAR)) {
            names.push_back(static_cast<char>(buffer[at + offsetof(FILE_FULL_DIR_INFORMATION, FileName) + i]));
        }
        names.push_back(' ');
        if (entry.NextEntryOffset == 0) {
            return names;
        }
        at += entry.NextEntryOffset;
    }
}

NTSTATUS exists(std::u16string_view path) {
    Opened opened = open(path, FILE_OPEN, SYNC, FILE_READ_ATTRIBUTES);
    if (opened) {
        close(opened);
    }
    return opened.status;
}

void sleep_ms(uint64_t milliseconds) {
    static const char channel = 0;
    world().block(&channel, [] { return false; }, world().interrupt_time_100ns() + milliseconds * 10'000);
}

void trace(std::u16string_view dos_name) {
    g_tracer.lines.clear();
    g_tracer.refusals = 0;
    CHECK_EQ(world().flt->load_builtin(u"tracer", u"100000", 1, on_entry), STATUS_SUCCESS);
    std::u16string created;
    CHECK_EQ(world().flt->attach(u"tracer", *world().io->volume_by_dos(dos_name), u"", u"", &created), STATUS_SUCCESS);
}

std::string traced() {
    std::string text;
    for (const std::string &line : g_tracer.lines) {
        text += (text.empty() ? "" : " ") + line;
    }
    g_tracer.lines.clear();
    return text;
}

void hold(UCHAR major) {
    g_tracer.held_major = major;
}
uint32_t held() {
    return static_cast<uint32_t>(g_tracer.parked.size());
}
uint32_t refusals() {
    return g_tracer.refusals;
}

void release_held() {
    while (!g_tracer.parked.empty()) {
        const PFLT_CALLBACK_DATA data = g_tracer.parked.back();
        g_tracer.parked.pop_back();
        FltCompletePendedPostOperation(data);
    }
}

std::string run(const std::function<void()> &fn, WorldOptions options) {
    g_tracer = {};
    World world(std::move(options));
    CHECK(world.host_call([&] {
        const KernelCall call("test");
        fn();
    }));
    world.end();
    return world.report_json();
}

} // namespace io_bench
