// SPDX-License-Identifier: MIT
//
// This module provides: generator.hpp.

#include "generator.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace reference {

namespace {

struct Weight {
    Kind kind;
    uint32_t weight;
};
constexpr Weight BY_PATH[] = {{Kind::open, 30}, {Kind::make_directory, 8}, {Kind::remove, 8}, {Kind::move, 12},
                              {Kind::stat, 8},  {Kind::list, 4},           {Kind::pause, 1},  {Kind::link_name, 9}};
constexpr Weight BY_HANDLE[] = {{Kind::close, 14},     {Kind::read, 22},   {Kind::read_next, 8}, {Kind::write, 24},
                                {Kind::write_next, 8}, {Kind::seek, 6},    {Kind::truncate, 10}, {Kind::allocate, 3},
                                {Kind::rename, 8},     {Kind::dispose, 5}, {Kind::stat_open, 5}, {Kind::list_open, 3},
                                {Kind::map, 6},        {Kind::flush, 3},   {Kind::set_times, 2}, {Kind::link, 9}};
constexpr Weight BY_VIEW[] = {{Kind::unmap, 3}, {Kind::view_read, 6}, {Kind::view_write, 7}, {Kind::view_flush, 2}};

constexpr std::string_view DIRECTORIES_FIRST[] = {"x", "y", "x\\y"};

template <size_t N> Kind pick(Random &random, const Weight (&weights)[N]) {
    uint64_t total = 0;
    for (const Weight &each : weights) {
        total += each.weight;
    }
    uint64_t drawn = random.below(total);
    for (const Weight &each : weights) {
        if (drawn < each.weight) {
            return each.kind;
        }
        drawn -= each.weight;
    }
    return weights[0].kind;
}

} // namespace

uint64_t Random::next() {
    state_ += 0x9E3779B97F4A7C15;
    uint64_t mixed = state_;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
}

std::string Generator::path() {
    const std::string &recent = recent_[random_.below(recent_.size())];
    if (!recent.empty() && !random_.one_in(3)) {
        return recent;
    }
    return recent_[next_recent_++ % recent_.size()] = new_path();
}

std::string Generator::new_path() {
    constexpr std::string_view USUAL = "abcxy";
    constexpr std::string_view DIRECTORIES = "xy";
    const auto letter = [this](std::string_view from) {
        const char c = from[random_.below(from.size())];
        return random_.one_in(4) ? static_cast<char>(c - 'a' + 'A') : c;
    };
    std::string text;
    for (uint64_t depth = random_.below(8); depth >= 5; --depth) { // none, one or more directories
        text += letter(random_.one_in(6) ? USUAL : DIRECTORIES);
        text += '\\';
    }
    const bool rare = random_.one_in(12);
    return text + letter(rare ? (random_.one_in(4) ? "o" : "ul") : USUAL);
}

