// SPDX-License-Identifier: MIT
#include "arguments.hpp"

#include <cmath>
#include <cstring>

namespace minipend {

namespace {
constexpr double kLargestSafeInteger = 9007199254740991.0;
}

void Arguments::refuse(size_t index, const std::string &expected) {
    if (ok_) {
        ok_ = false;
        throw_type_error(env(), "argument " + std::to_string(index + 1) + " must be " + expected);
    }
}

std::u16string Arguments::utf16(size_t index) {
    if (!ok_ || !at(index).IsString()) {
        refuse(index, "a string");
        return {};
    }
    std::u16string text = at(index).As<Napi::String>().Utf16Value();
    if (text.find(u'\0') != std::u16string::npos) {
        refuse(index, "a string without a NUL character");
        return {};
    }
    return text;
}

std::string Arguments::utf8(size_t index) {
    if (!ok_ || !at(index).IsString()) {
        refuse(index, "a string");
        return {};
    }
    std::string text = at(index).As<Napi::String>().Utf8Value();
    if (text.find('\0') != std::string::npos) {
        refuse(index, "a string without a NUL character");
        return {};
    }
    return text;
}

uint32_t Arguments::u32(size_t index) {
    const double value = ok_ && at(index).IsNumber() ? at(index).As<Napi::Number>().DoubleValue() : -1.0;
    if (!(value >= 0.0 && value <= static_cast<double>(UINT32_MAX) && std::floor(value) == value)) {
        refuse(index, "an unsigned 32-bit integer");
        return 0;
    }
    return static_cast<uint32_t>(value);
}

size_t Arguments::size(size_t index) {
    const double value = ok_ && at(index).IsNumber() ? at(index).As<Napi::Number>().DoubleValue() : -1.0;
    if (!(value >= 0.0 && value <= kLargestSafeInteger && std::floor(value) == value)) {
        refuse(index, "a non-negative safe integer");
        return 0;
    }
    return static_cast<size_t>(value);
}

bool Arguments::boolean(size_t index) {
    if (!ok_ || !at(index).IsBoolean()) {
        refuse(index, "a boolean");
        return false;
    }
    return at(index).As<Napi::Boolean>().Value();
}

int64_t Arguments::i64(size_t index) {
    bool lossless = false;
    int64_t value = 0;
    if (ok_ && at(index).IsBigInt()) {
        value = at(index).As<Napi::BigInt>().Int64Value(&lossless);
    }
    if (!lossless) {
        refuse(index, "a bigint of 64 bits");
        return 0;
    }
    return value;
}

std::optional<Napi::Uint8Array> Arguments::bytes(size_t index, size_t limit) {
    if (ok_ && at(index).IsTypedArray()) {
        auto view = at(index).As<Napi::TypedArray>();
        if (view.TypedArrayType() == napi_uint8_array && view.ByteLength() <= limit) {
            return view.As<Napi::Uint8Array>();
        }
    }
    refuse(index, "a Uint8Array of at most " + std::to_string(limit) + " bytes");
    return std::nullopt;
}

uint64_t Arguments::u64(size_t index) {
    bool lossless = false;
    uint64_t value = 0;
    if (ok_ && at(index).IsBigInt()) {
        value = at(index).As<Napi::BigInt>().Uint64Value(&lossless);
    }
    if (!lossless) {
        refuse(index, "an unsigned bigint of 64 bits");
        return 0;
    }
    return value;
}

std::optional<std::vector<uint64_t>> Arguments::words(size_t index, size_t count) {
    if (ok_ && at(index).IsTypedArray()) {
        auto view = at(index).As<Napi::TypedArray>();
        if (view.TypedArrayType() == napi_biguint64_array && view.ElementLength() == count) {
            auto numbers = view.As<Napi::BigUint64Array>();
            std::vector<uint64_t> words(count);
            for (size_t i = 0; i < count; ++i) {
                words[i] = numbers[i];
            }
            return words;
        }
    }
    refuse(index, "a BigUint64Array of " + std::to_string(count) + " numbers");
    return std::nullopt;
}

SharedBytes copy_in(const Napi::Uint8Array &view) {
    auto bytes = std::make_shared<Bytes>(view.ByteLength());
    if (bytes->size() != 0) {
        std::memcpy(bytes->data(), view.Data(), bytes->size());
    }
    return bytes;
}

} // namespace minipend
