// SPDX-License-Identifier: MIT
//
// This module provides: the checks of rules as they arrive in a message.
//
// The message has been captured: nobody else can change it any more. Every field is checked, padding too, and each has its own detail. What a reply
// names, when several things are wrong, is the first of: of the message, its size, reserved, flags, setPersist (the number), ruleCount; then of
// the rules in order, each by ruleSize, rulePath, ruleVolume, rulePadding, ruleOperations, ruleMinors, ruleFlags, ruleConditions, ruleAction, ruleHold,
// ruleQueue, ruleDelay, ruleStatus, ruleFail, ruleSampling, ruleCap; then setPersist (a gate), and size (bytes left over).

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpAnyDepthBytes)
#pragma alloc_text(PAGE, MpRulesCheck)
#endif

#define MP_ALL_OPERATIONS (MAXULONGLONG >> (64 - MINIPEND_OPERATION_COUNT))

/// Of operations that may not be given a failure [POST-32].
#define MP_NEVER_FAILED ((1ull << MINIPEND_OPERATION_CLEANUP) | (1ull << MINIPEND_OPERATION_CLOSE))

_Use_decl_annotations_ USHORT MpAnyDepthBytes(const MINIPEND_RULE *Rule) {
    const WCHAR *path = (const WCHAR *)(Rule + 1);

    PAGED_CODE();
    return Rule->PathBytes == 0 || path[0] == L'\\' || path[0] == L'*' ? 0
                                                                       : (USHORT)(sizeof(MP_ANY_DEPTH) - sizeof(WCHAR));
}

/// The rule's extent: everything that must be right before anything behind the structure is touched, and what is there.
static MINIPEND_DETAIL MpCheckExtent(const MINIPEND_RULE *Rule, ULONG BytesLeft) {
    const UCHAR *bytes = (const UCHAR *)Rule;
    ULONG used;
    ULONG needed;

    if (BytesLeft < sizeof(*Rule)) {
        return MINIPEND_DETAIL_RULE_SIZE;
    }
    if (Rule->PathBytes > MINIPEND_MAX_PATTERN_CHARS * sizeof(WCHAR) || Rule->PathBytes % sizeof(WCHAR) != 0) {
        return MINIPEND_DETAIL_RULE_PATH;
    }
    if (Rule->VolumeBytes > MINIPEND_MAX_VOLUME_CHARS * sizeof(WCHAR) || Rule->VolumeBytes % sizeof(WCHAR) != 0) {
        return MINIPEND_DETAIL_RULE_VOLUME;
    }
    used = (ULONG)sizeof(*Rule) + Rule->PathBytes + Rule->VolumeBytes;
    needed = (ULONG)ALIGN_UP_BY(used, 8);
    if (Rule->SizeBytes != needed || BytesLeft < needed) {
        return MINIPEND_DETAIL_RULE_SIZE;
    }
    for (; used < needed; used++) {
        if (bytes[used] != 0) {
            return MINIPEND_DETAIL_RULE_PADDING;
        }
    }
    return MINIPEND_DETAIL_NONE;
}

static BOOLEAN MpHoldGoesWith(ULONG Hold, ULONG Action) {
    switch (Hold) {
    case MINIPEND_HOLD_NONE:
        return TRUE;
    case MINIPEND_HOLD_DELAY:
    case MINIPEND_HOLD_GATE:
        return Action == MINIPEND_ACTION_PEND || Action == MINIPEND_ACTION_SYNCHRONIZE;
    default:
        return FALSE;
    }
}

static BOOLEAN MpDelayGoesWith(ULONG DelayMs, ULONG Hold) {
    switch (Hold) {
    case MINIPEND_HOLD_NONE:
        return DelayMs == 0;
    case MINIPEND_HOLD_GATE: // its deadline
        return DelayMs != 0 && DelayMs <= MpGlobals.Limits.MaxDelayMs;
    default:
        return DelayMs <= MpGlobals.Limits.MaxDelayMs;
    }
}

/// What the rule does.
static MINIPEND_DETAIL MpCheckAction(const MINIPEND_RULE *Rule) {
    if (Rule->Action < MINIPEND_ACTION_OBSERVE || Rule->Action > MINIPEND_ACTION_SYNCHRONIZE) {
        return MINIPEND_DETAIL_RULE_ACTION;
    }
    if (!MpHoldGoesWith(Rule->Hold, Rule->Action)) {
        return MINIPEND_DETAIL_RULE_HOLD;
    }
    if (Rule->Action == MINIPEND_ACTION_PEND
            ? Rule->Queue != MINIPEND_QUEUE_CRITICAL && Rule->Queue != MINIPEND_QUEUE_DELAYED
            : Rule->Queue != MINIPEND_QUEUE_NONE) {
        return MINIPEND_DETAIL_RULE_QUEUE;
    }
    if (!MpDelayGoesWith(Rule->DelayMs, Rule->Hold)) {
        return MINIPEND_DETAIL_RULE_DELAY;
    }
    return MINIPEND_DETAIL_NONE;
}

