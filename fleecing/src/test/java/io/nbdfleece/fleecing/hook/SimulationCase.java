// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.BitSet;
import java.util.EnumSet;
import java.util.Random;
import java.util.Set;
import java.util.StringJoiner;
import java.util.function.Predicate;

/// One run of a simulation: a seed, which of its operations are carried out, and what may go wrong.
///
/// @param kept by number; not to be changed
public record SimulationCase(long seed, BitSet kept, Set<Fault> faults) {
  /// A case that fails is not tried in more variants than this.
  private static final int TRIES_MAX = 3000;

  /// All of a seed, for a hook.
  public static SimulationCase of(long seed, int operationCount) {
    return of(seed, operationCount, Fault.OF_HOOK);
  }

  /// All of a seed, with some of these faults.
  public static SimulationCase of(long seed, int operationCount, Set<Fault> candidates) {
    BitSet all = new BitSet();
    all.set(0, operationCount);
    return new SimulationCase(
        seed,
        all,
        Fault.some(new Random(SimulatedWorld.spread(SimulatedWorld.spread(seed))), candidates));
  }

  /// The case that the properties `test.seed`, `test.operations` and `test.faults` describe.
  public static SimulationCase replayed(long seed, int operationCount) {
    return replayed(seed, operationCount, Fault.OF_HOOK);
  }

  /// The same, with some of these faults.
  public static SimulationCase replayed(long seed, int operationCount, Set<Fault> candidates) {
    SimulationCase whole = of(seed, operationCount, candidates);
    String operations = System.getProperty("test.operations", "");
    String faults = System.getProperty("test.faults");
    return new SimulationCase(
        seed,
        operations.isEmpty() ? whole.kept : parsed(operations),
        faults == null ? whole.faults : faultsOf(faults));
  }

  private static BitSet parsed(String ranges) {
    BitSet kept = new BitSet();
    if (ranges.equals("none")) {
      return kept;
    }
    for (String range : ranges.split(",", -1)) {
      String[] ends = range.split("-", -1);
      kept.set(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]) + 1);
    }
    return kept;
  }

  private static Set<Fault> faultsOf(String names) {
    Set<Fault> faults = EnumSet.noneOf(Fault.class);
    for (String name : names.split(",", -1)) {
      if (!name.equals("none")) {
        faults.add(Fault.valueOf(name));
      }
    }
    return faults;
  }

  /// Shrinks it and prints the line that replays what is left; the error says the same.
  ///
  /// @param fails whether a case fails
  /// @param why it does
  public AssertionError failure(String test, Predicate<SimulationCase> fails, Throwable why) {
    String line =
        "seed " + seed + " failed; replay: -Dtest=" + test + " " + shrunk(fails).properties();
    System.out.println(line);
    return new AssertionError(line, why);
  }

  /// The properties that replay it.
  String properties() {
    StringJoiner names = new StringJoiner(",").setEmptyValue("none");
    faults.forEach(fault -> names.add(fault.name()));
    StringJoiner ranges = new StringJoiner(",").setEmptyValue("none");
    for (int from = kept.nextSetBit(0); from >= 0; ) {
      int to = kept.nextClearBit(from) - 1;
      ranges.add(from == to ? "" + from : from + "-" + to);
      from = kept.nextSetBit(to + 1);
    }
    return "-Dtest.seed=" + seed + " -Dtest.operations=" + ranges + " -Dtest.faults=" + names;
  }

  /// A smaller case that fails as well: with fewer operations and fewer kinds of faults, so that
  /// none can be left out, nor any half of them.
  SimulationCase shrunk(Predicate<SimulationCase> fails) {
    SimulationCase smallest = this;
    int tries = 0;
    for (int chunk = Math.max(1, kept.cardinality() / 2); tries < TRIES_MAX; ) {
      int before = smallest.kept.cardinality();
      for (int at = 0; at < smallest.kept.length() && tries < TRIES_MAX; ) {
        SimulationCase less = smallest.withoutSome(at, chunk);
        tries++;
        if (less.kept.cardinality() < smallest.kept.cardinality() && fails.test(less)) {
          smallest = less;
        }
        at = Math.max(at + 1, smallest.endOfSome(at, chunk));
      }
      if (chunk > 1) {
        chunk = chunk / 2;
      } else if (smallest.kept.cardinality() == before) {
        break;
      }
    }
    for (Fault fault : faults) {
      Set<Fault> fewer = EnumSet.noneOf(Fault.class);
      fewer.addAll(smallest.faults);
      fewer.remove(fault);
      SimulationCase less = new SimulationCase(seed, smallest.kept, fewer);
      if (fails.test(less)) {
        smallest = less;
      }
    }
    return smallest;
  }

  private SimulationCase withoutSome(int from, int count) {
    BitSet fewer = (BitSet) kept.clone();
    fewer.clear(from, endOfSome(from, count));
    return new SimulationCase(seed, fewer, faults);
  }

  /// Behind that many of the operations that are kept, from there on.
  private int endOfSome(int from, int count) {
    int end = from;
    for (int left = count; left > 0; left--) {
      int next = kept.nextSetBit(end);
      if (next < 0) {
        return kept.length();
      }
      end = next + 1;
    }
    return end;
  }
}
