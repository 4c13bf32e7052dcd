// SPDX-License-Identifier: MIT
//
// This module provides: tests of handles, the registry, fault switches, the image loader and the host API.

#include <cstring>

#include "core/faults.hpp"
#include "core/handles.hpp"
#include "core/image.hpp"
#include "core/registry.hpp"
#include "fltsim.h"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::contains;

namespace {

class Counted : public Object {
  public:
    explicit Counted(int &closed) : closed_(closed) {}
    const char *type_name() const override { return "counted"; }
    void last_handle_closed() override { ++closed_; }

  private:
    int &closed_;
};

std::string report(FLTSIM_WORLD world) {
    std::string json(FltSimReport(world, nullptr, 0), '\0');
    FltSimReport(world, json.data(), json.size());
    json.pop_back();
    return json;
}

FLTSIM_OPTIONS good_options() {
    return FLTSIM_OPTIONS{sizeof(FLTSIM_OPTIONS), 2, 42, FLTSIM_CLOCK_WALL, FLTSIM_EXECUTOR_FIBERS,
                          check::driver_image()};
}

} // namespace

TEST(handles) {
    int closed = 0;
    World world(check::wall_world());
    CHECK(world.host_call([&] {
        const KernelCall call("handles");
        HandleTable &table = *world.handles;
        const auto object = std::make_shared<Counted>(closed);
        const HANDLE first = table.insert(object);
        const HANDLE second = table.insert(object, true);
        CHECK(first != second);
        CHECK_EQ(HandleTable::world_of(first), world.number);
        CHECK(table.find(first) == object);
        CHECK(table.find_as<Counted>(second) == object);
        CHECK(table.close(first));
        CHECK_EQ(closed, 0);
        CHECK(!table.close(first));
        CHECK(table.find(first) == nullptr);
        CHECK_EQ(table.describe_open(true).size(), size_t{1});
        CHECK(table.close(second));
        CHECK_EQ(closed, 1);
        table.insert(object);
        table.close_all_user();
        CHECK_EQ(closed, 2);
        CHECK(table.describe_open(false).empty());
    }));
    CHECK_EQ(HandleTable::world_of(reinterpret_cast<HANDLE>(intptr_t{-1})), 0u);
    CHECK_EQ(HandleTable::world_of(nullptr), 0u);
}

TEST(registry_has_the_service) {
    World world(check::wall_world());
    const Registry &registry = *world.registry;
    const std::u16string service = Registry::service_key(u"MiniPend");
    for (const auto *base : {u"\\Instances", u"\\Parameters\\Instances"}) {
        const std::u16string key = service + base;
        CHECK(registry.find_string(key, u"defaultinstance") == u"minipend");
        CHECK(registry.find_string(key + u"\\minipend", u"Altitude") == u"370199.5");
        CHECK(registry.find_ulong(key + u"\\minipend", u"Flags") == 1u);
        CHECK(registry.subkeys(key) == std::vector<std::u16string>{u"minipend"});
    }
    CHECK(!registry.find_ulong(service, u"Nothing"));
    CHECK(registry.key_exists(service + u"\\Parameters"));
    CHECK(!registry.key_exists(service + u"\\Parameter"));
}

TEST(fault_switches) {
    FaultSwitches faults;
    CHECK(!faults.set("FltNoSuchThing", 0, 1));
    CHECK(!faults.fires("FltAllocateContext"));
    CHECK(faults.set("FltAllocateContext", 1, 2));
    CHECK(!faults.fires("FltAllocateContext"));
    CHECK(!faults.fires("FltRegisterFilter"));
    CHECK(faults.fires("FltAllocateContext"));
    CHECK(faults.fires("FltAllocateContext"));
    CHECK(!faults.fires("FltAllocateContext"));
    CHECK(faults.set("FltAllocateContext", 0, 5));
    CHECK(faults.set("FltAllocateContext", 0, 0));
    CHECK(!faults.fires("FltAllocateContext"));
}

