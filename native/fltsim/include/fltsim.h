// SPDX-License-Identifier: MIT
//
// This module provides: how a host program makes and steers model worlds. Everything else that the library exports has a
// Windows name and signature: the kernel side (Flt*, Ke*, Ex*, Io*, Wdf*: the driver image binds to it) and the user side
// (FilterConnectCommunicationPort, CreateFileW, ReadFile, ...: the addon and ffi clients call it, in the host's own calling
// convention).
//
// One world = one machine: processors, volumes, a Filter Manager, and a private copy of the driver image. Names
// (files, ports, filters) are looked up in the calling thread's current world; handles know their world by themselves.

#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FLTSIM_API __declspec(dllexport)
#else
#define FLTSIM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// A world, by number. 0 is no world.
typedef uint32_t FLTSIM_WORLD;

enum { FLTSIM_CLOCK_WALL = 0, FLTSIM_CLOCK_VIRTUAL = 1 };
enum { FLTSIM_EXECUTOR_FIBERS = 0, FLTSIM_EXECUTOR_THREADS = 1 };

typedef struct _FLTSIM_OPTIONS {
    uint32_t SizeBytes; ///< sizeof(FLTSIM_OPTIONS)
    uint32_t ProcessorCount; ///< 2 or more
    uint64_t Seed; ///< of the scheduler
    uint32_t Clock; ///< FLTSIM_CLOCK_*
    uint32_t Executor; ///< FLTSIM_EXECUTOR_*
    const char *DriverImage; ///< UTF-8 path of the driver image that FilterLoad(L"minipend") loads
} FLTSIM_OPTIONS;

/// Makes a world with the default volumes: C: (ntfs, boot), D: (ntfs), E: (fat). The driver is not loaded yet.
/// Returns 0 and writes a message (UTF-8, terminated) when an option is bad or the world cannot be made.
FLTSIM_API FLTSIM_WORLD FltSimCreateWorld(const FLTSIM_OPTIONS *Options, char *Message, size_t MessageBytes);

/// Unloads what is loaded, closes what is open, ends the world's threads and frees it. Calls that are still inside the
/// world return with ERROR_SHUTDOWN_IN_PROGRESS first. Returns 0, or -1 when there is no such world.
FLTSIM_API int FltSimDestroyWorld(FLTSIM_WORLD World);

/// Makes World the calling thread's current one, for calls that take a name. 0 unselects. Returns 0 or -1.
FLTSIM_API int FltSimSelectWorld(FLTSIM_WORLD World);

/// Writes the world's report as UTF-8 JSON: {"stopped":bool,"rule":..,"call":..,"text":..,"history":[..],"seed":"..","leaks":[..],"absentRoutines":[..]: what drivers have asked for by name and got NULL,
/// "waitingForStorage":number of non-cached requests that the storage has at this moment,"faults":[{"function":..,"status":..,"statuses":how many ways to
/// fail it has}]: the calls that FltSimSetFault has made fail,"readings":{name:value}: those of FltSimSetReading that are not the default}.
/// Returns the bytes it needs with the terminator; writes nothing when Bytes is too small.
FLTSIM_API size_t FltSimReport(FLTSIM_WORLD World, char *Json, size_t Bytes);

/// Fault switches: the next Count calls of the named kernel function (e.g. "FltAllocateDeferredIoWorkItem") made by the driver
/// fail in their documented way, after the first Skip calls went through. Count 0 switches off. -1: no such switch.
/// "FltAllocateContext:STATUS_FLT_DELETING_OBJECT" fails with another of the documented statuses than the first. "*" stands for every call that can fail, so that
/// Skip = k - 1, Count = 1 fails the k-th, whichever it is; "*#1" does so with the function's second status, and so on.
/// "FltQueueDeferredIoWorkItem:TopLevelIrp" is the opposite of a failure: calls under a top-level IRP, which the documents say are refused, are accepted.
FLTSIM_API int FltSimSetFault(FLTSIM_WORLD World, const char *Function, uint32_t Skip, uint32_t Count);

/// Where documents disagree or are silent the model goes by one reading of them (docs/READINGS.md). Sets the reading called Name ("queue-of-non-irp") to one of
/// its values ("accepted"); best before the driver is loaded. Returns 0, or -1 and a message (UTF-8, terminated) that lists what there is.
FLTSIM_API int FltSimSetReading(FLTSIM_WORLD World, const char *Name, const char *Value, char *Message,
                                size_t MessageBytes);

/// Sets a DWORD below the Parameters key of a service ("minipend"): a driver reads its own when it is loaded. Returns 0, or -1: no such world.
FLTSIM_API int FltSimSetServiceParameter(FLTSIM_WORLD World, const char *Service, const char *Name, uint32_t Value);
/// Adds the service of another minifilter, as its INF would: FilterLoad(Service) loads Image (UTF-8 path; a host library or, on x86-64 Linux, a Windows image),
/// which is attached at that altitude to every volume. Returns 0; -1 when there is no such world, or there is such a service.
FLTSIM_API int FltSimAddDriver(FLTSIM_WORLD World, const char *Service, const char *Image, const char *Altitude);

/// Stops a driver's service ("minipend"), as `sc stop` does: the mandatory unload that a filter cannot veto. Waits for its end. *Status is the NTSTATUS.
/// Returns 0, or -1 when there is no such world or it stopped first.
FLTSIM_API int FltSimStopService(FLTSIM_WORLD World, const char *Service, int32_t *Status);

