// SPDX-License-Identifier: MIT
//
// This module provides: what a driver image that is compiled with -fsanitize=thread calls before each of its loads and stores (the compiler's interface to
// ThreadSanitizer's run time, none of which is linked): each may be a scheduling point. The atomic ones are carried out here.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/world.hpp"

#define PLAIN_API extern "C" __attribute__((visibility("default")))

namespace {

inline void at(const void *code) {
    fltsim::World *const world = fltsim::world_or_null();
    if (world != nullptr && world->schedule != nullptr) {
        world->plain_access(code);
    }
}

} // namespace

#define HERE __builtin_return_address(0)

#define PLAIN_SIZE(Size)                                                                                               \
    PLAIN_API void __tsan_read##Size(void *) {                                                                         \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_write##Size(void *) {                                                                        \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_read_write##Size(void *) {                                                                   \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_unaligned_read##Size(void *) {                                                               \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_unaligned_write##Size(void *) {                                                              \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_unaligned_read_write##Size(void *) {                                                         \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_volatile_read##Size(void *) {                                                                \
        at(HERE);                                                                                                      \
    }                                                                                                                  \
    PLAIN_API void __tsan_volatile_write##Size(void *) {                                                               \
        at(HERE);                                                                                                      \
    }
PLAIN_SIZE(1)
PLAIN_SIZE(2)
PLAIN_SIZE(4)
PLAIN_SIZE(8)
PLAIN_SIZE(16)

PLAIN_API void __tsan_init() {}
PLAIN_API void __tsan_func_entry(void *) {}
PLAIN_API void __tsan_func_exit() {}
PLAIN_API void __tsan_read_range(void *, size_t) {
    at(HERE);
}
PLAIN_API void __tsan_write_range(void *, size_t) {
    at(HERE);
}
PLAIN_API void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
    at(HERE);
    return std::memcpy(to, from, bytes);
}
PLAIN_API void *__tsan_memmove(void *to, const void *from, size_t bytes) {
    at(HERE);
    return std::memmove(to, from, bytes);
}
PLAIN_API void *__tsan_memset(void *to, int value, size_t bytes) {
    at(HERE);
    return std::memset(to, value, bytes);
}

#define ATOMIC_FETCH(Bits, Type, Name)                                                                                 \
    PLAIN_API Type __tsan_atomic##Bits##_##Name(volatile Type *target, Type value, int) {                              \
        at(HERE);                                                                                                      \
        return __atomic_##Name(target, value, __ATOMIC_SEQ_CST);                                                       \
    }
#define ATOMIC_COMPARE(Bits, Type, Kind)                                                                               \
    PLAIN_API int __tsan_atomic##Bits##_compare_exchange_##Kind(volatile Type *target, Type *expected, Type value,     \
                                                                int, int) {                                            \
        at(HERE);                                                                                                      \
        return __atomic_compare_exchange_n(target, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ? 1 : 0;    \
    }
#define ATOMIC_SIZE(Bits, Type)                                                                                        \
    PLAIN_API Type __tsan_atomic##Bits##_load(const volatile Type *from, int) {                                        \
        at(HERE);                                                                                                      \
        return __atomic_load_n(from, __ATOMIC_SEQ_CST);                                                                \
    }                                                                                                                  \
    PLAIN_API void __tsan_atomic##Bits##_store(volatile Type *target, Type value, int) {                               \
        at(HERE);                                                                                                      \
        __atomic_store_n(target, value, __ATOMIC_SEQ_CST);                                                             \
    }                                                                                                                  \
    PLAIN_API Type __tsan_atomic##Bits##_exchange(volatile Type *target, Type value, int) {                            \
        at(HERE);                                                                                                      \
        return __atomic_exchange_n(target, value, __ATOMIC_SEQ_CST);                                                   \
    }                                                                                                                  \
    ATOMIC_FETCH(Bits, Type, fetch_add)                                                                                \
    ATOMIC_FETCH(Bits, Type, fetch_sub)                                                                                \
    ATOMIC_FETCH(Bits, Type, fetch_and)                                                                                \
    ATOMIC_FETCH(Bits, Type, fetch_or)                                                                                 \
    ATOMIC_FETCH(Bits, Type, fetch_xor)                                                                                \
    ATOMIC_COMPARE(Bits, Type, strong)                                                                                 \
    ATOMIC_COMPARE(Bits, Type, weak)                                                                                   \
    PLAIN_API Type __tsan_atomic##Bits##_compare_exchange_val(volatile Type *target, Type expected, Type value, int,   \
                                                              int) {                                                   \
        at(HERE);                                                                                                      \
        __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                  \
        return expected;                                                                                               \
    }
ATOMIC_SIZE(8, uint8_t)
ATOMIC_SIZE(16, uint16_t)
ATOMIC_SIZE(32, uint32_t)
ATOMIC_SIZE(64, uint64_t)

PLAIN_API void __tsan_atomic_thread_fence(int) {
    at(HERE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
PLAIN_API void __tsan_atomic_signal_fence(int) {}