/// Which operations it selects beyond what it names, and what it gives them.
static MINIPEND_DETAIL MpCheckSelection(const MINIPEND_RULE *Rule) {
    if (Rule->StatusFilter > MINIPEND_STATUS_FILTER_EXACT ||
        (Rule->StatusFilter != MINIPEND_STATUS_FILTER_EXACT && Rule->MatchStatus != 0)) {
        return MINIPEND_DETAIL_RULE_STATUS;
    }
    if (Rule->FailStatus != 0 && (!MpFailStatusIsValid(Rule->FailStatus) || Rule->Action == MINIPEND_ACTION_OBSERVE ||
                                  (Rule->Operations & MP_NEVER_FAILED) != 0)) {
        return MINIPEND_DETAIL_RULE_FAIL;
    }
    if (Rule->ProbabilityPpm > MP_ALL_PPM) {
        return MINIPEND_DETAIL_RULE_SAMPLING;
    }
    if (Rule->MaxHeld != 0 && Rule->Hold != MINIPEND_HOLD_GATE) {
        return MINIPEND_DETAIL_RULE_CAP;
    }
    return MINIPEND_DETAIL_NONE;
}

static MINIPEND_DETAIL MpCheckRule(const MINIPEND_RULE *Rule, ULONG BytesLeft) {
    MINIPEND_DETAIL detail = MpCheckExtent(Rule, BytesLeft);

    if (detail != MINIPEND_DETAIL_NONE) {
        return detail;
    }
    if (Rule->Operations == 0 || (Rule->Operations & ~MP_ALL_OPERATIONS) != 0) {
        return MINIPEND_DETAIL_RULE_OPERATIONS;
    }
    if (Rule->MinorFunctions != 0 && (Rule->Operations & ~MINIPEND_MINOR_OPERATIONS) != 0) {
        return MINIPEND_DETAIL_RULE_MINORS;
    }
    if (FlagOn(Rule->Flags, ~MINIPEND_RULE_VALID_FLAGS)) {
        return MINIPEND_DETAIL_RULE_FLAGS;
    }
    if (FlagOn(Rule->Conditions, ~MINIPEND_CONDITION_VALID)) {
        return MINIPEND_DETAIL_RULE_CONDITIONS;
    }
    detail = MpCheckAction(Rule);
    return detail != MINIPEND_DETAIL_NONE ? detail : MpCheckSelection(Rule);
}

static ULONG MpCountBits(ULONG64 Bits) {
    ULONG count = 0;

    for (; Bits != 0; Bits &= Bits - 1) {
        count++;
    }
    return count;
}

static MINIPEND_DETAIL MpCheckRequest(const MINIPEND_SET_RULES_REQUEST *Request, ULONG Bytes) {
    if (Bytes < sizeof(*Request)) {
        return MINIPEND_DETAIL_SIZE;
    }
    if (Request->Reserved != 0) {
        return MINIPEND_DETAIL_RESERVED;
    }
    if (FlagOn(Request->Flags, ~MINIPEND_SET_RULES_PERSIST)) {
        return MINIPEND_DETAIL_FLAGS;
    }
    if (FlagOn(Request->Flags, MINIPEND_SET_RULES_PERSIST) && Request->SetId != 0) {
        return MINIPEND_DETAIL_SET_PERSIST;
    }
    return Request->Count > MINIPEND_MAX_RULES ? MINIPEND_DETAIL_RULE_COUNT : MINIPEND_DETAIL_NONE;
}

/// Checks the rules and measures what they need. BadIndex: which rule a detail is about.
static MINIPEND_DETAIL MpCheckRules(const MINIPEND_SET_RULES_REQUEST *Request, ULONG Bytes, PMP_RULES_SIZE Size,
                                    PULONG BadIndex) {
    const UCHAR *at = (const UCHAR *)(Request + 1);
    ULONG left = Bytes - sizeof(*Request);
    BOOLEAN gates = FALSE;
    ULONG i;

    for (i = 0; i < Request->Count; i++) {
        const MINIPEND_RULE *rule = (const MINIPEND_RULE *)at;
        MINIPEND_DETAIL detail = MpCheckRule(rule, left);

        if (detail != MINIPEND_DETAIL_NONE) {
            *BadIndex = i;
            return detail;
        }
        gates = gates || rule->Hold == MINIPEND_HOLD_GATE;
        Size->IndexEntries += MpCountBits(rule->Operations);
        Size->TextBytes += rule->PathBytes + MpAnyDepthBytes(rule) + rule->VolumeBytes;
        at += rule->SizeBytes;
        left -= rule->SizeBytes;
    }
    if (gates && FlagOn(Request->Flags, MINIPEND_SET_RULES_PERSIST)) {
        // Nobody would be there to open it.
        return MINIPEND_DETAIL_SET_PERSIST;
    }
    return left == 0 ? MINIPEND_DETAIL_NONE : MINIPEND_DETAIL_SIZE;
}

_Use_decl_annotations_ BOOLEAN MpRulesCheck(const MINIPEND_SET_RULES_REQUEST *Request, ULONG Bytes, PMP_RULES_SIZE Size,
                                            PMP_FAULT Fault) {
    PAGED_CODE();

    RtlZeroMemory(Size, sizeof(*Size));
    RtlZeroMemory(Fault, sizeof(*Fault));
    Fault->Detail = MpCheckRequest(Request, Bytes);
    if (Fault->Detail == MINIPEND_DETAIL_NONE) {
        Fault->Detail = MpCheckRules(Request, Bytes, Size, &Fault->Index);
    }
    switch (Fault->Detail) {
    case MINIPEND_DETAIL_NONE:
        return TRUE;
    case MINIPEND_DETAIL_SIZE:
        Fault->Status = STATUS_INFO_LENGTH_MISMATCH;
        return FALSE;
    default:
        Fault->Status = STATUS_INVALID_PARAMETER;
        return FALSE;
    }
}
