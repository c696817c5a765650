// SPDX-License-Identifier: Apache-2.0
/// Where an export has data, what a bitmap says is dirty: the extents of one metadata context, in
/// the form of `nbdinfo --map`.
///
/// ```
///   block status ─▶ ExtentWalk ─merged extents─▶ MapOutput (text, JSON) or MapTotals
/// ```
@NullMarked
package io.nbdfleece.cli.map;

import org.jspecify.annotations.NullMarked;
