// SPDX-License-Identifier: MIT
//
// This module provides: differences.hpp and the comparison of outcomes.

#include "differences.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>

#include "outcome.hpp"

namespace reference {

namespace {

struct Text {
    std::string_view name;
    std::string_view explanation;
};
constexpr std::array<Text, DIFFERENCES> DIFFERENCE_TEXTS{{
#define X(name, text) {#name, text},
    REFERENCE_DIFFERENCES(X)
#undef X
}};
constexpr std::array<Text, OMISSIONS> OMISSION_TEXTS{{
#define X(name, text) {#name, text},
    REFERENCE_OMISSIONS(X)
#undef X
}};

enum class When : uint8_t { always, parent_is_directory, parent_is_none, with_backup, without_backup };

/// `kinds`: those that the row is for; none: all.
struct Row {
    int error;
    NTSTATUS status;
    When when = When::always;
    std::vector<Kind> kinds;
};

const std::vector<Row> &table() {
    using enum Kind;
    static const std::vector<Kind> by_handle{read, read_next, write, write_next, truncate, allocate, flush, seek, map};
    static const std::vector<Row> rows{
        {EBADF, STATUS_ACCESS_DENIED, When::always, by_handle},
        {EACCES, STATUS_ACCESS_DENIED, When::always, {map}},
        {EINVAL, STATUS_ACCESS_DENIED, When::always, {truncate, allocate}}, // ftruncate of what is not open for writing
        {EISDIR, STATUS_INVALID_DEVICE_REQUEST, When::always, {read, read_next}},
        {ENODEV, STATUS_INVALID_FILE_FOR_SECTION, When::always, {map}},
        {EINVAL, STATUS_MAPPED_FILE_SIZE_ZERO, When::always, {map}},
        {EINVAL, STATUS_INVALID_PARAMETER, When::always, {seek, rename, move}}, // before the start; into itself
        {EISDIR, STATUS_OBJECT_NAME_COLLISION, When::with_backup, {open}},
        {EISDIR, STATUS_FILE_IS_A_DIRECTORY, When::without_backup, {open}},
        {EEXIST, STATUS_OBJECT_NAME_COLLISION, When::always, {open, make_directory, rename, move, link, link_name}},
        {EPERM, STATUS_FILE_IS_A_DIRECTORY, When::always, {link, link_name}},
        {ENOTEMPTY, STATUS_DIRECTORY_NOT_EMPTY, When::always, {dispose, remove}},
        {ENOTDIR, STATUS_OBJECT_PATH_NOT_FOUND, When::parent_is_none, {}},
        {ENOTDIR, STATUS_INVALID_PARAMETER, When::parent_is_directory, {list, list_open}},
        {ENOENT, STATUS_OBJECT_PATH_NOT_FOUND, When::parent_is_none, {}},
        {ENOENT, STATUS_OBJECT_NAME_NOT_FOUND, When::parent_is_directory, {}},
        {ENAMETOOLONG, STATUS_OBJECT_NAME_INVALID, When::always, {}},
    };
    return rows;
}

bool applies(When when, const Situation &situation) {
    switch (when) {
    case When::parent_is_directory:
        return situation.parent_is_directory;
    case When::parent_is_none:
        return !situation.parent_is_directory;
    case When::with_backup:
        return situation.backup;
    case When::without_backup:
        return !situation.backup;
    default:
        return true;
    }
}

std::string text_of(const Entry &entry) {
    std::string name;
    for (const char16_t c : entry.name) {
        name += c < 0x80 ? static_cast<char>(c) : '?';
    }
    if (name.size() > 20) {
        name = name.substr(0, 3) + "...(" + std::to_string(entry.name.size()) + ")";
    }
    return name + (entry.directory ? "\\" : ":" + std::to_string(entry.size));
}

std::string data_text(const std::string &data) {
    uint64_t sum = 14695981039346656037u;
    for (const char c : data) {
        sum = (sum ^ static_cast<uint8_t>(c)) * 1099511628211u;
    }
    char text[64];
    std::snprintf(text, sizeof text, "%zu bytes, hash %016llx", data.size(), static_cast<unsigned long long>(sum));
    return text;
}

} // namespace

std::string_view name_of(Difference difference) {
    return DIFFERENCE_TEXTS[static_cast<size_t>(difference)].name;
}
std::string_view explanation_of(Difference difference) {
    return DIFFERENCE_TEXTS[static_cast<size_t>(difference)].explanation;
}
std::string_view name_of(Omission omission) {
    return OMISSION_TEXTS[static_cast<size_t>(omission)].name;
}
std::string_view explanation_of(Omission omission) {
    return OMISSION_TEXTS[static_cast<size_t>(omission)].explanation;
}

std::optional<NTSTATUS> status_for(Kind kind, int error, const Situation &situation) {
    for (const Row &row : table()) {
        const bool meant = row.kinds.empty() || std::ranges::find(row.kinds, kind) != row.kinds.end();
        if (row.error == error && meant && applies(row.when, situation)) {
            return row.status;
        }
    }
    return std::nullopt;
}

void Counts::add(const Counts &other) {
    operations += other.operations;
    skipped += other.skipped;
    sequences += other.sequences;
    worlds += other.worlds;
    files_compared += other.files_compared;
    observed += other.observed;
    pended += other.pended;
    refused += other.refused;
    const auto sum = [](auto &to, const auto &from) { std::ranges::transform(to, from, to.begin(), std::plus<>()); };
    sum(succeeded, other.succeeded);
    sum(failed, other.failed);
    sum(differences, other.differences);
    sum(omissions, other.omissions);
}

std::string difference_of(const Outcome &model, const Outcome &host) {
    if (model.skipped != host.skipped) {
        return "open handles";
    }
    const bool allowed = model.status == host.status || std::ranges::find(host.also, model.status) != host.also.end();
    if (!allowed) {
        return "status";
    }
    if (!NT_SUCCESS(host.status)) {
        return "";
    }
    if (model.data != host.data) {
        return model.data.size() != host.data.size() ? "bytes read" : "data";
    }
    if (model.entries != host.entries) {
        return "entries";
    }
    if (model.value != host.value) {
        return "value";
    }
    if (model.info.size() != host.info.size()) {
        return "information";
    }
    if (!host.info.empty()) {
        Info seen = model.info[0];
        seen.written = host.time_known ? seen.written : host.info[0].written;
        if (seen != host.info[0]) {
            return "information";
        }
    }
    return "";
}

std::string status_text(NTSTATUS status) {
    static const std::map<NTSTATUS, std::string_view> known{
#define X(name) {name, #name},
        X(STATUS_SUCCESS) X(STATUS_END_OF_FILE) X(STATUS_ACCESS_DENIED) X(STATUS_INVALID_PARAMETER)
            X(STATUS_OBJECT_NAME_NOT_FOUND) X(STATUS_OBJECT_PATH_NOT_FOUND) X(STATUS_OBJECT_NAME_COLLISION)
                X(STATUS_OBJECT_NAME_INVALID) X(STATUS_DELETE_PENDING) X(STATUS_FILE_IS_A_DIRECTORY)
                    X(STATUS_NOT_A_DIRECTORY) X(STATUS_DIRECTORY_NOT_EMPTY) X(STATUS_USER_MAPPED_FILE)
                        X(STATUS_CANNOT_DELETE) X(STATUS_FILE_DELETED) X(STATUS_SECTION_TOO_BIG)
                            X(STATUS_MAPPED_FILE_SIZE_ZERO) X(STATUS_INVALID_FILE_FOR_SECTION)
                                X(STATUS_INVALID_DEVICE_REQUEST) X(STATUS_SHARING_VIOLATION) X(STATUS_DISK_FULL)
#undef X
    };
    const auto found = known.find(status);
    char number[16];
    std::snprintf(number, sizeof number, "0x%08X", static_cast<unsigned>(status));
    return found == known.end() ? number : std::string(found->second);
}

std::string text_of(const Outcome &outcome) {
    if (outcome.skipped) {
        return "nothing to do";
    }
    std::string text = status_text(outcome.status);
    for (const NTSTATUS other : outcome.also) {
        text += " or " + status_text(other);
    }
    if (!NT_SUCCESS(outcome.status)) {
        return text;
    }
    if (!outcome.data.empty()) {
        text += ", " + data_text(outcome.data);
    }
    if (outcome.value != 0) {
        text += ", value " + std::to_string(outcome.value);
    }
    for (const Entry &entry : outcome.entries) {
        text += " " + text_of(entry);
    }
    for (const Info &info : outcome.info) {
        text += info.directory ? ", a directory" : ", a file of " + std::to_string(info.size) + " bytes";
        text += ", links " + std::to_string(info.links) + (info.delete_pending ? ", delete pending" : "");
        text += ", written " + std::to_string(info.written);
    }
    return text;
}

} // namespace reference
