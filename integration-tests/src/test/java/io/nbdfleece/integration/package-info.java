// SPDX-License-Identifier: Apache-2.0
/// Scenarios and faults against the packaged program over real sockets, with real peers.
///
/// ```
///   test ──▶ PackagedServer ──▶ java -jar nbdfleece.jar serve …
///     │          ├─ ControlSocket   QMP
///     │          └─ NbdClient, RawNbdConnection, Peer (nbdcopy, qemu-img, …)
///     └──▶ PointInTimeChecker: was what a snapshot showed one instant of the writes?
/// ```
///
/// The tests need `cli/target/nbdfleece.jar`, which `mvn package` makes. A peer that is not
/// installed skips its tests, visibly; with `NBDFLEECE_REQUIRE_PEERS=1` it fails them.
@NullMarked
package io.nbdfleece.integration;

import org.jspecify.annotations.NullMarked;
