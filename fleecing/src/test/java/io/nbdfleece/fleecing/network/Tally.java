// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

/// How much of what a simulation is for has happened in it.
final class Tally {
  int connections;
  int guestReads;
  int writes;
  int forcedWrites;
  int flushes;
  int guestErrors;
  int refusals;
  int repeatedCookies;
  int snapshotReads;
  int snapshotErrors;
  int halfCloses;
  int breaks;
  int stalls;
  int powerChecks;
  int shutdowns;
}
