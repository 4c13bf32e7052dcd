// SPDX-License-Identifier: MIT
//
// This module provides: generic tables as balanced trees (RTL_AVL_TABLE), in the driver's memory as the real ones are. There is no list of the order
// of insertion: what has a number is numbered in sorted order.
#include <cstring>

#include "ke/avl_tree.hpp"
#include "ke/generic_table.hpp"

using namespace fltsim;
using ke::TableAccess;
using ke::TableKind;
using ke::TableUse;
using ke::avl::Links;

namespace {

struct Element {
    Links links;
    alignas(8) unsigned char data[1];
};
constexpr size_t HEADER = offsetof(Element, data);
static_assert(HEADER == sizeof(Links));

void *data_of(Links *links) {
    return ke::data_of<Element>(links);
}

TABLE_SEARCH_RESULT find(const char *api, PRTL_AVL_TABLE table, PVOID buffer, Links **where) {
    return ke::find<Element>(api, table, table->BalancedRoot.RightChild, buffer, where);
}

PVOID insert(const char *api, PRTL_AVL_TABLE table, PVOID buffer, CLONG bytes, PBOOLEAN fresh, Links *where,
             TABLE_SEARCH_RESULT result) {
    if (fresh != nullptr) {
        *fresh = FALSE;
    }
    if (result == TableFoundNode) {
        return data_of(where);
    }
    void *const memory = ke::allocate_element(api, table, HEADER + bytes);
    if (memory == nullptr) {
        return nullptr;
    }
    auto *const node = static_cast<Links *>(memory);
    ke::avl::link(*table, node, where, result);
    ++table->NumberGenericTableElements;
    table->OrderedPointer = nullptr;
    table->WhichOrderedElement = 0;
    std::memcpy(data_of(node), buffer, bytes);
    if (fresh != nullptr) {
        *fresh = TRUE;
    }
    return data_of(node);
}

void remove(PRTL_AVL_TABLE table, Links *node) {
    if (table->RestartKey == node) {
        table->RestartKey = ke::avl::predecessor(*table, node); // RtlEnumerateGenericTableAvl goes on after it
    }
    ++table->DeleteCount;
    ke::avl::unlink(*table, node);
    --table->NumberGenericTableElements;
    table->OrderedPointer = nullptr;
    table->WhichOrderedElement = 0;
    ke::free_element(table, node);
}

/// After `key`, which becomes the one returned; null stays where it was.
PVOID next(RTL_AVL_TABLE &table, Links **key) {
    Links *const node = *key == nullptr ? ke::avl::first(table) : ke::avl::successor(table, *key);
    if (node != nullptr) {
        *key = node;
    }
    return data_of(node);
}

/// From where an enumeration by key goes on.
Links *by_key(const char *api, PRTL_AVL_TABLE table, PVOID buffer, bool after) {
    Links *node = nullptr;
    switch (find(api, table, buffer, &node)) {
    case TableFoundNode:
        return after ? ke::avl::successor(*table, node) : node;
    case TableInsertAsRight:
        return ke::avl::successor(*table, node);
    default:
        return node;
    }
}

} // namespace

/// An empty table, whatever was there before.
FLTSIM_KERNEL void NTAPI RtlInitializeGenericTableAvl(PRTL_AVL_TABLE Table, PRTL_AVL_COMPARE_ROUTINE CompareRoutine,
                                                      PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine,
                                                      PRTL_AVL_FREE_ROUTINE FreeRoutine, PVOID TableContext) {
    constexpr const char *kApi = "RtlInitializeGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    ke::note_table(kApi, Table, TableKind::Avl);
    *Table = RTL_AVL_TABLE{};
    Table->BalancedRoot.Parent = &Table->BalancedRoot;
    Table->CompareRoutine = CompareRoutine;
    Table->AllocateRoutine = AllocateRoutine;
    Table->FreeRoutine = FreeRoutine;
    Table->TableContext = TableContext;
}

