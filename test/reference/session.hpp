// SPDX-License-Identifier: MIT
//
// This module provides: one world of the reference check, with or without the driver, and one sequence in it: both sides side by side.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "check.hpp"
#include "host.hpp"
#include "model.hpp"

namespace spine {
class Client;
}

namespace reference {

/// What differed.
struct Mismatch {
    std::string what;
    std::string model;
    std::string host;
};

/// A world on the virtual clock with the driver as the options say.
class World {
  public:
    World(const Options &options, uint64_t seed);
    ~World();
    World(const World &) = delete;
    World &operator=(const World &) = delete;
    /// Runs `body` in a simulated thread. What the world stopped on, if it did. An exception of the body comes out here.
    std::optional<Mismatch> in(const std::function<void()> &body);
    /// Ends it. What it stopped on or left behind.
    std::optional<Mismatch> end(Counts *counts);

  private:
    void load(Filter filter);
    std::string report() const;
    uint32_t number_ = 0;
    std::unique_ptr<spine::Client> client_;
};

/// Both sides of one sequence. Made and used inside a world; the host's side is the caller's, since a world that stops never unwinds.
class Session {
  public:
    Session(Host &host, std::u16string root, Counts &counts, std::function<void(const Operation &, Outcome *)> tamper)
        : host_(host), model_(std::move(root)), counts_(counts), tamper_(std::move(tamper)) {}
    /// One operation on both sides.
    std::optional<Mismatch> step(const Operation &operation);
    /// Closes everything and compares the trees, through the cache and, where `no_buffering`, on disk.
    std::optional<Mismatch> finish(bool no_buffering);

  private:
    std::optional<Mismatch> compare_directory(const std::u16string &model_path, const std::string &host_path);
    std::optional<Mismatch> compare_file(const std::u16string &model_path, const std::string &host_path, uint64_t size);
    std::optional<Mismatch> compare(const std::string &what, const std::string &path, const Outcome &model,
                                    const Outcome &host) const;

    Host &host_;
    Model model_;
    Counts &counts_;
    std::function<void(const Operation &, Outcome *)> tamper_;
    bool no_buffering_ = false;
};

} // namespace reference
