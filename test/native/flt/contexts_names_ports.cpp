// SPDX-License-Identifier: MIT
//
// This module provides: tests of contexts, names, instance information and communication ports [CTX-*, NAME-*, PORT-*, MSGN-*].

#include <cstring>

#include "flt/recorder.hpp"

#include "core/readings.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

constexpr SIZE_T kBytes = 24;
int g_cleanups = 0;

void FLTAPI on_cleanup(PFLT_CONTEXT, FLT_CONTEXT_TYPE) {
    ++g_cleanups;
}

FLT_CONTEXT_REGISTRATION definition(FLT_CONTEXT_TYPE type) {
    FLT_CONTEXT_REGISTRATION result{};
    result.ContextType = type;
    result.ContextCleanupCallback = on_cleanup;
    result.Size = kBytes;
    result.PoolTag = 0x74657374;
    return result;
}

std::string with_contexts(const std::function<void(Bench &, Driver &, PFLT_INSTANCE)> &fn) {
    g_cleanups = 0;
    return run([&](Bench &bench) {
        Driver driver(u"one");
        driver.contexts = {definition(FLT_INSTANCE_CONTEXT), definition(FLT_STREAMHANDLE_CONTEXT)};
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
        PFLT_INSTANCE instance = nullptr;
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            instance = objects->Instance;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ));
        fn(bench, driver, instance);
        if (driver.filter) {
            CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
        }
    });
}

} // namespace

