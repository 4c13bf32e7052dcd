// SPDX-License-Identifier: MIT
//
// This module provides: waiting.hpp.

#include "io/waiting.hpp"

namespace io_bench {

namespace {

class Event final : public Object {
  public:
    const char *type_name() const override { return "event"; }
    void signal() override {
        set_ = true;
        world().wake(this);
    }
    bool signalled() const override { return set_; }

  private:
    bool set_ = false;
};

io::IoManager::Control control_of(bool device, ULONG code, const void *input, ULONG input_bytes, void *output,
                                  ULONG output_bytes) {
    return {device, code, input, input_bytes, output, output_bytes};
}

NTSTATUS control(const Opened &opened, const io::IoManager::Control &what, ULONG_PTR *information) {
    IO_STATUS_BLOCK iosb{};
    const NTSTATUS status = world().io->control(*opened, what, nullptr, &iosb);
    if (information != nullptr) {
        *information = iosb.Information;
    }
    return status;
}

} // namespace

void expect_clean(const std::string &report) {
    const bool clean = check::contains(report, "\"stopped\":false") && check::contains(report, "\"leaks\":[]");
    CHECK(clean);
    if (!clean) {
        fprintf(stderr, "%s\n", report.c_str());
    }
}

NTSTATUS fs_control(const Opened &opened, ULONG code, const void *input, ULONG input_bytes, void *output,
                    ULONG output_bytes, ULONG_PTR *information) {
    return control(opened, control_of(false, code, input, input_bytes, output, output_bytes), information);
}

NTSTATUS device_control(const Opened &opened, ULONG code, const void *input, ULONG input_bytes, void *output,
                        ULONG output_bytes, ULONG_PTR *information) {
    return control(opened, control_of(true, code, input, input_bytes, output, output_bytes), information);
}

NTSTATUS lock(const Opened &opened, const io::LockRange &range) {
    IO_STATUS_BLOCK iosb{};
    return world().io->lock(*opened, range, nullptr, &iosb);
}

NTSTATUS unlock(const Opened &opened, const io::LockRange &range) {
    IO_STATUS_BLOCK iosb{};
    return world().io->unlock(*opened, range, &iosb);
}

Overlapped::Overlapped() : event_(std::make_shared<Event>()) {
    block_.user_iosb = &iosb;
    block_.event = event_;
    block_.overlapped = this;
}

NTSTATUS Overlapped::fs_control(const Opened &opened, ULONG code, const void *input, ULONG input_bytes, void *output,
                                ULONG output_bytes) {
    IO_STATUS_BLOCK result{};
    return world().io->control(*opened, control_of(false, code, input, input_bytes, output, output_bytes), &block_,
                               &result);
}

NTSTATUS Overlapped::lock(const Opened &opened, const io::LockRange &range) {
    IO_STATUS_BLOCK result{};
    return world().io->lock(*opened, range, &block_, &result);
}

NTSTATUS Overlapped::notify(const Opened &opened, void *buffer, ULONG length, ULONG filter, bool tree) {
    IO_STATUS_BLOCK result{};
    return world().io->notify(*opened, buffer, length, filter, tree, &block_, &result);
}

NTSTATUS Overlapped::read(const Opened &opened, void *buffer, ULONG length, int64_t offset) {
    IO_STATUS_BLOCK result{};
    return world().io->read(*opened, buffer, length, &offset, &block_, &result);
}

NTSTATUS Overlapped::write(const Opened &opened, const std::string &data, int64_t offset) {
    data_ = data;
    IO_STATUS_BLOCK result{};
    return world().io->write(*opened, data_.data(), static_cast<ULONG>(data_.size()), &offset, &block_, &result);
}

uint32_t Overlapped::cancel(const Opened &opened) const {
    return world().io->cancel(*opened, block_.overlapped);
}

bool Overlapped::done() const {
    return event_->signalled();
}

NTSTATUS Overlapped::wait() {
    world().block(event_.get(), [this] { return done(); });
    return iosb.Status;
}

Worker::Worker(std::string name, std::function<void()> fn, Process *process) {
    const auto finished = done_;
    thread_ = world().spawn(std::move(name), process != nullptr ? process : world().client_process(),
                            [finished, fn = std::move(fn)] {
                                const KernelCall call("test");
                                fn();
                                *finished = true;
                            });
    thread_->reference();
}

void Worker::join() {
    world().block(thread_, [this] { return thread_->ended; });
}

Worker::~Worker() {
    join();
    thread_->dereference();
}

bool wait_until(const std::function<bool()> &pred) {
    constexpr uint64_t MINUTE_100NS = 600'000'000;
    const uint64_t limit = world().interrupt_time_100ns() + MINUTE_100NS;
    while (!pred() && world().interrupt_time_100ns() < limit) {
        sleep_ms(1);
    }
    return pred();
}

} // namespace io_bench
