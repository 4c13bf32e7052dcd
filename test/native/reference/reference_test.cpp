// SPDX-License-Identifier: MIT
//
// This module provides: short runs of the reference check (test/reference), what it has found so far, and tests of the check itself. `npm run
// reference` is the long run.

#if defined(__linux__) // the host's side of the check speaks Linux

#include <sstream>

#include "../../reference/check.hpp"
#include "../../reference/generator.hpp"
#include "../check.hpp"

using namespace reference;

namespace {

Options options_for(Profile profile, Filter filter) {
    Options options;
    options.profile = profile;
    options.filter = filter;
    options.operations = 6000;
    options.directory = usual_directory();
    return options;
}

void expect_agreement(const Options &options) {
    Counts counts;
    const auto failure = run(options, &counts, [](const Counts &) {});
    CHECK(!failure);
    if (failure) {
        fprintf(stderr, "%s", text_of(*failure, options).c_str());
        return;
    }
    CHECK(counts.operations >= options.operations);
    CHECK(counts.files_compared > 10);
    CHECK(options.filter != Filter::observe || counts.observed > counts.operations);
    CHECK((options.filter != Filter::pend && options.filter != Filter::delay) || counts.pended > 1000);
}

std::vector<Operation> script_of(std::string_view text) {
    std::vector<Operation> script;
    std::istringstream lines{std::string(text)};
    std::string line;
    std::string error;
    while (std::getline(lines, line)) {
        const auto operation = parse(line, &error);
        CHECK(operation.has_value());
        script.push_back(operation.value_or(Operation{}));
    }
    return script;
}

void expect_script_agrees(Profile profile, std::string_view text, Difference met) {
    Counts counts;
    const Options options = options_for(profile, Filter::none);
    const auto failure = replay(options, script_of(text), &counts);
    CHECK(!failure);
    if (failure) {
        fprintf(stderr, "%s", text_of(*failure, options).c_str());
    }
    CHECK(counts.differences[static_cast<size_t>(met)] > 0);
}

} // namespace

TEST(ntfs_agrees_with_the_host) {
    expect_agreement(options_for(Profile::ntfs, Filter::none));
}

TEST(fat_agrees_with_the_host) {
    expect_agreement(options_for(Profile::fat, Filter::none));
}

TEST(what_is_observed_comes_out_the_same) {
    expect_agreement(options_for(Profile::ntfs, Filter::observe));
}

TEST(what_is_pended_comes_out_the_same) {
    expect_agreement(options_for(Profile::ntfs, Filter::pend));
    expect_agreement(options_for(Profile::fat, Filter::delay));
}

TEST(a_mapped_file_is_deleted_with_posix_semantics_only) {
    expect_script_agrees(Profile::ntfs,
                         "open path=a disposition=create_new flags=read+write+delete\n"
                         "write length=1\n"
                         "map\n"
                         "dispose\n"
                         "remove path=a\n"
                         "remove path=a flags=posix\n"
                         "view_read length=1\n",
                         Difference::delete_mapped);
}

TEST(fat_takes_a_directory_in_the_way_for_a_collision) {
    constexpr std::string_view SCRIPT = "make_directory path=x\n"
                                        "open path=a disposition=create_new\n"
                                        "move path=a to=x flags=replace\n";
    expect_script_agrees(Profile::fat, SCRIPT, Difference::replace_directory);
    expect_script_agrees(Profile::ntfs, SCRIPT, Difference::replace_directory);
}

TEST(of_two_views_the_one_that_is_left_is_written_through) {
    expect_script_agrees(Profile::ntfs,
                         "open handle=1 path=a disposition=create_new flags=read+write\n"
                         "truncate handle=1 offset=8192\n"
                         "map handle=1 view=0 flags=write\n"
                         "map handle=1 view=1\n"
                         "unmap view=1\n"
                         "view_write view=0 length=1 data=9585\n"
                         "remove path=a\n",
                         Difference::delete_mapped);
}

TEST(a_file_on_fat_has_less_than_4_gib) {
    expect_script_agrees(Profile::fat,
                         "open path=a disposition=create_new flags=read+write\n"
                         "truncate offset=4294967295\n"
                         "truncate offset=4294967296\n"
                         "write offset=4294967295 length=1\n"
                         "write offset=4294967294 length=1\n"
                         "allocate offset=4294967296\n",
                         Difference::fat_size);
}

