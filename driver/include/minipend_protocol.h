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

#define MINIPEND_PROTOCOL_VERSION 4

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
#define MINIPEND_MAX_SETS 16u ///< Rule sets of one connection.
#define MINIPEND_MAX_NAME_CHARS 260u ///< Of a held operation's name; of a longer one the end is kept.
#define MINIPEND_EVENT_NAME_CHARS 84u ///< Of an event's name; of a longer one the end is kept.
#define MINIPEND_MAX_HELD_ENTRIES 256u ///< Of one list-held reply.
#define MINIPEND_MAX_RULE_ENTRIES 1024u ///< Of one list-rules reply.
#define MINIPEND_MIN_EVENT_RING 16u
#define MINIPEND_MAX_EVENT_RING 65536u
#define MINIPEND_DEFAULT_EVENT_RING 1024u
#define MINIPEND_DEFAULT_GATE_MS 30000u ///< Deadline of a gate that names none, if the driver's MaxDelayMs allows it.
#define MINIPEND_HISTOGRAM_BUCKETS 64u

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
    X(QUERY_OPEN, "queryOpen", "IRP_MJ_NETWORK_QUERY_OPEN, IRP_MJ_QUERY_OPEN")                                         \
    X(FAST_IO_CHECK, "fastIoCheck", "IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE")                                                \
    X(MDL_IO, "mdlIo", "IRP_MJ_MDL_READ, _MDL_READ_COMPLETE, _PREPARE_MDL_WRITE, _MDL_WRITE_COMPLETE")

/// Operations of which a rule may select minor functions.
#define MINIPEND_MINOR_OPERATIONS                                                                                      \
    ((1ull << MINIPEND_OPERATION_FLUSH) | (1ull << MINIPEND_OPERATION_QUERY_DIRECTORY) |                               \
     (1ull << MINIPEND_OPERATION_NOTIFY_DIRECTORY) | (1ull << MINIPEND_OPERATION_FS_CONTROL) |                         \
     (1ull << MINIPEND_OPERATION_LOCK))

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
    X(CAPACITY, "capacity", "the driver, or the gate, already holds as many operations as it may")                     \
    X(ALLOCATION, "allocation", "memory for the record or the deferred work item was not to be had")                   \
    X(TOP_LEVEL_IRP, "topLevelIrp", "the thread has a top-level IRP: FltQueueDeferredIoWorkItem refuses that")         \
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
    MINIPEND_COMMAND_LIST_HELD = 4, ///< MINIPEND_LIST_HELD_REQUEST -> MINIPEND_LIST_HELD_REPLY and its entries.
    MINIPEND_COMMAND_RELEASE = 5, ///< MINIPEND_RELEASE_REQUEST -> MINIPEND_RELEASE_REPLY.
    MINIPEND_COMMAND_SUBSCRIBE = 6, ///< MINIPEND_SUBSCRIBE_REQUEST -> MINIPEND_SUBSCRIBE_REPLY.
    MINIPEND_COMMAND_PULL_EVENTS = 7, ///< MINIPEND_PULL_EVENTS_REQUEST -> MINIPEND_PULL_EVENTS_REPLY and its events.
    MINIPEND_COMMAND_LIST_RULES = 8, ///< MINIPEND_LIST_RULES_REQUEST -> MINIPEND_LIST_RULES_REPLY and its entries.
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
    X(RULE_CONDITIONS, "ruleConditions", "a rule has an unknown condition")                                            \
    X(RULE_STATUS, "ruleStatus", "a rule's status filter does not exist, or has a status where it needs none")         \
    X(RULE_FAIL, "ruleFail", "a rule's failing status is not a failure, or does not go with its action or operations") \
    X(RULE_SAMPLING, "ruleSampling", "a rule's probability is above 1,000,000 parts per million")                      \
    X(RULE_CAP, "ruleCap", "a rule's cap on held operations goes only with a gate")                                    \
    X(RULE_PADDING, "rulePadding", "a rule's padding is not zero")                                                     \
    X(RULE_MINORS, "ruleMinors", "a rule selects minor functions of an operation that has no choice of them")          \
    X(SET_COUNT, "setCount", "the connection has as many rule sets as it may")                                         \
    X(SET_PERSIST, "setPersist", "only set 0 can persist, and not with a gate in it")                                  \
    X(RULES_CURSOR, "rulesCursor", "there is no such place in the rule table, or it was named without the table")      \
    X(RULES_CHANGED, "rulesChanged", "the rule table has been replaced since: the listing begins again")               \
    X(FLAGS, "flags", "the command has an unknown flag, or one that does not go with the rest")                        \
    X(HELD_UNKNOWN, "heldUnknown", "no such operation is held: released already, past its deadline, or never there")   \
    X(HELD_FOREIGN, "heldForeign",                                                                                     \
      "the operation is held for another client; the force flag releases it all the same")                             \
    X(RELEASE_WHAT, "releaseWhat", "there is no such way to name what is to be released")                              \
    X(RELEASE_STATUS, "releaseStatus", "the operation may not be given back with this status")                         \
    X(EVENT_KINDS, "eventKinds", "there is no such kind of event")                                                     \
    X(EVENT_RING, "eventRing", "the event ring is too small or too large")                                             \
    X(EVENT_CURSOR, "eventCursor", "the acknowledged event has not been sent yet")                                     \
    X(NOT_SUBSCRIBED, "notSubscribed", "the connection has no event ring")                                             \
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
    MINIPEND_ACTION_WHEN_SAFE = 3, ///< Finish it through FltDoCompletionProcessingWhenSafe.
    MINIPEND_ACTION_SYNCHRONIZE = 4, ///< Have it synchronised with its pre-operation, and hold it in that thread.
} MINIPEND_ACTION;

