// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.graph.NodeSpec;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import io.nbdfleece.fleecing.graph.NodeSpec.FileKind;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// Reads `BlockdevOptions`.
final class BlockdevSpecs {
  private static final long UINT32_MAX = 4_294_967_295L;
  private static final long NULL_BYTES_DEFAULT = 1L << 30;
  private static final long SECONDS_MAX = 365L * 24 * 3600;
  private static final int PORT_MAX = 65535;

  private BlockdevSpecs() {}

  static NodeSpec read(QmpOptions options) throws QmpException {
    return read(options, BlockdevTypes.DEPTH_MAX);
  }

  private static NodeSpec read(QmpOptions options, int depth) throws QmpException {
    options.requireKnown(BlockdevTypes.OPTIONS);
    requireSensible(options);
    return new NodeSpec(
        options.optionalString("node-name"),
        options.optionalBoolean("read-only"),
        options.optionalBoolean("auto-read-only").orElse(false),
        driver(options, depth));
  }

  /// Options that are hints have to be what QEMU would take all the same.
  private static void requireSensible(QmpOptions options) throws QmpException {
    Optional<String> discard = options.choice("discard", BlockdevTypes.DISCARD.values());
    Optional<String> zeroes = options.choice("detect-zeroes", BlockdevTypes.DETECT_ZEROES.values());
    Optional<String> aio = options.choice("aio", BlockdevTypes.AIO.values());
    var _ = options.choice("locking", BlockdevTypes.LOCKING.values());
    Optional<QmpOptions> cache = options.optionalObject("cache");
    boolean direct = false;
    if (cache.isPresent()) {
      var _ = cache.get().optionalBoolean("no-flush");
      direct = cache.get().optionalBoolean("direct").orElse(false);
    }
    if (zeroes.equals(Optional.of("unmap")) && !discard.equals(Optional.of("unmap"))) {
      throw QmpException.generic(
          "setting detect-zeroes to unmap is not allowed without setting discard operation to"
              + " unmap");
    }
    if (aio.equals(Optional.of("native")) && !direct) {
      throw QmpException.generic(
          "aio=native was specified, but it requires cache.direct=on, which was not specified.");
    }
  }

  private static Driver driver(QmpOptions options, int depth) throws QmpException {
    return switch (options.string("driver")) {
      case "file" -> new Driver.FileBackend(options.string("filename"), FileKind.REGULAR);
      case "host_device" -> new Driver.FileBackend(options.string("filename"), FileKind.DEVICE);
      case "null-co" ->
          new Driver.NullBackend(
              options.unsigned("size", Long.MAX_VALUE, NULL_BYTES_DEFAULT),
              options.optionalBoolean("read-zeroes").orElse(false),
              options.unsigned("latency-ns", Long.MAX_VALUE, 0));
      case "nbd" -> new Driver.NbdBackend(nbd(options));
      case "raw" -> new Driver.Raw(child(options, "file", depth));
      case "snapshot-access" -> new Driver.SnapshotAccess(child(options, "file", depth));
      case "throttle" ->
          new Driver.Throttle(child(options, "file", depth), options.string("throttle-group"));
      case "copy-before-write" -> copyBeforeWrite(options, depth);
      default -> throw options.notAccepted("driver");
    };
  }

  private static Child child(QmpOptions options, String name, int depth) throws QmpException {
    JsonNode value = options.required(name);
    if (value.isString()) {
      return new Child.Reference(value.stringValue());
    }
    if (!value.isObject()) {
      throw QmpOptions.wrongType(options.path(name), "BlockdevRef");
    }
    if (depth == 1) {
      throw QmpException.usage(
          "Parameter '"
              + options.path(name)
              + "' is nested too deep: add that node first, and give its node-name here");
    }
    return new Child.Inline(read(options.object(name), depth - 1));
  }

  private static Driver copyBeforeWrite(QmpOptions options, int depth) throws QmpException {
    Child file = child(options, "file", depth);
    Child target = child(options, "target", depth);
    Optional<QmpOptions> bitmap = options.optionalObject("bitmap");
    Optional<String> onError = options.choice("on-cbw-error", WireName.all(OnCbwError.class));
    boolean breaksSnapshot = onError.equals(Optional.of(WireName.of(OnCbwError.BREAK_SNAPSHOT)));
    return new Driver.CopyBeforeWrite(
        file,
        target,
        bitmap.isPresent() ? Optional.of(bitmap(bitmap.get())) : Optional.empty(),
        breaksSnapshot ? OnCbwError.BREAK_SNAPSHOT : OnCbwError.BREAK_GUEST_WRITE,
        Duration.ofSeconds(options.unsigned("cbw-timeout", UINT32_MAX, 0)),
        options.unsigned("min-cluster-size", Long.MAX_VALUE, 0));
  }

  private static NodeSpec.Bitmap bitmap(QmpOptions bitmap) throws QmpException {
    return new NodeSpec.Bitmap(bitmap.string("node"), bitmap.string("name"));
  }

  private static NodeSpec.NbdSource nbd(QmpOptions options) throws QmpException {
    QmpOptions server = options.object("server");
    NodeSpec.Server place =
        switch (server.string("type")) {
          case "unix" -> new NodeSpec.Server.Unix(path(server));
          case "inet" -> new NodeSpec.Server.Inet(server.string("host"), port(server));
          default -> throw server.notAccepted("type");
        };
    return new NodeSpec.NbdSource(
        place,
        options.optionalString("export").orElse(""),
        Duration.ofSeconds(options.unsigned("reconnect-delay", SECONDS_MAX, 0)));
  }

  private static Path path(QmpOptions server) throws QmpException {
    try {
      return Path.of(server.string("path"));
    } catch (InvalidPathException e) {
      throw QmpException.usage("Parameter 'server.path' is no path: " + e.getReason());
    }
  }

  /// QMP gives it as a string.
  private static int port(QmpOptions server) throws QmpException {
    String text = server.string("port");
    if (text.matches("[0-9]{1,5}")) {
      int port = Integer.parseInt(text);
      if (port >= 1 && port <= PORT_MAX) {
        return port;
      }
    }
    throw server.notAccepted("port");
  }
}
