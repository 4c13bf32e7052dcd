// SPDX-License-Identifier: MIT
//
// This module provides: tests of extra create parameters: their lists, who frees them and when, creates that carry them, and what a driver does wrongly.

#include "flt/own_stack.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace own_stack;
using check::contains;

namespace {

constexpr GUID ONE{1, 2, 3, {4}};
constexpr GUID TWO{2, 2, 3, {4}};
constexpr ULONG TAG = 0x74706345;

std::string g_gone; ///< the letters of the parameters whose cleanup callback ran

void FLTAPI on_gone(PVOID context, LPCGUID type) {
    g_gone += *static_cast<char *>(context);
    CHECK(memcmp(type, &ONE, sizeof ONE) == 0 || memcmp(type, &TWO, sizeof TWO) == 0);
}

PVOID make(PFLT_FILTER filter, char letter, const GUID &type = ONE, ULONG bytes = 16) {
    PVOID context = nullptr;
    CHECK_EQ(FltAllocateExtraCreateParameter(filter, &type, bytes, 0, on_gone, TAG, &context), STATUS_SUCCESS);
    *static_cast<char *>(context) = letter;
    return context;
}

PFLT_FILTER g_filter;
PECP_LIST g_list;

/// Frees what is being freed.
void FLTAPI free_again(PVOID context, LPCGUID) {
    FltFreeExtraCreateParameter(g_filter, context);
}

void FLTAPI free_list_again(PVOID, LPCGUID) {
    FltFreeExtraCreateParameterList(g_filter, g_list);
}

PECP_LIST make_list(PFLT_FILTER filter) {
    PECP_LIST list = nullptr;
    CHECK_EQ(FltAllocateExtraCreateParameterList(filter, 0, &list), STATUS_SUCCESS);
    return list;
}

char find(PFLT_FILTER filter, PECP_LIST list, const GUID &type = ONE) {
    PVOID context = nullptr;
    ULONG bytes = 99;
    const NTSTATUS status = FltFindExtraCreateParameter(filter, list, &type, &context, &bytes);
    CHECK_EQ(NT_SUCCESS(status), context != nullptr);
    CHECK_EQ(bytes, NT_SUCCESS(status) ? 16u : 0u);
    return NT_SUCCESS(status) ? *static_cast<char *>(context) : '-';
}

/// mid opens D:\own with a list.
NTSTATUS open_with(Stack &stack, PECP_LIST list, PFLT_INSTANCE instance) {
    UNICODE_STRING name = flt::unicode(u"\\??\\D:\\own");
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    IO_DRIVER_CREATE_CONTEXT context;
    IoInitializeDriverCreateContext(&context);
    context.ExtraCreateParameter = list;
    IO_STATUS_BLOCK iosb{};
    HANDLE handle = nullptr;
    const NTSTATUS status =
        FltCreateFileEx2(stack.mid.filter, instance, &handle, nullptr, FILE_GENERIC_READ, &attributes, &iosb, nullptr,
                         0, context_subject::SHARE, FILE_OPEN, 0, nullptr, 0, 0, &context);
    if (NT_SUCCESS(status)) {
        CHECK_EQ(FltClose(handle), STATUS_SUCCESS);
    }
    return status;
}

/// D:\\link, a symbolic link to D:\\own.
void make_link(Stack &stack) {
    const UserFile link(stack, u"D:\\link", "");
    constexpr std::u16string_view kTarget = u"\\??\\D:\\own";
    constexpr auto kBytes = static_cast<USHORT>(kTarget.size() * sizeof(char16_t));
    constexpr size_t kNamesAt = offsetof(REPARSE_DATA_BUFFER, SymbolicLinkReparseBuffer.PathBuffer);
    alignas(8) char buffer[256] = {};
    auto *data = reinterpret_cast<REPARSE_DATA_BUFFER *>(buffer);
    data->ReparseTag = IO_REPARSE_TAG_SYMLINK;
    data->ReparseDataLength =
        static_cast<USHORT>(kNamesAt - offsetof(REPARSE_DATA_BUFFER, SymbolicLinkReparseBuffer) + kBytes);
    data->SymbolicLinkReparseBuffer.SubstituteNameLength = kBytes;
    data->SymbolicLinkReparseBuffer.PrintNameOffset = kBytes;
    memcpy(buffer + kNamesAt, kTarget.data(), kBytes);
    CHECK_EQ(FltFsControlFile(stack.instance, link.object, FSCTL_SET_REPARSE_POINT, buffer,
                              static_cast<ULONG>(kNamesAt + kBytes), nullptr, 0, nullptr),
             STATUS_SUCCESS);
}

std::string with(const std::function<void(Stack &)> &fn) {
    g_gone.clear();
    return with_stack([&](Stack &stack) {
        const UserFile user(stack, u"D:\\own");
        fn(stack);
        stack.low_pre = nullptr;
        stack.mid.pre = nullptr;
        stack.mid.post = nullptr;
    });
}

} // namespace

