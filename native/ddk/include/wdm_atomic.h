// SPDX-License-Identifier: MIT
//
// This module provides: interlocked operations and ordered loads and stores.
//
// Interlocked* without a suffix are sequentially consistent, as on Windows; NoFence, Acquire and Release forms are what they say.

#pragma once

#include "ntdef.h"

EXTERN_C_START

// ---- full barrier
FORCEINLINE LONG InterlockedIncrement(LONG volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedDecrement(LONG volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedAdd(LONG volatile *Target, LONG Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedExchangeAdd(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedExchange(LONG volatile *Target, LONG Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedAnd(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedOr(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedXor(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedCompareExchange(LONG volatile *Target, LONG Exchange, LONG Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}
FORCEINLINE LONG64 InterlockedIncrement64(LONG64 volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedDecrement64(LONG64 volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedAdd64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedExchangeAdd64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedExchange64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedAnd64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedOr64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedXor64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedCompareExchange64(LONG64 volatile *Target, LONG64 Exchange, LONG64 Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}
FORCEINLINE PVOID InterlockedExchangePointer(PVOID volatile *Target, PVOID Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}
FORCEINLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *Target, PVOID Exchange, PVOID Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

// ---- NoFence
FORCEINLINE LONG InterlockedIncrementNoFence(LONG volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedDecrementNoFence(LONG volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedAddNoFence(LONG volatile *Target, LONG Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedExchangeAddNoFence(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedExchangeNoFence(LONG volatile *Target, LONG Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedAndNoFence(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedOrNoFence(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedXorNoFence(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG InterlockedCompareExchangeNoFence(LONG volatile *Target, LONG Exchange, LONG Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return Comparand;
}
FORCEINLINE LONG64 InterlockedIncrementNoFence64(LONG64 volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedDecrementNoFence64(LONG64 volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedAddNoFence64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedExchangeAddNoFence64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedExchangeNoFence64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedAnd64NoFence(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedOr64NoFence(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedXor64NoFence(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 InterlockedCompareExchangeNoFence64(LONG64 volatile *Target, LONG64 Exchange, LONG64 Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return Comparand;
}
FORCEINLINE PVOID InterlockedExchangePointerNoFence(PVOID volatile *Target, PVOID Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_RELAXED);
}
FORCEINLINE PVOID InterlockedCompareExchangePointerNoFence(PVOID volatile *Target, PVOID Exchange, PVOID Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return Comparand;
}

// ---- Acquire
FORCEINLINE LONG InterlockedIncrementAcquire(LONG volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedDecrementAcquire(LONG volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedAddAcquire(LONG volatile *Target, LONG Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedExchangeAddAcquire(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedExchangeAcquire(LONG volatile *Target, LONG Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedAndAcquire(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedOrAcquire(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedXorAcquire(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG InterlockedCompareExchangeAcquire(LONG volatile *Target, LONG Exchange, LONG Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
    return Comparand;
}
FORCEINLINE LONG64 InterlockedIncrementAcquire64(LONG64 volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedDecrementAcquire64(LONG64 volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedAddAcquire64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedExchangeAddAcquire64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedExchangeAcquire64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedAnd64Acquire(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedOr64Acquire(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedXor64Acquire(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 InterlockedCompareExchangeAcquire64(LONG64 volatile *Target, LONG64 Exchange, LONG64 Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
    return Comparand;
}
FORCEINLINE PVOID InterlockedExchangePointerAcquire(PVOID volatile *Target, PVOID Value) {
    return __atomic_exchange_n(Target, Value, __ATOMIC_ACQUIRE);
}
FORCEINLINE PVOID InterlockedCompareExchangePointerAcquire(PVOID volatile *Target, PVOID Exchange, PVOID Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
    return Comparand;
}

// ---- Release
FORCEINLINE LONG InterlockedIncrementRelease(LONG volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedDecrementRelease(LONG volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedAddRelease(LONG volatile *Target, LONG Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedExchangeAddRelease(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedAndRelease(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedOrRelease(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedXorRelease(LONG volatile *Target, LONG Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG InterlockedCompareExchangeRelease(LONG volatile *Target, LONG Exchange, LONG Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return Comparand;
}
FORCEINLINE LONG64 InterlockedIncrementRelease64(LONG64 volatile *Target) {
    return __atomic_add_fetch(Target, 1, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedDecrementRelease64(LONG64 volatile *Target) {
    return __atomic_sub_fetch(Target, 1, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedAddRelease64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_add_fetch(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedExchangeAddRelease64(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_add(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedAnd64Release(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_and(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedOr64Release(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_or(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedXor64Release(LONG64 volatile *Target, LONG64 Value) {
    return __atomic_fetch_xor(Target, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 InterlockedCompareExchangeRelease64(LONG64 volatile *Target, LONG64 Exchange, LONG64 Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return Comparand;
}
FORCEINLINE PVOID InterlockedCompareExchangePointerRelease(PVOID volatile *Target, PVOID Exchange, PVOID Comparand) {
    (void)__atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return Comparand;
}

// ---- plain atomic loads and stores
FORCEINLINE LONG ReadNoFence(const volatile LONG *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE LONG ReadAcquire(const volatile LONG *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteNoFence(volatile LONG *Destination, LONG Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteRelease(volatile LONG *Destination, LONG Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 ReadNoFence64(const volatile LONG64 *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 ReadAcquire64(const volatile LONG64 *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteNoFence64(volatile LONG64 *Destination, LONG64 Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteRelease64(volatile LONG64 *Destination, LONG64 Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE UCHAR ReadBooleanNoFence(const volatile BOOLEAN *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE UCHAR ReadBooleanAcquire(const volatile BOOLEAN *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteBooleanNoFence(volatile BOOLEAN *Destination, BOOLEAN Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteBooleanRelease(volatile BOOLEAN *Destination, BOOLEAN Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE UCHAR ReadUCharNoFence(const volatile UCHAR *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE UCHAR ReadUCharAcquire(const volatile UCHAR *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteUCharNoFence(volatile UCHAR *Destination, UCHAR Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteUCharRelease(volatile UCHAR *Destination, UCHAR Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE USHORT ReadUShortNoFence(const volatile USHORT *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE USHORT ReadUShortAcquire(const volatile USHORT *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteUShortNoFence(volatile USHORT *Destination, USHORT Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteUShortRelease(volatile USHORT *Destination, USHORT Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE ULONG ReadULongNoFence(const volatile ULONG *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE ULONG ReadULongAcquire(const volatile ULONG *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteULongNoFence(volatile ULONG *Destination, ULONG Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteULongRelease(volatile ULONG *Destination, ULONG Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE ULONG64 ReadULong64NoFence(const volatile ULONG64 *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE ULONG64 ReadULong64Acquire(const volatile ULONG64 *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteULong64NoFence(volatile ULONG64 *Destination, ULONG64 Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WriteULong64Release(volatile ULONG64 *Destination, ULONG64 Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
FORCEINLINE PVOID ReadPointerNoFence(const volatile PVOID *Source) {
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}
FORCEINLINE PVOID ReadPointerAcquire(const volatile PVOID *Source) {
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WritePointerNoFence(volatile PVOID *Destination, PVOID Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}
FORCEINLINE void WritePointerRelease(volatile PVOID *Destination, PVOID Value) {
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}

EXTERN_C_END

#define MemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#if defined(__x86_64__)
#define YieldProcessor() __builtin_ia32_pause()
#else
#define YieldProcessor() __asm__ __volatile__("yield")
#endif
