// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.util.List;

/// What the guest does in P3 and P4.
final class GuestLoads {
  static final Fio SMALL_ALONE = Fio.randomWrites(4096, 1);
  static final Fio SMALL = Fio.randomWrites(4096, 32);
  static final Fio CLUSTERS = Fio.randomWrites(65536, 16);
  static final Fio SEQUENTIAL = Fio.sequentialWrites(1 << 20, 4);
  static final List<Fio> ALL = List.of(SMALL_ALONE, SMALL, CLUSTERS, SEQUENTIAL);

  private GuestLoads() {}
}
