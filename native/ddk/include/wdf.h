// SPDX-License-Identifier: MIT
//
// This module provides: the KMDF subset that a minifilter uses, and the miniport unload call (wdfminiport.h).

#pragma once

#include "wdm.h"
#include "wdf_functions.h"
