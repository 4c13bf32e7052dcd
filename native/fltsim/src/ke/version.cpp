// SPDX-License-Identifier: MIT
//
// This module provides: which Windows the model says it is, random numbers, and what is a paging file.
#include <algorithm>
#include <cstring>

#include "io/io_manager.hpp"
#include "ke/state.hpp"

using namespace fltsim;

namespace {

/// Windows 11 24H2, a free build.
constexpr ULONG MAJOR_VERSION = 10;
constexpr ULONG MINOR_VERSION = 0;
constexpr ULONG BUILD_NUMBER = 26100;

} // namespace

/// IRQL = PASSIVE_LEVEL. A caller that gives the size of the longer structure gets all of that one. STATUS_SUCCESS always.
FLTSIM_KERNEL NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW lpVersionInformation) {
    constexpr const char *kApi = "RtlGetVersion";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (lpVersionInformation == nullptr) {
        bugcheck("VER-02 parameter", kApi, "lpVersionInformation is null");
    }
    OSVERSIONINFOEXW version{};
    version.dwOSVersionInfoSize = lpVersionInformation->dwOSVersionInfoSize;
    version.dwMajorVersion = MAJOR_VERSION;
    version.dwMinorVersion = MINOR_VERSION;
    version.dwBuildNumber = BUILD_NUMBER;
    version.dwPlatformId = VER_PLATFORM_WIN32_NT;
    version.wSuiteMask = VER_SUITE_SINGLEUSERTS;
    version.wProductType = VER_NT_WORKSTATION;
    const bool extended = version.dwOSVersionInfoSize == sizeof version;
    std::memcpy(static_cast<void *>(lpVersionInformation), &version,
                extended ? sizeof version : sizeof(OSVERSIONINFOW));
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. FALSE: a free build. There is no service pack.
FLTSIM_KERNEL BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber,
                                         PUNICODE_STRING CSDVersion) {
    KernelCall call("PsGetVersion", PASSIVE_LEVEL);
    const auto give = [](PULONG to, ULONG value) {
        if (to != nullptr) {
            *to = value;
        }
    };
    give(MajorVersion, MAJOR_VERSION);
    give(MinorVersion, MINOR_VERSION);
    give(BuildNumber, BUILD_NUMBER);
    if (CSDVersion != nullptr) {
        *CSDVersion = UNICODE_STRING{};
    }
    return FALSE;
}

/// IRQL <= APC_LEVEL. From 0 to MAXLONG - 1, by the seed alone, which becomes another one.
FLTSIM_KERNEL ULONG NTAPI RtlRandomEx(PULONG Seed) {
    KernelCall call("RtlRandomEx", APC_LEVEL);
    // Lehmer's generator, modulo 2^31 - 1; a seed that would stay 0 is moved on.
    constexpr uint64_t kModulus = MAXLONG;
    constexpr uint64_t kFactor = 48271;
    const auto next = [](uint64_t value) { return std::max<uint64_t>(value % kModulus, 1) * kFactor % kModulus; };
    *Seed = static_cast<ULONG>(next(*Seed));
    return static_cast<ULONG>(next(*Seed ^ (*Seed >> 7)) - 1);
}

/// IRQL <= APC_LEVEL. From the post-create on.
FLTSIM_KERNEL LOGICAL NTAPI FsRtlIsPagingFile(PFILE_OBJECT FileObject) {
    constexpr const char *kApi = "FsRtlIsPagingFile";
    KernelCall call(kApi, APC_LEVEL);
    const auto file = FileObject != nullptr ? io::FileObject::from_native(FileObject) : nullptr;
    if (file == nullptr) {
        bugcheck("OBJECT is no longer a file object", kApi,
                 "pass the file object of an operation, or one that is referenced");
    }
    return file->paging_file && file->opened ? TRUE : FALSE;
}
