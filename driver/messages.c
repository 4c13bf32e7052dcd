// SPDX-License-Identifier: MIT
//
// This module provides: the commands of the port.
//
// A message passes three gates: it is captured (capture.c), its head is checked, its command's handler checks the rest. What is wrong with
// a message that has a readable head is said in the reply, exactly; what has no readable head, or no room for a reply, fails with a status.
//
// Order of effects: a reply is copied out before its command takes effect, and the command cannot fail after that. So a caller whose
// reply buffer vanishes has changed nothing.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpMessageHandle)
#endif

/// A captured message and the way back to its sender.
typedef struct _MP_EXCHANGE {
    PMP_CONNECTION Connection;
    const MINIPEND_MESSAGE_HEADER *Message; ///< Captured; Bytes long.
    ULONG Bytes;
    PVOID Output; ///< The caller's, raw.
    ULONG OutputBytes;
    PULONG ReturnedBytes;
} MP_EXCHANGE, *PMP_EXCHANGE;

static VOID MpFillHeader(const MP_EXCHANGE *Exchange, MINIPEND_REPLY_HEADER *Header, ULONG Bytes,
                         const MP_FAULT *Fault) {
    Header->SizeBytes = Bytes;
    Header->Version = MINIPEND_PROTOCOL_VERSION;
    Header->Command = Exchange->Message->Command;
    Header->Token = Exchange->Message->Token;
    Header->Status = Fault->Status;
    Header->Detail = Fault->Detail;
    Header->Index = Fault->Index;
    Header->RequiredBytes = Fault->RequiredBytes;
}

/// Copies a reply out. The caller has checked that it fits.
static NTSTATUS MpSend(PMP_EXCHANGE Exchange, const VOID *Reply, ULONG Bytes) {
    NTSTATUS status = MpCopyToCaller(Exchange->Output, Reply, Bytes);

    if (NT_SUCCESS(status)) {
        *Exchange->ReturnedBytes = Bytes;
    }
    return status;
}

static NTSTATUS MpSendFault(PMP_EXCHANGE Exchange, const MP_FAULT *Fault) {
    MINIPEND_REPLY_HEADER header = {0};

    MpFillHeader(Exchange, &header, sizeof(header), Fault);
    return MpSend(Exchange, &header, sizeof(header));
}

static NTSTATUS MpSendSimpleFault(PMP_EXCHANGE Exchange, NTSTATUS Status, MINIPEND_DETAIL Detail) {
    MP_FAULT fault = {Status, Detail, 0, 0};

    return MpSendFault(Exchange, &fault);
}

/// TRUE when a reply of Bytes fits; otherwise the fault has been sent and *Status is what to return.
static BOOLEAN MpReplyFits(PMP_EXCHANGE Exchange, ULONG Bytes, NTSTATUS *Status) {
    MP_FAULT fault = {STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER, 0, Bytes};

    if (Exchange->OutputBytes >= Bytes) {
        return TRUE;
    }
    *Status = MpSendFault(Exchange, &fault);
    return FALSE;
}

