// SPDX-License-Identifier: MIT
//
// This module provides: the KMDF 1.15 function table.
#include <array>
#include <utility>

#include "wdf/driver.hpp"
#include "wdf/locks.hpp"
#include "wdf/memory.hpp"

namespace fltsim::wdf {
namespace {

constexpr const char *NAMES[] = {
#define WDF_FUNCTION(name) #name,
#include "wdf/function_names.inc"
#undef WDF_FUNCTION
};
static_assert(std::size(NAMES) == WdfFunctionTableNumEntries);

using Table = std::array<WDFFUNC, std::size(NAMES)>;

/// One stop for each entry, so that the report names the function.
template <size_t Index> void NTAPI stop() {
    KernelCall call(NAMES[Index], HIGH_LEVEL);
    unmodelled(NAMES[Index]);
}

template <size_t... Index> Table all_stops(std::index_sequence<Index...>) {
    return {stop<Index>...};
}

/// Pfn is the type that clients cast the entry to, so a wrong signature does not compile.
template <class Pfn> void set(Table &table, WDFFUNCENUM index, Pfn function) {
    table[static_cast<size_t>(index)] = reinterpret_cast<WDFFUNC>(function);
}

Table make() {
    Table table = all_stops(std::make_index_sequence<std::size(NAMES)>());
    set<PFN_WDFDRIVERCREATE>(table, WdfDriverCreateTableIndex, driver_create);
    set<PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY>(table, WdfDriverOpenParametersRegistryKeyTableIndex,
                                                driver_open_parameters_registry_key);
    set<PFN_WDFDRIVERMINIPORTUNLOAD>(table, WdfDriverMiniportUnloadTableIndex, driver_miniport_unload);
    set<PFN_WDFREGISTRYQUERYULONG>(table, WdfRegistryQueryULongTableIndex, registry_query_ulong);
    set<PFN_WDFREGISTRYCLOSE>(table, WdfRegistryCloseTableIndex, registry_close);
    set<PFN_WDFSPINLOCKCREATE>(table, WdfSpinLockCreateTableIndex, spin_lock_create);
    set<PFN_WDFSPINLOCKACQUIRE>(table, WdfSpinLockAcquireTableIndex, spin_lock_acquire);
    set<PFN_WDFSPINLOCKRELEASE>(table, WdfSpinLockReleaseTableIndex, spin_lock_release);
    set<PFN_WDFWAITLOCKCREATE>(table, WdfWaitLockCreateTableIndex, wait_lock_create);
    set<PFN_WDFWAITLOCKACQUIRE>(table, WdfWaitLockAcquireTableIndex, wait_lock_acquire);
    set<PFN_WDFWAITLOCKRELEASE>(table, WdfWaitLockReleaseTableIndex, wait_lock_release);
    set<PFN_WDFLOOKASIDELISTCREATE>(table, WdfLookasideListCreateTableIndex, lookaside_list_create);
    set<PFN_WDFMEMORYCREATEFROMLOOKASIDE>(table, WdfMemoryCreateFromLookasideTableIndex, memory_create_from_lookaside);
    set<PFN_WDFMEMORYCREATE>(table, WdfMemoryCreateTableIndex, memory_create);
    set<PFN_WDFMEMORYGETBUFFER>(table, WdfMemoryGetBufferTableIndex, memory_get_buffer);
    set<PFN_WDFOBJECTCREATE>(table, WdfObjectCreateTableIndex, object_create);
    set<PFN_WDFOBJECTDELETE>(table, WdfObjectDeleteTableIndex, object_delete);
    set<PFN_WDFOBJECTREFERENCEACTUAL>(table, WdfObjectReferenceActualTableIndex, object_reference);
    set<PFN_WDFOBJECTDEREFERENCEACTUAL>(table, WdfObjectDereferenceActualTableIndex, object_dereference);
    set<PFN_WDFOBJECTGETTYPEDCONTEXTWORKER>(table, WdfObjectGetTypedContextWorkerTableIndex, object_get_typed_context);
    set(table, WdfObjectAllocateContextTableIndex, &object_allocate_context);
    set(table, WdfObjectContextGetObjectTableIndex, &object_of_context);
    set(table, WdfWorkItemCreateTableIndex, &work_item_create);
    set(table, WdfTimerCreateTableIndex, &timer_create);
    set(table, WdfDpcCreateTableIndex, &dpc_create);
    return table;
}

} // namespace

const WDFFUNC *function_table() {
    static const Table table = make();
    return table.data();
}

} // namespace fltsim::wdf
