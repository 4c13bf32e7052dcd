// SPDX-License-Identifier: MIT
//
// This module provides: symbols.hpp.

#include "core/symbols.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

#if defined(__linux__) || defined(__APPLE__)
#define FLTSIM_BACKTRACE 1
#include <dlfcn.h>
#include <execinfo.h>
#endif

namespace fltsim {

namespace {

struct ImageFiles {
    std::mutex mutex; ///< of files; a leaf
    std::map<const void *, std::string> files;
};

ImageFiles &images() {
    static ImageFiles &all = *new ImageFiles; // never destroyed: worlds end late
    return all;
}

} // namespace

void remember_image(const void *base, std::string file) {
    ImageFiles &all = images();
    const std::lock_guard guard(all.mutex);
    all.files[base] = std::move(file);
}

void forget_image(const void *base) {
    ImageFiles &all = images();
    const std::lock_guard guard(all.mutex);
    all.files.erase(base);
}

#if FLTSIM_BACKTRACE

namespace {

std::string image_file(const void *base) {
    ImageFiles &all = images();
    const std::lock_guard guard(all.mutex);
    const auto found = all.files.find(base);
    return found == all.files.end() ? "" : found->second;
}

/// As one word of a shell.
std::string shell_word(const std::string &text) {
    std::string result = "'";
    for (const char c : text) {
        result += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return result + "'";
}

std::vector<std::string> output_lines(const std::string &command) {
    std::vector<std::string> lines;
    std::FILE *const pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) {
        return lines;
    }
    char line[512];
    while (std::fgets(line, sizeof line, pipe) != nullptr) {
        lines.emplace_back(line);
        while (!lines.back().empty() && lines.back().back() == '\n') {
            lines.back().pop_back();
        }
    }
    pclose(pipe);
    return lines;
}

std::string hex_offset(uintptr_t number) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%zx", static_cast<size_t>(number));
    return text;
}

/// "pend.c:118" of "pend.c:118 (discriminator 2)".
std::string place_of(const std::string &line) {
    return line.substr(0, line.find(' '));
}

using FrameNames = std::map<uintptr_t, std::vector<std::string>>;

/// For each offset the functions inlined there, innermost first: "MpPend (pend.c:118)". Nothing for what has no debug information.
FrameNames names_of_frames(const std::string &file, const std::vector<uintptr_t> &offsets) {
    std::string command = "addr2line -a -f -i -s -e " + shell_word(file);
    for (const uintptr_t offset : offsets) {
        command += " " + hex_offset(offset);
    }
    FrameNames result;
    const std::vector<std::string> lines = output_lines(command + " 2>/dev/null");
    std::vector<std::string> *frames = nullptr;
    for (size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].starts_with("0x")) {
            frames = &result[std::stoull(lines[i], nullptr, 16)];
        } else if (frames != nullptr && i + 1 < lines.size()) {
            if (lines[i] != "??" && !lines[i + 1].starts_with("??")) {
                frames->push_back(lines[i] + " (" + place_of(lines[i + 1]) + ")");
            }
            ++i;
        }
    }
    return result;
}

struct StackFrame {
    Dl_info info{};
    uintptr_t offset = 0; ///< of the call, from the base
    std::string file; ///< of a driver's image
};

std::string plain_frame(const void *address, const StackFrame &frame) {
    if (frame.info.dli_fname == nullptr) {
        char text[24];
        std::snprintf(text, sizeof text, "%p", address);
        return text;
    }
    std::string module = frame.file.empty() ? frame.info.dli_fname : frame.file;
    module.erase(0, module.find_last_of('/') + 1);
    module += "+" + hex_offset(frame.offset);
    return frame.info.dli_sname != nullptr ? module + " " + frame.info.dli_sname : module;
}

/// The innermost of these inlined functions that is not one of a header, which all callers share; else the innermost.
const std::string &own_name(const std::vector<std::string> &names) {
    const auto found =
        std::ranges::find_if(names, [](const std::string &name) { return name.find(".h:") == std::string::npos; });
    return found != names.end() ? *found : names.front();
}

/// Of a return address.
StackFrame frame_at(const void *address) {
    StackFrame frame;
    // An address behind a call may belong to the next line.
    const auto *call = static_cast<const char *>(address) - 1;
    if (dladdr(call, &frame.info) == 0 || frame.info.dli_fname == nullptr) {
        frame.info = {};
        return frame;
    }
    frame.offset = static_cast<uintptr_t>(call - static_cast<const char *>(frame.info.dli_fbase));
    frame.file = image_file(frame.info.dli_fbase);
    return frame;
}

} // namespace

std::string name_of_call(const void *code) {
    const StackFrame frame = frame_at(code);
    if (!frame.file.empty()) {
        const std::vector<std::string> names = names_of_frames(frame.file, {frame.offset})[frame.offset];
        if (!names.empty()) {
            return own_name(names);
        }
    }
    return plain_frame(code, frame);
}

[[gnu::noinline]] CallStack current_stack() {
    constexpr int FRAMES = 48;
    void *addresses[FRAMES];
    const int count = ::backtrace(addresses, FRAMES);
    // This function and its caller are left out, and what a sanitizer has put before them.
    const int own = static_cast<int>(std::find(addresses, addresses + count, __builtin_return_address(0)) - addresses);
    const int first = own < count ? own + 1 : 0;
    std::vector<StackFrame> frames(static_cast<size_t>(count));
    std::map<std::string, std::vector<uintptr_t>> wanted;
    for (int i = first; i < count; ++i) {
        StackFrame &frame = frames[static_cast<size_t>(i)];
        frame = frame_at(addresses[i]);
        if (!frame.file.empty()) {
            wanted[frame.file].push_back(frame.offset);
        }
    }
    std::map<std::string, FrameNames> names;
    for (const auto &[file, offsets] : wanted) {
        names[file] = names_of_frames(file, offsets);
    }
    CallStack stack;
    for (int i = first; i < count; ++i) {
        const StackFrame &frame = frames[static_cast<size_t>(i)];
        std::vector<std::string> texts;
        if (!frame.file.empty()) {
            texts = names[frame.file][frame.offset];
        }
        if (texts.empty()) {
            texts.push_back(plain_frame(addresses[i], frame));
        }
        if (!frame.file.empty() && stack.call_site.empty()) {
            stack.call_site = own_name(texts);
        }
        stack.frames.insert(stack.frames.end(), texts.begin(), texts.end());
    }
    return stack;
}

#else

std::string name_of_call(const void *code) {
    char text[24];
    std::snprintf(text, sizeof text, "%p", code);
    return text;
}

CallStack current_stack() {
    return {};
}

#endif

} // namespace fltsim
