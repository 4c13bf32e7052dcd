// SPDX-License-Identifier: MIT
//
// This module provides: generic tables of both kinds under one name for the tests of them: elements are a key and a mark, in tagged pool.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "world_fixture.hpp"

namespace tables {

using namespace fltsim;

constexpr ULONG TAG = 0x6C626154;

struct Item {
    int32_t key;
    int32_t mark;
};

/// What the routines of a table do beside their work. Its TableContext.
struct Behaviour {
    int compares = 0;
    int allocated = 0;
    int freed = 0;
    bool no_memory = false;
    bool paged = false;
    CLONG asked = 0;
    std::function<std::optional<int>()> compared; ///< another result
    std::function<PVOID()> allocate; ///< other memory
};

inline int order_of(Behaviour &behaviour, const void *first, const void *second) {
    ++behaviour.compares;
    if (behaviour.compared) {
        if (const auto other = behaviour.compared()) {
            return *other;
        }
    }
    const int32_t a = static_cast<const Item *>(first)->key;
    const int32_t b = static_cast<const Item *>(second)->key;
    return a < b ? GenericLessThan : a > b ? GenericGreaterThan : GenericEqual;
}

inline PVOID memory_for(Behaviour &behaviour, CLONG bytes) {
    behaviour.asked = bytes;
    if (behaviour.no_memory) {
        return nullptr;
    }
    ++behaviour.allocated;
    return behaviour.allocate ? behaviour.allocate()
                              : ExAllocatePoolWithTag(behaviour.paged ? PagedPool : NonPagedPoolNx, bytes, TAG);
}

/// The calls of one kind of table.
struct Splay {
    using Table = RTL_GENERIC_TABLE;
    static constexpr size_t HEADER = 40;
    static Behaviour &of(Table *table) { return *static_cast<Behaviour *>(table->TableContext); }
    static RTL_GENERIC_COMPARE_RESULTS NTAPI compare(Table *table, PVOID first, PVOID second) {
        return static_cast<RTL_GENERIC_COMPARE_RESULTS>(order_of(of(table), first, second));
    }
    static PVOID NTAPI allocate(Table *table, CLONG bytes) { return memory_for(of(table), bytes); }
    static void NTAPI free(Table *table, PVOID buffer) {
        ++of(table).freed;
        ExFreePoolWithTag(buffer, TAG);
    }
    static void initialise(Table *table, Behaviour *behaviour) {
        RtlInitializeGenericTable(table, compare, allocate, free, behaviour);
    }
    static constexpr auto insert = &RtlInsertElementGenericTable;
    static constexpr auto insert_full = &RtlInsertElementGenericTableFull;
    static constexpr auto remove = &RtlDeleteElementGenericTable;
    static constexpr auto look_up = &RtlLookupElementGenericTable;
    static constexpr auto look_up_full = &RtlLookupElementGenericTableFull;
    static constexpr auto enumerate = &RtlEnumerateGenericTable;
    static constexpr auto enumerate_by_key = &RtlEnumerateGenericTableWithoutSplaying;
    static constexpr auto get = &RtlGetElementGenericTable;
    static constexpr auto count = &RtlNumberGenericTableElements;
    static constexpr auto empty = &RtlIsGenericTableEmpty;
};

struct Avl {
    using Table = RTL_AVL_TABLE;
    static constexpr size_t HEADER = 32;
    static Behaviour &of(Table *table) { return *static_cast<Behaviour *>(table->TableContext); }
    static RTL_GENERIC_COMPARE_RESULTS NTAPI compare(Table *table, PVOID first, PVOID second) {
        return static_cast<RTL_GENERIC_COMPARE_RESULTS>(order_of(of(table), first, second));
    }
    static PVOID NTAPI allocate(Table *table, CLONG bytes) { return memory_for(of(table), bytes); }
    static void NTAPI free(Table *table, PVOID buffer) {
        ++of(table).freed;
        ExFreePoolWithTag(buffer, TAG);
    }
    static void initialise(Table *table, Behaviour *behaviour) {
        RtlInitializeGenericTableAvl(table, compare, allocate, free, behaviour);
    }
    static constexpr auto insert = &RtlInsertElementGenericTableAvl;
    static constexpr auto insert_full = &RtlInsertElementGenericTableFullAvl;
    static constexpr auto remove = &RtlDeleteElementGenericTableAvl;
    static constexpr auto look_up = &RtlLookupElementGenericTableAvl;
    static constexpr auto look_up_full = &RtlLookupElementGenericTableFullAvl;
    static constexpr auto enumerate = &RtlEnumerateGenericTableAvl;
    static constexpr auto enumerate_by_key = &RtlEnumerateGenericTableWithoutSplayingAvl;
    static constexpr auto get = &RtlGetElementGenericTableAvl;
    static constexpr auto count = &RtlNumberGenericTableElementsAvl;
    static constexpr auto empty = &RtlIsGenericTableEmptyAvl;
};

/// A table with its behaviour, which stays after a world that stops.
template <class Kind> struct Subject {
    typename Kind::Table table;
    Behaviour behaviour;

    Subject() { Kind::initialise(&table, &behaviour); }
    Item *insert(int32_t key, int32_t mark = 0, PBOOLEAN fresh = nullptr) {
        Item item{key, mark};
        return static_cast<Item *>(Kind::insert(&table, &item, sizeof item, fresh));
    }
    Item *look_up(int32_t key) {
        Item item{key, 0};
        return static_cast<Item *>(Kind::look_up(&table, &item));
    }
    bool remove(int32_t key) {
        Item item{key, 0};
        return Kind::remove(&table, &item) != FALSE;
    }
    void clear() {
        while (Kind::empty(&table) == FALSE) {
            CHECK(Kind::remove(&table, Kind::get(&table, 0)) != FALSE);
        }
    }
};

template <class Kind> std::string with(const std::function<void(World &, Subject<Kind> &)> &fn, uint64_t seed = 1) {
    return check::report_of(check::virtual_world(seed), [&](World &world) {
        static auto &left = *new std::deque<Subject<Kind>>;
        Subject<Kind> &subject = left.emplace_back();
        fn(world, subject);
        subject.clear();
    });
}

} // namespace tables
