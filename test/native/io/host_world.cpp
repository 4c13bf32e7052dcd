// SPDX-License-Identifier: MIT
//
// This module provides: host_world.hpp.

#include "io/host_world.hpp"

#include "world_fixture.hpp"

namespace io_bench {

HostWorld::HostWorld(bool threads, uint64_t seed) {
    FLTSIM_OPTIONS options{};
    options.SizeBytes = sizeof options;
    options.ProcessorCount = 2;
    options.Seed = seed;
    options.Clock = FLTSIM_CLOCK_WALL;
    options.Executor = threads ? FLTSIM_EXECUTOR_THREADS : FLTSIM_EXECUTOR_FIBERS;
    char message[256] = "";
    number_ = FltSimCreateWorld(&options, message, sizeof message);
    if (number_ == 0) {
        ::check::failed(__FILE__, __LINE__, message);
    }
    FltSimSelectWorld(number_);
}

HostWorld::~HostWorld() {
    FltSimSelectWorld(0);
    CHECK_EQ(FltSimDestroyWorld(number_), 0);
    std::string report(FltSimReport(number_, nullptr, 0), '\0');
    FltSimReport(number_, report.data(), report.size());
    const bool clean = check::contains(report, "\"stopped\":false") && check::contains(report, "\"leaks\":[]");
    CHECK(clean);
    if (!clean) {
        fprintf(stderr, "%s\n", report.c_str());
    }
}

HostFile::HostFile(const char16_t *path, DWORD disposition, DWORD flags, DWORD access)
    : handle_(CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, disposition,
                          flags, nullptr)) {
    CHECK(handle_ != INVALID_HANDLE_VALUE);
}

void HostFile::close() {
    if (handle_ != INVALID_HANDLE_VALUE) {
        CHECK(CloseHandle(handle_));
        handle_ = INVALID_HANDLE_VALUE;
    }
}

} // namespace io_bench
