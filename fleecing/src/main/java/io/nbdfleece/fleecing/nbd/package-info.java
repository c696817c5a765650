// SPDX-License-Identifier: Apache-2.0
/// The only place where the engine meets the NBD library: disks and snapshots as exports
/// ([io.nbdfleece.fleecing.nbd.EngineExports]), exports that are added one by one
/// ([io.nbdfleece.fleecing.nbd.NamedExports]), and exports of other servers as disks
/// ([io.nbdfleece.fleecing.nbd.NbdNode]).
@NullMarked
package io.nbdfleece.fleecing.nbd;

import org.jspecify.annotations.NullMarked;
