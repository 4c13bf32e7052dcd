// SPDX-License-Identifier: MIT
//
// This module provides: what the tests of the I/O manager and the file system share: files by short calls, and a filter that writes down what it
// sees of operations, or holds them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/handles.hpp"
#include "flt/filter_manager.hpp"
#include "io/io_manager.hpp"
#include "world_fixture.hpp"

namespace io_bench {

using namespace fltsim;

using File = std::shared_ptr<io::FileObject>;

struct Opened {
    NTSTATUS status = STATUS_SUCCESS;
    ULONG_PTR information = 0;
    HANDLE handle = nullptr;
    File file;
    explicit operator bool() const { return status == STATUS_SUCCESS; }
    io::FileObject &operator*() const { return *file; }
};

inline constexpr ACCESS_MASK READ_WRITE = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE;
inline constexpr ULONG SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
inline constexpr ULONG SYNC = FILE_SYNCHRONOUS_IO_NONALERT;

Opened open(std::u16string_view path, ULONG disposition = FILE_OPEN, ULONG options = SYNC,
            ACCESS_MASK access = READ_WRITE, ULONG share = SHARE_ALL, ULONG attributes = 0);
void close(Opened &opened);
NTSTATUS write(const Opened &opened, std::string_view data, int64_t offset = -2);
/// The bytes, or "status 0x..." for a failure.
std::string read(const Opened &opened, ULONG length, int64_t offset = -2);
NTSTATUS rename(const Opened &opened, std::u16string_view to, bool replace = false, ULONG ex_flags = 0);
NTSTATUS set_delete(const Opened &opened, bool on = true, ULONG ex_flags = 0);
NTSTATUS set_end(const Opened &opened, int64_t end);
uint64_t size_of(const Opened &opened);
/// The names of a directory query, separated by blanks, then the last status when it is not STATUS_SUCCESS.
std::string list(const Opened &opened, std::u16string_view pattern = u"", bool single = false, bool restart = false);
NTSTATUS exists(std::u16string_view path);
void sleep_ms(uint64_t milliseconds);

/// Loads the tracing filter and attaches it to a volume ("D:").
void trace(std::u16string_view dos_name);
/// What it saw since the last call: "READ(I,0x900)@0[null] ...". Post-operations, in order.
/// Form I, F or S; flags of IRPs; IRQL; TopLevelIrp: null, irp (an IRP's address) or its number; a failure's status behind.
std::string traced();
/// Puts the name of the thread that a post-operation ran in behind each: "READ(I,0x900)@0[null]#reader".
void trace_threads(bool on);
/// Calls `fn` in each pre-operation of this major function; null: no more.
void on_pre_of(UCHAR major, std::function<void(PFLT_CALLBACK_DATA)> fn);
/// Calls `fn` in each post-operation of this major function; null: no more.
void on_post_of(UCHAR major, std::function<void(PFLT_CALLBACK_DATA)> fn);
/// Post-operations of this major function on IRPs are held until release_held(). 0xFF: none.
void hold(UCHAR major);
void release_held();
uint32_t held();
/// Deferred work items that were refused since trace().
uint32_t refusals();

/// Makes a world, runs `fn` in it as a client thread with the model lock, ends it; the report.
std::string run(const std::function<void()> &fn, fltsim::WorldOptions options = check::virtual_world());

} // namespace io_bench
