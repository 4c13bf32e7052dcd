// SPDX-License-Identifier: MIT
//
// This module provides: Registry (registry.hpp).

#include "core/registry.hpp"

namespace fltsim {

namespace {

/// Names in this store are ASCII in practice; other characters compare exactly.
std::u16string fold(std::u16string_view text) {
    std::u16string folded(text);
    for (char16_t &character : folded) {
        if (character >= u'a' && character <= u'z') {
            character = static_cast<char16_t>(character - u'a' + u'A');
        }
    }
    return folded;
}

std::u16string_view trimmed(std::u16string_view path) {
    while (!path.empty() && path.back() == u'\\') {
        path.remove_suffix(1);
    }
    return path;
}

std::u16string joined(std::u16string_view path, std::u16string_view name) {
    std::u16string result(trimmed(path));
    result += u'\\';
    result += name;
    return result;
}

} // namespace

std::u16string Registry::service_key(std::u16string_view service) {
    return joined(u"\\Registry\\Machine\\System\\CurrentControlSet\\Services", service);
}

void Registry::create_key(std::u16string_view path) {
    for (path = trimmed(path); !path.empty(); path = path.substr(0, path.find_last_of(u'\\'))) {
        Key &key = keys_[fold(path)];
        if (key.path.empty()) {
            key.path = path;
        }
        if (path.find_last_of(u'\\') == std::u16string_view::npos) {
            break;
        }
    }
}

bool Registry::key_exists(std::u16string_view path) const {
    return keys_.contains(fold(trimmed(path)));
}

void Registry::set(std::u16string_view path, std::u16string_view name, Value value) {
    create_key(path);
    keys_[fold(trimmed(path))].values.insert_or_assign(fold(name), std::move(value));
}

bool Registry::remove(std::u16string_view path, std::u16string_view name) {
    const auto key = keys_.find(fold(trimmed(path)));
    return key != keys_.end() && key->second.values.erase(fold(name)) != 0;
}

const Registry::Value *Registry::find(std::u16string_view path, std::u16string_view name) const {
    const auto key = keys_.find(fold(trimmed(path)));
    if (key == keys_.end()) {
        return nullptr;
    }
    const auto value = key->second.values.find(fold(name));
    return value == key->second.values.end() ? nullptr : &value->second;
}

std::optional<uint32_t> Registry::find_ulong(std::u16string_view path, std::u16string_view name) const {
    const Value *value = find(path, name);
    const uint32_t *number = value ? std::get_if<uint32_t>(value) : nullptr;
    return number ? std::optional(*number) : std::nullopt;
}

std::optional<std::u16string> Registry::find_string(std::u16string_view path, std::u16string_view name) const {
    const Value *value = find(path, name);
    const std::u16string *text = value ? std::get_if<std::u16string>(value) : nullptr;
    return text ? std::optional(*text) : std::nullopt;
}

std::vector<std::u16string> Registry::subkeys(std::u16string_view path) const {
    const std::u16string prefix = fold(trimmed(path)) + u'\\';
    std::vector<std::u16string> names;
    for (auto it = keys_.lower_bound(prefix); it != keys_.end() && it->first.starts_with(prefix); ++it) {
        if (it->first.find(u'\\', prefix.size()) == std::u16string::npos) {
            names.push_back(it->second.path.substr(prefix.size()));
        }
    }
    return names;
}

void Registry::add_filter_service(std::u16string_view service, std::u16string_view instance,
                                  std::u16string_view altitude, uint32_t flags) {
    const std::u16string key = service_key(service);
    const std::u16string parameters = joined(key, u"Parameters");
    create_key(parameters);
    for (const std::u16string &base : {key, parameters}) {
        const std::u16string instances = joined(base, u"Instances");
        const std::u16string definition = joined(instances, instance);
        set(instances, u"DefaultInstance", std::u16string(instance));
        set(definition, u"Altitude", std::u16string(altitude));
        set(definition, u"Flags", flags);
    }
}

} // namespace fltsim