typedef enum _MINIPEND_QUEUE {
    MINIPEND_QUEUE_NONE = 0, ///< For actions that queue nothing.
    MINIPEND_QUEUE_CRITICAL = 1, ///< CriticalWorkQueue.
    MINIPEND_QUEUE_DELAYED = 2, ///< DelayedWorkQueue.
} MINIPEND_QUEUE;

typedef enum _MINIPEND_HOLD {
    MINIPEND_HOLD_NONE = 0, ///< Given back as soon as the deferred work item has run.
    MINIPEND_HOLD_DELAY = 1, ///< Given back DelayMs milliseconds after the post-operation.
    MINIPEND_HOLD_GATE =
        2, ///< Given back when a client says so, and DelayMs after the post-operation at the latest. Asked before all other rules.
} MINIPEND_HOLD;

/// Flags of a rule.
#define MINIPEND_RULE_KERNEL_MODE 0x1u ///< Also for kernel-mode requestors, left alone by default.
#define MINIPEND_RULE_BOOT_VOLUME 0x2u ///< Also on the volume that holds \SystemRoot, left alone by default.
#define MINIPEND_RULE_PAGING_FILE 0x4u ///< Also for paging files, left alone by default.
#define MINIPEND_RULE_FAST_IO_TO_IRP 0x8u ///< Send matching fast I/O back, so that it comes again as an IRP.
#define MINIPEND_RULE_NAME 0x10u ///< Ask for the name though no pattern needs it: events and held operations show it.
#define MINIPEND_RULE_AUDIT_TOP_LEVEL_IRP 0x20u ///< Call FltQueueDeferredIoWorkItem also when a top-level IRP is set.
#define MINIPEND_RULE_VALID_FLAGS 0x3Fu

/// Conditions of a rule. Of each group, none set means any.
#define MINIPEND_CONDITION_USER_MODE 0x1u ///< Group: requestor mode.
#define MINIPEND_CONDITION_KERNEL_MODE 0x2u
#define MINIPEND_CONDITION_PAGING 0x4u ///< Group: kind of data I/O. Only reads and writes have one.
#define MINIPEND_CONDITION_CACHED 0x8u ///< Neither paging nor non-cached; fast I/O too.
#define MINIPEND_CONDITION_NON_CACHED 0x10u
#define MINIPEND_CONDITION_VALID 0x1Fu

