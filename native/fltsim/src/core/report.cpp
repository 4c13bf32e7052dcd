// SPDX-License-Identifier: MIT
//
// This module provides: Report (report.hpp).

#include "core/report.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

namespace fltsim {

namespace {

/// Number of bytes of the UTF-8 sequence at `text`, 0 when it is not one.
size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t index) { return static_cast<unsigned char>(text[index]); };
    const size_t length = byte(0) < 0x80                      ? 1
                          : byte(0) >= 0xF0 && byte(0) < 0xF5 ? 4
                          : byte(0) >= 0xE0                   ? 3
                          : byte(0) >= 0xC2                   ? 2
                                                              : 0;
    if (length == 0 || byte(0) >= 0xF5 || length > text.size()) {
        return 0;
    }
    for (size_t index = 1; index < length; ++index) {
        if ((byte(index) & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/// Lines may quote what a driver printed: anything that is not UTF-8 is shown, not passed on.
std::string json_string(std::string_view text) {
    std::string result = "\"";
    char escape[8];
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text[0]);
        size_t length = utf8_length(text);
        if (length == 0) {
            std::snprintf(escape, sizeof(escape), "\\u00%02x", first);
            result += escape;
            length = 1;
        } else if (first == '"' || first == '\\') {
            result += '\\';
            result += text[0];
        } else if (first < 0x20 || first == 0x7F) {
            std::snprintf(escape, sizeof(escape), "\\u%04x", first);
            result += escape;
        } else {
            result += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
    return result + '"';
}

template <class List> std::string quoted_list(const List &list) {
    std::string result = "[";
    for (const std::string &line : list) {
        if (result.size() > 1) {
            result += ',';
        }
        result += json_string(line);
    }
    return result + ']';
}

} // namespace

void Report::note(std::string line) {
    const std::lock_guard guard(mutex_);
    if (history_.size() == HISTORY_LINES) {
        history_.pop_front();
    }
    history_.push_back(std::move(line));
}

void Report::leak(std::string what) {
    const std::lock_guard guard(mutex_);
    leaks_.push_back(std::move(what));
}

void Report::absent_routine(std::string name) {
    const std::lock_guard guard(mutex_);
    if (std::ranges::find(absent_, name) == absent_.end()) {
        absent_.push_back(std::move(name));
    }
}

bool Report::stop(Stop stop) {
    const std::lock_guard guard(mutex_);
    if (stopped_) {
        return false;
    }
    stopped_ = true;
    stop_ = std::move(stop);
    return true;
}

bool Report::stopped() const {
    const std::lock_guard guard(mutex_);
    return stopped_;
}

std::vector<std::string> Report::leaks() const {
    const std::lock_guard guard(mutex_);
    return leaks_;
}

std::string Report::json(uint64_t seed, uint32_t waiting_for_storage) const {
    const std::lock_guard guard(mutex_);
    std::string json = std::string("{\"stopped\":") + (stopped_ ? "true" : "false");
    const auto text_or_null = [&](const std::string &text) {
        return stopped_ ? json_string(text) : std::string("null");
    };
    json += ",\"rule\":" + text_or_null(stop_.rule);
    json += ",\"call\":" + text_or_null(stop_.call);
    json += ",\"text\":" + text_or_null(stop_.text);
    if (stopped_) {
        json += ",\"thread\":" + json_string(stop_.thread) + ",\"threadId\":" + std::to_string(stop_.thread_id) +
                ",\"processor\":" + std::to_string(stop_.processor) + ",\"irql\":" + std::to_string(stop_.irql) +
                ",\"callSite\":" +
                (stop_.stack.call_site.empty() ? std::string("null") : json_string(stop_.stack.call_site)) +
                ",\"backtrace\":" + quoted_list(stop_.stack.frames) +
                ",\"operation\":" + quoted_list(operation_history());
    }
    json += ",\"history\":" + quoted_list(history_);
    json += ",\"seed\":\"" + std::to_string(seed) + "\"";
    json += ",\"leaks\":" + quoted_list(leaks_);
    json += ",\"absentRoutines\":" + quoted_list(absent_);
    json += ",\"waitingForStorage\":" + std::to_string(waiting_for_storage) + "}";
    return json;
}

std::string Report::text(uint64_t seed) const {
    const std::lock_guard guard(mutex_);
    std::string text =
        "fltsim: the world stopped: " + stop_.rule + "\n  call:   " + stop_.call + "\n  why:    " + stop_.text +
        (stop_.stack.call_site.empty() ? "" : "\n  from:   " + stop_.stack.call_site) + "\n  thread: " + stop_.thread +
        " (" + std::to_string(stop_.thread_id) + "), processor " + std::to_string(stop_.processor) + ", IRQL " +
        std::to_string(stop_.irql) + "\n  seed:   " + std::to_string(seed) + "\n";
    for (const std::string &frame : stop_.stack.frames) {
        text += "    " + frame + "\n";
    }
    for (const std::string &line : operation_history()) {
        text += "  > " + line + "\n";
    }
    for (const std::string &line : history_) {
        text += "  | " + line + "\n";
    }
    return text;
}

std::vector<std::string> Report::operation_history() const {
    std::vector<std::string> lines;
    const size_t at = stop_.text.starts_with("op ") ? 0 : stop_.text.find(" op ") + 1;
    const size_t digits = at + 3;
    const size_t end = stop_.text.find_first_not_of("0123456789", digits);
    if (stop_.text.compare(at, 3, "op ") != 0 || end == digits || end == std::string::npos) {
        return lines;
    }
    const std::string name = stop_.text.substr(at, end - at) + " ";
    std::ranges::copy_if(history_, std::back_inserter(lines),
                         [&](const std::string &line) { return line.starts_with(name); });
    return lines;
}

} // namespace fltsim
