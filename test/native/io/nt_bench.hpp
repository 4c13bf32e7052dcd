// SPDX-License-Identifier: MIT
//
// This module provides: the native services (fltsim_nt.h) by short calls, as a user's thread makes them inside a world.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "flt/recorder.hpp"
#include "io/bench.hpp"

#include <fltsim_nt.h>
#include <fltsim_user.h>

namespace nt_bench {

/// An object name that lives as long as the call.
struct Name {
    std::u16string text;
    UNICODE_STRING string{};
    OBJECT_ATTRIBUTES attributes{};

    explicit Name(std::u16string_view name, HANDLE root = nullptr)
        : text(root == nullptr && name.find(u':') == 1 ? u"\\??\\" + std::u16string(name) : std::u16string(name)) {
        string.Buffer = reinterpret_cast<PWCH>(text.data());
        string.Length = string.MaximumLength = static_cast<USHORT>(text.size() * sizeof(WCHAR));
        attributes.Length = sizeof attributes;
        attributes.ObjectName = &string;
        attributes.RootDirectory = root;
        attributes.Attributes = OBJ_CASE_INSENSITIVE;
    }
};

struct CreateOptions {
    ULONG access = io_bench::READ_WRITE;
    ULONG disposition = FILE_OPEN;
    ULONG options = FILE_SYNCHRONOUS_IO_NONALERT;
    ULONG share = io_bench::SHARE_ALL;
    ULONG attributes = 0;
    HANDLE root = nullptr;
    std::vector<uint8_t> ea = {};
};

/// A handle by NtCreateFile, closed at the end of its scope.
class NtFile {
  public:
    explicit NtFile(std::u16string_view name, const CreateOptions &options = {}) {
        Name object(name, options.root);
        IO_STATUS_BLOCK iosb{};
        status = NtCreateFile(&handle, options.access | SYNCHRONIZE, &object.attributes, &iosb, nullptr,
                              options.attributes, options.share, options.disposition, options.options,
                              options.ea.empty() ? nullptr : const_cast<uint8_t *>(options.ea.data()),
                              static_cast<ULONG>(options.ea.size()));
        information = iosb.Information;
    }
    ~NtFile() { close(); }
    NtFile(const NtFile &) = delete;
    NtFile &operator=(const NtFile &) = delete;
    void close() {
        if (handle != nullptr) {
            CHECK(CloseHandle(handle) != FALSE);
            handle = nullptr;
        }
    }
    operator HANDLE() const { return handle; }

    template <class T> NTSTATUS query(ULONG information_class, T *value) const {
        IO_STATUS_BLOCK iosb{};
        return NtQueryInformationFile(handle, &iosb, value, sizeof *value, information_class);
    }
    template <class T> NTSTATUS set(ULONG information_class, const T &value) const {
        IO_STATUS_BLOCK iosb{};
        return NtSetInformationFile(handle, &iosb, const_cast<T *>(&value), sizeof value, information_class);
    }
    template <class T> NTSTATUS query_volume(ULONG information_class, T *value) const {
        IO_STATUS_BLOCK iosb{};
        return NtQueryVolumeInformationFile(handle, &iosb, value, sizeof *value, information_class);
    }

    HANDLE handle = nullptr;
    NTSTATUS status = STATUS_SUCCESS;
    ULONG_PTR information = 0;
};

/// Runs a user's calls inside a world that host programs know, on a virtual clock; nothing may stop, leak or be left over.
inline void in_world(const std::function<void()> &fn) {
    const std::string report = recorder::run_known(recorder::Executor::Fibers, [&](recorder::Bench &) { fn(); });
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK(check::contains(report, "\"leaks\":[]"));
    if (!check::contains(report, "\"stopped\":false") || !check::contains(report, "\"leaks\":[]")) {
        fprintf(stderr, "%s\n", report.c_str());
    }
}

inline std::string narrow(std::u16string_view text) {
    std::string out;
    for (const char16_t c : text) {
        out.push_back(static_cast<char>(c));
    }
    return out;
}

} // namespace nt_bench