TEST(lists_hold_one_of_each_type) {
    expect_clean(with([](Stack &stack) {
        const PFLT_FILTER filter = stack.mid.filter;
        PECP_LIST list = make_list(filter);
        CHECK_EQ(find(filter, list), '-');
        const PVOID a = make(filter, 'a');
        const PVOID b = make(filter, 'b', TWO);
        const PVOID c = make(filter, 'c');
        CHECK_EQ(FltInsertExtraCreateParameter(filter, list, a), STATUS_SUCCESS);
        CHECK_EQ(FltInsertExtraCreateParameter(filter, list, b), STATUS_SUCCESS);
        CHECK_EQ(FltInsertExtraCreateParameter(filter, list, c), STATUS_INVALID_PARAMETER);
        CHECK_EQ(find(filter, list), 'a');
        CHECK_EQ(find(filter, list, TWO), 'b');
        CHECK_EQ(FltFindExtraCreateParameter(filter, list, &ONE, nullptr, nullptr), STATUS_SUCCESS);
        std::string all;
        PVOID at = nullptr;
        GUID type{};
        ULONG bytes = 0;
        while (NT_SUCCESS(FltGetNextExtraCreateParameter(filter, list, at, &type, &at, &bytes))) {
            all += *static_cast<char *>(at);
            CHECK_EQ(bytes, 16u);
        }
        CHECK_EQ(all, std::string("ab"));
        CHECK(memcmp(&type, &TWO, sizeof type) == 0);
        CHECK(at == nullptr);
        CHECK_EQ(bytes, 0u);
        CHECK_EQ(FltGetNextExtraCreateParameter(filter, nullptr, nullptr, nullptr, nullptr, nullptr),
                 STATUS_INVALID_PARAMETER);
        PVOID taken = nullptr;
        CHECK_EQ(FltRemoveExtraCreateParameter(filter, list, &ONE, &taken, &bytes), STATUS_SUCCESS);
        CHECK(taken == a);
        CHECK_EQ(FltRemoveExtraCreateParameter(filter, list, &ONE, &taken, nullptr), STATUS_NOT_FOUND);
        CHECK(taken == nullptr);
        CHECK_EQ(FltInsertExtraCreateParameter(filter, list, c), STATUS_SUCCESS);
        CHECK_EQ(g_gone, std::string());
        FltFreeExtraCreateParameter(filter, a);
        CHECK_EQ(g_gone, std::string("a"));
        FltFreeExtraCreateParameterList(filter, list);
        CHECK_EQ(g_gone, std::string("abc"));
    }));
}