/// Which final statuses a rule is for. Looked at in the post-operation.
typedef enum _MINIPEND_STATUS_FILTER {
    MINIPEND_STATUS_FILTER_ANY = 0,
    MINIPEND_STATUS_FILTER_SUCCESS = 1, ///< NT_SUCCESS
    MINIPEND_STATUS_FILTER_FAILURE = 2, ///< Not NT_SUCCESS
    MINIPEND_STATUS_FILTER_EXACT = 3, ///< MatchStatus
} MINIPEND_STATUS_FILTER;

/// What happens to an operation that a rule selected. X(enumerator, public name, meaning).
#define MINIPEND_EVENT_LIST(X)                                                                                         \
    X(TAKEN, "taken", "it is counted as held; the queue call follows, or the wait")                                    \
    X(PARKED, "parked", "its deferred work item has run, or its wait has begun: it can be released")                   \
    X(RELEASED, "released", "it is about to be given back, for the cause given")                                       \
    X(COMPLETED, "completed", "it has been given back; Status is what it was given back with")                         \
    X(REFUSED, "refused", "it was not pended, for the cause given; after taken, if the queue call refused")

typedef enum _MINIPEND_EVENT_KIND {
#define MINIPEND_X_(Name, Public, What) MINIPEND_EVENT_KIND_##Name,
    MINIPEND_EVENT_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_EVENT_KIND_COUNT
} MINIPEND_EVENT_KIND;

/// Why a held operation was given back. X(enumerator, public name, meaning).
#define MINIPEND_RELEASE_LIST(X)                                                                                       \
    X(DUE, "due", "its delay was over, or it had none")                                                                \
    X(DEADLINE, "deadline", "its gate's deadline was over")                                                            \
    X(CLIENT, "client", "its client released it")                                                                      \
    X(FORCED, "forced", "another client released it by force")                                                         \
    X(GATE_CLOSED, "gateClosed", "its gate was no longer in force when it was taken")                                  \
    X(DISCONNECT, "disconnect", "its client disconnected")                                                             \
    X(CLIENT_THREAD, "clientThread", "a thread that its client named at hello is terminating")                         \
    X(THREAD, "thread", "the thread that issued the operation is terminating")                                         \
    X(TEARDOWN, "teardown", "its instance is being torn down")

typedef enum _MINIPEND_RELEASE_CAUSE {
#define MINIPEND_X_(Name, Public, What) MINIPEND_RELEASE_CAUSE_##Name,
    MINIPEND_RELEASE_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_RELEASE_CAUSE_COUNT
} MINIPEND_RELEASE_CAUSE;

/// What IoGetTopLevelIrp answered in the post-operation. X(enumerator, public name, meaning).
#define MINIPEND_TOP_LEVEL_IRP_LIST(X)                                                                                 \
    X(NONE, "none", "NULL")                                                                                            \
    X(FSP, "fsp", "FSRTL_FSP_TOP_LEVEL_IRP")                                                                           \
    X(CACHE, "cache", "FSRTL_CACHE_TOP_LEVEL_IRP")                                                                     \
    X(MOD_WRITE, "modWrite", "FSRTL_MOD_WRITE_TOP_LEVEL_IRP")                                                          \
    X(FAST_IO, "fastIo", "FSRTL_FAST_IO_TOP_LEVEL_IRP")                                                                \
    X(NETWORK1, "network1", "FSRTL_NETWORK1_TOP_LEVEL_IRP")                                                            \
    X(NETWORK2, "network2", "FSRTL_NETWORK2_TOP_LEVEL_IRP")                                                            \
    X(OTHER, "other", "another value up to FSRTL_MAX_TOP_LEVEL_IRP_FLAG")                                              \
    X(IRP, "irp", "the address of an IRP")

