// SPDX-License-Identifier: MIT
//
// This module provides: take_object_name (io_manager.hpp).

#include "core/handles.hpp"
#include "io/io_manager.hpp"
#include "ke/strings.hpp"

namespace fltsim::io {

NTSTATUS take_object_name(const char *api, const OBJECT_ATTRIBUTES *attributes, IoManager::CreateFile *request) {
    if (!names_object(attributes)) {
        return STATUS_INVALID_PARAMETER;
    }
    request->name = ke::string_view_of(api, attributes->ObjectName);
    if (attributes->RootDirectory == nullptr) {
        return STATUS_SUCCESS;
    }
    const auto root = world().handles->find(attributes->RootDirectory);
    if (root == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    request->root = std::dynamic_pointer_cast<FileObject>(root);
    return request->root != nullptr ? STATUS_SUCCESS : STATUS_OBJECT_TYPE_MISMATCH;
}

} // namespace fltsim::io
