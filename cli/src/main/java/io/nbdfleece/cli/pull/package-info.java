// SPDX-License-Identifier: Apache-2.0
/// Copies an NBD export into a file, a block device or a stream. Start at
/// [io.nbdfleece.cli.pull.Pull].
///
/// ```
///   block status ─▶ CopyPlan ─pieces─▶ Pull ─reads─▶ NbdClient(s)
///                                       │◀──done────────┘
///                                       ├─▶ PullTarget (sparse file, block device, stream)
///                                       │     └─ resumable: PullJournal, what of FILE.part is safe
///                                       └─▶ Progress (bar, lines, numbers, JSON)
/// ```
@NullMarked
package io.nbdfleece.cli.pull;

import org.jspecify.annotations.NullMarked;
