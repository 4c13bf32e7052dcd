// SPDX-License-Identifier: MIT
//
// This module provides: the kernel's calls on counted strings beside those of wdm_functions.h: prefixes, appending, conversions, hashes, wildcards.

#pragma once

#include "wdm_types.h"

EXTERN_C_START

typedef const char *PCSZ;
typedef PSTRING PCANSI_STRING;

#define HASH_STRING_ALGORITHM_DEFAULT 0x0
#define HASH_STRING_ALGORITHM_X65599 0x1

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
BOOLEAN NTAPI RtlPrefixUnicodeString(_In_ PCUNICODE_STRING String1, _In_ PCUNICODE_STRING String2,
                                     _In_ BOOLEAN CaseInSensitive);

/// Any IRQL.
NTSTATUS NTAPI RtlAppendUnicodeStringToString(_Inout_ PUNICODE_STRING Destination, _In_ PCUNICODE_STRING Source);

/// Any IRQL.
NTSTATUS NTAPI RtlAppendUnicodeToString(_Inout_ PUNICODE_STRING Destination, _In_opt_ PCWSTR Source);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, _In_ PCUNICODE_STRING SourceString,
                                      _In_ BOOLEAN AllocateDestinationString);

/// IRQL <= PASSIVE_LEVEL. The result must be looked at.
NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, _In_ PCUNICODE_STRING SourceString,
                                        _In_ BOOLEAN AllocateDestinationString);

/// IRQL <= PASSIVE_LEVEL.
WCHAR NTAPI RtlDowncaseUnicodeChar(_In_ WCHAR SourceCharacter);

/// IRQL <= PASSIVE_LEVEL.
void NTAPI RtlFreeUnicodeString(_Inout_ PUNICODE_STRING UnicodeString);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlHashUnicodeString(_In_ PCUNICODE_STRING String, _In_ BOOLEAN CaseInSensitive,
                                    _In_ ULONG HashAlgorithm, _Out_ PULONG HashValue);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlUnicodeStringToInteger(_In_ PCUNICODE_STRING String, _In_opt_ ULONG Base, _Out_ PULONG Value);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlIntegerToUnicodeString(_In_ ULONG Value, _In_opt_ ULONG Base, _Inout_ PUNICODE_STRING String);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI RtlInitAnsiString(_Out_ PANSI_STRING DestinationString, _In_opt_ PCSZ SourceString);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, _In_ PCANSI_STRING SourceString,
                                            _In_ BOOLEAN AllocateDestinationString);

/// IRQL <= PASSIVE_LEVEL.
NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, _In_ PCUNICODE_STRING SourceString,
                                            _In_ BOOLEAN AllocateDestinationString);

/// IRQL <= PASSIVE_LEVEL.
void NTAPI RtlFreeAnsiString(_Inout_ PANSI_STRING AnsiString);

/// Any IRQL. How many bytes are the same, from the first on.
SIZE_T NTAPI RtlCompareMemory(_In_ const void *Source1, _In_ const void *Source2, _In_ SIZE_T Length);

/// IRQL <= PASSIVE_LEVEL. Upper case in Expression, with IgnoreCase.
BOOLEAN NTAPI FsRtlIsNameInExpression(_In_ PUNICODE_STRING Expression, _In_ PUNICODE_STRING Name,
                                      _In_ BOOLEAN IgnoreCase, _In_opt_ PWCH UpcaseTable);

/// IRQL <= APC_LEVEL.
BOOLEAN NTAPI FsRtlDoesNameContainWildCards(_In_ PUNICODE_STRING Name);

/// IRQL <= PASSIVE_LEVEL.
void NTAPI FsRtlDissectName(_In_ UNICODE_STRING Path, _Out_ PUNICODE_STRING FirstName,
                            _Out_ PUNICODE_STRING RemainingName);

EXTERN_C_END
