// SPDX-License-Identifier: MIT
//
// This module provides: what a minifilter includes: the Filter Manager's interface and the kernel subset under it.

#pragma once

#include "ntifs.h"
#include "fltkernel_functions.h"
#include "fltkernel_io.h"
#include "fltkernel_volumes.h"