TEST(fault_switches_for_any_call_and_status) {
    FaultSwitches faults;
    for (const char *const wrong :
         {"", "*#", "*#x", "*#99", "*1", "FltAllocateContext:", "FltAllocateContext:STATUS_SUCCESS",
          "FltAllocateContext#1", "Nothing:STATUS_FLT_DELETING_OBJECT"}) {
        CHECK(!faults.set(wrong, 0, 1));
    }
    CHECK(faults.set("FltAllocateContext:STATUS_FLT_DELETING_OBJECT", 0, 1));
    CHECK_EQ(faults.fires("FltAllocateContext").value_or(0), STATUS_FLT_DELETING_OBJECT);
    // The third call that can fail, whichever it is, and with the second of its statuses.
    CHECK(faults.set("*", 2, 1));
    CHECK(!faults.fires("FltRegisterFilter"));
    CHECK(!faults.fires("FltGetInstanceContext")); // has a switch of its own only
    CHECK(!faults.fires("WdfSpinLockCreate"));
    CHECK_EQ(faults.fires("FltRegisterFilter").value_or(0), STATUS_INSUFFICIENT_RESOURCES);
    CHECK(!faults.fires("FltRegisterFilter"));
    CHECK(faults.set("*#1", 0, 3));
    CHECK_EQ(faults.fires("FltRegisterFilter").value_or(0), STATUS_INVALID_PARAMETER);
    CHECK_EQ(faults.fires("WdfSpinLockCreate").value_or(0), STATUS_INSUFFICIENT_RESOURCES); // it has one only
    CHECK(faults.fires("FltAllocateDeferredIoWorkItem").has_value()); // it has none
    // A named switch goes before it, and does not use it up.
    CHECK(faults.set("*", 0, 1));
    CHECK(faults.set("FltAllocateContext", 0, 1));
    CHECK(faults.fires("FltAllocateContext").has_value());
    CHECK(faults.fires("FltAllocateContext").has_value());
    CHECK(!faults.fires("FltAllocateContext"));
    const auto fired = faults.fired();
    CHECK_EQ(fired.size(), size_t{7});
    CHECK_EQ(fired.front().status, std::string("STATUS_FLT_DELETING_OBJECT"));
    CHECK_EQ(fired.front().statuses, 2u);
    CHECK_EQ(fired.at(4).status, std::string());
    CHECK(contains(faults.json(),
                   "{\"function\":\"FltRegisterFilter\",\"status\":\"STATUS_INVALID_PARAMETER\",\"statuses\":4}"));
}

TEST(image_errors_are_specific) {
    std::string error;
    CHECK(Image::load("/no/such/image.so", &error) == nullptr);
    CHECK(contains(error, "does not exist"));
    CHECK(Image::load(__FILE__, &error) == nullptr);
    CHECK(contains(error, "cannot be loaded") || contains(error, "does not exist"));
}

TEST(host_api_checks_its_options) {
    char message[200] = "";
    CHECK_EQ(FltSimCreateWorld(nullptr, message, sizeof(message)), 0u);
    FLTSIM_OPTIONS options = good_options();
    options.ProcessorCount = 1;
    CHECK_EQ(FltSimCreateWorld(&options, message, sizeof(message)), 0u);
    CHECK(contains(message, "ProcessorCount is 1"));
    options = good_options();
    options.SizeBytes = 4;
    CHECK_EQ(FltSimCreateWorld(&options, message, 8), 0u);
    CHECK_EQ(std::strlen(message), size_t{7});
    CHECK_EQ(FltSimDestroyWorld(99), -1);
    CHECK_EQ(FltSimSelectWorld(99), -1);
    CHECK_EQ(FltSimSetFault(99, "FltRegisterFilter", 0, 1), -1);
    CHECK_EQ(FltSimSetStorageDelay(99, 1), -1);
}

TEST(host_api_makes_worlds) {
    FLTSIM_OPTIONS options = good_options();
    char message[200] = "";
    const FLTSIM_WORLD first = FltSimCreateWorld(&options, message, sizeof(message));
    const FLTSIM_WORLD second = FltSimCreateWorld(&options, message, sizeof(message));
    CHECK(first != 0 && second != 0 && first != second);
    CHECK_EQ(FltSimSelectWorld(first), 0);
    CHECK(selected_world() == world_by_number(first));
    CHECK_EQ(FltSimSetFault(first, "FltRegisterFilter", 0, 1), 0);
    CHECK_EQ(FltSimSetFault(first, "FltNoSuchThing", 0, 1), -1);
    CHECK_EQ(FltSimSetStorageDelay(first, UINT32_MAX), 0);
    CHECK(contains(report(first), "\"stopped\":false"));
    CHECK(contains(report(first), "\"seed\":\"42\""));
    CHECK_EQ(FltSimDestroyWorld(first), 0);
    CHECK_EQ(FltSimDestroyWorld(first), -1);
    CHECK(selected_world() == nullptr);
    CHECK(contains(report(first), "\"seed\":\"42\"")); // its last words
    CHECK_EQ(FltSimSetStorageDelay(first, 0), -1);
    CHECK_EQ(FltSimSelectWorld(0), 0);
    world_by_number(second)->host_call([] { bugcheck("V1 made up", "here", "stop"); });
    CHECK(contains(report(second), "\"stopped\":true"));
    CHECK_EQ(FltSimDestroyWorld(second), 0);
    CHECK(contains(report(second), "V1 made up"));
}

} // namespace MINIPEND_TEST_FILE
