// SPDX-License-Identifier: MIT
#include "ke/generic_table.hpp"

#include <algorithm>
#include <cstdio>

#include "ke/pool.hpp"

namespace fltsim::ke {

namespace {

template <class Map> auto in_memory(Map &map, const void *memory, size_t bytes) {
    const void *end = static_cast<const char *>(memory) + bytes;
    return std::pair(map.lower_bound(memory), map.lower_bound(end));
}

/// The page says: below DISPATCH_LEVEL, if the memory is pageable. Elements of one table come from one routine, so one of them tells.
void check_irql(const char *api, const void *table) {
    if (executing().irql <= APC_LEVEL) {
        return;
    }
    for (const auto &[element, its] : world_state().table_elements) {
        if (its == table) {
            if (pool::is_paged(element)) {
                bugcheck("V5 IRQL too high", api,
                         table_text(table) + ": its elements are in paged pool, and this is DISPATCH_LEVEL");
            }
            return;
        }
    }
}

} // namespace

std::string table_text(const void *table) {
    char text[40];
    std::snprintf(text, sizeof text, "generic table %p", table);
    return text;
}

void note_table(const char *api, const void *table, TableKind kind) {
    if (table == nullptr) {
        bugcheck("VER-02 parameter", api, "Table is null");
    }
    WorldState &state = world_state();
    GenericTable &entry = state.tables[table];
    if (!entry.users.empty()) {
        bugcheck("GENERIC TABLE not synchronised", api,
                 table_text(table) + " is initialised while another call uses it");
    }
    entry = GenericTable{};
    entry.avl = kind == TableKind::Avl;
    std::erase_if(state.table_elements, [&](const auto &element) { return element.second == table; });
}

void check_element(const char *api, const void *table, const void *element, const char *what) {
    const auto &elements = world_state().table_elements;
    const auto found = elements.find(element);
    if (found == elements.end() || found->second != table) {
        bugcheck("GENERIC TABLE element", api,
                 table_text(table) + ": " + what +
                     " is no element of it: it is of another table, or was deleted since the call that gave it");
    }
}

void add_element(const char *api, const void *table, const void *element) {
    if (reinterpret_cast<uintptr_t>(element) % alignof(void *) != 0) {
        bugcheck("GENERIC TABLE storage", api,
                 table_text(table) + ": its allocation routine returned memory that is not aligned for links");
    }
    const auto [found, inserted] = world_state().table_elements.try_emplace(element, table);
    if (!inserted) {
        bugcheck("GENERIC TABLE storage", api,
                 table_text(table) + ": its allocation routine returned the memory of an element of " +
                     table_text(found->second));
    }
}

void remove_element(const void *element) {
    world_state().table_elements.erase(element);
}

int checked_order(const char *api, const void *table, int result) {
    if (result != GenericLessThan && result != GenericGreaterThan && result != GenericEqual) {
        bugcheck("GENERIC TABLE order", api,
                 table_text(table) + ": its compare routine returned " + std::to_string(result) +
                     ", which is no RTL_GENERIC_COMPARE_RESULTS");
    }
    return result;
}

void place_taken(const char *api, const void *table) {
    bugcheck("GENERIC TABLE place", api,
             table_text(table) + ": NodeOrParent and SearchResult name a place that is taken: the table has changed "
                                 "since they were looked up");
}

TableUse::TableUse(const char *api, const void *table, TableKind kind, TableAccess access) : table_(table) {
    auto &all = world_state().tables;
    const auto found = all.find(table);
    if (found == all.end()) {
        bugcheck("GENERIC TABLE not initialised", api,
                 table_text(table) + ": it was never initialised, was moved, or its memory was freed");
    }
    GenericTable &entry = found->second;
    if (entry.avl != (kind == TableKind::Avl)) {
        bugcheck("GENERIC TABLE of the other kind", api,
                 table_text(table) + " is a" + (entry.avl ? "n AVL" : " splay") +
                     " table: use the calls that go with its initialisation");
    }
    if (!entry.broken.empty()) {
        bugcheck("GENERIC TABLE element freed", api, table_text(table) + ": " + entry.broken);
    }
    const Thread &thread = current_thread();
    // An exception that a routine of the driver raised has left a use behind.
    std::erase_if(entry.users, [&](const GenericTable::User &user) {
        return user.thread == thread.id && user.driver_depth >= thread.driver_depth;
    });
    const bool changes = access == TableAccess::Changes;
    for (const GenericTable::User &user : entry.users) {
        if (!changes && !user.changes) {
            continue;
        }
        bugcheck("GENERIC TABLE not synchronised", api,
                 table_text(table) + (user.thread == thread.id
                                          ? ": called by one of its own routines"
                                          : ": thread " + std::to_string(user.thread) +
                                                " is in a call that uses it: who calls has to keep others out"));
    }
    entry.users.push_back({thread.id, thread.driver_depth, changes});
    check_irql(api, table);
}

TableUse::~TableUse() {
    auto &all = world_state().tables;
    const auto found = all.find(table_);
    if (found == all.end()) { // a routine of the driver freed it
        return;
    }
    auto &users = found->second.users;
    const auto last = std::find_if(users.rbegin(), users.rend(),
                                   [](const GenericTable::User &user) { return user.thread == current_thread().id; });
    if (last != users.rend()) {
        users.erase(std::next(last).base());
    }
}

void note_freed_tables(const void *memory, size_t bytes) {
    WorldState &state = world_state();
    const auto [first_table, end_table] = in_memory(state.tables, memory, bytes);
    for (auto table = first_table; table != end_table; table = state.tables.erase(table)) {
        std::erase_if(state.table_elements, [&](const auto &element) { return element.second == table->first; });
    }
    const auto [first, end] = in_memory(state.table_elements, memory, bytes);
    for (auto element = first; element != end; element = state.table_elements.erase(element)) {
        if (const auto table = state.tables.find(element->second); table != state.tables.end()) {
            table->second.broken = "an element of it was freed while it was in the table: delete it from the table";
        }
    }
}

void forget_tables() {
    world_state().tables.clear();
    world_state().table_elements.clear();
}

} // namespace fltsim::ke
