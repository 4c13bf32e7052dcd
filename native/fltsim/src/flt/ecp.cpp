// SPDX-License-Identifier: MIT
//
// This module provides: extra create parameters (ECPs): from their allocation, also from a lookaside list, to their cleanup callback.
//
//      FltAllocateExtraCreateParameter --> alone --FltInsert--> in a list --FltRemove--> alone --FltFree--> gone, with its cleanup callback
//
// A filter stays referenced as long as a create has something of it.

#include "flt/internal.hpp"

#include <algorithm>
#include <utility>

#include "core/faults.hpp"

namespace fltsim::flt {

void bad_ecp(const char *api, const std::string &text) {
    bugcheck("V25 extra create parameter", api, text);
}

void check_ecp_flags(const char *api, ULONG flags, ULONG known) {
    if ((flags & ~known) != 0) {
        bugcheck("VER-02 parameter", api, "Flags has a bit that is not defined");
    }
}

Ecp &ecp_of(PVOID context, const char *api) {
    const auto found = manager().ecps.find(context);
    if (found == manager().ecps.end()) {
        bad_ecp(api, manager().memory.released(context) ? "it was freed already"
                                                        : "the pointer is not an extra create parameter");
    }
    return found->second;
}

Ecp &ecp_alone(PVOID context, const char *api, const char *in_a_list) {
    Ecp &ecp = ecp_of(context, api);
    if (ecp.going) {
        bad_ecp(api, "its cleanup callback is running: it is being freed");
    }
    if (ecp.list) {
        bad_ecp(api, in_a_list);
    }
    return ecp;
}

void let_ecp_filter_go(Ecp &ecp) {
    if (std::exchange(ecp.held, false)) {
        --ecp.filter->references;
        world().wake(ecp.filter);
    }
}

void delete_ecp(PVOID context) {
    auto &m = manager();
    Ecp &entry = m.ecps.at(context);
    entry.going = true;
    entry.list = nullptr;
    Ecp ecp = entry;
    if (ecp.cleanup) {
        DriverCall driver("cleanup callback of an extra create parameter");
        ecp.cleanup(context, &ecp.type);
    }
    m.ecps.erase(context);
    m.memory.release(context);
    let_ecp_filter_go(ecp);
}

namespace {

NTSTATUS allocate_ecp(const char *api, Filter *filter, LPCGUID type, ULONG size, ULONG flags,
                      PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK cleanup, PVOID *context) {
    *context = nullptr;
    check_ecp_flags(api, flags, FSRTL_ALLOCATE_ECP_FLAG_CHARGE_QUOTA | FSRTL_ALLOCATE_ECP_FLAG_NONPAGED_POOL);
    if (const auto failure = failing(api)) {
        return *failure;
    }
    auto &m = manager();
    constexpr unsigned char kNew = 0xCC; // as new pool
    *context = m.memory.allocate(std::max<ULONG>(size, 1), "extra create parameter", kNew);
    Ecp ecp;
    ecp.filter = filter;
    ecp.type = *type;
    ecp.size = size;
    ecp.cleanup = cleanup;
    m.ecps[*context] = ecp;
    return STATUS_SUCCESS;
}

} // namespace

void report_ecp_leaks(const Filter &filter) {
    auto &m = manager();
    const size_t lists = std::erase_if(m.ecp_lists, [&](const auto &entry) {
        if (entry.second.filter != &filter) {
            return false;
        }
        for (const PVOID context : entry.second.entries) {
            m.ecps.at(context).list = nullptr;
        }
        m.memory.release(entry.first);
        return true;
    });
    const size_t parameters = std::erase_if(m.ecps, [&](const auto &entry) {
        if (entry.second.filter != &filter) {
            return false;
        }
        if (entry.second.list) {
            std::erase(m.ecp_lists.at(entry.second.list).entries, entry.first);
        }
        m.memory.release(entry.first);
        return true;
    });
    const size_t lookasides =
        std::erase_if(m.ecp_lookasides, [&](const auto &entry) { return entry.second.filter == &filter; });
    const std::string name = "filter " + narrow(filter.name) + ": ";
    if (lists + parameters != 0) {
        world().leak(name + std::to_string(lists) + " list(s) and " + std::to_string(parameters) +
                     " extra create parameter(s) were not freed (V25)");
    }
    if (lookasides != 0) {
        world().leak(name + std::to_string(lookasides) +
                     " lookaside list(s) of extra create parameters were not deleted (V25)");
    }
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// A parameter of a type, for one list. STATUS_INSUFFICIENT_RESOURCES. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAllocateExtraCreateParameter(
    PFLT_FILTER Filter, LPCGUID EcpType, ULONG SizeOfContext, FSRTL_ALLOCATE_ECP_FLAGS Flags,
    PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK CleanupCallback, ULONG PoolTag, PVOID *EcpContext) {
    constexpr const char *kApi = "FltAllocateExtraCreateParameter";
    KernelCall call(kApi, APC_LEVEL);
    if (PoolTag == 0) {
        bugcheck("VER-02 parameter", kApi, "PoolTag is 0");
    }
    return allocate_ecp(kApi, filter_of(Filter, kApi).get(), EcpType, SizeOfContext, Flags, CleanupCallback,
                        EcpContext);
}

/// Calls the cleanup callback and frees a parameter that is in no list (any more). IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreeExtraCreateParameter(PFLT_FILTER Filter, PVOID EcpContext) {
    constexpr const char *kApi = "FltFreeExtraCreateParameter";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    ecp_alone(EcpContext, kApi, "it is still in a list: FltRemoveExtraCreateParameter comes first");
    delete_ecp(EcpContext);
}

