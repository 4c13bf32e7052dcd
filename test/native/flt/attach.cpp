// SPDX-License-Identifier: MIT
//
// This module provides: tests of how a driver finds filters, volumes and instances, and attaches and detaches instances itself.

#include "flt/own_stack.hpp"

#include <algorithm>

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;

namespace {

UNICODE_STRING text(const char16_t *value) {
    return flt::unicode(value);
}

/// What a list call gives, for `room` places; the references are given back.
template <class Object> struct Listed {
    NTSTATUS status = STATUS_SUCCESS;
    ULONG count = 0;
    std::vector<Object> objects;

    template <class Call> Listed(const Call &call, ULONG room) : objects(room) {
        status = call(room == 0 ? nullptr : objects.data(), room, &count);
        if (NT_SUCCESS(status)) {
            objects.resize(count);
            for (const Object object : objects) {
                FltObjectDereference(object);
            }
        }
    }
    bool has(Object object) const { return std::ranges::find(objects, object) != objects.end(); }
};

Listed<PFLT_FILTER> filters(ULONG room) {
    return {[](PFLT_FILTER *list, ULONG size, PULONG count) { return FltEnumerateFilters(list, size, count); }, room};
}

Listed<PFLT_VOLUME> volumes(Stack &stack, ULONG room) {
    return {[&](PFLT_VOLUME *list, ULONG size, PULONG count) {
                return FltEnumerateVolumes(stack.mid.filter, list, size, count);
            },
            room};
}

Listed<PFLT_INSTANCE> instances(PFLT_VOLUME volume, PFLT_FILTER filter, ULONG room) {
    return {[&](PFLT_INSTANCE *list, ULONG size, PULONG count) {
                return FltEnumerateInstances(volume, filter, list, size, count);
            },
            room};
}

PFLT_VOLUME volume_named(Stack &stack, const char16_t *name) {
    const UNICODE_STRING wanted = text(name);
    PFLT_VOLUME volume = nullptr;
    CHECK_EQ(FltGetVolumeFromName(stack.mid.filter, &wanted, &volume), STATUS_SUCCESS);
    FltObjectDereference(volume);
    return volume;
}

} // namespace

TEST(lists_of_filters_volumes_and_instances) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        CHECK_EQ(filters(0).status, STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(filters(0).count, 3u);
        CHECK_EQ(filters(2).status, STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(filters(2).count, 3u);
        const auto all = filters(8);
        CHECK_EQ(all.status, STATUS_SUCCESS);
        CHECK_EQ(all.count, 3u);
        CHECK(all.has(stack.top.filter) && all.has(stack.mid.filter) && all.has(stack.low.filter));

        CHECK_EQ(volumes(stack, 0).status, STATUS_BUFFER_TOO_SMALL);
        const auto disks = volumes(stack, 8);
        CHECK_EQ(disks.status, STATUS_SUCCESS);
        CHECK_EQ(disks.count, volumes(stack, 0).count);
        CHECK(disks.has(stack.volume) && disks.has(volume_named(stack, u"E:")));

        CHECK_EQ(instances(nullptr, nullptr, 8).status, STATUS_INVALID_PARAMETER);
        CHECK_EQ(instances(stack.volume, nullptr, 2).status, STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(instances(stack.volume, nullptr, 2).count, 3u);
        CHECK_EQ(instances(stack.volume, nullptr, 3).status, STATUS_SUCCESS);
        const auto of_mid = instances(nullptr, stack.mid.filter, 8);
        CHECK_EQ(of_mid.count, 1u);
        CHECK(of_mid.has(stack.instance));
        CHECK_EQ(instances(stack.volume, stack.low.filter, 8).count, 1u);
        CHECK_EQ(instances(volume_named(stack, u"E:"), nullptr, 0).status, STATUS_SUCCESS); // there are none
        for (const char *api : {"FltEnumerateFilters", "FltEnumerateVolumes", "FltEnumerateInstances"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(filters(8).status, STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(volumes(stack, 8).status, STATUS_BUFFER_TOO_SMALL);
        CHECK_EQ(instances(stack.volume, nullptr, 8).status, STATUS_BUFFER_TOO_SMALL);
    }));
    for (const int which : {0, 1}) {
        CHECK_EQ(rule([which](Stack &) {
                     ULONG count = 0;
                     which == 0 ? FltEnumerateFilters(nullptr, 0, nullptr) : FltEnumerateFilters(nullptr, 1, &count);
                 }),
                 std::string("VER-02 parameter"));
    }
}

TEST(what_is_in_a_list_is_referenced) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        PFLT_INSTANCE found[3];
        ULONG count = 0;
        CHECK_EQ(FltEnumerateInstances(stack.volume, nullptr, found, 3, &count), STATUS_SUCCESS);
        PFLT_FILTER filter = nullptr;
        CHECK_EQ(FltGetFilterFromInstance(stack.instance, &filter), STATUS_SUCCESS);
        CHECK(filter == stack.mid.filter);
        FltObjectDereference(filter);
        NTSTATUS of_going = STATUS_SUCCESS;
        stack.mid.teardown_start = [&](PCFLT_RELATED_OBJECTS objects, ULONG) {
            of_going = FltGetFilterFromInstance(objects->Instance, &filter);
            CHECK_EQ(instances(nullptr, stack.mid.filter, 8).count, 0u); // what goes is passed over
        };
        CHECK_EQ(FltDetachVolume(stack.mid.filter, stack.volume, nullptr), STATUS_SUCCESS);
        CHECK_EQ(of_going, STATUS_FLT_DELETING_OBJECT);
        // The pointer of an instance that is gone stays good until its reference is given back.
        CHECK_EQ(FltGetFilterFromInstance(stack.instance, &filter), STATUS_FLT_DELETING_OBJECT);
        for (const PFLT_INSTANCE instance : found) {
            FltObjectDereference(instance);
        }
    }));
}

