// SPDX-License-Identifier: MIT
//
// This module provides: the messages that cross the minipend communication port, and nothing else.
//
//   1. the port's name and the protocol version;
//   2. the list of operations and the list of refusal causes (each list exists once, here);
//   3. the layout of every message and reply.
//
// It is the only header that the driver and user mode share. It depends on fixed-width types alone, every structure is
// naturally aligned with explicit padding, and its size and offsets are asserted below. The build compiles it and writes
// the TypeScript layout from the result. docs/PROTOCOL.md says how the messages are used.
//
// Rules for every message: little endian; SizeBytes covers the whole message; all reserved fields are zero; a sender's
// buffer and the reply buffer are 8-byte aligned. A reply whose Status is a failure has changed nothing in the driver.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define MINIPEND_PORT_NAME L"\\MinipendPort"
#define MINIPEND_FILTER_NAME L"minipend"

#define MINIPEND_PROTOCOL_VERSION 1

/// Driver version, reported by hello.
#define MINIPEND_DRIVER_VERSION_MAJOR 0
#define MINIPEND_DRIVER_VERSION_MINOR 1
#define MINIPEND_DRIVER_VERSION_PATCH 0

/// Hard limits of the protocol; the driver's registry parameters may set lower ones, which hello reports.
#define MINIPEND_MAX_RULES 16384u
#define MINIPEND_MAX_MESSAGE_BYTES (4u * 1024u * 1024u)
#define MINIPEND_MAX_PATTERN_CHARS 512u
#define MINIPEND_MAX_VOLUME_CHARS 128u
#define MINIPEND_MAX_ALTITUDE_CHARS 32u
#define MINIPEND_MAX_INSTANCE_NAME_CHARS 64u

/// Operations as the counters and rules tell them apart. X(enumerator, public name, what it is).
/// A set-information operation belongs to exactly one entry: the most specific one.
#define MINIPEND_OPERATION_LIST(X)                                                                                     \
    X(CREATE, "create", "IRP_MJ_CREATE")                                                                               \
    X(CLOSE, "close", "IRP_MJ_CLOSE")                                                                                  \
    X(READ, "read", "IRP_MJ_READ")                                                                                     \
    X(WRITE, "write", "IRP_MJ_WRITE")                                                                                  \
    X(QUERY_INFORMATION, "queryInformation", "IRP_MJ_QUERY_INFORMATION")                                               \
    X(SET_INFORMATION, "setInformation", "IRP_MJ_SET_INFORMATION, any class not listed below")                         \
    X(RENAME, "rename", "IRP_MJ_SET_INFORMATION, FileRenameInformation(Ex)")                                           \
    X(LINK, "link", "IRP_MJ_SET_INFORMATION, FileLinkInformation(Ex)")                                                 \
    X(DELETE, "delete", "IRP_MJ_SET_INFORMATION, FileDispositionInformation(Ex)")                                      \
    X(SET_END_OF_FILE, "setEndOfFile", "IRP_MJ_SET_INFORMATION, FileEndOfFileInformation")                             \
    X(SET_ALLOCATION, "setAllocation", "IRP_MJ_SET_INFORMATION, FileAllocationInformation")                            \
    X(QUERY_EA, "queryEa", "IRP_MJ_QUERY_EA")                                                                          \
    X(SET_EA, "setEa", "IRP_MJ_SET_EA")                                                                                \
    X(FLUSH, "flush", "IRP_MJ_FLUSH_BUFFERS")                                                                          \
    X(QUERY_VOLUME, "queryVolume", "IRP_MJ_QUERY_VOLUME_INFORMATION")                                                  \
    X(SET_VOLUME, "setVolume", "IRP_MJ_SET_VOLUME_INFORMATION")                                                        \
    X(QUERY_DIRECTORY, "queryDirectory", "IRP_MJ_DIRECTORY_CONTROL, IRP_MN_QUERY_DIRECTORY")                           \
    X(NOTIFY_DIRECTORY, "notifyDirectory", "IRP_MJ_DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY(_EX)")            \
    X(FS_CONTROL, "fsControl", "IRP_MJ_FILE_SYSTEM_CONTROL")                                                           \
    X(DEVICE_CONTROL, "deviceControl", "IRP_MJ_DEVICE_CONTROL")                                                        \
    X(LOCK, "lock", "IRP_MJ_LOCK_CONTROL")                                                                             \
    X(CLEANUP, "cleanup", "IRP_MJ_CLEANUP")                                                                            \
    X(QUERY_SECURITY, "querySecurity", "IRP_MJ_QUERY_SECURITY")                                                        \
    X(SET_SECURITY, "setSecurity", "IRP_MJ_SET_SECURITY")                                                              \
    X(QUERY_QUOTA, "queryQuota", "IRP_MJ_QUERY_QUOTA")                                                                 \
    X(SET_QUOTA, "setQuota", "IRP_MJ_SET_QUOTA")                                                                       \
    X(SECTION_SYNC, "sectionSync", "IRP_MJ_ACQUIRE/RELEASE_FOR_SECTION_SYNCHRONIZATION")                               \
    X(MOD_WRITE, "modWrite", "IRP_MJ_ACQUIRE/RELEASE_FOR_MOD_WRITE")                                                   \
    X(CC_FLUSH, "ccFlush", "IRP_MJ_ACQUIRE/RELEASE_FOR_CC_FLUSH")                                                      \
    X(QUERY_OPEN, "queryOpen", "IRP_MJ_NETWORK_QUERY_OPEN")                                                            \
    X(FAST_IO_CHECK, "fastIoCheck", "IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE")                                                \
    X(MDL_IO, "mdlIo", "IRP_MJ_MDL_READ, _MDL_READ_COMPLETE, _PREPARE_MDL_WRITE, _MDL_WRITE_COMPLETE")