typedef enum _MINIPEND_TOP_LEVEL_IRP {
#define MINIPEND_X_(Name, Public, What) MINIPEND_TOP_LEVEL_IRP_##Name,
    MINIPEND_TOP_LEVEL_IRP_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_TOP_LEVEL_IRP_COUNT
} MINIPEND_TOP_LEVEL_IRP;

/// In whose thread the post-operation ran. X(enumerator, public name, meaning).
#define MINIPEND_THREAD_LIST(X)                                                                                        \
    X(REQUESTOR, "requestor", "the thread that issued the operation")                                                  \
    X(SYSTEM, "system", "a system thread")                                                                             \
    X(ARBITRARY, "arbitrary", "any other thread")

typedef enum _MINIPEND_THREAD {
#define MINIPEND_X_(Name, Public, What) MINIPEND_THREAD_##Name,
    MINIPEND_THREAD_LIST(MINIPEND_X_)
#undef MINIPEND_X_
        MINIPEND_THREAD_COUNT
} MINIPEND_THREAD;

/// States in which a held operation is listed.
typedef enum _MINIPEND_HELD_STATE {
    MINIPEND_HELD_STATE_PARKED = 1, ///< Its deferred work item has run.
    MINIPEND_HELD_STATE_WAITING = 2, ///< Synchronised; its pre-operation's thread waits.
} MINIPEND_HELD_STATE;

/// Seen flags of a held operation or an event.
#define MINIPEND_SEEN_KERNEL_MODE 0x1u ///< RequestorMode was KernelMode.
#define MINIPEND_SEEN_SYNCHRONOUS 0x2u ///< FltIsOperationSynchronous
#define MINIPEND_SEEN_SYSTEM_BUFFER 0x4u ///< FLTFL_CALLBACK_DATA_SYSTEM_BUFFER
#define MINIPEND_SEEN_REISSUED 0x8u ///< FLTFL_CALLBACK_DATA_REISSUED_IO
#define MINIPEND_SEEN_GENERATED 0x10u ///< FLTFL_CALLBACK_DATA_GENERATED_IO
#define MINIPEND_SEEN_NAME_CUT 0x20u ///< Only the end of the name is there.

/// Flags of commands.
#define MINIPEND_SET_RULES_PERSIST                                                                                     \
    0x1u ///< The set stays when the connection goes, until another set 0 with this flag replaces it.
#define MINIPEND_LIST_HELD_OWN 0x1u ///< Only what this connection's rules hold.
#define MINIPEND_LIST_HELD_ARM 0x2u ///< Ring the bell when something is parked after this answer was made.
#define MINIPEND_RELEASE_FORCE 0x1u ///< Also what is held for other clients.
#define MINIPEND_SUBSCRIBE_ALL_CLIENTS 0x1u ///< Events of all clients' rules, not only of this connection's.
#define MINIPEND_PULL_EVENTS_ARM 0x1u ///< Ring the bell when an event is added after this answer was made.

/// What a release command names.
typedef enum _MINIPEND_RELEASE_WHAT {
    MINIPEND_RELEASE_WHAT_ONE = 1, ///< HeldId.
    MINIPEND_RELEASE_WHAT_RULE = 2, ///< SetId and RuleId of this connection.
    MINIPEND_RELEASE_WHAT_SET = 3, ///< SetId of this connection.
    MINIPEND_RELEASE_WHAT_ALL = 4, ///< Everything of this connection; with MINIPEND_RELEASE_FORCE, everything.
} MINIPEND_RELEASE_WHAT;

