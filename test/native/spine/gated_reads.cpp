// SPDX-License-Identifier: MIT
//
// This module provides: GatedReads (gated_reads.hpp).

#include "gated_reads.hpp"

#include <cstdio>
#include <exception>
#include <utility>

namespace spine {

namespace {

/// What a world that has stopped may write into when it is ended.
std::vector<std::vector<GatedReads::Read>> &abandoned() {
    static auto &kept =
        *new std::vector<std::vector<GatedReads::Read>>; // worlds may end after static destructors began
    return kept;
}

} // namespace

// Delegates, so that what this body throws runs the destructor.
GatedReads::GatedReads(const TestWorld &world, const Client &client, uint32_t count) : GatedReads(world, client) {
    need(client_.set_rules({gate_rule(bit(MINIPEND_OPERATION_READ), GATE_MS)}, 1).Status == STATUS_SUCCESS,
         "the driver does not take the gate");
    open();
    issue(count);
    uint64_t held = 0;
    eventually(
        [&] {
            held = client_.list_held(0, 0, 0).reply.HeldNow;
            return held >= count;
        },
        GATE_MS / 4);
    need(held >= count, "not everything is held: " + std::to_string(held) + " of " + std::to_string(count));
}

GatedReads::~GatedReads() {
    try {
        release();
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "reads that a gate held cannot be had back: %s\n", problem.what());
        abandoned().push_back(std::move(reads_));
    }
}

void GatedReads::open() {
    file_.emplace(u"D:\\gated", File::Options{.disposition = OPEN_ALWAYS, .flags = FILE_FLAG_OVERLAPPED});
    need(file_->is_open(), "the file cannot be opened");
    OVERLAPPED place{};
    static const char BYTES[sizeof(Read::bytes)] = {};
    if (WriteFile(file_->handle(), BYTES, sizeof BYTES, nullptr, &place) == FALSE) {
        DWORD written = 0;
        need(GetOverlappedResult(file_->handle(), &place, &written, TRUE) != FALSE, "the file cannot be written");
    }
}

void GatedReads::issue(uint32_t count) {
    reads_.resize(count);
    inside(world_, [this](fltsim::World &) {
        for (Read &read : reads_) {
            const bool held = ReadFile(file_->handle(), read.bytes, sizeof read.bytes, nullptr, &read.place) == FALSE &&
                              GetLastError() == ERROR_IO_PENDING;
            if (!held) {
                return; // no exception crosses the model
            }
            ++issued_;
        }
    });
    need(issued_ == count, "a read was not held");
}

void GatedReads::check_held() const {
    need(client_.list_held(0, 0, 0).reply.HeldNow >= reads_.size(), "what was held is not held any more");
}

void GatedReads::release() {
    size_t done = 0;
    size_t failed = 0;
    while (done < issued_) {
        (void)client_.release_all(); // again and again: a read may come to the gate only now
        inside(world_, [&](fltsim::World &) {
            constexpr DWORD WAIT_MS = 100;
            DWORD got = 0;
            while (done < issued_) {
                if (GetOverlappedResultEx(file_->handle(), &reads_[done].place, &got, WAIT_MS, FALSE) == FALSE) {
                    if (GetLastError() == WAIT_TIMEOUT) {
                        return;
                    }
                    ++failed;
                }
                ++done;
            }
        });
    }
    issued_ = 0;
    need(failed == 0, std::to_string(failed) + " held reads failed");
}

} // namespace spine
