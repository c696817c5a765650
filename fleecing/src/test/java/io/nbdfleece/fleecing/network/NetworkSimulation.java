// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.fleecing.hook.SimulationCase;
import io.nbdfleece.fleecing.nbd.SimulatedExports;
import io.nbdfleece.nbd.server.ServerLimits;
import io.nbdfleece.nbd.server.SimulatedServer;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.netty.buffer.ByteBufAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/// One seeded run of guests and backup clients on a network that delivers bytes in any pieces,
/// against real connections, exports, hooks and store, on one thread. Clients read slowly, leave,
/// half-close, break off at any byte, stand still, and come again; snapshots begin, break and are
/// released meanwhile, and disks and scratch file fail.
///
/// Whatever happens: a snapshot's client gets the bytes of the freeze or an error; what a guest
/// reads and what a power failure leaves is what [DiskHistory] allows; each request that the server
/// has whole gets one answer unless its client goes; and in the end nothing is held any more.
final class NetworkSimulation {
  static final int OPERATIONS = 100;

  private static final int STEPS_PER_OPERATION_MAX = 40;
  private static final int CLIENTS_MAX = 8;
  private static final int LOOPS = 2;
  private static final long PAUSE_NANOS_MAX = 2_000_000;

  private final SimulationCase which;
  private final SimulatedWorld world;
  private final Wrongs wrongs = new Wrongs();
  private final SimulatedEngine engine;
  private final SimulatedServer server;
  private final List<SimulatedLoop> loops = new ArrayList<>();
  private final List<Connected> clients = new ArrayList<>();
  final Tally tally = new Tally();
  private int numbers;

  /// A client and what it does.
  ///
  /// @param guest null for a backup client
  private record Connected(
      SimulatedClient client,
      SimulatedEngine.@Nullable Guarded guest,
      Runnable some,
      Runnable readAll) {}

  NetworkSimulation(SimulationCase which, ByteBufAllocator allocator) {
    this.which = which;
    this.world = new SimulatedWorld(which.seed(), which.faults());
    SimulatedExports exports = new SimulatedExports(this::gone);
    this.engine = new SimulatedEngine(world, wrongs, exports);
    this.server = new SimulatedServer(exports, someLimits(), allocator);
    SimulatedLoop.Running running = new SimulatedLoop.Running();
    for (int i = 0; i < LOOPS; i++) {
      loops.add(new SimulatedLoop(world, running));
    }
    engine.disks().forEach(this::connectGuest);
  }

  private ServerLimits someLimits() {
    ServerLimits limits = ServerLimits.defaults();
    return world.choice.nextBoolean()
        ? limits
        : limits
            .withRequestsInFlightMax(1 + world.choice.nextInt(8))
            .withBytesInFlightMax(1 + world.choice.nextInt(60_000))
            .withExtentsMax(1 + world.choice.nextInt(20));
  }

  int snapshotsTaken() {
    return engine.snapshotsTaken;
  }

  int snapshotsBroken() {
    return engine.snapshotsBroken;
  }

  long roomAwaited() {
    return clients.stream().mapToLong(c -> c.client.channel().roomAwaitedTotal()).sum();
  }

  void run() {
    for (int i = 0; i < OPERATIONS; i++) {
      world.beginOperation(i);
      if (which.kept().get(i)) {
        operate();
      }
      for (int steps = world.choice.nextInt(STEPS_PER_OPERATION_MAX); steps > 0 && step(); ) {
        steps--;
      }
    }
    world.beginOperation(OPERATIONS);
    world.calmDown();
    settle();
    readEverything();
    settle();
    checkPowerFailure();
    checkAnswered();
    if (world.choice.nextInt(4) == 0) {
      shutDown();
    } else {
      leave();
    }
    assertEquals(0, server.connectionCount(), "connections left");
    assertEquals(0, server.flightBytes(), "bytes in flight left");
    for (SimulatedEngine.Frozen frozen : List.copyOf(engine.snapshots())) {
      assertEquals(0, frozen.part().clients().present(), "clients of a snapshot");
      engine.release(frozen);
    }
    settle();
    engine.checkNothingLeft();
  }

  private boolean step() {
    boolean went = world.step();
    wrongs.raise();
    return went;
  }

  /// Runs until nothing happens any more; what happens by itself comes in between.
  private void settle() {
    for (int round = 0; round < 10; round++) {
      while (step()) {
        // time goes on
      }
      engine.tick();
      wrongs.raise();
    }
  }

  private void operate() {
    int what = world.choice.nextInt(100);
    if (what < 42) {
      someClient(c -> c.guest != null && c.client.isServed(), c -> c.some.run());
    } else if (what < 64) {
      someClient(c -> c.guest == null && c.client.isServed(), c -> c.some.run());
    } else if (what < 69) {
      connectGuest(engine.disks().get(world.choice.nextInt(engine.disks().size())));
    } else if (what < 76) {
      connectBackup();
    } else if (what < 81) {
      engine.freeze();
    } else if (what < 83) {
      releaseSome();
    } else if (what < 88) {
      someClient(
          c -> !c.client.isOver(), c -> c.client.pause(world.choice.nextLong(PAUSE_NANOS_MAX)));
    } else if (what < 96) {
      someClient(c -> !c.client.isOver(), this::endSomehow);
    } else if (what < 97) {
      checkPowerFailure();
    } else {
      engine.tick();
    }
  }

  private void someClient(Predicate<Connected> which, Consumer<Connected> what) {
    List<Connected> those = clients.stream().filter(which).toList();
    if (!those.isEmpty()) {
      what.accept(those.get(world.choice.nextInt(those.size())));
    }
  }