typedef enum _MINIPEND_OPERATION {
#define MINIPEND_X_(Name, Public, What) MINIPEND_OPERATION_##Name,
    MINIPEND_OPERATION_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_OPERATION_COUNT
} MINIPEND_OPERATION;

/// Why an operation that a rule wanted pended was not. In the order of precedence. X(enumerator, public name, meaning).
#define MINIPEND_REFUSAL_LIST(X)                                                                                       \
    X(DRAINING, "draining", "the post-operation was a draining call: the instance is going away")                      \
    X(NOT_IRP, "notIrp", "fast I/O or an FS-filter operation, which may never be pended")                              \
    X(PAGING, "paging", "paging I/O, which may never be pended")                                                       \
    X(POLICY, "policy", "a safety default of the driver excludes the operation")                                       \
    X(CAPACITY, "capacity", "the driver already holds as many operations as it may")                                   \
    X(ALLOCATION, "allocation", "memory for the record or the deferred work item was not to be had")                   \
    X(TOP_LEVEL_IRP, "topLevelIrp", "FltQueueDeferredIoWorkItem refused, and the thread had a top-level IRP")          \
    X(TEARING_DOWN, "tearingDown", "FltQueueDeferredIoWorkItem refused because the instance is being torn down")       \
    X(UNSAFE, "unsafe", "FltQueueDeferredIoWorkItem refused and no documented cause explains it")

typedef enum _MINIPEND_REFUSAL {
#define MINIPEND_X_(Name, Public, What) MINIPEND_REFUSAL_##Name,
    MINIPEND_REFUSAL_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_REFUSAL_COUNT
} MINIPEND_REFUSAL;

typedef enum _MINIPEND_COMMAND {
    MINIPEND_COMMAND_HELLO = 1, ///< MINIPEND_HELLO_REQUEST -> MINIPEND_HELLO_REPLY; the first message of a connection.
    MINIPEND_COMMAND_COUNTERS = 2, ///< MINIPEND_MESSAGE_HEADER -> MINIPEND_COUNTERS_REPLY and its instances.
    MINIPEND_COMMAND_SET_RULES = 3, ///< MINIPEND_SET_RULES_REQUEST and its rules -> MINIPEND_SET_RULES_REPLY.
} MINIPEND_COMMAND;

/// What exactly was wrong with a message. X(enumerator, public name, meaning).
#define MINIPEND_DETAIL_LIST(X)                                                                                        \
    X(NONE, "none", "nothing was wrong")                                                                               \
    X(VERSION, "version", "the message's protocol version is not the driver's")                                        \
    X(SIZE, "size", "SizeBytes does not agree with the message's length or contents")                                  \
    X(COMMAND, "command", "there is no such command")                                                                  \
    X(NOT_GREETED, "notGreeted", "the connection has not said hello yet")                                              \
    X(GREETED, "greeted", "the connection has said hello already")                                                     \
    X(RESERVED, "reserved", "a reserved field is not zero")                                                            \
    X(RULE_COUNT, "ruleCount", "more rules than the driver takes")                                                     \
    X(RULE_SIZE, "ruleSize", "a rule's SizeBytes does not agree with its contents")                                    \
    X(RULE_OPERATIONS, "ruleOperations", "a rule names no operation, or one that does not exist")                      \
    X(RULE_ACTION, "ruleAction", "a rule's action does not exist")                                                     \
    X(RULE_QUEUE, "ruleQueue", "a rule's work queue is neither critical nor delayed")                                  \
    X(RULE_HOLD, "ruleHold", "a rule's hold does not exist, or does not go with its action")                           \
    X(RULE_DELAY, "ruleDelay", "a rule's delay is longer than the driver allows")                                      \
    X(RULE_FLAGS, "ruleFlags", "a rule has an unknown flag")                                                           \
    X(RULE_PATH, "rulePath", "a rule's path pattern is too long or not whole characters")                              \
    X(RULE_VOLUME, "ruleVolume", "a rule's volume name is too long or not whole characters")                           \
    X(REPLY_BUFFER, "replyBuffer", "the reply buffer is too small; RequiredBytes says how large it must be")           \
    X(MEMORY, "memory", "the driver could not allocate memory for the message")

