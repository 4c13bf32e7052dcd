// SPDX-License-Identifier: MIT
//
// This module provides: the command that sets rules.
//
// Parsing takes whatever memory the new set needs before the reply goes out; publishing it cannot fail.

#include "minipend.h"

#include "messages.h"

/// Whether there is a place for the set. An empty one only takes a place away.
static BOOLEAN MpSetHasRoom(_In_ const MP_RULE_SET *Set) {
    return Set->Count == 0 || MpRulesHaveRoom(Set->ConnectionId, (ULONG)Set->SetId);
}

/// Replies, and puts the set in force. The caller keeps its reference on Set.
static NTSTATUS MpSetRulesReply(_Inout_ PMP_EXCHANGE Exchange, _In_ PMP_RULE_SET Set) {
    MINIPEND_SET_RULES_REPLY reply = {0};
    PMP_RULE_TABLE table;
    NTSTATUS status;

    if (!MpReplyFits(Exchange, sizeof(reply), &status)) {
        return status;
    }
    if (!MpSetHasRoom(Set)) {
        return MpReplyDetail(Exchange, STATUS_QUOTA_EXCEEDED, MINIPEND_DETAIL_SET_COUNT);
    }
    status = MpRulesPrepareTable(&table);
    if (!NT_SUCCESS(status)) {
        return MpReplyDetail(Exchange, status, MINIPEND_DETAIL_MEMORY);
    }

    Set->Generation = MpRulesReserveGeneration();
    MpReplyHeader(Exchange, &reply.Header, sizeof(reply), NULL);
    reply.Generation = Set->Generation;
    status = MpReply(Exchange, &reply, sizeof(reply));
    if (NT_SUCCESS(status)) {
        MpRulesPublish(Set, table);
    } else {
        MpRulesDiscardTable(table);
    }
    return status;
}

_Use_decl_annotations_ NTSTATUS MpMessageSetRules(PMP_EXCHANGE Exchange) {
    PMP_RULE_SET set;
    MP_FAULT fault;
    NTSTATUS status;

    status = MpRulesParse((const UCHAR *)Exchange->Message, Exchange->Bytes, Exchange->Connection->Id, &set, &fault);
    if (!NT_SUCCESS(status)) {
        return MpReplyFault(Exchange, &fault);
    }
    status = MpSetRulesReply(Exchange, set);
    MpRuleSetDereference(set);
    return status;
}
