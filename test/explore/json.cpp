// SPDX-License-Identifier: MIT
//
// This module provides: json.hpp.

#include "json.hpp"

#include <cstdio>
#include <dlfcn.h>

namespace explore {

std::string quoted(std::string_view text) {
    constexpr unsigned char FIRST_PRINTABLE = 0x20;
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
            json += c;
        } else if (static_cast<unsigned char>(c) < FIRST_PRINTABLE) {
            char escaped[8];
            std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
            json += escaped;
        } else {
            json += c;
        }
    }
    return json + "\"";
}

const char *name_of(Strategy strategy) {
    switch (strategy) {
    case Strategy::Random:
        return "random";
    case Strategy::Pct:
        return "pct";
    case Strategy::Exhaustive:
        return "exhaustive";
    }
    return "?";
}

std::string replay_text(const Scenario &scenario, uint64_t seed, uint32_t plain_every,
                        std::span<const fltsim::Deviation> decisions) {
    return std::string(scenario.name) + "/" + std::to_string(seed) + "/" +
           (plain_every != 0 ? "p" + std::to_string(plain_every) + "/" : "") + fltsim::text_of(decisions);
}

namespace {

/// "hold.c:123 in MpHoldTake", as addr2line says; else the address in the image.
std::string line_of(const void *code, const std::string &driver) {
    Dl_info info{};
    if (dladdr(code, &info) == 0) {
        return "unknown code";
    }
    // A driver image is loaded from a copy that is gone.
    const std::string loaded = info.dli_fname;
    const std::string image = loaded.find("/fltsim-") != std::string::npos ? driver : loaded;
    // The address is the one that the call returns to.
    const auto offset = reinterpret_cast<uintptr_t>(code) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1;
    constexpr size_t LONGEST = 4096;
    char command[LONGEST];
    std::snprintf(command, sizeof(command), "addr2line -s -f -e '%s' 0x%zx 2>/dev/null", image.c_str(),
                  static_cast<size_t>(offset));
    std::string text;
    if (std::FILE *pipe = popen(command, "r")) {
        char line[256];
        while (std::fgets(line, sizeof(line), pipe) != nullptr) {
            text += line;
        }
        pclose(pipe);
    }
    const size_t end = text.find('\n');
    if (end == std::string::npos || text.find("??") != std::string::npos) {
        std::snprintf(command, sizeof(command), "image+0x%zx", static_cast<size_t>(offset));
        return command;
    }
    std::string place = text.substr(end + 1);
    place = place.substr(0, place.find_first_of(" \n"));
    return place + " in " + text.substr(0, end);
}

std::string step_text(const fltsim::DecisionNote &note, const std::string &image) {
    std::string where;
    if (note.address != nullptr) {
        where = "at " + line_of(note.address, image);
    } else if (note.call != nullptr) {
        where = std::string(note.before ? "before " : "after ") + note.call;
    }
    const std::string to = note.to;
    if (note.from[0] == '\0') {
        return to == "the clock" ? "time passes" : to + " goes first";
    }
    const std::string from = note.from;
    if (note.running) {
        return from + " is stopped " + where + (to == "the clock" ? "; time passes" : "; " + to + " runs");
    }
    return from + " waits" + (to == "the clock" ? "; time passes first" : "; " + to + " goes first");
}

} // namespace

std::string finding_json(const Scenario &scenario, const Plan &plan, const Finding &finding, const std::string &image) {
    std::string text = finding.verdict.text;
    if (finding.verdict.code != nullptr) {
        text += ", at " + line_of(finding.verdict.code, image);
    }
    std::string steps;
    for (const fltsim::DecisionNote &note : finding.notes) {
        steps += (steps.empty() ? "" : ",") + quoted(step_text(note, image));
    }
    return "{\"event\":\"failure\",\"scenario\":" + quoted(scenario.name) +
           ",\"strategy\":" + quoted(name_of(plan.strategy)) + ",\"seed\":" + quoted(std::to_string(finding.seed)) +
           ",\"rule\":\"" + finding.verdict.rule + "\",\"call\":\"" + finding.verdict.call +
           "\",\"text\":" + quoted(text) + ",\"decisions\":" + std::to_string(finding.decisions.size()) +
           ",\"shrunkTo\":" + std::to_string(finding.shrunk.size()) + ",\"tries\":" + std::to_string(finding.tries) +
           ",\"steps\":[" + steps +
           "],\"replay\":" + quoted(replay_text(scenario, finding.seed, plan.plain_every, finding.shrunk)) +
           ",\"report\":" + (finding.report.empty() ? "null" : finding.report) + "}";
}

std::string lost_json(const Scenario &scenario, const Plan &plan, uint64_t seed, std::string_view rule,
                      std::string_view text) {
    return "{\"event\":\"failure\",\"scenario\":" + quoted(scenario.name) +
           ",\"strategy\":" + quoted(name_of(plan.strategy)) + ",\"seed\":" + quoted(std::to_string(seed)) +
           ",\"rule\":" + quoted(rule) + ",\"call\":\"\",\"text\":" + quoted(text) +
           ",\"decisions\":null,\"shrunkTo\":null,\"tries\":0,\"steps\":[],\"replay\":null,\"report\":null}";
}

} // namespace explore
