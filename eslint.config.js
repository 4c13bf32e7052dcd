// SPDX-License-Identifier: MIT
//
// This module provides: the rules that tsc and prettier do not have. Type-checked rules for TypeScript, the recommended ones for
// the build scripts.

import js from '@eslint/js'
import tseslint from 'typescript-eslint'

const node = {
  process: 'readonly',
  console: 'readonly',
  URL: 'readonly',
  setTimeout: 'readonly',
  clearTimeout: 'readonly',
}

export default tseslint.config(
  { ignores: ['build/', 'dist/', 'prebuilt/', 'coverage/', 'node_modules/', 'src/generated/'] },
  js.configs.recommended,
  { languageOptions: { globals: node } },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/dot-notation': 'off',
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true, named: true, defaultFrom: true } }],
    },
  },
  {
    files: ['vitest.config.ts', 'vitest.sys.config.ts', 'vitest.wine.config.ts'],
    rules: { 'no-restricted-exports': 'off' },
  },
)
