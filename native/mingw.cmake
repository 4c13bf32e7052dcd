# SPDX-License-Identifier: MIT
# CMake toolchain: Windows x64 programs on Linux, with clang and lld and the headers and C++ library of mingw-w64. What comes out needs no library
# that Windows has not. (gcc will not do for the driver's image: it cannot compile __try.) `npm run build:windows` uses it.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
foreach(language C CXX ASM)
  set(CMAKE_${language}_COMPILER_TARGET x86_64-w64-mingw32)
endforeach()
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_RC_COMPILER llvm-windres-19)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# Windows 10: what its headers hide from older ones, and the C library of that time.
set(windows_flags "-D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000004 -D__USE_MINGW_ANSI_STDIO=1")
set(CMAKE_C_FLAGS_INIT "${windows_flags}")
set(CMAKE_CXX_FLAGS_INIT "${windows_flags}")
foreach(kind SHARED MODULE EXE)
  # No time of the link, no symbols; the C++ library and its threads inside.
  set(CMAKE_${kind}_LINKER_FLAGS_INIT "-fuse-ld=lld -static -pthread -Wl,--no-insert-timestamp -Wl,--strip-all")
endforeach()
