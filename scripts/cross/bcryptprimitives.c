// SPDX-License-Identifier: MIT
//
// This module provides: bcryptprimitives.dll for Wine 8, which has none: the random bytes that native packages of vitest's ask for. Only for tests.

#include <windows.h>

BOOLEAN NTAPI SystemFunction036(void *buffer, ULONG bytes); // RtlGenRandom, of advapi32

__declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *buffer, SIZE_T bytes) {
    return SystemFunction036(buffer, (ULONG)bytes);
}