/// Reasons in MINIPEND_BELL.
#define MINIPEND_BELL_EVENTS 0x1u
#define MINIPEND_BELL_HELD 0x2u

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
    uint32_t MaxDelayMs; ///< Longest delay or gate deadline a rule may ask for.
    uint32_t MaxRules;
    uint32_t MaxSets;
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
    uint32_t DelayMs; ///< Of a delay; of a gate, its deadline, not 0.
    uint32_t Flags; ///< MINIPEND_RULE_*
    uint32_t Conditions; ///< MINIPEND_CONDITION_*
    uint32_t ProcessId; ///< 0: any.
    int32_t MatchStatus; ///< For MINIPEND_STATUS_FILTER_EXACT; else 0.
    uint32_t StatusFilter; ///< MINIPEND_STATUS_FILTER
    int32_t FailStatus; ///< 0: none. Else the failure to give it back with.
    uint32_t EveryNth; ///< Of the operations that fit, one in EveryNth; 0 and 1: all.
    uint32_t AtMost; ///< So many operations, then none; 0: no limit.
    uint32_t ProbabilityPpm; ///< Parts per million; 0: all.
    uint32_t MaxHeld; ///< Of a gate: operations held at once, then `capacity`; 0: no limit of its own.
    uint64_t Seed; ///< Of the probability.
    uint16_t PathBytes; ///< 0: any path.
    uint16_t VolumeBytes; ///< 0: any volume. Else the volume's device name, as in \Device\HarddiskVolume2.
    uint32_t MinorFunctions; ///< Bit n: minor function n; 0: any. Only with MINIPEND_MINOR_OPERATIONS.
} MINIPEND_RULE;

/// Replaces one rule set of the connection. Set 0 is for rules, the others are for gates; a set's rules are tried in order.
typedef struct _MINIPEND_SET_RULES_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint32_t Count; ///< 0 removes the set.
    uint32_t SetId; ///< The client's number for it.
    uint32_t Flags; ///< MINIPEND_SET_RULES_*
    uint32_t Reserved;
} MINIPEND_SET_RULES_REQUEST;

typedef struct _MINIPEND_SET_RULES_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t Generation; ///< Of the driver's whole rule table, after the change.
} MINIPEND_SET_RULES_REPLY;

/// Asks for a stretch of the rule table: sets in the order in which they are asked, each with its rules in their order. Rules come from one table: who
/// goes on after a reply names that reply's TableId, and is told when another table is in force.
typedef struct _MINIPEND_LIST_RULES_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint64_t TableId; ///< 0: of the table in force; then First is 0.
    uint32_t First; ///< Place of the first rule wanted; a reply's Next.
    uint32_t
        MaxEntries; ///< At most; what fits into the reply buffer and MINIPEND_MAX_RULE_ENTRIES limit it too. 0: no entries.
} MINIPEND_LIST_RULES_REQUEST;

/// One rule that is in force, as the driver has compiled it, and what it has done since its set was put into force. Ends as MINIPEND_RULE does: the
/// pattern, the volume name, zeros up to a multiple of 8. Texts are in capitals; a pattern that matches at any depth begins with *\.
/// At rest, of a rule that pends or synchronizes: Selected == Refused + Taken. Always: Selected >= Refused + Taken, Taken >= HeldNow.
typedef struct _MINIPEND_RULE_ENTRY {
    uint32_t SizeBytes; ///< With the texts and the padding.
    uint32_t SetId; ///< Of its connection.
    uint64_t ConnectionId; ///< Whose it is; 0: a persistent set whose client has left.
    uint64_t SetGeneration; ///< Of the command that set it.
    uint32_t ProcessId; ///< Of the client, as it connected; 0: it has left.
    uint32_t SetFlags; ///< MINIPEND_SET_RULES_*
    uint64_t Selected; ///< Operations that it decided about.
    uint64_t Refused; ///< Of these, not done with as its action says, for any MINIPEND_REFUSAL.
    uint64_t Taken; ///< Of these, pended, or held in their own thread.
    uint64_t Fitted; ///< Operations that its sampling was asked about; 0 for a rule without sampling or status filter.
    uint32_t HeldNow; ///< Of Taken, not given back yet.
    uint32_t Applied; ///< Of AtMost, used up.
    MINIPEND_RULE Rule; ///< EveryNth at least 1, ProbabilityPpm 1,000,000 for all.
} MINIPEND_RULE_ENTRY;

