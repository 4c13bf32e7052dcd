// SPDX-License-Identifier: MIT
//
// This module provides: tests of the framework: binding, the driver object, locks, memory, contexts, what is left at the end.
//
// The test binds as a driver's entry stub does, so it defines the stub's variables and calls through the ddk's inline functions.
#include <cstring>

#include "core/faults.hpp"
#include "core/readings.hpp"
#include "core/registry.hpp"
#include "ke/pool.hpp"
#include "wdf/framework.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

extern "C" {
const WDFFUNC *WdfFunctions_01015;
PWDF_DRIVER_GLOBALS WdfDriverGlobals;
WDFFUNC WdfDriverMiniportUnloadOverride;
}

using namespace fltsim;
using check::contains;
using check::report_of;
using check::stopped_on;

namespace {

constexpr ULONG TAG = 0x74736554; // 'Test'
constexpr char16_t PATH[] = u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\minipend";

class Bound {
  public:
    explicit Bound(bool create = true) {
        path_.Buffer = const_cast<char16_t *>(PATH);
        path_.Length = sizeof PATH - sizeof(char16_t);
        path_.MaximumLength = sizeof PATH;
        info_.Size = sizeof info_;
        info_.Component = const_cast<char16_t *>(u"KmdfLibrary");
        info_.Version = {1, 15, 0};
        info_.FuncCount = WdfFunctionTableNumEntries;
        info_.FuncTable = static_cast<WDFFUNC *>(static_cast<void *>(&WdfFunctions_01015));
        CHECK_EQ(WdfVersionBind(&driver_object_, &path_, &info_,
                                reinterpret_cast<PWDF_COMPONENT_GLOBALS *>(&WdfDriverGlobals)),
                 STATUS_SUCCESS);
        CHECK(info_.Module != nullptr);
        WdfDriverMiniportUnloadOverride = WdfFunctions_01015[WdfDriverMiniportUnloadTableIndex];
        if (create) {
            WDF_DRIVER_CONFIG config = minifilter_config();
            CHECK_EQ(this->create(config), STATUS_SUCCESS);
        }
    }
    static WDF_DRIVER_CONFIG minifilter_config() {
        WDF_DRIVER_CONFIG config;
        WDF_DRIVER_CONFIG_INIT(&config, nullptr);
        config.DriverInitFlags = WdfDriverInitNonPnpDriver | WdfDriverInitNoDispatchOverride;
        return config;
    }
    NTSTATUS create(WDF_DRIVER_CONFIG &config) {
        return WdfDriverCreate(&driver_object_, &path_, WDF_NO_OBJECT_ATTRIBUTES, &config, nullptr);
    }
    void unbind() {
        CHECK_EQ(WdfVersionUnbind(&path_, &info_, reinterpret_cast<PWDF_COMPONENT_GLOBALS>(WdfDriverGlobals)),
                 STATUS_SUCCESS);
        CHECK(info_.Module == nullptr);
    }
    DRIVER_OBJECT driver_object_{};
    WDF_BIND_INFO info_{};

