// SPDX-License-Identifier: MIT
//
// This module provides: how a message is captured, checked, dispatched and answered, and the commands hello and counters.
//
// A message passes three gates: it is captured (capture.c), its head is checked, its command's handler checks the rest. What is wrong with
// a message that has a readable head is said in the reply, exactly; what has no readable head, or no room for a reply, fails with a status.
//
// Order of effects: a reply is copied out before its command takes effect, and the command cannot fail after that. So a caller whose
// reply buffer vanishes has changed nothing.

#include "minipend.h"

#include "messages.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpMessageHandle)
#endif

_Use_decl_annotations_ VOID MpReplyHeader(const MP_EXCHANGE *Exchange, MINIPEND_REPLY_HEADER *Header, ULONG Bytes,
                                          const MP_FAULT *Fault) {
    RtlZeroMemory(Header, sizeof(*Header));
    Header->SizeBytes = Bytes;
    Header->Version = MINIPEND_PROTOCOL_VERSION;
    Header->Command = Exchange->Message->Command;
    Header->Token = Exchange->Message->Token;
    if (Fault != NULL) {
        Header->Status = Fault->Status;
        Header->Detail = Fault->Detail;
        Header->Index = Fault->Index;
        Header->RequiredBytes = Fault->RequiredBytes;
    }
}

_Use_decl_annotations_ NTSTATUS MpReply(PMP_EXCHANGE Exchange, const VOID *Reply, ULONG Bytes) {
    NTSTATUS status = MpCopyToCaller(Exchange->Output, Reply, Bytes);

    if (NT_SUCCESS(status)) {
        *Exchange->ReturnedBytes = Bytes;
    }
    return status;
}

_Use_decl_annotations_ NTSTATUS MpReplyFault(PMP_EXCHANGE Exchange, const MP_FAULT *Fault) {
    MINIPEND_REPLY_HEADER header;

    MpReplyHeader(Exchange, &header, sizeof(header), Fault);
    return MpReply(Exchange, &header, sizeof(header));
}

_Use_decl_annotations_ NTSTATUS MpReplyDetail(PMP_EXCHANGE Exchange, NTSTATUS Status, MINIPEND_DETAIL Detail) {
    MP_FAULT fault = {Status, Detail, 0, 0};

    return MpReplyFault(Exchange, &fault);
}

_Use_decl_annotations_ BOOLEAN MpReplyFits(PMP_EXCHANGE Exchange, ULONG Bytes, NTSTATUS *Status) {
    MP_FAULT fault = {STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER, 0, Bytes};

    *Status = STATUS_SUCCESS;
    if (Exchange->OutputBytes >= Bytes) {
        return TRUE;
    }
    *Status = MpReplyFault(Exchange, &fault);
    return FALSE;
}

static NTSTATUS MpMessageHello(_Inout_ PMP_EXCHANGE Exchange) {
    const MINIPEND_HELLO_REQUEST *request = (const MINIPEND_HELLO_REQUEST *)Exchange->Message;
    PMP_CONNECTION connection = Exchange->Connection;
    MINIPEND_HELLO_REPLY reply = {0};
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(*request)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    if (request->Reserved != 0) {
        return MpReplyDetail(Exchange, STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RESERVED);
    }
    if (!MpReplyFits(Exchange, sizeof(reply), &status)) {
        return status;
    }
    if (InterlockedCompareExchange(&connection->Greeted, 1, 0) != 0) {
        return MpReplyDetail(Exchange, STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_GREETED);
    }

    MpReplyHeader(Exchange, &reply.Header, sizeof(reply), NULL);
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
    reply.MaxSets = MINIPEND_MAX_SETS;
    status = MpReply(Exchange, &reply, sizeof(reply));
    if (!NT_SUCCESS(status)) {
        InterlockedExchange(&connection->Greeted, 0);
        return status;
    }

    MpConnectionNameThreads(connection, request->ControlThreadId, request->ScriptThreadId);
    InterlockedExchange(&connection->Greeted, 2);
    return STATUS_SUCCESS;
}

static NTSTATUS MpMessageCounters(_Inout_ PMP_EXCHANGE Exchange) {
    MP_FAULT fault = {STATUS_SUCCESS, MINIPEND_DETAIL_NONE, 0, 0};
    MINIPEND_COUNTERS_REPLY *reply;
    WDFMEMORY memory;
    ULONG bytes;
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(MINIPEND_MESSAGE_HEADER)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    fault.Status = MpCountersSnapshot(Exchange->OutputBytes, &reply, &memory, &bytes);
    if (!NT_SUCCESS(fault.Status)) {
        BOOLEAN small = fault.Status == STATUS_BUFFER_TOO_SMALL;

        fault.Detail = small ? MINIPEND_DETAIL_REPLY_BUFFER : MINIPEND_DETAIL_MEMORY;
        fault.RequiredBytes = small ? bytes : 0;
        return MpReplyFault(Exchange, &fault);
    }
    MpReplyHeader(Exchange, &reply->Header, bytes, NULL);
    status = MpReply(Exchange, reply, bytes);
    WdfObjectDelete(memory);
    return status;
}

static NTSTATUS MpDispatch(_Inout_ PMP_EXCHANGE Exchange) {
    const MINIPEND_MESSAGE_HEADER *message = Exchange->Message;

    if (message->Version != MINIPEND_PROTOCOL_VERSION) {
        return MpReplyDetail(Exchange, STATUS_REVISION_MISMATCH, MINIPEND_DETAIL_VERSION);
    }
    if (message->SizeBytes != Exchange->Bytes) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    if (message->Command == MINIPEND_COMMAND_HELLO) {
        return MpMessageHello(Exchange);
    }
    if (ReadAcquire(&Exchange->Connection->Greeted) != 2) {
        return MpReplyDetail(Exchange, STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_GREETED);
    }
    switch (message->Command) {
    case MINIPEND_COMMAND_COUNTERS:
        return MpMessageCounters(Exchange);
    case MINIPEND_COMMAND_SET_RULES:
        return MpMessageSetRules(Exchange);
    case MINIPEND_COMMAND_LIST_RULES:
        return MpMessageListRules(Exchange);
    case MINIPEND_COMMAND_LIST_HELD:
        return MpMessageListHeld(Exchange);
    case MINIPEND_COMMAND_RELEASE:
        return MpMessageRelease(Exchange);
    case MINIPEND_COMMAND_SUBSCRIBE:
        return MpMessageSubscribe(Exchange);
    case MINIPEND_COMMAND_PULL_EVENTS:
        return MpMessagePullEvents(Exchange);
    default:
        return MpReplyDetail(Exchange, STATUS_INVALID_DEVICE_REQUEST, MINIPEND_DETAIL_COMMAND);
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
