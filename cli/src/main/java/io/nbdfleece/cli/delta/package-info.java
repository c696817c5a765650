// SPDX-License-Identifier: Apache-2.0
/// What has changed on a disk since a point in time, as files: a sparse image of the changes and
/// its map. `pull --since` writes them ([io.nbdfleece.cli.delta.DeltaMap]), `apply` brings an image
/// up to date with them ([io.nbdfleece.cli.delta.Apply]).
///
/// ```
///   vda.img  +  inc1.delta, inc1.delta.map  +  inc2.delta, inc2.delta.map  =  vda as of inc2
/// ```
@NullMarked
package io.nbdfleece.cli.delta;

import org.jspecify.annotations.NullMarked;
