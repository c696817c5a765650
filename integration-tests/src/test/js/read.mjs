// SPDX-License-Identifier: Apache-2.0
// Reads a whole export with Xen Orchestra's client and prints its SHA-256.
// node read.mjs ADDRESS PORT EXPORT [CERTIFICATE]
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import NbdClient from '@vates/nbd-client'

const [address, port, exportname, certificate] = process.argv.slice(2)
const cert = certificate === undefined ? undefined : readFileSync(certificate, 'utf8')
const client = new NbdClient(
  { address, port: Number(port), exportname, cert },
  { readBlockRetries: 1, messageTimeout: 20_000 }
)
await client.connect()
const size = Number(client.exportSize)
const blockSize = 64 * 1024
const hash = createHash('sha256')
for (let first = 0; first * blockSize < size; first += 16) {
  const reads = []
  for (let index = first; index < first + 16 && index * blockSize < size; index++) {
    reads.push(client.readBlock(index, blockSize))
  }
  for (const block of await Promise.all(reads)) {
    hash.update(block)
  }
}
await client.disconnect()
console.log(JSON.stringify({ size, sha256: hash.digest('hex') }))
