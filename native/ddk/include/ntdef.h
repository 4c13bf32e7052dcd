// SPDX-License-Identifier: MIT
//
// This module provides: the base types of the kernel interface: integers, strings, lists, handles, object attributes.
//
// Invariants: LONG and ULONG have 32 bits and WCHAR 16 on every target, so that layouts are those of 64-bit Windows also on LP64
// hosts. C code is compiled with -fshort-wchar there; C++ code on hosts has char16_t instead of wchar_t.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include "ntsal.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "native/ddk supports x86-64 and arm64 only"
#endif

/// The kernel's calling convention. Callbacks carry it on their definitions as well.
#if defined(__x86_64__) && !defined(_WIN32)
#define NTAPI __attribute__((ms_abi))
#else
#define NTAPI
#endif
#define FLTAPI NTAPI
#define FORCEINLINE static inline __attribute__((always_inline, unused))
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_ALIGN(Bytes) __attribute__((aligned(Bytes)))
#define POINTER_ALIGNMENT DECLSPEC_ALIGN(8)

#if defined(__cplusplus)
#define EXTERN_C extern "C"
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END }
#else
#define EXTERN_C extern
#define EXTERN_C_START
#define EXTERN_C_END
#endif

/// Members that drivers must not write are const in C. C++ builds the structures, so there they are not.
#if defined(__cplusplus)
#define FLT_CONST_MEMBER
#else
#define FLT_CONST_MEMBER const
#endif

#define VOID void
#define CONST const
#define NOTHING
#define ANYSIZE_ARRAY 1
#define UNICODE_NULL ((WCHAR)0)
#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif

EXTERN_C_START

// ---- integers ----------------------------------------------------------------------------------------------------------
typedef char CHAR, CCHAR, *PCHAR, *PSTR, *PCH;
typedef const char *PCSTR, *PCCH;
typedef unsigned char UCHAR, BOOLEAN, KIRQL, *PUCHAR, *PBOOLEAN, *PKIRQL;
typedef short SHORT, CSHORT, *PSHORT;
typedef unsigned short USHORT, *PUSHORT;
typedef int INT, BOOL, INT32, LONG32, *PINT;
typedef unsigned int UINT, UINT32, ULONG32, *PUINT;
typedef long long LONGLONG, LONG64, INT64, LONG_PTR, SSIZE_T, *PLONGLONG, *PLONG64, *PLONG_PTR;
typedef unsigned long long ULONGLONG, ULONG64, UINT64, ULONG_PTR, SIZE_T, *PULONGLONG, *PULONG64, *PULONG_PTR, *PSIZE_T;
typedef unsigned char UINT8;
typedef unsigned short UINT16;
#if defined(_WIN32) && !defined(FLTSIM_HOST)
typedef long LONG, *PLONG;
typedef unsigned long ULONG, DWORD, LOGICAL, *PULONG, *PLOGICAL;
#else
typedef int LONG, *PLONG;
typedef unsigned int ULONG, DWORD, LOGICAL, *PULONG, *PLOGICAL;
#endif
typedef LONG NTSTATUS, HRESULT, KPRIORITY, *PNTSTATUS;

#if defined(__cplusplus) && (!defined(_WIN32) || defined(FLTSIM_HOST))
typedef char16_t WCHAR;
#elif defined(__cplusplus) || (defined(__WCHAR_WIDTH__) && __WCHAR_WIDTH__ == 16) || __SIZEOF_WCHAR_T__ == 2
typedef wchar_t WCHAR;
#else
typedef unsigned short WCHAR;
#endif
#define MAXUCHAR 0xff
#define MAXUSHORT 0xffff
#define MAXSHORT 0x7fff
#define MAXULONG 0xffffffffu
#define MAXLONG 0x7fffffff
#define MAXLONGLONG 0x7fffffffffffffffLL
#define MAXULONGLONG 0xffffffffffffffffULL
#define MAXULONG_PTR MAXULONGLONG

typedef WCHAR *PWCHAR, *PWCH, *PWSTR;
typedef const WCHAR *PCWSTR, *PCWCH, *LPCWSTR;

typedef void *PVOID;
typedef void *HANDLE;
typedef HANDLE *PHANDLE;

