// SPDX-License-Identifier: MIT
//
// This module provides: `minipend sign`: the driver package with a test signature: signed image, signed catalog for INF and image, the
// certificate to install on a test machine.
//
// Invariant: what it leaves behind has been verified, by this code and, where there is one, by a program of somebody else.

import { randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import forge from 'node-forge'

import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { InputError } from '../problems.js'
import { toJson } from '../terminal.js'
import { OID, verifyImage, verifyMessage } from './authenticode.js'
import { catalogMembers, makeCatalog, memberHash } from './catalog.js'
import { defaultKeyDirectory, type TestCertificate, testCertificate } from './certificate.js'
import { type PackageSources, readSources, replaceDirectory } from './package.js'
import {
  findWindowsKit,
  osslsigncode,
  runAll,
  type Runner,
  runProgram,
  type SigningKey,
  type SigningTools,
  windowsKit,
} from './tools.js'

export interface SignOptions {
  /** Where the package goes; DIRECTORY/package by default. */
  readonly out?: string
  readonly keyDir?: string
  /** A directory of NuGet packages with the Windows kits; those that are installed by default. */
  readonly kit?: string
}

/** What a test puts in the place of the machine. */
export interface SignMachine {
  readonly environment: NodeJS.ProcessEnv
  readonly now: Date
  readonly tools: () => SigningTools
  readonly run: Runner
}

export function thisMachine(platform: NodeJS.Platform, kit?: string): SignMachine {
  return {
    environment: process.env,
    now: new Date(),
    tools: () => (platform === 'win32' ? windowsKit(findWindowsKit(process.env, kit)) : osslsigncode),
    run: runProgram,
  }
}

/** signtool reads no PEM: the same key as a PFX, which lives as long as the command. */
function pfxOf(certificate: TestCertificate, password: string): Buffer {
  const p12 = forge.pkcs12.toPkcs12Asn1(
    forge.pki.privateKeyFromPem(certificate.keyPem),
    [forge.pki.certificateFromPem(certificate.certificatePem)],
    password,
    { algorithm: '3des' },
  )
  return Buffer.from(forge.asn1.toDer(p12).getBytes(), 'latin1')
}

/** That the package is what a machine with the certificate will accept, as far as this code can tell. Throws an Error that says what is wrong. */
export function verifyPackage(directory: string, sources: PackageSources, certificate: X509Certificate): void {
  const image = readFileSync(path.join(directory, sources.image))
  const catalog = readFileSync(path.join(directory, sources.catalog))
  const attempt = <T>(file: string, work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw new InputError(`${file} was signed, and is wrong: ${(error as Error).message}`, { cause: error })
    }
  }
  const same = (signer: X509Certificate): void => {
    if (signer.fingerprint256 !== certificate.fingerprint256) throw new Error('another certificate signed it')
  }
  attempt(sources.image, () => same(verifyImage(image)))
  attempt(sources.catalog, () => {
    const message = verifyMessage(catalog)
    same(message.signer)
    if (message.contentType !== OID.trustList) throw new Error('it is not a catalog')
    const members = catalogMembers(message.content)
    for (const [name, bytes] of [
      [sources.image, image],
      [sources.inf, readFileSync(path.join(directory, sources.inf))],
    ] as const) {
      const hash = memberHash(bytes)
      if (!members.some((each) => each.hash.equals(hash))) throw new Error(`it does not know ${name}`)
    }
  })
}

