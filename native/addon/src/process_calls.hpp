// SPDX-License-Identifier: MIT
//
// This module provides: the methods of NativeBackend that make processes of the model.
#pragma once

#include <memory>

#include "objects.hpp"

namespace minipend {

/// startProcess(image, commandLine): [status, id].
Napi::Value start_process(Arguments &arguments, const std::shared_ptr<Backend> &backend);
/// endProcess(id): whether it has ended.
Napi::Value end_process(Arguments &arguments, const std::shared_ptr<Backend> &backend);
/// setProcessImage(image), of the process that this is in the model: whether there is such a volume.
Napi::Value set_process_image(Arguments &arguments, const std::shared_ptr<Backend> &backend);

} // namespace minipend
