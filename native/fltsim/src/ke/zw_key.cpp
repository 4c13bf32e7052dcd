// SPDX-License-Identifier: MIT
//
// This module provides: the registry as drivers read it: ZwOpenKey and ZwQueryValueKey on the world's registry. Keys are not protected, and nothing
// is written from here.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "core/faults.hpp"
#include "core/handles.hpp"
#include "core/registry.hpp"

using namespace fltsim;

namespace {

class KeyObject : public Object {
  public:
    explicit KeyObject(std::u16string path) : path(std::move(path)) {}
    const char *type_name() const override { return "key"; }
    std::string describe() const override {
        std::string text = "key ";
        for (const char16_t unit : path) {
            text += unit < 0x80 ? static_cast<char>(unit) : '?';
        }
        return text;
    }

    const std::u16string path;
};

std::u16string text_of(const UNICODE_STRING &name) {
    return {reinterpret_cast<const char16_t *>(name.Buffer), name.Length / sizeof(WCHAR)};
}

std::shared_ptr<KeyObject> key_of(HANDLE handle, NTSTATUS *status) {
    const auto object = world().handles->find(handle);
    auto key = std::dynamic_pointer_cast<KeyObject>(object);
    *status = key ? STATUS_SUCCESS : object ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
    return key;
}

struct Data {
    ULONG type = 0;
    const void *bytes = nullptr;
    ULONG length = 0;
};

Data data_of(const Registry::Value &value) {
    if (const auto *number = std::get_if<uint32_t>(&value)) {
        return {REG_DWORD, number, sizeof *number};
    }
    const auto &text = std::get<std::u16string>(value);
    return {REG_SZ, text.c_str(), static_cast<ULONG>((text.size() + 1) * sizeof(WCHAR))}; // with its terminator
}

/// Writes what fits of an answer: the part that is always the same must, the rest may be cut off.
class Answer {
  public:
    Answer(void *buffer, ULONG length) : buffer_(static_cast<unsigned char *>(buffer)), length_(length) {}
    void put(ULONG offset, const void *bytes, ULONG count) const {
        if (count != 0 && offset < length_) {
            std::memcpy(buffer_ + offset, bytes, std::min(count, length_ - offset));
        }
    }
    void put(ULONG offset, ULONG value) const { put(offset, &value, sizeof value); }

  private:
    unsigned char *buffer_;
    ULONG length_;
};

} // namespace

/// Opens a key by its full name, or by one below RootDirectory. PASSIVE_LEVEL. STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_SYNTAX_BAD,
/// STATUS_INVALID_HANDLE and STATUS_OBJECT_TYPE_MISMATCH of RootDirectory.
FLTSIM_KERNEL NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess,
                                       POBJECT_ATTRIBUTES ObjectAttributes) {
    KernelCall call("ZwOpenKey", PASSIVE_LEVEL);
    if (const auto failure = failing("ZwOpenKey")) {
        return *failure;
    }
    if (ObjectAttributes == nullptr || ObjectAttributes->Length != sizeof(OBJECT_ATTRIBUTES) ||
        ObjectAttributes->ObjectName == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    std::u16string path = text_of(*ObjectAttributes->ObjectName);
    if (ObjectAttributes->RootDirectory != nullptr) {
        NTSTATUS status;
        const auto root = key_of(ObjectAttributes->RootDirectory, &status);
        if (!root) {
            return status;
        }
        if (path.starts_with(u'\\')) {
            return STATUS_OBJECT_PATH_SYNTAX_BAD;
        }
        path = path.empty() ? root->path : root->path + u"\\" + path;
    } else if (!path.starts_with(u'\\')) {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    if (!world().registry->key_exists(path)) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    *KeyHandle = world().handles->insert(std::make_shared<KeyObject>(std::move(path)),
                                         (ObjectAttributes->Attributes & OBJ_KERNEL_HANDLE) != 0);
    return STATUS_SUCCESS;
}

/// A value of a key that is open. PASSIVE_LEVEL. STATUS_OBJECT_NAME_NOT_FOUND; STATUS_BUFFER_TOO_SMALL when not even the part before the name and
/// data fits, STATUS_BUFFER_OVERFLOW when those do not: ResultLength is the size that is needed.
FLTSIM_KERNEL NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                                             KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                                             PVOID KeyValueInformation, ULONG Length, PULONG ResultLength) {
    constexpr const char *kApi = "ZwQueryValueKey";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    NTSTATUS status;
    const auto key = key_of(KeyHandle, &status);
    if (!key) {
        return status;
    }
    const bool full = KeyValueInformationClass == KeyValueFullInformation;
    if (!full && KeyValueInformationClass != KeyValuePartialInformation) {
        if (KeyValueInformationClass < KeyValueBasicInformation || KeyValueInformationClass >= MaxKeyValueInfoClass) {
            return STATUS_INVALID_PARAMETER;
        }
        unmodelled(kApi, "information class " + std::to_string(KeyValueInformationClass));
    }
    const std::u16string name = ValueName == nullptr ? std::u16string() : text_of(*ValueName);
    const Registry::Value *value = world().registry->find(key->path, name);
    if (value == nullptr) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    const Data data = data_of(*value);
    const ULONG name_bytes = static_cast<ULONG>(name.size() * sizeof(WCHAR));
    const ULONG fixed =
        full ? offsetof(KEY_VALUE_FULL_INFORMATION, Name) : offsetof(KEY_VALUE_PARTIAL_INFORMATION, Data);
    const ULONG data_offset = full ? (fixed + name_bytes + 3) & ~3u : fixed;
    *ResultLength = data_offset + data.length;
    if (Length < fixed || KeyValueInformation == nullptr) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    const Answer answer(KeyValueInformation, Length);
    if (full) {
        answer.put(offsetof(KEY_VALUE_FULL_INFORMATION, TitleIndex), 0);
        answer.put(offsetof(KEY_VALUE_FULL_INFORMATION, Type), data.type);
        answer.put(offsetof(KEY_VALUE_FULL_INFORMATION, DataOffset), data_offset);
        answer.put(offsetof(KEY_VALUE_FULL_INFORMATION, DataLength), data.length);
        answer.put(offsetof(KEY_VALUE_FULL_INFORMATION, NameLength), name_bytes);
        answer.put(fixed, name.data(), name_bytes);
    } else {
        answer.put(offsetof(KEY_VALUE_PARTIAL_INFORMATION, TitleIndex), 0);
        answer.put(offsetof(KEY_VALUE_PARTIAL_INFORMATION, Type), data.type);
        answer.put(offsetof(KEY_VALUE_PARTIAL_INFORMATION, DataLength), data.length);
    }
    answer.put(data_offset, data.bytes, data.length);
    return Length < *ResultLength ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
