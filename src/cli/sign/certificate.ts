// SPDX-License-Identifier: MIT
//
// This module provides: the test certificate: made once for each user, kept outside of every repository, used again.
//
// Invariants: key and certificate are one file, written under another name and then given its own without replacing one that is there, so
// two commands at once agree and a crash leaves all or nothing; only the owner can read it (mode 0600; on Windows the user's own folder).

import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import forge from 'node-forge'

import { InputError } from '../problems.js'

export const KEY_FILE = 'minipend-test-key.pem'
export const CERTIFICATE_NAME = 'minipend test signing'
const VALID_YEARS = 5
const RSA_BITS = 2048

export interface TestCertificate {
  /** Holds key and certificate, PEM. */
  readonly file: string
  readonly certificate: X509Certificate
  readonly certificatePem: string
  readonly keyPem: string
  /** Made just now. */
  readonly fresh: boolean
}

/** The user's own place for such things. */
export function defaultKeyDirectory(
  platform: NodeJS.Platform,
  environment: NodeJS.ProcessEnv,
  home = os.homedir(),
): string {
  if (platform === 'win32')
    return path.win32.join(environment['LOCALAPPDATA'] ?? path.win32.join(home, 'AppData', 'Local'), 'minipend')
  if (platform === 'darwin') return path.posix.join(home, 'Library', 'Application Support', 'minipend')
  const state = environment['XDG_STATE_HOME']
  // A relative one is to be ignored, says its specification.
  return path.posix.join(state?.startsWith('/') === true ? state : path.posix.join(home, '.local', 'state'), 'minipend')
}

/** A key in a working tree is sooner or later in a commit. */
function refuseRepository(directory: string): void {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    if (existsSync(path.join(at, '.git'))) {
      throw new InputError(`the key directory ${directory} is inside of a repository (${at})`, {
        hint: 'name another with --key-dir, outside of every repository',
      })
    }
    if (at === path.dirname(at)) return
  }
}

function make(now: Date): string {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: RSA_BITS })
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey.export({ type: 'spki', format: 'pem' }).toString())
  // Positive and without a zero in front.
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`
  certificate.validity.notBefore = new Date(now.getTime() - 3_600_000)
  certificate.validity.notAfter = new Date(now)
  certificate.validity.notAfter.setUTCFullYear(now.getUTCFullYear() + VALID_YEARS)
  const name = [{ name: 'commonName', value: `${CERTIFICATE_NAME} (${os.hostname()})` }]
  certificate.setSubject(name)
  certificate.setIssuer(name)
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
    { name: 'extKeyUsage', codeSigning: true },
    { name: 'subjectKeyIdentifier' },
  ])
  certificate.sign(forge.pki.privateKeyFromPem(keyPem), forge.md.sha256.create())
  return `${keyPem}${forge.pki.certificateToPem(certificate).replaceAll('\r', '')}`
}

function writeOnce(file: string, text: string): void {
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' })
    linkSync(temporary, file)
  } catch (error) {
    // Another command was faster: its file is as good.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(temporary, { force: true })
  }
}

function read(file: string): { keyPem: string; certificatePem: string } {
  const text = readFileSync(file, 'utf8')
  const keyPem = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----\n/.exec(text)?.[0]
  const certificatePem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n/.exec(text)?.[0]
  if (keyPem === undefined || certificatePem === undefined) {
    throw new InputError(`${file} does not hold a key and a certificate`, {
      hint: 'move it away; the next command makes a new one, whose certificate has to be installed on the test machines again',
    })
  }
  return { keyPem, certificatePem }
}

/** The certificate in `directory`; makes one when there is none. */
export function testCertificate(directory: string, now: Date, platform: NodeJS.Platform): TestCertificate {
  refuseRepository(directory)
  const file = path.join(directory, KEY_FILE)
  const fresh = !existsSync(file)
  if (fresh) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeOnce(file, make(now))
  }
  const mode = statSync(file).mode & 0o777
  if (platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new InputError(`${file} can be read by others (mode ${mode.toString(8)})`, { hint: `chmod 600 '${file}'` })
  }
  const { keyPem, certificatePem } = read(file)
  const certificate = new X509Certificate(certificatePem)
  if (!certificate.publicKey.equals(createPublicKey(createPrivateKey(keyPem)))) {
    throw new InputError(`key and certificate in ${file} do not belong together`, { hint: 'move it away' })
  }
  if (new Date(certificate.validTo) <= now || new Date(certificate.validFrom) > now) {
    throw new InputError(
      `the test certificate in ${file} is valid from ${certificate.validFrom} to ${certificate.validTo}, which is not now`,
      { hint: 'move it away; the next command makes a new one, which has to be installed on the test machines again' },
    )
  }
  return { file, certificate, certificatePem, keyPem, fresh }
}
