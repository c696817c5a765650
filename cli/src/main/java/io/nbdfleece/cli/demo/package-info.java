// SPDX-License-Identifier: Apache-2.0
/// The demonstration: the whole program in one process, on a disk of its own, with a proof. Start
/// at [io.nbdfleece.cli.demo.Demo].
///
/// ```
///   DemoDisk ─▶ FleecingEngine ─▶ NbdServer ◀─ NBD ─ GuestWriter ─▶ WriteJournal
///                                     ▲                                │
///                                     └──── NBD ─ Pull ─▶ FILE ─▶ FrozenProof
/// ```
@NullMarked
package io.nbdfleece.cli.demo;

import org.jspecify.annotations.NullMarked;
