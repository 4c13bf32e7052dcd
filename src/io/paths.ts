// SPDX-License-Identifier: MIT
//
// This module provides: Windows paths as the NT services name them.

import { checkerFor } from './options.js'

const NT_PREFIX = '\\??\\'

/** "." and ".." resolved, slashes turned, as Win32 does it with a path that has no \\?\ before it. */
function resolveParts(path: string): string {
  const parts: string[] = []
  for (const part of path.split('\\')) {
    if (part === '..') {
      parts.pop()
    } else if (part !== '' && part !== '.') {
      parts.push(part)
    }
  }
  const end = path.endsWith('\\') && parts.length > 0 ? '\\' : ''
  return `\\${parts.join('\\')}${end}`
}

/**
 * A Win32 path (D:\dir\file, \\?\D:\..., \\.\D:, \\server\share\...) as an NT path (\??\D:\dir\file). NT paths stay as they are.
 * Paths behind \\?\ are taken literally, and so have no limit of 260 characters.
 * @throws InvalidOptionError
 */
export function ntPath(operation: string, field: string, path: string): string {
  if (path.startsWith(NT_PREFIX)) {
    return path
  }
  if (path.startsWith('\\\\?\\')) {
    return `${NT_PREFIX}${path.slice(4)}`
  }
  const turned = path.replaceAll('/', '\\')
  if (turned.startsWith('\\\\.\\')) {
    return `${NT_PREFIX}${turned.slice(4)}`
  }
  if (/^[a-z]:\\/i.test(turned)) {
    return `${NT_PREFIX}${turned.slice(0, 2)}${resolveParts(turned.slice(2))}`
  }
  if (/^\\\\[^\\]/.test(turned)) {
    return `${NT_PREFIX}UNC${resolveParts(turned.slice(1))}`
  }
  // An NT name such as \Device\HarddiskVolume2\dir.
  if (/^\\[^\\]/.test(turned)) {
    return turned
  }
  return checkerFor(operation).fail(
    field,
    `expected a full path such as "D:\\inbox\\a.txt", got ${JSON.stringify(path)}`,
  )
}

/** The longest that Win32 takes without \\?\ before it: MAX_PATH without its terminator, less room for an 8.3 name in a directory. */
const SHORT_PATH_CHARS = 247

/** A path that is too long for Win32 with the prefix that lifts the limit. */
export function longPath(path: string): string {
  if (path.length <= SHORT_PATH_CHARS || !/^[a-z]:[\\/]/i.test(path)) {
    return path
  }
  const turned = path.replaceAll('/', '\\')
  return `\\\\?\\${turned.slice(0, 2)}${resolveParts(turned.slice(2))}`
}
