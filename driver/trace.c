// SPDX-License-Identifier: MIT
//
// This module provides: the driver's ETW provider: the life of each operation that a rule selected, for whoever cannot use the port.
//
//   provider   {6E1C9C4B-2F8A-4C55-9D0E-7B1A35F0C2D4}, without a manifest
//   event      its id is MINIPEND_EVENT_KIND + 1 (1 taken, 2 parked, 3 released, 4 completed, 5 refused), version 1, level 4 (information)
//   keyword    0x1: taken, parked, released, completed. 0x2: refused
//   data       MINIPEND_EVENT from Time100ns up to and with NameChars, then NameChars characters of the name
//
// Nobody listening costs one read: ETW calls back when that changes.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpTraceStart)
#pragma alloc_text(PAGE, MpTraceStop)
#endif

#define MP_TRACE_VERSION 1
#define MP_TRACE_LEVEL 4
#define MP_TRACE_KEYWORD_LIFE 0x1ull
#define MP_TRACE_KEYWORD_REFUSED 0x2ull
#define MP_TRACE_DISABLE 0ul // EVENT_CONTROL_CODE_DISABLE_PROVIDER: nobody listens any more
#define MP_TRACE_ENABLE                                                                                                \
    1ul // EVENT_CONTROL_CODE_ENABLE_PROVIDER: somebody does, or listens for something else than before

typedef struct _MP_TRACE {
    REGHANDLE Provider; ///< 0: not registered.
    volatile LONG Enabled; ///< Somebody listens for something.
} MP_TRACE;

static MP_TRACE MpTrace;

static const GUID MpTraceProvider = {0x6E1C9C4B, 0x2F8A, 0x4C55, {0x9D, 0x0E, 0x7B, 0x1A, 0x35, 0xF0, 0xC2, 0xD4}};

static ETWENABLECALLBACK MpTraceEnable;

/// Capture-state requests (code 2) and others change nothing.
static VOID NTAPI MpTraceEnable(_In_ LPCGUID SourceId, _In_ ULONG ControlCode, _In_ UCHAR Level,
                                _In_ ULONGLONG MatchAnyKeyword, _In_ ULONGLONG MatchAllKeyword,
                                _In_opt_ PEVENT_FILTER_DESCRIPTOR FilterData, _Inout_opt_ PVOID CallbackContext) {
    UNREFERENCED_PARAMETER(SourceId);
    UNREFERENCED_PARAMETER(Level);
    UNREFERENCED_PARAMETER(MatchAnyKeyword);
    UNREFERENCED_PARAMETER(MatchAllKeyword);
    UNREFERENCED_PARAMETER(FilterData);
    UNREFERENCED_PARAMETER(CallbackContext);

    if (ControlCode == MP_TRACE_ENABLE) {
        InterlockedExchange(&MpTrace.Enabled, TRUE);
    } else if (ControlCode == MP_TRACE_DISABLE) {
        InterlockedExchange(&MpTrace.Enabled, FALSE);
    }
}

/// Registers the provider. The callback may come before this returns.
_Use_decl_annotations_ NTSTATUS MpTraceStart(VOID) {
    PAGED_CODE();

    InterlockedExchange(&MpTrace.Enabled, FALSE);
    return EtwRegister(&MpTraceProvider, MpTraceEnable, NULL, &MpTrace.Provider);
}

/// After the last event.
_Use_decl_annotations_ VOID MpTraceStop(VOID) {
    PAGED_CODE();

    if (MpTrace.Provider != 0) {
        NT_VERIFY(NT_SUCCESS(EtwUnregister(MpTrace.Provider)));
        MpTrace.Provider = 0;
    }
}

_Use_decl_annotations_ BOOLEAN MpTraceEnabled(VOID) {
    return (BOOLEAN)(ReadNoFence(&MpTrace.Enabled) != 0);
}

/// A session that has no room left loses the event; ETW counts that and tells the session's reader, so there is nothing to do about it here.
_Use_decl_annotations_ VOID MpTraceEvent(const MINIPEND_EVENT *Event) {
    const ULONG fixedAt = FIELD_OFFSET(MINIPEND_EVENT, Time100ns);
    EVENT_DESCRIPTOR descriptor;
    EVENT_DATA_DESCRIPTOR data[2];
    ULONG count = 1;

    if (!MpTraceEnabled()) {
        return;
    }
    EventDescCreate(&descriptor, (USHORT)(Event->Kind + 1), MP_TRACE_VERSION, 0, MP_TRACE_LEVEL, 0, 0,
                    Event->Kind == MINIPEND_EVENT_KIND_REFUSED ? MP_TRACE_KEYWORD_REFUSED : MP_TRACE_KEYWORD_LIFE);
    if (!EtwEventEnabled(MpTrace.Provider, &descriptor)) {
        return;
    }
    EventDataDescCreate(&data[0], (const UCHAR *)Event + fixedAt, FIELD_OFFSET(MINIPEND_EVENT, Name) - fixedAt);
    if (Event->NameChars != 0) {
        EventDataDescCreate(&data[count++], Event->Name, Event->NameChars * sizeof(Event->Name[0]));
    }
    (VOID) EtwWrite(MpTrace.Provider, &descriptor, NULL, count, data);
}
