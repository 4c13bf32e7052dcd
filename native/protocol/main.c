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
static void structures(void)
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
    F(MaxDelayMs) F(MaxRules) F(Reserved)
    END_STRUCT

    STRUCT(RULE)
    F(SizeBytes) F(Id) F(Operations) F(Action) F(Queue) F(Hold) F(DelayMs) F(Flags) F(PathBytes) F(VolumeBytes)
    END_STRUCT

    STRUCT(SET_RULES_REQUEST)
    F(Header) F(Count) F(Reserved)
    END_STRUCT

    STRUCT(SET_RULES_REPLY)
    F(Header) F(Generation)
    END_STRUCT

    STRUCT(OPERATION_COUNTERS)
    F(PostOperations) F(Unmatched) F(Observed) F(Pended) F(Completed) F(InFlight) F(WhenSafe) F(Synchronized)
    F(Draining) F(InCallback) F(NameUnavailable) F(FastIoDisallowed) F(Refused) F(Reserved)
    END_STRUCT

    STRUCT(INSTANCE)
    F(InstanceId) F(Flags) F(Reserved) F(Altitude) F(Name) F(Volume) F(Operations)
    END_STRUCT

    STRUCT(COUNTERS_REPLY)
    F(Header) F(RuleGeneration) F(HeldNow) F(HeldHighWater) F(UnexpectedRefusals) F(InstanceCount) F(InstanceBytes)
    F(ConnectionCount) F(Reserved)
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
#undef MINIPEND_X_
}

#define V(Prefix, Name) number(#Name, MINIPEND_##Prefix##_##Name);

static void enumerations(void)
{
    open_named("COMMAND", '{');
    V(COMMAND, HELLO) V(COMMAND, COUNTERS) V(COMMAND, SET_RULES)
    close_named('}');
    open_named("ACTION", '{');
    V(ACTION, OBSERVE) V(ACTION, PEND)
    close_named('}');
    open_named("QUEUE", '{');
    V(QUEUE, NONE) V(QUEUE, CRITICAL) V(QUEUE, DELAYED)
    close_named('}');
    open_named("HOLD", '{');
    V(HOLD, NONE) V(HOLD, DELAY)
    close_named('}');
    open_named("RULE_FLAG", '{');
    V(RULE, KERNEL_MODE) V(RULE, BOOT_VOLUME) V(RULE, PAGING_FILE) V(RULE, FAST_IO_TO_IRP) V(RULE, VALID_FLAGS)
    close_named('}');
    open_named("INSTANCE_FLAG", '{');
    V(INSTANCE, BOOT_VOLUME) V(INSTANCE, TEARING_DOWN) V(INSTANCE, RETIRED)
    close_named('}');
    open_named("LIMIT", '{');
    V(MAX, RULES) V(MAX, MESSAGE_BYTES) V(MAX, PATTERN_CHARS) V(MAX, VOLUME_CHARS) V(MAX, ALTITUDE_CHARS)
    V(MAX, INSTANCE_NAME_CHARS)
    close_named('}');
}

// clang-format on

int main(void) {
    g_first = true;
    putchar('{');
    wide("PORT_NAME", MINIPEND_PORT_NAME);
    wide("FILTER_NAME", MINIPEND_FILTER_NAME);
    number("PROTOCOL_VERSION", MINIPEND_PROTOCOL_VERSION);
    separate();
    printf("\"DRIVER_VERSION\":[%d,%d,%d]", MINIPEND_DRIVER_VERSION_MAJOR, MINIPEND_DRIVER_VERSION_MINOR,
           MINIPEND_DRIVER_VERSION_PATCH);
    open_named("lists", '{');
    lists();
    close_named('}');
    open_named("enums", '{');
    enumerations();
    close_named('}');
    open_named("structs", '[');
    structures();
    close_named(']');
    printf("}\n");
    return ferror(stdout) != 0;
}
