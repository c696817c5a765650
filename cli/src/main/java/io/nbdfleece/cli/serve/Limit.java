// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.server.ServerLimits;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/// What `--limit NAME=VALUE` can set: one for each thing that a client could make us spend.
enum Limit {
  CONNECTIONS(1, 1_000_000) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withConnectionsMax((int) value);
    }
  },
  HANDSHAKES(1, 1_000_000) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withHandshakesMax((int) value);
    }
  },
  HANDSHAKE_SECONDS(1, 3600) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withHandshakeDeadline(Duration.ofSeconds(value));
    }
  },
  OPTIONS(100, 1_000_000) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withOptionsMax((int) value);
    }
  },
  REQUESTS(1, 65_536) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withRequestsInFlightMax((int) value);
    }
  },
  BYTES(1 << 20, 1L << 40) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withBytesInFlightMax(value);
    }
  },
  TOTAL_BYTES(32 << 20, 1L << 40) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withBytesInFlightTotalMax(value);
    }
  },
  EXTENTS(1, 1 << 20) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withExtentsMax((int) value);
    }
  },
  STALL_SECONDS(1, 86_400) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withStalledReaderDeadline(Duration.ofSeconds(value));
    }
  },
  TCP_SECONDS(1, 86_400) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withTcpUserTimeout(Duration.ofSeconds(value));
    }
  },
  THREADS(1, 1024) {
    @Override
    ServerLimits apply(ServerLimits limits, long value) {
      return limits.withEventLoopCount((int) value);
    }
  };

  private final long min;
  private final long max;

  Limit(long min, long max) {
    this.min = min;
    this.max = max;
  }

  /// The same limits but for this one.
  abstract ServerLimits apply(ServerLimits limits, long value);

  /// The defaults, changed by what was typed.
  static ServerLimits resolve(List<String> typed) throws CommandFailure {
    ServerLimits limits = ServerLimits.defaults();
    for (String text : typed) {
      int equals = text.indexOf('=');
      String name = equals < 0 ? text : text.substring(0, equals);
      Limit limit = named(name, text);
      if (equals < 0) {
        throw wrong(text, "give " + name + "=VALUE, " + limit.range());
      }
      limits = limit.apply(limits, limit.parse(text, text.substring(equals + 1)));
    }
    return limits;
  }

  private static Limit named(String name, String text) throws CommandFailure {
    for (Limit limit : values()) {
      if (limit.toString().equals(name)) {
        return limit;
      }
    }
    throw wrong(
        text,
        "no such limit: there are "
            + Arrays.stream(values()).map(Limit::toString).collect(Collectors.joining(", ")));
  }

  private long parse(String text, String digits) throws CommandFailure {
    long value;
    try {
      value = isSize() ? ByteSize.parse(digits).bytes() : Long.parseLong(digits);
    } catch (NumberFormatException e) {
      throw wrong(text, "no number: give " + range());
    } catch (IllegalArgumentException e) {
      throw wrong(text, Messages.of(e));
    }
    if (value < min || value > max) {
      throw wrong(text, "give " + range());
    }
    return value;
  }

  private boolean isSize() {
    return this == BYTES || this == TOTAL_BYTES;
  }

  private String range() {
    return isSize() ? ByteSize.format(min) + " to " + ByteSize.format(max) : min + " to " + max;
  }

  private static CommandFailure wrong(String text, String what) {
    return new CommandFailure(ExitCode.USAGE, "--limit " + text + ": " + what);
  }

  /// As it is typed: `handshake-seconds`.
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
