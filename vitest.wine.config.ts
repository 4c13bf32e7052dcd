// SPDX-License-Identifier: MIT
//
// This module provides: how tests run in the Windows build of Node (`npm run test:wine`). Threads: Wine's pipes are not enough for vitest's processes.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/wine/**/*.test.ts', 'test/e2e/**/*.test.ts', 'test/conformance/**/*.test.ts'],
    // They start programs and read what these print, or need ffi-napi.
    exclude: ['test/e2e/cli.test.ts', 'test/e2e/validate.test.ts', 'test/e2e/ffi.test.ts'],
    pool: 'threads',
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 15_000,
  },
})