static NTSTATUS MpHello(PMP_EXCHANGE Exchange) {
    const MINIPEND_HELLO_REQUEST *request = (const MINIPEND_HELLO_REQUEST *)Exchange->Message;
    PMP_CONNECTION connection = Exchange->Connection;
    const MP_FAULT none = {STATUS_SUCCESS, MINIPEND_DETAIL_NONE, 0, 0};
    MINIPEND_HELLO_REPLY reply = {0};
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(*request)) {
        return MpSendSimpleFault(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    if (request->Reserved != 0) {
        return MpSendSimpleFault(Exchange, STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RESERVED);
    }
    if (!MpReplyFits(Exchange, sizeof(reply), &status)) {
        return status;
    }
    if (InterlockedCompareExchange(&connection->Greeted, 1, 0) != 0) {
        return MpSendSimpleFault(Exchange, STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_GREETED);
    }

    MpFillHeader(Exchange, &reply.Header, sizeof(reply), &none);
    reply.ConnectionId = connection->Id;
    reply.DriverVersion[0] = MINIPEND_DRIVER_VERSION_MAJOR;
    reply.DriverVersion[1] = MINIPEND_DRIVER_VERSION_MINOR;
    reply.DriverVersion[2] = MINIPEND_DRIVER_VERSION_PATCH;
    reply.OperationCount = MINIPEND_OPERATION_COUNT;
    reply.RefusalCount = MINIPEND_REFUSAL_COUNT;
    reply.ProcessorCount = MpGlobals.ProcessorCount;
    reply.MaxHeld = MpGlobals.Limits.MaxHeld;
    reply.MaxDelayMs = MpGlobals.Limits.MaxDelayMs;
    reply.MaxRules = MINIPEND_MAX_RULES;
    status = MpSend(Exchange, &reply, sizeof(reply));
    if (!NT_SUCCESS(status)) {
        InterlockedExchange(&connection->Greeted, 0);
        return status;
    }

    MpConnectionNameThreads(connection, request->ControlThreadId, request->ScriptThreadId);
    InterlockedExchange(&connection->Greeted, 2);
    return STATUS_SUCCESS;
}

static NTSTATUS MpCounters(PMP_EXCHANGE Exchange) {
    MP_FAULT fault = {STATUS_SUCCESS, MINIPEND_DETAIL_NONE, 0, 0};
    MINIPEND_COUNTERS_REPLY *reply;
    WDFMEMORY memory;
    ULONG bytes;
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(MINIPEND_MESSAGE_HEADER)) {
        return MpSendSimpleFault(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    fault.Status = MpCountersSnapshot(Exchange->OutputBytes, &reply, &memory, &bytes);
    if (!NT_SUCCESS(fault.Status)) {
        BOOLEAN small = fault.Status == STATUS_BUFFER_TOO_SMALL;

        fault.Detail = small ? MINIPEND_DETAIL_REPLY_BUFFER : MINIPEND_DETAIL_MEMORY;
        fault.RequiredBytes = small ? bytes : 0;
        return MpSendFault(Exchange, &fault);
    }
    MpFillHeader(Exchange, &reply->Header, bytes, &fault);
    status = MpSend(Exchange, reply, bytes);
    WdfObjectDelete(memory);
    return status;
}

static NTSTATUS MpSetRules(PMP_EXCHANGE Exchange) {
    MP_FAULT fault;
    MINIPEND_SET_RULES_REPLY reply = {0};
    PMP_RULE_SET set;
    PMP_RULE_TABLE table;
    NTSTATUS status;

    if (!MpReplyFits(Exchange, sizeof(reply), &status)) {
        return status;
    }
    if (!NT_SUCCESS(
            MpRulesParse((const UCHAR *)Exchange->Message, Exchange->Bytes, Exchange->Connection->Id, &set, &fault))) {
        return MpSendFault(Exchange, &fault);
    }
    status = MpRulesPrepareTable(&table);
    if (!NT_SUCCESS(status)) {
        MpRuleSetDereference(set);
        return MpSendSimpleFault(Exchange, status, MINIPEND_DETAIL_MEMORY);
    }

    set->Generation = MpRulesReserveGeneration();
    MpFillHeader(Exchange, &reply.Header, sizeof(reply), &fault);
    reply.Generation = set->Generation;
    status = MpSend(Exchange, &reply, sizeof(reply));
    if (NT_SUCCESS(status)) {
        MpRulesPublish(Exchange->Connection->Id, set, table);
    } else {
        MpRulesDiscardTable(table);
    }
    MpRuleSetDereference(set);
    return status;
}

static NTSTATUS MpDispatch(PMP_EXCHANGE Exchange) {
    const MINIPEND_MESSAGE_HEADER *message = Exchange->Message;

    if (message->Version != MINIPEND_PROTOCOL_VERSION) {
        return MpSendSimpleFault(Exchange, STATUS_REVISION_MISMATCH, MINIPEND_DETAIL_VERSION);
    }
    if (message->SizeBytes != Exchange->Bytes) {
        return MpSendSimpleFault(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    if (message->Command == MINIPEND_COMMAND_HELLO) {
        return MpHello(Exchange);
    }
    if (ReadAcquire(&Exchange->Connection->Greeted) != 2) {
        return MpSendSimpleFault(Exchange, STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_GREETED);
    }
    switch (message->Command) {
    case MINIPEND_COMMAND_COUNTERS:
        return MpCounters(Exchange);
    case MINIPEND_COMMAND_SET_RULES:
        return MpSetRules(Exchange);
    default:
        return MpSendSimpleFault(Exchange, STATUS_INVALID_DEVICE_REQUEST, MINIPEND_DETAIL_COMMAND);
    }
}

/// Captures and runs one message. A failing status means that there was no message to answer, or no way to answer it.
_Use_decl_annotations_ NTSTATUS MpMessageHandle(PMP_CONNECTION Connection, PVOID Input, ULONG InputBytes, PVOID Output,
                                                ULONG OutputBytes, PULONG ReturnedBytes) {
    MP_EXCHANGE exchange = {Connection, NULL, InputBytes, Output, OutputBytes, ReturnedBytes};
    WDFMEMORY memory;
    PVOID copy;
    NTSTATUS status;

    PAGED_CODE();

    if (Input == NULL || InputBytes < sizeof(MINIPEND_MESSAGE_HEADER)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if (InputBytes > MINIPEND_MAX_MESSAGE_BYTES) {
        return STATUS_INVALID_BUFFER_SIZE;
    }
    if (Output == NULL || OutputBytes < sizeof(MINIPEND_REPLY_HEADER)) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    // An alignment fault would pass the exception guard on some processors [MSGN-02].
    if (((ULONG_PTR)Input & 7) != 0 || ((ULONG_PTR)Output & 7) != 0) {
        return STATUS_DATATYPE_MISALIGNMENT;
    }

    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, PagedPool, MP_TAG_MESSAGE, InputBytes, &memory, &copy);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = MpCopyFromCaller(copy, Input, InputBytes);
    if (NT_SUCCESS(status)) {
        exchange.Message = copy;
        status = MpDispatch(&exchange);
    }
    WdfObjectDelete(memory);
    return status;
}
