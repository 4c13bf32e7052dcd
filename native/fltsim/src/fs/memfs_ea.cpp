// SPDX-License-Identifier: MIT
//
// This module provides: extended attributes: query, set, and those of a create.
//
// FAT has none: STATUS_EAS_NOT_SUPPORTED. Names are compared without regard to case and kept in upper case, as NTFS does. A value of no bytes
// removes its attribute.

#include "fs/answer.hpp"
#include "fs/memfs.hpp"

namespace fltsim::fs {

namespace {

constexpr size_t EA_ENTRY_ALIGNMENT = 4;
constexpr size_t NAME_AT = offsetof(FILE_FULL_EA_INFORMATION, EaName);
constexpr ULONG EA_BYTES_MAX = 0xFFFF;

bool valid_name(const std::string &name) {
    if (name.empty()) {
        return false;
    }
    return std::all_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) >= ' ' &&
               std::string_view("\\/:*?\"<>|,+=[];").find(c) == std::string_view::npos;
    });
}

std::string upper(std::string text) {
    for (char &c : text) {
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return text;
}

/// Reads a chain of FILE_FULL_EA_INFORMATION. *error_at: the offset of the entry that is wrong.
NTSTATUS parse(const uint8_t *buffer, size_t bytes, std::vector<ExtendedAttribute> *attributes, size_t *error_at) {
    for (size_t at = 0;;) {
        *error_at = at;
        FILE_FULL_EA_INFORMATION entry{};
        if (bytes - at < NAME_AT) {
            return STATUS_EA_LIST_INCONSISTENT;
        }
        memcpy(&entry, buffer + at, NAME_AT);
        const size_t value_at = at + NAME_AT + entry.EaNameLength + 1;
        if (value_at + entry.EaValueLength > bytes || buffer[value_at - 1] != 0 ||
            entry.NextEntryOffset % EA_ENTRY_ALIGNMENT != 0) {
            return STATUS_EA_LIST_INCONSISTENT;
        }
        ExtendedAttribute attribute;
        attribute.name = upper({reinterpret_cast<const char *>(buffer + at + NAME_AT), entry.EaNameLength});
        attribute.flags = entry.Flags;
        if (!valid_name(attribute.name)) {
            return STATUS_INVALID_EA_NAME;
        }
        if ((entry.Flags & ~FILE_NEED_EA) != 0) {
            return STATUS_INVALID_EA_NAME;
        }
        attribute.value.assign(buffer + value_at, buffer + value_at + entry.EaValueLength);
        attributes->push_back(std::move(attribute));
        if (entry.NextEntryOffset == 0) {
            return STATUS_SUCCESS;
        }
        if (at + entry.NextEntryOffset < value_at + entry.EaValueLength || at + entry.NextEntryOffset >= bytes) {
            return STATUS_EA_LIST_INCONSISTENT;
        }
        at += entry.NextEntryOffset;
    }
}

void store(Node &node, const std::vector<ExtendedAttribute> &attributes) {
    for (const ExtendedAttribute &attribute : attributes) {
        if (attribute.value.empty()) {
            node.ea.erase(attribute.name);
        } else {
            node.ea[attribute.name] = attribute;
        }
    }
}

bool add(Chain &chain, const ExtendedAttribute &attribute) {
    uint8_t *at = chain.add(NAME_AT + attribute.name.size() + 1 + attribute.value.size());
    if (at == nullptr) {
        return false;
    }
    FILE_FULL_EA_INFORMATION entry{};
    entry.Flags = attribute.flags;
    entry.EaNameLength = static_cast<UCHAR>(attribute.name.size());
    entry.EaValueLength = static_cast<USHORT>(attribute.value.size());
    memcpy(at, &entry, NAME_AT);
    memcpy(at + NAME_AT, attribute.name.c_str(), attribute.name.size() + 1);
    if (!attribute.value.empty()) {
        memcpy(at + NAME_AT + attribute.name.size() + 1, attribute.value.data(), attribute.value.size());
    }
    return true;
}

/// The names that a FILE_GET_EA_INFORMATION chain asks for.
NTSTATUS wanted_names(const void *list, size_t bytes, std::vector<std::string> *names) {
    constexpr size_t TEXT_AT = offsetof(FILE_GET_EA_INFORMATION, EaName);
    const auto *buffer = static_cast<const uint8_t *>(list);
    for (size_t at = 0;;) {
        FILE_GET_EA_INFORMATION entry{};
        if (bytes - at < TEXT_AT) {
            return STATUS_EA_LIST_INCONSISTENT;
        }
        memcpy(&entry, buffer + at, TEXT_AT);
        if (at + TEXT_AT + entry.EaNameLength > bytes) {
            return STATUS_EA_LIST_INCONSISTENT;
        }
        names->push_back(upper({reinterpret_cast<const char *>(buffer + at + TEXT_AT), entry.EaNameLength}));
        if (!valid_name(names->back())) {
            return STATUS_INVALID_EA_NAME;
        }
        if (entry.NextEntryOffset == 0) {
            return STATUS_SUCCESS;
        }
        if (entry.NextEntryOffset % EA_ENTRY_ALIGNMENT != 0 || at + entry.NextEntryOffset >= bytes) {
            return STATUS_EA_LIST_INCONSISTENT;
        }
        at += entry.NextEntryOffset;
    }
}

} // namespace