FORCEINLINE ULONG HandleToULong(const void *h) {
    return (ULONG)(ULONG_PTR)h;
}
FORCEINLINE LONG HandleToLong(const void *h) {
    return (LONG)(LONG_PTR)h;
}
FORCEINLINE void *ULongToHandle(const ULONG h) {
    return (void *)(ULONG_PTR)h;
}
FORCEINLINE void *LongToHandle(const LONG h) {
    return (void *)(LONG_PTR)h;
}

// ---- structures --------------------------------------------------------------------------------------------------------
typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID;
typedef GUID *LPGUID;
typedef const GUID *LPCGUID;

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

/// A counted UTF-16 string. Both lengths are in bytes; a terminator is neither needed nor counted.
typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _STRING {
    USHORT Length;
    USHORT MaximumLength;
    PCHAR Buffer;
} STRING, ANSI_STRING, *PSTRING, *PANSI_STRING;

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

typedef struct _IO_STATUS_BLOCK {
    union {
        NTSTATUS Status;
        PVOID Pointer;
    };
    ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

EXTERN_C_END

#define OBJ_INHERIT ((LONG)0x2)
#define OBJ_PERMANENT ((LONG)0x10)
#define OBJ_EXCLUSIVE ((LONG)0x20)
#define OBJ_CASE_INSENSITIVE ((LONG)0x40)
#define OBJ_OPENIF ((LONG)0x80)
#define OBJ_KERNEL_HANDLE ((LONG)0x200)
#define OBJ_FORCE_ACCESS_CHECK ((LONG)0x400)

// ---- helpers -----------------------------------------------------------------------------------------------------------
#define NT_SUCCESS(Status) (((NTSTATUS)(Status)) >= 0)
#define NT_INFORMATION(Status) ((((ULONG)(Status)) >> 30) == 1)
#define NT_WARNING(Status) ((((ULONG)(Status)) >> 30) == 2)
#define NT_ERROR(Status) ((((ULONG)(Status)) >> 30) == 3)

#define FIELD_OFFSET(Type, Field) ((LONG)offsetof(Type, Field))
#define UFIELD_OFFSET(Type, Field) ((ULONG)offsetof(Type, Field))
#define RTL_FIELD_SIZE(Type, Field) (sizeof(((Type *)0)->Field))
#define RTL_SIZEOF_THROUGH_FIELD(Type, Field) (offsetof(Type, Field) + RTL_FIELD_SIZE(Type, Field))
#define CONTAINING_RECORD(Address, Type, Field) ((Type *)((PCHAR)(Address) - offsetof(Type, Field)))
#define ARRAYSIZE(Array) (sizeof(Array) / sizeof((Array)[0]))
#define RTL_NUMBER_OF(Array) ARRAYSIZE(Array)
#define UNREFERENCED_PARAMETER(Parameter) ((void)(Parameter))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(Variable) ((void)(Variable))
#if defined(__cplusplus)
#define C_ASSERT(Condition) static_assert(Condition, #Condition)
#else
#define C_ASSERT(Condition) _Static_assert(Condition, #Condition)
#ifndef min
#define min(A, B) (((A) < (B)) ? (A) : (B))
#endif
#ifndef max
#define max(A, B) (((A) > (B)) ? (A) : (B))
#endif
#endif

#define RTL_CONSTANT_STRING(Literal) {sizeof(Literal) - sizeof((Literal)[0]), sizeof(Literal), (PWCH)(Literal)}
#define DECLARE_CONST_UNICODE_STRING(Variable, Literal)                                                                \
    const WCHAR Variable##_buffer[] = Literal;                                                                         \
    const UNICODE_STRING Variable = {sizeof(Literal) - sizeof(WCHAR), sizeof(Literal), (PWCH)Variable##_buffer}
#define DECLARE_UNICODE_STRING_SIZE(Variable, Characters)                                                              \
    WCHAR Variable##_buffer[Characters];                                                                               \
    UNICODE_STRING Variable = {0, (Characters) * sizeof(WCHAR), Variable##_buffer}

#define InitializeObjectAttributes(Attributes_, Name, Flags, Root, Descriptor)                                         \
    do {                                                                                                               \
        (Attributes_)->Length = sizeof(OBJECT_ATTRIBUTES);                                                             \
        (Attributes_)->RootDirectory = (Root);                                                                         \
        (Attributes_)->Attributes = (Flags);                                                                           \
        (Attributes_)->ObjectName = (Name);                                                                            \
        (Attributes_)->SecurityDescriptor = (Descriptor);                                                              \
        (Attributes_)->SecurityQualityOfService = NULL;                                                                \
    } while (0)
