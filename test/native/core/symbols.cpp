// SPDX-License-Identifier: MIT
//
// This module provides: tests of the stacks in a report: functions, files and lines of a driver's image. The image is this program.
#include "core/symbols.hpp"

#include <cstdlib>
#include <dlfcn.h>

#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using check::contains;

namespace {

/// Its own frame is left out: what stands in a report begins with who broke the rule.
[[gnu::noinline]] fltsim::CallStack reported() {
    const fltsim::CallStack stack = fltsim::current_stack();
    return stack;
}

} // namespace

TEST(a_driver_s_frames_have_functions_and_lines) {
    if (std::system("addr2line --version > /dev/null 2>&1") != 0) {
        return;
    }
    Dl_info info{};
    REQUIRE(dladdr(reinterpret_cast<const void *>(&reported), &info) != 0);
    CHECK_EQ(reported().call_site, std::string()); // no image is known
    fltsim::remember_image(info.dli_fbase, info.dli_fname);
    const fltsim::CallStack stack = reported();
    fltsim::forget_image(info.dli_fbase);
    CHECK(contains(stack.call_site, "a_driver_s_frames_have_functions_and_lines"));
    CHECK(contains(stack.call_site, "(symbols.cpp:" + std::to_string(__LINE__ - 3) + ")"));
    REQUIRE(!stack.frames.empty());
    CHECK_EQ(stack.frames.front(), stack.call_site);
    CHECK_EQ(reported().call_site, std::string());
}

} // namespace MINIPEND_TEST_FILE
