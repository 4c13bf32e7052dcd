// SPDX-License-Identifier: MIT
//
// This module provides: the kernel subset for file-system drivers: wdm.h and the file information structures.

#pragma once

#include "wdm.h"
#include "ntifs_files.h"
#include "ntifs_create.h"
