// SPDX-License-Identifier: Apache-2.0
/// A simulation from the clients' sockets down to the disk, on one thread: guests and backup
/// clients, the network, the server's connections, exports, hooks, store, disk and scratch file.
///
/// ```
///   SimulatedClient ══ BytePipe ══▶ SimulatedChannel ── connection ── export ── hook ── disk
///        ▲  ╰════════ BytePipe ◀══════════╯  on a SimulatedLoop           ╰── store ── scratch
///   GuestLoad, BackupLoad: what clients ask for, and which answers may come
///   DiskHistory:           what a disk may hold
/// ```
@NullMarked
package io.nbdfleece.fleecing.network;

import org.jspecify.annotations.NullMarked;
