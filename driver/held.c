// SPDX-License-Identifier: MIT
//
// This module provides: what clients see of held operations, and the release of those that a command names.
//
// A release command has three steps: claim what it names, copy the reply out, finish. The reply says what was claimed; after it is out the
// command cannot fail; before, everything can be let go on as if nothing had been. A claimed record can still come to its end by itself in between
// (its time is over, its thread or its client goes): then there is nothing left to finish for it. Nobody else's command can claim it meanwhile, so of
// two commands that name one operation exactly one is told that it released it.
//
// What is asked to be released already is neither listed nor claimed: it is on its way. QUEUED records are not listed, but they can be claimed: they go
// when their deferred routine has run.

#include "minipend.h"

static PMP_RECORD MpHeldAt(PLIST_ENTRY Link) {
    return CONTAINING_RECORD(Link, MP_RECORD, HeldLink);
}

static VOID MpHeldDescribe(const MP_RECORD *Record, MINIPEND_HELD_ENTRY *Entry) {
    RtlZeroMemory(Entry, sizeof(*Entry));
    Entry->HeldId = Record->Id;
    Entry->ParkSequence = Record->ParkSequence;
    Entry->InstanceId = Record->InstanceId;
    Entry->ConnectionId = MP_RECORD_OWNER(Record);
    Entry->RuleGeneration = Record->RuleGeneration;
    Entry->Taken100ns = Record->TakenTime;
    Entry->Due100ns = Record->DueTime;
    Entry->Information = Record->Information;
    Entry->SetId = Record->Set->SetId;
    Entry->RuleId = Record->Rule->Id;
    Entry->Seen = Record->Seen;
    Entry->Operation = (UINT16)Record->Operation;
    Entry->State = Record->State == MpRecordWaiting ? MINIPEND_HELD_STATE_WAITING : MINIPEND_HELD_STATE_PARKED;
    Entry->Hold = (UINT16)Record->Rule->Hold;
    Entry->Action = (UINT16)Record->Rule->Action;
    Entry->MajorFunction = Record->MajorFunction;
    Entry->MinorFunction = Record->MinorFunction;
    Entry->NameChars = Record->NameChars;
    C_ASSERT(sizeof(Entry->Name) == sizeof(Record->Name));
    RtlCopyMemory(Entry->Name, Record->Name, Record->NameChars * sizeof(WCHAR));
}

static BOOLEAN MpHeldIsShown(const MP_RECORD *Record, ULONG64 OwnerOrZero) {
    return (Record->State == MpRecordParked || Record->State == MpRecordWaiting) && !Record->ReleaseRequested &&
           (OwnerOrZero == 0 || MP_RECORD_OWNER(Record) == OwnerOrZero);
}

/// The first link whose record was parked after a sequence number, or the list's head. Looked for from the end: who asks again and again wants
/// what is new.
static PLIST_ENTRY MpHeldAfter(ULONG64 ParkSequence) {
    PLIST_ENTRY first = &MpHold.List;
    PLIST_ENTRY link;

    if (ParkSequence == 0) {
        return MpHold.List.Flink;
    }
    for (link = MpHold.List.Blink; link != &MpHold.List; link = link->Blink) {
        // A queued record has no number yet, and stands anywhere.
        if (MpHeldAt(link)->State != MpRecordQueued) {
            if (MpHeldAt(link)->ParkSequence <= ParkSequence) {
                break;
            }
            first = link;
        }
    }
    return first;
}

_Use_decl_annotations_ ULONG MpHeldList(ULONG64 AfterParkSequence, ULONG64 OwnerOrZero, ULONG MaxEntries,
                                        MINIPEND_HELD_ENTRY *Entries, PBOOLEAN More, PULONG64 HeldNow) {
    PLIST_ENTRY link;
    ULONG count = 0;

    *More = FALSE;
    WdfSpinLockAcquire(MpHold.Lock);
    *HeldNow = MpHold.Count;
    for (link = MpHeldAfter(AfterParkSequence); link != &MpHold.List; link = link->Flink) {
        if (!MpHeldIsShown(MpHeldAt(link), OwnerOrZero)) {
            continue;
        }
        if (count == MaxEntries) {
            *More = TRUE;
            break;
        }
        MpHeldDescribe(MpHeldAt(link), &Entries[count++]);
    }
    WdfSpinLockRelease(MpHold.Lock);
    return count;
}

// ---- releasing --------------------------------------------------------------------------------------------------------

static BOOLEAN MpHeldMayClaim(const MP_RECORD *Record) {
    return Record->ClaimedBy == 0 && !Record->ReleaseRequested;
}

