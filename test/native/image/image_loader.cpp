// SPDX-License-Identifier: MIT
//
// This module provides: tests of the loader for Windows driver images: what it refuses, and why; what a loaded image finds.
#include "image/gate.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include "flt/filter_manager.hpp"
#include "image/exports.hpp"
#include "image/pe_image.hpp"
#include "pe_builder.hpp"
#include "world_fixture.hpp"

using namespace fltsim;
using namespace fltsim::image;
using check::contains;

namespace {

/// An image in a file that goes with this object.
class File {
  public:
    explicit File(const pe::Image &image)
        : path_(std::filesystem::temp_directory_path() / ("fltsim-image-" + std::to_string(getpid()) + ".sys")) {
        std::ofstream(path_, std::ios::binary)
            .write(reinterpret_cast<const char *>(image.bytes.data()), static_cast<long>(image.bytes.size()));
    }
    ~File() { std::filesystem::remove(path_); }
    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

/// Loads the image as the driver of a world. Returns what the load ended with; the report in `report`.
NTSTATUS load(const pe::Image &image, std::string *report) {
    const File file(image);
    WorldOptions options = check::virtual_world();
    options.driver_image = file.path();
    NTSTATUS status = STATUS_PENDING;
    *report = check::report_of(options, [&](World &world) { status = world.flt->load(u"minipend"); });
    return status;
}

std::string problem_of(const pe::Image &image) {
    std::string problem;
    return image::PeFile::read(image.bytes, &problem) ? "none" : problem;
}

struct Defect {
    const char *problem;
    void (*spoil)(pe::Image &);
};

const Defect DEFECTS[] = {
    {"it is no Windows image: no MZ header", [](pe::Image &i) { i.bytes[0] = 'Z'; }},
    {"it is no Windows image: no MZ header", [](pe::Image &i) { i.bytes.resize(10); }},
    {"it is no Windows image: no PE header", [](pe::Image &i) { i.header().signature = 0; }},
    {"it is truncated: the file ends before its headers do", [](pe::Image &i) { i.bytes.resize(0x100); }},
    {"it is truncated: the file ends before its headers do", [](pe::Image &i) { i.at<uint32_t>(60) = 0xFFFFFFF0; }},
    {"it is not for x64: machine 0xAA64, expected 0x8664", [](pe::Image &i) { i.header().machine = 0xAA64; }},
    {"it is not for x64", [](pe::Image &i) { i.header().magic = 0x10B; }},
    {"it is not executable", [](pe::Image &i) { i.header().characteristics = 0x20; }},
    {"it is no driver: subsystem 3, expected 1 (native)", [](pe::Image &i) { i.header().subsystem = 3; }},
    {"its optional header is too small", [](pe::Image &i) { i.header().optional_header_bytes = 40; }},
    {"its sections are not aligned to pages", [](pe::Image &i) { i.header().section_alignment = 0x200; }},
    {"its size in memory makes no sense", [](pe::Image &i) { i.header().image_bytes = 0x7FFFFFFF; }},
    {"it has no entry point", [](pe::Image &i) { i.header().entry_point = 0; }},
    {"its entry point is not in an executable section", [](pe::Image &i) { i.header().entry_point = pe::DATA; }},
    {"it has no sections", [](pe::Image &i) { i.header().section_count = 0; }},
    {"its headers say a wrong size of themselves", [](pe::Image &i) { i.header().header_bytes = 0x100; }},
    {"section .data overlaps what is before it", [](pe::Image &i) { i.section(2).rva = pe::RDATA; }},
    {"section .data does not begin at a page", [](pe::Image &i) { i.section(2).rva = pe::DATA + 16; }},
    {"section .reloc is outside the image", [](pe::Image &i) { i.section(4).virtual_bytes = 0x10000; }},
    {"it is truncated: the file ends inside section .reloc", [](pe::Image &i) { i.bytes.resize(0x1500); }},
    {"section .text is both writable and executable",
     [](pe::Image &i) { i.section(0).characteristics |= SECTION_WRITE; }},
    {"the import directory is outside the image",
     [](pe::Image &i) { i.header().directories[DIRECTORY_IMPORT].rva = pe::END; }},
    {"it has delayed imports", [](pe::Image &i) { i.header().directories[DIRECTORY_DELAY_IMPORT].rva = pe::RDATA; }},
    {"an import is outside the image",
     [](pe::Image &i) { i.rva<ImportDescriptor>(pe::IMPORT_TABLE).lookup_table = 0xFFFFFFF8; }},
    {"the name of an import is outside the image", [](pe::Image &i) { i.rva<uint64_t>(pe::LOOKUP) = 0x70000000; }},
    {"its relocations are stripped",
     [](pe::Image &i) {
         i.header().directories[DIRECTORY_RELOCATION] = {};
         i.header().characteristics |= FILE_RELOCATIONS_STRIPPED;
     }},
    {"the relocation block at RVA 0x5000 has a bad size: 4",
     [](pe::Image &i) { i.rva<RelocationBlock>(pe::RELOC).bytes = 4; }},
    {"the relocation block at RVA 0x5000 has a bad size: 256",
     [](pe::Image &i) { i.rva<RelocationBlock>(pe::RELOC).bytes = 256; }},
    {"the relocation block at RVA 0x5000 has a relocation of type 3",
     [](pe::Image &i) { i.rva<uint16_t>(pe::RELOC + 8) = 3 << 12; }},
    {"the target of a relocation is outside the image: RVA 0x70000040",
     [](pe::Image &i) { i.rva<RelocationBlock>(pe::RELOC).page = 0x70000000; }},
    {"its exception directory has a bad size",
     [](pe::Image &i) { i.header().directories[DIRECTORY_EXCEPTION].bytes = 13; }},
    {"its exception table is not in order", [](pe::Image &i) { i.rva<RuntimeFunction>(pe::FUNCTIONS).end = pe::TEXT; }},
    {"its unwind information at RVA 0x2200 has version 5", [](pe::Image &i) { i.rva<uint8_t>(pe::UNWIND) = 5; }},
    {"its unwind information at RVA 0x2200 is a chain without an end",
     [](pe::Image &i) {
         i.rva<uint8_t>(pe::UNWIND) = 1 | UNWIND_CHAINED << 3;
         i.rva<RuntimeFunction>(pe::UNWIND + 4) = {pe::TEXT, pe::TEXT + 1, pe::UNWIND};
     }},
    {"its unwind information at RVA 0x2241 is a chain without an end",
     [](pe::Image &i) { i.rva<RuntimeFunction>(pe::FUNCTIONS).unwind_info = pe::FUNCTIONS | 1; }},
    {"an entry's unwind information is outside the image",
     [](pe::Image &i) { i.rva<RuntimeFunction>(pe::FUNCTIONS).unwind_info = pe::END - 2; }},
    {"its security cookie is outside the image",
     [](pe::Image &i) { i.rva<uint64_t>(pe::LOAD_CONFIG + LOAD_CONFIG_COOKIE) = 0x1000; }},
};

} // namespace

TEST(defective_images_are_refused_with_the_reason) {
    CHECK_EQ(problem_of(pe::driver()), std::string("none"));
    for (const Defect &defect : DEFECTS) {
        pe::Image image = pe::driver();
        defect.spoil(image);
        const std::string problem = problem_of(image);
        if (!contains(problem, defect.problem)) {
            check::failed(__FILE__, __LINE__, std::string(defect.problem) + ": " + problem);
        }
    }
}

TEST(no_prefix_of_an_image_is_read_past_its_end) {
    const pe::Image whole = pe::driver();
    for (size_t bytes = 0; bytes < whole.bytes.size(); bytes += bytes < 0x500 ? 1 : 37) {
        pe::Image image = whole;
        image.bytes.resize(bytes);
        CHECK(problem_of(image) != "none");
    }
}

TEST(an_image_is_relocated_and_its_entry_point_runs) {
    std::string report;
    pe::Image image = pe::driver();
    // What DriverEntry reads through a relocated pointer is its status: a failure of its own.
    image.rva<uint32_t>(pe::DATA + 0x48) = 0xC0001234;
    CHECK_EQ(static_cast<uint32_t>(load(image, &report)), 0xC0001234u);
    CHECK(contains(report, "DriverEntry failed with 0xC0001234"));
}

TEST(a_defective_image_is_a_status_and_a_line_in_the_history) {
    std::string report;
    pe::Image image = pe::driver();
    image.header().machine = 0x14C;
    CHECK_EQ(load(image, &report), STATUS_INVALID_IMAGE_FORMAT);
    CHECK(contains(report, "it is not for x64: machine 0x14C"));
    CHECK(contains(report, "\"stopped\":false"));
}

TEST(imports_that_are_not_modelled_are_all_named_before_anything_runs) {
    std::string report;
    pe::Image image = pe::driver();
    image.text(pe::NAMES + 0x22, "FltNoSuchFunction"); // not of ntoskrnl.exe either
    image.text(pe::NAMES + 0x42, "KeNoSuchFunction");
    image.rva<uint64_t>(pe::LOOKUP + 16) = IMPORT_BY_ORDINAL | 12;
    image.rva<uint64_t>(pe::ADDRESSES + 16) = IMPORT_BY_ORDINAL | 12;
    CHECK_EQ(load(image, &report), STATUS_PENDING);
    CHECK(check::stopped_on(report, "UNMODELLED"));
    CHECK(contains(report, "NTOSKRNL.EXE!FltNoSuchFunction, NTOSKRNL.EXE!KeNoSuchFunction, NTOSKRNL.EXE!#12"));
    CHECK(!contains(report, "DriverEntry"));
}

TEST(a_name_belongs_to_one_module) {
    CHECK(image::find_export("FLTMGR.SYS", "FltRegisterFilter").gated);
    CHECK(image::find_export("fltmgr.sys", "FltRegisterFilter").address != nullptr);
    CHECK(image::find_export("ntoskrnl.exe", "FltRegisterFilter").address == nullptr);
    CHECK(image::find_export("ntoskrnl.exe", "KeQueryPerformanceCounter").address != nullptr);
    CHECK(image::find_export("HAL.dll", "KeQueryPerformanceCounter").address != nullptr);
    CHECK(image::find_export("hal.dll", "KeSetEvent").address == nullptr);
    CHECK(image::find_export("wdfldr.sys", "WdfVersionBind").address != nullptr);
    // Functions of the host, and the model's own for clients and host drivers, are nobody's import.
    for (const char *name :
         {"malloc", "strtok", "CreateFileW", "FltSimCreateWorld", "FltSimSehEnter", "FltSimCrt_strlen"}) {
        CHECK(image::find_export("ntoskrnl.exe", name).address == nullptr);
        CHECK(image::find_export("fltmgr.sys", name).address == nullptr);
    }
    CHECK(image::find_export("ntoskrnl.exe", "strlen").gated); // not the host's
    CHECK(image::find_export("ntoskrnl.exe", "memcpy").address != nullptr);
    CHECK(!image::find_export("ntoskrnl.exe", "memcpy").gated);
}

TEST(a_loaded_image_is_as_the_kernels_loader_leaves_it) {
    const File file(pe::driver());
    check::report_of(check::virtual_world(), [&](World &) {
        std::string error;
        const auto loaded = Image::load(file.path(), &error);
        REQUIRE(loaded != nullptr);
        const auto entry = reinterpret_cast<uint64_t>(loaded->entry());
        image::PeImage *image = image::image_at(entry);
        REQUIRE(image != nullptr);
        CHECK_EQ(entry, image->base() + pe::INIT);
        const auto word = [&](uint32_t rva) { return *reinterpret_cast<const uint64_t *>(image->base() + rva); };
        const uint64_t cookie = word(pe::DATA);
        CHECK(cookie != DEFAULT_COOKIE && cookie != 0 && cookie >> 48 == 0);
        CHECK_EQ(word(pe::DATA + 0x40), image->base() + pe::DATA + 0x48);
        CHECK_EQ(word(pe::ADDRESSES + 8), reinterpret_cast<uint64_t>(&PsThreadType));
        // A routine that is looked up by its name is called as one that is imported.
        const auto gate = [&](const char *name) {
            return reinterpret_cast<uint64_t>(image->gate_of(name, image::find_export("ntoskrnl.exe", name).address));
        };
        CHECK_EQ(gate("PsGetCurrentProcessId"), word(pe::ADDRESSES));
        CHECK(gate("KeSetEvent") != reinterpret_cast<uint64_t>(&KeSetEvent));
        CHECK(gate("KeSetEvent") == gate("KeSetEvent") && gate("KeSetEvent") != gate("KeClearEvent"));
        CHECK_EQ(image::image_at(image->base() + pe::END - 1), image);
        CHECK(image::image_at(image->base() + pe::END) == nullptr);
        CHECK_EQ(image->describe(image->base() + pe::TEXT + 1).substr(image->name().size()),
                 std::string("+0x1001 (.text)"));
        CHECK(!image->discarded(pe::INIT));
        loaded->initialised();
        CHECK(image->discarded(pe::INIT) && image->discarded(pe::RELOC) && !image->discarded(pe::TEXT));
    });
}

TEST(two_loads_of_one_image_share_nothing) {
    const File file(pe::driver());
    check::report_of(check::virtual_world(), [&](World &) {
        std::string error;
        const auto one = Image::load(file.path(), &error);
        const auto two = Image::load(file.path(), &error);
        REQUIRE(one != nullptr && two != nullptr);
        CHECK(one->entry() != two->entry());
    });
}

#endif