/// Tag and Size are those of every parameter from it. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltInitExtraCreateParameterLookasideList(PFLT_FILTER Filter, PVOID Lookaside,
                                                                   FSRTL_ECP_LOOKASIDE_FLAGS Flags, SIZE_T Size,
                                                                   ULONG Tag) {
    constexpr const char *kApi = "FltInitExtraCreateParameterLookasideList";
    KernelCall call(kApi, APC_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    check_ecp_flags(kApi, Flags, FSRTL_ECP_LOOKASIDE_FLAG_NONPAGED_POOL);
    if (!Lookaside || Size == 0 || Tag == 0) {
        bugcheck("VER-02 parameter", kApi, "Lookaside, Size or Tag is 0");
    }
    if (!manager().ecp_lookasides.emplace(Lookaside, EcpLookaside{filter.get(), Flags}).second) {
        bad_ecp(kApi, "the lookaside list is initialised already");
    }
}

/// Flags as they were given to FltInitExtraCreateParameterLookasideList; nothing from it may be left. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltDeleteExtraCreateParameterLookasideList(PFLT_FILTER Filter, PVOID Lookaside,
                                                                     FSRTL_ECP_LOOKASIDE_FLAGS Flags) {
    constexpr const char *kApi = "FltDeleteExtraCreateParameterLookasideList";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    auto &m = manager();
    const auto found = m.ecp_lookasides.find(Lookaside);
    if (found == m.ecp_lookasides.end()) {
        bad_ecp(kApi, "the lookaside list was never initialised, or is deleted already");
    }
    if (found->second.flags != Flags) {
        bad_ecp(kApi, "the lookaside list was initialised with other Flags");
    }
    for (const auto &[context, ecp] : m.ecps) {
        if (ecp.lookaside == Lookaside) {
            bad_ecp(kApi, "a parameter from the lookaside list has not been freed");
        }
    }
    m.ecp_lookasides.erase(found);
}

/// FltAllocateExtraCreateParameter from a lookaside list, which keeps nothing here. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAllocateExtraCreateParameterFromLookasideList(
    PFLT_FILTER Filter, LPCGUID EcpType, ULONG SizeOfContext, FSRTL_ALLOCATE_ECP_FLAGS Flags,
    PFSRTL_EXTRA_CREATE_PARAMETER_CLEANUP_CALLBACK CleanupCallback, PVOID LookasideList, PVOID *EcpContext) {
    constexpr const char *kApi = "FltAllocateExtraCreateParameterFromLookasideList";
    KernelCall call(kApi, APC_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    if (!manager().ecp_lookasides.contains(LookasideList)) {
        bad_ecp(kApi, "the lookaside list was never initialised, or is deleted");
    }
    const NTSTATUS status =
        allocate_ecp(kApi, filter.get(), EcpType, SizeOfContext, Flags, CleanupCallback, EcpContext);
    if (NT_SUCCESS(status)) {
        manager().ecps.at(*EcpContext).lookaside = LookasideList;
    }
    return status;
}

/// Says that somebody has looked at it. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltAcknowledgeEcp(PFLT_FILTER Filter, PVOID EcpContext) {
    constexpr const char *kApi = "FltAcknowledgeEcp";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    ecp_of(EcpContext, kApi).acknowledged = true;
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltIsEcpAcknowledged(PFLT_FILTER Filter, PVOID EcpContext) {
    constexpr const char *kApi = "FltIsEcpAcknowledged";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    return ecp_of(EcpContext, kApi).acknowledged ? TRUE : FALSE;
}

/// No: programs give none here. IRQL <= APC_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltIsEcpFromUserMode(PFLT_FILTER Filter, PVOID EcpContext) {
    constexpr const char *kApi = "FltIsEcpFromUserMode";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    ecp_of(EcpContext, kApi);
    return FALSE;
}