/// Dismounts a volume ("D:") with whatever is open on it: its instances are torn down with the reason VOLUME_DISMOUNT, calls on open files fail
/// with STATUS_VOLUME_DISMOUNTED, the next open mounts it again. *Status is the NTSTATUS (STATUS_ACCESS_DENIED for the boot volume). Returns as above.
FLTSIM_API int FltSimDismountVolume(FLTSIM_WORLD World, const char *Volume, int32_t *Status);

/// A client's thread is terminated, as when its process is killed: it is terminating from now on. What it waits for in user mode ends; a system
/// call that is under way goes on until its operation has ended; every later call of the thread fails with ERROR_ACCESS_DENIED
/// (STATUS_THREAD_IS_TERMINATING). ThreadId is GetCurrentThreadId's. Handles stay open. Returns 0; -1 when there is no such world or client's thread.
FLTSIM_API int FltSimTerminateThread(FLTSIM_WORLD World, uint32_t ThreadId);

/// One more client process in the world, of its creator's executable (C:\\Windows\\client.exe at first); *ProcessId gets its id. Host threads act for it after
/// FltSimEnterProcess. As FltSimStartProcess without an image, but that the executable is only opened when a driver is told of it. Returns 0 or -1.
FLTSIM_API int FltSimCreateProcess(FLTSIM_WORLD World, uint32_t *ProcessId);

/// The same with the executable named: Image (ASCII: a Windows path such as "C:\\dir\\program.exe" or an NT name; null: the creator's) is opened and made a section of,
/// as Windows does it, and drivers are told of both. A stand-in of it is put on the disk first when there is no such file; no filter sees that. CommandLine null: the
/// executable's path. *Status is the NTSTATUS: that of the open, of the section, or what a driver's process notify routine says against it (*ProcessId is the id
/// all the same then, of a process that ends). Returns 0 or -1.
FLTSIM_API int FltSimStartProcess(FLTSIM_WORLD World, const char *Image, const char *CommandLine, uint32_t *ProcessId,
                                  int32_t *Status);

/// From now on the process (0: the first client process) is one of that executable. Nothing is opened, no driver is told. Returns 0 or -1.
FLTSIM_API int FltSimSetProcessImage(FLTSIM_WORLD World, uint32_t ProcessId, const char *Image);

/// From now on the calling host thread is a thread of that process in this world: its operations and the handles it opens are that process's. At first
/// every host thread is one of the first client process (GetCurrentProcessId). Returns 0, or -1: no such process, or it has ended.
FLTSIM_API int FltSimEnterProcess(FLTSIM_WORLD World, uint32_t ProcessId);

/// A process is killed: its threads are terminated as by FltSimTerminateThread; when the operations they have asked for have ended, its handles are
/// closed one by one in a thread of it, then its views are unmapped. Returns at once. 0, or -1 when there is no such process.
FLTSIM_API int FltSimTerminateProcess(FLTSIM_WORLD World, uint32_t ProcessId);

/// Waits until a process that is being killed has ended, for at most TimeoutMs. 1: it has; 0: not yet; -1: no such process or world.
FLTSIM_API int FltSimWaitForProcess(FLTSIM_WORLD World, uint32_t ProcessId, uint32_t TimeoutMs);

/// A handle of that process to what Handle names. Returns 0 and *NewHandle, or -1.
FLTSIM_API int FltSimDuplicateHandle(FLTSIM_WORLD World, void *Handle, uint32_t ProcessId, void **NewHandle);

/// A file server in kernel mode, in the System process, reads (Write 0) or writes an open file by the MDL operations. *Transferred bytes, *Status
/// the NTSTATUS. Returns 0 or -1.
FLTSIM_API int FltSimServerTransfer(FLTSIM_WORLD World, void *Handle, int Write, uint64_t Offset, void *Buffer,
                                    uint32_t Bytes, uint32_t *Transferred, int32_t *Status);

/// The memory manager reads (Write 0) or writes whole pages of the boot volume's paging file, by paging I/O in System. *Status is the NTSTATUS
/// (STATUS_INVALID_PARAMETER: Offset or Bytes is not made of pages of 4096 bytes). Returns 0 or -1.
FLTSIM_API int FltSimPagingFileIo(FLTSIM_WORLD World, int Write, uint64_t Offset, void *Buffer, uint32_t Bytes,
                                  int32_t *Status);

/// The mapped page writer looks now at what views have changed, and writes it. Otherwise it looks when a view is unmapped. Returns 0 or -1.
FLTSIM_API int FltSimWriteMappedPages(FLTSIM_WORLD World);

/// A trace session turns every event provider on (those that register later as well) or off. Level 0: events of every level; MatchAnyKeyword 0: of
/// every keyword. Returns 0 or -1.
FLTSIM_API int FltSimEnableTrace(FLTSIM_WORLD World, int Enable, uint8_t Level, uint64_t MatchAnyKeyword);

/// How long the storage of all volumes takes from now on for a non-cached request that is no paging I/O, in microseconds of the world's
/// clock. 0: the default, 50 to 500, drawn for each request. A request under way keeps its own. Returns 0, or -1 when there is no such world.
FLTSIM_API int FltSimSetStorageDelay(FLTSIM_WORLD World, uint32_t DelayMicroseconds);

#ifdef __cplusplus
}
#endif
