// SPDX-License-Identifier: MIT
//
// This module provides: lists of extra create parameters, and the creates that carry them.
//
//      FltAllocateExtraCreateParameterList --> the caller's --FltCreateFileEx2--> in use by a create, and the caller's again when that returns
//                                          `--FltSetEcpListIntoCallbackData--> the create's: it goes with all in it when the create has ended
//
// What a filter inserts into a list while a create uses it goes at the end of that create too, after all reparse points.

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

EcpList &ecp_list_of(PECP_LIST list, const char *api) {
    const auto found = manager().ecp_lists.find(list);
    if (found == manager().ecp_lists.end()) {
        bad_ecp(api, manager().memory.released(list) ? "the list was freed already"
                                                     : "the pointer is not a list of extra create parameters");
    }
    return found->second;
}

bool same_ecp_type(const GUID &a, const GUID &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Its place in the list, or the list's end.
std::vector<PVOID>::iterator find_ecp_type(EcpList &list, const GUID &type) {
    return std::find_if(list.entries.begin(), list.entries.end(),
                        [&](PVOID context) { return same_ecp_type(manager().ecps.at(context).type, type); });
}

/// Cleanup callbacks may do anything but free it again.
void delete_ecp_list(PECP_LIST list) {
    auto &m = manager();
    m.ecp_lists.at(list).creates = 1;
    while (!m.ecp_lists.at(list).entries.empty()) {
        auto &entries = m.ecp_lists.at(list).entries;
        const PVOID context = entries.front();
        entries.erase(entries.begin());
        delete_ecp(context);
    }
    const EcpList gone = m.ecp_lists.at(list);
    m.ecp_lists.erase(list);
    m.memory.release(list);
    if (gone.held) {
        --gone.filter->references;
        world().wake(gone.filter);
    }
}

/// The create that `data` is callback data of; null when it is none.
io::Operation *ecp_create_of(PFLT_CALLBACK_DATA data, const char *api) {
    io::Operation &operation = *call_of(data, api)->operation;
    return operation.form == io::Form::Irp && operation.major == IRP_MJ_CREATE ? &operation : nullptr;
}

} // namespace

void FilterManager::begin_create(void *ecp_list) {
    ++ecp_list_of(static_cast<PECP_LIST>(ecp_list), "IRP_MJ_CREATE").creates;
}

void FilterManager::end_create(void *given, void *now) {
    auto *list = static_cast<PECP_LIST>(now);
    if (given != nullptr) {
        EcpList &callers = ecp_list_of(static_cast<PECP_LIST>(given), "IRP_MJ_CREATE");
        for (size_t i = 0; i < callers.entries.size();) { // in use until the last cleanup callback has returned
            const PVOID context = callers.entries[i];
            if (callers.creates == 1 && manager().ecps.at(context).of_create) {
                callers.entries.erase(callers.entries.begin() + static_cast<ptrdiff_t>(i));
                delete_ecp(context);
                i = 0; // the list may have changed
            } else {
                ++i;
            }
        }
        --callers.creates;
    }
    if (list != nullptr && now != given) {
        delete_ecp_list(list);
    }
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// An empty list. STATUS_INSUFFICIENT_RESOURCES. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAllocateExtraCreateParameterList(PFLT_FILTER Filter,
                                                                  FSRTL_ALLOCATE_ECPLIST_FLAGS Flags,
                                                                  PECP_LIST *EcpList) {
    constexpr const char *kApi = "FltAllocateExtraCreateParameterList";
    KernelCall call(kApi, APC_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    *EcpList = nullptr;
    check_ecp_flags(kApi, Flags, FSRTL_ALLOCATE_ECPLIST_FLAG_CHARGE_QUOTA);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    constexpr size_t kOpaqueBytes = 64;
    *EcpList = static_cast<PECP_LIST>(manager().memory.allocate(kOpaqueBytes, "ECP_LIST", 0xCC));
    manager().ecp_lists[*EcpList].filter = filter.get();
    return STATUS_SUCCESS;
}

/// Frees a list and all in it. Not while a create uses it, and not when it was given to one for good. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreeExtraCreateParameterList(PFLT_FILTER Filter, PECP_LIST EcpList) {
    constexpr const char *kApi = "FltFreeExtraCreateParameterList";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    if (ecp_list_of(EcpList, kApi).creates != 0) {
        bad_ecp(kApi, "a create is using the list, or it is being freed");
    }
    delete_ecp_list(EcpList);
}

/// STATUS_INVALID_PARAMETER: there is one of its type in the list. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltInsertExtraCreateParameter(PFLT_FILTER Filter, PECP_LIST EcpList, PVOID EcpContext) {
    constexpr const char *kApi = "FltInsertExtraCreateParameter";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    auto &list = ecp_list_of(EcpList, kApi);
    Ecp &ecp = ecp_alone(EcpContext, kApi, "it is in a list already");
    if (find_ecp_type(list, ecp.type) != list.entries.end()) {
        return STATUS_INVALID_PARAMETER;
    }
    ecp.list = EcpList;
    ecp.of_create = list.creates != 0;
    if (ecp.of_create) {
        ecp.held = true;
        ++ecp.filter->references;
    }
    list.entries.push_back(EcpContext);
    return STATUS_SUCCESS;
}