/// Whether a command for several operations names this one.
static BOOLEAN MpHeldIsNamed(const MP_RECORD *Record, const MP_RELEASE *Release) {
    if (MP_RECORD_OWNER(Record) != Release->ConnectionId) {
        return Release->What == MINIPEND_RELEASE_WHAT_ALL && Release->Force;
    }
    switch (Release->What) {
    case MINIPEND_RELEASE_WHAT_RULE:
        return Record->Set->SetId == Release->SetId && Record->Rule->Id == Release->RuleId;
    case MINIPEND_RELEASE_WHAT_SET:
        return Record->Set->SetId == Release->SetId;
    default:
        return TRUE;
    }
}

static VOID MpHeldClaimRecord(PMP_RECORD Record, PMP_RELEASE Release) {
    Record->ClaimedBy = Release->Claim;
    Record->FailRefused = Release->Status != STATUS_SUCCESS && !MpMayFail(Record);
    Release->Released++;
    if (Record->FailRefused) {
        Release->StatusNotApplied++;
    }
}

/// MpHold.Lock held.
static MINIPEND_DETAIL MpHeldClaimOne(PMP_RELEASE Release) {
    PLIST_ENTRY link;

    for (link = MpHold.List.Flink; link != &MpHold.List; link = link->Flink) {
        PMP_RECORD record = MpHeldAt(link);

        if (record->Id != Release->HeldId) {
            continue;
        }
        if (!MpHeldMayClaim(record)) {
            break;
        }
        if (MP_RECORD_OWNER(record) != Release->ConnectionId && !Release->Force) {
            return MINIPEND_DETAIL_HELD_FOREIGN;
        }
        if (Release->Status != STATUS_SUCCESS && !MpMayFail(record)) {
            return MINIPEND_DETAIL_RELEASE_STATUS;
        }
        MpHeldClaimRecord(record, Release);
        return MINIPEND_DETAIL_NONE;
    }
    return MINIPEND_DETAIL_HELD_UNKNOWN;
}

_Use_decl_annotations_ MINIPEND_DETAIL MpHeldClaim(PMP_RELEASE Release) {
    MINIPEND_DETAIL detail = MINIPEND_DETAIL_NONE;
    PLIST_ENTRY link;

    Release->Claim = (ULONG64)InterlockedIncrement64(&MpHold.LastClaim);
    Release->Released = 0;
    Release->StatusNotApplied = 0;
    if (Release->Status != STATUS_SUCCESS && !MpFailStatusIsValid(Release->Status)) {
        return MINIPEND_DETAIL_RELEASE_STATUS;
    }
    WdfSpinLockAcquire(MpHold.Lock);
    if (Release->What == MINIPEND_RELEASE_WHAT_ONE) {
        detail = MpHeldClaimOne(Release);
    } else {
        for (link = MpHold.List.Flink; link != &MpHold.List; link = link->Flink) {
            if (MpHeldMayClaim(MpHeldAt(link)) && MpHeldIsNamed(MpHeldAt(link), Release)) {
                MpHeldClaimRecord(MpHeldAt(link), Release);
            }
        }
    }
    WdfSpinLockRelease(MpHold.Lock);
    return detail;
}

static VOID MpHeldReleaseClaimed(PMP_RECORD Record, const MP_RELEASE *Release) {
    BOOLEAN own = MP_RECORD_OWNER(Record) == Release->ConnectionId;

    if (Record->ReleaseRequested) {
        // Something else was faster, and goes on as it would have without the command.
        return;
    }
    if (!Record->FailRefused) {
        Record->ReleaseStatus = Release->Status;
    }
    MpHoldAskLocked(Record, own ? MINIPEND_RELEASE_CAUSE_CLIENT : MINIPEND_RELEASE_CAUSE_FORCED);
}

_Use_decl_annotations_ VOID MpHeldFinish(const MP_RELEASE *Release, BOOLEAN Commit) {
    PLIST_ENTRY link;
    ULONG left = Release->Released;

    WdfSpinLockAcquire(MpHold.Lock);
    for (link = MpHold.List.Flink; link != &MpHold.List && left > 0; link = link->Flink) {
        PMP_RECORD record = MpHeldAt(link);

        if (record->ClaimedBy != Release->Claim) {
            continue;
        }
        left--;
        if (Commit) {
            MpHeldReleaseClaimed(record, Release);
        } else {
            record->ClaimedBy = 0;
            record->FailRefused = FALSE;
        }
    }
    WdfSpinLockRelease(MpHold.Lock);
}