uint64_t Generator::offset() {
    constexpr uint64_t PAGE = 4096;
    constexpr uint64_t FOUR_GIB = uint64_t{1} << 32;
    switch (random_.below(16)) {
    case 0:
        return 0;
    case 1:
    case 2:
    case 3:
        return random_.below(5) * PAGE; // at a page
    case 4:
    case 5:
        return (random_.below(4) + 1) * PAGE - random_.below(8); // around its end
    case 6:
        return random_.below(200'000);
    case 7:
        return random_.one_in(6) ? FOUR_GIB + PAGE - random_.below(2 * PAGE) : random_.below(3 * PAGE) / 512 * 512;
    default:
        return random_.below(3 * PAGE);
    }
}

uint32_t Generator::length() {
    switch (random_.below(12)) {
    case 0:
        return 0;
    case 1:
        return static_cast<uint32_t>(random_.below(5) * 4096);
    case 2:
        return static_cast<uint32_t>(random_.below(20'000));
    case 3:
        return static_cast<uint32_t>((random_.below(4) + 1) * 512);
    default:
        return static_cast<uint32_t>(random_.below(600));
    }
}

void Generator::open_flags(Operation *operation) {
    constexpr Disposition DISPOSITIONS[] = {Disposition::open_existing, Disposition::open_existing,
                                            Disposition::open_always,   Disposition::open_always,
                                            Disposition::open_always,   Disposition::create_new,
                                            Disposition::create_always, Disposition::truncate_existing};
    operation->disposition = DISPOSITIONS[random_.below(std::size(DISPOSITIONS))];
    uint32_t flags = 0;
    switch (random_.below(8)) {
    case 0:
        flags = READ;
        break;
    case 1:
        flags = WRITE;
        break;
    case 2:
        flags = APPEND | (random_.one_in(2) ? static_cast<uint32_t>(READ) : 0u);
        break;
    case 3:
        break; // neither reads nor writes
    default:
        flags = READ | WRITE;
    }
    flags |= random_.one_in(2) ? static_cast<uint32_t>(DELETE_RIGHT) : 0u;
    flags |= random_.one_in(4) ? static_cast<uint32_t>(BACKUP) : 0u;
    flags |= random_.one_in(10) ? static_cast<uint32_t>(WRITE_THROUGH) : 0u;
    flags |= random_.one_in(14) ? static_cast<uint32_t>(DELETE_ON_CLOSE) : 0u;
    if (random_.one_in(8) && (flags & (WRITE | APPEND)) != APPEND) {
        flags |= NO_BUFFERING; // Windows wants the right to write anywhere with it
    }
    if (operation->disposition == Disposition::truncate_existing) {
        flags |= WRITE;
    }
    operation->flags = flags;
}

Kind Generator::kind(const Host &host) {
    uint32_t open = 0;
    for (uint32_t i = 0; i < HANDLES; ++i) {
        open += host.is_open(i) ? 1 : 0;
    }
    bool mapped = false;
    for (uint32_t i = 0; i < VIEWS; ++i) {
        mapped = mapped || host.is_mapped(i);
    }
    if (mapped && random_.one_in(5)) {
        return pick(random_, BY_VIEW);
    }
    return open != 0 && random_.below(10) < 3 + open ? pick(random_, BY_HANDLE) : pick(random_, BY_PATH);
}

Operation Generator::next(const Host &host) {
    Operation operation;
    if (beginning_ < std::size(DIRECTORIES_FIRST)) {
        operation.kind = Kind::make_directory;
        operation.path = DIRECTORIES_FIRST[beginning_++];
        return operation;
    }
    operation.kind = kind(host);
    const auto index = [this](uint32_t count, bool wanted, auto &&is_in_use) {
        uint32_t at = static_cast<uint32_t>(random_.below(count));
        for (uint32_t i = 0; i < count && is_in_use(at) != wanted; ++i) {
            at = (at + 1) % count;
        }
        return at;
    };
    const bool opens = operation.kind == Kind::open;
    operation.handle = index(HANDLES, !opens, [&](uint32_t i) { return host.is_open(i); });
    operation.view = index(VIEWS, operation.kind != Kind::map, [&](uint32_t i) { return host.is_mapped(i); });
    switch (operation.kind) {
    case Kind::open:
        operation.path = path();
        open_flags(&operation);
        break;
    case Kind::move:
    case Kind::link_name:
        operation.path = path();
        [[fallthrough]];
    case Kind::rename:
    case Kind::link:
        operation.to = path();
        if (operation.kind == Kind::link_name) {
            linked_ = {operation.path, operation.to};
        } else if (operation.kind == Kind::move && !linked_.first.empty() && random_.one_in(6)) {
            std::tie(operation.path, operation.to) = linked_; // one name onto another of the same file
        }
        operation.flags |= random_.one_in(2) ? static_cast<uint32_t>(REPLACE) : 0u;
        operation.flags |= random_.one_in(4) ? static_cast<uint32_t>(POSIX) : 0u;
        break;
    case Kind::dispose:
        operation.flags |= random_.one_in(4) ? static_cast<uint32_t>(UNDO) : 0u;
        [[fallthrough]];
    case Kind::remove:
        operation.flags |= random_.one_in(3) ? static_cast<uint32_t>(POSIX) : 0u;
        [[fallthrough]];
    case Kind::make_directory:
    case Kind::stat:
        operation.path = operation.kind == Kind::dispose ? "" : path();
        break;
    case Kind::list:
        operation.path = path();
        [[fallthrough]];
    case Kind::list_open:
        operation.length = static_cast<uint32_t>(random_.below(5000));
        break;
    case Kind::seek: {
        operation.data = random_.below(3);
        const auto distance = static_cast<int64_t>(random_.below(9000));
        operation.offset = static_cast<uint64_t>(random_.one_in(4) ? -distance : distance);
        break;
    }
    case Kind::truncate:
    case Kind::allocate:
        operation.offset = offset();
        break;
    case Kind::set_times:
        operation.offset = 1'000'000'000 + 2 * random_.below(500'000'000); // even: fat keeps two seconds
        break;
    case Kind::map:
        operation.length = random_.one_in(3) ? static_cast<uint32_t>(random_.below(70'000)) : 0;
        operation.flags = random_.one_in(3) ? 0 : static_cast<uint32_t>(WRITE);
        break;
    case Kind::pause:
        operation.length = static_cast<uint32_t>(100 + random_.below(3000));
        break;
    default:
        operation.offset = offset();
        operation.length = length();
        operation.data = random_.below(1u << 16);
    }
    const auto is_one_of = [&](const auto &weights) {
        return std::ranges::any_of(weights, [&](const Weight &each) { return each.kind == operation.kind; });
    };
    const bool on_view = is_one_of(BY_VIEW);
    if (on_view || (is_one_of(BY_PATH) && !opens)) {
        operation.handle = 0; // it has none
    }
    if (!on_view && operation.kind != Kind::map) {
        operation.view = 0;
    }
    return operation;
}

} // namespace reference
