// SPDX-License-Identifier: MIT
//
// This module provides: tests of contexts in memory of the driver's own routines (ContextAllocateCallback, ContextFreeCallback), of transactions, which
// there are none of, and of pool that is aligned for a device.

#include "flt/recorder.hpp"

#include "core/faults.hpp"
#include "ke/pool.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;
using check::contains;

namespace {

constexpr ULONG TAG = 0x74786374;

struct Calls {
    int allocated = 0;
    int cleaned = 0;
    int freed = 0;
    SIZE_T bytes = 0;
    POOL_TYPE pool = MaxPoolType;
    FLT_CONTEXT_TYPE type = 0;
    void *memory = nullptr;
    void *cleaned_body = nullptr;
    std::function<PVOID(SIZE_T)> allocate;
    bool keep = false; ///< the free routine frees nothing
};
Calls g_calls;

PVOID FLTAPI on_allocate(POOL_TYPE pool, SIZE_T bytes, FLT_CONTEXT_TYPE type) {
    ++g_calls.allocated;
    g_calls.bytes = bytes;
    g_calls.pool = pool;
    g_calls.type = type;
    g_calls.memory = g_calls.allocate ? g_calls.allocate(bytes) : ExAllocatePoolWithTag(pool, bytes, TAG);
    return g_calls.memory;
}

void FLTAPI on_cleanup(PFLT_CONTEXT context, FLT_CONTEXT_TYPE type) {
    CHECK_EQ(g_calls.freed, g_calls.cleaned); // before the memory goes
    CHECK_EQ(type, g_calls.type);
    ++g_calls.cleaned;
    g_calls.cleaned_body = context;
}

void FLTAPI on_free(PVOID memory, FLT_CONTEXT_TYPE type) {
    CHECK_EQ(type, g_calls.type);
    CHECK(memory == g_calls.memory);
    CHECK(KeGetCurrentIrql() <= APC_LEVEL);
    ++g_calls.freed;
    if (!g_calls.keep) {
        ExFreePoolWithTag(memory, TAG);
    }
}

FLT_CONTEXT_REGISTRATION own(FLT_CONTEXT_TYPE type) {
    FLT_CONTEXT_REGISTRATION definition{};
    definition.ContextType = type;
    definition.ContextCleanupCallback = on_cleanup;
    definition.ContextAllocateCallback = on_allocate;
    definition.ContextFreeCallback = on_free;
    return definition;
}

FLT_CONTEXT_REGISTRATION plain(FLT_CONTEXT_TYPE type) {
    FLT_CONTEXT_REGISTRATION definition{};
    definition.ContextType = type;
    definition.Size = 16;
    definition.PoolTag = TAG;
    return definition;
}

/// A driver with these contexts on one instance.
std::string with(const std::vector<FLT_CONTEXT_REGISTRATION> &contexts,
                 const std::function<void(Bench &, Driver &, PFLT_INSTANCE)> &fn) {
    g_calls = Calls{};
    return run([&](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        driver->contexts = contexts;
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        PFLT_INSTANCE instance = nullptr;
        driver->pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            CHECK(objects->Transaction == nullptr);
            instance = objects->Instance;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ));
        driver->pre = nullptr;
        fn(bench, *driver, instance);
        if (driver->filter) {
            bench.unload(*driver);
        }
    });
}

std::string with_instance_context(const std::function<void(Bench &, Driver &, PFLT_INSTANCE)> &fn) {
    return with({own(FLT_INSTANCE_CONTEXT)}, fn);
}

PFLT_CONTEXT allocated(Driver &driver, SIZE_T bytes = 24, POOL_TYPE pool = NonPagedPoolNx) {
    PFLT_CONTEXT context = nullptr;
    CHECK_EQ(FltAllocateContext(driver.filter, FLT_INSTANCE_CONTEXT, bytes, pool, &context), STATUS_SUCCESS);
    return context;
}

} // namespace

