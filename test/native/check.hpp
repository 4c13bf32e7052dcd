// SPDX-License-Identifier: MIT
//
// This module provides: a small test framework for the native tests.
//
//      TEST(a_name) { CHECK(1 + 1 == 2); CHECK_EQ(f(), 3); REQUIRE(pointer != nullptr); }
//
// CHECK goes on after a failure, REQUIRE leaves the test function (which must return void). Checks may be made on any thread, inside a world or
// outside. The runner (main.cpp): --filter TEXT runs the tests whose name contains TEXT, --list names them.
#pragma once

#include <atomic>
#include <functional>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#if defined(__has_feature)
#define CHECK_HAS_FEATURE(x) __has_feature(x)
#else
#define CHECK_HAS_FEATURE(x) 0
#endif

/// A file's own names are inside this namespace: several files are compiled at once, which is when CMake gives each a name of its own.
#if !defined(MINIPEND_TEST_FILE)
#define MINIPEND_TEST_FILE test_file
#endif

namespace check {

/// AddressSanitizer ends a process at a stray write, before the model's own check can see it.
#if defined(__SANITIZE_ADDRESS__) || CHECK_HAS_FEATURE(address_sanitizer)
inline constexpr bool SANITIZER_SEES_FIRST = true;
#else
inline constexpr bool SANITIZER_SEES_FIRST = false;
#endif

struct Case {
    std::string name; ///< file stem and test name: "scheduler.block_and_wake"
    std::function<void()> run;
};

std::vector<Case> &cases();
/// Counts and prints a failed check.
void failed(const char *file, int line, const std::string &text);
/// Failed checks so far.
std::atomic<int> &failures();

struct Registration {
    Registration(const char *file, const char *name, std::function<void()> run);
};

template <class T> std::string shown(const T &value) {
    std::ostringstream text;
    if constexpr (std::is_same_v<T, bool>) {
        text << (value ? "true" : "false");
    } else if constexpr (std::is_enum_v<T>) {
        text << static_cast<long long>(value);
    } else if constexpr (std::is_integral_v<T>) {
        text << +value << " (0x" << std::hex << static_cast<unsigned long long>(value) << ")";
    } else if constexpr (requires { text << value; }) {
        text << value;
    } else {
        text << "?";
    }
    return text.str();
}

template <class A, class B> bool same(const A &a, const B &b) {
    if constexpr (std::is_integral_v<A> && std::is_integral_v<B>) {
        using Common = std::common_type_t<A, B>;
        return static_cast<Common>(a) == static_cast<Common>(b);
    } else {
        return a == b;
    }
}

} // namespace check

#define TEST(name)                                                                                                     \
    static void test_##name();                                                                                         \
    static const ::check::Registration registration_##name(__FILE__, #name, test_##name);                              \
    static void test_##name()

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ::check::failed(__FILE__, __LINE__, #condition);                                                           \
    } while (0)

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            ::check::failed(__FILE__, __LINE__, #condition);                                                           \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

#define CHECK_EQ(actual, expected)                                                                                     \
    do {                                                                                                               \
        const auto &check_actual = (actual);                                                                           \
        const auto &check_expected = (expected);                                                                       \
        if (!::check::same(check_actual, check_expected)) {                                                            \
            ::check::failed(__FILE__, __LINE__,                                                                        \
                            #actual " is " + ::check::shown(check_actual) + ", expected " +                            \
                                ::check::shown(check_expected));                                                       \
        }                                                                                                              \
    } while (0)
