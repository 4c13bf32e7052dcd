// SPDX-License-Identifier: MIT
//
// This module provides: Readings (readings.hpp).

#include "core/readings.hpp"

#include <algorithm>

#include "core/world.hpp"

namespace fltsim {

namespace {

constexpr ReadingRow ROWS[] = {
#define READING(Type, Name, Rules, Question)                                                                           \
    {                                                                                                                  \
        Name, Rules, {
#define VALUE(Enumerator, Name, Meaning) Name,
#define END_READING                                                                                                    \
    }                                                                                                                  \
    }                                                                                                                  \
    ,
#include "core/readings.inc"
#undef READING
#undef VALUE
#undef END_READING
};
static_assert(std::size(ROWS) == static_cast<size_t>(ReadingIndex::Count));

template <class List, class Name> std::string listed(const List &list, const Name &name) {
    std::string text;
    for (const auto &each : list) {
        text += (text.empty() ? "" : ", ") + std::string(name(each));
    }
    return text;
}

} // namespace

size_t ReadingRow::count() const {
    return static_cast<size_t>(std::ranges::find(values, std::string_view()) - values.begin());
}

std::span<const ReadingRow> Readings::rows() {
    return ROWS;
}

std::string Readings::set(std::string_view name, std::string_view value) {
    const auto row = std::ranges::find(ROWS, name, &ReadingRow::name);
    if (row == std::end(ROWS)) {
        return "there is no reading \"" + std::string(name) + "\"; there are " +
               listed(ROWS, [](const ReadingRow &each) { return each.name; });
    }
    const std::span values(row->values.data(), row->count());
    const auto found = std::ranges::find(values, value);
    if (found == values.end()) {
        return "\"" + std::string(value) + "\" is no value of " + std::string(name) + "; expected " +
               listed(values, [](std::string_view each) { return each; });
    }
    chosen_[static_cast<size_t>(row - std::begin(ROWS))] = static_cast<uint8_t>(found - values.begin());
    return {};
}

std::string Readings::json() const {
    std::string json = "{";
    for (size_t i = 0; i < std::size(ROWS); ++i) {
        if (const uint8_t value = chosen_[i]; value != 0) {
            json += (json.size() > 1 ? ",\"" : "\"") + std::string(ROWS[i].name) + "\":\"" +
                    std::string(ROWS[i].values[value]) + "\"";
        }
    }
    return json + "}";
}

const Readings &readings() {
    return *world().readings;
}

} // namespace fltsim
