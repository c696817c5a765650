// SPDX-License-Identifier: Apache-2.0
/// The benchmark that users run with `./benchmark`: what guest writes and pulls cost, with and
/// without a snapshot, beside QEMU. Start at [io.nbdfleece.integration.benchmark.Benchmark].
///
/// ```
///   Benchmark ──▶ Subject: FleeceServer | QemuDaemon     (processes, Unix sockets)
///       └───────▶ Load: fio, nbdcopy                     (one process per measurement)
/// ```
@NullMarked
package io.nbdfleece.integration.benchmark;

import org.jspecify.annotations.NullMarked;
