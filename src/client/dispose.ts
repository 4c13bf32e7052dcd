// SPDX-License-Identifier: MIT
//
// This module provides: Symbol.asyncDispose where the runtime lacks it. Imported by every module that has a method of that name, because
// the name is looked up when the class is made. The value is the one that transpilers of `await using` fall back to.

if ((Symbol as { asyncDispose?: symbol }).asyncDispose === undefined) {
  Object.defineProperty(Symbol, 'asyncDispose', { value: Symbol.for('Symbol.asyncDispose') })
}
