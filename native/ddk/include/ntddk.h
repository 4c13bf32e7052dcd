// SPDX-License-Identifier: MIT
//
// This module provides: the kernel subset under the name that some sources include; the same as wdm.h.

#pragma once

#include "wdm.h"
