// SPDX-License-Identifier: MIT
//
// This module provides: the protocol header as JSON on standard output. It is compiled with the header by the same compiler that
// compiles the driver, so that the TypeScript layout (scripts/generate-protocol.mjs) is measured, never typed.
//
// Invariants: every member of every structure is listed here once. A forgotten one leaves a hole, and the script, which
// allows no holes, stops the build.

#include "minipend_protocol.h"

#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

static bool g_first;

static void separate(void) {
    if (!g_first) {
        putchar(',');
    }
    g_first = false;
}

static void text(const char *value) {
    putchar('"');
    for (; *value != '\0'; ++value) {
        if (*value == '"' || *value == '\\') {
            putchar('\\');
        }
        putchar(*value);
    }
    putchar('"');
}

/// The header's wide literals are ASCII; wchar_t may have 16 or 32 bits.
static void wide(const char *name, const wchar_t *value) {
    char narrow[128];
    size_t length = 0;
    for (; value[length] != L'\0' && length + 1 < sizeof(narrow); ++length) {
        narrow[length] = (char)value[length];
    }
    narrow[length] = '\0';
    separate();
    text(name);
    putchar(':');
    text(narrow);
}

static void number(const char *name, unsigned long long value) {
    separate();
    text(name);
    printf(":%llu", value);
}

static void field(const char *name, size_t offset, size_t bytes, const char *kind) {
    separate();
    printf("{\"name\":\"%s\",\"offset\":%zu,\"bytes\":%zu,\"kind\":\"%s\"}", name, offset, bytes, kind);
}

static void entry(const char *name, const char *what) {
    separate();
    printf("{\"name\":\"%s\",\"what\":", name);
    text(what);
    putchar('}');
}

static void open_named(const char *name, char bracket) {
    separate();
    text(name);
    printf(":%c", bracket);
    g_first = true;
}

static void close_named(char bracket) {
    putchar(bracket);
    g_first = false;
}

/// What one member is: a scalar, an array of scalars (named by its element) or a structure (named by its tag).
#define KIND(Value)                                                                                                    \
    _Generic((Value),                                                                                                  \
        uint16_t: "u16",                                                                                               \
        uint32_t: "u32",                                                                                               \
        uint64_t: "u64",                                                                                               \
        int32_t: "i32",                                                                                                \
        uint16_t *: "u16",                                                                                             \
        uint32_t *: "u32",                                                                                             \
        uint64_t *: "u64",                                                                                             \
        MINIPEND_MESSAGE_HEADER: "MESSAGE_HEADER",                                                                     \
        MINIPEND_REPLY_HEADER: "REPLY_HEADER",                                                                         \
        MINIPEND_RULE: "RULE",                                                                                         \
        MINIPEND_SEEN: "SEEN",                                                                                         \
        MINIPEND_HISTOGRAMS *: "HISTOGRAMS",                                                                           \
        MINIPEND_OPERATION_COUNTERS *: "OPERATION_COUNTERS")