/// A copy of the buffer in new memory, or the element that compares equal. Null without memory.
FLTSIM_KERNEL PVOID NTAPI RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                                          PBOOLEAN NewElement) {
    constexpr const char *kApi = "RtlInsertElementGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Changes);
    Links *where = nullptr;
    const TABLE_SEARCH_RESULT result = find(kApi, Table, Buffer, &where);
    return insert(kApi, Table, Buffer, BufferSize, NewElement, where, result);
}

/// The same at a place that RtlLookupElementGenericTableFullAvl gave; nothing is compared.
FLTSIM_KERNEL PVOID NTAPI RtlInsertElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                                              PBOOLEAN NewElement, PVOID NodeOrParent,
                                                              TABLE_SEARCH_RESULT SearchResult) {
    constexpr const char *kApi = "RtlInsertElementGenericTableFullAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Changes);
    auto *const where = static_cast<Links *>(NodeOrParent);
    if (SearchResult != TableEmptyTree) {
        ke::check_element(kApi, Table, where, "NodeOrParent");
    }
    if (SearchResult != TableFoundNode) {
        ke::check_place(kApi, Table, Table->BalancedRoot.RightChild, where, SearchResult);
    }
    return insert(kApi, Table, Buffer, BufferSize, NewElement, where, SearchResult);
}

/// FALSE when none compares equal. Its memory goes to the free routine.
FLTSIM_KERNEL BOOLEAN NTAPI RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer) {
    constexpr const char *kApi = "RtlDeleteElementGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Changes);
    Links *node = nullptr;
    if (find(kApi, Table, Buffer, &node) != TableFoundNode) {
        return FALSE;
    }
    remove(Table, node);
    return TRUE;
}

/// Deletes what RtlLookupElementGenericTableFullAvl has found.
FLTSIM_KERNEL void NTAPI RtlDeleteElementGenericTableAvlEx(PRTL_AVL_TABLE Table, PVOID NodeOrParent) {
    constexpr const char *kApi = "RtlDeleteElementGenericTableAvlEx";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Changes);
    ke::check_element(kApi, Table, NodeOrParent, "NodeOrParent");
    remove(Table, static_cast<Links *>(NodeOrParent));
}

/// Null when none compares equal.
FLTSIM_KERNEL PVOID NTAPI RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer) {
    constexpr const char *kApi = "RtlLookupElementGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    Links *node = nullptr;
    return find(kApi, Table, Buffer, &node) == TableFoundNode ? data_of(node) : nullptr;
}

/// The same, and where the element is or would be, for the calls that take NodeOrParent.
FLTSIM_KERNEL PVOID NTAPI RtlLookupElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer, PVOID *NodeOrParent,
                                                              TABLE_SEARCH_RESULT *SearchResult) {
    constexpr const char *kApi = "RtlLookupElementGenericTableFullAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    Links *node = nullptr;
    *SearchResult = find(kApi, Table, Buffer, &node);
    *NodeOrParent = node;
    return *SearchResult == TableFoundNode ? data_of(node) : nullptr;
}

/// Of those that compare equal, for a routine that compares a part of the key, the first; RtlEnumerateGenericTableWithoutSplayingAvl goes on.
FLTSIM_KERNEL PVOID NTAPI RtlLookupFirstMatchingElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                                       PVOID *RestartKey) {
    constexpr const char *kApi = "RtlLookupFirstMatchingElementGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    *RestartKey = nullptr;
    Links *node = nullptr;
    if (find(kApi, Table, Buffer, &node) != TableFoundNode) {
        return nullptr;
    }
    for (Links *before = ke::avl::predecessor(*Table, node);
         before != nullptr && ke::compare<Element>(kApi, Table, Buffer, before) == GenericEqual;
         before = ke::avl::predecessor(*Table, before)) {
        node = before;
    }
    *RestartKey = node;
    return data_of(node);
}

