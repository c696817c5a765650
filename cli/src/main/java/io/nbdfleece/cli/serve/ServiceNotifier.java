// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.cache.posix.LinuxSocket;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// Tells the service manager how we are, if there is one (sd_notify(3)). One thread.
final class ServiceNotifier {
  private static final System.Logger LOG = System.getLogger("nbdfleece.serve");

  /// Empty: nobody wants to know.
  private final String address;

  private final long watchdogNanos;
  private boolean failed;

  private ServiceNotifier(String address, long watchdogNanos) {
    this.address = address;
    this.watchdogNanos = watchdogNanos;
  }

  static ServiceNotifier of(Map<String, String> environment, long ownPid) {
    String address = environment.getOrDefault("NOTIFY_SOCKET", "");
    String watched = environment.getOrDefault("WATCHDOG_PID", "" + ownPid);
    long watchdogNanos = Long.MAX_VALUE;
    if (!address.isEmpty() && watched.equals("" + ownPid)) {
      try {
        long micros = Long.parseLong(environment.getOrDefault("WATCHDOG_USEC", "0"));
        watchdogNanos = micros > 0 ? TimeUnit.MICROSECONDS.toNanos(micros) : Long.MAX_VALUE;
      } catch (NumberFormatException e) {
        LOG.log(Level.WARNING, "WATCHDOG_USEC: no number, ignored: {0}", Messages.of(e));
      }
    }
    return new ServiceNotifier(address, watchdogNanos);
  }

  /// How often [#alive] is due; for ever when nobody watches.
  long tickNanos() {
    return watchdogNanos / 2;
  }

  void ready(String status) {
    send("READY=1\nSTATUS=" + status);
  }

  void reloading() {
    // Since systemd 253 a reload says when it began, by the clock that nanoTime reads.
    send("RELOADING=1\nMONOTONIC_USEC=" + TimeUnit.NANOSECONDS.toMicros(System.nanoTime()));
  }

  void stopping() {
    send("STOPPING=1\nSTATUS=finishing what is in flight");
  }

  void alive() {
    if (watchdogNanos < Long.MAX_VALUE) {
      send("WATCHDOG=1");
    }
  }

  private void send(String state) {
    if (address.isEmpty()) {
      return;
    }
    try {
      LinuxSocket.sendDatagram(address, (state + "\n").getBytes(UTF_8));
      failed = false;
    } catch (IOException e) {
      if (!failed) {
        LOG.log(Level.WARNING, "the service manager cannot be told: {0}", Messages.of(e));
      }
      failed = true;
    }
  }
}
