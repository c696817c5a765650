// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Predicate;

/// What a disk may hold, as its clients can know it. Each byte is that of some change which the
/// server had whole, unless another one overwrote it for certain: one that succeeded and was asked
/// for only after the first had ended. So a change of which the server did not have the last byte
/// must never be seen, and one that was acknowledged cannot be missed.
final class DiskHistory {
  private static final long NEVER = Long.MAX_VALUE;

  private final List<Change> changes = new ArrayList<>();
  private long moment;

  /// A range that is written, moments counted by the history.
  static final class Change {
    private final int client;
    private final int from;
    private final byte[] data;
    private final boolean mayBeIgnored;
    private final long begunAt;
    private long endedAt = NEVER;
    private long forcedAt = NEVER;
    private boolean succeeded;

    private Change(int client, int from, byte[] data, boolean mayBeIgnored, long begunAt) {
      this.client = client;
      this.from = from;
      this.data = data;
      this.mayBeIgnored = mayBeIgnored;
      this.begunAt = begunAt;
    }

    private int to() {
      return from + data.length;
    }

    private boolean covers(int start, int end) {
      return from <= start && end <= to();
    }
  }

  DiskHistory(byte[] content) {
    Change first = begin(-1, 0, content.clone(), false);
    end(first, true);
    forced(first);
  }

  /// Something happens: a number greater than all before.
  long now() {
    return ++moment;
  }

  /// The server has a change whole.
  ///
  /// @param mayBeIgnored a trim
  Change begin(int client, int from, byte[] data, boolean mayBeIgnored) {
    Change change = new Change(client, from, data, mayBeIgnored, now());
    changes.add(change);
    return change;
  }

  /// The client knows how it ended. From then on nothing more of it is carried out.
  void end(Change change, boolean success) {
    change.endedAt = now();
    change.succeeded = success;
  }

  /// It was durable when it ended.
  void forced(Change change) {
    change.forcedAt = now();
  }

  /// A flush that the server had at that moment has succeeded.
  void flushed(long begunAt) {
    long at = now();
    for (Change change : changes) {
      if (change.succeeded && change.endedAt < begunAt && change.forcedAt == NEVER) {
        change.forcedAt = at;
      }
    }
  }

  /// The client has gone; of its changes that were not answered any part may have been made.
  void gone(int client) {
    for (Change change : changes) {
      if (change.client == client && change.endedAt == NEVER) {
        end(change, false);
      }
    }
  }

  /// What a read may give that the server had at `begunAt`.
  ///
  /// @throws AssertionError when it may not be this
  void checkRead(long begunAt, int from, byte[] got) {
    check("read", from, got, change -> change.succeeded && change.endedAt < begunAt);
  }

  /// What a power failure may leave now.
  void checkForced(byte[] got) {
    check("after a power failure", 0, got, change -> change.forcedAt != NEVER);
  }

  /// @param certain changes that others before them cannot have survived
  private void check(String what, int from, byte[] got, Predicate<Change> certain) {
    int to = from + got.length;
    List<Change> overlapping = new ArrayList<>();
    TreeSet<Integer> cuts = new TreeSet<>(List.of(from, to));
    for (Change change : changes) {
      if (change.from < to && from < change.to()) {
        overlapping.add(change);
        cuts.add(Math.max(from, change.from));
        cuts.add(Math.min(to, change.to()));
      }
    }
    int start = from;
    for (int end : cuts) {
      if (start < end) {
        List<Change> possible = possible(overlapping, start, end, certain);
        check(what, start, Arrays.copyOfRange(got, start - from, end - from), possible);
      }
      start = end;
    }
  }

  private static List<Change> possible(
      List<Change> changes, int start, int end, Predicate<Change> certain) {
    List<Change> covering = new ArrayList<>();
    long overwrittenAt = Long.MIN_VALUE;
    for (Change change : changes) {
      if (change.covers(start, end)) {
        covering.add(change);
        if (!change.mayBeIgnored && certain.test(change)) {
          overwrittenAt = Math.max(overwrittenAt, change.begunAt);
        }
      }
    }
    long bound = overwrittenAt;
    return covering.reversed().stream().filter(change -> change.endedAt >= bound).toList();
  }

  private static void check(String what, int from, byte[] got, List<Change> possible) {
    for (Change change : possible) {
      int start = from - change.from;
      if (Arrays.equals(change.data, start, start + got.length, got, 0, got.length)) {
        return;
      }
    }
    for (int i = 0; i < got.length; i++) {
      int at = from + i;
      byte found = got[i];
      if (possible.stream().noneMatch(change -> change.data[at - change.from] == found)) {
        throw new AssertionError(
            what
                + ": wrong byte at "
                + at
                + ": "
                + found
                + " (expected: one of "
                + possible.stream().map(change -> change.data[at - change.from]).toList()
                + ")");
      }
    }
  }
}
