// SPDX-License-Identifier: MIT
#include "ke/avl_tree.hpp"

#include <utility>

namespace fltsim::ke::avl {

namespace {

int balance(const Links *node) {
    return static_cast<signed char>(node->Balance);
}

void set_balance(Links *node, int value) {
    node->Balance = static_cast<CHAR>(value);
}

bool is_left(const Links *node) {
    return node->Parent->LeftChild == node;
}

Links *&side(Links *node, bool left) {
    return left ? node->LeftChild : node->RightChild;
}

void attach(Links *parent, bool left, Links *child) {
    side(parent, left) = child;
    if (child != nullptr) {
        child->Parent = parent;
    }
}

Links *outermost(Links *node, bool left) {
    while (side(node, left) != nullptr) {
        node = side(node, left);
    }
    return node;
}

Links *neighbour(RTL_AVL_TABLE &table, Links *node, bool before) {
    if (side(node, before) != nullptr) {
        return outermost(side(node, before), !before);
    }
    for (; node->Parent != &table.BalancedRoot; node = node->Parent) {
        if (is_left(node) != before) {
            return node->Parent;
        }
    }
    return nullptr;
}

/// `child` takes the place of its parent, which becomes its child on the other side. Balances are the caller's.
void rotate_up(Links *child) {
    Links *const parent = child->Parent;
    const bool left = is_left(child);
    attach(parent->Parent, is_left(parent), child);
    attach(parent, left, side(child, !left));
    attach(child, !left, parent);
}

/// `top` is two higher on one side: turns it; what stands there now.
Links *turn(Links *top) {
    const bool left = balance(top) < 0;
    const int heavy = left ? -1 : 1;
    Links *const child = side(top, left);
    if (balance(child) != -heavy) {
        rotate_up(child);
        const bool level = balance(child) == 0; // only after an unlinking: the height stays
        set_balance(top, level ? heavy : 0);
        set_balance(child, level ? -heavy : 0);
        return child;
    }
    Links *const inner = side(child, !left);
    rotate_up(inner);
    rotate_up(inner);
    set_balance(top, balance(inner) == heavy ? -heavy : 0);
    set_balance(child, balance(inner) == -heavy ? heavy : 0);
    set_balance(inner, 0);
    return inner;
}

/// That side of `node` is one lower than it was.
void shrunk(RTL_AVL_TABLE &table, Links *node, bool left) {
    while (node != &table.BalancedRoot) {
        set_balance(node, balance(node) + (left ? 1 : -1));
        if (balance(node) == 1 || balance(node) == -1) {
            return; // as high as it was
        }
        if (balance(node) != 0) {
            node = turn(node);
            if (balance(node) != 0) {
                return;
            }
        }
        left = is_left(node);
        node = node->Parent;
    }
    --table.DepthOfTree;
}

/// `lower` is in the subtree of `upper`, and they change places.
void exchange(Links *upper, Links *lower) {
    const Links old_upper = *upper;
    const Links old_lower = *lower;
    const bool upper_left = is_left(upper);
    const bool lower_left = is_left(lower);
    const bool direct = old_lower.Parent == upper;
    attach(old_upper.Parent, upper_left, lower);
    attach(lower, true, direct && lower_left ? upper : old_upper.LeftChild);
    attach(lower, false, direct && !lower_left ? upper : old_upper.RightChild);
    if (!direct) {
        attach(old_lower.Parent, lower_left, upper);
    }
    attach(upper, true, old_lower.LeftChild);
    attach(upper, false, old_lower.RightChild);
    std::swap(upper->Balance, lower->Balance);
}

} // namespace

Links *first(RTL_AVL_TABLE &table) {
    Links *const root = table.BalancedRoot.RightChild;
    return root != nullptr ? outermost(root, true) : nullptr;
}

Links *successor(RTL_AVL_TABLE &table, Links *node) {
    return neighbour(table, node, false);
}

Links *predecessor(RTL_AVL_TABLE &table, Links *node) {
    return neighbour(table, node, true);
}

void link(RTL_AVL_TABLE &table, Links *node, Links *parent, TABLE_SEARCH_RESULT place) {
    *node = Links{};
    if (place == TableEmptyTree) {
        attach(&table.BalancedRoot, false, node);
        table.DepthOfTree = 1;
        return;
    }
    attach(parent, place == TableInsertAsLeft, node);
    for (Links *at = node; at->Parent != &table.BalancedRoot; at = at->Parent) {
        Links *const above = at->Parent;
        set_balance(above, balance(above) + (is_left(at) ? -1 : 1));
        if (balance(above) == 0) {
            return;
        }
        if (balance(above) != 1 && balance(above) != -1) {
            turn(above);
            return;
        }
    }
    ++table.DepthOfTree;
}

void unlink(RTL_AVL_TABLE &table, Links *node) {
    if (node->LeftChild != nullptr && node->RightChild != nullptr) {
        exchange(node, outermost(node->RightChild, true)); // that has one child at most
    }
    Links *const above = node->Parent;
    const bool left = is_left(node);
    attach(above, left, node->LeftChild != nullptr ? node->LeftChild : node->RightChild);
    shrunk(table, above, left);
}

} // namespace fltsim::ke::avl