TEST(a_file_keeps_its_other_names_and_its_content) {
    constexpr std::string_view SCRIPT = "make_directory path=x\n"
                                        "open path=a disposition=create_new flags=read+write+delete\n"
                                        "write length=700 data=1\n"
                                        "link to=x\\b\n"
                                        "link_name path=a to=B\n"
                                        "link to=b\n"
                                        "link to=x\n"
                                        "link_name path=x to=y\n"
                                        "link_name path=b to=y\\a\n"
                                        "open handle=1 path=x\\b flags=read+write\n"
                                        "write handle=1 offset=100 length=9 data=2\n"
                                        "read length=700\n"
                                        "stat_open handle=1\n"
                                        "dispose\n"
                                        "stat_open\n"
                                        "stat_open handle=1\n"
                                        "stat path=b\n"
                                        "stat path=a\n"
                                        "link to=c\n"
                                        "link handle=1 to=c\n"
                                        "close\n"
                                        "stat_open handle=1\n"
                                        "remove path=x\\b flags=posix\n"
                                        "stat_open handle=1\n"
                                        "link handle=1 to=a\n"
                                        "read handle=1 length=700\n";
    expect_script_agrees(Profile::ntfs, SCRIPT, Difference::link_of_deleted);
    expect_script_agrees(Profile::ntfs, SCRIPT, Difference::link_count);
    expect_script_agrees(Profile::fat, SCRIPT, Difference::fat_classes);
}

TEST(a_rename_to_another_link_leaves_one_name) {
    expect_script_agrees(Profile::ntfs,
                         "open path=a disposition=create_new flags=read+write+delete\n"
                         "link to=b\n"
                         "open handle=1 path=b\n"
                         "map\n"
                         "rename to=b\n"
                         "stat path=a\n"
                         "stat path=b\n"
                         "stat_open handle=1\n"
                         "move path=b to=B flags=replace\n"
                         "list path=b\n",
                         Difference::rename_to_link);
}

TEST(a_link_replaces_a_name) {
    constexpr std::string_view SCRIPT = "open path=a disposition=create_new flags=read+write+delete\n"
                                        "open handle=1 path=b disposition=create_new flags=read\n"
                                        "link to=b flags=replace\n"
                                        "link to=b flags=replace+posix\n"
                                        "link to=b flags=replace\n"
                                        "stat_open\n"
                                        "stat_open handle=1\n";
    expect_script_agrees(Profile::ntfs, SCRIPT, Difference::link_replaces);
    expect_script_agrees(Profile::ntfs, SCRIPT, Difference::replace_open);
}

TEST(scripts_are_read_back) {
    Counts counts;
    const Host host(usual_directory(), Profile::ntfs, counts);
    Generator generator(1);
    for (int i = 0; i < 2000; ++i) {
        const Operation operation = generator.next(host);
        std::string error;
        const auto again = parse(text_of(operation), &error);
        CHECK(again == operation);
    }
    std::string error;
    for (const std::string_view bad : {"fly", "open handle=6", "open path=a\\", "open path=q", "read flags=fast",
                                       "read length=-1", "open disposition=maybe", "read colour=1"}) {
        CHECK(!parse(bad, &error));
        CHECK(!error.empty());
    }
}

TEST(a_wrong_model_is_found_and_shrunk) {
    Options options = options_for(Profile::ntfs, Filter::none);
    options.tamper = [](const Operation &operation, Outcome *outcome) {
        if (operation.kind == Kind::read && outcome->data.size() > 100) {
            outcome->data[100] ^= 1;
        }
    };
    Counts counts;
    const auto failure = run(options, &counts, [](const Counts &) {});
    REQUIRE(failure.has_value());
    CHECK_EQ(failure->what, std::string("read: data"));
    CHECK(failure->operations_before > 10);
    CHECK(failure->script.size() <= 5); // opened, made longer, perhaps opened for reading, read
    CHECK(failure->script.back().kind == Kind::read);
    options.seed = failure->seed;
    std::string text;
    for (const Operation &operation : failure->script) {
        text += text_of(operation) + "\n";
    }
    CHECK(replay(options, script_of(text), &counts).has_value());
    options.tamper = nullptr;
    CHECK(!replay(options, script_of(text), &counts));
}

TEST(a_wrong_number_of_links_is_found_and_shrunk) {
    Options options = options_for(Profile::ntfs, Filter::none);
    options.tamper = [](const Operation &, Outcome *outcome) {
        if (!outcome->info.empty() && outcome->info[0].links > 2) {
            ++outcome->info[0].links;
        }
    };
    Counts counts;
    const auto failure = run(options, &counts, [](const Counts &) {});
    REQUIRE(failure.has_value());
    CHECK(failure->what.ends_with(": information"));
    CHECK(failure->script.size() <= 5); // made, perhaps closed, linked twice, asked
    CHECK(failure->operations_before > failure->script.size());
}

#endif
