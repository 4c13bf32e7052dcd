// SPDX-License-Identifier: MIT
//
// This module provides: Image (image.hpp), and host images. Their file is copied first, because the system's loader would give every dlopen
// of one file the same data.

#include "core/image.hpp"

#include "core/host.hpp"
#include "core/kept_images.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "core/symbols.hpp"
#include "image/pe_image.hpp"

#if defined(_WIN32)
// Declared here: windows.h and the driver's headers do not go together.
extern "C" __declspec(dllimport) void *__stdcall LoadLibraryW(const wchar_t *);
extern "C" __declspec(dllimport) void *__stdcall GetProcAddress(void *, const char *);
extern "C" __declspec(dllimport) int __stdcall FreeLibrary(void *);
#else
#include <dlfcn.h>
#include <unistd.h>
#endif

namespace fltsim {

namespace {

namespace files = std::filesystem;

/// A temporary file that goes away with this object (on POSIX hosts the loaded image stays mapped).
class TemporaryCopy {
  public:
    explicit TemporaryCopy(const files::path &source) {
        const files::path directory = files::temp_directory_path();
        std::random_device device;
        files::path path;
        do {
            path = directory / ("fltsim-" + std::to_string(device()) + "-" + std::to_string(device()) +
                                source.extension().string());
        } while (!files::copy_file(source, path, files::copy_options::skip_existing));
        path_ = std::move(path);
        // Build trees may be read-only; the copy has to be deletable.
        files::permissions(path_, files::perms::owner_all, files::perm_options::replace);
    }
    ~TemporaryCopy() {
        std::error_code ignored; // what cannot be deleted (a loaded image on Windows) stays in the temporary directory
        files::remove(path_, ignored);
    }
    TemporaryCopy(const TemporaryCopy &) = delete;
    TemporaryCopy &operator=(const TemporaryCopy &) = delete;
    const files::path &path() const { return path_; }

  private:
    files::path path_;
};

#if defined(_WIN32)
void *open_module(const files::path &path, std::string *error) {
    void *module = LoadLibraryW(path.c_str());
    if (module == nullptr) {
        *error = "LoadLibrary error " + std::to_string(host::last_error());
    }
    return module;
}
void *symbol(void *module, const char *name) {
    return GetProcAddress(module, name);
}
void close_module(void *module) {
    FreeLibrary(module);
}
const void *base_of(const void *) {
    return nullptr; // reports have no symbols there
}
#else
void *open_module(const files::path &path, std::string *error) {
    void *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
        *error = dlerror();
    }
    return module;
}
void *symbol(void *module, const char *name) {
    return dlsym(module, name);
}
void close_module(void *module) {
    dlclose(module);
}
/// Of the module that this address is in.
const void *base_of(const void *address) {
    Dl_info info{};
    return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}
#endif

/// A library of this host.
class HostImage final : public Image {
  public:
    HostImage(void *module, PDRIVER_INITIALIZE entry) : module_(module), entry_(entry) {}
    ~HostImage() override {
        forget_image(base_of(reinterpret_cast<const void *>(entry_)));
        if (!give_kept_image(module_)) {
            close_module(module_);
        }
    }
    PDRIVER_INITIALIZE entry() const override { return entry_; }

  private:
    void *module_;
    PDRIVER_INITIALIZE entry_;
};

std::unique_ptr<Image> load_host_image(const std::string &path, const files::path &source, std::string *error) {
    const TemporaryCopy copy(source);
    std::string reason;
    void *module = open_module(copy.path(), &reason);
    if (module == nullptr) {
        *error = "driver image \"" + path + "\" cannot be loaded: " + reason +
                 "; it must be built for this machine and this fltsim";
        return nullptr;
    }
    auto entry = reinterpret_cast<PDRIVER_INITIALIZE>(symbol(module, "FxDriverEntry"));
    if (entry == nullptr) {
        close_module(module);
        *error = "driver image \"" + path + "\" has no FxDriverEntry; link it with the framework's entry point";
        return nullptr;
    }
    keep_image(path, module);
    remember_image(base_of(reinterpret_cast<const void *>(entry)), path);
    return std::make_unique<HostImage>(module, entry);
}

/// A Windows image begins with MZ, a library of this host with something else (on Windows too: there it has exports, and no native subsystem).
bool is_windows_image([[maybe_unused]] const files::path &source) {
#if defined(_WIN32)
    return false;
#else
    char begin[2] = {};
    std::ifstream(source, std::ios::binary).read(begin, sizeof begin);
    return begin[0] == 'M' && begin[1] == 'Z';
#endif
}

std::unique_ptr<Image> load_windows_image(const std::string &path, [[maybe_unused]] const files::path &source,
                                          std::string *error) {
#if FLTSIM_WINDOWS_IMAGES
    std::ifstream file(source, std::ios::binary);
    std::vector<uint8_t> bytes(std::istreambuf_iterator<char>(file), {});
    return image::PeImage::load(path, std::move(bytes), error);
#else
    *error = "driver image \"" + path +
             "\" is a Windows image: its code is for x64, and the model runs such code on x86-64 Linux only";
    return nullptr;
#endif
}

} // namespace

std::unique_ptr<Image> Image::load(const std::string &path, std::string *error) {
    if (void *kept = take_kept_image(path)) {
        auto entry = reinterpret_cast<PDRIVER_INITIALIZE>(symbol(kept, "FxDriverEntry"));
        remember_image(base_of(reinterpret_cast<const void *>(entry)), path);
        return std::make_unique<HostImage>(kept, entry);
    }
    const files::path source(reinterpret_cast<const char8_t *>(path.c_str()));
    std::error_code status;
    if (path.empty() || !files::is_regular_file(source, status)) {
        *error = "driver image \"" + path + "\" does not exist; build it (npm run build), or name another one";
        return nullptr;
    }
    try {
        return is_windows_image(source) ? load_windows_image(path, source, error)
                                        : load_host_image(path, source, error);
    } catch (const std::exception &exception) {
        *error = "driver image \"" + path + "\" cannot be copied or mapped: " + exception.what();
        return nullptr;
    }
}

} // namespace fltsim
