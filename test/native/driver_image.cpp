// SPDX-License-Identifier: MIT
//
// The only file with the path of the image that was built with the tests: what the others compile to is the same in every clone, and a compiler cache can share it.

#include "driver_image.hpp"

#include <cstdlib>

const char *check::driver_image() {
    const char *const other = std::getenv("MINIPEND_DRIVER_IMAGE");
    return other != nullptr ? other : MINIPEND_BUILT_DRIVER_IMAGE;
}
