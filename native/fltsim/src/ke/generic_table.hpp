// SPDX-License-Identifier: MIT
//
// This module provides: what both kinds of generic tables have in common: which tables there are, which elements are in them, who uses them. The
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