/// STATUS_NOT_FOUND. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltFindExtraCreateParameter(PFLT_FILTER Filter, PECP_LIST EcpList, LPCGUID EcpType,
                                                          PVOID *EcpContext, ULONG *EcpContextSize) {
    constexpr const char *kApi = "FltFindExtraCreateParameter";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    auto &list = ecp_list_of(EcpList, kApi);
    const auto found = find_ecp_type(list, *EcpType);
    const bool there = found != list.entries.end();
    if (EcpContext) {
        *EcpContext = there ? *found : nullptr;
    }
    if (EcpContextSize) {
        *EcpContextSize = there ? manager().ecps.at(*found).size : 0;
    }
    return there ? STATUS_SUCCESS : STATUS_NOT_FOUND;
}

/// Takes it out of the list; whoever does that frees it. STATUS_NOT_FOUND. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltRemoveExtraCreateParameter(PFLT_FILTER Filter, PECP_LIST EcpList, LPCGUID EcpType,
                                                            PVOID *EcpContext, ULONG *EcpContextSize) {
    constexpr const char *kApi = "FltRemoveExtraCreateParameter";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    auto &list = ecp_list_of(EcpList, kApi);
    const auto found = find_ecp_type(list, *EcpType);
    *EcpContext = found != list.entries.end() ? *found : nullptr;
    if (!*EcpContext) {
        return STATUS_NOT_FOUND;
    }
    Ecp &ecp = manager().ecps.at(*EcpContext);
    if (EcpContextSize) {
        *EcpContextSize = ecp.size;
    }
    list.entries.erase(found);
    ecp.list = nullptr;
    ecp.of_create = false;
    let_ecp_filter_go(ecp);
    return STATUS_SUCCESS;
}

/// The one behind CurrentEcpContext, or the first. STATUS_NOT_FOUND, STATUS_INVALID_PARAMETER (no list). IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetNextExtraCreateParameter(PFLT_FILTER Filter, PECP_LIST EcpList,
                                                             PVOID CurrentEcpContext, LPGUID NextEcpType,
                                                             PVOID *NextEcpContext, ULONG *NextEcpContextSize) {
    constexpr const char *kApi = "FltGetNextExtraCreateParameter";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    if (!EcpList) {
        return STATUS_INVALID_PARAMETER;
    }
    const auto &entries = ecp_list_of(EcpList, kApi).entries;
    auto next = entries.begin();
    if (CurrentEcpContext) {
        if (ecp_of(CurrentEcpContext, kApi).list != EcpList) {
            bad_ecp(kApi, "CurrentEcpContext is not in the list");
        }
        next = std::find(entries.begin(), entries.end(), CurrentEcpContext) + 1;
    }
    const bool there = next != entries.end();
    if (NextEcpType && there) {
        *NextEcpType = manager().ecps.at(*next).type;
    }
    if (NextEcpContext) {
        *NextEcpContext = there ? *next : nullptr;
    }
    if (NextEcpContextSize) {
        *NextEcpContextSize = there ? manager().ecps.at(*next).size : 0;
    }
    return there ? STATUS_SUCCESS : STATUS_NOT_FOUND;
}

/// Null when the create has none. STATUS_INVALID_PARAMETER: no create. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetEcpListFromCallbackData(PFLT_FILTER Filter, PFLT_CALLBACK_DATA CallbackData,
                                                            PECP_LIST *EcpList) {
    constexpr const char *kApi = "FltGetEcpListFromCallbackData";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    *EcpList = nullptr;
    const io::Operation *create = ecp_create_of(CallbackData, kApi);
    if (!create) {
        return STATUS_INVALID_PARAMETER;
    }
    *EcpList = static_cast<PECP_LIST>(create->ecp_list);
    return STATUS_SUCCESS;
}

/// Gives the list to the create, which frees it at its end. STATUS_INVALID_PARAMETER_2: no create. STATUS_INVALID_PARAMETER_3: it has one. IRQL <=
/// APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetEcpListIntoCallbackData(PFLT_FILTER Filter, PFLT_CALLBACK_DATA CallbackData,
                                                            PECP_LIST EcpList) {
    constexpr const char *kApi = "FltSetEcpListIntoCallbackData";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    auto &list = ecp_list_of(EcpList, kApi);
    io::Operation *create = ecp_create_of(CallbackData, kApi);
    if (!create) {
        return STATUS_INVALID_PARAMETER_2;
    }
    if (create->ecp_list) {
        return STATUS_INVALID_PARAMETER_3;
    }
    if (list.creates != 0) {
        bad_ecp(kApi, "another create is using the list");
    }
    create->ecp_list = EcpList;
    list.creates = 1;
    list.held = true;
    ++list.filter->references;
    for (const PVOID context : list.entries) {
        Ecp &ecp = manager().ecps.at(context);
        ecp.held = true;
        ++ecp.filter->references;
    }
    return STATUS_SUCCESS;
}