TEST(context_memory_is_the_drivers) {
    const std::string report = with_instance_context([](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
        for (const SIZE_T bytes : {24u, 100u}) { // Size in the registration does not count
            const int before = g_calls.freed;
            PFLT_CONTEXT context = allocated(driver, bytes, PagedPool);
            CHECK_EQ(g_calls.pool, PagedPool);
            CHECK_EQ(g_calls.type, FLT_INSTANCE_CONTEXT);
            CHECK(g_calls.bytes > bytes); // the Filter Manager's part is in it
            auto *const memory = static_cast<char *>(g_calls.memory);
            CHECK(static_cast<char *>(context) > memory);
            CHECK(static_cast<char *>(context) + bytes == memory + g_calls.bytes);
            std::memset(context, 0, bytes);
            CHECK_EQ(FltSetInstanceContext(instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr), STATUS_SUCCESS);
            FltReleaseContext(context);
            CHECK_EQ(g_calls.freed, before);
            CHECK_EQ(FltDeleteInstanceContext(instance, nullptr), STATUS_SUCCESS);
            CHECK_EQ(g_calls.cleaned, before + 1);
            CHECK_EQ(g_calls.freed, before + 1);
            CHECK(g_calls.cleaned_body == context);
        }
        // The last reference at DISPATCH_LEVEL: the routines run below it, later.
        PFLT_CONTEXT context = allocated(driver);
        {
            IrqlScope dispatch(DISPATCH_LEVEL);
            FltReleaseContext(context);
        }
        CHECK(bench.wait_until([] { return g_calls.freed == 3; }));
        // And with the instance.
        context = allocated(driver);
        CHECK_EQ(FltSetInstanceContext(instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, context, nullptr), STATUS_SUCCESS);
        FltReleaseContext(context);
        CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
        CHECK_EQ(g_calls.freed, 4);
        // Without memory.
        g_calls.allocate = [](SIZE_T) { return nullptr; };
        context = &driver;
        CHECK_EQ(FltAllocateContext(driver.filter, FLT_INSTANCE_CONTEXT, 8, NonPagedPoolNx, &context),
                 STATUS_INSUFFICIENT_RESOURCES);
        CHECK(context == nullptr);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(contains(report, "\"leaks\":[]"));
}

TEST(context_memory_registration) {
    const auto loads = [](const std::vector<FLT_CONTEXT_REGISTRATION> &contexts) {
        NTSTATUS status = STATUS_SUCCESS;
        const std::string report = run([&](Bench &bench) {
            Driver driver(u"one");
            driver.contexts = contexts;
            status = driver.load(bench.world);
        });
        CHECK_EQ(rule_of(report), std::string());
        return status;
    };
    CHECK_EQ(loads({own(FLT_INSTANCE_CONTEXT), own(FLT_STREAM_CONTEXT)}), STATUS_SUCCESS);
    CHECK_EQ(loads({own(FLT_INSTANCE_CONTEXT), plain(FLT_STREAM_CONTEXT)}), STATUS_SUCCESS);
    // Who has a routine for a type has no other definition of it.
    CHECK_EQ(loads({own(FLT_INSTANCE_CONTEXT), own(FLT_INSTANCE_CONTEXT)}), STATUS_FLT_INVALID_CONTEXT_REGISTRATION);
    CHECK_EQ(loads({own(FLT_INSTANCE_CONTEXT), plain(FLT_INSTANCE_CONTEXT)}), STATUS_FLT_INVALID_CONTEXT_REGISTRATION);
    CHECK_EQ(loads({plain(FLT_INSTANCE_CONTEXT), own(FLT_INSTANCE_CONTEXT)}), STATUS_FLT_INVALID_CONTEXT_REGISTRATION);
    CHECK_EQ(loads({plain(FLT_INSTANCE_CONTEXT), plain(FLT_INSTANCE_CONTEXT)}), STATUS_SUCCESS);
    FLT_CONTEXT_REGISTRATION half = own(FLT_INSTANCE_CONTEXT);
    half.ContextFreeCallback = nullptr;
    CHECK_EQ(rule_of(run([&](Bench &bench) {
                 static auto &left = *new std::vector<Driver *>;
                 Driver *driver = left.emplace_back(new Driver(u"one"));
                 driver->contexts = {half};
                 driver->load(bench.world);
             })),
             std::string("UNMODELLED"));
}

TEST(context_memory_mistakes) {
    const auto rule = [](const std::function<void(Driver &)> &fn) {
        return rule_of(with_instance_context([&](Bench &, Driver &driver, PFLT_INSTANCE) { fn(driver); }));
    };
    const std::string header = "CTX header of a context";
    CHECK_EQ(rule([&](Driver &driver) {
                 auto *const context = static_cast<char *>(allocated(driver));
                 context[-1] = 0; // before its beginning
                 FltReleaseContext(context);
             }),
             header);
    CHECK_EQ(rule([&](Driver &driver) {
                 const PFLT_CONTEXT context = allocated(driver);
                 ExFreePoolWithTag(g_calls.memory, TAG); // it is the Filter Manager's until it is given back
                 FltReleaseContext(context);
             }),
             header);
    const std::string memory = "CTX memory for a context";
    CHECK_EQ(rule([&](Driver &driver) {
                 allocated(driver);
                 g_calls.allocate = [](SIZE_T) { return g_calls.memory; };
                 allocated(driver);
             }),
             memory);
    CHECK_EQ(rule([&](Driver &driver) {
                 g_calls.allocate = [](SIZE_T bytes) {
                     return static_cast<char *>(ExAllocatePoolWithTag(NonPagedPoolNx, bytes + 8, TAG)) + 8;
                 };
                 allocated(driver);
             }),
             memory);
    CHECK_EQ(rule([&](Driver &driver) {
                 const PFLT_CONTEXT context = allocated(driver);
                 FltReleaseContext(context);
                 FltReleaseContext(context);
             }),
             std::string("F5/6E context referenced after free"));
    // Forgotten by the free routine: the pool's leak.
    std::string report = with_instance_context([](Bench &, Driver &driver, PFLT_INSTANCE) {
        g_calls.keep = true;
        FltReleaseContext(allocated(driver));
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(contains(report, "pool tag 'tcxt': 1 blocks"));
    // Never released: the filter's leak, and the routines are not called.
    report = with_instance_context([](Bench &, Driver &driver, PFLT_INSTANCE) { allocated(driver); });
    CHECK(contains(report, "1 instance context(s) were not released (V10)"));
    CHECK(contains(report, "pool tag 'tcxt': 1 blocks"));
    CHECK_EQ(g_calls.freed + g_calls.cleaned, 0);
}

namespace {

NTSTATUS FLTAPI on_transaction(PCFLT_RELATED_OBJECTS, PFLT_CONTEXT, ULONG) {
    CHECK(false);
    return STATUS_SUCCESS;
}

} // namespace

TEST(a_filter_of_transactions_is_loaded) {
    const std::string report = run([](Bench &bench) {
        Driver driver(u"one");
        driver.transaction = on_transaction;
        driver.contexts = {plain(FLT_TRANSACTION_CONTEXT)};
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
        driver.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            CHECK(objects->Transaction == nullptr);
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        for (const UCHAR major : std::initializer_list<UCHAR>{IRP_MJ_CREATE, IRP_MJ_WRITE, IRP_MJ_CLEANUP}) {
            CHECK_EQ(bench.send(bench.operation(major)), STATUS_SUCCESS);
        }
        PFLT_CONTEXT context = nullptr;
        CHECK_EQ(FltAllocateContext(driver.filter, FLT_TRANSACTION_CONTEXT, 16, PagedPool, &context), STATUS_SUCCESS);
        FltReleaseContext(context);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(contains(report, "\"leaks\":[]"));
}

TEST(transactions_are_named_where_there_are_none) {
    static const auto call = [](const std::string &name, PFLT_INSTANCE instance, PKTRANSACTION transaction) {
        PFLT_CONTEXT context = nullptr;
        if (name == "FltSetTransactionContext") {
            FltSetTransactionContext(instance, transaction, FLT_SET_CONTEXT_KEEP_IF_EXISTS, &context, nullptr);
        } else if (name == "FltGetTransactionContext") {
            FltGetTransactionContext(instance, transaction, &context);
        } else if (name == "FltDeleteTransactionContext") {
            FltDeleteTransactionContext(instance, transaction, nullptr);
        } else {
            static_cast<void>(FltEnlistInTransaction(instance, transaction, &context, TRANSACTION_NOTIFY_COMMIT));
        }
    };
    using End = NTSTATUS(FLTAPI *)(PFLT_INSTANCE, PKTRANSACTION, PFLT_CONTEXT);
    static const std::vector<std::pair<const char *, End>> ends = {
        {"FltRollbackEnlistment", FltRollbackEnlistment},
        {"FltPrePrepareComplete", FltPrePrepareComplete},
        {"FltPrepareComplete", FltPrepareComplete},
        {"FltCommitComplete", FltCommitComplete},
        {"FltCommitFinalizeComplete", FltCommitFinalizeComplete},
        {"FltRollbackComplete", FltRollbackComplete},
    };
    for (const bool null : {true, false}) {
        const auto stops = [&](const char *name, const std::function<void(PFLT_INSTANCE, PKTRANSACTION)> &fn) {
            const std::string report = with({}, [&](Bench &, Driver &driver, PFLT_INSTANCE instance) {
                fn(instance, null ? nullptr : reinterpret_cast<PKTRANSACTION>(&driver));
            });
            CHECK_EQ(rule_of(report), std::string(null ? "VER-02 parameter" : "UNMODELLED"));
            CHECK(contains(report, std::string("\"call\":\"") + name));
        };
        for (const char *name : {"FltSetTransactionContext", "FltGetTransactionContext", "FltDeleteTransactionContext",
                                 "FltEnlistInTransaction"}) {
            stops(name, [&](PFLT_INSTANCE instance, PKTRANSACTION transaction) { call(name, instance, transaction); });
        }
        for (const auto &[name, end] : ends) {
            stops(name,
                  [&](PFLT_INSTANCE instance, PKTRANSACTION transaction) { end(instance, transaction, nullptr); });
        }
    }
}

TEST(pool_for_a_device) {
    const std::string report = with({}, [](Bench &bench, Driver &, PFLT_INSTANCE instance) {
        for (const SIZE_T bytes : {1u, 511u, 512u, 4096u, 0u}) {
            for (const POOL_TYPE type : {NonPagedPoolNx, PagedPool, NonPagedPoolNxCacheAligned}) {
                void *const block = FltAllocatePoolAlignedWithTag(instance, type, bytes, TAG);
                REQUIRE(block != nullptr);
                CHECK_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
                std::memset(block, 0x11, bytes != 0 ? bytes : 64); // of nothing there is as much as the alignment
                FltFreePoolAlignedWithTag(instance, block, TAG);
            }
        }
        IrqlScope dispatch(DISPATCH_LEVEL); // nonpaged pool here too
        FltFreePoolAlignedWithTag(instance, FltAllocatePoolAlignedWithTag(instance, NonPagedPoolNx, 512, TAG), TAG);
        bench.world.faults->set("FltAllocatePoolAlignedWithTag", 1, 1);
        void *const first = FltAllocatePoolAlignedWithTag(instance, NonPagedPoolNx, 512, TAG);
        CHECK(first != nullptr);
        CHECK(FltAllocatePoolAlignedWithTag(instance, NonPagedPoolNx, 512, TAG) == nullptr);
        FltFreePoolAlignedWithTag(instance, first, TAG);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(contains(report, "\"leaks\":[]"));
}

TEST(pool_for_a_device_mistakes) {
    const auto rule = [](const std::function<void(PFLT_INSTANCE)> &fn) {
        return rule_of(with({}, [&](Bench &, Driver &, PFLT_INSTANCE instance) { fn(instance); }));
    };
    const auto aligned = [](PFLT_INSTANCE instance, POOL_TYPE type = NonPagedPoolNx) {
        return static_cast<char *>(FltAllocatePoolAlignedWithTag(instance, type, 512, TAG));
    };
    const std::string wrong_call = "V20 pool: freed with the wrong call";
    CHECK_EQ(rule([&](PFLT_INSTANCE instance) { ExFreePoolWithTag(aligned(instance), TAG); }), wrong_call);
    CHECK_EQ(rule([&](PFLT_INSTANCE instance) { ExFreePool(aligned(instance)); }), wrong_call);
    CHECK_EQ(rule([](PFLT_INSTANCE instance) {
                 FltFreePoolAlignedWithTag(instance, ExAllocatePoolWithTag(NonPagedPoolNx, 512, TAG), TAG);
             }),
             wrong_call);
    CHECK_EQ(rule([&](PFLT_INSTANCE instance) { FltFreePoolAlignedWithTag(instance, aligned(instance), TAG + 1); }),
             std::string("V20 pool: wrong tag"));
    CHECK_EQ(rule([&](PFLT_INSTANCE instance) {
                 char *const block = aligned(instance);
                 FltFreePoolAlignedWithTag(instance, block, TAG);
                 FltFreePoolAlignedWithTag(instance, block, TAG);
             }),
             std::string("V20 pool: double free"));
    if constexpr (!check::SANITIZER_SEES_FIRST) {
        CHECK_EQ(rule([&](PFLT_INSTANCE instance) {
                     char *const block = aligned(instance);
                     block[512] = 0;
                     FltFreePoolAlignedWithTag(instance, block, TAG);
                 }),
                 std::string("V20 pool: overrun"));
    }
    CHECK_EQ(rule([&](PFLT_INSTANCE instance) {
                 IrqlScope dispatch(DISPATCH_LEVEL);
                 aligned(instance, PagedPool);
             }),
             std::string("V20 pool: paged pool above APC_LEVEL"));
    CHECK_EQ(rule([&](PFLT_INSTANCE) { aligned(reinterpret_cast<PFLT_INSTANCE>(&g_calls)); }),
             std::string("VER-02 bad object"));
    const std::string leaked =
        with({}, [&](Bench &, Driver &, PFLT_INSTANCE instance) { static_cast<void>(aligned(instance)); });
    CHECK(contains(leaked, "pool tag 'tcxt': 1 blocks, 512 bytes"));
}

} // namespace MINIPEND_TEST_FILE