typedef enum _MINIPEND_DETAIL {
#define MINIPEND_X_(Name, Public, What) MINIPEND_DETAIL_##Name,
    MINIPEND_DETAIL_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_DETAIL_COUNT
} MINIPEND_DETAIL;

typedef enum _MINIPEND_ACTION {
    MINIPEND_ACTION_OBSERVE = 1, ///< Count it.
    MINIPEND_ACTION_PEND = 2, ///< Pend its post-operation through a deferred work item.
} MINIPEND_ACTION;

typedef enum _MINIPEND_QUEUE {
    MINIPEND_QUEUE_NONE = 0, ///< For actions that queue nothing.
    MINIPEND_QUEUE_CRITICAL = 1, ///< CriticalWorkQueue.
    MINIPEND_QUEUE_DELAYED = 2, ///< DelayedWorkQueue.
} MINIPEND_QUEUE;

typedef enum _MINIPEND_HOLD {
    MINIPEND_HOLD_NONE = 0, ///< Given back as soon as the deferred work item has run.
    MINIPEND_HOLD_DELAY = 1, ///< Given back DelayMs milliseconds after the post-operation.
} MINIPEND_HOLD;

/// Flags of a rule.
#define MINIPEND_RULE_KERNEL_MODE 0x1u ///< Also for kernel-mode requestors, left alone by default.
#define MINIPEND_RULE_BOOT_VOLUME 0x2u ///< Also on the volume that holds \SystemRoot, left alone by default.
#define MINIPEND_RULE_PAGING_FILE 0x4u ///< Also for paging files, left alone by default.
#define MINIPEND_RULE_FAST_IO_TO_IRP 0x8u ///< Send matching fast I/O back, so that it comes again as an IRP.
#define MINIPEND_RULE_VALID_FLAGS 0xFu

/// Head of every message to the driver.
typedef struct _MINIPEND_MESSAGE_HEADER {
    uint32_t SizeBytes;
    uint16_t Version; ///< MINIPEND_PROTOCOL_VERSION
    uint16_t Command; ///< MINIPEND_COMMAND
    uint64_t Token; ///< Chosen by the sender, echoed in the reply.
} MINIPEND_MESSAGE_HEADER;

/// Head of every reply.
typedef struct _MINIPEND_REPLY_HEADER {
    uint32_t SizeBytes;
    uint16_t Version; ///< The driver's, also when the message's was another.
    uint16_t Command;
    uint64_t Token;
    int32_t Status; ///< NTSTATUS of the command.
    uint32_t Detail; ///< MINIPEND_DETAIL
    uint32_t Index; ///< Which rule, when Detail is about a rule; else 0.
    uint32_t RequiredBytes; ///< For MINIPEND_DETAIL_REPLY_BUFFER; else 0.
} MINIPEND_REPLY_HEADER;

typedef struct _MINIPEND_HELLO_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint32_t ControlThreadId; ///< Thread that sends messages; its own I/O is never pended. 0: none.
    uint32_t ScriptThreadId; ///< Thread of the client's event loop; its own I/O is never pended. 0: none.
    uint64_t Reserved;
} MINIPEND_HELLO_REQUEST;

typedef struct _MINIPEND_HELLO_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t ConnectionId;
    uint32_t DriverVersion[3]; ///< Major, minor, patch.
    uint32_t OperationCount; ///< MINIPEND_OPERATION_COUNT the driver was built with.
    uint32_t RefusalCount;
    uint32_t ProcessorCount;
    uint32_t MaxHeld; ///< Operations held at once, at most.
    uint32_t MaxDelayMs; ///< Longest delay a rule may ask for.
    uint32_t MaxRules;
    uint32_t Reserved;
} MINIPEND_HELLO_REPLY;

/// One rule. The pattern follows the structure, then the volume name, both UTF-16 without a terminator, then zeros up to a
/// multiple of 8. Rules are tried in order; the first that matches decides.
typedef struct _MINIPEND_RULE {
    uint32_t SizeBytes; ///< With the texts and the padding.
    uint32_t Id; ///< The client's number for it.
    uint64_t Operations; ///< Bit n: MINIPEND_OPERATION n.
    uint32_t Action; ///< MINIPEND_ACTION
    uint32_t Queue; ///< MINIPEND_QUEUE
    uint32_t Hold; ///< MINIPEND_HOLD
    uint32_t DelayMs;
    uint32_t Flags; ///< MINIPEND_RULE_*
    uint16_t PathBytes; ///< 0: any path, and no name is ever asked for.
    uint16_t VolumeBytes; ///< 0: any volume. Else the volume's device name, as in \Device\HarddiskVolume2.
} MINIPEND_RULE;