typedef struct _MINIPEND_LIST_RULES_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t Time100ns; ///< Interrupt time of this answer.
    uint64_t TableId; ///< Another for every table that was ever in force; 0: none has been yet.
    uint64_t Generation; ///< Of the table, as MINIPEND_COUNTERS_REPLY has it.
    uint32_t RuleCount; ///< In the whole table.
    uint32_t SetCount; ///< In the whole table.
    uint32_t Count; ///< Entries that follow, each of its own length.
    uint32_t Next; ///< Place of the rule after these; RuleCount: there is none.
} MINIPEND_LIST_RULES_REPLY;

/// What the post-operation saw. Part of events and of held operations.
typedef struct _MINIPEND_SEEN {
    uint16_t Irql;
    uint16_t TopLevelIrp; ///< MINIPEND_TOP_LEVEL_IRP
    uint16_t Thread; ///< MINIPEND_THREAD
    uint16_t Flags; ///< MINIPEND_SEEN_*
    uint32_t IrpFlags; ///< IRP_*, 0 for operations that are not IRP-based.
    int32_t Status; ///< IoStatus.Status; in a completed event, what it was given back with.
    uint32_t ProcessId; ///< Of the requestor; 0: not known.
    uint32_t ThreadId;
} MINIPEND_SEEN;

/// Entries come in the order in which they were parked.
typedef struct _MINIPEND_LIST_HELD_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint64_t AfterParkSequence; ///< 0: from the first.
    uint32_t Flags; ///< MINIPEND_LIST_HELD_*
    uint32_t
        MaxEntries; ///< At most; what fits into the reply buffer and MINIPEND_MAX_HELD_ENTRIES limit it too. 0: no entries.
} MINIPEND_LIST_HELD_REQUEST;

typedef struct _MINIPEND_HELD_ENTRY {
    uint64_t HeldId; ///< Unique while the driver is loaded.
    uint64_t ParkSequence;
    uint64_t InstanceId;
    uint64_t ConnectionId; ///< Whose rule it was; 0: a persistent rule.
    uint64_t RuleGeneration;
    uint64_t Taken100ns; ///< Interrupt time of the post-operation.
    uint64_t Due100ns; ///< Interrupt time at which it is given back by itself.
    uint64_t Information; ///< IoStatus.Information
    uint32_t SetId;
    uint32_t RuleId;
    MINIPEND_SEEN Seen;
    uint16_t Operation; ///< MINIPEND_OPERATION
    uint16_t State; ///< MINIPEND_HELD_STATE
    uint16_t Hold; ///< MINIPEND_HOLD
    uint16_t Action; ///< MINIPEND_ACTION
    uint16_t MajorFunction;
    uint16_t MinorFunction;
    uint16_t NameChars; ///< 0: no name was asked for, or none was to be had.
    uint16_t Reserved;
    uint16_t Name[MINIPEND_MAX_NAME_CHARS]; ///< From the volume's root; a zero ends it when it is shorter.
} MINIPEND_HELD_ENTRY;

typedef struct _MINIPEND_LIST_HELD_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t Time100ns; ///< Interrupt time of this answer.
    uint64_t HeldNow; ///< On all instances, for all clients, queued ones too.
    uint32_t Count; ///< Entries that follow.
    uint32_t EntryBytes; ///< sizeof(MINIPEND_HELD_ENTRY) in the driver.
    uint32_t More; ///< 1: there were more than would go into this answer.
    uint32_t Reserved;
} MINIPEND_LIST_HELD_REPLY;

typedef struct _MINIPEND_RELEASE_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint64_t HeldId; ///< For MINIPEND_RELEASE_WHAT_ONE; else 0.
    uint32_t What; ///< MINIPEND_RELEASE_WHAT
    uint32_t Flags; ///< MINIPEND_RELEASE_*
    uint32_t SetId; ///< For MINIPEND_RELEASE_WHAT_RULE and _SET; else 0.
    uint32_t RuleId; ///< For MINIPEND_RELEASE_WHAT_RULE; else 0.
    int32_t Status; ///< 0: as it is. Else the failure to give it back with.
    uint32_t Reserved;
} MINIPEND_RELEASE_REQUEST;

