// SPDX-License-Identifier: MIT
//
// This module provides: tests that the WDK project and the build without the WDK are of one mind: the same sources, definitions, framework version
// and target; warnings are errors in both.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { DOMParser, type Element } from '@xmldom/xmldom'
import { describe, expect, it } from 'vitest'

import {
  compileOptions,
  defines,
  driverSources,
  kmdfVersion,
  resourceScript,
} from '../../../scripts/driver/settings.js'
import * as paths from '../../../scripts/paths.mjs'

const inRoot = (...parts: string[]): string => path.join(paths.root, ...parts)
const parse = (file: string): Element => {
  const onError = (level: string, message: string): never => {
    throw new Error(`${file}: ${level}: ${message}`)
  }
  const document = new DOMParser({ onError }).parseFromString(readFileSync(inRoot(file), 'utf8'), 'text/xml')
  if (document.documentElement === null) throw new Error(`${file} is empty`)
  return document.documentElement
}
const project = parse('driver/minipend.vcxproj')
const elements = (name: string): Element[] => [...project.getElementsByTagName(name)]
const included = (name: string): string[] =>
  elements(name).flatMap((element) => element.getAttribute('Include')?.replaceAll('\\', '/') ?? [])
/** The one value of a property, or of a setting of the compiler or linker. */
const value = (name: string): string => {
  const found = elements(name)
  expect(found, `${name} is there once`).toHaveLength(1)
  return found[0]?.textContent ?? ''
}

describe('driver/minipend.vcxproj', () => {
  it('has the sources of the build without the WDK', () => {
    expect(included('ClCompile')).toEqual(driverSources())
    expect(included('ResourceCompile').map((file) => `driver/${file}`)).toEqual([resourceScript])
  })

  it('shows each header and the INF', () => {
    const headers = readdirSync(inRoot('driver')).filter((file) => file.endsWith('.h'))
    const protocol = readdirSync(inRoot('driver/include')).map((file) => `include/${file}`)
    expect(included('ClInclude').sort()).toEqual([...headers, ...protocol].sort())
    expect(included('None')).toContain('minipend.inf')
  })

  it('has the same definitions, of which the kit itself makes two', () => {
    const own = value('PreprocessorDefinitions')
      .split(';')
      .filter((each) => !each.startsWith('%'))
    const byTheKit = ['_KERNEL_MODE', 'ALLOC_PRAGMA']
    const wanted = Object.entries(defines).filter(([name]) => !byTheKit.includes(name))
    expect(own.sort()).toEqual(wanted.map(([name, text]) => `${name}=${text}`).sort())
    expect(value('_NT_TARGET_VERSION')).toBe(defines['NTDDI_VERSION'])
  })

  it('has the framework version of the entry stub', () => {
    expect(`${value('KMDF_VERSION_MAJOR')}.${value('KMDF_VERSION_MINOR')}`).toBe(kmdfVersion)
    const stub = readFileSync(inRoot('native/ddk/kmdf/entry.c'), 'utf8')
    const [major, minor] = kmdfVersion.split('.')
    expect(stub).toContain(`.Major = ${major ?? ''}, .Minor = ${minor ?? ''}`)
  })

  it('is a KMDF driver for Windows 10 and later, both architectures', () => {
    expect(value('ConfigurationType')).toBe('Driver')
    expect(value('DriverType')).toBe('KMDF')
    expect(value('TargetVersion')).toBe('Windows10')
    expect(included('ProjectConfiguration').sort()).toEqual([
      'Debug|ARM64',
      'Debug|x64',
      'Release|ARM64',
      'Release|x64',
    ])
    expect(value('AdditionalDependencies')).toContain('fltMgr.lib')
    expect(value('AdditionalIncludeDirectories')).toBe('include;%(AdditionalIncludeDirectories)')
  })

  it('takes warnings for errors, those of the analysis and the linker too, and no larger frame than the other build', () => {
    expect(value('WarningLevel')).toBe('Level4')
    expect(value('TreatWarningAsError')).toBe('true')
    expect(value('TreatLinkerWarningAsErrors')).toBe('true')
    expect(value('EnablePREfast')).toBe('true')
    expect(value('CodeAnalysisTreatWarningsAsErrors')).toBe('true')
    const largest = compileOptions.find((option) => option.startsWith('-Wframe-larger-than='))?.split('=')[1]
    expect(value('PREfastAdditionalOptions')).toBe(`stacksize${largest ?? ''}`)
  })

  it('leaves signing and the catalog to minipend sign', () => {
    expect(value('SignMode')).toBe('Off')
    expect(value('EnableInf2cat')).toBe('false')
  })

  it('finds its kits where packages.config puts them, in the same version', () => {
    const version = value('KitVersion')
    const packages = [...parse('driver/packages.config').getElementsByTagName('package')]
    expect(packages.map((each) => each.getAttribute('version'))).toEqual(packages.map(() => version))
    const imports = elements('Import').flatMap((each) => each.getAttribute('Project') ?? [])
    const kits = imports.filter((each) => each.startsWith('$(KitPackages)'))
    const directories = kits.map(
      (each) => each.replace('$(KitPackages)', '').replace('.$(KitVersion)', '').split('\\')[0],
    )
    expect(directories.sort()).toEqual(packages.map((each) => each.getAttribute('id')).sort())
  })
})
