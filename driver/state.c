// SPDX-License-Identifier: MIT
//
// This module provides: the state block: from a memory dump, the way to the counters and the list of what is held, without symbols.
//
// A debugger or a script looks for the signature, 16 bytes without a terminator, in the driver's image; SizeBytes and Version confirm the
// find. Then: Hold + HoldList is a LIST_ENTRY of MP_RECORD.HeldLink (at RecordHeldLink), Instances + InstancesList one of MP_INSTANCE.Link, and so on.
// Everything but the signature is offsets and sizes of this build's structures. It is never sent anywhere: it holds kernel addresses.
//
// Volatile, and with external linkage: nothing in the driver reads it, and yet it must be there.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, MpStateInitialize)
#endif

#define MP_STATE_VERSION 1

typedef struct _MP_STATE {
    CHAR Signature[16]; ///< "minipend-state-1"
    ULONG SizeBytes;
    ULONG Version;
    ULONG DriverVersion[3];
    ULONG ProtocolVersion;
    ULONG OperationCount;
    ULONG RefusalCount;
    // Where things are.
    MP_GLOBALS *Globals;
    MP_HOLD *Hold;
    MP_INSTANCES *Instances;
    MP_CONNECTIONS *Connections;
    MP_RULES *Rules;
    // MP_HOLD
    ULONG HoldList;
    ULONG HoldCount;
    ULONG HoldHighWater;
    // MP_RECORD
    ULONG RecordBytes;
    ULONG RecordHeldLink;
    ULONG RecordState;
    ULONG RecordId;
    ULONG RecordTakenTime;
    ULONG RecordDueTime;
    ULONG RecordData;
    ULONG RecordThread;
    ULONG RecordInstance;
    ULONG RecordOperation;
    ULONG RecordRule;
    ULONG RecordSeen;
    ULONG RecordNameChars;
    ULONG RecordName;
    // MP_INSTANCES, MP_INSTANCE, MP_CELL
    ULONG InstancesList;
    ULONG InstancesRetired;
    ULONG InstanceBytes;
    ULONG InstanceLink;
    ULONG InstanceId;
    ULONG InstanceHeldCounters;
    ULONG InstanceCells;
    ULONG InstanceHistograms;
    ULONG InstanceAltitude;
    ULONG InstanceName;
    ULONG InstanceVolume;
    ULONG CellBytes;
    ULONG HeldCountersBytes;
    ULONG GlobalsProcessorCount;
    // MP_CONNECTIONS, MP_CONNECTION
    ULONG ConnectionsList;
    ULONG ConnectionLink;
    ULONG ConnectionId;
    ULONG ConnectionThreadIds;
    // MP_RULES, MP_RULE_TABLE
    ULONG RulesTable;
    ULONG TableCount;
    ULONG TableEntries;
    ULONG Reserved;
} MP_STATE;

C_ASSERT(FIELD_OFFSET(MP_STATE, Globals) == 48);
C_ASSERT(FIELD_OFFSET(MP_STATE, HoldList) == 88);

extern volatile MP_STATE MpState;
volatile MP_STATE MpState;

static VOID MpStateRecords(VOID) {
    MpState.Hold = &MpHold;
    MpState.HoldList = FIELD_OFFSET(MP_HOLD, List);
    MpState.HoldCount = FIELD_OFFSET(MP_HOLD, Count);
    MpState.HoldHighWater = FIELD_OFFSET(MP_HOLD, HighWater);
    MpState.RecordBytes = sizeof(MP_RECORD);
    MpState.RecordHeldLink = FIELD_OFFSET(MP_RECORD, HeldLink);
    MpState.RecordState = FIELD_OFFSET(MP_RECORD, State);
    MpState.RecordId = FIELD_OFFSET(MP_RECORD, Id);
    MpState.RecordTakenTime = FIELD_OFFSET(MP_RECORD, TakenTime);
    MpState.RecordDueTime = FIELD_OFFSET(MP_RECORD, DueTime);
    MpState.RecordData = FIELD_OFFSET(MP_RECORD, Data);
    MpState.RecordThread = FIELD_OFFSET(MP_RECORD, Thread);
    MpState.RecordInstance = FIELD_OFFSET(MP_RECORD, Instance);
    MpState.RecordOperation = FIELD_OFFSET(MP_RECORD, Operation);
    MpState.RecordRule = FIELD_OFFSET(MP_RECORD, Rule);
    MpState.RecordSeen = FIELD_OFFSET(MP_RECORD, Seen);
    MpState.RecordNameChars = FIELD_OFFSET(MP_RECORD, NameChars);
    MpState.RecordName = FIELD_OFFSET(MP_RECORD, Name);
}

