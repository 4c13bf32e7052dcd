// SPDX-License-Identifier: MIT
//
// This module provides: `npm run fidelity`: writes docs/FIDELITY.md.

import { writeFileSync } from 'node:fs'
import path from 'node:path'

import { root } from '../../scripts/paths.mjs'
import { generatePage } from './generate.js'
import { PAGE, readSources } from './sources.js'

writeFileSync(path.join(root, PAGE), generatePage(readSources()))
