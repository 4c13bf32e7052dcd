// SPDX-License-Identifier: MIT
//
// This module provides: what an operation of the reference check comes to, on either side, and how two outcomes are compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ntdef.h>
#include <ntstatus.h>

#ifndef STATUS_INVALID_FILE_FOR_SECTION
#define STATUS_INVALID_FILE_FOR_SECTION ((NTSTATUS)0xC0000020)
#endif

namespace reference {

struct Entry {
    std::u16string name; ///< as listed
    bool directory = false;
    uint64_t size = 0; ///< bytes; 0 for a directory

    bool operator==(const Entry &) const = default;
};

struct Info {
    bool directory = false;
    uint64_t size = 0; ///< bytes; 0 for a directory
    uint32_t links = 0;
    bool delete_pending = false;
    int64_t written = 0; ///< seconds since 1970

    bool operator==(const Info &) const = default;
};

struct Outcome {
    NTSTATUS status = STATUS_SUCCESS;
    std::vector<NTSTATUS>
        also; ///< the host's: statuses of the model that are right as well, when several reasons to refuse apply
    std::string data; ///< read
    std::vector<Entry> entries; ///< listed, in the order of their names
    std::vector<Info> info; ///< none or one
    bool time_known = false; ///< the host's: `written` was set and nothing has changed it since
    uint64_t value = 0; ///< position, bytes written
    bool skipped = false; ///< nothing to do: the handle or view is not open, or is already

    static Outcome failure(NTSTATUS status) {
        Outcome outcome;
        outcome.status = status;
        return outcome;
    }
    static Outcome nothing() {
        Outcome outcome;
        outcome.skipped = true;
        return outcome;
    }
};

/// Names what differs ("status", "data", ...); empty when nothing does.
std::string difference_of(const Outcome &model, const Outcome &host);
/// For a reader.
std::string text_of(const Outcome &outcome);
std::string status_text(NTSTATUS status);

} // namespace reference
