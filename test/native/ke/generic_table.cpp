// SPDX-License-Identifier: MIT
//
// This module provides: tests of generic tables: content, order, shape of both kinds of trees, enumeration while something is deleted.
#include "ke/table_subject.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "core/scheduler.hpp"

namespace MINIPEND_TEST_FILE {

using namespace tables;

namespace {

bool clean(const std::string &report) {
    return check::contains(report, "\"stopped\":false");
}

std::vector<int32_t> keys(const std::function<void *(bool first)> &next) {
    std::vector<int32_t> found;
    for (auto *item = static_cast<Item *>(next(true)); item != nullptr; item = static_cast<Item *>(next(false))) {
        found.push_back(item->key);
    }
    return found;
}

template <class Kind> std::vector<int32_t> keys_of(typename Kind::Table &table) {
    PVOID key = nullptr;
    return keys([&](bool) { return Kind::enumerate_by_key(&table, &key); });
}

/// Height, or -1 when something is wrong with the shape.
int height(const RTL_BALANCED_LINKS *node, const RTL_BALANCED_LINKS *parent) {
    if (node == nullptr) {
        return 0;
    }
    const int left = height(node->LeftChild, node);
    const int right = height(node->RightChild, node);
    const int balance = static_cast<signed char>(node->Balance);
    const bool good =
        left >= 0 && right >= 0 && node->Parent == parent && right - left == balance && balance >= -1 && balance <= 1;
    return good ? std::max(left, right) + 1 : -1;
}

void check_shape(RTL_AVL_TABLE &table) {
    CHECK_EQ(height(table.BalancedRoot.RightChild, &table.BalancedRoot), static_cast<int>(table.DepthOfTree));
    CHECK(table.BalancedRoot.LeftChild == nullptr && table.BalancedRoot.Parent == &table.BalancedRoot);
}

size_t nodes(const RTL_SPLAY_LINKS *node, const RTL_SPLAY_LINKS *parent) {
    if (node == nullptr) {
        return 0;
    }
    CHECK(node->Parent == parent);
    return 1 + nodes(node->LeftChild, node) + nodes(node->RightChild, node);
}

void check_shape(RTL_GENERIC_TABLE &table) {
    CHECK_EQ(nodes(table.TableRoot, table.TableRoot), static_cast<size_t>(table.NumberGenericTableElements));
}

/// Random insertions, look-ups and deletions, compared with a map.
template <class Kind> void as_a_map() {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        const std::string report = with<Kind>([&](World &, Subject<Kind> &subject) {
            std::map<int32_t, int32_t> expected;
            Random random(seed);
            for (int step = 0; step < 600; ++step) {
                const auto key = static_cast<int32_t>(random.below(64)) - 32;
                const uint64_t what = random.below(3 + (step > 300 ? 3 : 0));
                if (what < 2) {
                    BOOLEAN fresh = 7;
                    const Item *const item = subject.insert(key, step, &fresh);
                    CHECK_EQ(fresh != FALSE, expected.try_emplace(key, step).second);
                    CHECK(item->key == key && item->mark == expected[key]);
                } else if (what == 2) {
                    const Item *const item = subject.look_up(key);
                    const auto found = expected.find(key);
                    CHECK_EQ(item != nullptr, found != expected.end());
                    CHECK(item == nullptr || item->mark == found->second);
                } else {
                    CHECK_EQ(subject.remove(key), expected.erase(key) == 1);
                }
                check_shape(subject.table);
                CHECK_EQ(static_cast<size_t>(Kind::count(&subject.table)), expected.size());
                CHECK_EQ(Kind::empty(&subject.table) != FALSE, expected.empty());
            }
            std::vector<int32_t> sorted;
            for (const auto &[key, mark] : expected) {
                sorted.push_back(key);
            }
            CHECK(!sorted.empty());
            CHECK(keys_of<Kind>(subject.table) == sorted);
            CHECK(keys([&](bool first) { return Kind::enumerate(&subject.table, first ? TRUE : FALSE); }) == sorted);
            check_shape(subject.table);
            subject.clear();
            CHECK_EQ(subject.behaviour.allocated, subject.behaviour.freed);
        });
        CHECK(clean(report));
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
}

template <class Kind> void storage_and_failures() {
    CHECK(clean(with<Kind>([](World &, Subject<Kind> &subject) {
        Item *const item = subject.insert(5, 1);
        CHECK_EQ(subject.behaviour.asked, static_cast<CLONG>(Kind::HEADER + sizeof(Item)));
        BOOLEAN fresh = TRUE;
        CHECK(subject.insert(5, 2, &fresh) == item && fresh == FALSE && item->mark == 1); // what was there stays
        subject.behaviour.no_memory = true;
        fresh = TRUE;
        CHECK(subject.insert(6, 0, &fresh) == nullptr);
        CHECK(fresh == FALSE);
        CHECK_EQ(Kind::count(&subject.table), 1u);
        CHECK(subject.look_up(6) == nullptr);
        CHECK(!subject.remove(6));
        // Initialised again, it forgets its elements.
        Kind::initialise(&subject.table, &subject.behaviour);
        CHECK(subject.look_up(5) == nullptr && Kind::empty(&subject.table) != FALSE);
        ExFreePoolWithTag(reinterpret_cast<char *>(item) - Kind::HEADER, TAG);
    })));
}

template <class Kind> void looked_up_and_inserted_there() {
    CHECK(clean(with<Kind>([](World &, Subject<Kind> &subject) {
        for (const int32_t key : {50, 20, 80, 10, 30, 70, 90}) {
            Item item{key, 1};
            PVOID where = nullptr;
            TABLE_SEARCH_RESULT result = TableFoundNode;
            CHECK(Kind::look_up_full(&subject.table, &item, &where, &result) == nullptr);
            CHECK_EQ(result == TableEmptyTree, key == 50);
            const int compares = subject.behaviour.compares;
            BOOLEAN fresh = FALSE;
            auto *const made =
                static_cast<Item *>(Kind::insert_full(&subject.table, &item, sizeof item, &fresh, where, result));
            CHECK(made->key == key && fresh != FALSE);
            CHECK_EQ(subject.behaviour.compares, compares);
            item.mark = 2;
            CHECK(Kind::look_up_full(&subject.table, &item, &where, &result) == made);
            CHECK_EQ(result, TableFoundNode);
            CHECK(Kind::insert_full(&subject.table, &item, sizeof item, &fresh, where, result) == made);
            CHECK(fresh == FALSE && made->mark == 1);
            check_shape(subject.table);
        }
        CHECK(keys_of<Kind>(subject.table) == (std::vector<int32_t>{10, 20, 30, 50, 70, 80, 90}));
    })));
}

} // namespace

TEST(splay_tables_are_maps) {
    as_a_map<Splay>();
}

TEST(avl_tables_are_maps) {
    as_a_map<Avl>();
}

TEST(elements_are_the_drivers_memory) {
    storage_and_failures<Splay>();
    storage_and_failures<Avl>();
}

TEST(full_insertion_compares_nothing) {
    looked_up_and_inserted_there<Splay>();
    looked_up_and_inserted_there<Avl>();
}

TEST(elements_by_number) {
    CHECK(clean(with<Splay>([](World &, Subject<Splay> &subject) {
        const std::vector<int32_t> inserted{40, 10, 30, 20};
        for (const int32_t key : inserted) {
            subject.insert(key);
        }
        const auto numbered = [&](ULONG i) {
            auto *const item = static_cast<Item *>(RtlGetElementGenericTable(&subject.table, i));
            return item != nullptr ? item->key : -1;
        };
        for (const ULONG i : {3u, 0u, 2u, 1u, 1u, 3u}) { // by the order of insertion, whatever was asked for before
            CHECK_EQ(numbered(i), inserted[i]);
        }
        CHECK_EQ(numbered(4), -1);
        CHECK(subject.remove(10));
        CHECK_EQ(numbered(1), 30);
        CHECK_EQ(numbered(3), -1);
        subject.insert(10);
        CHECK_EQ(numbered(3), 10);
        CHECK_EQ(subject.look_up(30)->key, 30); // and looking up changes the root, not the numbers
        CHECK_EQ(numbered(0), 40);
        CHECK(&static_cast<Item *>(RtlGetElementGenericTable(&subject.table, 1))->key == &subject.look_up(30)->key);
    })));
    CHECK(clean(with<Avl>([](World &, Subject<Avl> &subject) {
        for (const int32_t key : {40, 10, 30, 20}) {
            subject.insert(key);
        }
        const auto numbered = [&](ULONG i) {
            auto *const item = static_cast<Item *>(RtlGetElementGenericTableAvl(&subject.table, i));
            return item != nullptr ? item->key : -1;
        };
        for (const ULONG i : {3u, 0u, 2u, 1u}) { // sorted: there is no list of insertions
            CHECK_EQ(numbered(i), static_cast<int32_t>(i + 1) * 10);
        }
        CHECK_EQ(numbered(4), -1);
        CHECK(subject.remove(20));
        CHECK_EQ(numbered(1), 30);
        subject.insert(5);
        CHECK_EQ(numbered(1), 10);
    })));
}

TEST(what_a_splay_table_found_is_its_root) {
    CHECK(clean(with<Splay>([](World &, Subject<Splay> &subject) {
        for (int32_t key = 0; key < 20; ++key) {
            Item *const item = subject.insert(key);
            CHECK(reinterpret_cast<char *>(subject.table.TableRoot) + Splay::HEADER == reinterpret_cast<char *>(item));
        }
        Item *const item = subject.look_up(7);
        CHECK(reinterpret_cast<char *>(subject.table.TableRoot) + Splay::HEADER == reinterpret_cast<char *>(item));
        PRTL_SPLAY_LINKS const root = subject.table.TableRoot;
        CHECK_EQ(keys_of<Splay>(subject.table).size(), 20u);
        CHECK(subject.look_up(100) == nullptr);
        CHECK(subject.table.TableRoot == root); // neither of the two moves anything
        // An enumeration goes on from the root.
        CHECK_EQ(static_cast<Item *>(RtlEnumerateGenericTable(&subject.table, FALSE))->key, 8);
        CHECK_EQ(static_cast<Item *>(RtlEnumerateGenericTable(&subject.table, FALSE))->key, 9);
    })));
}

TEST(deleting_while_enumerating) {
    CHECK(clean(with<Avl>([](World &, Subject<Avl> &subject) {
        for (int32_t key = 0; key < 10; ++key) {
            subject.insert(key);
        }
        std::vector<int32_t> seen;
        for (auto *item = static_cast<Item *>(RtlEnumerateGenericTableAvl(&subject.table, TRUE)); item != nullptr;
             item = static_cast<Item *>(RtlEnumerateGenericTableAvl(&subject.table, FALSE))) {
            const int32_t key = item->key;
            seen.push_back(key);
            if (key % 2 == 0) {
                CHECK(subject.remove(key)); // the one that it stands at: the table's own key goes back by one
            }
        }
        CHECK(seen == (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
        CHECK(keys_of<Avl>(subject.table) == (std::vector<int32_t>{1, 3, 5, 7, 9}));
        CHECK_EQ(subject.table.DeleteCount, 5u);
    })));
}

namespace {

NTSTATUS NTAPI odd_below(RTL_AVL_TABLE *, PVOID data, PVOID limit) {
    const int32_t key = static_cast<Item *>(data)->key;
    return key >= *static_cast<int32_t *>(limit) ? STATUS_NO_MORE_MATCHES
           : key % 2 != 0                        ? STATUS_SUCCESS
                                                 : STATUS_NO_MATCH;
}

} // namespace

TEST(enumerating_like_a_directory) {
    CHECK(clean(with<Avl>([](World &, Subject<Avl> &subject) {
        for (int32_t key = 0; key < 20; key += 2) {
            subject.insert(key);
        }
        PVOID restart = nullptr;
        ULONG deleted = 0;
        const auto next = [&](int32_t from, bool after) {
            Item buffer{from, 0};
            auto *const item = static_cast<Item *>(RtlEnumerateGenericTableLikeADirectory(
                &subject.table, nullptr, nullptr, after ? TRUE : FALSE, &restart, &deleted, &buffer));
            return item != nullptr ? item->key : -1;
        };
        CHECK_EQ(next(4, false), 4);
        CHECK_EQ(next(99, true), 6); // by the key that it gave
        CHECK_EQ(next(99, false), 6);
        restart = nullptr;
        CHECK_EQ(next(4, true), 6);
        restart = nullptr;
        CHECK_EQ(next(5, false), 6); // what is not there: the next one
        restart = nullptr;
        CHECK_EQ(next(5, true), 6);
        CHECK(subject.remove(6)); // the one that it stands at, and so the buffer counts again
        CHECK_EQ(next(6, true), 8);
        CHECK_EQ(deleted, subject.table.DeleteCount);
        restart = nullptr;
        CHECK_EQ(next(18, true), -1);
        CHECK(restart == nullptr);
        subject.insert(7);
        subject.insert(11);
        subject.insert(15);
        std::vector<int32_t> odd;
        Item buffer{0, 0};
        int32_t limit = 14;
        for (PVOID found = nullptr;;) {
            found = RtlEnumerateGenericTableLikeADirectory(&subject.table, odd_below, &limit, found != nullptr,
                                                           &restart, &deleted, &buffer);
            if (found == nullptr) {
                break;
            }
            odd.push_back(static_cast<Item *>(found)->key);
        }
        CHECK(odd == (std::vector<int32_t>{7, 11}));
    })));
}

namespace {

RTL_GENERIC_COMPARE_RESULTS NTAPI by_tens(RTL_AVL_TABLE *table, PVOID first, PVOID second) {
    Item a = *static_cast<Item *>(first);
    Item b = *static_cast<Item *>(second);
    if (a.mark < 0) { // a pattern: the tens alone count
        a.key /= 10;
        b.key /= 10;
    }
    return Avl::compare(table, &a, &b);
}

} // namespace

TEST(first_matching_element_and_deletion_by_place) {
    CHECK(clean(with<Avl>([](World &, Subject<Avl> &subject) {
        RtlInitializeGenericTableAvl(&subject.table, by_tens, Avl::allocate, Avl::free, &subject.behaviour);
        for (const int32_t key : {35, 11, 23, 27, 21, 29, 40}) {
            subject.insert(key);
        }
        Item pattern{20, -1};
        PVOID restart = nullptr;
        auto *item =
            static_cast<Item *>(RtlLookupFirstMatchingElementGenericTableAvl(&subject.table, &pattern, &restart));
        REQUIRE(item != nullptr);
        CHECK_EQ(item->key, 21);
        item = static_cast<Item *>(RtlEnumerateGenericTableWithoutSplayingAvl(&subject.table, &restart));
        CHECK_EQ(item->key, 23);
        pattern.key = 50;
        CHECK(RtlLookupFirstMatchingElementGenericTableAvl(&subject.table, &pattern, &restart) == nullptr);
        CHECK(restart == nullptr);
        Item wanted{27, 0};
        PVOID where = nullptr;
        TABLE_SEARCH_RESULT result = TableEmptyTree;
        CHECK(RtlLookupElementGenericTableFullAvl(&subject.table, &wanted, &where, &result) != nullptr);
        RtlDeleteElementGenericTableAvlEx(&subject.table, where);
        CHECK(keys_of<Avl>(subject.table) == (std::vector<int32_t>{11, 21, 23, 29, 35, 40}));
        check_shape(subject.table);
    })));
}

} // namespace MINIPEND_TEST_FILE
