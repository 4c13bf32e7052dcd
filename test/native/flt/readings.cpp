// SPDX-License-Identifier: MIT
//
// This module provides: tests of the readings (core/readings.inc): what the Filter Manager does under each value. Those of ports and of the framework are with
// their tests.

#include "flt/recorder.hpp"

#include "core/readings.hpp"
#include "flt/internal.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;
using check::stopped_on;

namespace {

using Routine = std::function<void(Bench &, Driver &)>;

/// A world of this reading with one driver on one instance; then `fn`. What a stopped world leaves stays.
std::string under(const char *name, const char *value, const Routine &fn, const Routine &before_load = nullptr) {
    return run([&](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        CHECK_EQ(bench.world.readings->set(name, value), std::string());
        Driver *driver = left.emplace_back(new Driver(u"one"));
        if (before_load) {
            before_load(bench, *driver);
        }
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        fn(bench, *driver);
        if (driver->filter) {
            bench.unload(*driver);
        }
    });
}

void give_back(PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data) {
    FltFreeDeferredIoWorkItem(item);
    FltCompletePendedPostOperation(data);
}

FLT_POSTOP_CALLBACK_STATUS pend(PFLT_CALLBACK_DATA data, NTSTATUS *status = nullptr,
                                const Deferred &routine = give_back) {
    const NTSTATUS queued = defer(data, routine);
    if (status) {
        *status = queued;
    }
    return NT_SUCCESS(queued) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
}

/// What the queue call answers for such an operation.
NTSTATUS queued(const char *name, const char *value, UCHAR major, io::Form form = io::Form::Irp,
                std::string *report = nullptr, FLT_PREOP_CALLBACK_STATUS pre = FLT_PREOP_SUCCESS_WITH_CALLBACK) {
    NTSTATUS status = STATUS_UNSUCCESSFUL;
    const std::string said = under(name, value, [&](Bench &bench, Driver &driver) {
        driver.pre = [=](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return pre; };
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) { return pend(data, &status); };
        if (form == io::Form::Irp) {
            CHECK_EQ(bench.send_and_wait(bench.operation(major)), STATUS_SUCCESS);
        } else {
            bench.send_inline(bench.operation(major, form));
        }
        driver.post = nullptr;
    });
    if (report) {
        *report = said;
    } else {
        CHECK_EQ(rule_of(said), std::string());
    }
    return status;
}

/// At which IRQL the callbacks ran: pre and post.
std::pair<int, int> irqls(const char *name, const char *value, UCHAR major, io::Form form) {
    std::pair<int, int> seen{-1, -1};
    const std::string report = under(name, value, [&](Bench &bench, Driver &driver) {
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
            seen.first = KeGetCurrentIrql();
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        driver.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            seen.second = KeGetCurrentIrql();
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        if (form == io::Form::Irp) {
            bench.send_and_wait(bench.operation(major));
        } else {
            bench.send_inline(bench.operation(major, form));
        }
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    });
    CHECK_EQ(rule_of(report), std::string());
    return seen;
}

FLT_POSTOP_CALLBACK_STATUS cancel_open(PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects) {
    FltCancelFileOpen(objects->Instance, objects->FileObject);
    data->IoStatus.Status = STATUS_ACCESS_DENIED;
    data->IoStatus.Information = 0;
    return FLT_POSTOP_FINISHED_PROCESSING;
}

} // namespace

TEST(names_and_values) {
    World world(check::virtual_world());
    Readings &readings = *world.readings;
    CHECK_EQ(readings.json(), std::string("{}"));
    CHECK(check::contains(readings.set("close-irq", "apc"),
                          "there is no reading \"close-irq\"; there are read-write-flush, "));
    CHECK_EQ(readings.set("close-irql", "high"),
             std::string("\"high\" is no value of close-irql; expected apc, passive"));
    CHECK_EQ(readings.set("close-irql", "passive"), std::string());
    CHECK_EQ(readings.json(), std::string("{\"close-irql\":\"passive\"}"));
    CHECK(check::contains(world.report_json(), "\"readings\":{\"close-irql\":\"passive\"}"));
    CHECK_EQ(readings.set("close-irql", "apc"), std::string());
    CHECK_EQ(readings.json(), std::string("{}"));
}