  private:
    UNICODE_STRING path_{};
};

struct TestContext {
    int value;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(TestContext, get_test_context)

std::string order;
void NTAPI cleanup_parent(WDFOBJECT) {
    order += "P";
}
void NTAPI cleanup_child(WDFOBJECT) {
    order += "C";
}
void NTAPI destroy_child(WDFOBJECT object) {
    order += "D" + std::to_string(get_test_context(object)->value);
}

void NTAPI note_unload(WDFDRIVER) {
    order += "U";
}

std::string stop_of(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

} // namespace

TEST(bind_checks_the_client) {
    const std::string report = report_of(check::virtual_world(), [](World &world) {
        Bound bound(false);
        WDF_BIND_INFO info = bound.info_;
        DRIVER_OBJECT object{};
        UNICODE_STRING path{};
        PWDF_COMPONENT_GLOBALS globals = nullptr;
        info.FuncCount = 445;
        CHECK_EQ(WdfVersionBind(&object, &path, &info, &globals), STATUS_INVALID_PARAMETER);
        info.FuncCount = WdfFunctionTableNumEntries;
        info.Version.Major = 2;
        CHECK_EQ(WdfVersionBind(&object, &path, &info, &globals), STATUS_INVALID_PARAMETER);
        info.Version.Major = 1;
        info.FuncTable = nullptr;
        CHECK_EQ(WdfVersionBind(&object, &path, &info, &globals), STATUS_INVALID_PARAMETER);
        // A client up to 1.13 brings an array.
        WDFFUNC array[438] = {};
        info.FuncTable = array;
        info.FuncCount = 438;
        CHECK_EQ(WdfVersionBind(&object, &path, &info, &globals), STATUS_SUCCESS);
        CHECK(array[WdfDriverCreateTableIndex] == WdfFunctions_01015[WdfDriverCreateTableIndex]);
        CHECK_EQ(WdfVersionUnbind(&path, &info, globals), STATUS_SUCCESS);
        bound.unbind();
        CHECK(world.wdf->describe().empty());
    });
    CHECK(contains(report, "\"stopped\":false"));
}

TEST(driver_object_of_a_minifilter) {
    const std::string report = stop_of([] {
        Bound bound;
        CHECK(WdfGetDriver() != nullptr);
        CHECK(std::strcmp(WdfDriverGlobals->DriverName, "minipend") == 0);
        CHECK(pool::tag_text(WdfDriverGlobals->DriverTag) == "mini");
        CHECK_EQ(WdfDriverGlobals->DisplaceDriverUnload, FALSE);
        CHECK_EQ(WdfDriverGlobals->DriverFlags, ULONG{3});
        CHECK(bound.driver_object_.DriverUnload == nullptr);
        CHECK(bound.driver_object_.MajorFunction[0] == nullptr);
        WDF_DRIVER_CONFIG config = Bound::minifilter_config();
        CHECK_EQ(bound.create(config), STATUS_DRIVER_INTERNAL_ERROR);
        config.Size = 1;
        CHECK_EQ(bound.create(config), STATUS_INFO_LENGTH_MISMATCH);
        config = Bound::minifilter_config();
        config.DriverInitFlags = 0x40;
        CHECK_EQ(bound.create(config), STATUS_INVALID_PARAMETER);
        WdfDriverMiniportUnload(WdfGetDriver());
        CHECK(WdfGetDriver() == nullptr);
        bound.unbind();
    });
    CHECK(contains(report, "\"stopped\":false"));
    CHECK(contains(report, "\"leaks\":[]"));
}

/// X18: the documents disagree, so a driver leaves EvtDriverUnload out.
TEST(miniport_unload_by_each_reading) {
    for (const bool calls : {false, true}) {
        order.clear();
        const std::string report = report_of(check::virtual_world(), [&](World &world) {
            CHECK_EQ(world.readings->set("miniport-unload", calls ? "calls-driver" : "alone"), std::string());
            Bound bound(false);
            WDF_DRIVER_CONFIG config = Bound::minifilter_config();
            config.EvtDriverUnload = note_unload;
            CHECK_EQ(bound.create(config), STATUS_SUCCESS);
            WdfDriverMiniportUnload(WdfGetDriver());
            bound.unbind();
        });
        CHECK(contains(report, "\"stopped\":false"));
        CHECK_EQ(order, std::string(calls ? "U" : ""));
    }
}

TEST(parameters_key) {
    report_of(check::virtual_world(), [](World &world) {
        Bound bound;
        const std::u16string path = std::u16string(PATH) + u"\\Parameters";
        {
            const KernelCall call("test");
            world.registry->set(path, u"MaxHeld", uint32_t{77});
            world.registry->set(path, u"Text", std::u16string(u"x"));
        }
        WDFKEY key = nullptr;
        CHECK_EQ(WdfDriverOpenParametersRegistryKey(WdfGetDriver(), KEY_READ, WDF_NO_OBJECT_ATTRIBUTES, &key),
                 STATUS_SUCCESS);
        UNICODE_STRING name{};
        ULONG value = 0;
        RtlInitUnicodeString(&name, u"maxheld");
        CHECK_EQ(WdfRegistryQueryULong(key, &name, &value), STATUS_SUCCESS);
        CHECK_EQ(value, ULONG{77});
        RtlInitUnicodeString(&name, u"Text");
        CHECK_EQ(WdfRegistryQueryULong(key, &name, &value), STATUS_OBJECT_TYPE_MISMATCH);
        RtlInitUnicodeString(&name, u"NotThere");
        CHECK_EQ(WdfRegistryQueryULong(key, &name, &value), STATUS_OBJECT_NAME_NOT_FOUND);
        WdfRegistryClose(key);
        bound.unbind();
    });
}

TEST(locks_of_the_framework) {
    const std::string report = report_of(check::virtual_world(), [](World &world) {
        Bound bound;
        WDFSPINLOCK spin = nullptr;
        WDFWAITLOCK wait = nullptr;
        CHECK_EQ(WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &spin), STATUS_SUCCESS);
        CHECK_EQ(WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &wait), STATUS_SUCCESS);
        WdfSpinLockAcquire(spin);
        CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        WdfSpinLockRelease(spin);
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);