typedef struct _MINIPEND_SET_RULES_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint32_t Count;
    uint32_t Reserved;
} MINIPEND_SET_RULES_REQUEST;

typedef struct _MINIPEND_SET_RULES_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t Generation; ///< Of the driver's whole rule table, after the change.
} MINIPEND_SET_RULES_REPLY;

/// Counters of one operation on one instance. All count since the instance was attached.
/// At rest: PostOperations == Unmatched + Observed + Pended + WhenSafe + Synchronized + sum(Refused) + Draining + InCallback.
/// Always:  Pended == Completed + InFlight.
typedef struct _MINIPEND_OPERATION_COUNTERS {
    uint64_t PostOperations;
    uint64_t Unmatched;
    uint64_t Observed;
    uint64_t Pended;
    uint64_t Completed;
    uint64_t InFlight;
    uint64_t WhenSafe;
    uint64_t Synchronized;
    uint64_t Draining; ///< Draining calls of operations that no rule wanted pended.
    uint64_t InCallback;
    uint64_t NameUnavailable; ///< Pre-operations where a rule needed a name that could not be had safely.
    uint64_t FastIoDisallowed; ///< Fast I/O sent back as an IRP; it had no post-operation.
    uint64_t Refused[MINIPEND_REFUSAL_COUNT];
    uint64_t Reserved[3];
} MINIPEND_OPERATION_COUNTERS;

#define MINIPEND_INSTANCE_BOOT_VOLUME 0x1u ///< The volume holds \SystemRoot.
#define MINIPEND_INSTANCE_TEARING_DOWN 0x2u ///< TeardownStart has run.
#define MINIPEND_INSTANCE_RETIRED 0x4u ///< Not an instance: the sum of all that are gone.

typedef struct _MINIPEND_INSTANCE {
    uint64_t InstanceId; ///< Unique while the driver is loaded; 0 for MINIPEND_INSTANCE_RETIRED.
    uint32_t Flags; ///< MINIPEND_INSTANCE_*
    uint32_t Reserved;
    uint16_t Altitude[MINIPEND_MAX_ALTITUDE_CHARS]; ///< Texts are UTF-16, ended by a zero.
    uint16_t Name[MINIPEND_MAX_INSTANCE_NAME_CHARS];
    uint16_t Volume[MINIPEND_MAX_VOLUME_CHARS];
    MINIPEND_OPERATION_COUNTERS Operations[MINIPEND_OPERATION_COUNT];
} MINIPEND_INSTANCE;

typedef struct _MINIPEND_COUNTERS_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t RuleGeneration;
    uint64_t HeldNow; ///< Operations held at this moment, on all instances.
    uint64_t HeldHighWater; ///< Most held at once since the driver was loaded.
    uint64_t UnexpectedRefusals; ///< contract.unexpectedRefusal
    uint32_t InstanceCount; ///< MINIPEND_INSTANCE structures that follow; the first is the retired sum.
    uint32_t InstanceBytes; ///< sizeof(MINIPEND_INSTANCE) in the driver.
    uint32_t ConnectionCount;
    uint32_t Reserved;
} MINIPEND_COUNTERS_REPLY;

#if defined(__cplusplus)
#define MINIPEND_STATIC_ASSERT(Condition, Text) static_assert(Condition, Text)
#else
#define MINIPEND_STATIC_ASSERT(Condition, Text) _Static_assert(Condition, Text)
#endif

MINIPEND_STATIC_ASSERT(MINIPEND_OPERATION_COUNT <= 64, "a rule's operations are a 64-bit set");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_MESSAGE_HEADER) == 16, "MINIPEND_MESSAGE_HEADER");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_REPLY_HEADER) == 32, "MINIPEND_REPLY_HEADER");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_HELLO_REQUEST) == 32, "MINIPEND_HELLO_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_HELLO_REPLY) == 80, "MINIPEND_HELLO_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_RULE) == 40, "MINIPEND_RULE");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_RULE, PathBytes) == 36, "MINIPEND_RULE.PathBytes");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SET_RULES_REQUEST) == 24, "MINIPEND_SET_RULES_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SET_RULES_REPLY) == 40, "MINIPEND_SET_RULES_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_OPERATION_COUNTERS) == 192, "MINIPEND_OPERATION_COUNTERS");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_INSTANCE, Operations) == 464, "MINIPEND_INSTANCE.Operations");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_INSTANCE) == 464 + 192 * MINIPEND_OPERATION_COUNT, "MINIPEND_INSTANCE");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_COUNTERS_REPLY) == 80, "MINIPEND_COUNTERS_REPLY");
