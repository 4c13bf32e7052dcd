// SPDX-License-Identifier: MIT
//
// This module provides: the kernel subset: types, constants, calls, inline helpers, and structured exception handling.

#pragma once

#include "ntdef.h"
#include "ntstatus.h"
#include "wdm_functions.h"
#include "wdm_tables.h"
#include "wdm_strings.h"
#include "wdm_system.h"
#include "wdm_atomic.h"
#include "wdm_inline.h"
#include "wdm_locks.h"
#include "wdm_mdl.h"
#include "wdm_timer.h"
#include "wdm_trace.h"
#include "ntddk_process.h"
#include "ntifs_native.h"
#include "seh.h"
