// SPDX-License-Identifier: MIT
//
// This module provides: how the tests of the Windows binaries run: `npm run test:sys`. They compile with clang and lld, so they are
// not part of `npm test`.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/sys/**/*.test.ts'],
    pool: 'forks',
    // They keep all processors busy by themselves.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})