TEST(read_write_flush) {
    for (const UCHAR major : {IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_FLUSH_BUFFERS}) {
        CHECK_EQ(queued("read-write-flush", "queued", major), STATUS_SUCCESS);
        CHECK_EQ(queued("read-write-flush", "refused", major), STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    }
    CHECK_EQ(queued("read-write-flush", "refused", IRP_MJ_QUERY_INFORMATION), STATUS_SUCCESS);
}

TEST(queue_of_non_irp) {
    constexpr const char *NAME = "queue-of-non-irp";
    CHECK_EQ(queued(NAME, "not-safe", IRP_MJ_READ, io::Form::FastIo), STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    CHECK_EQ(queued(NAME, "invalid-parameter", IRP_MJ_READ, io::Form::FastIo), STATUS_INVALID_PARAMETER);
    CHECK_EQ(queued(NAME, "invalid-device-request", IRP_MJ_READ, io::Form::FastIo), STATUS_INVALID_DEVICE_REQUEST);
    std::string report;
    CHECK_EQ(queued(NAME, "accepted", IRP_MJ_READ, io::Form::FastIo, &report), STATUS_SUCCESS);
    CHECK(stopped_on(report, "V1 "));
}

TEST(status_changed_by_worker) {
    for (const bool taken : {true, false}) {
        const std::string report =
            under("status-changed-by-worker", taken ? "taken" : "ignored", [&](Bench &bench, Driver &driver) {
                driver.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                    return pend(data, nullptr, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                        pended->IoStatus.Status = STATUS_DISK_FULL;
                        give_back(item, pended);
                    });
                };
                CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_WRITE)), taken ? STATUS_DISK_FULL : STATUS_SUCCESS);
                driver.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                    data->IoStatus.Status = STATUS_DISK_FULL;
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_WRITE)), STATUS_DISK_FULL);
                driver.post = nullptr;
            });
        CHECK_EQ(rule_of(report), std::string());
    }
}

TEST(dirty_with_status) {
    const auto changed = [](const char *value, bool status, bool mark) {
        return under("dirty-with-status", value, [=](Bench &bench, Driver &driver) {
            driver.post = [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                data->Iopb->Parameters.Read.Length = 77;
                if (status) {
                    data->IoStatus.Status = STATUS_DISK_FULL;
                }
                if (mark) {
                    FltSetCallbackDataDirty(data);
                }
                return FLT_POSTOP_FINISHED_PROCESSING;
            };
            bench.send_and_wait(bench.operation(IRP_MJ_READ));
            driver.post = nullptr;
        });
    };
    CHECK(stopped_on(changed("needed", true, false), "V6"));
    CHECK_EQ(rule_of(changed("needed", true, true)), std::string());
    CHECK_EQ(rule_of(changed("forbidden", true, false)), std::string());
    CHECK(stopped_on(changed("forbidden", true, true), "V6"));
    CHECK(stopped_on(changed("forbidden", false, false), "V6"));
    CHECK_EQ(rule_of(changed("forbidden", false, true)), std::string());
}

TEST(irql_of_callbacks) {
    CHECK(irqls("fast-io-post-irql", "apc", IRP_MJ_READ, io::Form::FastIo) == std::pair(PASSIVE_LEVEL, APC_LEVEL));
    CHECK(irqls("fast-io-post-irql", "caller", IRP_MJ_READ, io::Form::FastIo) ==
          std::pair(PASSIVE_LEVEL, PASSIVE_LEVEL));
    CHECK(irqls("fast-io-post-irql", "apc", IRP_MJ_READ, io::Form::Irp) == std::pair(PASSIVE_LEVEL, PASSIVE_LEVEL));
    CHECK(irqls("close-irql", "apc", IRP_MJ_CLOSE, io::Form::Irp) == std::pair(APC_LEVEL, APC_LEVEL));
    CHECK(irqls("close-irql", "passive", IRP_MJ_CLOSE, io::Form::Irp) == std::pair(PASSIVE_LEVEL, PASSIVE_LEVEL));
}

TEST(cancel_open_irql) {
    const auto cancelled = [](const char *value) {
        return under("cancel-open-irql", value, [](Bench &bench, Driver &driver) {
            driver.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, ULONG) {
                const IrqlScope irql(APC_LEVEL);
                return cancel_open(data, objects);
            };
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_CREATE)), STATUS_ACCESS_DENIED);
        });
    };
    CHECK(stopped_on(cancelled("passive"), "V5"));
    CHECK_EQ(rule_of(cancelled("apc")), std::string());
}

