// SPDX-License-Identifier: MIT
//
// This module provides: generic tables as splay trees, in the driver's memory as the real ones are: what a call has found or added is the root
// afterwards. Elements also stand in a list, in the order in which they were inserted.
//
// Invariants: the root is its own parent; what is left of a node compares less, what is right of it greater.
#include <cstring>

#include "ke/generic_table.hpp"

using namespace fltsim;
using ke::TableAccess;
using ke::TableKind;
using ke::TableUse;

namespace {

/// What an element begins with. The driver's routines and its callers see `data`.
struct Element {
    RTL_SPLAY_LINKS links;
    LIST_ENTRY order;
    alignas(8) unsigned char data[1];
};
constexpr size_t HEADER = offsetof(Element, data);
static_assert(HEADER == sizeof(RTL_SPLAY_LINKS) + sizeof(LIST_ENTRY));

using Links = RTL_SPLAY_LINKS;

Element *element_of(Links *links) {
    return CONTAINING_RECORD(links, Element, links);
}

void *data_of(Links *links) {
    return ke::data_of<Element>(links);
}

bool is_root(const Links *node) {
    return node->Parent == node;
}

bool is_left(const Links *node) {
    return node->Parent->LeftChild == node;
}

void set_left(Links *parent, Links *child) {
    parent->LeftChild = child;
    if (child != nullptr) {
        child->Parent = parent;
    }
}

void set_right(Links *parent, Links *child) {
    parent->RightChild = child;
    if (child != nullptr) {
        child->Parent = parent;
    }
}

/// `node` takes its parent's place, which becomes its child.
void rotate_up(Links *node) {
    Links *const parent = node->Parent;
    Links *const above = is_root(parent) ? nullptr : parent->Parent;
    const bool parent_left = above != nullptr && is_left(parent);
    if (is_left(node)) {
        set_left(parent, node->RightChild);
        set_right(node, parent);
    } else {
        set_right(parent, node->LeftChild);
        set_left(node, parent);
    }
    if (above == nullptr) {
        node->Parent = node;
    } else if (parent_left) {
        set_left(above, node);
    } else {
        set_right(above, node);
    }
}

/// Makes it the root.
Links *splay(Links *node) {
    while (!is_root(node)) {
        Links *const parent = node->Parent;
        if (!is_root(parent)) {
            rotate_up(is_left(node) == is_left(parent) ? parent : node);
        }
        rotate_up(node);
    }
    return node;
}

Links *leftmost(Links *node) {
    while (node->LeftChild != nullptr) {
        node = node->LeftChild;
    }
    return node;
}

Links *successor(Links *node) {
    if (node->RightChild != nullptr) {
        return leftmost(node->RightChild);
    }
    while (!is_root(node)) {
        if (is_left(node)) {
            return node->Parent;
        }
        node = node->Parent;
    }
    return nullptr;
}

/// Takes the root out; the new one.
Links *without_root(Links *root) {
    Links *const left = root->LeftChild;
    Links *const right = root->RightChild;
    for (Links *half : {left, right}) {
        if (half != nullptr) {
            half->Parent = half;
        }
    }
    if (left == nullptr || right == nullptr) {
        return left != nullptr ? left : right;
    }
    Links *const top = splay(leftmost(right)); // nothing is left of it
    set_left(top, left);
    return top;
}

TABLE_SEARCH_RESULT find(const char *api, PRTL_GENERIC_TABLE table, PVOID buffer, Links **where) {
    return ke::find<Element>(api, table, table->TableRoot, buffer, where);
}

PVOID insert(const char *api, PRTL_GENERIC_TABLE table, PVOID buffer, CLONG bytes, PBOOLEAN fresh, Links *where,
             TABLE_SEARCH_RESULT result) {
    if (fresh != nullptr) {
        *fresh = FALSE;
    }
    if (result != TableFoundNode) {
        void *const memory = ke::allocate_element(api, table, HEADER + bytes);
        if (memory == nullptr) {
            return nullptr;
        }
        Links *const node = static_cast<Links *>(memory);
        *node = Links{};
        switch (result) {
        case TableEmptyTree:
            node->Parent = node;
            break;
        case TableInsertAsLeft:
            set_left(where, node);
            break;
        default:
            set_right(where, node);
        }
        InsertTailList(&table->InsertOrderList, &element_of(node)->order);
        ++table->NumberGenericTableElements;
        std::memcpy(data_of(node), buffer, bytes);
        if (fresh != nullptr) {
            *fresh = TRUE;
        }
        where = node;
    }
    table->TableRoot = splay(where);
    return data_of(where);
}

PVOID look_up(const char *api, PRTL_GENERIC_TABLE table, PVOID buffer, Links **where, TABLE_SEARCH_RESULT *result) {
    const TableUse use(api, table, TableKind::Splay, TableAccess::Changes); // of the tree, at least
    *result = find(api, table, buffer, where);
    if (*result != TableFoundNode) {
        return nullptr;
    }
    table->TableRoot = splay(*where);
    return data_of(*where);
}

} // namespace