#define STRUCT(Name)                                                                                                   \
    {                                                                                                                  \
        typedef MINIPEND_##Name T;                                                                                     \
        separate();                                                                                                    \
        printf("{\"name\":\"" #Name "\",\"bytes\":%zu,\"fields\":[", sizeof(T));                                       \
        g_first = true;
#define F(Member) field(#Member, offsetof(T, Member), sizeof(((T *)0)->Member), KIND(((T *)0)->Member));
#define END_STRUCT                                                                                                     \
    printf("]}");                                                                                                      \
    g_first = false;                                                                                                   \
    }

// Lists of fields and values: the formatter takes the macros for statements.
// clang-format off
static void rule_structures(void)
{
    STRUCT(MESSAGE_HEADER)
    F(SizeBytes) F(Version) F(Command) F(Token)
    END_STRUCT

    STRUCT(REPLY_HEADER)
    F(SizeBytes) F(Version) F(Command) F(Token) F(Status) F(Detail) F(Index) F(RequiredBytes)
    END_STRUCT

    STRUCT(HELLO_REQUEST)
    F(Header) F(ControlThreadId) F(ScriptThreadId) F(Reserved)
    END_STRUCT

    STRUCT(HELLO_REPLY)
    F(Header) F(ConnectionId) F(DriverVersion) F(OperationCount) F(RefusalCount) F(ProcessorCount) F(MaxHeld)
    F(MaxDelayMs) F(MaxRules) F(MaxSets)
    END_STRUCT

    STRUCT(RULE)
    F(SizeBytes) F(Id) F(Operations) F(Action) F(Queue) F(Hold) F(DelayMs) F(Flags) F(Conditions) F(ProcessId)
    F(MatchStatus) F(StatusFilter) F(FailStatus) F(EveryNth) F(AtMost) F(ProbabilityPpm) F(MaxHeld) F(Seed)
    F(PathBytes) F(VolumeBytes) F(MinorFunctions)
    END_STRUCT

    STRUCT(SET_RULES_REQUEST)
    F(Header) F(Count) F(SetId) F(Flags) F(Reserved)
    END_STRUCT

    STRUCT(SET_RULES_REPLY)
    F(Header) F(Generation)
    END_STRUCT

    STRUCT(LIST_RULES_REQUEST)
    F(Header) F(TableId) F(First) F(MaxEntries)
    END_STRUCT

    STRUCT(RULE_ENTRY)
    F(SizeBytes) F(SetId) F(ConnectionId) F(SetGeneration) F(ProcessId) F(SetFlags) F(Selected) F(Refused) F(Taken)
    F(Fitted) F(HeldNow) F(Applied) F(Rule)
    END_STRUCT

    STRUCT(LIST_RULES_REPLY)
    F(Header) F(Time100ns) F(TableId) F(Generation) F(RuleCount) F(SetCount) F(Count) F(Next)
    END_STRUCT

    STRUCT(SEEN)
    F(Irql) F(TopLevelIrp) F(Thread) F(Flags) F(IrpFlags) F(Status) F(ProcessId) F(ThreadId)
    END_STRUCT
}

static void held_and_event_structures(void)
{
    STRUCT(LIST_HELD_REQUEST)
    F(Header) F(AfterParkSequence) F(Flags) F(MaxEntries)
    END_STRUCT

    STRUCT(HELD_ENTRY)
    F(HeldId) F(ParkSequence) F(InstanceId) F(ConnectionId) F(RuleGeneration) F(Taken100ns) F(Due100ns) F(Information)
    F(SetId) F(RuleId) F(Seen) F(Operation) F(State) F(Hold) F(Action) F(MajorFunction) F(MinorFunction) F(NameChars)
    F(Reserved) F(Name)
    END_STRUCT

    STRUCT(LIST_HELD_REPLY)
    F(Header) F(Time100ns) F(HeldNow) F(Count) F(EntryBytes) F(More) F(Reserved)
    END_STRUCT

    STRUCT(RELEASE_REQUEST)
    F(Header) F(HeldId) F(What) F(Flags) F(SetId) F(RuleId) F(Status) F(Reserved)
    END_STRUCT

    STRUCT(RELEASE_REPLY)
    F(Header) F(Released) F(StatusNotApplied)
    END_STRUCT

    STRUCT(SUBSCRIBE_REQUEST)
    F(Header) F(Kinds) F(Flags) F(RingEvents) F(Reserved)
    END_STRUCT

    STRUCT(SUBSCRIBE_REPLY)
    F(Header) F(Sequence) F(RingEvents) F(EventBytes)
    END_STRUCT

    STRUCT(PULL_EVENTS_REQUEST)
    F(Header) F(Acknowledge) F(Flags) F(MaxEvents)
    END_STRUCT

    STRUCT(EVENT)
    F(Sequence) F(Time100ns) F(HeldId) F(InstanceId) F(ConnectionId) F(RuleGeneration) F(SetId) F(RuleId) F(Seen)
    F(Kind) F(Operation) F(Cause) F(NameChars) F(Name)
    END_STRUCT

    STRUCT(PULL_EVENTS_REPLY)
    F(Header) F(Time100ns) F(Lost) F(Count) F(EventBytes)
    END_STRUCT

    STRUCT(BELL)
    F(SizeBytes) F(Version) F(Reasons) F(Count)
    END_STRUCT
}

static void counter_structures(void)
{
    STRUCT(OPERATION_COUNTERS)
    F(PostOperations) F(Unmatched) F(Observed) F(Pended) F(Completed) F(InFlight) F(WhenSafe) F(Synchronized)
    F(Draining) F(InCallback) F(NameUnavailable) F(FastIoDisallowed) F(Refused) F(InFlightHighWater) F(Waiting)
    F(Failed)
    END_STRUCT

    STRUCT(HISTOGRAMS)
    F(Queue) F(Hold)
    END_STRUCT

    STRUCT(INSTANCE)
    F(InstanceId) F(Flags) F(Reserved) F(Altitude) F(Name) F(Volume) F(Operations) F(Histograms)
    END_STRUCT

    STRUCT(COUNTERS_REPLY)
    F(Header) F(RuleGeneration) F(HeldNow) F(HeldHighWater) F(UnexpectedRefusals) F(UnexpectedSuccesses) F(Time100ns)
    F(InstanceCount) F(InstanceBytes) F(ConnectionCount) F(Reserved)
    END_STRUCT
}

static void lists(void) {
#define MINIPEND_X_(Name, Public, What) entry(Public, What);
    open_named("OPERATIONS", '[');
    MINIPEND_OPERATION_LIST(MINIPEND_X_)
    close_named(']');
    open_named("REFUSALS", '[');
    MINIPEND_REFUSAL_LIST(MINIPEND_X_)
    close_named(']');
    open_named("DETAILS", '[');
    MINIPEND_DETAIL_LIST(MINIPEND_X_)
    close_named(']');
    open_named("EVENTS", '[');
    MINIPEND_EVENT_LIST(MINIPEND_X_)
    close_named(']');
    open_named("RELEASES", '[');
    MINIPEND_RELEASE_LIST(MINIPEND_X_)
    close_named(']');
    open_named("TOP_LEVEL_IRPS", '[');
    MINIPEND_TOP_LEVEL_IRP_LIST(MINIPEND_X_)
    close_named(']');
    open_named("THREADS", '[');
    MINIPEND_THREAD_LIST(MINIPEND_X_)
    close_named(']');
#undef MINIPEND_X_
}

#define V(Prefix, Name) number(#Name, MINIPEND_##Prefix##_##Name);

static void rule_enumerations(void)
{
    open_named("ACTION", '{');
    V(ACTION, OBSERVE) V(ACTION, PEND) V(ACTION, WHEN_SAFE) V(ACTION, SYNCHRONIZE)
    close_named('}');
    open_named("QUEUE", '{');
    V(QUEUE, NONE) V(QUEUE, CRITICAL) V(QUEUE, DELAYED)
    close_named('}');
    open_named("HOLD", '{');
    V(HOLD, NONE) V(HOLD, DELAY) V(HOLD, GATE)
    close_named('}');
    open_named("RULE_FLAG", '{');
    V(RULE, KERNEL_MODE) V(RULE, BOOT_VOLUME) V(RULE, PAGING_FILE) V(RULE, FAST_IO_TO_IRP) V(RULE, NAME)
    V(RULE, AUDIT_TOP_LEVEL_IRP) V(RULE, VALID_FLAGS)
    close_named('}');
    open_named("CONDITION", '{');
    V(CONDITION, USER_MODE) V(CONDITION, KERNEL_MODE) V(CONDITION, PAGING) V(CONDITION, CACHED)
    V(CONDITION, NON_CACHED) V(CONDITION, VALID)
    close_named('}');
    open_named("STATUS_FILTER", '{');
    V(STATUS_FILTER, ANY) V(STATUS_FILTER, SUCCESS) V(STATUS_FILTER, FAILURE) V(STATUS_FILTER, EXACT)
    close_named('}');
}

static void enumerations(void)
{
    open_named("COMMAND", '{');
    V(COMMAND, HELLO) V(COMMAND, COUNTERS) V(COMMAND, SET_RULES) V(COMMAND, LIST_HELD) V(COMMAND, RELEASE)
    V(COMMAND, SUBSCRIBE) V(COMMAND, PULL_EVENTS) V(COMMAND, LIST_RULES)
    close_named('}');
    rule_enumerations();
    open_named("HELD_STATE", '{');
    V(HELD_STATE, PARKED) V(HELD_STATE, WAITING)
    close_named('}');
    open_named("SEEN_FLAG", '{');
    V(SEEN, KERNEL_MODE) V(SEEN, SYNCHRONOUS) V(SEEN, SYSTEM_BUFFER) V(SEEN, REISSUED) V(SEEN, GENERATED)
    V(SEEN, NAME_CUT)
    close_named('}');
    open_named("SET_RULES_FLAG", '{');
    V(SET_RULES, PERSIST)
    close_named('}');
    open_named("LIST_HELD_FLAG", '{');
    V(LIST_HELD, OWN) V(LIST_HELD, ARM)
    close_named('}');
    open_named("RELEASE_FLAG", '{');
    V(RELEASE, FORCE)
    close_named('}');
    open_named("SUBSCRIBE_FLAG", '{');
    V(SUBSCRIBE, ALL_CLIENTS)
    close_named('}');
    open_named("PULL_EVENTS_FLAG", '{');
    V(PULL_EVENTS, ARM)
    close_named('}');
    open_named("RELEASE_WHAT", '{');
    V(RELEASE_WHAT, ONE) V(RELEASE_WHAT, RULE) V(RELEASE_WHAT, SET) V(RELEASE_WHAT, ALL)
    close_named('}');
    open_named("BELL_REASON", '{');
    V(BELL, EVENTS) V(BELL, HELD)
    close_named('}');
    open_named("INSTANCE_FLAG", '{');
    V(INSTANCE, BOOT_VOLUME) V(INSTANCE, TEARING_DOWN) V(INSTANCE, RETIRED)
    close_named('}');
    open_named("LIMIT", '{');
    V(MAX, RULES) V(MAX, MESSAGE_BYTES) V(MAX, PATTERN_CHARS) V(MAX, VOLUME_CHARS) V(MAX, ALTITUDE_CHARS)
    V(MAX, INSTANCE_NAME_CHARS) V(MAX, SETS) V(MAX, NAME_CHARS) number("EVENT_NAME_CHARS", MINIPEND_EVENT_NAME_CHARS); V(MAX, HELD_ENTRIES) V(MAX, RULE_ENTRIES)
    number("MIN_EVENT_RING", MINIPEND_MIN_EVENT_RING); number("MAX_EVENT_RING", MINIPEND_MAX_EVENT_RING); number("DEFAULT_EVENT_RING", MINIPEND_DEFAULT_EVENT_RING); number("DEFAULT_GATE_MS", MINIPEND_DEFAULT_GATE_MS);
    number("HISTOGRAM_BUCKETS", MINIPEND_HISTOGRAM_BUCKETS);
    close_named('}');
}

// clang-format on

/// 64-bit numbers, but the largest is 2^32: JSON keeps them exactly.
static void histogram_floors(void) {
    separate();
    text("HISTOGRAM_FLOORS_100NS");
    putchar(':');
    for (unsigned bucket = 0; bucket < MINIPEND_HISTOGRAM_BUCKETS; ++bucket) {
        printf("%c%llu", bucket == 0 ? '[' : ',', (unsigned long long)MINIPEND_BUCKET_FLOOR_100NS(bucket));
    }
    putchar(']');
}

int main(void) {
    g_first = true;
    putchar('{');
    wide("PORT_NAME", MINIPEND_PORT_NAME);
    wide("FILTER_NAME", MINIPEND_FILTER_NAME);
    number("PROTOCOL_VERSION", MINIPEND_PROTOCOL_VERSION);
    separate();
    printf("\"DRIVER_VERSION\":[%d,%d,%d]", MINIPEND_DRIVER_VERSION_MAJOR, MINIPEND_DRIVER_VERSION_MINOR,
           MINIPEND_DRIVER_VERSION_PATCH);
    histogram_floors();
    open_named("lists", '{');
    lists();
    close_named('}');
    open_named("enums", '{');
    enumerations();
    close_named('}');
    open_named("structs", '[');
    rule_structures();
    held_and_event_structures();
    counter_structures();
    close_named(']');
    printf("}\n");
    return ferror(stdout) != 0;
}