        int value = 0;
        int done = 0;
        CHECK_EQ(WdfWaitLockAcquire(wait, nullptr), STATUS_SUCCESS);
        CHECK_EQ(executing().kernel_apc_disable, 1u);
        for (int i = 0; i < 3; ++i) {
            world.spawn("contender", nullptr, [&] {
                LONGLONG none = 0;
                CHECK_EQ(WdfWaitLockAcquire(wait, &none), STATUS_TIMEOUT);
                LONGLONG soon = -10'000;
                CHECK_EQ(WdfWaitLockAcquire(wait, &soon), STATUS_TIMEOUT);
                CHECK_EQ(executing().kernel_apc_disable, 0u);
                CHECK_EQ(WdfWaitLockAcquire(wait, nullptr), STATUS_SUCCESS);
                const int before = value;
                KeGetCurrentIrql();
                value = before + 1;
                WdfWaitLockRelease(wait);
                const KernelCall call("test");
                ++done;
                fltsim::world().wake(&done);
            });
        }
        LARGE_INTEGER interval{};
        interval.QuadPart = -200'000;
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
        CHECK_EQ(value, 0);
        WdfWaitLockRelease(wait);
        {
            const KernelCall call("test");
            world.block(&done, [&] { return done == 3; });
        }
        CHECK_EQ(value, 3);
        WdfObjectDelete(wait);
        WdfObjectDelete(spin);
        bound.unbind();
    });
    CHECK(contains(report, "\"stopped\":false"));
}

TEST(memory_and_lookaside) {
    const std::string report = report_of(check::virtual_world(), [](World &world) {
        Bound bound;
        WDFMEMORY memory = nullptr;
        PVOID buffer = nullptr;
        CHECK_EQ(WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, 0, 0, &memory, &buffer),
                 STATUS_INVALID_PARAMETER);
        CHECK_EQ(WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, TAG, 33, &memory, &buffer), STATUS_SUCCESS);
        size_t bytes = 0;
        CHECK(WdfMemoryGetBuffer(memory, &bytes) == buffer);
        CHECK_EQ(bytes, size_t{33});
        WdfObjectDelete(memory);

        WDFLOOKASIDE list = nullptr;
        CHECK_EQ(
            WdfLookasideListCreate(WDF_NO_OBJECT_ATTRIBUTES, 128, NonPagedPoolNx, WDF_NO_OBJECT_ATTRIBUTES, TAG, &list),
            STATUS_SUCCESS);
        const IrqlScope dispatch(DISPATCH_LEVEL);
        CHECK_EQ(WdfMemoryCreateFromLookaside(list, &memory), STATUS_SUCCESS);
        std::memset(WdfMemoryGetBuffer(memory, &bytes), 0, 128);
        CHECK_EQ(bytes, size_t{128});
        WdfObjectDelete(memory);
        CHECK(world.faults->set("WdfMemoryCreateFromLookaside", 0, 1));
        CHECK_EQ(WdfMemoryCreateFromLookaside(list, &memory), STATUS_INSUFFICIENT_RESOURCES);
        CHECK(memory == nullptr);
    });
    CHECK(contains(report, "\"stopped\":false"));
}

