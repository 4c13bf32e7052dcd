// SPDX-License-Identifier: MIT
//
// This module provides: bench.hpp.

#include "io/bench.hpp"

#include <cstring>
#include <mutex>

namespace io_bench {

namespace {

constexpr UCHAR NO_MAJOR = 0x7F;

struct Tracer {
    PFLT_FILTER filter = nullptr;
    std::vector<std::string> lines;
    UCHAR held_major = NO_MAJOR;
    std::vector<PFLT_CALLBACK_DATA> parked;
    uint32_t refusals = 0;
    bool with_threads = false;
    UCHAR watched_major = NO_MAJOR;
    std::function<void(PFLT_CALLBACK_DATA)> watcher;
    UCHAR pre_watched_major = NO_MAJOR;
    std::function<void(PFLT_CALLBACK_DATA)> pre_watcher;
    std::mutex mutex; ///< callbacks run on several threads of the thread executor
};

Tracer g_tracer;

struct MajorName {
    UCHAR major;
    const char *name;
};

/// Everything that is traced.
constexpr MajorName MAJORS[] = {
    {IRP_MJ_CREATE, "CREATE"},
    {IRP_MJ_CLOSE, "CLOSE"},
    {IRP_MJ_READ, "READ"},
    {IRP_MJ_WRITE, "WRITE"},
    {IRP_MJ_QUERY_INFORMATION, "QUERY"},
    {IRP_MJ_SET_INFORMATION, "SET"},
    {IRP_MJ_FLUSH_BUFFERS, "FLUSH"},
    {IRP_MJ_DIRECTORY_CONTROL, "DIR"},
    {IRP_MJ_FILE_SYSTEM_CONTROL, "FSCTL"},
    {IRP_MJ_DEVICE_CONTROL, "IOCTL"},
    {IRP_MJ_LOCK_CONTROL, "LOCK"},
    {IRP_MJ_QUERY_VOLUME_INFORMATION, "QUERY_VOLUME"},
    {IRP_MJ_SET_VOLUME_INFORMATION, "SET_VOLUME"},
    {IRP_MJ_QUERY_EA, "QUERY_EA"},
    {IRP_MJ_SET_EA, "SET_EA"},
    {IRP_MJ_QUERY_SECURITY, "QUERY_SECURITY"},
    {IRP_MJ_SET_SECURITY, "SET_SECURITY"},
    {IRP_MJ_NETWORK_QUERY_OPEN, "NETWORK_QUERY_OPEN"},
    {IRP_MJ_QUERY_OPEN, "QUERY_OPEN"},
    {IRP_MJ_CLEANUP, "CLEANUP"},
    {IRP_MJ_ACQUIRE_FOR_CC_FLUSH, "ACQ_FLUSH"},
    {IRP_MJ_RELEASE_FOR_CC_FLUSH, "REL_FLUSH"},
    {IRP_MJ_ACQUIRE_FOR_MOD_WRITE, "ACQ_MOD"},
    {IRP_MJ_RELEASE_FOR_MOD_WRITE, "REL_MOD"},
    {IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION, "ACQ_SECTION"},
    {IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION, "REL_SECTION"},
    {IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE, "CHECK"},
    {IRP_MJ_MDL_READ, "MDL_READ"},
    {IRP_MJ_MDL_READ_COMPLETE, "MDL_READ_DONE"},
    {IRP_MJ_PREPARE_MDL_WRITE, "MDL_WRITE"},
    {IRP_MJ_MDL_WRITE_COMPLETE, "MDL_WRITE_DONE"},
};

const char *name_of(UCHAR major) {
    for (const MajorName &known : MAJORS) {
        if (known.major == major) {
            return known.name;
        }
    }
    return "?";
}

std::string hex(uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "0x%llX", static_cast<unsigned long long>(value));
    return text;
}

std::string describe(PFLT_CALLBACK_DATA data) {
    std::string line = name_of(data->Iopb->MajorFunction);
    if (data->Iopb->MinorFunction != 0 && data->Iopb->MajorFunction != IRP_MJ_DIRECTORY_CONTROL) {
        line += "/" + std::to_string(data->Iopb->MinorFunction);
    }
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
    if (g_tracer.with_threads) {
        line += "#" + current_thread().name;
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

FLT_PREOP_CALLBACK_STATUS FLTAPI on_pre(PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
    if (data->Iopb->MajorFunction == g_tracer.pre_watched_major && g_tracer.pre_watcher) {
        g_tracer.pre_watcher(data);
    }
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

FLT_POSTOP_CALLBACK_STATUS FLTAPI on_post(PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID,
                                          FLT_POST_OPERATION_FLAGS flags) {
    if ((flags & FLTFL_POST_OPERATION_DRAINING) != 0) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    {
        const std::string line = describe(data);
        const std::lock_guard guard(g_tracer.mutex);
        g_tracer.lines.push_back(line);
    }
    if (data->Iopb->MajorFunction == g_tracer.watched_major && g_tracer.watcher) {
        g_tracer.watcher(data);
    }
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
    for (const auto &[major, name] : MAJORS) {
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
    g_tracer.with_threads = false;
    CHECK_EQ(world().flt->load_builtin(u"tracer", u"100000", 1, on_entry), STATUS_SUCCESS);
    std::u16string created;
    CHECK_EQ(world().flt->attach(u"tracer", *world().io->volume_by_dos(dos_name), u"", u"", &created), STATUS_SUCCESS);
}

std::string traced() {
    const std::lock_guard guard(g_tracer.mutex);
    std::string text;
    for (const std::string &line : g_tracer.lines) {
        text += (text.empty() ? "" : " ") + line;
    }
    g_tracer.lines.clear();
    return text;
}

void trace_threads(bool on) {
    g_tracer.with_threads = on;
}

void on_post_of(UCHAR major, std::function<void(PFLT_CALLBACK_DATA)> fn) {
    g_tracer.watched_major = major;
    g_tracer.watcher = std::move(fn);
}

void on_pre_of(UCHAR major, std::function<void(PFLT_CALLBACK_DATA)> fn) {
    g_tracer.pre_watched_major = major;
    g_tracer.pre_watcher = std::move(fn);
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

namespace {
void reset_tracer() {
    g_tracer.filter = nullptr;
    g_tracer.lines.clear();
    g_tracer.held_major = NO_MAJOR;
    g_tracer.parked.clear();
    g_tracer.refusals = 0;
    g_tracer.with_threads = false;
    g_tracer.watched_major = g_tracer.pre_watched_major = NO_MAJOR;
    g_tracer.watcher = g_tracer.pre_watcher = nullptr;
}
} // namespace

std::string run(const std::function<void()> &fn, WorldOptions options) {
    reset_tracer();
    World world(std::move(options));
    CHECK(world.host_call([&] {
        const KernelCall call("test");
        fn();
    }));
    world.end();
    return world.report_json();
}

} // namespace io_bench
