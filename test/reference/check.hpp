// SPDX-License-Identifier: MIT
//
// This module provides: the reference check: runs of random operations on the model and on the host, compared after each operation and, whole,
// after each sequence; what differs is shrunk to a script.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "differences.hpp"
#include "host.hpp"

namespace reference {

/// What stands between the requestor and the file system.
enum class Filter : uint8_t { none, observe, pend, delay };

struct Options {
    uint64_t seed = 1;
    uint64_t operations = 10'000;
    uint32_t sequence_operations = 120;
    uint32_t world_sequences = 50; ///< sequences in one world
    Profile profile = Profile::ntfs;
    Filter filter = Filter::none;
    std::string directory; ///< on the host, exists
    /// Makes the model's outcome wrong, to see that it is found. Empty: nothing does.
    std::function<void(const Operation &, Outcome *)> tamper;
};

/// Memory where there is such a directory, the temporary one elsewhere.
std::string usual_directory();

struct Failure {
    uint64_t seed = 0; ///< of the sequence
    std::vector<Operation> script; ///< shrunk; the last one differs, or the whole after it
    size_t operations_before = 0; ///< that it was shrunk from
    std::string what; ///< the kind of operation and what of it differs; the same before and after shrinking
    std::string model;
    std::string host;
};

/// Runs until it has done so many operations or found a difference. `counts` is added to. Throws std::exception when a side cannot be set up.
std::optional<Failure> run(const Options &options, Counts *counts, const std::function<void(const Counts &)> &progress);
/// One script in a world of its own.
std::optional<Failure> replay(const Options &options, const std::vector<Operation> &script, Counts *counts);
/// A script, with everything a reader needs to run it again.
std::string text_of(const Failure &failure, const Options &options);

std::string_view name_of(Profile profile);
std::string_view name_of(Filter filter);

} // namespace reference
