// SPDX-License-Identifier: Apache-2.0
/// The engine: block nodes, fleecing hook, snapshots, and their NBD exports.
module io.nbdfleece.fleecing {
  requires transitive io.nbdfleece.cache;
  requires transitive io.nbdfleece.nbd;
  requires transitive roaringbitmap;
  requires static com.google.errorprone.annotations;
  requires static org.jspecify;

  exports io.nbdfleece.fleecing;
  exports io.nbdfleece.fleecing.bitmap;
  exports io.nbdfleece.fleecing.graph;
  exports io.nbdfleece.fleecing.nbd;
  exports io.nbdfleece.fleecing.hook to
      io.nbdfleece.cli;
}
