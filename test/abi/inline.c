// SPDX-License-Identifier: MIT
//
// This module provides: static assertions about the helpers that native/ddk writes itself (macros, not measured facts).

#include <fltkernel.h>
#if !defined(_WIN32)
#include <fltuser.h>
_Static_assert(HRESULT_FROM_WIN32(0) == 0 && HRESULT_FROM_WIN32(5) == (HRESULT)0x80070005, "HRESULT_FROM_WIN32");
_Static_assert(HRESULT_FROM_NT(STATUS_FLT_INSTANCE_NAME_COLLISION) == (HRESULT)0xD01C0012, "HRESULT_FROM_NT");
#endif

_Static_assert(sizeof(WCHAR) == 2 && sizeof(L"ab") == 6, "16-bit wide characters");
_Static_assert(sizeof(LONG) == 4 && sizeof(ULONG) == 4 && sizeof(PVOID) == 8, "LLP64 integers");
_Static_assert(NT_SUCCESS(STATUS_SUCCESS) && NT_SUCCESS(STATUS_PENDING) && !NT_SUCCESS(STATUS_ACCESS_DENIED),
               "NT_SUCCESS");
_Static_assert(NT_SUCCESS((NTSTATUS)0x40000000) && !NT_SUCCESS(STATUS_BUFFER_OVERFLOW), "NT_SUCCESS of a warning");
_Static_assert(NT_INFORMATION((NTSTATUS)0x40000000) && NT_WARNING(STATUS_NO_MORE_FILES), "severities");
_Static_assert(NT_ERROR(STATUS_ACCESS_DENIED) && !NT_ERROR(STATUS_NO_MORE_FILES), "NT_ERROR");
_Static_assert(ALIGN_UP_BY(1, 8) == 8 && ALIGN_UP_BY(8, 8) == 8 && ALIGN_DOWN_BY(15, 8) == 8, "alignment");
_Static_assert(BooleanFlagOn(6, 4) == 1 && FlagOn(6, 1) == 0, "flags");
_Static_assert(CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 6, METHOD_BUFFERED, FILE_ANY_ACCESS) == FSCTL_LOCK_VOLUME, "CTL_CODE");
_Static_assert(FIELD_OFFSET(LIST_ENTRY, Blink) == 8 && RTL_NUMBER_OF("abc") == 4, "offsets and counts");
_Static_assert(FltGetFileNameFormat(FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT) == FLT_FILE_NAME_NORMALIZED,
               "FltGetFileNameFormat");

static const UNICODE_STRING Constant = RTL_CONSTANT_STRING(L"minipend");
_Static_assert(sizeof(L"minipend") - sizeof(WCHAR) == 16, "RTL_CONSTANT_STRING leaves the terminator out");

/// The guarded form that the driver's copy helpers use.
NTSTATUS AbiGuarded(volatile const UCHAR *From, UCHAR *To);
DECLSPEC_NOINLINE NTSTATUS AbiGuarded(volatile const UCHAR *From, UCHAR *To) {
    __try {
        *To = *From;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return (NTSTATUS)GetExceptionCode();
    }
    return Constant.Length == 16 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

/// The descriptors of a traced event.
ULONG AbiTrace(REGHANDLE Handle, const ULONG *Value);
ULONG AbiTrace(REGHANDLE Handle, const ULONG *Value) {
    EVENT_DESCRIPTOR Event;
    EVENT_DATA_DESCRIPTOR Data;

    EventDescCreate(&Event, 1, 2, 3, 4, 5, 6, 7);
    EventDataDescCreate(&Data, Value, sizeof(*Value));
    return EtwEventEnabled(Handle, &Event) ? Data.Size : Data.Reserved;
}
