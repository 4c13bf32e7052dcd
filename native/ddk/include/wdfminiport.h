// SPDX-License-Identifier: MIT
//
// This module provides: WdfDriverMiniportUnload, under the header name that sources include for it.

#pragma once

#include "wdf.h"