TEST(objects_go_children_first) {
    order.clear();
    const std::string report = stop_of([] {
        Bound bound;
        WDF_OBJECT_ATTRIBUTES attributes;
        WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
        attributes.EvtCleanupCallback = cleanup_parent;
        WDFOBJECT parent = nullptr;
        CHECK_EQ(WdfObjectCreate(&attributes, &parent), STATUS_SUCCESS);
        WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, TestContext);
        attributes.ParentObject = parent;
        attributes.EvtCleanupCallback = cleanup_child;
        attributes.EvtDestroyCallback = destroy_child;
        WDFOBJECT child = nullptr;
        CHECK_EQ(WdfObjectCreate(&attributes, &child), STATUS_SUCCESS);
        CHECK_EQ(get_test_context(child)->value, 0);
        get_test_context(child)->value = 5;
        CHECK(WdfObjectGetTypedContextWorker(parent, WDF_GET_CONTEXT_TYPE_INFO(TestContext)) == nullptr);
        WdfObjectReference(child);
        WdfObjectDelete(parent);
        CHECK(order == "CP");
        CHECK_EQ(get_test_context(child)->value, 5);
        WdfObjectDereference(child);
        CHECK(order == "CPD5");
        attributes.ExecutionLevel = WdfExecutionLevelPassive;
        CHECK(!NT_SUCCESS(WdfObjectCreate(&attributes, &child)));
        bound.unbind();
    });
    CHECK(contains(report, "\"stopped\":false"));
    CHECK(contains(report, "\"leaks\":[]"));
}

TEST(what_a_driver_leaves_is_reported) {
    const std::string report = stop_of([] {
        Bound bound;
        WDFLOOKASIDE list = nullptr;
        CHECK_EQ(
            WdfLookasideListCreate(WDF_NO_OBJECT_ATTRIBUTES, 16, NonPagedPoolNx, WDF_NO_OBJECT_ATTRIBUTES, TAG, &list),
            STATUS_SUCCESS);
        WDFMEMORY memory = nullptr;
        CHECK_EQ(WdfMemoryCreateFromLookaside(list, &memory), STATUS_SUCCESS);
        WDFOBJECT object = nullptr;
        CHECK_EQ(WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &object), STATUS_SUCCESS);
        WdfObjectReference(object);
        WdfDriverMiniportUnload(WdfGetDriver());
        bound.unbind();
        const KernelCall call("test");
        pool::report_leaks();
    });
    CHECK(contains(report, "1 WDFMEMORY of a lookaside list"));
    CHECK(contains(report, "1 WDFOBJECT with references that were not given back"));
    CHECK(!contains(report, "pool tag"));
    const std::string unbound = stop_of([] {
        Bound bound;
        const KernelCall call("test");
        pool::report_leaks();
    });
    CHECK(contains(unbound, "unloaded without WdfDriverMiniportUnload"));
}

