// SPDX-License-Identifier: MIT
#include "nt_services.hpp"

#include <algorithm>
#include <array>

namespace minipend {
namespace {

constexpr NTSTATUS kStatusNameTooLong = static_cast<NTSTATUS>(0xC0000106);
constexpr ULONG kMostNameBytes = 0xFFFE;

ULONG word(const NtRequest &request, size_t index) {
    return static_cast<ULONG>(request.arguments[index]);
}

BOOLEAN flag(const NtRequest &request, size_t index) {
    return request.arguments[index] != 0 ? TRUE : FALSE;
}

LARGE_INTEGER large(const NtRequest &request, size_t index) {
    LARGE_INTEGER value{};
    value.QuadPart = static_cast<decltype(value.QuadPart)>(request.arguments[index]);
    return value;
}

NTSTATUS query_ea(const NtApi &nt, NtRequest &r) {
    ULONG index = word(r, 2);
    return nt.NtQueryEaFile(r.handle, r.status, r.output, r.output_bytes, flag(r, 0), r.input, r.input_bytes,
                            index == 0 ? nullptr : &index, flag(r, 1));
}

NTSTATUS query_quota(const NtApi &nt, NtRequest &r) {
    // The input is the list of SIDs, then the SID to start after.
    const ULONG list = std::min(word(r, 2), r.input_bytes);
    void *start = list < r.input_bytes ? static_cast<uint8_t *>(r.input) + list : nullptr;
    return nt.NtQueryQuotaInformationFile(r.handle, r.status, r.output, r.output_bytes, flag(r, 0),
                                          list == 0 ? nullptr : r.input, list, start, flag(r, 1));
}

NTSTATUS query_security(const NtApi &nt, NtRequest &r) {
    ULONG needed = 0;
    const NTSTATUS status = nt.NtQuerySecurityObject(r.handle, word(r, 0), r.output, r.output_bytes, &needed);
    r.extra = needed;
    r.has_extra = true;
    return status;
}

NTSTATUS query_directory(const NtApi &nt, NtRequest &r) {
    if (r.input_bytes > kMostNameBytes) {
        return kStatusNameTooLong;
    }
    UNICODE_STRING pattern{};
    pattern.Length = static_cast<USHORT>(r.input_bytes);
    pattern.MaximumLength = pattern.Length;
    pattern.Buffer = static_cast<decltype(pattern.Buffer)>(r.input);
    return nt.NtQueryDirectoryFileEx(r.handle, r.event, nullptr, r.context, r.status, r.output, r.output_bytes,
                                     word(r, 0), word(r, 1), r.input_bytes == 0 ? nullptr : &pattern);
}

NTSTATUS lock(const NtApi &nt, NtRequest &r) {
    LARGE_INTEGER offset = large(r, 0);
    LARGE_INTEGER length = large(r, 1);
    return nt.NtLockFile(r.handle, r.event, nullptr, r.context, r.status, &offset, &length, word(r, 2), flag(r, 3),
                         flag(r, 4));
}

NTSTATUS unlock(const NtApi &nt, NtRequest &r) {
    LARGE_INTEGER offset = large(r, 0);
    LARGE_INTEGER length = large(r, 1);
    return nt.NtUnlockFile(r.handle, r.status, &offset, &length, word(r, 2));
}

#define MINIPEND_ENTRY(Name, Arguments, Waits, ...)                                                                    \
    NtService {                                                                                                        \
        #Name, Arguments, Waits, [](const NtApi &nt) { return nt.Name != nullptr; }, __VA_ARGS__                       \
    }
#define MINIPEND_CALL(Expression) [](const NtApi &nt, NtRequest &r) -> NTSTATUS { return nt.Expression; }

const std::array kServices = {
    MINIPEND_ENTRY(NtQueryInformationFile, "u", false,
                   MINIPEND_CALL(NtQueryInformationFile(r.handle, r.status, r.output, r.output_bytes, word(r, 0)))),
    MINIPEND_ENTRY(NtSetInformationFile, "u", false,
                   MINIPEND_CALL(NtSetInformationFile(r.handle, r.status, r.input, r.input_bytes, word(r, 0)))),
    MINIPEND_ENTRY(
        NtQueryVolumeInformationFile, "u", false,
        MINIPEND_CALL(NtQueryVolumeInformationFile(r.handle, r.status, r.output, r.output_bytes, word(r, 0)))),
    MINIPEND_ENTRY(NtSetVolumeInformationFile, "u", false,
                   MINIPEND_CALL(NtSetVolumeInformationFile(r.handle, r.status, r.input, r.input_bytes, word(r, 0)))),
    MINIPEND_ENTRY(NtQueryEaFile, "bbu", false, query_ea),
    MINIPEND_ENTRY(NtSetEaFile, "", false, MINIPEND_CALL(NtSetEaFile(r.handle, r.status, r.input, r.input_bytes))),
    MINIPEND_ENTRY(NtQueryQuotaInformationFile, "bbu", false, query_quota),
    MINIPEND_ENTRY(NtSetQuotaInformationFile, "", false,
                   MINIPEND_CALL(NtSetQuotaInformationFile(r.handle, r.status, r.input, r.input_bytes))),
    MINIPEND_ENTRY(NtQuerySecurityObject, "u", false, query_security),
    MINIPEND_ENTRY(NtSetSecurityObject, "u", false, MINIPEND_CALL(NtSetSecurityObject(r.handle, word(r, 0), r.input))),
    MINIPEND_ENTRY(NtQueryDirectoryFileEx, "uu", true, query_directory),
    MINIPEND_ENTRY(NtNotifyChangeDirectoryFile, "ub", true,
                   MINIPEND_CALL(NtNotifyChangeDirectoryFile(r.handle, r.event, nullptr, r.context, r.status, r.output,
                                                             r.output_bytes, word(r, 0), flag(r, 1)))),
    MINIPEND_ENTRY(NtFsControlFile, "u", true,
                   MINIPEND_CALL(NtFsControlFile(r.handle, r.event, nullptr, r.context, r.status, word(r, 0), r.input,
                                                 r.input_bytes, r.output, r.output_bytes))),
    MINIPEND_ENTRY(NtDeviceIoControlFile, "u", true,
                   MINIPEND_CALL(NtDeviceIoControlFile(r.handle, r.event, nullptr, r.context, r.status, word(r, 0),
                                                       r.input, r.input_bytes, r.output, r.output_bytes))),
    MINIPEND_ENTRY(NtLockFile, "qqubb", true, lock),
    MINIPEND_ENTRY(NtUnlockFile, "qqu", false, unlock),
    MINIPEND_ENTRY(NtFlushBuffersFileEx, "u", false,
                   MINIPEND_CALL(NtFlushBuffersFileEx(r.handle, word(r, 0), nullptr, 0, r.status))),
};

} // namespace

const NtService *find_nt_service(std::string_view name) {
    const auto *found = std::ranges::find(kServices, name, &NtService::name);
    return found == kServices.end() ? nullptr : found;
}

std::string nt_service_names() {
    std::string names;
    for (const NtService &service : kServices) {
        names += (names.empty() ? "" : ", ") + std::string(service.name);
    }
    return names;
}

} // namespace minipend
