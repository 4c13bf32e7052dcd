// SPDX-License-Identifier: MIT
//
// This module provides: which reading of the documents a world goes by where they disagree or are silent. The table is readings.inc; each row is an enum of
// its readings here:
//
//      if (reading<ReadWriteFlush>() == ReadWriteFlush::Refused) ...
//
// Set by name (FltSimSetReading) before the driver is loaded; from host threads, while the model runs.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace fltsim {

#define READING(Type, Name, Rules, Question) enum class Type : uint8_t {
#define VALUE(Enumerator, Name, Meaning) Enumerator,
#define END_READING                                                                                                    \
    }                                                                                                                  \
    ;
#include "core/readings.inc"
#undef READING
#undef VALUE
#undef END_READING

/// One row of the table.
struct ReadingRow {
    static constexpr size_t MAX_VALUES = 4;
    std::string_view name;
    std::string_view rules;
    std::array<std::string_view, MAX_VALUES> values{}; ///< up to the first without a name; the first is the default
    size_t count() const;
};

enum class ReadingIndex : size_t {
#define READING(Type, Name, Rules, Question) Type,
#define VALUE(Enumerator, Name, Meaning)
#define END_READING
#include "core/readings.inc"
#undef READING
#undef VALUE
#undef END_READING
    Count
};

template <class R> struct ReadingOf;
#define READING(Type, Name, Rules, Question)                                                                           \
    template <> struct ReadingOf<Type> {                                                                               \
        static constexpr size_t INDEX = static_cast<size_t>(ReadingIndex::Type);                                       \
    };
#define VALUE(Enumerator, Name, Meaning)
#define END_READING
#include "core/readings.inc"
#undef READING
#undef VALUE
#undef END_READING

class Readings {
  public:
    static std::span<const ReadingRow> rows();
    /// Empty: it is set. Otherwise what is wrong, with the names that are right.
    std::string set(std::string_view name, std::string_view value);
    template <class R> R get() const {
        return static_cast<R>(chosen_[ReadingOf<R>::INDEX].load(std::memory_order_relaxed));
    }
    /// Those that are not the default, as JSON: {"queue-of-non-irp":"accepted"}
    std::string json() const;

  private:
    std::array<std::atomic<uint8_t>, static_cast<size_t>(ReadingIndex::Count)> chosen_{};
};

/// Of the executing context's world.
const Readings &readings();
template <class R> R reading() {
    return readings().get<R>();
}

} // namespace fltsim
