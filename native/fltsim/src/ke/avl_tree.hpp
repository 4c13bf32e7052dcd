// SPDX-License-Identifier: MIT
//
// This module provides: the balanced tree of RTL_AVL_TABLE, without what finds a place in it: linking, unlinking, neighbours.
//
// Invariants: the table's BalancedRoot stands above the root, which is its right child; a node's Balance is the height of its right side less that of
// its left one, -1, 0 or 1; DepthOfTree is the root's height.
#pragma once

#include "core/ddk.hpp"

namespace fltsim::ke::avl {

using Links = RTL_BALANCED_LINKS;

/// Null when the tree is empty.
Links *first(RTL_AVL_TABLE &table);
/// In sorted order; null at the end.
Links *successor(RTL_AVL_TABLE &table, Links *node);
Links *predecessor(RTL_AVL_TABLE &table, Links *node);
/// `node` becomes that child of `parent` (TableEmptyTree: the root), which has none there.
void link(RTL_AVL_TABLE &table, Links *node, Links *parent, TABLE_SEARCH_RESULT place);
void unlink(RTL_AVL_TABLE &table, Links *node);

} // namespace fltsim::ke::avl
