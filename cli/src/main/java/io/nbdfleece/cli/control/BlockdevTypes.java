// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT64;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.cli.control.schema.QmpType.Variants;
import io.nbdfleece.fleecing.SnapshotRequest;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The types of `blockdev-add`. Options that only say how to do the same are taken as hints, so
/// that clients written for QEMU work: a node goes through the page cache whatever `aio` and
/// `cache` are, looks at no data (`detect-zeroes`), passes discards on (`discard`), and keeps
/// flushes. What would promise something that does not hold (`locking` off) is not a value of its
/// type.
final class BlockdevTypes {
  /// Nodes may be written inside of each other so deep; deeper ones go by reference.
  static final int DEPTH_MAX = 4;

  private static final QmpType.Enumeration DRIVER =
      new QmpType.Enumeration(
          "BlockdevDriver",
          List.of(
              "copy-before-write",
              "file",
              "host_device",
              "nbd",
              "null-co",
              "raw",
              "snapshot-access",
              "throttle"));
  static final QmpType.Enumeration DISCARD =
      new QmpType.Enumeration("BlockdevDiscardOptions", List.of("ignore", "unmap"));
  static final QmpType.Enumeration DETECT_ZEROES =
      new QmpType.Enumeration("BlockdevDetectZeroesOptions", List.of("off", "on", "unmap"));
  static final QmpType.Enumeration AIO =
      new QmpType.Enumeration("BlockdevAioOptions", List.of("threads", "native", "io_uring"));
  static final QmpType.Enumeration LOCKING =
      new QmpType.Enumeration("OnOffAuto", List.of("auto", "on"));
  private static final QmpType.Enumeration ON_CBW_ERROR =
      new QmpType.Enumeration("OnCbwError", WireName.all(SnapshotRequest.OnCbwError.class));
  private static final QmpType.Struct CACHE =
      new QmpType.Struct(
          "BlockdevCacheOptions",
          List.of(Member.optional("direct", BOOLEAN), Member.optional("no-flush", BOOLEAN)));
  private static final QmpType.Struct BITMAP =
      new QmpType.Struct(
          "BlockDirtyBitmap", List.of(Member.of("node", STRING), Member.of("name", STRING)));
  private static final QmpType.Struct SERVER =
      new QmpType.Struct(
          "BlockdevSocketAddress",
          List.of(
              Member.of(
                  "type",
                  new QmpType.Enumeration("BlockdevSocketAddressType", List.of("inet", "unix")))),
          Optional.of(
              new Variants(
                  "type",
                  Map.of(
                      "inet",
                      new QmpType.Struct(
                          "BlockdevInetSocketAddress",
                          List.of(Member.of("host", STRING), Member.of("port", STRING))),
                      "unix",
                      new QmpType.Struct(
                          "UnixSocketAddress", List.of(Member.of("path", STRING)))))));

  /// `BlockdevOptions`.
  static final QmpType.Struct OPTIONS = options(DEPTH_MAX);

  private BlockdevTypes() {}

  /// A type cannot contain itself here, so it is written out to a depth.
  private static QmpType.Struct options(int depth) {
    String suffix = depth == DEPTH_MAX ? "" : "-" + (DEPTH_MAX - depth + 1);
    QmpType child =
        new QmpType.Alternate(
            "BlockdevRef" + suffix,
            depth == 1 ? List.of(STRING) : List.of(STRING, options(depth - 1)));
    QmpType.Struct file =
        new QmpType.Struct(
            "BlockdevOptionsFile",
            List.of(
                Member.of("filename", STRING),
                Member.optional("aio", AIO),
                Member.optional("locking", LOCKING)));
    QmpType.Struct filter =
        new QmpType.Struct(
            "BlockdevOptionsGenericFormat" + suffix, List.of(Member.of("file", child)));
    return new QmpType.Struct(
        "BlockdevOptions" + suffix,
        List.of(
            Member.of("driver", DRIVER),
            Member.optional("node-name", STRING),
            Member.optional("discard", DISCARD),
            Member.optional("cache", CACHE),
            Member.optional("read-only", BOOLEAN),
            Member.optional("auto-read-only", BOOLEAN),
            Member.optional("detect-zeroes", DETECT_ZEROES)),
        Optional.of(
            new Variants(
                "driver",
                Map.of(
                    "file",
                    file,
                    "host_device",
                    file,
                    "raw",
                    filter,
                    "snapshot-access",
                    filter,
                    "null-co",
                    nullCo(),
                    "nbd",
                    nbd(),
                    "throttle",
                    new QmpType.Struct(
                        "BlockdevOptionsThrottle" + suffix,
                        List.of(Member.of("throttle-group", STRING), Member.of("file", child))),
                    "copy-before-write",
                    copyBeforeWrite(suffix, child)))));
  }

  private static QmpType.Struct nullCo() {
    return new QmpType.Struct(
        "BlockdevOptionsNull",
        List.of(
            Member.optional("size", SIZE),
            Member.optional("latency-ns", UINT64),
            Member.optional("read-zeroes", BOOLEAN)));
  }

  private static QmpType.Struct nbd() {
    return new QmpType.Struct(
        "BlockdevOptionsNbd",
        List.of(
            Member.of("server", SERVER),
            Member.optional("export", STRING),
            Member.optional("reconnect-delay", UINT32)));
  }

  private static QmpType.Struct copyBeforeWrite(String suffix, QmpType child) {
    return new QmpType.Struct(
        "BlockdevOptionsCbw" + suffix,
        List.of(
            Member.of("file", child),
            Member.of("target", child),
            Member.optional("bitmap", BITMAP),
            Member.optional("on-cbw-error", ON_CBW_ERROR),
            Member.optional("cbw-timeout", UINT32),
            Member.optional("min-cluster-size", SIZE)));
  }
}
