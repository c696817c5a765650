// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Decides whether frozen views show one instant of the writes that clients made.
///
/// A write takes effect at some moment between being sent and being acknowledged. So a block that
/// holds write `w` says of the instant `T`: not before `w` was sent, and not after the
/// acknowledgement of a write of that block that was sent after `w` had been acknowledged. The
/// views are right when
///
/// 1. each block holds a whole write made to it, or zeroes that it can have had;
/// 2. one `T` suits all blocks of all views taken together, within the time that the command took;
/// 3. of each write all blocks are in, or none, except those overwritten again.
///
/// Zeroes do not tell which write they are of: such a block allows several intervals of `T`. The
/// checker never blames views that can be right. Not safe for use by several threads.
final class PointInTimeChecker {
  private static final int VIOLATIONS_MAX = 20;

  private final Map<Integer, Map<Integer, List<WriteRecord>>> writesByDiskAndBlock =
      new HashMap<>();
  private final List<WriteRecord> severalBlocks = new ArrayList<>();

  /// @param writes all of them, in any order, those never acknowledged included
  PointInTimeChecker(List<WriteRecord> writes) {
    for (WriteRecord write : writes) {
      for (int i = 0; i < write.blockCount(); i++) {
        writesByDiskAndBlock
            .computeIfAbsent(write.disk(), _ -> new HashMap<>())
            .computeIfAbsent(write.firstBlock() + i, _ -> new ArrayList<>())
            .add(write);
      }
      if (write.blockCount() > 1) {
        severalBlocks.add(write);
      }
    }
  }

  /// What is wrong with views that were frozen together between the two moments; nothing if they
  /// can be right. At most a few of many.
  List<String> check(Interval window, List<View> views) {
    List<String> violations = new ArrayList<>();
    List<Candidates> all = new ArrayList<>();
    for (View view : views) {
      for (int block = 0; block < view.contents().length; block++) {
        candidates(view, block, violations).ifPresent(all::add);
        if (violations.size() >= VIOLATIONS_MAX) {
          return violations;
        }
      }
    }
    Optional<Interval> cut = cut(window, all, violations);
    cut.ifPresent(instants -> checkWholeWrites(instants, all, violations));
    return violations;
  }

  private Optional<Candidates> candidates(View view, int block, List<String> violations) {
    long content = view.contents()[block];
    String where = "disk " + view.disk() + " block " + block;
    if (content == Stamp.TORN || content == Stamp.FOREIGN) {
      violations.add(where + (content == Stamp.TORN ? ": torn" : ": belongs elsewhere"));
      return Optional.empty();
    }
    List<WriteRecord> writes =
        writesByDiskAndBlock.getOrDefault(view.disk(), Map.of()).getOrDefault(block, List.of());
    List<Candidate> fitting = new ArrayList<>();
    if (content == Stamp.ZEROES) {
      fitting.add(new Candidate(Optional.empty(), initialInterval(writes)));
    }
    for (WriteRecord write : writes) {
      boolean fits =
          content == Stamp.ZEROES
              ? write.content() == WriteRecord.Content.ZEROES
              : write.content() == WriteRecord.Content.STAMPS && write.number() == content;
      if (fits) {
        fitting.add(new Candidate(Optional.of(write), interval(write, writes)));
      }
    }
    if (fitting.isEmpty()) {
      violations.add(where + ": holds write " + content + ", which nobody made there");
      return Optional.empty();
    }
    return Optional.of(new Candidates(view.disk(), block, fitting));
  }

  private static Interval initialInterval(List<WriteRecord> writes) {
    long last = Long.MAX_VALUE;
    for (WriteRecord write : writes) {
      last = Math.min(last, write.ackedNanos());
    }
    return new Interval(Long.MIN_VALUE, last);
  }

  private static Interval interval(WriteRecord write, List<WriteRecord> writes) {
    long last = Long.MAX_VALUE;
    for (WriteRecord other : writes) {
      if (write.isBefore(other)) {
        last = Math.min(last, other.ackedNanos());
      }
    }
    return new Interval(write.sentNanos(), last);
  }

