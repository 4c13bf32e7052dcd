// SPDX-License-Identifier: MIT
//
// This module provides: the I/O manager's life and its report of what is on its way.

#include "io/internal.hpp"

#include <algorithm>
#include <array>

#include "io/cache.hpp"
#include "io/section.hpp"

namespace fltsim::io {

IoManager::Impl::Impl(World &owner, IoManager &manager)
    : world(owner), self(manager), link(std::make_shared<IoLink>()) {
    link->manager = this;
}

IoManager::Impl::~Impl() {
    link->manager = nullptr;
    for (const auto &known : caches) {
        if (const auto cache = known.lock()) {
            cache->detach(); // the cache holds a file object, which holds the file, which holds the cache
        }
    }
    views.clear();
    for (auto &[operation, request] : outstanding) {
        request->operation->on_completed = nullptr;
    }
}

IoManager::IoManager(World &world) : impl_(std::make_unique<Impl>(world, *this)) {
    impl_->make_default_volumes();
    impl_->start_daemons();
}

IoManager::~IoManager() = default;

std::string narrow(std::u16string_view text) {
    std::string out;
    for (const char16_t c : text) {
        if (c < 0x80) {
            out.push_back(static_cast<char>(c));
        } else if (c < 0x800) {
            out.push_back(static_cast<char>(0xC0 | (c >> 6)));
            out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
        } else {
            out.push_back(static_cast<char>(0xE0 | (c >> 12)));
            out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
            out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
        }
    }
    return out;
}

namespace {

struct MajorName {
    UCHAR major;
    const char *name;
};
constexpr std::array MAJOR_NAMES{
    MajorName{IRP_MJ_CREATE, "CREATE"},
    MajorName{IRP_MJ_CLOSE, "CLOSE"},
    MajorName{IRP_MJ_READ, "READ"},
    MajorName{IRP_MJ_WRITE, "WRITE"},
    MajorName{IRP_MJ_QUERY_INFORMATION, "QUERY_INFORMATION"},
    MajorName{IRP_MJ_SET_INFORMATION, "SET_INFORMATION"},
    MajorName{IRP_MJ_FLUSH_BUFFERS, "FLUSH_BUFFERS"},
    MajorName{IRP_MJ_DIRECTORY_CONTROL, "DIRECTORY_CONTROL"},
    MajorName{IRP_MJ_QUERY_VOLUME_INFORMATION, "QUERY_VOLUME_INFORMATION"},
    MajorName{IRP_MJ_SET_VOLUME_INFORMATION, "SET_VOLUME_INFORMATION"},
    MajorName{IRP_MJ_QUERY_EA, "QUERY_EA"},
    MajorName{IRP_MJ_SET_EA, "SET_EA"},
    MajorName{IRP_MJ_QUERY_SECURITY, "QUERY_SECURITY"},
    MajorName{IRP_MJ_SET_SECURITY, "SET_SECURITY"},
    MajorName{IRP_MJ_QUERY_QUOTA, "QUERY_QUOTA"},
    MajorName{IRP_MJ_SET_QUOTA, "SET_QUOTA"},
    MajorName{static_cast<UCHAR>(IRP_MJ_QUERY_OPEN), "QUERY_OPEN"},
    MajorName{static_cast<UCHAR>(IRP_MJ_NETWORK_QUERY_OPEN), "NETWORK_QUERY_OPEN"},
    MajorName{IRP_MJ_CLEANUP, "CLEANUP"},
    MajorName{IRP_MJ_FILE_SYSTEM_CONTROL, "FILE_SYSTEM_CONTROL"},
    MajorName{IRP_MJ_DEVICE_CONTROL, "DEVICE_CONTROL"},
    MajorName{IRP_MJ_LOCK_CONTROL, "LOCK_CONTROL"},
    MajorName{IRP_MJ_ACQUIRE_FOR_MOD_WRITE, "ACQUIRE_FOR_MOD_WRITE"},
    MajorName{IRP_MJ_RELEASE_FOR_MOD_WRITE, "RELEASE_FOR_MOD_WRITE"},
    MajorName{IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE, "FAST_IO_CHECK_IF_POSSIBLE"},
    MajorName{IRP_MJ_MDL_READ, "MDL_READ"},
    MajorName{IRP_MJ_MDL_READ_COMPLETE, "MDL_READ_COMPLETE"},
    MajorName{IRP_MJ_PREPARE_MDL_WRITE, "PREPARE_MDL_WRITE"},
    MajorName{IRP_MJ_MDL_WRITE_COMPLETE, "MDL_WRITE_COMPLETE"},
    MajorName{IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION, "ACQUIRE_FOR_SECTION_SYNCHRONIZATION"},
    MajorName{IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION, "RELEASE_FOR_SECTION_SYNCHRONIZATION"},
    MajorName{IRP_MJ_ACQUIRE_FOR_CC_FLUSH, "ACQUIRE_FOR_CC_FLUSH"},
    MajorName{IRP_MJ_RELEASE_FOR_CC_FLUSH, "RELEASE_FOR_CC_FLUSH"},
};

} // namespace

const char *major_name(UCHAR major) {
    const auto found = std::find_if(MAJOR_NAMES.begin(), MAJOR_NAMES.end(),
                                    [major](const MajorName &known) { return known.major == major; });
    return found == MAJOR_NAMES.end() ? "operation" : found->name;
}

namespace {

const char *state_name(Operation::State state) {
    switch (state) {
    case Operation::State::New:
        return "not sent";
    case Operation::State::Pre:
        return "in a pre-operation";
    case Operation::State::PendedPre:
        return "pended by a pre-operation";
    case Operation::State::Below:
        return "in the file system";
    case Operation::State::Post:
        return "in a post-operation";
    case Operation::State::PendedPost:
        return "pended by a post-operation";
    case Operation::State::Completed:
        return "completed";
    }
    return "?";
}

} // namespace

std::vector<std::string> IoManager::describe_outstanding() const {
    std::vector<std::string> lines;
    const uint64_t now = impl_->world.interrupt_time_100ns();
    for (const auto &[operation, request] : impl_->outstanding) {
        char flags[16];
        snprintf(flags, sizeof flags, "0x%X", operation->irp_flags);
        lines.push_back(std::string(major_name(operation->major)) + " (" + flags + ") of " +
                        operation->file->describe() + " by thread " +
                        (operation->requestor != nullptr ? std::to_string(operation->requestor->id) : "?") +
                        (request->async ? ", asynchronous" : "") + ": " + state_name(operation->state) + " since " +
                        std::to_string((now - request->sent_100ns) / 10'000) + " ms");
    }
    return lines;
}

} // namespace fltsim::io
