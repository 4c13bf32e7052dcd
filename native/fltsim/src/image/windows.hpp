// SPDX-License-Identifier: MIT
//
// This module provides: the layouts of 64-bit Windows that the image loader and the exception dispatcher work with: image headers,
// unwind information, contexts and exception records. Published formats; the names are the vendor's, without their prefixes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fltsim::image {

// ---- the image file ----------------------------------------------------------------------------------------------------------
struct DosHeader {
    uint16_t magic; // MZ
    uint16_t unused[29];
    uint32_t pe_offset;
};

struct DataDirectory {
    uint32_t rva;
    uint32_t bytes;
};

enum Directory { DIRECTORY_IMPORT = 1, DIRECTORY_EXCEPTION = 3, DIRECTORY_SECURITY = 4, DIRECTORY_RELOCATION = 5 };
enum { DIRECTORY_LOAD_CONFIG = 10, DIRECTORY_DELAY_IMPORT = 13, DIRECTORY_COUNT = 16 };

struct PeHeader {
    uint32_t signature; // PE\0\0
    uint16_t machine;
    uint16_t section_count;
    uint32_t time_stamp;
    uint32_t symbol_table;
    uint32_t symbol_count;
    uint16_t optional_header_bytes;
    uint16_t characteristics;
    // the optional header
    uint16_t magic;
    uint8_t linker_major;
    uint8_t linker_minor;
    uint32_t code_bytes;
    uint32_t data_bytes;
    uint32_t bss_bytes;
    uint32_t entry_point;
    uint32_t code_base;
    uint64_t image_base;
    uint32_t section_alignment;
    uint32_t file_alignment;
    uint16_t versions[6];
    uint32_t win32_version;
    uint32_t image_bytes;
    uint32_t header_bytes;
    uint32_t checksum;
    uint16_t subsystem;
    uint16_t dll_characteristics;
    uint64_t stack_and_heap[4];
    uint32_t loader_flags;
    uint32_t directory_count;
    DataDirectory directories[DIRECTORY_COUNT];
};
static_assert(offsetof(PeHeader, magic) == 24 && sizeof(PeHeader) == 24 + 240);

struct SectionHeader {
    char name[8];
    uint32_t virtual_bytes;
    uint32_t rva;
    uint32_t file_bytes;
    uint32_t file_offset;
    uint32_t unused[3];
    uint32_t characteristics;
};
static_assert(sizeof(SectionHeader) == 40);

constexpr uint16_t DOS_MAGIC = 0x5A4D;
constexpr uint32_t PE_SIGNATURE = 0x4550;
constexpr uint16_t MACHINE_X64 = 0x8664;
constexpr uint16_t PE32_PLUS = 0x20B;
constexpr uint16_t SUBSYSTEM_NATIVE = 1;
constexpr uint16_t FILE_EXECUTABLE = 0x2;
constexpr uint16_t FILE_RELOCATIONS_STRIPPED = 0x1;
constexpr uint32_t SECTION_DISCARDABLE = 0x02000000;
constexpr uint32_t SECTION_EXECUTE = 0x20000000;
constexpr uint32_t SECTION_READ = 0x40000000;
constexpr uint32_t SECTION_WRITE = 0x80000000;

struct ImportDescriptor {
    uint32_t lookup_table;
    uint32_t time_stamp;
    uint32_t forwarder_chain;
    uint32_t name;
    uint32_t address_table;
};
constexpr uint64_t IMPORT_BY_ORDINAL = uint64_t{1} << 63;

struct RelocationBlock {
    uint32_t page;
    uint32_t bytes;
};
constexpr unsigned RELOCATION_NONE = 0;
constexpr unsigned RELOCATION_DIR64 = 10;

/// Of the load configuration only what the loader uses.
constexpr size_t LOAD_CONFIG_COOKIE = 88;
constexpr uint64_t DEFAULT_COOKIE = 0x00002B992DDFA232;

// ---- unwind information ------------------------------------------------------------------------------------------------------
struct RuntimeFunction {
    uint32_t begin;
    uint32_t end;
    uint32_t unwind_info;
};

struct UnwindInfo {
    uint8_t version_and_flags;
    uint8_t prolog_bytes;
    uint8_t code_count;
    uint8_t frame_register_and_offset;
    uint16_t codes[1];
};
constexpr unsigned UNWIND_EXCEPTION_HANDLER = 1;
constexpr unsigned UNWIND_TERMINATION_HANDLER = 2;
constexpr unsigned UNWIND_CHAINED = 4;

// ---- contexts and exceptions -------------------------------------------------------------------------------------------------
struct alignas(16) Context {
    uint64_t home[6];
    uint32_t context_flags;
    uint32_t mxcsr;
    uint16_t segments[6];
    uint32_t eflags;
    uint64_t debug[6];
    uint64_t integer[16]; ///< rax rcx rdx rbx rsp rbp rsi rdi r8 to r15: as instructions number them
    uint64_t rip;
    uint8_t legacy[32 + 128];
    uint64_t xmm[16][2];
    uint8_t legacy_rest[96];
    uint8_t vector[26 * 16];
    uint64_t vector_control;
    uint64_t debug_control[5];
};
static_assert(offsetof(Context, integer) == 0x78 && offsetof(Context, rip) == 0xF8 && offsetof(Context, xmm) == 0x1A0);
static_assert(offsetof(Context, vector) == 0x300 && sizeof(Context) == 0x4D0);
constexpr uint32_t CONTEXT_ALL = 0x10001F;

enum Register { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

struct ExceptionRecord {
    uint32_t code;
    uint32_t flags;
    ExceptionRecord *nested;
    uint64_t address;
    uint32_t parameter_count;
    uint64_t parameters[15];
};
static_assert(sizeof(ExceptionRecord) == 0x98);
constexpr uint32_t EXCEPTION_NONCONTINUABLE = 0x1;
constexpr uint32_t EXCEPTION_UNWINDING = 0x2;
constexpr uint32_t EXCEPTION_TARGET_UNWIND = 0x20;

struct ExceptionPointers {
    ExceptionRecord *record;
    Context *context;
};

/// What a language handler answers.
enum class Disposition : int32_t { ContinueExecution = 0, ContinueSearch = 1, NestedException = 2, CollidedUnwind = 3 };

struct DispatcherContext;
using LanguageHandler = Disposition(__attribute__((ms_abi)) *)(ExceptionRecord *, uint64_t establisher, Context *,
                                                               DispatcherContext *);

struct DispatcherContext {
    uint64_t control_pc;
    uint64_t image_base;
    const RuntimeFunction *function;
    uint64_t establisher;
    uint64_t target_ip;
    Context *context;
    LanguageHandler handler;
    const void *handler_data;
    void *history;
    uint32_t scope_index;
    uint32_t fill;
};
static_assert(sizeof(DispatcherContext) == 0x50);

struct ScopeRecord {
    uint32_t begin;
    uint32_t end;
    uint32_t handler; ///< filter, or 1: always; with no target: the termination handler
    uint32_t target;
};
struct ScopeTable {
    uint32_t count;
    ScopeRecord scopes[1];
};

} // namespace fltsim::image