TEST(a_list_given_to_an_open_stays_the_callers) {
    expect_clean(with([](Stack &stack) {
        const PFLT_FILTER filter = stack.mid.filter;
        PECP_LIST list = make_list(filter);
        const PVOID own = make(filter, 'o');
        CHECK_EQ(FltInsertExtraCreateParameter(filter, list, own), STATUS_SUCCESS);
        int creates = 0;
        stack.low_pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            PECP_LIST seen = nullptr;
            if (data->Iopb->MajorFunction != IRP_MJ_CREATE) {
                CHECK_EQ(FltGetEcpListFromCallbackData(objects->Filter, data, &seen), STATUS_INVALID_PARAMETER);
                CHECK_EQ(FltSetEcpListIntoCallbackData(objects->Filter, data, list), STATUS_INVALID_PARAMETER_2);
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            }
            ++creates;
            CHECK_EQ(FltGetEcpListFromCallbackData(objects->Filter, data, &seen), STATUS_SUCCESS);
            CHECK(seen == list);
            PVOID context = nullptr;
            CHECK_EQ(FltFindExtraCreateParameter(objects->Filter, seen, &ONE, &context, nullptr), STATUS_SUCCESS);
            CHECK(context == own);
            CHECK_EQ(FltIsEcpFromUserMode(objects->Filter, context), FALSE);
            CHECK_EQ(FltIsEcpAcknowledged(objects->Filter, context), creates == 1 ? FALSE : TRUE);
            FltAcknowledgeEcp(objects->Filter, context);
            CHECK_EQ(FltSetEcpListIntoCallbackData(objects->Filter, data, list), STATUS_INVALID_PARAMETER_3);
            // What is added on the way goes when the create has ended.
            CHECK_EQ(FltInsertExtraCreateParameter(objects->Filter, seen, make(objects->Filter, 'w', TWO)),
                     STATUS_SUCCESS);
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        for (const char *gone : {"w", "ww"}) {
            CHECK_EQ(open_with(stack, list, stack.instance), STATUS_SUCCESS);
            CHECK_EQ(g_gone, std::string(gone));
            CHECK_EQ(find(filter, list), 'o');
            CHECK_EQ(find(filter, list, TWO), '-');
        }
        CHECK_EQ(creates, 2);
        CHECK_EQ(FltIsEcpAcknowledged(filter, own), TRUE);
        FltFreeExtraCreateParameterList(filter, list);
        CHECK_EQ(g_gone, std::string("wwo"));
    }));
}

TEST(a_list_given_to_a_users_create_goes_with_it) {
    expect_clean(with([](Stack &stack) {
        make_link(stack);
        g_gone.clear();
        std::string seen;
        stack.mid.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                PECP_LIST list = nullptr;
                CHECK_EQ(FltGetEcpListFromCallbackData(objects->Filter, data, &list), STATUS_SUCCESS);
                if (list == nullptr) {
                    list = make_list(objects->Filter);
                    CHECK_EQ(FltInsertExtraCreateParameter(objects->Filter, list, make(objects->Filter, 'm')),
                             STATUS_SUCCESS);
                    CHECK_EQ(FltSetEcpListIntoCallbackData(objects->Filter, data, list), STATUS_SUCCESS);
                    seen += "new ";
                } else { // behind the reparse point
                    seen += find(objects->Filter, list);
                    seen += ' ';
                }
            }
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        stack.mid.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                PECP_LIST list = nullptr;
                CHECK_EQ(FltGetEcpListFromCallbackData(objects->Filter, data, &list), STATUS_SUCCESS);
                seen += std::string("post ") + find(objects->Filter, list) +
                        (data->IoStatus.Status == STATUS_REPARSE ? " reparse " : " ");
                CHECK_EQ(g_gone, std::string());
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const HANDLE user =
            CreateFileW(u"D:\\link", GENERIC_READ, context_subject::SHARE, nullptr, OPEN_EXISTING, 0, nullptr);
        CHECK(user != INVALID_HANDLE_VALUE);
        CHECK_EQ(seen, std::string("new post m reparse m post m "));
        CHECK_EQ(g_gone, std::string("m")); // once, when the open has ended
        close(user);
    }));
}