/// In sorted order: the first with Restart, else the one after the last call's, which may have been deleted meanwhile.
FLTSIM_KERNEL PVOID NTAPI RtlEnumerateGenericTableAvl(PRTL_AVL_TABLE Table, BOOLEAN Restart) {
    constexpr const char *kApi = "RtlEnumerateGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Changes); // of its RestartKey
    if (Restart != FALSE) {
        Table->RestartKey = nullptr;
    }
    return next(*Table, &Table->RestartKey);
}

/// In sorted order: the first with *RestartKey null, else the one after it, which has to be there still.
FLTSIM_KERNEL PVOID NTAPI RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE Table, PVOID *RestartKey) {
    constexpr const char *kApi = "RtlEnumerateGenericTableWithoutSplayingAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    auto *key = static_cast<Links *>(*RestartKey);
    if (key != nullptr) {
        ke::check_element(kApi, Table, key, "*RestartKey");
    }
    const PVOID found = next(*Table, &key);
    *RestartKey = key;
    return found;
}

/// In sorted order, those that MatchFunction wants (null: all), from *RestartKey, or from the key in Buffer when that is null or something was deleted
/// since. NextFlag: the one after it.
FLTSIM_KERNEL PVOID NTAPI RtlEnumerateGenericTableLikeADirectory(PRTL_AVL_TABLE Table,
                                                                 PRTL_AVL_MATCH_FUNCTION MatchFunction, PVOID MatchData,
                                                                 ULONG NextFlag, PVOID *RestartKey, PULONG DeleteCount,
                                                                 PVOID Buffer) {
    constexpr const char *kApi = "RtlEnumerateGenericTableLikeADirectory";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    auto *node = static_cast<Links *>(*DeleteCount == Table->DeleteCount ? *RestartKey : nullptr);
    if (node == nullptr) {
        node = by_key(kApi, Table, Buffer, NextFlag != 0);
    } else {
        ke::check_element(kApi, Table, node, "*RestartKey");
        node = NextFlag != 0 ? ke::avl::successor(*Table, node) : node;
    }
    while (node != nullptr && MatchFunction != nullptr) {
        NTSTATUS status;
        {
            DriverCall driver("match function of a generic table");
            status = MatchFunction(Table, data_of(node), MatchData);
        }
        if (status == STATUS_NO_MATCH) {
            node = ke::avl::successor(*Table, node);
            continue;
        }
        if (status == STATUS_NO_MORE_MATCHES) {
            node = nullptr;
        } else if (status != STATUS_SUCCESS) {
            bugcheck("GENERIC TABLE match", kApi,
                     ke::table_text(Table) + ": its match function returned " + std::to_string(status) +
                         ": it is to be STATUS_SUCCESS, STATUS_NO_MATCH or STATUS_NO_MORE_MATCHES");
        }
        break;
    }
    *RestartKey = node;
    *DeleteCount = Table->DeleteCount;
    return data_of(node);
}

/// In sorted order, from 0. Null beyond the last.
FLTSIM_KERNEL PVOID NTAPI RtlGetElementGenericTableAvl(PRTL_AVL_TABLE Table, ULONG I) {
    constexpr const char *kApi = "RtlGetElementGenericTableAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Changes); // of where it looked last
    if (I >= Table->NumberGenericTableElements) {
        return nullptr;
    }
    auto *node = static_cast<Links *>(Table->OrderedPointer);
    if (node == nullptr || Table->WhichOrderedElement > I) {
        node = ke::avl::first(*Table);
        Table->WhichOrderedElement = 0;
    }
    for (; Table->WhichOrderedElement < I; ++Table->WhichOrderedElement) {
        node = ke::avl::successor(*Table, node);
    }
    Table->OrderedPointer = node;
    return data_of(node);
}

FLTSIM_KERNEL ULONG NTAPI RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE Table) {
    constexpr const char *kApi = "RtlNumberGenericTableElementsAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    return Table->NumberGenericTableElements;
}

FLTSIM_KERNEL BOOLEAN NTAPI RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE Table) {
    constexpr const char *kApi = "RtlIsGenericTableEmptyAvl";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Avl, TableAccess::Reads);
    return Table->NumberGenericTableElements == 0 ? TRUE : FALSE;
}
