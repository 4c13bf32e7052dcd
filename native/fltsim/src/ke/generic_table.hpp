// SPDX-License-Identifier: MIT
//
// This module provides: what both kinds of generic tables have in common: which tables there are, which elements are in them, who uses them, how they are searched. The
// trees themselves are in the driver's memory, with their real layout.
//
// Invariants: an element is in one table at most; a table is changed by one thread at a time, and looked at by nobody meanwhile: the driver's lock has
// to see to that, and each of its routines that is called from here is a chance for another thread to show that it does not.
#pragma once

#include <string>

#include "ke/state.hpp"

namespace fltsim::ke {

enum class TableKind { Splay, Avl };
enum class TableAccess { Reads, Changes };

std::string table_text(const void *table);
/// Initialised, again or for the first time: it has no elements.
void note_table(const char *api, const void *table, TableKind kind);
/// Stops the world when it is none of the table's elements. `what`: the parameter.
void check_element(const char *api, const void *table, const void *element, const char *what);
/// New memory of the driver's allocation routine.
void add_element(const char *api, const void *table, const void *element);
/// No longer the table's: the driver's free routine comes next.
void remove_element(const void *element);
/// Stops the world when it is not one of the three.
int checked_order(const char *api, const void *table, int result);

/// Stops the world: NodeOrParent and SearchResult name a place that is taken.
[[noreturn]] void place_taken(const char *api, const void *table);

/// What the driver's routines see of the element that begins with `links`; null of null.
template <class Element, class Links> void *data_of(Links *links) {
    return links != nullptr ? CONTAINING_RECORD(links, Element, links)->data : nullptr;
}

/// By the driver's routine: how the buffer compares with the node's data.
template <class Element, class Table, class Links>
int compare(const char *api, Table *table, PVOID buffer, Links *node) {
    int order;
    {
        DriverCall driver("compare routine of a generic table");
        order = static_cast<int>(table->CompareRoutine(table, buffer, data_of<Element>(node)));
    }
    return checked_order(api, table, order);
}

/// Below `root`, where it is, or whose child it would be.
template <class Element, class Table, class Links>
TABLE_SEARCH_RESULT find(const char *api, Table *table, Links *root, PVOID buffer, Links **where) {
    *where = nullptr;
    TABLE_SEARCH_RESULT result = TableEmptyTree;
    for (Links *node = root; node != nullptr;) {
        *where = node;
        const int order = compare<Element>(api, table, buffer, node);
        if (order == GenericEqual) {
            return TableFoundNode;
        }
        result = order == GenericLessThan ? TableInsertAsLeft : TableInsertAsRight;
        node = order == GenericLessThan ? node->LeftChild : node->RightChild;
    }
    return result;
}

/// That place is free.
template <class Links>
void check_place(const char *api, const void *table, const Links *root, const Links *parent,
                 TABLE_SEARCH_RESULT place) {
    const Links *const there = place == TableEmptyTree      ? root
                               : place == TableInsertAsLeft ? parent->LeftChild
                                                            : parent->RightChild;
    if (there != nullptr) {
        place_taken(api, table);
    }
}

/// The memory for an element, by the driver's routine; null without.
template <class Table> void *allocate_element(const char *api, Table *table, size_t bytes) {
    void *memory;
    {
        DriverCall driver("allocation routine of a generic table");
        memory = table->AllocateRoutine(table, static_cast<CLONG>(bytes));
    }
    if (memory != nullptr) {
        add_element(api, table, memory);
    }
    return memory;
}

/// It is out of the tree: no longer the table's, and its memory the driver's.
template <class Table> void free_element(Table *table, void *element) {
    remove_element(element);
    DriverCall driver("free routine of a generic table");
    table->FreeRoutine(table, element);
}

/// RAII: a call that uses a table. Stops the world when it is not initialised, or another use of it is under way that does not go with this one.
class TableUse {
  public:
    TableUse(const char *api, const void *table, TableKind kind, TableAccess access);
    ~TableUse();
    TableUse(const TableUse &) = delete;
    TableUse &operator=(const TableUse &) = delete;

  private:
    const void *table_;
};

} // namespace fltsim::ke