TEST(parameters_from_a_lookaside_list) {
    expect_clean(with([](Stack &stack) {
        const PFLT_FILTER filter = stack.mid.filter;
        NPAGED_LOOKASIDE_LIST lookaside{};
        FltInitExtraCreateParameterLookasideList(filter, &lookaside, FSRTL_ECP_LOOKASIDE_FLAG_NONPAGED_POOL, 16, TAG);
        PVOID context = nullptr;
        for (const ULONG bytes : {16u, 64u}) { // more than the entries have is allowed
            CHECK_EQ(
                FltAllocateExtraCreateParameterFromLookasideList(filter, &ONE, bytes, 0, on_gone, &lookaside, &context),
                STATUS_SUCCESS);
            *static_cast<char *>(context) = 'l';
            FltFreeExtraCreateParameter(filter, context);
        }
        CHECK_EQ(g_gone, std::string("ll"));
        FltDeleteExtraCreateParameterLookasideList(filter, &lookaside, FSRTL_ECP_LOOKASIDE_FLAG_NONPAGED_POOL);
        for (const char *api : {"FltAllocateExtraCreateParameterList", "FltAllocateExtraCreateParameter",
                                "FltAllocateExtraCreateParameterFromLookasideList"}) {
            stack.bench.world.faults->set(api, 0, 1);
        }
        PECP_LIST list = nullptr;
        CHECK_EQ(FltAllocateExtraCreateParameterList(filter, 0, &list), STATUS_INSUFFICIENT_RESOURCES);
        CHECK_EQ(FltAllocateExtraCreateParameter(filter, &ONE, 8, 0, nullptr, TAG, &context),
                 STATUS_INSUFFICIENT_RESOURCES);
        CHECK(list == nullptr && context == nullptr);
    }));
}

TEST(unload_waits_for_creates_that_carry_a_filters_parameters) {
    for (const bool empty : {false, true}) { // the list itself is the filter's as well
        const std::string report = run([=](Bench &bench) {
            static auto &left = *new std::vector<Driver *>;
            Driver &driver = *left.emplace_back(new Driver(u"one"));
            REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
            g_gone.clear();
            driver.pre = [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                PECP_LIST list = make_list(objects->Filter);
                if (!empty) {
                    CHECK_EQ(FltInsertExtraCreateParameter(objects->Filter, list, make(objects->Filter, 'm')),
                             STATUS_SUCCESS);
                }
                CHECK_EQ(FltSetEcpListIntoCallbackData(objects->Filter, data, list), STATUS_SUCCESS);
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            };
            const auto create = bench.operation(IRP_MJ_CREATE);
            bool over = false;
            bench.fs->hold = true;
            bench.start("opener", [&] {
                bench.send_and_wait(create);
                over = true;
                KernelCall call("NtCreateFile");
                bench.world.flt->end_create(nullptr, create->ecp_list);
            });
            CHECK(bench.wait_until([&] { return !bench.fs->below.empty(); }));
            bench.start("storage", [&] {
                bench.wait_until([] { return false; }, 50);
                CHECK_EQ(g_gone, std::string());
                bench.fs->complete_next();
            });
            CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
            CHECK(over);
            CHECK_EQ(g_gone, std::string(empty ? "" : "m"));
        });
        CHECK_EQ(rule_of(report), std::string());
        CHECK(contains(report, "\"leaks\":[]"));
    }
}