  /// The instants that suit all blocks; where zeroes leave several intervals, the hull of what is
  /// left.
  private static Optional<Interval> cut(
      Interval window, List<Candidates> all, List<String> violations) {
    Interval common = Interval.ALWAYS;
    String earliest = "the beginning";
    String latest = "the end";
    for (Candidates block : all) {
      if (block.fitting().size() > 1) {
        continue;
      }
      Interval only = block.fitting().getFirst().instants();
      if (only.first() > common.first()) {
        earliest = block.toString();
      }
      if (only.last() < common.last()) {
        latest = block.toString();
      }
      common = common.and(only);
    }
    if (common.isEmpty()) {
      violations.add("no common instant: " + earliest + " against " + latest);
      return Optional.empty();
    }
    Interval inWindow = common.and(window);
    if (inWindow.isEmpty()) {
      violations.add(
          "outside of the command's time "
              + window
              + ": "
              + common
              + ", "
              + earliest
              + ", "
              + latest);
      return Optional.empty();
    }
    List<Interval> left = List.of(inWindow);
    for (Candidates block : all) {
      if (block.fitting().size() > 1) {
        left = block.narrow(left);
        if (left.isEmpty()) {
          violations.add("no common instant: zeroes of " + block + " against the others");
          return Optional.empty();
        }
      }
    }
    return Optional.of(new Interval(left.getFirst().first(), left.getLast().last()));
  }

  private void checkWholeWrites(Interval cut, List<Candidates> all, List<String> violations) {
    Map<Integer, Map<Integer, Candidates>> byDiskAndBlock = new HashMap<>();
    for (Candidates block : all) {
      byDiskAndBlock
          .computeIfAbsent(block.disk(), _ -> new HashMap<>())
          .put(block.block(), block.within(cut));
    }
    for (WriteRecord write : severalBlocks) {
      Map<Integer, Candidates> blocks = byDiskAndBlock.getOrDefault(write.disk(), Map.of());
      boolean in = false;
      boolean out = false;
      for (int i = 0; i < write.blockCount(); i++) {
        Candidates block = blocks.get(write.firstBlock() + i);
        if (block != null) {
          in |= block.fitting().stream().allMatch(c -> c.includes(write));
          out |= block.fitting().stream().allMatch(c -> c.excludes(write));
        }
      }
      if (in && out) {
        violations.add("half a write: " + write);
        if (violations.size() >= VIOLATIONS_MAX) {
          return;
        }
      }
    }
  }

  /// What one export showed: of each block what [Stamp#read] said.
  static final class View {
    private final int disk;
    private final long[] contents;

    View(int disk, long[] contents) {
      this.disk = disk;
      this.contents = contents;
    }

    int disk() {
      return disk;
    }

    long[] contents() {
      return contents;
    }
  }

  /// Instants, both ends included.
  record Interval(long first, long last) {
    static final Interval ALWAYS = new Interval(Long.MIN_VALUE, Long.MAX_VALUE);

    boolean isEmpty() {
      return first > last;
    }

    Interval and(Interval other) {
      return new Interval(Math.max(first, other.first), Math.min(last, other.last));
    }

    /// The same instants, in order, without overlaps.
    static List<Interval> merged(List<Interval> intervals) {
      List<Interval> sorted = new ArrayList<>(intervals);
      sorted.sort(Comparator.comparingLong(Interval::first));
      List<Interval> merged = new ArrayList<>();
      for (Interval interval : sorted) {
        if (merged.isEmpty() || merged.getLast().last() < interval.first()) {
          merged.add(interval);
        } else if (merged.getLast().last() < interval.last()) {
          merged.set(merged.size() - 1, new Interval(merged.getLast().first(), interval.last()));
        }
      }
      return merged;
    }
  }

  /// A write that the block may hold, or none, and the instants at which it can have been so.
  private record Candidate(Optional<WriteRecord> held, Interval instants) {
    boolean includes(WriteRecord write) {
      return held.isPresent() && (held.get().equals(write) || write.isBefore(held.get()));
    }

    boolean excludes(WriteRecord write) {
      return held.isEmpty() || held.get().isBefore(write);
    }
  }

  /// What one block may hold.
  private record Candidates(int disk, int block, List<Candidate> fitting) {

    Candidates within(Interval cut) {
      return new Candidates(
          disk, block, fitting.stream().filter(c -> !c.instants().and(cut).isEmpty()).toList());
    }

    List<Interval> narrow(List<Interval> sorted) {
      List<Interval> narrowed = new ArrayList<>();
      for (Interval interval : sorted) {
        for (Candidate candidate : fitting) {
          Interval both = interval.and(candidate.instants());
          if (!both.isEmpty()) {
            narrowed.add(both);
          }
        }
      }
      return Interval.merged(narrowed);
    }

    @Override
    public String toString() {
      return "disk " + disk + " block " + block + " " + fitting;
    }
  }
}
