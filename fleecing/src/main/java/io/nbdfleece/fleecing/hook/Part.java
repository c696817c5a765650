// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// A version of some blocks of a cluster.
///
/// @param version of [ClusterMap]: ZERO, DAMAGED or an entry, whose other bytes mean nothing
/// @param blocks neighbours, fewer than the cluster has; as in [ClusterGeometry]
record Part(int version, int blocks) {}