TEST(lock_order_of_the_framework) {
    const auto report_with = [](bool reversed, bool again) {
        return report_of(check::virtual_world(), [=](World &) {
            const Bound bound;
            WDFSPINLOCK one = nullptr;
            WDFSPINLOCK two = nullptr;
            WDFWAITLOCK outer = nullptr;
            CHECK_EQ(WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &one), STATUS_SUCCESS);
            CHECK_EQ(WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &two), STATUS_SUCCESS);
            CHECK_EQ(WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &outer), STATUS_SUCCESS);
            (void)WdfWaitLockAcquire(outer, nullptr);
            WdfSpinLockAcquire(one);
            WdfSpinLockAcquire(two);
            WdfSpinLockRelease(two);
            WdfSpinLockRelease(one);
            WdfWaitLockRelease(outer);
            if (again) {
                WdfObjectDelete(one);
                CHECK_EQ(WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &one), STATUS_SUCCESS);
            }
            WdfSpinLockAcquire(reversed ? two : one);
            WdfSpinLockAcquire(reversed ? one : two);
            WdfSpinLockRelease(reversed ? one : two);
            WdfSpinLockRelease(reversed ? two : one);
        });
    };
    CHECK(contains(report_with(false, false), "\"stopped\":false"));
    CHECK(contains(report_with(true, true), "\"stopped\":false"));
    const std::string report = report_with(true, false);
    CHECK(stopped_on(report, "V27 two locks in both orders"));
    CHECK(contains(report, "A is WDFSPINLOCK "));

    CHECK(stopped_on(stop_of([] {
                         const Bound bound;
                         WDFWAITLOCK one = nullptr;
                         WDFWAITLOCK two = nullptr;
                         (void)WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &one);
                         (void)WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &two);
                         LONGLONG soon = -10'000;
                         (void)WdfWaitLockAcquire(one, nullptr);
                         (void)WdfWaitLockAcquire(two, &soon); // a wait that ends
                         WdfWaitLockRelease(two);
                         WdfWaitLockRelease(one);
                         (void)WdfWaitLockAcquire(two, nullptr);
                         (void)WdfWaitLockAcquire(one, nullptr);
                         WdfWaitLockRelease(one);
                         WdfWaitLockRelease(two);
                         (void)WdfWaitLockAcquire(one, nullptr);
                         (void)WdfWaitLockAcquire(two, nullptr);
                     }),
                     "V27 two locks in both orders"));
}

TEST(framework_misuse_stops_the_world) {
    CHECK(stopped_on(stop_of([] {
                         Bound bound;
                         int x = 0;
                         WdfSpinLockAcquire(reinterpret_cast<WDFSPINLOCK>(&x));
                     }),
                     "WDF_VIOLATION"));
    CHECK(stopped_on(stop_of([] {
                         Bound bound;
                         WDFWAITLOCK lock = nullptr;
                         (void)WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &lock);
                         (void)WdfMemoryGetBuffer(reinterpret_cast<WDFMEMORY>(lock), nullptr);
                     }),
                     "WDF_VIOLATION"));
    CHECK(stopped_on(stop_of([] {
                         Bound bound;
                         WDFWAITLOCK lock = nullptr;
                         (void)WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &lock);
                         (void)WdfWaitLockAcquire(lock, nullptr);
                         (void)WdfWaitLockAcquire(lock, nullptr);
                     }),
                     "WDF_VIOLATION"));
    CHECK(stopped_on(stop_of([] {
                         Bound bound;
                         WDFOBJECT object = nullptr;
                         (void)WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &object);
                         WdfObjectDelete(object);
                         WdfObjectDelete(object);
                     }),
                     "WDF_VIOLATION"));
    CHECK(stopped_on(stop_of([] {
                         Bound bound;
                         WDFSPINLOCK lock = nullptr;
                         (void)WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &lock);
                         bound.unbind();
                         WdfSpinLockAcquire(lock);
                     }),
                     "WDF_VIOLATION"));
    const std::string unmodelled = stop_of([] {
        Bound bound;
        WdfFunctions_01015[WdfIoQueueStopAndPurgeTableIndex]();
    });
    CHECK(stopped_on(unmodelled, "UNMODELLED"));
    CHECK(contains(unmodelled, "WdfIoQueueStopAndPurge"));
}

} // namespace MINIPEND_TEST_FILE