static VOID MpStateInstances(VOID) {
    MpState.Instances = &MpInstances;
    MpState.InstancesList = FIELD_OFFSET(MP_INSTANCES, List);
    MpState.InstancesRetired = FIELD_OFFSET(MP_INSTANCES, Retired);
    MpState.InstanceBytes = sizeof(MP_INSTANCE);
    MpState.InstanceLink = FIELD_OFFSET(MP_INSTANCE, Link);
    MpState.InstanceId = FIELD_OFFSET(MP_INSTANCE, Id);
    MpState.InstanceHeldCounters = FIELD_OFFSET(MP_INSTANCE, HeldCounters);
    MpState.InstanceCells = FIELD_OFFSET(MP_INSTANCE, Cells);
    MpState.InstanceHistograms = FIELD_OFFSET(MP_INSTANCE, Histograms);
    MpState.InstanceAltitude = FIELD_OFFSET(MP_INSTANCE, Altitude);
    MpState.InstanceName = FIELD_OFFSET(MP_INSTANCE, Name);
    MpState.InstanceVolume = FIELD_OFFSET(MP_INSTANCE, Volume);
    MpState.CellBytes = sizeof(MP_CELL);
    MpState.HeldCountersBytes = sizeof(MP_HELD_COUNTERS);
    MpState.GlobalsProcessorCount = FIELD_OFFSET(MP_GLOBALS, ProcessorCount);
}

static VOID MpStateConnections(VOID) {
    MpState.Connections = &MpConnections;
    MpState.ConnectionsList = FIELD_OFFSET(MP_CONNECTIONS, List);
    MpState.ConnectionLink = FIELD_OFFSET(MP_CONNECTION, Link);
    MpState.ConnectionId = FIELD_OFFSET(MP_CONNECTION, Id);
    MpState.ConnectionThreadIds = FIELD_OFFSET(MP_CONNECTION, ThreadIds);
    MpState.Rules = &MpRules;
    MpState.RulesTable = FIELD_OFFSET(MP_RULES, Table);
    MpState.TableCount = FIELD_OFFSET(MP_RULE_TABLE, Count);
    MpState.TableEntries = FIELD_OFFSET(MP_RULE_TABLE, Entries);
}

/// The signature comes last: a dump taken before has none.
_Use_decl_annotations_ VOID MpStateInitialize(VOID) {
    static const CHAR signature[] = "minipend-state-";
    ULONG i;

    MpState.SizeBytes = sizeof(MpState);
    MpState.Version = MP_STATE_VERSION;
    MpState.DriverVersion[0] = MINIPEND_DRIVER_VERSION_MAJOR;
    MpState.DriverVersion[1] = MINIPEND_DRIVER_VERSION_MINOR;
    MpState.DriverVersion[2] = MINIPEND_DRIVER_VERSION_PATCH;
    MpState.ProtocolVersion = MINIPEND_PROTOCOL_VERSION;
    MpState.OperationCount = MINIPEND_OPERATION_COUNT;
    MpState.RefusalCount = MINIPEND_REFUSAL_COUNT;
    MpState.Globals = &MpGlobals;
    MpStateRecords();
    MpStateInstances();
    MpStateConnections();
    // Put together here, so that the image has these 16 bytes in one place only.
    for (i = 0; i < sizeof(signature) - 1; i++) {
        MpState.Signature[i] = signature[i];
    }
    MpState.Signature[sizeof(signature) - 1] = '0' + MP_STATE_VERSION;
}