TEST(callback_without_post) {
    const auto sent = [](const char *value, FLT_PREOP_CALLBACK_STATUS status) {
        return under(
            "callback-without-post", value,
            [=](Bench &bench, Driver &driver) {
                driver.pre = [=](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return status; };
                CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_QUERY_INFORMATION)), STATUS_SUCCESS);
            },
            [](Bench &, Driver &driver) { driver.with_post = false; });
    };
    for (const FLT_PREOP_CALLBACK_STATUS status : {FLT_PREOP_SUCCESS_WITH_CALLBACK, FLT_PREOP_SYNCHRONIZE}) {
        CHECK(stopped_on(sent("fatal", status), "F5/66"));
        CHECK_EQ(rule_of(sent("ignored", status)), std::string());
    }
    CHECK_EQ(rule_of(sent("fatal", FLT_PREOP_SUCCESS_NO_CALLBACK)), std::string());
}

TEST(instances_key) {
    constexpr std::pair<const char *, const char *> EXPECTED[] = {
        {"both", "222"}, {"parameters", "222"}, {"service", "111"}};
    for (const auto &[value, altitude] : EXPECTED) {
        under("instances-key", value, [&, altitude = altitude](Bench &bench, Driver &driver) {
            CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
            const std::u16string key = Registry::service_key(u"one");
            {
                const KernelCall call("registry");
                bench.world.registry->set(key + u"\\Instances\\one", u"Altitude", std::u16string(u"111"));
                bench.world.registry->set(key + u"\\Parameters\\Instances\\one", u"Altitude", std::u16string(u"222"));
            }
            CHECK_EQ(bench.attach(driver), STATUS_SUCCESS);
            const KernelCall call("look");
            CHECK_EQ(flt::narrow(flt::manager().instances.back()->altitude), std::string(altitude));
        });
    }
}

namespace {

/// The routine gives the operation back and then stays for half a second. What is over first?
struct Lingering {
    bool returned = false;
    bool detached_while_inside = false;
    bool unloaded_while_inside = false;
    std::string report;
};

Lingering linger(const char *value, bool detach) {
    Lingering seen;
    seen.report = under("deferred-reference", value, [&](Bench &bench, Driver &driver) {
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            return pend(data, nullptr, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltCompletePendedPostOperation(pended);
                bench.wait_until([] { return false; }, 500);
                FltFreeDeferredIoWorkItem(item);
                seen.returned = true;
            });
        };
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
        driver.post = nullptr;
        if (detach) {
            CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
            seen.detached_while_inside = !seen.returned;
            CHECK(bench.wait_until([&] { return seen.returned; }));
        }
        driver.unload = [&](ULONG) {
            FltUnregisterFilter(driver.filter);
            driver.filter = nullptr;
            seen.unloaded_while_inside = !seen.returned;
            return STATUS_SUCCESS;
        };
        bench.unload(driver);
    });
    return seen;
}

} // namespace

TEST(deferred_reference) {
    Lingering seen = linger("routine", true);
    CHECK(seen.detached_while_inside);
    CHECK_EQ(rule_of(seen.report), std::string());
    seen = linger("teardown", true);
    CHECK(!seen.detached_while_inside);
    CHECK_EQ(rule_of(seen.report), std::string());

    seen = linger("routine", false);
    CHECK(!seen.unloaded_while_inside);
    CHECK_EQ(rule_of(seen.report), std::string());
    seen = linger("given-back", false);
    CHECK(seen.unloaded_while_inside);
    CHECK_EQ(rule_of(seen.report), std::string("UNL-07 code of an unloaded image"));
    CHECK(check::contains(seen.report, "called by a deferred routine"));
    seen = linger("given-back", true); // it has returned when the image goes
    CHECK(seen.detached_while_inside);
    CHECK_EQ(rule_of(seen.report), std::string());
}

TEST(pended_create) {
    CHECK_EQ(queued("pended-create", "queued", IRP_MJ_CREATE), STATUS_SUCCESS);
    CHECK_EQ(queued("pended-create", "refused", IRP_MJ_CREATE), STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    CHECK_EQ(queued("pended-create", "refused", IRP_MJ_CLEANUP), STATUS_SUCCESS);
}

TEST(cancel_open_by_worker) {
    const auto cancelled = [](const char *value) {
        return under("cancel-open-by-worker", value, [](Bench &bench, Driver &driver) {
            driver.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                if (data->Iopb->MajorFunction != IRP_MJ_CREATE) {
                    return FLT_POSTOP_FINISHED_PROCESSING;
                }
                return pend(data, nullptr, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                    FltCancelFileOpen(pended->Iopb->TargetInstance, pended->Iopb->TargetFileObject);
                    pended->IoStatus.Status = STATUS_ACCESS_DENIED;
                    pended->IoStatus.Information = 0;
                    give_back(item, pended);
                });
            };
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_CREATE)), STATUS_ACCESS_DENIED);
        });
    };
    CHECK(stopped_on(cancelled("fatal"), "V12"));
    CHECK_EQ(rule_of(cancelled("allowed")), std::string());
}

