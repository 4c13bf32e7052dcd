// SPDX-License-Identifier: MIT
//
// This module provides: making a process of an executable: what NtCreateUserProcess does with the file, and the drivers' process notify routines.
//
//      the file is opened and made an image section of -> routines are told -> the handle is closed; the section stays as long as the process

#include "user/process_start.hpp"

#include <cstring>

#include "fs/memfs.hpp"
#include "io/internal.hpp"
#include "ke/process_notify.hpp"
#include "user/entry.hpp"

namespace fltsim::user {

namespace {

constexpr ULONG PAGE_AS_PROGRAM = 0x10; // PAGE_EXECUTE

/// The smallest file that is an executable image: headers for x64, and no section.
std::vector<uint8_t> stand_in_program() {
    constexpr size_t PE_HEADER = 0x40;
    constexpr size_t OPTIONAL_HEADER = PE_HEADER + 24;
    constexpr uint16_t OPTIONAL_BYTES = 0xF0;
    constexpr uint32_t FILE_BYTES = 0x200;
    constexpr uint32_t PAGE = 0x1000;
    std::vector<uint8_t> bytes(FILE_BYTES);
    const auto put = [&bytes](size_t at, auto value) { std::memcpy(bytes.data() + at, &value, sizeof value); };
    put(0, uint16_t{0x5A4D}); // MZ
    put(60, static_cast<uint32_t>(PE_HEADER));
    put(PE_HEADER, uint32_t{0x00004550}); // PE
    put(PE_HEADER + 4, uint16_t{0x8664}); // IMAGE_FILE_MACHINE_AMD64
    put(PE_HEADER + 20, OPTIONAL_BYTES);
    put(PE_HEADER + 22, uint16_t{0x0022}); // executable, large addresses
    put(OPTIONAL_HEADER, uint16_t{0x20B}); // PE32+
    put(OPTIONAL_HEADER + 32, PAGE); // section alignment
    put(OPTIONAL_HEADER + 36, FILE_BYTES); // file alignment
    put(OPTIONAL_HEADER + 56, PAGE); // size of image
    put(OPTIONAL_HEADER + 60, FILE_BYTES); // size of headers
    put(OPTIONAL_HEADER + 68, uint16_t{3}); // a console program
    return bytes;
}

UNICODE_STRING string_of(std::u16string &text) {
    const auto bytes = static_cast<USHORT>(text.size() * sizeof(WCHAR));
    return {bytes, static_cast<USHORT>(bytes + sizeof(WCHAR)), reinterpret_cast<PWSTR>(text.data())};
}

/// The executable while its process is made.
struct Opened {
    std::shared_ptr<io::FileObject> file;
    HANDLE handle = nullptr;
    std::shared_ptr<Object> section;
};

NTSTATUS open_program(World &w, const std::u16string &nt_path, Opened *opened) {
    io::IoManager::CreateFile request;
    request.name = nt_path;
    request.access = FILE_EXECUTE | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
    request.share = FILE_SHARE_READ | FILE_SHARE_DELETE;
    request.options = FILE_NON_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT;
    ULONG_PTR information = 0;
    NTSTATUS status = w.io->create_file(request, &opened->file, &information);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    opened->handle = w.handles->insert(opened->file, true);
    status = w.io->map_image(*opened->file, 0, PAGE_AS_PROGRAM, &opened->section);
    if (!NT_SUCCESS(status)) {
        w.handles->close(opened->handle);
    }
    return status;
}

/// Where a full name leads: its volume, and the path there.
io::Volume *volume_of(World &w, const std::u16string &full_name, std::u16string *path) {
    io::Volume *volume = nullptr;
    return NT_SUCCESS(w.io->impl().resolve(full_name, &volume, path)) ? volume : nullptr;
}

} // namespace

std::u16string full_image_name(World &world, const std::u16string &name) {
    std::u16string path;
    const io::Volume *volume = volume_of(world, name.starts_with(u'\\') ? name : u"\\??\\" + name, &path);
    return volume == nullptr ? std::u16string() : volume->device_name + path;
}

NTSTATUS start_process(World &world, const Program &program, Process **made) {
    *made = nullptr;
    Process &parent = *executing().process;
    const std::u16string image = program.image.empty() ? parent.image : program.image;
    std::u16string path;
    const io::Volume *volume = volume_of(world, image, &path);
    if (volume == nullptr) {
        return STATUS_OBJECT_PATH_NOT_FOUND;
    }
    const std::u16string dos_path = volume->dos_name + path;
    std::u16string nt_path = u"\\??\\" + dos_path;
    std::u16string command_line = program.command_line.empty() ? u'"' + dos_path + u'"' : program.command_line;
    Opened opened;
    if (program.always_opened || ke::create_info_wanted()) {
        if (!static_cast<fs::MemFileSystem &>(*volume->file_system).install(path, stand_in_program())) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        const NTSTATUS status = open_program(world, nt_path, &opened);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    *made = world.make_process("client");
    Process &process = **made;
    process.parent = &parent;
    process.set_image(image);
    process.section = opened.section;
    const UNICODE_STRING name = string_of(nt_path);
    const UNICODE_STRING line = string_of(command_line);
    PS_CREATE_NOTIFY_INFO info{};
    info.Size = sizeof info;
    info.FileOpenNameAvailable = 1;
    info.ParentProcessId = reinterpret_cast<HANDLE>(static_cast<uintptr_t>(parent.id));
    info.CreatingThreadId = {info.ParentProcessId, reinterpret_cast<HANDLE>(static_cast<uintptr_t>(executing().id))};
    info.FileObject = opened.file ? &opened.file->native : nullptr;
    info.ImageFileName = &name;
    info.CommandLine = &line;
    ke::notify_of_creation(parent, process, opened.file ? &info : nullptr);
    if (opened.handle != nullptr) {
        world.handles->close(opened.handle);
    }
    if (!NT_SUCCESS(info.CreationStatus)) {
        world.note("process " + std::to_string(process.id) + ": a process notify routine is against it");
        end_process(world, process);
    }
    return info.CreationStatus;
}

} // namespace fltsim::user
