// SPDX-License-Identifier: MIT
//
// This module provides: the tree, the disk content and the share counts of the memory file system (node.hpp).

#include "fs/node.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::fs {

namespace {

constexpr ACCESS_MASK READS = FILE_READ_DATA | FILE_EXECUTE;
constexpr ACCESS_MASK WRITES = FILE_WRITE_DATA | FILE_APPEND_DATA;

bool shares(ULONG share, ULONG bit) {
    return (share & bit) != 0;
}

} // namespace

bool ShareCounts::allows(ACCESS_MASK access, ULONG share) const {
    const bool reads = (access & READS) != 0;
    const bool writes = (access & WRITES) != 0;
    const bool deletes = (access & DELETE) != 0;
    if (!reads && !writes && !deletes) {
        return true;
    }
    const bool others_allow =
        (!reads || shared_read == opens) && (!writes || shared_write == opens) && (!deletes || shared_delete == opens);
    const bool allows_others = (readers == 0 || shares(share, FILE_SHARE_READ)) &&
                               (writers == 0 || shares(share, FILE_SHARE_WRITE)) &&
                               (deleters == 0 || shares(share, FILE_SHARE_DELETE));
    return others_allow && allows_others;
}

void ShareCounts::add(ACCESS_MASK access, ULONG share) {
    if ((access & (READS | WRITES | DELETE)) == 0) {
        return;
    }
    ++opens;
    readers += (access & READS) != 0;
    writers += (access & WRITES) != 0;
    deleters += (access & DELETE) != 0;
    shared_read += shares(share, FILE_SHARE_READ);
    shared_write += shares(share, FILE_SHARE_WRITE);
    shared_delete += shares(share, FILE_SHARE_DELETE);
}

void ShareCounts::remove(ACCESS_MASK access, ULONG share) {
    if ((access & (READS | WRITES | DELETE)) == 0) {
        return;
    }
    --opens;
    readers -= (access & READS) != 0;
    writers -= (access & WRITES) != 0;
    deleters -= (access & DELETE) != 0;
    shared_read -= shares(share, FILE_SHARE_READ);
    shared_write -= shares(share, FILE_SHARE_WRITE);
    shared_delete -= shares(share, FILE_SHARE_DELETE);
}

bool Node::same_on_disk(uint64_t page, const uint8_t *data) const {
    const uint64_t start = page * io::Cache::PAGE;
    if (start >= size) {
        return true;
    }
    const uint64_t bytes = std::min<uint64_t>(io::Cache::PAGE, size - start);
    const auto found = disk_.find(page);
    if (found != disk_.end()) {
        return memcmp(found->second.data(), data, bytes) == 0;
    }
    return std::all_of(data, data + bytes, [](uint8_t byte) { return byte == 0; });
}

void Node::read_disk(uint64_t offset, uint8_t *to, uint64_t length) const {
    for (uint64_t at = offset; at < offset + length;) {
        const uint64_t in_page = at % io::Cache::PAGE;
        const uint64_t part = std::min<uint64_t>(io::Cache::PAGE - in_page, offset + length - at);
        const auto found = disk_.find(at / io::Cache::PAGE);
        if (found != disk_.end()) {
            memcpy(to, found->second.data() + in_page, part);
        } else {
            memset(to, 0, part);
        }
        to += part;
        at += part;
    }
}

void Node::write_disk(uint64_t offset, const uint8_t *from, uint64_t length) {
    for (uint64_t at = offset; at < offset + length;) {
        const uint64_t in_page = at % io::Cache::PAGE;
        const uint64_t part = std::min<uint64_t>(io::Cache::PAGE - in_page, offset + length - at);
        Page &page = disk_.try_emplace(at / io::Cache::PAGE, Page{}).first->second;
        memcpy(page.data() + in_page, from, part);
        from += part;
        at += part;
    }
}

void Node::set_size(uint64_t new_size) {
    const bool smaller = new_size < size;
    size = new_size;
    allocation = (new_size + io::Cache::PAGE - 1) / io::Cache::PAGE * io::Cache::PAGE;
    if (!smaller) {
        return;
    }
    const uint64_t first_gone = allocation / io::Cache::PAGE;
    std::erase_if(disk_, [first_gone](const auto &entry) { return entry.first >= first_gone; });
    const auto last = disk_.find(new_size / io::Cache::PAGE);
    if (last != disk_.end()) {
        const uint64_t tail = new_size % io::Cache::PAGE;
        memset(last->second.data() + tail, 0, io::Cache::PAGE - tail);
    }
    if (cache) {
        cache->truncate(new_size);
    }
}

std::shared_ptr<Node> Node::child(std::u16string_view child_name) const {
    const auto found = children.find(fold(child_name));
    return found == children.end() ? nullptr : found->second;
}

void Node::add_child(const std::shared_ptr<Node> &node, std::u16string_view child_name) {
    node->name = child_name;
    node->parent = this;
    children[fold(child_name)] = node;
}

void Node::remove_child(Node &node) {
    node.parent = nullptr;
    children.erase(fold(node.name));
}

std::u16string Node::path() const {
    if (root) {
        return u"\\";
    }
    std::u16string text;
    for (const Node *at = this; at != nullptr && !at->root; at = at->parent) {
        text.insert(0, u"\\" + at->name);
    }
    return text;
}

ULONG Node::visible_attributes() const {
    const ULONG visible = attributes | (directory ? FILE_ATTRIBUTE_DIRECTORY : 0);
    return visible != 0 ? visible : FILE_ATTRIBUTE_NORMAL;
}

bool Node::open_below() const {
    return std::any_of(children.begin(), children.end(),
                       [](const auto &entry) { return entry.second->handles != 0 || entry.second->open_below(); });
}

} // namespace fltsim::fs