TEST(pend_of_synchronized) {
    const auto pended = [](const char *value, std::string *report) {
        return queued("pend-of-synchronized", value, IRP_MJ_QUERY_INFORMATION, io::Form::Irp, report,
                      FLT_PREOP_SYNCHRONIZE);
    };
    std::string report;
    pended("fatal", &report);
    CHECK_EQ(rule_of(report), std::string("SYNC-06 synchronised operation pended"));
    CHECK_EQ(pended("refused", nullptr), STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    CHECK_EQ(pended("allowed", nullptr), STATUS_SUCCESS);
}

TEST(unqueued_pend) {
    const auto held = [](const char *value, uint64_t milliseconds) {
        return under("unqueued-pend", value, [=](Bench &bench, Driver &driver) {
            PFLT_CALLBACK_DATA held = nullptr;
            driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                held = data;
                return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
            };
            CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ)), STATUS_PENDING);
            bench.wait_until([] { return false; }, milliseconds);
            FltCompletePendedPostOperation(held);
            driver.post = nullptr;
        });
    };
    CHECK_EQ(rule_of(held("grace", 500)), std::string());
    CHECK(stopped_on(held("grace", 5000), "V1 "));
    CHECK(stopped_on(held("fatal", 0), "V1 "));
    CHECK_EQ(rule_of(held("allowed", 5000)), std::string());
}

TEST(double_give_back) {
    const auto twice = [](const char *value) {
        return under("double-give-back", value, [](Bench &bench, Driver &driver) {
            driver.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                return pend(data, nullptr, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                    give_back(item, pended);
                    FltCompletePendedPostOperation(pended);
                });
            };
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
            bench.wait_until([] { return false; }, 100);
            driver.post = nullptr;
        });
    };
    CHECK(stopped_on(twice("fatal"), "V3"));
    CHECK_EQ(rule_of(twice("ignored")), std::string());
}

TEST(draining_while_queued) {
    for (const bool overlaps : {true, false}) {
        const char *value = overlaps ? "overlaps" : "queued-first";
        const std::string report = under("draining-while-queued", value, [&](Bench &bench, Driver &driver) {
            bool returned = false;
            std::optional<bool> returned_before_draining;
            driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG flags) {
                if ((flags & FLTFL_POST_OPERATION_DRAINING) != 0) {
                    returned_before_draining = returned;
                    return FLT_POSTOP_FINISHED_PROCESSING;
                }
                return pend(data, nullptr, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                    give_back(item, pended);
                    bench.wait_until([] { return false; }, 500);
                    returned = true;
                });
            };
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
            bench.fs->hold = true;
            CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ)), STATUS_PENDING);
            CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
            CHECK(returned_before_draining == std::optional(!overlaps));
            bench.fs->complete_next();
            CHECK(bench.wait_until([&] { return returned; }));
        });
        CHECK_EQ(rule_of(report), std::string());
    }
}

TEST(cancelled_open_below) {
    for (const bool cleanup : {true, false}) {
        std::vector<UCHAR> seen;
        const char *value = cleanup ? "cleanup-and-close" : "close";
        const std::string report = under("cancelled-open-below", value, [&](Bench &bench, Driver &high) {
            Driver low(u"low", u"1");
            REQUIRE(low.load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(low) == STATUS_SUCCESS);
            low.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                seen.push_back(data->Iopb->MajorFunction);
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            };
            high.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, ULONG) {
                return cancel_open(data, objects);
            };
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_CREATE)), STATUS_ACCESS_DENIED);
            high.post = nullptr;
        });
        CHECK_EQ(rule_of(report), std::string());
        CHECK(seen == (cleanup ? std::vector<UCHAR>{IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE}
                               : std::vector<UCHAR>{IRP_MJ_CREATE, IRP_MJ_CLOSE}));
    }
}

TEST(refusal_order) {
    for (const bool deleting_first : {true, false}) {
        NTSTATUS status = STATUS_UNSUCCESSFUL;
        const char *value = deleting_first ? "deleting-first" : "not-safe-first";
        under("refusal-order", value, [&](Bench &bench, Driver &driver) {
            driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                return pend(data, &status);
            };
            bench.fs->hold = true;
            CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_PAGING_IO)), STATUS_PENDING);
            driver.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG) { bench.fs->complete_next(); };
            CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
        });
        CHECK_EQ(status, deleting_first ? STATUS_FLT_DELETING_OBJECT : STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    }
}

} // namespace MINIPEND_TEST_FILE
