// SPDX-License-Identifier: MIT
//
// This module provides: framework objects, their tree, contexts and references, and the driver that owns them (Client). Only wdf/ includes it.
//
//      created (1 reference, child of its parent) -> deleted (children first, cleanup callbacks, out of the tree, 1 reference less)
//          -> destroyed (no reference left: destroy callbacks, memory freed)
//
// Invariants: a handle is the complement of its object's address, so that no driver can look inside; every handle that comes in is looked up.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "wdf/framework.hpp"

namespace fltsim::wdf {

#ifndef STATUS_WDF_OBJECT_ATTRIBUTES_INVALID
#define STATUS_WDF_OBJECT_ATTRIBUTES_INVALID ((NTSTATUS)0xC0200209)
#endif
#ifndef STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED
#define STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED ((NTSTATUS)0xC020020F)
#endif
#ifndef STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID
#define STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID ((NTSTATUS)0xC0200210)
#endif
#ifndef STATUS_WDF_EXECUTION_LEVEL_INVALID
#define STATUS_WDF_EXECUTION_LEVEL_INVALID ((NTSTATUS)0xC0200211)
#endif
#ifndef STATUS_WDF_PARENT_NOT_SPECIFIED
#define STATUS_WDF_PARENT_NOT_SPECIFIED ((NTSTATUS)0xC0200212)
#endif

struct Context {
    PCWDF_OBJECT_CONTEXT_TYPE_INFO type = nullptr; ///< null: callbacks without a context
    void *memory = nullptr;
    PFN_WDF_OBJECT_CONTEXT_CLEANUP cleanup = nullptr;
    PFN_WDF_OBJECT_CONTEXT_DESTROY destroy = nullptr;
};

class Object {
  public:
    explicit Object(Client &owner) : client(owner) {}
    virtual ~Object() = default;
    Object(const Object &) = delete;
    Object &operator=(const Object &) = delete;
    virtual const char *type_name() const { return "WDFOBJECT"; }
    /// The memory goes: frees what the object owns.
    virtual void destroy() {}
    /// Nothing may be using it when it is deleted.
    virtual void check_deletable(const char *) {}
    WDFOBJECT handle() { return reinterpret_cast<WDFOBJECT>(~reinterpret_cast<uintptr_t>(this)); }

    Client &client;
    Object *parent = nullptr;
    std::vector<Object *> children;
    std::vector<Context> contexts;
    uint32_t references = 1;
    bool deleted = false;
};

class Driver final : public Object {
  public:
    using Object::Object;
    const char *type_name() const override { return "WDFDRIVER"; }
    std::u16string registry_path;
    PFN_WDF_DRIVER_UNLOAD unload = nullptr;
};

/// A bound driver. Its globals are what every framework call passes.
class Client {
  public:
    Client(World &world, PDRIVER_OBJECT driver_object);
    ~Client();

    /// The object a handle names; stops the world when it is not a live (or still referenced) object of type T.
    template <class T> T &object(const char *api, const void *handle, const char *wanted) {
        Object *found = find(handle);
        T *object = dynamic_cast<T *>(found);
        if (object == nullptr) {
            bad_handle(api, handle, wanted, found);
        }
        return *object;
    }
    Object *find(const void *handle);
    Object *object_of_context(const void *memory);

    /// Checks attributes of a new object; `parent` becomes the object they name, or the driver.
    NTSTATUS check_attributes(const char *api, PWDF_OBJECT_ATTRIBUTES attributes, Object **parent);
    /// Takes a new object into the tree and makes its context. Attributes are checked. Null: no memory.
    template <class T> T *adopt(std::unique_ptr<T> object, Object *parent, PWDF_OBJECT_ATTRIBUTES attributes) {
        T *raw = object.get();
        return adopt_any(std::move(object), parent, attributes) ? raw : nullptr;
    }
    NTSTATUS add_context(Object &object, PWDF_OBJECT_ATTRIBUTES attributes, void **memory);
    void delete_object(const char *api, Object &object);
    void dereference(const char *api, Object &object);
    /// Deletes the driver object with all that is below it, after reporting what the driver should have given back.
    void delete_driver(const char *api);
    /// Frees everything without a callback.
    void abandon();
    std::vector<std::string> describe() const;
    uint32_t tag() const { return globals.DriverTag; }

    alignas(16) WDF_DRIVER_GLOBALS globals{};
    PDRIVER_OBJECT driver_object;
    Driver *driver = nullptr;
    PWDF_BIND_INFO bind_info = nullptr;

  private:
    [[noreturn]] void bad_handle(const char *api, const void *handle, const char *wanted, Object *found);
    bool adopt_any(std::unique_ptr<Object> object, Object *parent, PWDF_OBJECT_ATTRIBUTES attributes);
    void free_object(Object &object);
    void report_leaks();

    World &world_;
    std::unordered_map<const void *, std::unique_ptr<Object>> objects_; ///< by handle
    std::unordered_map<const void *, Object *> by_context_;
};

/// Stops the world as the framework does on a call that it can see is wrong.
[[noreturn]] void violation(const char *api, std::string_view text);

} // namespace fltsim::wdf