typedef struct _MINIPEND_RELEASE_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint32_t Released; ///< Operations that this command releases.
    uint32_t StatusNotApplied; ///< Of these, how many keep their status, because they may not be failed.
} MINIPEND_RELEASE_REPLY;

/// Makes, changes or ends the connection's event ring. What was in it and not yet acknowledged is dropped; sequence numbers go on.
typedef struct _MINIPEND_SUBSCRIBE_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint32_t Kinds; ///< Bit n: MINIPEND_EVENT_KIND n. 0: no ring any more.
    uint32_t Flags; ///< MINIPEND_SUBSCRIBE_*
    uint32_t RingEvents; ///< Events that the ring holds; 0: MINIPEND_DEFAULT_EVENT_RING.
    uint32_t Reserved;
} MINIPEND_SUBSCRIBE_REQUEST;

typedef struct _MINIPEND_SUBSCRIBE_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t Sequence; ///< Of the last event so far.
    uint32_t RingEvents;
    uint32_t EventBytes; ///< sizeof(MINIPEND_EVENT) in the driver.
} MINIPEND_SUBSCRIBE_REPLY;

/// Events up to Acknowledge leave the ring, the ones after it come. Without acknowledgement the same ones come again.
typedef struct _MINIPEND_PULL_EVENTS_REQUEST {
    MINIPEND_MESSAGE_HEADER Header;
    uint64_t Acknowledge; ///< Sequence of the last event that the client has.
    uint32_t Flags; ///< MINIPEND_PULL_EVENTS_*
    uint32_t MaxEvents; ///< At most; what fits into the reply buffer limits it too.
} MINIPEND_PULL_EVENTS_REQUEST;

typedef struct _MINIPEND_EVENT {
    uint64_t Sequence; ///< Of this client, without gaps but where events were lost.
    uint64_t Time100ns; ///< Interrupt time.
    uint64_t HeldId; ///< 0: refused before it was taken.
    uint64_t InstanceId;
    uint64_t ConnectionId; ///< Whose rule it was; 0: a persistent rule.
    uint64_t RuleGeneration;
    uint32_t SetId;
    uint32_t RuleId;
    MINIPEND_SEEN Seen;
    uint16_t Kind; ///< MINIPEND_EVENT_KIND
    uint16_t Operation; ///< MINIPEND_OPERATION
    uint16_t
        Cause; ///< MINIPEND_REFUSAL of a refused event, MINIPEND_RELEASE_CAUSE of a released or completed one, else 0.
    uint16_t NameChars;
    uint16_t Name[MINIPEND_EVENT_NAME_CHARS]; ///< From the volume's root; a zero ends it when it is shorter.
} MINIPEND_EVENT;

typedef struct _MINIPEND_PULL_EVENTS_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t Time100ns; ///< Interrupt time of this answer.
    uint64_t Lost; ///< Events that found the ring full, since the connection's first ring.
    uint32_t Count; ///< Events that follow.
    uint32_t EventBytes; ///< sizeof(MINIPEND_EVENT) in the driver.
} MINIPEND_PULL_EVENTS_REPLY;

/// The driver's only message of its own (FilterGetMessage, no reply): there is something to ask for. Sent once for each arming.
typedef struct _MINIPEND_BELL {
    uint32_t SizeBytes;
    uint16_t Version;
    uint16_t Reasons; ///< MINIPEND_BELL_*
    uint64_t Count; ///< Bells of this connection so far, this one included.
} MINIPEND_BELL;

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
    uint64_t InFlightHighWater; ///< Most in flight at once; of the retired sum, the largest of one instance.
    uint64_t Waiting; ///< Synchronised operations that wait now.
    uint64_t Failed; ///< Given back with a failure that a rule or a client chose.
} MINIPEND_OPERATION_COUNTERS;

/// The shortest time, in units of 100 ns, that falls into a bucket: 0, 2, 3, 4, 6, 8, 12, 16, ... A bucket ends where the next one begins; the last
/// has no end.
#define MINIPEND_BUCKET_FLOOR_100NS(Bucket) ((Bucket) == 0 ? 0ull : (2ull + ((Bucket) - 1) % 2) << (((Bucket) - 1) / 2))