  private boolean isCrowded() {
    return clients.stream().filter(c -> !c.client.isOver()).count() >= CLIENTS_MAX;
  }

  private SimulatedClient newClient(String export) {
    int number = numbers++;
    HeaderStyle[] styles = HeaderStyle.values();
    SimulatedClient.Sockets sockets =
        new SimulatedClient.Sockets(someSocketBytes(), someSocketBytes());
    SimulatedClient client =
        new SimulatedClient(
            world, number, styles[world.choice.nextInt(styles.length)], export, sockets);
    server.accept(client.channel());
    loops
        .get(number % LOOPS)
        .register(client.channel())
        .addListener(
            done -> {
              if (!done.isSuccess()) {
                wrongs.add("not accepted: " + done.cause());
              }
            });
    client.connected();
    tally.connections++;
    return client;
  }

  private int someSocketBytes() {
    return switch (world.choice.nextInt(16)) {
      case 0 -> 30 + world.choice.nextInt(300);
      case 1, 2, 3, 4, 5, 6 -> 100 + world.choice.nextInt(10_000);
      default -> 1 << 18;
    };
  }

  private void connectGuest(SimulatedEngine.Guarded disk) {
    if (!isCrowded()) {
      int number = numbers;
      SimulatedClient client = newClient(disk.name());
      GuestLoad load = new GuestLoad(world, engine, disk, client, number, tally);
      clients.add(new Connected(client, disk, load::some, load::readAll));
    }
  }

  private void connectBackup() {
    if (!isCrowded() && !engine.snapshots().isEmpty()) {
      connectBackup(engine.snapshots().get(world.choice.nextInt(engine.snapshots().size())));
    }
  }

  private void connectBackup(SimulatedEngine.Frozen frozen) {
    SimulatedClient client = newClient(frozen.exportName());
    BackupLoad load = new BackupLoad(world, engine, frozen, client, tally);
    clients.add(new Connected(client, null, load::some, load::readAll));
  }

  private void releaseSome() {
    if (!engine.snapshots().isEmpty()) {
      engine.release(engine.snapshots().get(world.choice.nextInt(engine.snapshots().size())));
    }
  }

  private void endSomehow(Connected connected) {
    SimulatedClient client = connected.client;
    switch (world.choice.nextInt(8)) {
      case 0 -> {
        if (client.isServed()) {
          client.leave();
        }
      }
      case 1, 2 -> {
        if (!client.isStalled()) {
          client.halfClose(someBytes());
          tally.halfCloses++;
        }
      }
      case 3 -> {
        client.stall();
        tally.stalls++;
      }
      default -> {
        boolean sending = world.choice.nextBoolean();
        SimulatedClient.Breaking[] ways = SimulatedClient.Breaking.values();
        client.breakAfter(
            sending ? someBytes() : Integer.MAX_VALUE,
            sending ? Integer.MAX_VALUE : someBytes(),
            ways[world.choice.nextInt(ways.length)]);
        tally.breaks++;
      }
    }
  }

  private long someBytes() {
    return world.choice.nextInt(world.choice.nextBoolean() ? 60 : 20_000);
  }

  /// A client has gone, as the export sees it.
  private void gone(int number) {
    engine.disks().forEach(disk -> disk.history().gone(number));
  }

  private void checkPowerFailure() {
    engine.disks().forEach(disk -> disk.history().checkForced(disk.disk().forced));
    tally.powerChecks++;
  }

  /// All disks and snapshots, by new clients.
  private void readEverything() {
    for (Connected connected : clients) {
      SimulatedClient client = connected.client;
      if (client.isStalled()) {
        assertFalse(
            client.unansweredCount() > 0 && client.channel().awaitsRoom(),
            "a client that does not take its replies has been kept");
        client.breakOff();
      }
    }
    int first = clients.size();
    for (SimulatedEngine.Guarded disk : engine.disks()) {
      SimulatedClient client = newClient(disk.name());
      GuestLoad load = new GuestLoad(world, engine, disk, client, numbers - 1, tally);
      clients.add(new Connected(client, disk, load::some, load::readAll));
    }
    engine.snapshots().forEach(this::connectBackup);
    settle();
    for (Connected connected : clients.subList(first, clients.size())) {
      assertTrue(connected.client.isServed(), "a client that comes last is served");
      connected.readAll.run();
    }
  }

  private void checkAnswered() {
    for (Connected connected : clients) {
      SimulatedClient client = connected.client;
      if (!client.isOver()) {
        assertTrue(client.isServed(), "a client that waits for its end still waits");
        assertEquals(0, client.unansweredCount(), "requests that have not been answered");
      }
    }
  }

  private void leave() {
    for (Connected connected : clients) {
      SimulatedClient client = connected.client;
      if (!client.isOver()) {
        switch (world.choice.nextInt(3)) {
          case 0 -> client.leave();
          case 1 -> client.halfClose(0);
          default -> client.breakOff();
        }
      }
    }
    settle();
    checkOver();
  }

  /// The server leaves, in the middle of requests.
  private void shutDown() {
    for (Connected connected : clients) {
      if (connected.client.isServed()) {
        connected.some.run();
      }
    }
    for (int steps = world.choice.nextInt(100); steps > 0 && step(); ) {
      steps--;
    }
    clients.forEach(connected -> connected.client.serverLeaves());
    server.shutDown();
    settle();
    server.close();
    settle();
    checkOver();
    tally.shutdowns++;
  }

  private void checkOver() {
    for (Connected connected : clients) {
      assertTrue(connected.client.isOver(), "a connection that was to end has not");
    }
  }
}
