// SPDX-License-Identifier: MIT
//
// This module provides: the reference check's operations on the model, through the user-side Win32 calls, and through NtSetInformationFile
// where Win32 has less (links that replace). Everything here runs in a simulated thread of one world.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <fltsim_user.h>

#include "operation.hpp"
#include "outcome.hpp"

namespace reference {

class Model {
  public:
    /// `root`: a directory that does not exist yet, "D:\\s1". Throws std::runtime_error when it cannot be made.
    explicit Model(std::u16string root);
    /// Closes what is open.
    ~Model();
    Model(const Model &) = delete;
    Model &operator=(const Model &) = delete;

    Outcome run(const Operation &operation);
    void close_all();
    /// Names are those that a listing gives, paths relative to the root. A failed step shows in the outcome.
    Outcome list(const std::u16string &path, uint32_t buffer_bytes = 0) const;
    Outcome read(const std::u16string &path, uint64_t offset, uint32_t length, bool no_buffering) const;
    Outcome stat(const std::u16string &path) const;
    /// Lets virtual time pass, so that the lazy writer comes.
    static void pause(uint32_t delay_ms);

  private:
    struct Slot {
        HANDLE handle = INVALID_HANDLE_VALUE;
        bool is_open() const { return handle != INVALID_HANDLE_VALUE; }
    };
    struct View {
        uint8_t *base = nullptr;
        uint64_t bytes = 0;
        bool writable = false;
    };
    std::u16string full(std::string_view path) const;
    Outcome open(const Operation &operation);
    Outcome transfer(HANDLE handle, const Operation &operation);
    Outcome seek(HANDLE handle, const Operation &operation) const;
    Outcome set_size(HANDLE handle, const Operation &operation) const;
    Outcome rename(HANDLE handle, const Operation &operation) const; // model_names.cpp
    Outcome link(HANDLE handle, const Operation &operation) const; // model_names.cpp
    Outcome dispose(HANDLE handle, uint32_t flags) const;
    Outcome by_path(const Operation &operation) const;
    Outcome by_handle(const Operation &operation);
    Outcome map(HANDLE handle, const Operation &operation);
    Outcome on_view(const Operation &operation);
    Outcome set_times(HANDLE handle, const Operation &operation) const;

    std::u16string root_;
    std::array<Slot, HANDLES> slots_;
    std::array<View, VIEWS> views_;
};

} // namespace reference