TEST(instance_context_life) {
    const std::string report = with_contexts([](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
        PFLT_CONTEXT context = nullptr;
        CHECK_EQ(FltAllocateContext(driver.filter, FLT_INSTANCE_CONTEXT, kBytes + 1, NonPagedPoolNx, &context),
                 STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND);
        CHECK_EQ(FltAllocateContext(driver.filter, FLT_FILE_CONTEXT, kBytes, NonPagedPoolNx, &context),
                 STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND);
        CHECK_EQ(FltGetInstanceContext(instance, &context), STATUS_NOT_FOUND);
        CHECK_EQ(FltAllocateContext(driver.filter, FLT_INSTANCE_CONTEXT, kBytes, NonPagedPoolNx, &context),
                 STATUS_SUCCESS);
        CHECK_EQ(FltSetInstanceContext(instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr), STATUS_SUCCESS);
        PFLT_CONTEXT second = nullptr;
        PFLT_CONTEXT old = nullptr;
        CHECK_EQ(FltAllocateContext(driver.filter, FLT_INSTANCE_CONTEXT, kBytes, NonPagedPoolNx, &second),
                 STATUS_SUCCESS);
        CHECK_EQ(FltSetInstanceContext(instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, &old),
                 STATUS_FLT_CONTEXT_ALREADY_LINKED);
        CHECK_EQ(FltSetInstanceContext(instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, second, &old),
                 STATUS_FLT_CONTEXT_ALREADY_DEFINED);
        CHECK(old == context);
        FltReleaseContext(old);
        CHECK_EQ(FltSetInstanceContext(instance, FLT_SET_CONTEXT_REPLACE_IF_EXISTS, second, nullptr), STATUS_SUCCESS);
        CHECK_EQ(g_cleanups, 0);
        FltReleaseContext(context);
        CHECK_EQ(g_cleanups, 1);
        FltReleaseContext(second);
        CHECK_EQ(FltGetInstanceContext(instance, &old), STATUS_SUCCESS);
        CHECK(old == second);
        FltReleaseContext(old);
        CHECK_EQ(g_cleanups, 1);
        CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
        CHECK_EQ(g_cleanups, 2);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(context_mistakes) {
    const auto rule = [](const std::function<void(PFLT_FILTER, PFLT_INSTANCE)> &fn) {
        return with_contexts([&](Bench &, Driver &driver, PFLT_INSTANCE instance) { fn(driver.filter, instance); });
    };
    const auto allocate = [](PFLT_FILTER filter) {
        PFLT_CONTEXT context = nullptr;
        CHECK_EQ(FltAllocateContext(filter, FLT_INSTANCE_CONTEXT, kBytes, NonPagedPoolNx, &context), STATUS_SUCCESS);
        return context;
    };
    CHECK(check::stopped_on(rule([&](PFLT_FILTER filter, PFLT_INSTANCE) {
                                const PFLT_CONTEXT context = allocate(filter);
                                FltReleaseContext(context);
                                FltReleaseContext(context);
                            }),
                            "F5/6E"));
    CHECK(check::stopped_on(rule([&](PFLT_FILTER filter, PFLT_INSTANCE instance) {
                                const PFLT_CONTEXT context = allocate(filter);
                                FltSetInstanceContext(instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr);
                                FltReleaseContext(context);
                                FltReleaseContext(context);
                            }),
                            "F5/6D"));
    CHECK(check::contains(rule([&](PFLT_FILTER filter, PFLT_INSTANCE) { allocate(filter); }), "not released (V10)"));
}

TEST(names) {
    const std::string report = run([](Bench &bench) {
        Driver driver(u"one");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
        std::map<std::string, NTSTATUS> seen;
        std::string now;
        driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            PFLT_FILE_NAME_INFORMATION name = nullptr;
            seen[now] = FltGetFileNameInformation(data, FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &name);
            if (NT_SUCCESS(seen[now])) {
                CHECK_EQ(FltParseFileNameInformation(name), STATUS_SUCCESS);
                const auto text = [](const UNICODE_STRING &part) {
                    return std::u16string(reinterpret_cast<const char16_t *>(part.Buffer),
                                          part.Length / sizeof(char16_t));
                };
                CHECK(text(name->Name) == u"\\Device\\TestVolume\\dir\\file.txt");
                CHECK(text(name->Volume) == u"\\Device\\TestVolume");
                CHECK(text(name->ParentDir) == u"\\dir\\");
                CHECK(text(name->FinalComponent) == u"file.txt");
                CHECK(text(name->Extension) == u"txt");
                CHECK_EQ(name->Stream.Length, 0);
                FltReleaseFileNameInformation(name);
            }
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        now = "create";
        bench.send(bench.operation(IRP_MJ_CREATE));
        now = "read";
        bench.send(bench.operation(IRP_MJ_READ));
        now = "paging";
        bench.send(bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_PAGING_IO));
        now = "flush";
        bench.send_inline(bench.operation(static_cast<UCHAR>(IRP_MJ_ACQUIRE_FOR_CC_FLUSH), io::Form::FsFilter));
        now = "tli";
        executing().top_level_irp = &bench;
        bench.send(bench.operation(IRP_MJ_READ));
        executing().top_level_irp = nullptr;
        now = "cleaned";
        bench.file->cleanup_done = true;
        bench.send(bench.operation(IRP_MJ_READ));
        bench.file->cleanup_done = false;
        CHECK_EQ(seen["create"], STATUS_SUCCESS);
        CHECK_EQ(seen["read"], STATUS_SUCCESS);
        for (const char *unsafe : {"paging", "flush", "tli", "cleaned"}) {
            CHECK_EQ(seen[unsafe], STATUS_FLT_INVALID_NAME_REQUEST);
        }
        bench.unload(driver);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(instance_information) {
    const std::string report = run([](Bench &bench) {
        Driver driver(u"one", u"12.50");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            ULONG needed = 0;
            CHECK_EQ(FltGetInstanceInformation(objects->Instance, InstanceFullInformation, nullptr, 0, &needed),
                     STATUS_BUFFER_TOO_SMALL);
            alignas(8) char buffer[512];
            CHECK(needed <= sizeof buffer);
            CHECK_EQ(FltGetInstanceInformation(objects->Instance, InstanceFullInformation, buffer, needed, &needed),
                     STATUS_SUCCESS);
            const auto *full = reinterpret_cast<PINSTANCE_FULL_INFORMATION>(buffer);
            const std::u16string altitude(reinterpret_cast<const char16_t *>(buffer + full->AltitudeBufferOffset),
                                          full->AltitudeLength / 2);
            CHECK(altitude == u"12.50");
            ULONG bytes = 0;
            CHECK_EQ(FltGetVolumeName(objects->Volume, nullptr, &bytes), STATUS_BUFFER_TOO_SMALL);
            CHECK_EQ(bytes, 36u);
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ));
        bench.unload(driver);
    });
    CHECK_EQ(rule_of(report), std::string());
}

namespace {

struct PortScript {
    Driver *driver = nullptr;
    PFLT_PORT server = nullptr;
    PFLT_PORT client = nullptr;
    int disconnects = 0;
    NTSTATUS connect_status = STATUS_SUCCESS;
    bool close_client = true;
} g_port;

NTSTATUS FLTAPI on_connect(PFLT_PORT port, PVOID, PVOID context, ULONG bytes, PVOID *cookie) {
    CHECK(bytes == 0 || *static_cast<const char *>(context) == 'c');
    *cookie = &g_port;
    if (NT_SUCCESS(g_port.connect_status)) {
        g_port.client = port;
    }
    return g_port.connect_status;
}

void FLTAPI on_disconnect(PVOID cookie) {
    CHECK(cookie == &g_port);
    ++g_port.disconnects;
    if (g_port.close_client) {
        FltCloseClientPort(g_port.driver->filter, &g_port.client);
        CHECK(g_port.client == nullptr);
    }
}

NTSTATUS FLTAPI on_message(PVOID cookie, PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG returned) {
    CHECK(cookie == &g_port);
    *returned = std::min(in_bytes, out_bytes);
    std::memcpy(out, in, *returned);
    return STATUS_SUCCESS;
}

NTSTATUS create_port(PFLT_FILTER filter, ULONG attributes, LONG connections, PFLT_PORT *port) {
    static char16_t name[] = u"\\TestPort";
    UNICODE_STRING text{sizeof name - 2, sizeof name, reinterpret_cast<PWCH>(name)};
    PSECURITY_DESCRIPTOR descriptor = nullptr;
    CHECK_EQ(FltBuildDefaultSecurityDescriptor(&descriptor, FLT_PORT_ALL_ACCESS), STATUS_SUCCESS);
    OBJECT_ATTRIBUTES object{};
    object.Length = sizeof object;
    object.ObjectName = &text;
    object.Attributes = attributes;
    object.SecurityDescriptor = descriptor;
    const NTSTATUS status =
        FltCreateCommunicationPort(filter, port, &object, nullptr, on_connect, on_disconnect, on_message, connections);
    FltFreeSecurityDescriptor(descriptor);
    return status;
}

std::string with_port(const std::function<void(Bench &, Driver &)> &fn, bool close_server = true) {
    g_port = PortScript{};
    return run([&](Bench &bench) {
        Driver driver(u"one");
        g_port.driver = &driver;
        driver.unload = [&](ULONG) -> NTSTATUS {
            if (close_server) {
                FltCloseCommunicationPort(g_port.server);
            }
            FltUnregisterFilter(driver.filter);
            driver.filter = nullptr;
            return STATUS_SUCCESS;
        };
        driver.after_register = [&] {
            PFLT_PORT port = nullptr;
            CHECK_EQ(create_port(driver.filter, OBJ_CASE_INSENSITIVE, 1, &port), STATUS_INVALID_PARAMETER);
            CHECK_EQ(create_port(driver.filter, OBJ_KERNEL_HANDLE, 0, &port), STATUS_INVALID_PARAMETER);
            const NTSTATUS status =
                create_port(driver.filter, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, 1, &g_port.server);
            CHECK_EQ(create_port(driver.filter, OBJ_KERNEL_HANDLE, 1, &port), STATUS_OBJECT_NAME_COLLISION);
            return status;
        };
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        fn(bench, driver);
        bench.unload(driver);
    });
}

NTSTATUS connect(Bench &bench, std::shared_ptr<Object> *port, const char *context = nullptr) {
    KernelCall call("FilterConnectCommunicationPort");
    return bench.world.flt->connect_port(u"\\testport", context, context ? 1 : 0, port);
}

void close(std::shared_ptr<Object> &port) {
    KernelCall call("NtClose");
    port->last_handle_closed();
    port.reset();
}

} // namespace

/// What a client is told that is one too many [PORT-05].
TEST(connection_limit_by_each_reading) {
    constexpr std::pair<const char *, ULONG> ANSWERS[] = {
        {"count-limit", 0xC0000246}, {"refused", 0xC0000236}, {"access-denied", 0xC0000022}};
    for (const auto &[value, status] : ANSWERS) {
        with_port([value = value, status = status](Bench &bench, Driver &) {
            CHECK_EQ(bench.world.readings->set("connection-limit", value), std::string());
            std::shared_ptr<Object> port;
            std::shared_ptr<Object> other;
            CHECK_EQ(connect(bench, &port), STATUS_SUCCESS);
            CHECK_EQ(static_cast<ULONG>(connect(bench, &other)), status);
            close(port);
        });
    }
}

TEST(port_life) {
    const std::string report = with_port([](Bench &bench, Driver &) {
        std::shared_ptr<Object> port;
        std::shared_ptr<Object> other;
        CHECK_EQ(connect(bench, &port, "c"), STATUS_SUCCESS);
        CHECK_EQ(connect(bench, &other), STATUS_CONNECTION_COUNT_LIMIT);
        char in[4] = "abc";
        char out[4] = {};
        uint32_t returned = 0;
        {
            KernelCall call("FilterSendMessage");
            CHECK_EQ(bench.world.flt->send_message(*port, in, 4, out, 4, &returned), STATUS_SUCCESS);
            CHECK_EQ(returned, 4u);
            CHECK(std::strcmp(out, "abc") == 0);
            CHECK_EQ(bench.world.flt->send_message(*port, in, 4, nullptr, 4, &returned), STATUS_ACCESS_VIOLATION);
            CHECK_EQ(returned, 0u);
        }
        close(port);
        CHECK_EQ(g_port.disconnects, 1);
        g_port.connect_status = STATUS_ACCESS_DENIED;
        CHECK_EQ(connect(bench, &port), STATUS_ACCESS_DENIED);
        g_port.connect_status = STATUS_SUCCESS;
        CHECK_EQ(connect(bench, &port), STATUS_SUCCESS); // the place is free again
        close(port);
        CHECK_EQ(g_port.disconnects, 2);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(unload_disconnects) {
    std::shared_ptr<Object> port;
    const std::string report = with_port([&](Bench &bench, Driver &driver) {
        CHECK_EQ(connect(bench, &port), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
        CHECK_EQ(g_port.disconnects, 1);
        close(port); // nothing is left to do
        CHECK_EQ(g_port.disconnects, 1);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(open_port_at_unregister_is_v17) {
    const std::string report = with_port(
        [&](Bench &bench, Driver &driver) {
            std::shared_ptr<Object> port;
            CHECK_EQ(connect(bench, &port), STATUS_SUCCESS);
            bench.unload(driver);
        },
        false);
    CHECK(check::stopped_on(report, "V17"));
}

} // namespace MINIPEND_TEST_FILE