TEST(filters_by_name) {
    expect_clean(with_stack([](Stack &stack) {
        PFLT_FILTER filter = nullptr;
        UNICODE_STRING name = text(u"LOW");
        CHECK_EQ(FltGetFilterFromName(&name, &filter), STATUS_SUCCESS);
        CHECK(filter == stack.low.filter);
        FltObjectDereference(filter);
        name = text(u"lowest");
        CHECK_EQ(FltGetFilterFromName(&name, &filter), STATUS_FLT_FILTER_NOT_FOUND);
        CHECK(filter == nullptr);
        name = text(u"low");
        NTSTATUS going = STATUS_SUCCESS;
        stack.low.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG) { going = FltGetFilterFromName(&name, &filter); };
        CHECK_EQ(stack.bench.unload(stack.low), STATUS_SUCCESS);
        CHECK_EQ(going, STATUS_FLT_DELETING_OBJECT);
        for (const char *api : {"FltGetFilterFromName"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        name = text(u"mid");
        CHECK_EQ(FltGetFilterFromName(&name, &filter), STATUS_FLT_FILTER_NOT_FOUND);
    }));
    CHECK_EQ(rule([](Stack &) {
                 PFLT_FILTER filter = nullptr;
                 FltGetFilterFromName(nullptr, &filter);
             }),
             std::string("VER-02 parameter"));
}

TEST(a_driver_attaches_and_detaches_itself) {
    expect_clean(with_stack([](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        const PFLT_VOLUME fat = volume_named(stack, u"E:");
        PFLT_INSTANCE made = nullptr;
        CHECK_EQ(FltAttachVolume(stack.low.filter, fat, nullptr, &made), STATUS_SUCCESS);
        CHECK(instances(fat, stack.low.filter, 8).has(made));
        CHECK_EQ(FltAttachVolume(stack.low.filter, fat, nullptr, nullptr), STATUS_FLT_INSTANCE_NAME_COLLISION);
        FltObjectDereference(made);
        const UNICODE_STRING altitude = text(u"150000");
        const UNICODE_STRING second = text(u"second");
        CHECK_EQ(FltAttachVolumeAtAltitude(stack.low.filter, fat, &altitude, &second, &made), STATUS_SUCCESS);
        PFLT_INSTANCE top = nullptr;
        CHECK_EQ(FltGetTopInstance(fat, &top), STATUS_SUCCESS);
        CHECK(top == made); // 150000 is above 100000
        FltObjectDereference(top);
        FltObjectDereference(made);
        const UNICODE_STRING third = text(u"third");
        CHECK_EQ(FltAttachVolumeAtAltitude(stack.mid.filter, fat, &altitude, &third, nullptr),
                 STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
        stack.mid.setup = [] { return STATUS_FLT_DO_NOT_ATTACH; };
        CHECK_EQ(FltAttachVolume(stack.mid.filter, fat, nullptr, nullptr), STATUS_FLT_DO_NOT_ATTACH);
        stack.mid.setup = nullptr;

        CHECK_EQ(FltDetachVolume(stack.low.filter, fat, &third), STATUS_FLT_INSTANCE_NOT_FOUND);
        CHECK_EQ(FltDetachVolume(stack.low.filter, fat, &second), STATUS_SUCCESS);
        CHECK_EQ(instances(fat, nullptr, 8).count, 1u);
        stack.low.query_teardown = [] { return STATUS_FLT_DO_NOT_DETACH; };
        CHECK_EQ(FltDetachVolume(stack.low.filter, fat, nullptr), STATUS_FLT_DO_NOT_DETACH);
        stack.low.query_teardown = [] { return STATUS_SUCCESS; };
        CHECK_EQ(FltDetachVolume(stack.low.filter, fat, nullptr), STATUS_SUCCESS);
        CHECK_EQ(instances(fat, nullptr, 8).count, 0u);
        for (const char *api : {"FltAttachVolume", "FltAttachVolumeAtAltitude", "FltDetachVolume"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        CHECK_EQ(FltAttachVolume(stack.low.filter, fat, nullptr, &made), STATUS_INSUFFICIENT_RESOURCES);
        CHECK(made == nullptr);
        CHECK_EQ(FltAttachVolumeAtAltitude(stack.low.filter, fat, &altitude, &second, nullptr),
                 STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(FltDetachVolume(stack.low.filter, fat, nullptr), STATUS_FLT_DELETING_OBJECT);
    }));
    CHECK_EQ(rule([](Stack &stack) {
                 FltAttachVolumeAtAltitude(stack.mid.filter, stack.volume, nullptr, nullptr, nullptr);
             }),
             std::string("VER-02 parameter"));
}

} // namespace MINIPEND_TEST_FILE
