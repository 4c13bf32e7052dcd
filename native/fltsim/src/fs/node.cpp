// SPDX-License-Identifier: MIT
//
// This module provides: the tree, the disk content and the share counts of the memory file system (node.hpp).

#include "fs/node.hpp"

#include <algorithm>
#include <cstring>

namespace fltsim::fs {

namespace {

constexpr ACCESS_MASK READS = FILE_READ_DATA | FILE_EXECUTE;

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
    valid_data = std::min(valid_data, new_size);
    allocation = (new_size + io::Cache::PAGE - 1) / io::Cache::PAGE * io::Cache::PAGE;
    if (!smaller) {
        return;
    }
    const uint64_t first_gone = allocation / io::Cache::PAGE;
    disk_.erase(disk_.lower_bound(first_gone), disk_.end());
    const auto last = disk_.find(new_size / io::Cache::PAGE);
    if (last != disk_.end()) {
        const uint64_t tail = new_size % io::Cache::PAGE;
        memset(last->second.data() + tail, 0, io::Cache::PAGE - tail);
    }
    if (cache) {
        cache->truncate(new_size);
    }
}

void Node::zero(uint64_t from, uint64_t to) {
    for (auto at = disk_.lower_bound(from / io::Cache::PAGE); at != disk_.end();) {
        const uint64_t start = at->first * io::Cache::PAGE;
        if (start >= to) {
            break;
        }
        const uint64_t first = std::max(start, from);
        const uint64_t last = std::min<uint64_t>(start + io::Cache::PAGE, to);
        if (last - first == io::Cache::PAGE) {
            at = disk_.erase(at);
            continue;
        }
        memset(at->second.data() + (first - start), 0, last - first);
        ++at;
    }
}

std::optional<std::pair<uint64_t, uint64_t>> Node::allocated_range(uint64_t from) const {
    auto at = disk_.lower_bound(from / io::Cache::PAGE);
    if (at == disk_.end()) {
        return std::nullopt;
    }
    const uint64_t start = std::max(at->first * io::Cache::PAGE, from);
    uint64_t page = at->first;
    while (at != disk_.end() && at->first == page) {
        ++at;
        ++page;
    }
    return std::pair(start, page * io::Cache::PAGE);
}

std::shared_ptr<Link> Node::child(std::u16string_view child_name) const {
    const std::u16string folded = fold(child_name);
    const auto found = children.find(folded);
    if (found != children.end()) {
        return found->second;
    }
    const auto by_short = short_names.find(folded);
    return by_short == short_names.end() ? nullptr : children.at(fold(by_short->second->name));
}

std::shared_ptr<Link> Node::add_child(const std::shared_ptr<Node> &node, std::u16string_view child_name,
                                      bool with_short_name) {
    auto link = std::make_shared<Link>();
    link->node = node;
    insert_child(link, child_name, with_short_name);
    return link;
}

void Node::insert_child(const std::shared_ptr<Link> &link, std::u16string_view child_name, bool with_short_name) {
    link->name = child_name;
    link->short_name.clear();
    link->parent = this;
    if (with_short_name && !is_short_name(child_name)) {
        link->short_name = make_short_name(child_name, [this](const std::u16string &taken) {
            return children.contains(taken) || short_names.contains(taken);
        });
        short_names[link->short_name] = link.get();
    }
    link->node->links.push_back(link.get());
    link->node->unlinked = false;
    children[fold(child_name)] = link;
}

void Node::move_child(const std::shared_ptr<Link> &link, Node &to, std::u16string_view new_name, bool with_short_name) {
    remove_child(*link);
    to.insert_child(link, new_name, with_short_name);
}

void Node::remove_child(Link &link) {
    const auto found = children.find(fold(link.name));
    if (found == children.end() || found->second.get() != &link) {
        return;
    }
    const std::shared_ptr<Link> keep = found->second;
    children.erase(found);
    if (!link.short_name.empty()) {
        short_names.erase(link.short_name);
    }
    std::erase(link.node->links, &link);
    link.node->unlinked = link.node->links.empty();
    link.parent = nullptr;
}

std::u16string path_of(const Link &link) {
    if (link.node->root) {
        return u"\\";
    }
    std::u16string text = u"\\" + link.name;
    for (const Node *at = link.parent; at != nullptr && !at->root;
         at = at->links.empty() ? nullptr : at->links[0]->parent) {
        text.insert(0, u"\\" + (at->links.empty() ? u"?" : at->links[0]->name));
    }
    return text;
}

ULONG Node::visible_attributes() const {
    const ULONG visible =
        attributes | (directory ? FILE_ATTRIBUTE_DIRECTORY : 0) | (reparse.empty() ? 0 : FILE_ATTRIBUTE_REPARSE_POINT);
    return visible != 0 ? visible : FILE_ATTRIBUTE_NORMAL;
}

ULONG Node::reparse_tag() const {
    ULONG tag = 0;
    if (!reparse.empty()) {
        memcpy(&tag, reparse.data(), sizeof tag);
    }
    return tag;
}

ULONG Node::ea_bytes() const {
    ULONG bytes = 0;
    for (const auto &[name, attribute] : ea) {
        // What NTFS counts: the packed form, a FEALIST's four bytes in front.
        bytes += static_cast<ULONG>(5 + attribute.name.size() + attribute.value.size());
    }
    return bytes == 0 ? 0 : bytes + 4;
}

ULONG Node::live_links() const {
    return static_cast<ULONG>(
        std::count_if(links.begin(), links.end(), [](const Link *link) { return !link->delete_pending; }));
}

bool Node::open_stream() const {
    return std::any_of(streams.begin(), streams.end(), [](const auto &entry) { return entry.second->handles != 0; });
}

bool Node::open_below() const {
    return std::any_of(children.begin(), children.end(), [](const auto &entry) {
        return entry.second->handles != 0 || entry.second->node->open_below();
    });
}

} // namespace fltsim::fs
