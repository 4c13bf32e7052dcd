// SPDX-License-Identifier: MIT
//
// This module provides: the commands about rules: setting them, listing them.
//
// Setting: parsing takes whatever memory the new set needs, and a place is kept for it, before the reply goes out; publishing it cannot fail.
//
// Listing: the table in force is referenced and read without a lock, so that a reply is of one table; the rules' counts go on meanwhile. A client that
// goes on where a reply ended names its table, because places mean something in that one alone; when another is in force it is told so, and begins again.
// No table is kept for a client that may never come back.

#include "minipend.h"

#include "messages.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpMessageListRules)
#endif

/// Replies, and puts the set in force, which has a place. The caller keeps its reference on Set.
static NTSTATUS MpSetRulesReply(_Inout_ PMP_EXCHANGE Exchange, _In_ PMP_RULE_SET Set) {
    MINIPEND_SET_RULES_REPLY reply = {0};
    PMP_RULE_TABLE table;
    NTSTATUS status;

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

/// A set that was parsed.
static NTSTATUS MpSetRules(_Inout_ PMP_EXCHANGE Exchange, _In_ PMP_RULE_SET Set) {
    PMP_PLACES places = &Exchange->Connection->Places;
    NTSTATUS status;

    if (!MpReplyFits(Exchange, sizeof(MINIPEND_SET_RULES_REPLY), &status)) {
        return status;
    }
    if (Set->Count == 0) {
        // It only gives a place back.
        return MpSetRulesReply(Exchange, Set);
    }
    if (!MpRulesReserve(places, Set->ConnectionId, Set->SetId)) {
        return MpReplyDetail(Exchange, STATUS_QUOTA_EXCEEDED, MINIPEND_DETAIL_SET_COUNT);
    }
    status = MpSetRulesReply(Exchange, Set);
    MpRulesUnreserve(places, Set->SetId);
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
    set->ProcessId = Exchange->Connection->ProcessId;
    status = MpSetRules(Exchange, set);
    MpRuleSetDereference(set);
    return status;
}

/// Whether the place that the request names is one of the table's. Table NULL: there have been no rules yet.
static MINIPEND_DETAIL MpCheckListRules(_In_ const MINIPEND_LIST_RULES_REQUEST *Request,
                                        _In_opt_ const MP_RULE_TABLE *Table, _In_ ULONG RuleCount) {
    if (Request->TableId == 0) {
        return Request->First == 0 ? MINIPEND_DETAIL_NONE : MINIPEND_DETAIL_RULES_CURSOR;
    }
    if (Table == NULL || Table->Number != Request->TableId) {
        return MINIPEND_DETAIL_RULES_CHANGED;
    }
    return Request->First <= RuleCount ? MINIPEND_DETAIL_NONE : MINIPEND_DETAIL_RULES_CURSOR;
}

/// A checked request whose reply fits, answered.
static NTSTATUS MpListRulesReply(_Inout_ PMP_EXCHANGE Exchange, _In_opt_ const MP_RULE_TABLE *Table,
                                 _In_ const MP_RULE_PAGE *Page) {
    const ULONG bytes = (ULONG)sizeof(MINIPEND_LIST_RULES_REPLY) + Page->Bytes;
    MINIPEND_LIST_RULES_REPLY *reply;
    ULONG64 precise;
    WDFMEMORY memory;
    NTSTATUS status;

    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, PagedPool, MP_TAG_MESSAGE, bytes, &memory, (PVOID *)&reply);
    if (!NT_SUCCESS(status)) {
        return MpReplyDetail(Exchange, status, MINIPEND_DETAIL_MEMORY);
    }
    RtlZeroMemory(reply, bytes);
    if (Table != NULL) {
        reply->TableId = Table->Number;
        reply->Generation = Table->Generation;
        reply->SetCount = Table->Count;
        MpRulesDescribe(Table, Page, reply + 1);
    }
    reply->Time100ns = KeQueryInterruptTimePrecise(&precise);
    reply->RuleCount = Page->RuleCount;
    reply->Count = Page->Count;
    reply->Next = Page->First + Page->Count;
    MpReplyHeader(Exchange, &reply->Header, bytes, NULL);
    status = MpReply(Exchange, reply, bytes);
    WdfObjectDelete(memory);
    return status;
}

/// Of the table in force.
static NTSTATUS MpListRules(_Inout_ PMP_EXCHANGE Exchange, _In_opt_ const MP_RULE_TABLE *Table) {
    const MINIPEND_LIST_RULES_REQUEST *request = (const MINIPEND_LIST_RULES_REQUEST *)Exchange->Message;
    const ULONG head = sizeof(MINIPEND_LIST_RULES_REPLY);
    const ULONG room = Exchange->OutputBytes > head ? Exchange->OutputBytes - head : 0;
    MP_RULE_PAGE page;
    MINIPEND_DETAIL detail;
    NTSTATUS status;

    MpRulesMeasure(Table, request->First, request->MaxEntries, room, &page);
    detail = MpCheckListRules(request, Table, page.RuleCount);
    if (detail != MINIPEND_DETAIL_NONE) {
        return MpReplyDetail(Exchange,
                             detail == MINIPEND_DETAIL_RULES_CHANGED ? STATUS_RETRY : STATUS_INVALID_PARAMETER, detail);
    }
    // With room for one entry at least, as a listing of what is held.
    if (!MpReplyFits(Exchange, head + (request->MaxEntries != 0 ? page.LeastBytes : 0), &status)) {
        return status;
    }
    return MpListRulesReply(Exchange, Table, &page);
}

_Use_decl_annotations_ NTSTATUS MpMessageListRules(PMP_EXCHANGE Exchange) {
    PMP_RULE_TABLE table;
    NTSTATUS status;

    PAGED_CODE();

    if (Exchange->Bytes != sizeof(MINIPEND_LIST_RULES_REQUEST)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    table = MpTableReference();
    status = MpListRules(Exchange, table);
    if (table != NULL) {
        MpTableDereference(table);
    }
    return status;
}