/// An empty table, whatever was there before.
FLTSIM_KERNEL void NTAPI RtlInitializeGenericTable(PRTL_GENERIC_TABLE Table,
                                                   PRTL_GENERIC_COMPARE_ROUTINE CompareRoutine,
                                                   PRTL_GENERIC_ALLOCATE_ROUTINE AllocateRoutine,
                                                   PRTL_GENERIC_FREE_ROUTINE FreeRoutine, PVOID TableContext) {
    constexpr const char *kApi = "RtlInitializeGenericTable";
    KernelCall call(kApi, DISPATCH_LEVEL);
    ke::note_table(kApi, Table, TableKind::Splay);
    *Table = RTL_GENERIC_TABLE{};
    InitializeListHead(&Table->InsertOrderList);
    Table->OrderedPointer = &Table->InsertOrderList;
    Table->CompareRoutine = CompareRoutine;
    Table->AllocateRoutine = AllocateRoutine;
    Table->FreeRoutine = FreeRoutine;
    Table->TableContext = TableContext;
}

/// A copy of the buffer in new memory, or the element that compares equal. Null without memory.
FLTSIM_KERNEL PVOID NTAPI RtlInsertElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                                       PBOOLEAN NewElement) {
    constexpr const char *kApi = "RtlInsertElementGenericTable";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Changes);
    Links *where = nullptr;
    const TABLE_SEARCH_RESULT result = find(kApi, Table, Buffer, &where);
    return insert(kApi, Table, Buffer, BufferSize, NewElement, where, result);
}

/// The same at a place that RtlLookupElementGenericTableFull gave; nothing is compared.
FLTSIM_KERNEL PVOID NTAPI RtlInsertElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                                           PBOOLEAN NewElement, PVOID NodeOrParent,
                                                           TABLE_SEARCH_RESULT SearchResult) {
    constexpr const char *kApi = "RtlInsertElementGenericTableFull";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Changes);
    auto *const where = static_cast<Links *>(NodeOrParent);
    if (SearchResult != TableEmptyTree) {
        ke::check_element(kApi, Table, where, "NodeOrParent");
    }
    if (SearchResult != TableFoundNode) {
        ke::check_place(kApi, Table, Table->TableRoot, where, SearchResult);
    }
    return insert(kApi, Table, Buffer, BufferSize, NewElement, where, SearchResult);
}

/// FALSE when none compares equal. Its memory goes to the free routine.
FLTSIM_KERNEL BOOLEAN NTAPI RtlDeleteElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer) {
    constexpr const char *kApi = "RtlDeleteElementGenericTable";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Changes);
    Links *node = nullptr;
    if (find(kApi, Table, Buffer, &node) != TableFoundNode) {
        return FALSE;
    }
    Table->TableRoot = without_root(splay(node));
    RemoveEntryList(&element_of(node)->order);
    --Table->NumberGenericTableElements;
    Table->WhichOrderedElement = 0;
    Table->OrderedPointer = &Table->InsertOrderList;
    ke::free_element(Table, node);
    return TRUE;
}

