// SPDX-License-Identifier: Apache-2.0
/// The benchmark that users run with `./nbdfleece bench`: nbdfleece beside other NBD servers. One
/// file a workload (`P1PlainPull` and so on, [io.nbdfleece.integration.benchmark.Workload]) and one
/// a server ([io.nbdfleece.integration.benchmark.Subject]). Start at
/// [io.nbdfleece.integration.benchmark.Benchmark].
///
/// ```
///   Benchmark ──▶ P1PlainPull … P10Footprint          (what a turn is, and who takes part)
///                   │
///                   ├──▶ Bench.measure: turns, rounds ──▶ Case (figures, goals) ──▶ Report
///                   └──▶ Subject: Nbdfleece | QemuNbd | Nbdkit | QemuDaemon | QemuFleecing
///                           ▲ sockets
///                         Fio, nbdcopy, nbdinfo          (one process a turn)
/// ```
@NullMarked
package io.nbdfleece.integration.benchmark;

import org.jspecify.annotations.NullMarked;
