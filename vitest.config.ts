// SPDX-License-Identifier: MIT
//
// This module provides: how the tests run. A process for each test file, because the model lives in the process; limits that a
// held operation's deadline (30 s) cannot hide behind.

import os from 'node:os'

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They need clang and lld, or Wine: npm run test:sys, npm run test:wine. test/image needs the drivers that npm run test:image builds.
    exclude: [
      'test/sys/**',
      'test/wine/**',
      ...(process.env['MINIPEND_TEST_IMAGES'] === undefined ? ['test/image/**'] : []),
    ],
    pool: 'forks',
    // vitest's own choice leaves one processor to itself: on two it runs one file at a time. Many of these tests wait.
    maxWorkers: Math.max(os.availableParallelism(), 2),
    execArgv: ['--expose-gc'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    teardownTimeout: 15_000,
  },
})