async function fillPackage(
  directory: string,
  sources: PackageSources,
  certificate: TestCertificate,
  machine: SignMachine,
): Promise<void> {
  const tools = machine.tools()
  const inPackage = (name: string): string => path.join(directory, name)
  const name = path.parse(sources.inf).name
  const scratch: string[] = []
  const temporary = (file: string, bytes: string | Buffer): string => {
    scratch.push(inPackage(file))
    writeFileSync(inPackage(file), bytes, { mode: 0o600 })
    return inPackage(file)
  }

  const key: SigningKey = { file: certificate.file, password: '' }
  try {
    const password = randomBytes(18).toString('hex')
    const used = tools.key === 'pem' ? key : { file: temporary('key.pfx', pfxOf(certificate, password)), password }

    writeFileSync(inPackage(sources.inf), sources.infBytes)
    writeFileSync(inPackage(`${name}.cer`), certificate.certificate.raw)
    const image = inPackage(sources.image)
    if (tools.key === 'pfx') writeFileSync(image, sources.imageBytes)
    await runAll(tools.signImage(path.join(sources.directory, sources.image), image, used), machine.run)

    const catalog = inPackage(sources.catalog)
    if (tools.makeCatalog === undefined) {
      const files = [
        { name: sources.image, bytes: readFileSync(image) },
        { name: sources.inf, bytes: sources.infBytes },
      ]
      const unsigned = temporary('unsigned.cat', makeCatalog(files, sources.facts.machine, machine.now))
      await runAll(tools.signCatalog(unsigned, catalog, used), machine.run)
    } else {
      await runAll([tools.makeCatalog(directory, sources.facts.machine)], machine.run)
      if (!existsSync(catalog)) throw new InputError(`Inf2Cat has not made ${sources.catalog}`)
      await runAll(tools.signCatalog(catalog, catalog, used), machine.run)
    }

    verifyPackage(directory, sources, certificate.certificate)
    const pem = temporary('verify.pem', certificate.certificatePem)
    await runAll(tools.verify({ image, catalog, certificate: pem }), machine.run)
  } finally {
    for (const file of scratch) rmSync(file, { force: true })
  }
}

function report(target: string, sources: PackageSources, certificate: TestCertificate): Record<string, unknown> {
  const name = path.parse(sources.inf).name
  return {
    ok: true,
    architecture: sources.facts.machine,
    directory: target,
    files: [sources.image, sources.inf, sources.catalog, `${name}.cer`],
    certificate: {
      file: certificate.file,
      fresh: certificate.fresh,
      sha256: certificate.certificate.fingerprint256,
      validTo: certificate.certificate.validTo,
    },
  }
}

function text(target: string, sources: PackageSources, certificate: TestCertificate): string {
  const name = path.parse(sources.inf).name
  const key = certificate.fresh ? `a new test key, in ${certificate.file}` : `the test key in ${certificate.file}`
  return `${target}: ${sources.image} (${sources.facts.machine}), ${sources.inf}, ${sources.catalog}, ${name}.cer
signed with ${key}; image and catalog verified

On the test machine, as administrator, once (it restarts):
  bcdedit /set testsigning on
  certutil -addstore Root ${name}.cer
  certutil -addstore TrustedPublisher ${name}.cer
and then:
  pnputil /add-driver ${sources.inf} /install
  fltmc load ${name}
`
}

export async function sign(
  { terminal, json, platform }: CommandContext,
  directory: string,
  options: SignOptions,
  machine: SignMachine = thisMachine(platform, options.kit),
): Promise<ExitCode> {
  const sources = readSources(path.resolve(directory))
  const target = path.resolve(options.out ?? path.join(directory, 'package'))
  if (target === sources.directory) {
    throw new InputError('the package cannot replace the directory that it is made from', {
      hint: 'name another with --out',
    })
  }
  if (existsSync(target) && !existsSync(path.join(target, sources.inf))) {
    throw new InputError(`${target} is there, and is no driver package`, { hint: 'name another with --out' })
  }
  const keyDirectory = path.resolve(options.keyDir ?? defaultKeyDirectory(platform, machine.environment))
  const certificate = testCertificate(keyDirectory, machine.now, platform)
  await replaceDirectory(target, (fresh) => fillPackage(fresh, sources, certificate, machine))
  terminal.out(json ? `${toJson(report(target, sources, certificate))}\n` : text(target, sources, certificate))
  return EXIT.ok
}