TEST(mistakes_with_extra_create_parameters) {
    const auto stops = [](const std::function<void(Stack &, PFLT_FILTER, PECP_LIST, PVOID)> &fn) {
        return rule_of(with([&](Stack &stack) {
            const PFLT_FILTER filter = stack.mid.filter;
            PECP_LIST list = make_list(filter);
            const PVOID context = make(filter, 'x');
            CHECK_EQ(FltInsertExtraCreateParameter(filter, list, context), STATUS_SUCCESS);
            fn(stack, filter, list, context);
        }));
    };
    const std::string v25 = "V25 extra create parameter";
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST list, PVOID) {
                 FltFreeExtraCreateParameterList(filter, list);
             }),
             std::string());
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST list, PVOID) {
                 FltFreeExtraCreateParameterList(filter, list);
                 FltFreeExtraCreateParameterList(filter, list);
             }),
             v25);
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST, PVOID context) { // in a list
                 FltFreeExtraCreateParameter(filter, context);
             }),
             v25);
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST list, PVOID context) { // freed with its list
                 FltFreeExtraCreateParameterList(filter, list);
                 FltAcknowledgeEcp(filter, context);
             }),
             v25);
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST list, PVOID context) {
                 static_cast<void>(FltInsertExtraCreateParameter(filter, list, context));
             }),
             v25);
    CHECK_EQ(stops([](Stack &stack, PFLT_FILTER filter, PECP_LIST list, PVOID) { // while a create uses it
                 stack.low_pre = [=](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
                     FltFreeExtraCreateParameterList(filter, list);
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 open_with(stack, list, stack.instance);
             }),
             v25);
    CHECK_EQ(stops([](Stack &stack, PFLT_FILTER filter, PECP_LIST list, PVOID) { // the create frees it
                 stack.mid.pre = [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                     if (data->Iopb->MajorFunction == IRP_MJ_CREATE) {
                         CHECK_EQ(FltSetEcpListIntoCallbackData(filter, data, list), STATUS_SUCCESS);
                     }
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 };
                 close(open(u"D:\\own"));
                 FltFreeExtraCreateParameterList(filter, list);
             }),
             v25);
    for (const auto cleanup : {free_again, free_list_again}) {
        CHECK_EQ(stops([=](Stack &, PFLT_FILTER filter, PECP_LIST list, PVOID) {
                     g_filter = filter;
                     g_list = list;
                     PVOID again = nullptr;
                     CHECK_EQ(FltAllocateExtraCreateParameter(filter, &TWO, 8, 0, cleanup, TAG, &again),
                              STATUS_SUCCESS);
                     CHECK_EQ(FltInsertExtraCreateParameter(filter, list, again), STATUS_SUCCESS);
                     FltFreeExtraCreateParameterList(filter, list);
                 }),
                 v25);
    }
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST, PVOID context) { // no lookaside list
                 static_cast<void>(
                     FltAllocateExtraCreateParameterFromLookasideList(filter, &ONE, 8, 0, nullptr, &context, &context));
             }),
             v25);
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST, PVOID context) { // entries are left
                 static PAGED_LOOKASIDE_LIST lookaside;
                 FltInitExtraCreateParameterLookasideList(filter, &lookaside, 0, 16, TAG);
                 static_cast<void>(FltAllocateExtraCreateParameterFromLookasideList(filter, &ONE, 8, 0, nullptr,
                                                                                    &lookaside, &context));
                 FltDeleteExtraCreateParameterLookasideList(filter, &lookaside, 0);
             }),
             v25);
    CHECK_EQ(stops([](Stack &, PFLT_FILTER filter, PECP_LIST list, PVOID) {
                 const IrqlScope dispatch(DISPATCH_LEVEL);
                 FltFreeExtraCreateParameterList(filter, list);
             }),
             std::string("V5 IRQL too high"));
    const std::string leaked = with([](Stack &stack) {
        const PFLT_FILTER filter = stack.mid.filter;
        PECP_LIST list = make_list(filter);
        CHECK_EQ(FltInsertExtraCreateParameter(filter, list, make(filter, 'x')), STATUS_SUCCESS);
        make(filter, 'y');
        static PAGED_LOOKASIDE_LIST lookaside;
        FltInitExtraCreateParameterLookasideList(filter, &lookaside, 0, 16, TAG);
    });
    CHECK(contains(leaked, "1 list(s) and 2 extra create parameter(s) were not freed (V25)"));
    CHECK(contains(leaked, "1 lookaside list(s) of extra create parameters were not deleted (V25)"));
}

} // namespace MINIPEND_TEST_FILE
