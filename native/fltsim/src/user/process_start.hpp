// SPDX-License-Identifier: MIT
//
// This module provides: making a process of an executable.
#pragma once

#include <string>

#include "core/ddk.hpp"
#include "core/world.hpp"

namespace fltsim::user {

/// "C:\dir\program.exe" or any NT name of it as a full one, "\Device\HarddiskVolume1\dir\program.exe"; empty: there is no such volume.
std::u16string full_image_name(World &world, const std::u16string &name);

struct Program {
    std::u16string image; ///< full name; empty: the creator's
    std::u16string command_line; ///< empty: the executable's path in quotes
    bool always_opened = true; ///< false: when a driver's routine is told of it, else nobody would see that
};

/// In the calling thread, model lock held. *made is null when it never came to be; a process that a routine is against ends by itself, and
/// the status is the routine's.
NTSTATUS start_process(World &world, const Program &program, Process **made);
/// Terminates its threads and has it end in a thread of its own. Model lock held.
void end_process(World &world, Process &process);

} // namespace fltsim::user
