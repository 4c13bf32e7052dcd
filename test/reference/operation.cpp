// SPDX-License-Identifier: MIT
//
// This module provides: operation.hpp.

#include "operation.hpp"

#include <charconv>
#include <cctype>
#include <sstream>

namespace reference {

namespace {

constexpr std::array<std::string_view, KINDS> KIND_NAMES{
#define X(name) #name,
    REFERENCE_KINDS(X)
#undef X
};
constexpr std::array<std::string_view, static_cast<size_t>(Disposition::count)> DISPOSITION_NAMES{
    "open_existing", "open_always", "create_new", "create_always", "truncate_existing"};

struct FlagName {
    Flag flag;
    std::string_view name;
};
constexpr FlagName FLAG_NAMES[] = {{READ, "read"},
                                   {WRITE, "write"},
                                   {APPEND, "append"},
                                   {DELETE_RIGHT, "delete"},
                                   {BACKUP, "backup"},
                                   {NO_BUFFERING, "no_buffering"},
                                   {WRITE_THROUGH, "write_through"},
                                   {DELETE_ON_CLOSE, "delete_on_close"},
                                   {REPLACE, "replace"},
                                   {POSIX, "posix"},
                                   {UNDO, "undo"}};

template <class T> bool read_number(std::string_view text, T *value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc{} && end == text.data() + text.size();
}

template <class Names> std::optional<size_t> index_of(const Names &all, std::string_view wanted) {
    for (size_t i = 0; i < all.size(); ++i) {
        if (all[i] == wanted) {
            return i;
        }
    }
    return std::nullopt;
}

bool read_flags(std::string_view text, uint32_t *flags) {
    while (!text.empty()) {
        const auto name = text.substr(0, text.find('+'));
        text.remove_prefix(std::min(text.size(), name.size() + 1));
        bool known = false;
        for (const FlagName &each : FLAG_NAMES) {
            if (each.name == name) {
                *flags |= each.flag;
                known = true;
            }
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

bool valid_path(std::string_view path) {
    bool letter_due = true;
    for (const char c : path) {
        const bool letter = c != '\\';
        if (letter != letter_due || (letter && name_for(c).letter == '\0')) {
            return false;
        }
        letter_due = !letter_due;
    }
    return !path.empty() && !letter_due;
}

bool read_field(std::string_view key, std::string_view value, Operation *operation) {
    if (key == "handle") {
        return read_number(value, &operation->handle) && operation->handle < HANDLES;
    }
    if (key == "view") {
        return read_number(value, &operation->view) && operation->view < VIEWS;
    }
    if (key == "flags") {
        return read_flags(value, &operation->flags);
    }
    if (key == "length") {
        return read_number(value, &operation->length);
    }
    if (key == "offset") {
        return read_number(value, &operation->offset);
    }
    if (key == "data") {
        return read_number(value, &operation->data);
    }
    if (key == "disposition") {
        const auto found = index_of(DISPOSITION_NAMES, value);
        operation->disposition = static_cast<Disposition>(found.value_or(0));
        return found.has_value();
    }
    if (key == "to") {
        operation->to = value;
        return valid_path(value);
    }
    operation->path = value;
    return key == "path" && valid_path(value);
}

} // namespace

std::string_view name_of(Kind kind) {
    return KIND_NAMES[static_cast<size_t>(kind)];
}

std::string text_of(const Operation &operation) {
    std::ostringstream text;
    text << name_of(operation.kind);
    const Operation nothing;
    const auto number = [&text](std::string_view key, uint64_t value, uint64_t usual) {
        if (value != usual) {
            text << ' ' << key << '=' << value;
        }
    };
    number("handle", operation.handle, nothing.handle);
    number("view", operation.view, nothing.view);
    if (!operation.path.empty()) {
        text << " path=" << operation.path;
    }
    if (!operation.to.empty()) {
        text << " to=" << operation.to;
    }
    if (operation.kind == Kind::open) {
        text << " disposition=" << DISPOSITION_NAMES[static_cast<size_t>(operation.disposition)];
    }
    if (operation.flags != 0) {
        std::string_view before = " flags=";
        for (const FlagName &each : FLAG_NAMES) {
            if ((operation.flags & each.flag) != 0) {
                text << before << each.name;
                before = "+";
            }
        }
    }
    number("offset", operation.offset, nothing.offset);
    number("length", operation.length, nothing.length);
    number("data", operation.data, nothing.data);
    return text.str();
}

std::optional<Operation> parse(std::string_view line, std::string *error) {
    std::istringstream words{std::string(line)};
    std::string word;
    words >> word;
    const auto kind = index_of(KIND_NAMES, word);
    if (!kind) {
        *error = "\"" + word + "\" is no operation";
        return std::nullopt;
    }
    Operation operation;
    operation.kind = static_cast<Kind>(*kind);
    while (words >> word) {
        const size_t sign = word.find('=');
        if (sign == std::string::npos ||
            !read_field(std::string_view(word).substr(0, sign), std::string_view(word).substr(sign + 1), &operation)) {
            *error = "\"" + word + "\" is no field, or its value is out of range";
            return std::nullopt;
        }
    }
    return operation;
}

std::string content_of(const Operation &operation) {
    std::string bytes(operation.length, '\0');
    uint64_t state = operation.data * 0x9E3779B97F4A7C15 + 1;
    for (size_t i = 0; i < bytes.size(); ++i) {
        if (i % 8 == 0) {
            state = state * 6364136223846793005 + 1442695040888963407;
        }
        bytes[i] = static_cast<char>(state >> (8 + i % 8 * 7));
    }
    return bytes;
}

const std::vector<Name> &names() {
    constexpr size_t LONGEST = 255;
    static const std::vector<Name> all{
        {'a', u"a", u"A"},
        {'b', u"b.txt", u"B.TXT"},
        {'c', u"c d.e", u"C D.e"},
        {'x', u"x", u"X"},
        {'y', u"y.dir", u"Y.Dir"},
        {'u', u"\u00E4\u00F6\u044F", u"\u00C4\u00D6\u042F"},
        {'l', std::u16string(LONGEST, u'l'), std::u16string(LONGEST, u'L')},
        {TOO_LONG, std::u16string(LONGEST + 1, u'o'), std::u16string(LONGEST + 1, u'O')},
    };
    return all;
}

const Name &name_for(char letter) {
    static const Name none{'\0', u"", u""};
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    for (const Name &each : names()) {
        if (each.letter == lower) {
            return each;
        }
    }
    return none;
}

std::u16string spelled(char letter) {
    const Name &name = name_for(letter);
    return name.letter == letter ? name.lower : name.upper;
}

std::u16string model_path(std::string_view path) {
    std::u16string text;
    for (const char c : path) {
        text += c == '\\' ? std::u16string(1, u'\\') : spelled(c);
    }
    return text;
}

std::string host_path(std::string_view path) {
    std::string text;
    for (const char c : path) {
        text += c == '\\' ? std::string(1, '/') : utf8(name_for(c).lower);
    }
    return text;
}

std::string utf8(std::u16string_view text) {
    std::string bytes;
    for (const char16_t c : text) { // no name has a surrogate
        if (c < 0x80) {
            bytes += static_cast<char>(c);
        } else if (c < 0x800) {
            bytes += static_cast<char>(0xC0 | c >> 6);
            bytes += static_cast<char>(0x80 | (c & 0x3F));
        } else {
            bytes += static_cast<char>(0xE0 | c >> 12);
            bytes += static_cast<char>(0x80 | (c >> 6 & 0x3F));
            bytes += static_cast<char>(0x80 | (c & 0x3F));
        }
    }
    return bytes;
}

} // namespace reference