/// Null when none compares equal.
FLTSIM_KERNEL PVOID NTAPI RtlLookupElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer) {
    constexpr const char *kApi = "RtlLookupElementGenericTable";
    KernelCall call(kApi, DISPATCH_LEVEL);
    Links *node = nullptr;
    TABLE_SEARCH_RESULT result = TableEmptyTree;
    return look_up(kApi, Table, Buffer, &node, &result);
}

/// The same, and where the element is or would be, for RtlInsertElementGenericTableFull.
FLTSIM_KERNEL PVOID NTAPI RtlLookupElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer, PVOID *NodeOrParent,
                                                           TABLE_SEARCH_RESULT *SearchResult) {
    constexpr const char *kApi = "RtlLookupElementGenericTableFull";
    KernelCall call(kApi, DISPATCH_LEVEL);
    Links *node = nullptr;
    const PVOID found = look_up(kApi, Table, Buffer, &node, SearchResult);
    *NodeOrParent = node;
    return found;
}

/// In sorted order: the first with Restart, else the one after the root, which the last call has left there.
FLTSIM_KERNEL PVOID NTAPI RtlEnumerateGenericTable(PRTL_GENERIC_TABLE Table, BOOLEAN Restart) {
    constexpr const char *kApi = "RtlEnumerateGenericTable";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Changes);
    if (Table->TableRoot == nullptr) {
        return nullptr;
    }
    Links *const node = Restart != FALSE ? leftmost(Table->TableRoot) : successor(Table->TableRoot);
    if (node == nullptr) {
        return nullptr;
    }
    Table->TableRoot = splay(node);
    return data_of(node);
}

/// In sorted order: the first with *RestartKey null, else the one after it. The tree stays as it is.
FLTSIM_KERNEL PVOID NTAPI RtlEnumerateGenericTableWithoutSplaying(PRTL_GENERIC_TABLE Table, PVOID *RestartKey) {
    constexpr const char *kApi = "RtlEnumerateGenericTableWithoutSplaying";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Reads);
    if (Table->TableRoot == nullptr) {
        return nullptr;
    }
    Links *node;
    if (*RestartKey == nullptr) {
        node = leftmost(Table->TableRoot);
    } else {
        ke::check_element(kApi, Table, *RestartKey, "*RestartKey");
        node = successor(static_cast<Links *>(*RestartKey));
    }
    if (node == nullptr) {
        return nullptr;
    }
    *RestartKey = node;
    return data_of(node);
}

/// By the order of insertion, from 0. Null beyond the last.
FLTSIM_KERNEL PVOID NTAPI RtlGetElementGenericTable(PRTL_GENERIC_TABLE Table, ULONG I) {
    constexpr const char *kApi = "RtlGetElementGenericTable";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Changes); // of where it looked last
    if (I >= Table->NumberGenericTableElements) {
        return nullptr;
    }
    // WhichOrderedElement counts from 1; 0 is the list's head.
    while (Table->WhichOrderedElement < I + 1) {
        Table->OrderedPointer = Table->OrderedPointer->Flink;
        ++Table->WhichOrderedElement;
    }
    while (Table->WhichOrderedElement > I + 1) {
        Table->OrderedPointer = Table->OrderedPointer->Blink;
        --Table->WhichOrderedElement;
    }
    return CONTAINING_RECORD(Table->OrderedPointer, Element, order)->data;
}

FLTSIM_KERNEL ULONG NTAPI RtlNumberGenericTableElements(PRTL_GENERIC_TABLE Table) {
    constexpr const char *kApi = "RtlNumberGenericTableElements";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Reads);
    return Table->NumberGenericTableElements;
}

FLTSIM_KERNEL BOOLEAN NTAPI RtlIsGenericTableEmpty(PRTL_GENERIC_TABLE Table) {
    constexpr const char *kApi = "RtlIsGenericTableEmpty";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const TableUse use(kApi, Table, TableKind::Splay, TableAccess::Reads);
    return Table->TableRoot == nullptr ? TRUE : FALSE;
}
