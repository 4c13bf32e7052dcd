// SPDX-License-Identifier: MIT
//
// This module provides: the end of model worlds when the process exits without cleaning its environment up, as process.exit() does.
// Without it the model's static data would be destroyed under its running threads.
// Invariant: the only process-wide state of the addon; it is never destroyed.
#pragma once

#include <memory>

namespace minipend {

class Environment;

/// The environment has a world: end it before static data goes. To be called after the world was made, because exit handlers and
/// destructors run in the reverse order of their making. Any thread.
void end_at_exit(const std::shared_ptr<Environment> &environment);
/// The environment is being cleaned up.
void forget_at_exit(const Environment &environment);

} // namespace minipend
