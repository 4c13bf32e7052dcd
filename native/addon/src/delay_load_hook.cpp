// SPDX-License-Identifier: MIT
//
// This module provides: the hook that finds Node's functions in the program that runs, whatever its file is called. Only for mingw-w64: with the vendor's
// compiler cmake-js and node-gyp bring theirs.

#include <windows.h>

#include <delayimp.h>

#include <cstring>

namespace {

FARPROC WINAPI find_node(unsigned event, PDelayLoadInfo information) {
    if (event != dliNotePreLoadLibrary || _stricmp(information->szDll, "node.exe") != 0) {
        return nullptr;
    }
    return reinterpret_cast<FARPROC>(GetModuleHandleW(nullptr));
}

} // namespace

extern "C" PfnDliHook __pfnDliNotifyHook2;
PfnDliHook __pfnDliNotifyHook2 = find_node;
