// SPDX-License-Identifier: MIT
//
// This module provides: what every file of the addon includes of others, compiled once (native/CMakeLists.txt).
#pragma once

#include <napi.h>
