// SPDX-License-Identifier: MIT
//
// This module provides: reading what Windows programs print, whatever the system's language is: by numbers, names of files, columns and keys that are never
// translated, not by words.

export interface FilterRow {
  readonly name: string
  /** undefined: a legacy filter, which has none. */
  readonly instances: number | undefined
  readonly altitude: string
  readonly frame: string
}

const linesOf = (text: string): string[] => text.split(/\r?\n/)

/** What comes after the line of dashes under a table's head. */
function rowsOf(output: string): string[] {
  const lines = linesOf(output)
  const rule = lines.findIndex((line) => /^-+(\s+-+)+\s*$/.test(line))
  return rule < 0 ? [] : lines.slice(rule + 1).filter((line) => line.trim() !== '')
}

/** Of `fltmc filters`. */
export function filtersOf(output: string): FilterRow[] {
  return rowsOf(output).flatMap((line) => {
    const found = /^(\S.*?)\s+(?:(\d+)\s+)?(\d+(?:\.\d+)?)\s+(\d+|<[^>]+>)\s*$/.exec(line)
    if (found === null) {
      return []
    }
    const [, name = '', instances, altitude = '', frame = ''] = found
    return [{ name, instances: instances === undefined ? undefined : Number(instances), altitude, frame }]
  })
}

export interface InstanceRow {
  readonly filter: string
  /** '' when the volume has no name any more. */
  readonly volume: string
  readonly altitude: string
  readonly instance: string
}

/** Of `fltmc instances`. */
export function instancesOf(output: string): InstanceRow[] {
  return rowsOf(output).flatMap((line) => {
    const found = /^(\S+)\s+(?:(\S.*?)\s+)?(\d+(?:\.\d+)?)\s+(\S.*?)\s+\d+\s+[0-9a-f]{8}\b/i.exec(line)
    if (found === null) {
      return []
    }
    const [, filter = '', volume = '', altitude = '', instance = ''] = found
    return [{ filter, volume, altitude, instance }]
  })
}

/** Of `reg query`: values by name. */
export function registryValues(output: string): ReadonlyMap<string, string> {
  const values = linesOf(output).flatMap((line) => {
    const found = /^ {4}(\S.*?) {4}REG_[A-Z_]+(?: {4}(.*))?$/.exec(line)
    return found === null ? [] : [[found[1] ?? '', (found[2] ?? '').trim()] as const]
  })
  return new Map(values)
}

/** A REG_DWORD of `reg query`. */
export function dword(values: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = values.get(name)
  return text !== undefined && /^0x[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : undefined
}

/** What the running system was started with, from the value SystemStartOptions of HKLM\\SYSTEM\\CurrentControlSet\\Control: TESTSIGNING and such. */
export const startOptions = (values: ReadonlyMap<string, string>): readonly string[] =>
  (values.get('SystemStartOptions') ?? '').toUpperCase().split(/\s+/).filter(Boolean)

/** Names of elements are not translated, values may be: what is known to mean no is no. */
const NO = new Set(['no', 'nein', 'non', 'não', 'nej', 'nee', 'nei', 'ei', 'nie', 'ne', 'нет', 'off', 'false', '0x0'])

/** Of `bcdedit /enum`: whether an element such as testsigning is on at the next start. */
export function bootElement(output: string, element: string): boolean {
  const found = new RegExp(`^${element}\\s+(\\S+)`, 'im').exec(output)?.[1]
  return found !== undefined && !NO.has(found.toLowerCase())
}

/** Of `whoami /groups`: the integrity level of the process, from the SID of its mandatory label (S-1-16-N). */
export function integrityLevel(output: string): number | undefined {
  const found = /\bS-1-16-(\d+)\b/.exec(output)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** From here on a process is elevated (S-1-16-12288: high, S-1-16-16384: system). */
export const HIGH_INTEGRITY = 12_288

/** Of `fsutil fsinfo drives`: letters in use. */
export const drivesOf = (output: string): string[] =>
  [...output.matchAll(/(?<![a-z])([A-Z]):\\/gi)].map((match) => (match[1] ?? '').toUpperCase())

export interface DriverPackage {
  /** oemN.inf */
  readonly published: string
  /** The INF's own name. */
  readonly original: string
}

/** Of `pnputil /enum-drivers`: blocks of lines, each with a published and then an original name. */
export function packagesOf(output: string): DriverPackage[] {
  return output.split(/(?:\r?\n){2,}/).flatMap((block) => {
    const names = [...block.matchAll(/[^\s\\/:]+\.inf(?![\w.])/gi)].map(([name]) => name.toLowerCase())
    const [published, original] = names
    return published !== undefined && original !== undefined && /^oem\d+\.inf$/.test(published)
      ? [{ published, original }]
      : []
  })
}

/** Of `pnputil /add-driver`: the name that the package has in the store. */
export const publishedName = (output: string): string | undefined =>
  /(?<![\w.])oem\d+\.inf(?![\w.])/i.exec(output)?.[0].toLowerCase()

export interface VerifierState {
  readonly flags: number
  /** Names of images, in small letters. */
  readonly drivers: readonly string[]
}

/** Of `verifier /querysettings` and `verifier /query`. */
export function verifierState(output: string): VerifierState {
  const flags = /0x([0-9a-f]{8})\b/i.exec(output)?.[1] ?? '0'
  const images = [...output.matchAll(/(?<![\w.-])[\w.-]+\.(?:sys|dll)\b|\bntoskrnl\.exe\b/gi)]
  return {
    flags: Number.parseInt(flags, 16),
    drivers: [...new Set(images.map(([name]) => name.toLowerCase()))],
  }
}
