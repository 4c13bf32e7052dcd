// SPDX-License-Identifier: MIT
//
// This module provides: which driver image the tests load.
#pragma once

namespace check {

/// The image that the environment variable MINIPEND_DRIVER_IMAGE names, or the one that was built with the tests.
const char *driver_image();

} // namespace check