/// Times of pended operations.
typedef struct _MINIPEND_HISTOGRAMS {
    uint64_t Queue[MINIPEND_HISTOGRAM_BUCKETS]; ///< From the post-operation until its deferred work item ran.
    uint64_t Hold[MINIPEND_HISTOGRAM_BUCKETS]; ///< From the post-operation until it was given back.
} MINIPEND_HISTOGRAMS;

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
    MINIPEND_HISTOGRAMS Histograms[MINIPEND_OPERATION_COUNT];
} MINIPEND_INSTANCE;

typedef struct _MINIPEND_COUNTERS_REPLY {
    MINIPEND_REPLY_HEADER Header;
    uint64_t RuleGeneration;
    uint64_t HeldNow; ///< Operations held at this moment, on all instances.
    uint64_t HeldHighWater; ///< Most held at once since the driver was loaded.
    uint64_t UnexpectedRefusals; ///< contract.unexpectedRefusal
    uint64_t UnexpectedSuccesses; ///< contract.unexpectedSuccess
    uint64_t Time100ns; ///< Interrupt time of this answer.
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
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_RULE) == 88, "MINIPEND_RULE");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_RULE, Seed) == 72, "MINIPEND_RULE.Seed");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_RULE, PathBytes) == 80, "MINIPEND_RULE.PathBytes");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SET_RULES_REQUEST) == 32, "MINIPEND_SET_RULES_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SET_RULES_REPLY) == 40, "MINIPEND_SET_RULES_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_LIST_RULES_REQUEST) == 32, "MINIPEND_LIST_RULES_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_RULE_ENTRY) == 160, "MINIPEND_RULE_ENTRY");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_RULE_ENTRY, Rule) == 72, "MINIPEND_RULE_ENTRY.Rule");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_LIST_RULES_REPLY) == 72, "MINIPEND_LIST_RULES_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SEEN) == 24, "MINIPEND_SEEN");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_LIST_HELD_REQUEST) == 32, "MINIPEND_LIST_HELD_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_HELD_ENTRY) == 632, "MINIPEND_HELD_ENTRY");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_HELD_ENTRY, Seen) == 72, "MINIPEND_HELD_ENTRY.Seen");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_HELD_ENTRY, Name) == 112, "MINIPEND_HELD_ENTRY.Name");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_LIST_HELD_REPLY) == 64, "MINIPEND_LIST_HELD_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_RELEASE_REQUEST) == 48, "MINIPEND_RELEASE_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_RELEASE_REPLY) == 40, "MINIPEND_RELEASE_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SUBSCRIBE_REQUEST) == 32, "MINIPEND_SUBSCRIBE_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_SUBSCRIBE_REPLY) == 48, "MINIPEND_SUBSCRIBE_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_PULL_EVENTS_REQUEST) == 32, "MINIPEND_PULL_EVENTS_REQUEST");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_EVENT) == 256, "MINIPEND_EVENT");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_EVENT, Seen) == 56, "MINIPEND_EVENT.Seen");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_EVENT, Name) == 88, "MINIPEND_EVENT.Name");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_PULL_EVENTS_REPLY) == 56, "MINIPEND_PULL_EVENTS_REPLY");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_BELL) == 16, "MINIPEND_BELL");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_OPERATION_COUNTERS) == 192, "MINIPEND_OPERATION_COUNTERS");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_HISTOGRAMS) == 1024, "MINIPEND_HISTOGRAMS");
MINIPEND_STATIC_ASSERT(offsetof(MINIPEND_INSTANCE, Operations) == 464, "MINIPEND_INSTANCE.Operations");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_INSTANCE) == 464 + (192 + 1024) * MINIPEND_OPERATION_COUNT, "MINIPEND_INSTANCE");
MINIPEND_STATIC_ASSERT(sizeof(MINIPEND_COUNTERS_REPLY) == 96, "MINIPEND_COUNTERS_REPLY");
