// SPDX-License-Identifier: MIT
//
// This module provides: the one table of C functions that the addon calls, resolved at run time from fltsim (embedded) or from
// fltlib.dll, kernel32.dll and ntdll.dll (windows).
// Invariants: after a successful load every pointer of the chosen backend is set, except those of NtApi; libraries are never unloaded, because
// their threads may outlive any one environment.
#pragma once

#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#include <fltuser.h>
#else
#include <fltsim_user.h>
#endif
#include <fltsim.h>

#include "nt_api.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace minipend {

#if defined(_WIN32)
using RtlGetLastNtStatusFunction = LONG(WINAPI *)();
using RtlNtStatusToDosErrorFunction = ULONG(WINAPI *)(LONG);
#else
using RtlGetLastNtStatusFunction = decltype(&::RtlGetLastNtStatus);
using RtlNtStatusToDosErrorFunction = decltype(&::RtlNtStatusToDosError);
#endif

// X(name): functions whose types the headers declare, by the library that has them on Windows.
#define MINIPEND_FLTLIB_FUNCTIONS(X)                                                                                   \
    X(FilterLoad)                                                                                                      \
    X(FilterUnload)                                                                                                    \
    X(FilterAttach)                                                                                                    \
    X(FilterAttachAtAltitude)                                                                                          \
    X(FilterDetach)                                                                                                    \
    X(FilterConnectCommunicationPort)                                                                                  \
    X(FilterSendMessage)                                                                                               \
    X(FilterGetMessage)                                                                                                \
    X(FilterInstanceFindFirst)                                                                                         \
    X(FilterInstanceFindNext)                                                                                          \
    X(FilterInstanceFindClose)

#define MINIPEND_KERNEL32_FUNCTIONS(X)                                                                                 \
    X(CreateFileW)                                                                                                     \
    X(CreateDirectoryW)                                                                                                \
    X(QueryDosDeviceW)                                                                                                 \
    X(ReadFile)                                                                                                        \
    X(WriteFile)                                                                                                       \
    X(FlushFileBuffers)                                                                                                \
    X(GetFileInformationByHandleEx)                                                                                    \
    X(SetFileInformationByHandle)                                                                                      \
    X(CreateFileMappingW)                                                                                              \
    X(MapViewOfFile)                                                                                                   \
    X(FlushViewOfFile)                                                                                                 \
    X(UnmapViewOfFile)                                                                                                 \
    X(CreateEventW)                                                                                                    \
    X(GetOverlappedResult)                                                                                             \
    X(CancelIoEx)                                                                                                      \
    X(CancelSynchronousIo)                                                                                             \
    X(OpenThread)                                                                                                      \
    X(GetCurrentThreadId)                                                                                              \
    X(GetLastError)                                                                                                    \
    X(CloseHandle)

#define MINIPEND_FLTSIM_FUNCTIONS(X)                                                                                   \
    X(FltSimCreateWorld)                                                                                               \
    X(FltSimDestroyWorld)                                                                                              \
    X(FltSimSelectWorld)                                                                                               \
    X(FltSimReport)                                                                                                    \
    X(FltSimAddDriver)                                                                                                 \
    X(FltSimStartProcess)                                                                                              \
    X(FltSimTerminateProcess)                                                                                          \
    X(FltSimWaitForProcess)                                                                                            \
    X(FltSimSetProcessImage)                                                                                           \
    X(FltSimSetFault)                                                                                                  \
    X(FltSimSetReading)                                                                                                \
    X(FltSimSetStorageDelay)

struct Api {
#define MINIPEND_POINTER(Name) decltype(&::Name) Name = nullptr;
    MINIPEND_FLTLIB_FUNCTIONS(MINIPEND_POINTER)
    MINIPEND_KERNEL32_FUNCTIONS(MINIPEND_POINTER)
    MINIPEND_FLTSIM_FUNCTIONS(MINIPEND_POINTER)
#undef MINIPEND_POINTER
    RtlGetLastNtStatusFunction RtlGetLastNtStatus = nullptr;
    RtlNtStatusToDosErrorFunction RtlNtStatusToDosError = nullptr;
    /// What the backend has of these.
    NtApi nt;

    bool embedded() const { return FltSimCreateWorld != nullptr; }
    /// Makes `world` the calling thread's, for calls that take a name. Nothing on windows.
    void select_world(uint32_t world) const {
        if (embedded()) {
            FltSimSelectWorld(world);
        }
    }
};

/// Copies `bytes` bytes between a mapped view and memory of ours. Returns 0 or a Win32 error: on Windows a page that cannot
/// be had is an error here, not an exception.
uint32_t copy_from_view(void *to, const void *view, size_t bytes);
uint32_t copy_to_view(void *view, const void *from, size_t bytes);

/// All functions from the fltsim library at `path` (UTF-8). Null and a message when it cannot be had.
std::shared_ptr<const Api> load_embedded_api(const std::string &path, std::string &message);
/// All but the FltSim functions from Windows. Null and a message elsewhere, or when an export is missing.
std::shared_ptr<const Api> load_windows_api(std::string &message);

/// The operating system's number of the calling thread, cut to 32 bits as Windows has it.
uint32_t system_thread_id();
/// Keeps this addon in memory until the process ends: its worker threads may finish after an environment has unloaded it.
void pin_this_module();

} // namespace minipend
