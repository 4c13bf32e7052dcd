// SPDX-License-Identifier: MIT
//
// This module provides: driver images that stay mapped when they are unloaded, for who loads one very often: the next load of the same file gets the memory back
// with its data as they were. Off at first; not with instrumentation that keeps counts in the image. Linux hosts only, elsewhere nothing is kept.
#pragma once

#include <string>

namespace fltsim {

/// From now on, in this process.
void keep_images_mapped();

/// For Image. The module of an image that is not in use, or null.
void *take_kept_image(const std::string &path);
/// It has just been loaded.
void keep_image(const std::string &path, void *module);
/// Not in use any more. False: it is none that is kept.
bool give_kept_image(void *module);

} // namespace fltsim
