// SPDX-License-Identifier: MIT
//
// This module provides: the table of the ntdll services that work on a file handle: how the numbers and bytes that JavaScript gives become
// each one's parameters. No policy: structures and their meaning are the caller's.
#pragma once

#include "nt_api.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace minipend {

/// One call. The status block is the first 16 bytes of an OVERLAPPED, so CancelIoEx finds the call by it.
struct NtRequest {
    HANDLE handle = nullptr;
    IO_STATUS_BLOCK *status = nullptr;
    HANDLE event = nullptr; ///< null on synchronous handles
    void *context = nullptr; ///< names the operation to a completion port; null: no packet
    const uint64_t *arguments = nullptr; ///< as many as the service has letters
    void *input = nullptr; ///< null when there are no bytes
    ULONG input_bytes = 0;
    void *output = nullptr;
    ULONG output_bytes = 0;
    /// What the service gives beside its status block, and whether it gave it.
    uint32_t extra = 0;
    bool has_extra = false;
};

struct NtService {
    const char *name;
    /// One letter for each number it takes: 'u' 32 bits, 'b' 0 or 1, 'q' 64 bits.
    std::string_view arguments;
    /// Takes an Event: on an overlapped handle it may be pending, and CancelIoEx ends it.
    bool waits;
    bool (*available)(const NtApi &);
    NTSTATUS (*call)(const NtApi &, NtRequest &);
};

/// Null: no such service.
const NtService *find_nt_service(std::string_view name);
/// All names, for the message that says so.
std::string nt_service_names();

} // namespace minipend