bool MemFileSystem::needs_ea(const Node &node) {
    return std::any_of(node.ea.begin(), node.ea.end(),
                       [](const auto &entry) { return (entry.second.flags & FILE_NEED_EA) != 0; });
}

NTSTATUS MemFileSystem::check_create_ea(const io::Operation &operation) const {
    const auto &parameters = operation.parameters.Create;
    if (parameters.EaLength == 0) {
        return STATUS_SUCCESS;
    }
    if (!ntfs()) {
        return STATUS_EAS_NOT_SUPPORTED;
    }
    if ((parameters.Options & FILE_NO_EA_KNOWLEDGE) != 0) {
        return STATUS_ACCESS_DENIED;
    }
    std::vector<ExtendedAttribute> attributes;
    size_t error_at = 0;
    return parse(static_cast<const uint8_t *>(parameters.EaBuffer), parameters.EaLength, &attributes, &error_at);
}

NTSTATUS MemFileSystem::take_create_ea(io::Operation &operation, Node &node) {
    const auto &parameters = operation.parameters.Create;
    std::vector<ExtendedAttribute> attributes;
    size_t error_at = 0;
    if (parameters.EaLength != 0) {
        const NTSTATUS status =
            parse(static_cast<const uint8_t *>(parameters.EaBuffer), parameters.EaLength, &attributes, &error_at);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    node.ea.clear();
    store(node, attributes);
    return STATUS_SUCCESS;
}

NTSTATUS MemFileSystem::query_ea(io::Operation &operation) {
    if (!ntfs()) {
        return STATUS_EAS_NOT_SUPPORTED;
    }
    Node *node = owner_of(*operation.file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    OpenState &open = *open_of(*operation.file);
    const auto &parameters = operation.parameters.QueryEa;
    Chain chain(parameters.EaBuffer, parameters.Length, EA_ENTRY_ALIGNMENT);
    const bool single = (operation.operation_flags & SL_RETURN_SINGLE_ENTRY) != 0;
    if (parameters.EaList != nullptr) {
        std::vector<std::string> names;
        const NTSTATUS status = wanted_names(parameters.EaList, parameters.EaListLength, &names);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        bool fits = true;
        for (const std::string &name : names) {
            const auto found = node->ea.find(name);
            // One that is not there is answered with an empty value.
            ExtendedAttribute none;
            none.name = name;
            fits = add(chain, found != node->ea.end() ? found->second : none);
            if (!fits || single) {
                break;
            }
        }
        operation.io_status.Information = chain.used();
        return fits ? STATUS_SUCCESS : (chain.used() == 0 ? STATUS_BUFFER_TOO_SMALL : STATUS_BUFFER_OVERFLOW);
    }
    if (node->ea.empty()) {
        return STATUS_NO_EAS_ON_FILE;
    }
    if ((operation.operation_flags & SL_INDEX_SPECIFIED) != 0) {
        if (parameters.EaIndex == 0 || parameters.EaIndex > node->ea.size() + 1) {
            return STATUS_NONEXISTENT_EA_ENTRY;
        }
        open.ea_position = parameters.EaIndex - 1;
    } else if ((operation.operation_flags & SL_RESTART_SCAN) != 0) {
        open.ea_position = 0;
    }
    if (open.ea_position >= node->ea.size()) {
        return STATUS_NO_MORE_EAS;
    }
    bool fits = true;
    auto at = std::next(node->ea.begin(), static_cast<std::ptrdiff_t>(open.ea_position));
    for (; at != node->ea.end(); ++at) {
        fits = add(chain, at->second);
        if (!fits) {
            break;
        }
        ++open.ea_position;
        if (single) {
            break;
        }
    }
    operation.io_status.Information = chain.used();
    return fits ? STATUS_SUCCESS : (chain.used() == 0 ? STATUS_BUFFER_TOO_SMALL : STATUS_BUFFER_OVERFLOW);
}

NTSTATUS MemFileSystem::set_ea(io::Operation &operation) {
    if (!ntfs()) {
        return STATUS_EAS_NOT_SUPPORTED;
    }
    Node *node = owner_of(*operation.file);
    if (node == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto &parameters = operation.parameters.SetEa;
    std::vector<ExtendedAttribute> attributes;
    size_t error_at = 0;
    const NTSTATUS status =
        parse(static_cast<const uint8_t *>(parameters.EaBuffer), parameters.Length, &attributes, &error_at);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (!node->reparse.empty()) {
        return STATUS_EAS_NOT_SUPPORTED; // a reparse point has no extended attributes
    }
    auto before = node->ea;
    store(*node, attributes);
    if (node->ea_bytes() > EA_BYTES_MAX) {
        node->ea = std::move(before);
        return STATUS_EA_TOO_LARGE;
    }
    node->times.changed = now();
    return STATUS_SUCCESS;
}

} // namespace fltsim::fs
