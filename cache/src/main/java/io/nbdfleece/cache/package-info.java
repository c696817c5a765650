// SPDX-License-Identifier: Apache-2.0
/// The cluster store: preserved clusters in RAM, spilled to disk in the background, never lost
/// silently. Start at [io.nbdfleece.cache.ClusterStore].
///
/// ```
///   acquire ─▶ RamSlot ─fill─▶ commit ─▶ RAM tier ──Caffeine picks──▶ spiller ─▶ disk tier
///                                             ▲                                     ▲
///                              read (pinned) ─┴─────────────────────────────────────┘
/// ```
@NullMarked
package io.nbdfleece.cache;

import org.jspecify.annotations.NullMarked;
